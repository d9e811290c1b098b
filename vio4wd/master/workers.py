"""All workers of a daemon: one for each CPU, watched, and replaced when they end or hang.

A worker that dies takes nothing with it but its CPU's work: `lost` is called when it is gone for
certain, so that its relays can be repaired and moved, and `running` when the next one serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from vio4wd.master.errors import MasterError
from vio4wd.master.worker_handle import WorkerGoneError, WorkerHandle, WorkerOptions

if TYPE_CHECKING:  # it brings numpy, and workers are made before there is time for that
    from vio4wd.shm import layout

_log = logging.getLogger(__name__)

#: Seconds without a heartbeat after which a worker is stuck. It beats some thousand times a second;
#: the rest is for machines on which it does not get its CPU.
STUCK_AFTER: Final = 5.0
#: Seconds between two looks at the heartbeats.
LOOK_INTERVAL: Final = 0.25
#: Seconds before the next start of a worker that keeps dying: first, and at most.
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 10.0
#: A worker that lived this long, in seconds, starts with the first pause again.
STEADY_AFTER: Final = 30.0

#: Seconds that workers have to end, of those that the master has (`daemon.STOP_TIME`).
WORKER_STOP_TIME: Final = 0.8

Notice = Callable[[int], Awaitable[None]]
Gate = Callable[[], contextlib.AbstractAsyncContextManager[None]]


def next_pause(pause: float, lived: float) -> float:
    """Seconds to wait after the next death, from the present pause and how long the worker lived."""
    return FIRST_PAUSE if lived >= STEADY_AFTER else min(2 * pause, LONGEST_PAUSE)


@dataclasses.dataclass(frozen=True, slots=True)
class Surroundings:
    """What the workers' supervision needs of the rest of the master, and whom it tells.

    Attributes:
        start_gate: entered while a worker starts (a starting DPDK secondary and a device that comes
            or goes in the primary do not mix).
        lost: told the slot of a worker that has ended unasked, before the next one starts.
        running: told the slot of a worker that serves, also the first time.
        attached_pci: addresses of the PCI devices that a starting worker is to look for.
    """

    start_gate: Gate
    lost: Notice
    running: Notice
    attached_pci: Callable[[], Sequence[str]] = tuple


class Workers:
    """The daemon's workers, one on each of the CPUs. Slot n is the n-th CPU."""

    # From `start` on.
    _tables: layout.Tables
    _surroundings: Surroundings

    def __init__(self, cpus: Sequence[int], options: WorkerOptions) -> None:
        self.cpus = tuple(cpus)
        self._options = options
        self._handles: dict[int, WorkerHandle] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._beats: dict[int, tuple[int, float]] = {}
        self._stopping = False

    def get(self, slot: int) -> WorkerHandle | None:
        """The worker of a slot if it serves at this moment."""
        handle = self._handles.get(slot)
        return handle if handle is not None and handle.running else None

    def running_slots(self) -> list[int]:
        """Slots whose workers serve at this moment."""
        return [slot for slot in range(len(self.cpus)) if self.get(slot) is not None]

    def all_beat(self) -> bool:
        """Whether every worker serves and has shown a heartbeat lately."""
        now = time.monotonic()
        return all(
            self.get(slot) is not None and now - self._beats.get(slot, (0, now))[1] < STUCK_AFTER / 2
            for slot in range(len(self.cpus))
        )

    async def spawn(self) -> None:
        """Make the processes of all workers, which load their programs while DPDK starts here.

        Raises:
            MasterError: one cannot be made.
        """
        for slot, cpu in enumerate(self.cpus):
            self._handles[slot] = WorkerHandle(slot, cpu, self._options)
        await self._all(handle.spawn() for handle in self._handles.values())

    async def start(self, tables: layout.Tables, surroundings: Surroundings) -> None:
        """Let all workers begin, and return when they serve. They are watched from now on.

        Args:
            tables: the shared tables; the CPU column of `control` is filled here.

        Raises:
            MasterError: one did not come up.
        """
        self._tables = tables
        self._surroundings = surroundings
        for slot, cpu in enumerate(self.cpus):
            tables["control"][slot]["cpu"] = cpu
        handles = list(self._handles.values())
        async with surroundings.start_gate():
            await self._all(handle.start(tables) for handle in handles)
        for handle in handles:
            _log.info("worker on CPU %d serves (pid %d)", handle.cpu, handle.pid)
            await surroundings.running(handle.slot)
            self._tasks.append(asyncio.create_task(self._supervise(handle.slot)))
        self._tasks.append(asyncio.create_task(self._watch()))

    async def _all(self, starts: Iterable[Awaitable[None]]) -> None:
        for result in await asyncio.gather(*starts, return_exceptions=True):
            if isinstance(result, WorkerGoneError):
                raise MasterError(str(result))
            if result is not None:
                raise result

    async def _supervise(self, slot: int) -> None:
        pause = FIRST_PAUSE
        around = self._surroundings
        while True:
            handle = self._handles[slot]
            since = time.monotonic()
            ending = await handle.wait()
            if self._stopping:
                return
            self._clear(slot)
            _log.error("worker on CPU %d (pid %d) has ended: %s", handle.cpu, handle.pid, ending)
            await around.lost(slot)
            await asyncio.sleep(pause)
            pause = next_pause(pause, time.monotonic() - since)
            handle = WorkerHandle(slot, self.cpus[slot], self._options)
            self._handles[slot] = handle
            try:
                await handle.spawn()
                async with around.start_gate():
                    await handle.start(self._tables, around.attached_pci())
            except WorkerGoneError as error:
                _log.error("%s", error)
                continue
            _log.info("worker on CPU %d serves again (pid %d)", handle.cpu, handle.pid)
            await around.running(slot)

    def _clear(self, slot: int) -> None:
        """A dead worker cannot say so itself."""
        from vio4wd.shm import layout

        row = self._tables["workers"][slot]
        row["pid"] = 0
        row["items"] = 0
        row["state"] = layout.WORKER_ABSENT
        self._beats.pop(slot, None)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            now = time.monotonic()
            for slot in self.running_slots():
                beat = int(self._tables["workers"][slot]["heartbeat"])
                last, seen = self._beats.get(slot, (-1, now))
                if beat != last:
                    self._beats[slot] = (beat, now)
                elif now - seen > STUCK_AFTER:
                    handle = self._handles[slot]
                    _log.error(
                        "worker on CPU %d (pid %d) shows no heartbeat for %.0f s; killing it",
                        handle.cpu,
                        handle.pid,
                        now - seen,
                    )
                    await handle.kill()

    async def stop(self, seconds: float) -> None:
        """End all workers, by force after `seconds`; nothing is restarted any more."""
        self._stopping = True
        begun = bool(self._tasks)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(handle.stop(seconds) for handle in self._handles.values()))
        if begun:
            for slot in self._handles:
                self._clear(slot)

    def pids(self) -> list[int]:
        """Process ids of the workers that were started and not yet replaced."""
        return [handle.pid for handle in self._handles.values() if handle.pid]
