"""File descriptors that came from a frontend."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from vio4wd.vhost.errors import ViolationError


def close_all(fds: Iterable[int]) -> None:
    """Close them, without fail; -1 is none."""
    for fd in fds:
        if fd >= 0:
            # A file of a file system that is gone may complain; the descriptor is free all the same.
            with contextlib.suppress(OSError):
                os.close(fd)


def check_eventfd(fd: int) -> None:
    """See that it is an eventfd, and that writing to it does not wait.

    A worker writes to it in the middle of a burst: a pipe that nobody reads would stop the worker and
    all relays on it.

    Raises:
        ViolationError: it is something else.
    """
    kind = Path(f"/proc/self/fd/{fd}").readlink()
    if str(kind) != "anon_inode:[eventfd]":
        raise ViolationError(f"a descriptor that must be an eventfd is {kind}")
    os.set_blocking(fd, False)
