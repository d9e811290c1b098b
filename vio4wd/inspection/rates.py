"""What happened between two snapshots: rates, shares of a core, latency percentiles.

Counters begin at 0 again when a worker restarts or a VF is attached anew; a counter that went back
counts from 0, so that no rate is ever negative.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from vio4wd.inspection.snapshot import Direction, Relay, Snapshot, Worker


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerRates:
    """A worker over the interval. Shares are 0..1 of the interval; None: nothing to tell it from.

    Attributes:
        busy: share spent in bursts that moved packets.
        idle: share spent asleep. What is left was spent polling queues that were empty.
        packets_per_burst, cycles_per_packet: over the bursts that moved packets.
    """

    slot: int
    busy: float
    idle: float
    packets: float  # a second
    loops: float  # a second
    sleeps: float  # a second
    packets_per_burst: float | None
    cycles_per_packet: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class DirectionRates:
    """A direction or a lane of it over the interval; packets and bytes a second.

    Attributes:
        load: share of one core spent on its packets, 0..1; of a direction with several lanes their sum.
        latency: seconds through the forwarder, see `Latency`; None: no sample in the interval.
    """

    packets_in: float
    bytes_in: float
    packets_out: float
    bytes_out: float
    dropped_full: float
    dropped_unconnected: float
    dropped_invalid: float
    dropped_no_mbuf: float  # bursts a second
    load: float
    packets_per_burst: float | None
    cycles_per_packet: float | None
    latency: Latency | None
    lanes: tuple[DirectionRates, ...] = ()  # as in snapshot.Direction

    @property
    def dropped(self) -> float:
        return self.dropped_full + self.dropped_unconnected + self.dropped_invalid


@dataclasses.dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in seconds, good to a factor of two (the histogram has powers of two)."""

    samples: int
    median: float
    p99: float
    worst: float  # upper bound of the last entry that counted anything


@dataclasses.dataclass(frozen=True, slots=True)
class RelayRates:
    """A relay over the interval.

    Attributes:
        missed: packets a second that the VF dropped because no worker took them in time. The driver's
            counters are read every second, so short intervals see it in bursts.
    """

    id: int
    missed: float
    vf_to_vm: DirectionRates
    vm_to_vf: DirectionRates

    @property
    def directions(self) -> tuple[DirectionRates, DirectionRates]:
        return self.vf_to_vm, self.vm_to_vf


@dataclasses.dataclass(frozen=True, slots=True)
class Rates:
    """All of it.

    Attributes:
        seconds: length of the interval.
        workers: one for each of the later snapshot's workers, in its order.
        relays: one for each relay, by number.
    """

    seconds: float
    workers: tuple[WorkerRates, ...]
    relays: tuple[RelayRates, ...]


def rates(before: Snapshot, after: Snapshot, seconds: float) -> Rates:
    """What happened from `before` to `after`, which were taken `seconds` apart.

    Raises:
        ValueError: seconds is not positive.
    """
    if seconds <= 0:
        raise ValueError(f"an interval of {seconds} seconds has no rates")
    earlier = {worker.slot: worker for worker in before.workers}
    return Rates(
        seconds=seconds,
        workers=tuple(_worker(earlier.get(worker.slot), worker, after, seconds) for worker in after.workers),
        relays=tuple(
            _relay(old, new, after, seconds) for old, new in zip(before.relays, after.relays, strict=True)
        ),
    )


def percentile(histogram: Sequence[int], share: float) -> float:
    """The value below which `share` (0..1) of the samples lie, in the histogram's unit.

    Entry n counts values from 2^n up to 2^(n+1); within an entry values are taken as evenly spread.
    Returns 0 for an empty histogram.
    """
    wanted = share * sum(histogram)
    seen = 0
    for exponent, count in enumerate(histogram):
        if count and seen + count >= wanted:
            return (1 << exponent) * (1.0 + max(wanted - seen, 0.0) / count)
        seen += count
    return 0.0


def _delta(before: int, after: int) -> int:
    return after - before if after >= before else after


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator > 0 else None


def _worker(before: Worker | None, after: Worker, snapshot: Snapshot, seconds: float) -> WorkerRates:
    same = before is not None and (before.pid, before.start_time) == (after.pid, after.start_time)

    def change(name: str) -> int:
        return _delta(getattr(before, name) if same else 0, getattr(after, name))

    # Shares are of the time that passed: a worker books total_cycles only when it leaves its kernel.
    busy, packets = change("busy_cycles"), change("packets")
    return WorkerRates(
        slot=after.slot,
        busy=min(snapshot.seconds(busy) / seconds, 1.0),
        idle=min(snapshot.seconds(change("idle_cycles")) / seconds, 1.0),
        packets=packets / seconds,
        loops=change("loops") / seconds,
        sleeps=change("sleeps") / seconds,
        packets_per_burst=_ratio(packets, change("bursts")),
        cycles_per_packet=_ratio(busy, packets),
    )


def _relay(before: Relay, after: Relay, snapshot: Snapshot, seconds: float) -> RelayRates:
    return RelayRates(
        id=after.id,
        missed=_delta(before.port_imissed, after.port_imissed) / seconds,
        vf_to_vm=_direction(before.vf_to_vm, after.vf_to_vm, snapshot, seconds),
        vm_to_vf=_direction(before.vm_to_vf, after.vm_to_vf, snapshot, seconds),
    )


def _direction(before: Direction, after: Direction, snapshot: Snapshot, seconds: float) -> DirectionRates:
    def change(name: str) -> int:
        return _delta(getattr(before, name), getattr(after, name))

    busy, packets = change("busy_cycles"), change("packets_in")
    # There may be lanes that there were not before; what they did in the interval is not known.
    earlier = (*before.lanes, *after.lanes[len(before.lanes) :])[: len(after.lanes)]
    pairs = zip(earlier, after.lanes, strict=True)
    lanes = tuple(_direction(old, new, snapshot, seconds) for old, new in pairs)
    return DirectionRates(
        packets_in=packets / seconds,
        bytes_in=change("bytes_in") / seconds,
        packets_out=change("packets_out") / seconds,
        bytes_out=change("bytes_out") / seconds,
        dropped_full=change("dropped_full") / seconds,
        dropped_unconnected=change("dropped_unconnected") / seconds,
        dropped_invalid=change("dropped_invalid") / seconds,
        dropped_no_mbuf=change("dropped_no_mbuf") / seconds,
        load=sum(lane.load for lane in lanes) if lanes else min(snapshot.seconds(busy) / seconds, 1.0),
        packets_per_burst=_ratio(packets, change("bursts")),
        cycles_per_packet=_ratio(busy, packets),
        latency=latency(before, after, snapshot),
        lanes=lanes,
    )


def latency(before: Direction | None, after: Direction, snapshot: Snapshot) -> Latency | None:
    """Percentiles of the samples since `before` (None: of all there are)."""
    earlier = before.latency_histogram if before else (0,) * len(after.latency_histogram)
    if any(new < old for old, new in zip(earlier, after.latency_histogram, strict=True)):
        earlier = (0,) * len(after.latency_histogram)
    histogram = [new - old for old, new in zip(earlier, after.latency_histogram, strict=True)]
    samples = sum(histogram)
    if not samples:
        return None
    top = max(exponent for exponent, count in enumerate(histogram) if count)
    return Latency(
        samples=samples,
        median=percentile(histogram, 0.5) / (snapshot.cycles_per_second or 1),
        p99=percentile(histogram, 0.99) / (snapshot.cycles_per_second or 1),
        worst=snapshot.seconds(2 << top),
    )
