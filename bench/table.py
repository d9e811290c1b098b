"""A run's figures on the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from rich.console import Console
from rich.table import Table

from bench import words
from bench.figures import Window, rows, thrown_away


def show(windows: Iterable[Window], console: Console) -> None:
    """Print one table for each scenario: medians, ranges and numbers of windows, and ratios."""
    measured = list(windows)
    for _, group in groupby(rows(measured), key=lambda row: row.scenario):
        members = list(group)
        table = Table(title=words.title(members[0]), title_justify="left")
        for number, head in enumerate(words.columns(members)):
            table.add_column(head, justify="left" if number < 2 else "right", no_wrap=number == 0)
        for row in members:
            table.add_row(*words.cells(row, members))
        console.print(table)
    lost = thrown_away(measured)
    if lost:
        console.print(f"{lost} windows were thrown away: the cores' placement changed in them")
