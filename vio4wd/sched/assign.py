"""Which worker serves a lane of a direction that nobody serves yet (user's guide, chapter 8).

The least busy worker does: the one with the lowest measured load. Among those whose loads hardly differ it
is the one that has the fewest lanes of the same direction, for they exist to be served by several, and then
the fewest of all, so that relays that are attached one after the other, before any packet flows, spread over
all workers. Workers on the NUMA node of the guest's memory go first.

Nothing here reads a clock or a table: the master tells what it knows, and acts on the answer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

#: Loads that differ by less than this share of a core are alike: measured loads are never quite still.
LIKE: Final = 0.1


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A worker that may be given a lane.

    Attributes:
        cpu: the CPU it runs on.
        numa_node: node of that CPU, -1: not known.
        load: measured share of its time spent on packets, 0..1; 0 where nothing was measured.
        assigned: lanes of directions it serves already.
        siblings: of these, how many belong to the same direction of the same relay.
    """

    cpu: int
    numa_node: int = -1
    load: float = 0.0
    assigned: int = 0
    siblings: int = 0


class PlacementError(Exception):
    """A lane has no worker to go to; the text says why."""


def choose(workers: Sequence[Candidate], numa_node: int = -1) -> int:
    """CPU of the least busy worker, on `numa_node` where one is there (-1: the node does not matter).

    Raises:
        PlacementError: there is no worker.
    """
    if not workers:
        raise PlacementError("no worker is running")
    local = [worker for worker in workers if worker.numa_node == numa_node] if numa_node >= 0 else []
    return min(
        local or workers,
        key=lambda worker: (int(worker.load / LIKE), worker.siblings, worker.assigned, worker.cpu),
    ).cpu
