"""The table of relays: two lines each, VF to VM and back, and one for each lane where there are several."""

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
    lane: int | None = None  # None: the direction as a whole


def relay_table(relays: Iterable[Relay], rates: Rates, drawn: Symbols, *, wide: bool) -> Table:
    """The lines of `relays`, in their order; latencies where any were sampled."""
    rows: list[DirectionRow] = []
    for relay in relays:
        for number, direction in enumerate(relay.directions):
            figures = rates.relays[relay.id].directions[number]
            rows.append(DirectionRow(relay, number, direction, figures, drawn))
            lanes = zip(direction.lanes, figures.lanes, strict=True)
            rows += [DirectionRow(relay, number, *parts, drawn, lane) for lane, parts in enumerate(lanes)]
    sampled = any(row.direction.latency_samples for row in rows)
    return table(_COLUMNS + _LATENCY_COLUMNS if sampled else _COLUMNS, rows, wide=wide)


def wire_bits(rates: DirectionRates) -> float:
    """Bits a second that the forwarded packets take on an Ethernet."""
    return 8 * (rates.bytes_out + WIRE_OVERHEAD * rates.packets_out)


def _number(row: DirectionRow) -> str:
    return str(row.relay.id) if row.number == layout.VF_TO_VM and row.lane is None else ""


def _end(row: DirectionRow) -> Text:
    """The VF on the direction's first line, the guest on that of the other."""
    relay = row.relay
    if row.lane is not None:
        return Text()
    if row.number == layout.VF_TO_VM:
        if not relay.vf_ready:
            return Text(f"{relay.device} (being added)" if relay.device else "no VF", style="yellow")
        queues = f", {relay.vf_queues} queues" if relay.vf_queues > 1 else ""
        return Text(relay.device + queues, style="" if relay.link_up else "red")
    if not relay.vm_ready:
        return Text("no guest", style="dim")
    return Text((relay.peer or "guest") + (f", {relay.queue_pairs} queues" if relay.queue_pairs > 1 else ""))


def _path(row: DirectionRow) -> str:
    return direction_name(row.direction.name, row.drawn) if row.lane is None else f"lane {row.lane}"


def _cpu(row: DirectionRow) -> str:
    """Of a direction with lanes each has its own."""
    if row.direction.lanes:
        return ""
    return row.drawn.none if row.direction.cpu is None else str(row.direction.cpu)


def _drops(value: float) -> Text:
    return Text(quantity(value), style="yellow" if value else "dim")


def _latency(row: DirectionRow, percentile: str) -> str:
    found = row.rates.latency
    return duration(getattr(found, percentile), row.drawn) if found else row.drawn.none


_COLUMNS: Final[tuple[Column[DirectionRow], ...]] = (
    Column("relay", _number),
    Column("VF and guest", _end, left=True, stretch=True),
    Column("path", _path, left=True),
    Column("CPU", _cpu),
    Column("load", lambda row: Text(percent(row.rates.load), style=load_style(row.rates.load))),
    Column("packet/s", lambda row: quantity(row.rates.packets_out)),
    Column("bit/s", lambda row: quantity(wire_bits(row.rates))),
    Column("drop/s", lambda row: _drops(row.rates.dropped), screens="narrow"),
    Column("full/s", lambda row: _drops(row.rates.dropped_full), screens="wide"),
    Column("unconn/s", lambda row: _drops(row.rates.dropped_unconnected), screens="wide"),
    Column("bad/s", lambda row: _drops(row.rates.dropped_invalid), screens="wide"),
    Column("cyc/pkt", lambda row: optional(row.rates.cycles_per_packet, row.drawn, "{:.0f}"), screens="wide"),
    Column("depth", lambda row: str(row.relay.depth(row.number, row.lane))),
)

_LATENCY_COLUMNS: Final[tuple[Column[DirectionRow], ...]] = (
    Column("p50", lambda row: _latency(row, "median")),
    Column("p99", lambda row: _latency(row, "p99")),
)
