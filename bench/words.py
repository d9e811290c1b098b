"""Rows of figures in words: what the terminal's table and the report have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from bench.figures import OURS, Row, Summary

#: What each scenario shows, for the report.
ABOUT: Final[Mapping[str, str]] = {
    "pvp": "One guest and one VF; the VF is an endless source and sink (net_null). Both ways: the guest "
    "sends back what it receives.",
    "sizes": "As pvp, with frames of all sizes. IMIX is 7 frames of 64 B, 4 of 594 B and 1 of 1518 B, which "
    "the guest sends; both ways, a loop in place of the VF sends them back.",
    "queues": "Several queue pairs, served by one core.",
    "relays": "One relay is busy; the others are attached to one worker too, each with a guest, and silent.",
    "latency": "The guest's packets go through the forwarder to a loop and through it again. Each forwarder "
    "is loaded to shares of its own highest rate in this set-up, so the rates differ.",
    "moves": "The longest time for which a busy relay's packets stood still while it moved from one worker "
    "to the other, and without a move.",
    "endpoints": "The slowest of many answers of each control endpoint, while workers on both CPUs forward "
    "at full rate, each beside its guest, and one beside the master.",
    "startup": "Master and two workers, from the command to the first packet in a guest's queue.",
    "kernels": "Each kernel on one core, against a guest whose buffers are in the caches.",
}

#: The case that the other cases of a scenario are compared with, by a word in its name.
_BASE: Final = {"relays": "1 attached", "queues": "1 queue pair"}


def figure(value: float) -> str:
    """Three significant digits, at least."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(summary: Summary) -> str:
    """Median, range and number of windows."""
    if summary.windows == 1:
        return figure(summary.median)
    return f"{figure(summary.median)} [{figure(summary.low)}-{figure(summary.high)}] {summary.windows}"


def details(summary: Summary) -> str:
    """The further figures."""
    return ", ".join(
        f"{name} {100 * value:.0f} %" if name.endswith("drop") else f"{name} {figure(value)}"
        for name, value in summary.extra.items()
    )


def title(row: Row) -> str:
    """A scenario's name, with the unit of its figures."""
    return f"{row.scenario}: {row.unit}, {'more' if row.more_is_better() else 'less'} is better"


def backends(rows: Iterable[Row]) -> list[str]:
    """Names of all who were measured, ours first."""
    names = dict.fromkeys(name for row in rows for name in row.summaries)
    return sorted(names, key=lambda name: name != OURS)


def columns(rows: Sequence[Row]) -> list[str]:
    """Heads of the columns of a scenario's table."""
    names = backends(rows)
    heads = ["case", "cores"]
    for name in names:
        heads.append(name)
        if any(row.summaries[name].extra for row in rows if name in row.summaries):
            heads.append(f"({name})")
    heads += [f"by {name}" for name in names if name != OURS]
    if rows[0].scenario in _BASE:
        heads.append("by one alone")
    return heads


def cells(row: Row, rows: Sequence[Row]) -> list[str]:
    """A row of that table; `rows` are all rows of the scenario."""
    heads = columns(rows)
    line = [row.case, row.placement]
    for name in backends(rows):
        summary = row.summaries.get(name)
        line.append(spread(summary) if summary else "")
        if f"({name})" in heads:
            line.append(details(summary) if summary else "")
    for name in backends(rows):
        if name != OURS:
            line.append(_ratio(row.ratio(name)))
    if row.scenario in _BASE:
        line.append(_ratio(_by_base(row, rows)))
    return line


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _by_base(row: Row, rows: Sequence[Row]) -> float | None:
    """Our figure by ours of the base case that is the same in all else."""
    base = _BASE[row.scenario]
    for other in rows:
        parts = other.case.split(", ")
        same = other.placement == row.placement and _rest(other.case) == _rest(row.case)
        if same and base in parts and OURS in other.summaries and OURS in row.summaries:
            return row.summaries[OURS].median / other.summaries[OURS].median
    return None


def _rest(case: str) -> list[str]:
    """A case's name without its number of relays or queues."""
    return [
        part for part in case.split(", ") if not part.endswith((" attached", " queue pair", " queue pairs"))
    ]
