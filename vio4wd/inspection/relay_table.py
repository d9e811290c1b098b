"""The table of relays: two lines each, VF to VM and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Final

from rich.table import Table
from rich.text import Text

from vio4wd.inspection.columns import Column, table
from vio4wd.inspection.figures import Symbols, duration, optional, percent, quantity
from vio4wd.inspection.rates import DirectionRates, Rates
from vio4wd.inspection.snapshot import Direction, Relay
from vio4wd.inspection.worker_table import direction_name, load_style
from vio4wd.shm import layout

#: An Ethernet frame takes 24 bytes more on the wire than in memory: preamble, check sequence, gap.
WIRE_OVERHEAD: Final = 24


@dataclasses.dataclass(frozen=True, slots=True)
class DirectionRow:
    relay: Relay
    number: int  # layout.VF_TO_VM or VM_TO_VF
    direction: Direction
    rates: DirectionRates
    drawn: Symbols


def relay_table(relays: Iterable[Relay], rates: Rates, drawn: Symbols, *, wide: bool) -> Table:
    """Two lines for each of `relays`, in their order; latencies where any were sampled."""
    rows = [
        DirectionRow(relay, number, direction, rates.relays[relay.id].directions[number], drawn)
        for relay in relays
        for number, direction in enumerate(relay.directions)
    ]
    sampled = any(row.direction.latency_samples for row in rows)
    return table(_COLUMNS + _LATENCY_COLUMNS if sampled else _COLUMNS, rows, wide=wide)


def wire_bits(rates: DirectionRates) -> float:
    """Bits a second that the forwarded packets take on an Ethernet."""
    return 8 * (rates.bytes_out + WIRE_OVERHEAD * rates.packets_out)


def _end(row: DirectionRow) -> Text:
    """The VF on the first line, the guest on the second."""
    relay = row.relay
    if row.number == layout.VF_TO_VM:
        if not relay.vf_ready:
            return Text(f"{relay.device} (being added)" if relay.device else "no VF", style="yellow")
        return Text(relay.device, style="" if relay.link_up else "red")
    if not relay.vm_ready:
        return Text("no guest", style="dim")
    return Text((relay.peer or "guest") + (f", {relay.queue_pairs} queues" if relay.queue_pairs > 1 else ""))


def _drops(value: float) -> Text:
    return Text(quantity(value), style="yellow" if value else "dim")


def _latency(row: DirectionRow, percentile: str) -> str:
    found = row.rates.latency
    return duration(getattr(found, percentile), row.drawn) if found else row.drawn.none


_COLUMNS: Final[tuple[Column[DirectionRow], ...]] = (
    Column("relay", lambda row: str(row.relay.id) if row.number == layout.VF_TO_VM else ""),
    Column("VF and guest", _end, left=True, stretch=True),
    Column("path", lambda row: direction_name(row.direction.name, row.drawn), left=True),
    Column("CPU", lambda row: row.drawn.none if row.direction.cpu is None else str(row.direction.cpu)),
    Column("load", lambda row: Text(percent(row.rates.load), style=load_style(row.rates.load))),
    Column("packet/s", lambda row: quantity(row.rates.packets_out)),
    Column("bit/s", lambda row: quantity(wire_bits(row.rates))),
    Column("drop/s", lambda row: _drops(row.rates.dropped), screens="narrow"),
    Column("full/s", lambda row: _drops(row.rates.dropped_full), screens="wide"),
    Column("unconn/s", lambda row: _drops(row.rates.dropped_unconnected), screens="wide"),
    Column("bad/s", lambda row: _drops(row.rates.dropped_invalid), screens="wide"),
    Column("cyc/pkt", lambda row: optional(row.rates.cycles_per_packet, row.drawn, "{:.0f}"), screens="wide"),
    Column("depth", lambda row: str(row.relay.depth(row.number))),
)

_LATENCY_COLUMNS: Final[tuple[Column[DirectionRow], ...]] = (
    Column("p50", lambda row: _latency(row, "median")),
    Column("p99", lambda row: _latency(row, "p99")),
)
