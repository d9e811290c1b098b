"""Port control by a text file: `add_port NETDEV` and `del_port NETDEV`, as the old daemon took them.

Whoever may write the file (root, or the daemon's user) writes one or more commands into it; when it is
closed they are carried out, and what became of each stands in FILE.result, a line each, before FILE is
removed. The relay is the number of the VF behind NETDEV; `add_port NETDEV RELAY`, which the old daemon did
not have, chooses one. The file often lies in /tmp, where anybody can put one: whose it is is checked on
the open file, links are not followed, and the result takes its place by a rename.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from asyncinotify import Inotify, Mask

from vio4wd.control.controller import ControlError, Controller
from vio4wd.control.netdev import Netdev, NetdevError, resolve
from vio4wd.limits import MAX_RELAYS

_log = logging.getLogger(__name__)

MAX_BYTES: Final = 4096
_USAGE: Final = "commands are: add_port NETDEV [RELAY], del_port NETDEV"


class _CommandError(Exception):
    pass


class CommandFile:
    """Watches the file's directory from `start` to `close`."""

    def __init__(self, controller: Controller, path: Path, root: Path = Path("/")) -> None:
        """`path`: the file; `root`: where /sys is."""
        self.path = path
        self.result_path = path.with_name(path.name + ".result")
        self._controller = controller
        self._root = root
        self._added: dict[str, tuple[str, int]] = {}  # network device -> device and relay
        self._inotify: Inotify | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Watch; a file that is there already is taken at once.

        Raises:
            OSError: the directory cannot be watched; the message names it.
        """
        inotify = Inotify()
        try:
            inotify.add_watch(self.path.parent, Mask.CLOSE_WRITE | Mask.MOVED_TO)
        except OSError as error:
            inotify.close()
            raise OSError(error.errno, f"{self.path.parent} cannot be watched: {error.strerror}") from error
        self._inotify = inotify
        self._task = asyncio.create_task(self._watch(inotify), name=f"command file {self.path}")

    async def close(self) -> None:
        """Watch no more. What was attached stays so."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    async def _watch(self, inotify: Inotify) -> None:
        await self._take()
        async for event in inotify:
            # After an overflow of the kernel's queue nobody knows what came.
            if Mask.Q_OVERFLOW in event.mask or (event.name and event.name.name == self.path.name):
                await self._take()

    async def _take(self) -> None:
        """Carry out what the file says, tell, and remove it, until it does not change meanwhile."""
        while True:
            try:
                found = self._read()
            except OSError as error:
                _log.error("%s: %s: removed without acting on it", self.path, error.strerror)
                self._remove()
                return
            if found is None:
                return
            text, identity = found
            self.result_path.unlink(missing_ok=True)
            self._tell([await self._execute(line) for line in text.splitlines() if line.strip()])
            if self._identity() == identity:
                self._remove()
                return

    def _read(self) -> tuple[str, tuple[int, ...]] | None:
        """Text and identity of the file, None where there is none, or nothing in it yet.

        Raises:
            OSError: it must not be acted on; strerror says why.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, no path
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(0, "no regular file")
            if status.st_uid not in (0, os.geteuid()) or status.st_mode & stat.S_IWOTH:
                raise OSError(0, f"written by user {status.st_uid} or writable by all")
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise OSError(0, f"more than {MAX_BYTES} bytes")
        if not data:
            return None
        return data.decode("utf-8", "replace"), _identity(status)

    def _identity(self) -> tuple[int, ...] | None:
        try:
            return _identity(self.path.lstat())
        except OSError:
            return None

    def _remove(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            _log.error("%s cannot be removed: %s", self.path, error.strerror)

    async def _execute(self, line: str) -> str:
        """Carry out one command; returns its line of the result."""
        shown = " ".join(part for part in line.split() if part.isprintable())
        try:
            done = await self._command(line.split())
        except (_CommandError, NetdevError) as error:
            reason = str(error)
        except ControlError as error:
            reason = error.message
        else:
            _log.info("%s: %s: %s", self.path, shown, done)
            return f"OK: {shown}: {done}"
        _log.error("%s: %s: %s", self.path, shown, reason)
        return f"ERROR: {shown}: {reason}"

    async def _command(self, words: list[str]) -> str:
        match words:
            case ["add_port", name]:
                return await self._add(name, None)
            case ["add_port", name, relay]:
                return await self._add(name, relay)
            case ["del_port", name]:
                return await self._delete(name)
        raise _CommandError(_USAGE)

    async def _add(self, name: str, wanted: str | None) -> str:
        netdev = resolve(name, self._root)
        relay = _relay(netdev) if wanted is None else _number(wanted)
        await self._controller.add((netdev.device,), relay, True, None, 0)
        self._added[name] = (netdev.device, relay)
        return f"{netdev.device} is attached to relay {relay}"

    async def _delete(self, name: str) -> str:
        # A device that was taken from the kernel meanwhile cannot be looked up any more.
        if name in self._added:
            device, relay = self._added[name]
        else:
            netdev = resolve(name, self._root)
            device, relay = netdev.device, _relay(netdev)
        await self._controller.remove((device,), relay, True, None)
        self._added.pop(name, None)
        return f"{device} is not attached to relay {relay}"

    def _tell(self, lines: list[str]) -> None:
        try:
            with tempfile.NamedTemporaryFile(
                "w", dir=self.path.parent, prefix=f".{self.result_path.name}.", delete=False
            ) as file:
                try:
                    file.write("".join(f"{line}\n" for line in lines))
                    os.fchmod(file.fileno(), 0o644)
                    file.flush()
                    Path(file.name).replace(self.result_path)
                except OSError:
                    with contextlib.suppress(OSError):
                        Path(file.name).unlink()
                    raise
        except OSError as error:
            _log.error("%s cannot be written: %s", self.result_path, error.strerror)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _relay(netdev: Netdev) -> int:
    if netdev.vf is None:
        raise _CommandError(
            f"{netdev.name} is no VF, so its relay must be given: add_port {netdev.name} RELAY"
        )
    if netdev.vf >= MAX_RELAYS:
        raise _CommandError(f"{netdev.name} is VF {netdev.vf}, and relays are 0 to {MAX_RELAYS - 1}")
    return netdev.vf


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:10]) < MAX_RELAYS):
        raise _CommandError(f"there is no relay {text}: relays are 0 to {MAX_RELAYS - 1}")
    return int(text[:10])
