"""Measuring windows, and what can be said of many of them: medians, spreads, ratios.

A machine's virtual CPUs are sometimes near neighbours, sometimes far apart, and everything that crosses
cores changes with that. So each window carries the round trip of a cache line between the two cores
before and after it; windows in which it changed are thrown away, and figures are compared only within
one placement.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

#: The name of what is measured against the others.
OURS: Final = "vio4wd"

NEAR: Final = "near"
FAR: Final = "far"
BETWEEN: Final = "between"
CHANGED: Final = "changed"
#: It plays no part in what was measured.
ANY: Final = "any"
PLACEMENTS: Final = (NEAR, BETWEEN, FAR, ANY)

#: Round trips of a cache line, ns: 80 to 140 between cores that share a cache, 390 to 430 otherwise.
_NEAR_BELOW: Final = 200.0
_FAR_FROM: Final = 300.0

#: Units in which more is better; of all others less is.
_MORE_IS_BETTER: Final = frozenset({"Mpps"})


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """One measurement.

    Attributes:
        scenario, case: what was measured; `case` tells all settings.
        backend: who moved the packets.
        value: the figure, in `unit`.
        before, after: round trip of a cache line between the cores, ns; None: it plays no part.
        extra: further figures by name; names that end in "drop" are shares from 0 to 1.
    """

    scenario: str
    case: str
    backend: str
    value: float
    unit: str
    before: float | None = None
    after: float | None = None
    extra: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def placement(self) -> str:
        """How the cores lay to each other: one of PLACEMENTS, or CHANGED."""
        if self.before is None or self.after is None:
            return ANY
        first, last = _placement(self.before), _placement(self.after)
        return first if first == last else CHANGED


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """Windows of one case, backend and placement.

    Attributes:
        extra: medians of the windows' further figures.
    """

    median: float
    low: float
    high: float
    windows: int
    extra: Mapping[str, float]


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One case in one placement, by backend."""

    scenario: str
    case: str
    placement: str
    unit: str
    summaries: Mapping[str, Summary]

    def ratio(self, peer: str, ours: str = OURS) -> float | None:
        """Our median by the peer's; None: one of them was not measured, or moved nothing."""
        mine, other = self.summaries.get(ours), self.summaries.get(peer)
        if mine is None or other is None or not other.median:
            return None
        return mine.median / other.median

    def more_is_better(self) -> bool:
        return self.unit in _MORE_IS_BETTER


def rows(windows: Iterable[Window]) -> list[Row]:
    """Windows grouped by case and placement, in the order of their first appearance; CHANGED ones go."""
    groups: dict[tuple[str, str, str, str], dict[str, list[Window]]] = {}
    for window in windows:
        if window.placement != CHANGED:
            key = window.scenario, window.case, window.placement, window.unit
            groups.setdefault(key, {}).setdefault(window.backend, []).append(window)
    found = [
        Row(*key, {backend: summarise(members) for backend, members in by_backend.items()})
        for key, by_backend in groups.items()
    ]
    cases = list(dict.fromkeys((row.scenario, row.case) for row in found))
    return sorted(
        found, key=lambda row: (cases.index((row.scenario, row.case)), PLACEMENTS.index(row.placement))
    )


def summarise(windows: Sequence[Window]) -> Summary:
    """Median and range of windows that belong together (at least one)."""
    values = [window.value for window in windows]
    names = dict.fromkeys(name for window in windows for name in window.extra)
    extra = {
        name: statistics.median(window.extra[name] for window in windows if name in window.extra)
        for name in names
    }
    return Summary(statistics.median(values), min(values), max(values), len(values), extra)


def thrown_away(windows: Iterable[Window]) -> int:
    """Windows in which the placement changed."""
    return sum(window.placement == CHANGED for window in windows)


def complete(windows: Sequence[Window], backends: Sequence[str], wanted: int) -> bool:
    """Whether every case has `wanted` windows of each backend in one placement at least."""
    cases = {(window.scenario, window.case) for window in windows}
    full = {
        (row.scenario, row.case)
        for row in rows(windows)
        if all(name in row.summaries and row.summaries[name].windows >= wanted for name in backends)
    }
    return cases == full


def _placement(round_trip: float) -> str:
    if round_trip < _NEAR_BELOW:
        return NEAR
    return FAR if round_trip >= _FAR_FROM else BETWEEN
