"""The pid file, and the lock on it that lets one master run in each pid directory.

The lock (flock) goes with the process, so a master that was killed never keeps the next one out; the
text is only for people and for tools that want to send a signal.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib

from vio4wd.master.errors import MasterError

FILE_NAME = "virtio-forwarder.pid"


class PidFile:
    """The held lock. `write()` once the process has its final id, `remove()` at the very end.

    Raises:
        MasterError: another master holds it (its process id is named), or the file cannot be made.
    """

    def __init__(self, directory: str) -> None:
        self.path = pathlib.Path(directory) / FILE_NAME
        self._fd = self._lock()

    def _lock(self) -> int:
        while True:
            try:
                fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise MasterError(
                    f"cannot make the pid file {self.path}: {error.strerror}; choose another with --pid-path"
                ) from None
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = os.pread(fd, 32, 0).decode(errors="replace").strip()
                os.close(fd)
                raise MasterError(
                    f"another master runs with the pid file {self.path} (pid {pid or 'not yet written'}); "
                    "stop it or choose another directory with --pid-path"
                ) from None
            # A master that ended in between has removed the name; the lock is then on a file nobody finds.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(fd), self.path.stat()):
                    return fd
            os.close(fd)

    def write(self) -> None:
        """Put this process's id into the file. The lock survives a fork, so this may be a child."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def remove(self) -> None:
        """Remove the file and give up the lock, in this order."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        os.close(self._fd)
