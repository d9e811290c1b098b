"""Looks for a mapping of directions to CPUs with evenly loaded CPUs and few changes.

A local search from the present mapping: the fullest CPU that can be helped gives a direction to another
CPU, or exchanges one with it, whichever evens their loads most; and again, until a step is no longer worth
a move. Each step lowers the sum of the squared loads, so it ends; few moves are made because each is
the best one there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

#: A direction or a lane of it: (relay, ..., layout.VF_TO_VM or layout.VM_TO_VF).
Direction = tuple[int, ...]
Assignment = Mapping[Direction, int]  # CPU of each

#: A step must even two CPUs' loads by this share of a core at least.
LEAST_STEP: Final = 0.02


def improve(
    assignment: Assignment,
    movable: Iterable[Direction],
    cpus: Sequence[int],
    loads: Mapping[Direction, float],
) -> dict[Direction, int]:
    """The improved mapping; equal to `assignment` where it is good enough.

    Args:
        assignment: the present mapping.
        movable: directions that may be moved, all of them served by `cpus`.
        cpus: where to.
        loads: of all directions, in shares of a core; unknown ones count nothing and stay.
    """
    found = dict(assignment)
    busy = dict.fromkeys(cpus, 0.0)
    for direction, cpu in assignment.items():
        if cpu in busy:
            busy[cpu] += loads.get(direction, 0.0)
    movers: dict[int, list[Direction]] = {cpu: [] for cpu in cpus}
    for direction in movable:
        if loads.get(direction, 0.0) > 0:
            movers[found[direction]].append(direction)
    while step := _best_step(busy, movers, loads):
        given, taken, source, target = step
        changes = [(given, source, target)] + ([(taken, target, source)] if taken else [])
        for direction, old, new in changes:
            found[direction] = new
            movers[old].remove(direction)
            movers[new].append(direction)
            busy[old] -= loads[direction]
            busy[new] += loads[direction]
    return found


_Step = tuple[Direction, Direction | None, int, int]


def _best_step(
    busy: Mapping[int, float],
    movers: Mapping[int, Sequence[Direction]],
    loads: Mapping[Direction, float],
) -> _Step | None:
    """(direction given, direction taken back or None, from, to) for the fullest CPU that can be helped."""
    ascending = sorted(busy, key=lambda cpu: (busy[cpu], cpu))
    for source in reversed(ascending):
        best: _Step | None = None
        gain = 0.0
        for target in ascending:
            gap = busy[source] - busy[target]
            if gap < LEAST_STEP or gap * gap / 4 <= gain:
                break  # nor do the fuller ones promise more
            for given in movers[source]:
                for taken in (None, *movers[target]):
                    shift = loads[given] - (loads[taken] if taken else 0.0)
                    # By how much less the two loads lie apart afterwards; a plain move wins a draw.
                    evened = gap - abs(gap - 2 * shift)
                    weight = shift * (gap - shift)  # half of what the sum of squares loses
                    if evened >= LEAST_STEP and weight > gain * (1 + 1e-9):
                        best, gain = (given, taken, source, target), weight
        if best:
            return best
    return None
