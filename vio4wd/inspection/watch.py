"""The full-screen view: samples, keys, and a window over what does not fit."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterable
from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from vio4wd.inspection.figures import Symbols, duration
from vio4wd.inspection.keyboard import Keyboard
from vio4wd.inspection.rates import Rates
from vio4wd.inspection.snapshot import Snapshot
from vio4wd.inspection.source import Source, SourceError
from vio4wd.inspection.view import ORDERS, History, view

_STEPS: Final = {"up": -1, "k": -1, "down": 1, "j": 1}


@dataclasses.dataclass
class Screen:
    """What the user chose with keys, and how far he has scrolled."""

    order: str = ORDERS[0]
    unused: bool = False
    paused: bool = False
    quit: bool = False
    offset: int = 0

    def press(self, key: str, page: int) -> None:
        """Take a key; `page` is the number of lines a page has. Keys without a meaning do nothing."""
        if key in ("q", "\x03", "\x04"):
            self.quit = True
        elif key == "s":
            self.order = ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)]
        elif key == "a":
            self.unused = not self.unused
        elif key in (" ", "p"):
            self.paused = not self.paused
        elif key == "home":
            self.offset = 0
        elif key == "end":
            self.offset = sys.maxsize
        else:
            steps = _STEPS | {"page up": -page, "page down": page}
            self.offset = max(self.offset + steps.get(key, 0), 0)

    def clamp(self, lines: int, page: int) -> None:
        """Scroll no further than the last line."""
        self.offset = max(min(self.offset, lines - page), 0)


class _Lines:
    """Lines that were drawn before, and a last one at the bottom of the screen."""

    def __init__(self, lines: Iterable[list[Segment]], height: int, footer: Text) -> None:
        self._lines = list(lines)
        self._blank = height - 1 - len(self._lines)
        self._footer = footer

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self._lines:
            yield from line
            yield Segment.line()
        for _ in range(self._blank):
            yield Segment.line()
        yield self._footer


def watch(
    source: Source,
    interval: float,
    console: Console,
    drawn: Symbols,
    keyboard_fd: int,
    *,
    unused: bool = False,
) -> None:
    """Show `source` on the whole terminal, anew every `interval` seconds, until the user quits.

    A daemon that stops is waited for. `unused`: begin with the unused relays shown as well.
    """
    screen, history = Screen(unused=unused), History()
    snapshot: Snapshot | None = None
    shown: Rates | None = None
    problem = ""
    due = time.monotonic()
    with Keyboard(keyboard_fd) as keyboard, Live(console=console, screen=True, auto_refresh=False) as live:
        while not screen.quit:
            now = time.monotonic()
            if now >= due and not screen.paused:
                due = now + (interval if shown else min(interval, 0.25))
                try:
                    snapshot, fresh = source.sample()
                    problem = ""
                except SourceError as error:
                    snapshot, fresh, problem = None, None, str(error)
                if fresh:
                    history.add(fresh)
                shown = fresh
            width, height = console.size
            if snapshot and shown:
                content: RenderableType = view(
                    snapshot,
                    shown,
                    instance=source.instance,
                    width=width,
                    drawn=drawn,
                    history=history,
                    unused=screen.unused,
                    order=screen.order,
                )
            else:
                content = Text(f"{problem}. Waiting for it." if problem else "Measuring.", style="bold")
            lines = console.render_lines(content, console.options.update(height=None))
            screen.clamp(len(lines), height - 1)
            footer = _footer(screen, len(lines), width, height, interval, drawn)
            live.update(
                _Lines(lines[screen.offset : screen.offset + height - 1], height, footer), refresh=True
            )
            key = keyboard.wait(interval if screen.paused else due - time.monotonic())
            if key:
                screen.press(key, height - 1)


def _footer(screen: Screen, lines: int, width: int, height: int, interval: float, drawn: Symbols) -> Text:
    below = max(lines - screen.offset - (height - 1), 0)
    relays = "used" if screen.unused else "all"
    left = f"q quit  s sorted by {screen.order}  a {relays} relays  space pause"
    right = f"{'paused' if screen.paused else duration(interval, drawn)}  {time.strftime('%H:%M:%S')}"
    if below:
        right = f"{below} below  {right}"
    left = left[: max(width - len(right) - 2, 0)]
    return Text(left.ljust(width - len(right)) + right, style="reverse", no_wrap=True, end="")
