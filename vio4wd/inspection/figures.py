"""Figures as people read them: short, of constant width, with the unit."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, slots=True)
class Symbols:
    """Characters for drawings, by what the terminal can show.

    Attributes:
        bar: an empty cell, then ever fuller ones up to a full one.
        spark: from lowest to highest.
    """

    arrow: str
    micro: str
    none: str
    bar: str
    spark: str


UNICODE = Symbols(arrow="→", micro="µ", none="–", bar=" ▏▎▍▌▋▊▉█", spark="▁▂▃▄▅▆▇█")
ASCII = Symbols(arrow=">", micro="u", none="-", bar=" #", spark="_.-=+*%#")


def symbols(encoding: str) -> Symbols:
    """What a terminal of this encoding can show."""
    return UNICODE if encoding.lower().replace("-", "").startswith("utf") else ASCII


def quantity(value: float) -> str:
    """Three digits and a decimal prefix: 0, 12, 1.23k, 45.6M, 789G."""
    for prefix in ("", "k", "M", "G", "T"):
        if value < 999.5 or prefix == "T":
            break
        value /= 1000
    if not prefix:
        return f"{value:.0f}" if value >= 9.95 or value == int(value) else f"{value:.1f}"
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f}{prefix}"


def percent(share: float) -> str:
    """A share of 0..1 as a whole percentage; less than one but not nothing is `<1%`."""
    return "<1%" if 0 < share < 0.01 else f"{share:.0%}"


def duration(seconds: float, drawn: Symbols = UNICODE) -> str:
    """A time span with two digits or two units: 950ns, 2.1µs, 41ms, 7.3s, 4m10s, 3h05m, 12d07h."""
    micro = f"{drawn.micro}s"
    for limit, factor, unit in ((1e-6, 1e9, "ns"), (1e-3, 1e6, micro), (1.0, 1e3, "ms"), (59.5, 1.0, "s")):
        if seconds < limit * 0.9995:
            return _short(seconds * factor) + unit
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes:02d}m"
    return f"{hours // 24}d{hours % 24:02d}h"


def _short(value: float) -> str:
    return f"{value:.1f}" if 0 < value < 9.95 else f"{value:.0f}"


def optional(value: float | None, drawn: Symbols, form: str) -> str:
    """A figure in a format, or the sign for "there is none"."""
    return drawn.none if value is None else form.format(value)


def bar(share: float, width: int, drawn: Symbols = UNICODE) -> str:
    """A bar of `width` cells, filled by `share` (0..1)."""
    steps = len(drawn.bar) - 1
    filled = round(min(max(share, 0.0), 1.0) * width * steps)
    if filled == 0 and share > 0:
        filled = 1
    full, rest = divmod(filled, steps)
    return (drawn.bar[-1] * full + (drawn.bar[rest] if rest else "")).ljust(width, drawn.bar[0])


def sparkline(shares: Sequence[float], width: int, drawn: Symbols = UNICODE) -> str:
    """The last `width` shares (0..1) as one line, newest at the right."""
    top = len(drawn.spark) - 1
    line = "".join(drawn.spark[round(min(max(share, 0.0), 1.0) * top)] for share in shares[-width:])
    return line.rjust(width)
