"""The core scheduler's decision: which directions should be served by which workers from now on.

A pure function of what was measured, what is served where, and what it remembers. Its rules:

* Each NUMA node's workers share the load of the node's relays (or all workers all relays, if told so).
* Nothing moves for little. The *variation* of the workers' loads (standard deviation over mean) must
  become smaller by more than the sensitivity; or a worker that is full must lose more than that
  share of its load without another one becoming as full.
* Nothing moves for noise. A new mapping is looked for with the loads of the interval before and must
  prove itself on the loads of this one, which it has not seen: chance improves nothing there, a real
  imbalance is still there.
* Nobody is moved about. A relay moves at most once an interval, and having moved it stays for some; each
  time it is moved again soon after, it stays twice as long. Where a relay has several lanes each of them
  is moved as if it were a relay of its own.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from vio4wd.sched.search import Assignment, Direction, improve

#: (relay, lane): what is moved as one, each of its two directions to a CPU of its own.
Unit = tuple[int, int]

#: Below this share of a core on the busiest worker, any mapping is good.
QUIET: Final = 0.1
#: From this share on a worker is full: what its directions would need beyond it cannot be seen.
FULL: Final = 0.9
#: Intervals a relay stays where it was moved to, the first time and at most.
FIRST_STAY: Final = 4
LONGEST_STAY: Final = 256


@dataclasses.dataclass(frozen=True, slots=True)
class RelayLoad:
    """A relay, or a lane of one that has several, as measured over an interval.

    Attributes:
        numa_node: where its packet memory lies.
        cpus: that serve (VF->VM, VM->VF).
        loads: shares of a core these directions took.
        lane: None: it is all of the relay.
    """

    relay: int
    numa_node: int
    cpus: tuple[int, int]
    loads: tuple[float, float]
    lane: int | None = None

    @property
    def unit(self) -> Unit:
        return self.relay, self.lane or 0


@dataclasses.dataclass(frozen=True, slots=True)
class Move:
    """Serve a relay's, or its lane's, (VF->VM, VM->VF) on these CPUs."""

    relay: int
    cpus: tuple[int, int]
    lane: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Stay:
    """A unit that was moved stays up to the interval `until`, which was `length` intervals ahead."""

    until: int
    length: int


@dataclasses.dataclass(frozen=True, slots=True)
class Memory:
    """What one decision leaves to the next.

    Attributes:
        interval: number of the coming interval.
        loads: of the directions in the last interval; empty: there was none.
        stays: of units that were moved.
    """

    interval: int = 0
    loads: Mapping[Direction, float] = dataclasses.field(default_factory=dict)
    stays: Mapping[Unit, Stay] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and what to remember.

    Attributes:
        variation: of all workers' loads, as they are.
        expected: the same after the moves, by the same measurement.
    """

    moves: tuple[Move, ...]
    memory: Memory
    variation: float
    expected: float


def decide(
    relays: Sequence[RelayLoad],
    cpus: Mapping[int, int],
    memory: Memory,
    *,
    sensitivity: float = 0.25,
    everywhere: bool = False,
) -> Decision:
    """Decide on the moves of one interval.

    Args:
        relays: those that are served; each direction by one of `cpus`.
        cpus: NUMA node of each worker's CPU.
        memory: of the decision before; `Memory()` at first.
        sensitivity: how much better it must become, see above.
        everywhere: a relay may be served on any node.
    """
    now: dict[Direction, float] = {
        (*entry.unit, number): load for entry in relays for number, load in enumerate(entry.loads)
    }
    assignment: dict[Direction, int] = {
        (*entry.unit, number): cpu for entry in relays for number, cpu in enumerate(entry.cpus)
    }
    before = dict(assignment)
    free = {entry.unit for entry in relays if not _stays(memory, entry.unit)}
    for members, targets in _groups(relays, cpus, everywhere=everywhere):
        movable = [direction for direction in members if direction[:-1] in free]
        _bring_home(assignment, movable, targets, now)
        present = worker_loads(assignment, targets, now)
        if not _may_improve(present.values(), sensitivity):
            continue
        proposal = improve(assignment, movable, targets, memory.loads)
        if _worth_it(present.values(), worker_loads(proposal, targets, now).values(), sensitivity):
            assignment = proposal
    found = {entry.unit: (assignment[*entry.unit, 0], assignment[*entry.unit, 1]) for entry in relays}
    moved = [entry for entry in relays if entry.cpus != found[entry.unit]]
    moves = tuple(Move(entry.relay, found[entry.unit], entry.lane) for entry in moved)
    return Decision(
        moves,
        _remember(memory, now, {entry.unit for entry in moved}),
        variation(worker_loads(before, cpus, now).values()),
        variation(worker_loads(assignment, cpus, now).values()),
    )


def worker_loads(
    assignment: Assignment, cpus: Iterable[int], loads: Mapping[Direction, float]
) -> dict[int, float]:
    """The load of each of `cpus` under a mapping; directions without a known load count nothing."""
    found = dict.fromkeys(cpus, 0.0)
    for direction, cpu in assignment.items():
        if cpu in found:
            found[cpu] += loads.get(direction, 0.0)
    return found


def variation(loads: Iterable[float]) -> float:
    """Standard deviation over mean; 0 where there is no load, or only one worker."""
    values = list(loads)
    mean = statistics.fmean(values) if values else 0.0
    return statistics.pstdev(values, mean) / mean if mean > 0 else 0.0


def _groups(
    relays: Sequence[RelayLoad], cpus: Mapping[int, int], *, everywhere: bool
) -> Iterable[tuple[list[Direction], list[int]]]:
    """Directions, and the CPUs among which they may be shared; a node without workers borrows all."""
    nodes = sorted(set(cpus.values()))

    def directions(entries: Iterable[RelayLoad]) -> list[Direction]:
        return [(*entry.unit, number) for entry in entries for number in (0, 1)]

    if not cpus:
        return
    if everywhere:
        yield directions(relays), sorted(cpus)
        return
    for node in nodes:
        local = (entry for entry in relays if entry.numa_node == node)
        yield directions(local), sorted(cpu for cpu, home in cpus.items() if home == node)
    yield directions(entry for entry in relays if entry.numa_node not in nodes), sorted(cpus)


def _bring_home(
    assignment: dict[Direction, int],
    directions: Iterable[Direction],
    targets: Sequence[int],
    loads: Mapping[Direction, float],
) -> None:
    """Directions that none of `targets` serves go to the least busy of them, the heaviest first."""
    strangers = [direction for direction in directions if assignment[direction] not in targets]
    if not strangers:
        return
    busy = worker_loads(assignment, targets, loads)
    for direction in sorted(strangers, key=lambda one: (-loads[one], one)):
        cpu = min(targets, key=lambda one: (busy[one], one))
        assignment[direction] = cpu
        busy[cpu] += loads[direction]


def _may_improve(present: Collection[float], sensitivity: float) -> bool:
    """Could the best of all mappings be worth it?"""
    busiest = max(present)
    return busiest >= QUIET and (busiest >= FULL or variation(present) > sensitivity)


def _worth_it(present: Collection[float], proposed: Collection[float], sensitivity: float) -> bool:
    busiest = max(present)
    relieved = busiest >= FULL and max(proposed) < busiest * (1 - sensitivity)
    return relieved or variation(present) - variation(proposed) > sensitivity


def _stays(memory: Memory, unit: Unit) -> bool:
    stay = memory.stays.get(unit)
    return stay is not None and memory.interval < stay.until


def _remember(memory: Memory, loads: Mapping[Direction, float], moved: set[Unit]) -> Memory:
    interval = memory.interval
    stays = {}
    for unit, stay in memory.stays.items():
        # Forgotten when it has not moved for as long again as it had to stay.
        if interval < stay.until + stay.length:
            stays[unit] = stay
    for unit in moved:
        length = min(2 * stays[unit].length, LONGEST_STAY) if unit in stays else FIRST_STAY
        stays[unit] = Stay(interval + 1 + length, length)
    return Memory(interval + 1, loads, stays)
