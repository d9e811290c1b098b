"""A snapshot and its rates as one JSON document, for programs.

Names are those of the tables (`vio4wd.shm.layout`) and of `vio4wd.inspection.rates`; times are in
seconds, loads and shares 0..1, rates a second. `null` is "not known" or "none".
"""

from __future__ import annotations

import dataclasses
from typing import Any

from vio4wd.inspection.findings import findings
from vio4wd.inspection.rates import Rates
from vio4wd.inspection.snapshot import Relay, Snapshot, Worker
from vio4wd.shm import layout


def document(snapshot: Snapshot, rates: Rates, *, unused: bool = False) -> dict[str, Any]:
    """The document.

    Args:
        unused: also the relays that have neither a VF nor a guest.
    """
    worker_rates = {entry.slot: dataclasses.asdict(entry) for entry in rates.workers}
    return {
        "master": {
            "pid": snapshot.master_pid,
            "created": snapshot.created_ns / 1e9,
            "cycles_per_second": snapshot.cycles_per_second,
        },
        "interval": rates.seconds,
        "workers": [_worker(snapshot, worker, worker_rates[worker.slot]) for worker in snapshot.workers],
        "relays": [
            _relay(relay, dataclasses.asdict(rates.relays[relay.id]))
            for relay in snapshot.relays
            if unused or relay.in_use
        ],
        "findings": [
            {"severity": finding.severity.name.lower(), "text": finding.text}
            for finding in findings(snapshot, rates)
        ],
    }


def _worker(snapshot: Snapshot, worker: Worker, rates: dict[str, Any]) -> dict[str, Any]:
    fields = dataclasses.asdict(worker)
    if worker.longest:
        fields["longest"]["seconds"] = snapshot.seconds(worker.longest.cycles)
    del fields["heartbeat"], rates["slot"]
    return fields | {
        "heartbeat_age": snapshot.heartbeat_age(worker),
        "directions": [
            {"relay": relay, "direction": layout.DIRECTION_NAMES[number], "lane": lane}
            for relay, number, lane in worker.directions
        ],
        "rates": rates,
    }


def _relay(relay: Relay, rates: dict[str, Any]) -> dict[str, Any]:
    fields = dataclasses.asdict(relay)
    for name in layout.DIRECTION_NAMES:
        fields[name] = _direction(fields[name], rates[name])
    return fields | {"active": relay.active, "rates": {"missed": rates["missed"]}}


def _direction(fields: dict[str, Any], rates: dict[str, Any]) -> dict[str, Any]:
    """A direction with its lanes, or one of these, which has none."""
    del fields["name"]
    lanes = [_direction(*lane) for lane in zip(fields["lanes"], rates.pop("lanes"), strict=True)]
    return fields | {"rates": rates, "lanes": lanes}
