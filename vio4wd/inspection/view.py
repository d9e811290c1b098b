"""The operator's screen: what is wrong, the workers, the relays.

It has two shapes: from 110 columns up everything has its column; below, down to 80, drawings, process
ids and the split of drops by cause give way (the findings still name the cause).
"""

from __future__ import annotations

import collections
import time
from collections.abc import Iterable
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from vio4wd.inspection.figures import Symbols, duration, quantity
from vio4wd.inspection.findings import Finding, Severity, findings
from vio4wd.inspection.rates import Rates
from vio4wd.inspection.relay_table import relay_table, wire_bits
from vio4wd.inspection.snapshot import Relay, Snapshot
from vio4wd.inspection.worker_table import worker_table
from vio4wd.limits import MAX_RELAYS

WIDE: Final = 110
#: Findings shown before "and n more".
MOST_FINDINGS: Final = 6
#: Orders of the relays.
ORDERS: Final = ("number", "load", "drops")

_SEVERITY_STYLES: Final = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


class History:
    """The busy share of each worker over the last intervals."""

    def __init__(self, length: int = 60) -> None:
        self._length = length
        self._busy: dict[int, collections.deque[float]] = {}

    def add(self, rates: Rates) -> None:
        for worker in rates.workers:
            self._busy.setdefault(worker.slot, collections.deque(maxlen=self._length)).append(worker.busy)

    def busy(self) -> dict[int, tuple[float, ...]]:
        """Busy shares by worker slot, oldest first."""
        return {slot: tuple(shares) for slot, shares in self._busy.items()}


def view(
    snapshot: Snapshot,
    rates: Rates,
    *,
    instance: str,
    width: int,
    drawn: Symbols,
    history: History | None = None,
    unused: bool = False,
    order: str = "number",
) -> RenderableType:
    """The whole screen.

    Args:
        width: columns there are.
        history: for a drawing of each worker's recent load; None: its present load is drawn.
        unused: also the relays that have neither a VF nor a guest.
        order: of the relays, one of ORDERS.
    """
    relays = [relay for relay in snapshot.relays if unused or relay.in_use]
    if order != "number":
        relays.sort(key=lambda relay: (-_weight(rates, relay, order), relay.id))
    wide = width >= WIDE
    parts: list[RenderableType] = [_headline(snapshot, rates, instance)]
    parts += [Text(), worker_table(snapshot, rates, history.busy() if history else {}, drawn, wide=wide)]
    if relays:
        parts += [Text(), relay_table(relays, rates, drawn, wide=wide)]
    else:
        parts += [Text(), Text("No relay has a VF or a guest.", style="dim")]
    notable = findings(snapshot, rates)
    if notable:
        parts[1:1] = [Text(), *_findings(notable)]
    return Group(*parts)


def _weight(rates: Rates, relay: Relay, order: str) -> float:
    directions = rates.relays[relay.id].directions
    return sum(direction.load if order == "load" else direction.dropped for direction in directions)


def _headline(snapshot: Snapshot, rates: Rates, instance: str) -> Text:
    used = sum(relay.in_use for relay in snapshot.relays)
    flowing = [direction for relay in rates.relays for direction in relay.directions]
    packets = sum(direction.packets_out for direction in flowing)
    bits = sum(wire_bits(direction) for direction in flowing)
    up = duration(max(time.time() - snapshot.created_ns / 1e9, 0.0))
    line = Text.assemble((instance, "bold"), f"  pid {snapshot.master_pid}, up {up}")
    line.append(f"  {used} of {MAX_RELAYS} relays")
    line.append(f"  {quantity(packets)} packet/s  {quantity(bits)} bit/s", style="cyan")
    return line


def _findings(notable: tuple[Finding, ...]) -> Iterable[Text]:
    for finding in notable[:MOST_FINDINGS]:
        yield Text(
            f"{finding.severity.name.lower()}: {finding.text}", style=_SEVERITY_STYLES[finding.severity]
        )
    if len(notable) > MOST_FINDINGS:
        yield Text(f"... and {len(notable) - MOST_FINDINGS} more", style="dim")
