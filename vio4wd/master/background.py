"""Going into the background: the starting command ends when the daemon serves, and with its outcome."""

from __future__ import annotations

import contextlib
import os
import sys


class Background:
    """A daemon's line to the command that started it. Made by `detach()`, used in the daemon."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def ready(self) -> None:
        """The daemon serves: the starting command ends with status 0. From now on there is no terminal."""
        self._tell(b"\0")

    def failed(self, message: str) -> None:
        """The daemon could not start: the starting command prints the message and ends with status 1."""
        self._tell(message.encode())

    def _tell(self, data: bytes) -> None:
        if self._fd < 0:
            return
        with contextlib.suppress(OSError):  # the starting command was killed; that is no reason to end
            os.write(self._fd, data)
        os.close(self._fd)
        self._fd = -1


def detach() -> Background:
    """Go on in a child process in a session of its own, with standard streams on /dev/null.

    Call before any thread exists. The calling process does not return from here: it waits for what
    the daemon tells and exits.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        sys.exit(_await(reader))
    os.close(reader)
    os.setsid()
    os.chdir("/")
    if os.fork():
        os._exit(0)  # only the grandchild holds the pipe's end now; it can never get a terminal
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    if null > 2:
        os.close(null)
    return Background(writer)


def _await(reader: int) -> int:
    """Exit status of the starting command."""
    told = b""
    while data := os.read(reader, 4096):
        told += data
    if told == b"\0":
        return 0
    print(told.decode() or "the daemon ended while it started; see the log", file=sys.stderr)
    return 1
