"""Who serves a relay: each lane of its directions in the hands of one worker, or of none.

Whoever uses this holds the relay's lock. A worker answers a release only when it is out of its kernel, and
one that does not answer is killed first, so that nothing is touched any more when a release returns.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from vio4wd.master.guest import Part
from vio4wd.master.roles import Placer, Team
from vio4wd.master.worker_handle import WorkerGoneError, WorkerRefusedError
from vio4wd.sched.assign import PlacementError
from vio4wd.shm import layout
from vio4wd.worker import protocol

_log = logging.getLogger(__name__)

DIRECTIONS = (layout.VF_TO_VM, layout.VM_TO_VF)

#: What a worker is asked to serve in a part, with its descriptors; None: there is nothing to serve.
Wanted = Callable[[Part], tuple[protocol.Serve, list[int]] | None]


class RelayError(Exception):
    """A relay cannot do what was asked; it is as it was before."""


class Service:
    """The workers of one relay.

    Args:
        row: the relay's in the table of relays.
        wanted: asked whenever a part is handed to a worker.

    Attributes:
        lanes: of each direction.
        harmed: a worker has died while it could hold packets of the relay's pool.
    """

    def __init__(
        self, number: int, row: layout.Tables, workers: Team, placer: Placer, wanted: Wanted
    ) -> None:
        self.lanes = 1
        self.harmed = False
        self._number = number
        self._row = row
        self._row["lanes"] = self.lanes
        self._workers = workers
        self._placer = placer
        self._wanted = wanted
        self._slots: dict[Part, int] = {}
        self._served: set[Part] = set()

    @property
    def slots(self) -> tuple[tuple[int, int], ...]:
        """Worker slots of (VF->VM, VM->VF) of each lane, -1: none."""
        return tuple(
            (self._slot((layout.VF_TO_VM, lane)), self._slot((layout.VM_TO_VF, lane)))
            for lane in range(self.lanes)
        )

    @property
    def complete(self) -> bool:
        """Every part has its worker."""
        return all(self._slot(part) >= 0 for part in self._parts())

    async def divide(self, lanes: int) -> None:
        """Have so many lanes from now on; parts that are no more are released."""
        await self.release()
        for part in self._parts():
            if part[1] >= lanes:
                self._set_slot(part, -1)
        self.lanes = lanes
        self._row["lanes"] = lanes

    def forget(self) -> None:
        """Nobody is to serve any more; all is released."""
        for part in self._parts():
            self._set_slot(part, -1)

    def find_workers(self, near: int, vf_node: int) -> None:
        """Choose workers for parts that have none, as for `Placer.slot_for`."""
        for part in self._parts():
            if self._slot(part) >= 0:
                continue
            running = self._workers.running_slots()
            try:
                self._set_slot(part, self._placer.slot_for(self._number, part, running, near, vf_node))
            except PlacementError as error:
                _log.warning("relay %d waits for a worker: %s", self._number, error)
                return

    async def serve(self) -> str:
        """Bring all owners up to date; says why a worker refused, if one did."""
        refusals = [await self._serve(part) for part in self._parts()]
        return next((refusal for refusal in refusals if refusal), "")

    async def release(self, directions: Iterable[int] = DIRECTIONS) -> None:
        """Take all lanes of these directions from their workers, which touch nothing of them any more."""
        parts = [part for part in self._parts() if part[0] in directions]
        await asyncio.gather(*(self._release(part) for part in parts))

    async def move(self, part: Part, slot: int) -> None:
        """Have another worker serve a part; one that is not there any more is nobody's.

        Raises:
            RelayError: the worker does not serve, or it refuses.
        """
        old = self._slot(part)
        if old == slot or part not in self._parts():
            return
        target = self._workers.get(slot)
        if target is None:
            raise RelayError(f"relay {self._number} stays where it is: that worker does not run")
        if self._wanted(part) is None:
            if old >= 0:
                self._set_slot(part, slot)
            return
        try:
            # An answer to a question without effect: a stuck worker must not be found out halfway.
            await target.request(protocol.Release(self._number, *part))
        except (WorkerGoneError, WorkerRefusedError) as error:
            raise RelayError(f"relay {self._number} stays where it is: {error}") from None
        await self._release(part)
        self._set_slot(part, slot)
        refusal = await self._serve(part)
        if part not in self._served:
            if old >= 0:
                self._set_slot(part, old)
                await self._serve(part)
            raise RelayError(
                f"relay {self._number} stays where it is: {refusal or 'the worker has just died'}"
            )

    async def bring_home(self, slot: int) -> None:
        """Give the worker of a slot the parts that are pinned to it and served by others."""
        for part in self._parts():
            if self._slot(part) >= 0 and self._placer.pinned_slot(self._number, part) == slot:
                try:
                    await self.move(part, slot)
                except RelayError as error:
                    _log.warning("%s", error)

    def lost(self, slot: int) -> bool:
        """The worker of a slot has died: its parts are nobody's. Whether it had any."""
        lost = [part for part in self._parts() if self._slot(part) == slot]
        for part in lost:
            self.harmed |= part in self._served
            self._served.discard(part)
            self._set_slot(part, -1)
        return bool(lost)

    def _parts(self) -> list[Part]:
        """One direction's lanes after the other's, so that each direction has its workers evenly spread."""
        return [(direction, lane) for direction in DIRECTIONS for lane in range(self.lanes)]

    def _slot(self, part: Part) -> int:
        return self._slots.get(part, -1)

    def _set_slot(self, part: Part, slot: int) -> None:
        self._slots[part] = slot
        direction, lane = part
        self._row[layout.SLOT_COLUMNS[direction]][lane] = slot

    async def _serve(self, part: Part) -> str:
        """Bring the owner of a part up to date; says why it refused, if it did."""
        wanted = self._wanted(part)
        if wanted is None:
            await self._release(part)
            return ""
        worker = self._workers.get(self._slot(part))
        if worker is None:
            return ""
        message, fds = wanted
        self._served.add(part)  # from now on it may hold packets, whatever it answers
        try:
            await worker.request(message, fds)
        except WorkerRefusedError as error:
            _log.error("relay %d: %s", self._number, error)
            self._served.discard(part)
            return str(error)
        except WorkerGoneError:
            pass  # `lost` follows
        return ""

    async def _release(self, part: Part) -> None:
        if part not in self._served:
            return
        self._served.discard(part)
        worker = self._workers.get(self._slot(part))
        try:
            if worker is None:
                raise WorkerGoneError
            await worker.request(protocol.Release(self._number, *part))
        except WorkerRefusedError as error:
            _log.error("relay %d: %s", self._number, error)
        except WorkerGoneError:
            self.harmed = True
