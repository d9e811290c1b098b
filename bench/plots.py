"""A run's figures as pictures (SVG): bars for each case, one panel for each placement of the cores."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

from bench import words
from bench.figures import Row

mpl.use("svg")
import matplotlib.pyplot as plt

#: Text stays text, and the same figures give the same file.
_STYLE: Final[Any] = {"svg.fonttype": "none", "svg.hashsalt": "vio4wd", "font.size": 9}
_BAR: Final = 0.18  # inches, height of a bar


def draw(rows: Sequence[Row], directory: Path) -> dict[str, Path]:
    """Write a file for each scenario; their paths by scenario."""
    directory.mkdir(parents=True, exist_ok=True)
    files = {}
    for scenario, group in groupby(rows, key=lambda row: row.scenario):
        files[scenario] = directory / f"{scenario}.svg"
        _draw(list(group), files[scenario])
    return files


def _draw(rows: Sequence[Row], path: Path) -> None:
    placements = list(dict.fromkeys(row.placement for row in rows))
    names = words.backends(rows)
    panels = [[row for row in rows if row.placement == placement] for placement in placements]
    longest = max(map(len, panels))
    height = 1.0 + longest * (len(names) + 0.7) * _BAR
    with mpl.rc_context(_STYLE):
        figure, axes = plt.subplots(
            1,
            len(panels),
            figsize=(7.0 + 4.0 * (len(panels) - 1), height),
            squeeze=False,
            layout="constrained",
        )
        for axis, placement, members in zip(axes[0], placements, panels, strict=True):
            _panel(axis, members, names)
            axis.set_xlabel(members[0].unit)
            if placement != "any":
                axis.set_title(f"cores {placement}")
        figure.suptitle(words.title(rows[0]))
        handles, labels = axes[0][0].get_legend_handles_labels()
        if len(names) > 1:
            figure.legend(handles, labels, loc="outside lower center", ncols=len(names))
        figure.savefig(path, format="svg", metadata={"Date": None})
        plt.close(figure)


def _panel(axis: Any, rows: Sequence[Row], names: Sequence[str]) -> None:  # noqa: ANN401
    """Bars of medians from top to bottom, with their ranges."""
    share = 0.8 / len(names)
    for index, name in enumerate(names):
        present = [(place, row.summaries[name]) for place, row in enumerate(rows) if name in row.summaries]
        medians = [summary.median for _, summary in present]
        below = [summary.median - summary.low for _, summary in present]
        above = [summary.high - summary.median for _, summary in present]
        places = [place + (index - (len(names) - 1) / 2) * share for place, _ in present]
        axis.barh(places, medians, share, xerr=(below, above), label=name, error_kw={"elinewidth": 0.8})
    axis.set_yticks(range(len(rows)), [row.case for row in rows])
    axis.invert_yaxis()
    axis.grid(axis="x", linewidth=0.3)
    axis.set_axisbelow(True)
