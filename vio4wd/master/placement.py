"""Which worker slot a direction goes to: pins, else the least busy worker (`sched.assign`).

Knows the workers, their NUMA nodes and their load over the last second or so; the decision itself is
the scheduler's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vio4wd.master import numa
from vio4wd.sched import assign
from vio4wd.shm import layout


class Placement:
    """Assignment of directions to the daemon's worker slots.

    Attributes:
        pins: relay -> CPUs of (VF->VM, VM->VF). Moves at run time are pins as well: a relay that an
            operator or the core scheduler has put somewhere stays there.
    """

    def __init__(
        self,
        cpus: Sequence[int],
        tables: layout.Tables,
        pins: Mapping[int, tuple[int, int]],
        *,
        same_numa: bool,
        node_of_cpu: Callable[[int], int] = numa.node_of_cpu,
    ) -> None:
        self.cpus = tuple(cpus)
        self.pins = dict(pins)
        self._tables = tables
        self._same_numa = same_numa
        self._nodes = [node_of_cpu(cpu) for cpu in cpus]
        self._counted = [(0, 0)] * len(self.cpus)
        self._loads = [0.0] * len(self.cpus)

    def measure(self) -> None:
        """Take each worker's load since the last call; call every second or so."""
        for slot in range(len(self.cpus)):
            row = self._tables["workers"][slot]
            busy, total = int(row["busy_cycles"]), int(row["total_cycles"])
            before_busy, before_total = self._counted[slot]
            self._counted[slot] = (busy, total)
            # A restarted worker counts from 0 again.
            if total > before_total and busy >= before_busy:
                self._loads[slot] = (busy - before_busy) / (total - before_total)
            else:
                self._loads[slot] = 0.0

    def slots_for(self, relay: int, running: Sequence[int], near: int, vf_node: int) -> tuple[int, int]:
        """Slots for the two directions of a relay.

        Args:
            running: slots whose workers serve.
            near: NUMA node whose workers go first, that of the guest's memory if it is known; -1: any.
            vf_node: NUMA node of the VF, -1: not known.

        Raises:
            PlacementError: there is no worker, or none on the VF's node with --same-numa.
        """
        if self._same_numa and vf_node >= 0 and relay not in self.pins:
            running = [slot for slot in running if self._nodes[slot] == vf_node]
            if not running:
                raise assign.PlacementError(f"no worker runs on NUMA node {vf_node} of the VF (--same-numa)")
        candidates = [
            assign.Candidate(self.cpus[slot], self._nodes[slot], self._loads[slot], self._assigned(slot))
            for slot in running
        ]
        pins = {pinned: cpus for pinned, cpus in self.pins.items() if self._all_run(cpus, running)}
        first, second = assign.place(relay, pins, candidates, near)
        return self.cpus.index(first), self.cpus.index(second)

    def pinned_slot(self, relay: int, direction: int) -> int | None:
        """Slot that a pin asks for, None without a pin."""
        pin = self.pins.get(relay)
        return None if pin is None else self.cpus.index(pin[direction])

    def _all_run(self, cpus: Sequence[int], running: Sequence[int]) -> bool:
        return all(self.cpus.index(cpu) in running for cpu in cpus)

    def _assigned(self, slot: int) -> int:
        relays = self._tables["relays"]
        return int((relays["vf_to_vm_slot"] == slot).sum() + (relays["vm_to_vf_slot"] == slot).sum())
