"""The table of workers: what each one's core does."""

from __future__ import annotations

import dataclasses
from typing import Final

from rich.table import Table
from rich.text import Text

from vio4wd.inspection.columns import Column, table
from vio4wd.inspection.figures import Symbols, bar, duration, optional, percent, quantity, sparkline
from vio4wd.inspection.findings import SILENT_AFTER
from vio4wd.inspection.rates import Rates, WorkerRates
from vio4wd.inspection.snapshot import Snapshot, Worker
from vio4wd.shm import layout

#: Cells of the drawing of a worker's load.
DRAWING: Final = 16


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker, its figures, and its busy shares of the last intervals (empty: none are kept)."""

    snapshot: Snapshot
    worker: Worker
    rates: WorkerRates
    past: tuple[float, ...]
    drawn: Symbols
    wide: bool


def worker_table(
    snapshot: Snapshot, rates: Rates, past: dict[int, tuple[float, ...]], drawn: Symbols, *, wide: bool
) -> Table:
    """One line for each worker slot in use."""
    rows = [
        WorkerRow(snapshot, worker, figures, past.get(worker.slot, ()), drawn, wide)
        for worker, figures in zip(snapshot.workers, rates.workers, strict=True)
    ]
    return table(_COLUMNS, rows, wide=wide)


def load_style(share: float) -> str:
    """Colour of a share of a core."""
    return "red" if share >= 0.95 else "yellow" if share >= 0.8 else "green" if share > 0 else "dim"


def direction_name(name: str, drawn: Symbols) -> str:
    """A direction as people write it: VF→VM."""
    return name.replace("vf", "VF").replace("vm", "VM").replace("_to_", drawn.arrow)


def _state(row: WorkerRow) -> Text:
    running = row.worker.state == layout.WORKER_STATE_NAMES[layout.WORKER_RUNNING]
    return Text(row.worker.state, style="green" if running else "bold red")


def _beat(row: WorkerRow) -> Text:
    age = row.snapshot.heartbeat_age(row.worker)
    if age is None:
        return Text(row.drawn.none)
    return Text(duration(age, row.drawn), style="bold red" if age > SILENT_AFTER else "")


def _drawing(row: WorkerRow) -> Text:
    busy = row.rates.busy
    text = sparkline(row.past, DRAWING, row.drawn) if len(row.past) > 1 else bar(busy, DRAWING, row.drawn)
    return Text(text, style=load_style(busy))


def _longest(row: WorkerRow) -> str:
    burst = row.worker.longest
    if burst is None:
        return row.drawn.none
    text = duration(row.snapshot.seconds(burst.cycles), row.drawn)
    if row.wide:
        text += f" (relay {burst.relay} {direction_name(burst.direction, row.drawn)}, {burst.packets})"
    return text


def _depth(row: WorkerRow) -> str:
    relays = row.snapshot.relays
    return str(sum(relays[relay].depth(number, lane) for relay, number, lane in row.worker.directions))


_COLUMNS: Final[tuple[Column[WorkerRow], ...]] = (
    Column("CPU", lambda row: str(row.worker.cpu)),
    Column("pid", lambda row: str(row.worker.pid), screens="wide"),
    Column("node", lambda row: str(row.worker.numa_node), screens="wide"),
    Column("state", _state, left=True),
    Column("beat", _beat),
    Column("load", _drawing, screens="wide", left=True),
    Column("busy", lambda row: Text(percent(row.rates.busy), style=load_style(row.rates.busy))),
    Column("asleep", lambda row: percent(row.rates.idle)),
    Column("packet/s", lambda row: quantity(row.rates.packets)),
    Column("burst", lambda row: optional(row.rates.packets_per_burst, row.drawn, "{:.1f}")),
    Column("cyc/pkt", lambda row: optional(row.rates.cycles_per_packet, row.drawn, "{:.0f}")),
    Column("serves", lambda row: str(len(row.worker.directions))),
    Column("depth", _depth),
    Column("longest", _longest),
)
