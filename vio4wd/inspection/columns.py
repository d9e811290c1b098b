"""Tables declared column by column: a title, how a row's cell reads, and on which screens it is shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Generic, Literal, TypeVar

from rich.table import Table
from rich.text import Text

Row = TypeVar("Row")


@dataclasses.dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """A column of a table whose rows are of the type Row.

    Attributes:
        cell: text of the column in a row.
        screens: on which screens it has room.
        left: aligned to the left (figures are aligned to the right).
        stretch: takes what width is left, and is cut where there is too little.
    """

    title: str
    cell: Callable[[Row], str | Text]
    screens: Literal["all", "wide", "narrow"] = "all"
    left: bool = False
    stretch: bool = False


def table(columns: Iterable[Column[Row]], rows: Iterable[Row], *, wide: bool) -> Table:
    """The table, one line a row, without rules: they would cost two lines and a column each."""
    shown = [column for column in columns if column.screens in ("all", "wide" if wide else "narrow")]
    drawn = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for column in shown:
        drawn.add_column(
            column.title,
            justify="left" if column.left else "right",
            no_wrap=True,
            ratio=1 if column.stretch else None,
            overflow="ellipsis",
        )
    drawn.expand = any(column.stretch for column in shown)
    for row in rows:
        drawn.add_row(*(column.cell(row) for column in shown))
    return drawn
