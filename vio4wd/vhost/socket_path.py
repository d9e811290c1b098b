"""Socket files: made with the right owner, and never at the cost of one that is in use."""

from __future__ import annotations

import dataclasses
import os
import socket
import stat
from pathlib import Path
from typing import Final

from vio4wd.vhost.errors import SocketError

#: Most bytes of a path (unix(7): 108 with the terminating zero).
MAX_PATH: Final = 107


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """Who may connect.

    Attributes:
        uid: owner, -1: as the process.
        gid: group, -1: as the process.
        mode: permission bits.
    """

    uid: int = -1
    gid: int = -1
    mode: int = 0o660


def check_path(path: Path) -> None:
    """See that a socket can have this path.

    Raises:
        SocketError: it is too long, or its directory is not there.
    """
    if len(os.fsencode(path)) > MAX_PATH:
        raise SocketError(f"socket path {path} is longer than {MAX_PATH} bytes: choose a shorter one")
    if not path.parent.is_dir():
        raise SocketError(f"socket {path}: there is no directory {path.parent}: create it")


def bind(path: Path, access: Access) -> socket.socket:
    """A non-blocking listening socket at the path.

    A socket file that nobody listens on any more is removed. Nobody can connect before owner and mode
    are set, for the socket listens only then.

    Raises:
        SocketError: the path is taken, or cannot be made or given to that owner.
    """
    check_path(path)
    remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.bind(os.fspath(path))
        try:
            os.chown(path, access.uid, access.gid)
            path.chmod(access.mode)
            sock.listen()
        except OSError:
            path.unlink(missing_ok=True)
            raise
    except OSError as error:
        sock.close()
        raise SocketError(f"socket {path} cannot be made: {error.strerror}") from error
    return sock


def remove_stale(path: Path) -> None:
    """Remove a socket that a dead process has left at the path.

    Raises:
        SocketError: something else is there: a socket in use, or no socket.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SocketError(f"{path} is there and is not a socket: remove it or choose another path")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
            probe.connect(os.fspath(path))
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
        return
    except BlockingIOError:
        pass  # somebody listens and has much to do
    except OSError as error:
        raise SocketError(f"socket {path}: {error.strerror}") from error
    raise SocketError(f"socket {path} is in use by another process: stop it or choose another path")
