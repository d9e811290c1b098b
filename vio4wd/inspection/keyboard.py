"""Single keys from a terminal."""

from __future__ import annotations

import os
import select
import termios
import tty
from types import TracebackType
from typing import Final, Self

#: What terminals send for keys that are no character.
_SEQUENCES: Final = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1b[5~": "page up",
    b"\x1b[6~": "page down",
    b"\x1b[H": "home",
    b"\x1b[F": "end",
}


class Keyboard:
    """Keys as they are pressed, without echo, while the context lasts."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before: list[int | list[bytes | int]] | None = None

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._fd)
        tty.setcbreak(self._fd)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def wait(self, seconds: float) -> str | None:
        """The key pressed within so many seconds: its character, or a name of `_SEQUENCES`; "" for any other.

        Returns None when none was pressed, and "q" when the terminal is gone.
        """
        if not select.select([self._fd], [], [], max(seconds, 0.0))[0]:
            return None
        pressed = os.read(self._fd, 16)
        if not pressed:
            return "q"
        return _SEQUENCES.get(pressed) or (chr(pressed[0]) if len(pressed) == 1 else "")
