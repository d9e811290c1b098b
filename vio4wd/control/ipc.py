"""The socket files of `ipc://` endpoints.

libzmq removes whatever file is in the way of a bind, even the socket of a daemon that runs, and creates
its own with the umask of the day. So the place is looked at first, and the mode is set after.
"""

from __future__ import annotations

import errno
import socket
import stat
from pathlib import Path
from typing import Final

_SCHEME: Final = "ipc://"
#: Reading and writing for owner and group: who may control the daemon.
MODE: Final = 0o660


class EndpointInUseError(Exception):
    """Something that must not be removed is in the place of the socket; the message says what."""


def socket_file(endpoint: str) -> Path | None:
    """The file of an endpoint, None where it has none (TCP, abstract sockets)."""
    path = endpoint.removeprefix(_SCHEME)
    return Path(path) if endpoint.startswith(_SCHEME) and not path.startswith("@") else None


def clear_the_way(path: Path) -> None:
    """Remove the socket that a dead process left at `path`.

    Raises:
        EndpointInUseError: a process listens there, or it is no socket.
        OSError: it cannot be removed.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise EndpointInUseError(f"{path} is there and is no socket: remove it or choose another endpoint")
    if somebody_listens(path):
        raise EndpointInUseError(f"another process serves {path}: stop it or choose another endpoint")
    path.unlink(missing_ok=True)


def somebody_listens(path: Path) -> bool:
    """Whether a connection to the socket at `path` is accepted, or would be if the queue were not full."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        error = probe.connect_ex(str(path))
    return error not in (errno.ECONNREFUSED, errno.ENOENT)
