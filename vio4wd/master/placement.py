"""Which worker slot a lane of a direction goes to: pins, else the least busy worker (`sched.assign`).

Knows the workers, their NUMA nodes and their load over the last second or so; the decision itself is
the scheduler's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vio4wd.master import numa
from vio4wd.master.guest import Part
from vio4wd.sched import assign
from vio4wd.shm import layout


def pairs_of(cpus: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """A pin of the configuration as pairs of CPUs, one for each lane."""
    return tuple(zip(cpus[::2], cpus[1::2], strict=True))


class Placement:
    """Assignment of lanes to the daemon's worker slots.

    Attributes:
        pins: relay -> CPUs of (VF->VM, VM->VF) of each lane; lanes beyond begin again with the first pair.
            Moves at run time are pins as well: a relay that an operator or the core scheduler has put
            somewhere stays there.
    """

    def __init__(
        self,
        cpus: Sequence[int],
        tables: layout.Tables,
        pins: Mapping[int, tuple[int, ...]],
        *,
        same_numa: bool,
        node_of_cpu: Callable[[int], int] = numa.node_of_cpu,
    ) -> None:
        self.cpus = tuple(cpus)
        self.pins = {relay: pairs_of(cpus) for relay, cpus in pins.items()}
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

    def slot_for(self, relay: int, part: Part, running: Sequence[int], near: int, vf_node: int) -> int:
        """Slot for a lane of a direction of a relay.

        Args:
            running: slots whose workers serve.
            near: NUMA node whose workers go first, that of the guest's memory if it is known; -1: any.
            vf_node: NUMA node of the VF, -1: not known.

        Raises:
            PlacementError: there is no worker, or none on the VF's node with --same-numa.
        """
        pinned = self.pinned_slot(relay, part)
        if pinned in running and pinned is not None:
            return pinned
        if self._same_numa and vf_node >= 0 and pinned is None:
            running = [slot for slot in running if self._nodes[slot] == vf_node]
            if not running:
                raise assign.PlacementError(f"no worker runs on NUMA node {vf_node} of the VF (--same-numa)")
        relays = self._tables["relays"]
        siblings = relays[layout.SLOT_COLUMNS[part[0]]][relay]
        candidates = [
            assign.Candidate(
                self.cpus[slot],
                self._nodes[slot],
                self._loads[slot],
                assigned=sum(int((relays[column] == slot).sum()) for column in layout.SLOT_COLUMNS),
                siblings=int((siblings == slot).sum()),
            )
            for slot in running
        ]
        return self.cpus.index(assign.choose(candidates, near))

    def pinned_slot(self, relay: int, part: Part) -> int | None:
        """Slot that a pin asks for, None without a pin."""
        pin = self.pins.get(relay)
        if not pin:
            return None
        direction, lane = part
        return self.cpus.index(pin[lane % len(pin)][direction])
