"""What an operator should know first: whatever is not as it should be, in words.

A pure function of the tables and what changed in them. The thresholds stand here and nowhere else.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator
from typing import Final

from vio4wd.inspection.figures import duration, quantity
from vio4wd.inspection.rates import DirectionRates, Rates, RelayRates, WorkerRates
from vio4wd.inspection.snapshot import Direction, Relay, Snapshot, Worker
from vio4wd.shm import layout

#: A worker that gave no sign of life for so many seconds hangs; an idle one gives one a second.
SILENT_AFTER: Final = 3.0
#: A worker busier than this has no reserve.
FULL_LOAD: Final = 0.95
#: A pool with less than this share free is about to be empty.
POOL_LOW: Final = 0.05


class Severity(enum.IntEnum):
    """How bad it is."""

    ERROR = 0  # something does not work
    WARNING = 1  # packets are lost, or soon will be
    NOTE = 2  # incomplete, and perhaps meant so


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    severity: Severity
    text: str


def findings(snapshot: Snapshot, rates: Rates | None = None) -> tuple[Finding, ...]:
    """All there is to say, the worst first; without rates nothing about the present traffic."""
    worker_rates = {entry.slot: entry for entry in rates.workers} if rates else {}
    found: list[Finding] = []
    for worker in snapshot.workers:
        found += _worker(snapshot, worker, worker_rates.get(worker.slot))
    for relay in snapshot.relays:
        found += _relay(relay, rates.relays[relay.id] if rates else None)
    return tuple(sorted(found, key=lambda finding: finding.severity))


def _worker(snapshot: Snapshot, worker: Worker, rates: WorkerRates | None) -> Iterator[Finding]:
    name = f"worker on CPU {worker.cpu}"
    age = snapshot.heartbeat_age(worker)
    if worker.state != layout.WORKER_STATE_NAMES[layout.WORKER_RUNNING]:
        if worker.directions:
            count = len(worker.directions)
            yield Finding(Severity.ERROR, f"{name} is {worker.state}: {count} directions stand still")
        else:
            yield Finding(Severity.NOTE, f"{name} is {worker.state}")
    elif age is not None and age > SILENT_AFTER:
        yield Finding(Severity.ERROR, f"{name} (pid {worker.pid}) hangs: no sign of life for {duration(age)}")
    elif rates and rates.busy > FULL_LOAD:
        yield Finding(Severity.WARNING, f"{name} is fully loaded ({rates.busy:.0%})")


def _relay(relay: Relay, rates: RelayRates | None) -> Iterator[Finding]:
    if not relay.in_use:
        return
    name = f"relay {relay.id}"
    for queue in relay.queues:
        if queue.failed:
            yield Finding(
                Severity.ERROR,
                f"{name} queue {queue.index} is stopped: {queue.error} ({queue.error_detail:#x});"
                " it starts again when the guest's driver does",
            )
    if relay.vf_ready and not relay.link_up:
        yield Finding(Severity.WARNING, f"{name}: the link of {relay.device} is down")
    if relay.pool_size > 0 and relay.pool_free < relay.pool_size * POOL_LOW:
        yield Finding(
            Severity.WARNING,
            f"{name}: packet pool nearly empty, {relay.pool_free} of {relay.pool_size} mbufs free",
        )
    if not relay.vm_ready:
        lost = _unconnected(rates.vf_to_vm if rates else None)
        yield Finding(Severity.NOTE, f"{name}: no guest is ready on {relay.socket or 'its socket'}{lost}")
    if not relay.vf_ready:
        lost = _unconnected(rates.vm_to_vf if rates else None)
        yield Finding(Severity.NOTE, f"{name}: a guest but no VF{lost}")
    if rates and rates.missed > 0:
        cpus = sorted({part.cpu for part in relay.vf_to_vm.parts if part.cpu is not None})
        takers = (
            f"CPU {','.join(map(str, cpus))} does not take them in time" if cpus else "no worker takes them"
        )
        yield Finding(Severity.WARNING, f"{name}: the VF drops {quantity(rates.missed)} packets/s, {takers}")
    for number, direction in enumerate(relay.directions):
        yield from _direction(relay, direction, rates.directions[number] if rates else None)


def _unconnected(rates: DirectionRates | None) -> str:
    """What a missing end costs at present."""
    dropped = rates.dropped_unconnected if rates else 0.0
    return f", {quantity(dropped)} packets/s are dropped" if dropped > 0 else ""


_CAUSES: Final = (
    ("dropped_full", ("the guest's receive queues are full", "the VF's transmit queue is full")),
    ("dropped_invalid", ("malformed packets from the VF", "malformed packets from the guest")),
)


def _direction(relay: Relay, direction: Direction, rates: DirectionRates | None) -> Iterator[Finding]:
    number = layout.DIRECTION_NAMES.index(direction.name)
    name = f"relay {relay.id} {('VF to VM', 'VM to VF')[number]}"
    for lane, part in enumerate(direction.parts):
        if relay.active and part.cpu is None:
            which = f" lane {lane}" if direction.lanes else ""
            yield Finding(Severity.ERROR, f"{name}{which} is served by no worker")
    if not rates:
        return
    for field, words in _CAUSES:
        dropped = getattr(rates, field)
        if dropped > 0:
            yield Finding(Severity.WARNING, f"{name} drops {quantity(dropped)} packets/s: {words[number]}")
    if rates.dropped_no_mbuf > 0:
        yield Finding(Severity.WARNING, f"{name} waits for packet memory: the pool is empty")
