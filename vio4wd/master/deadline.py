"""The end by force: a stop that does not get to its end in time is cut short, and the machine cleaned up."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterable


class Deadline:
    """Ends this process when it still runs `seconds` after `start()`.

    A DPDK call that hangs cannot be interrupted in any gentler way.

    Args:
        children: process ids to kill then.
        clean_up: removes what a killed process would leave behind.
    """

    def __init__(
        self, seconds: float, children: Callable[[], Iterable[int]], clean_up: Callable[[], None]
    ) -> None:
        self._children = children
        self._clean_up = clean_up
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def start(self) -> None:
        """The clock runs."""
        self._timer.start()

    def cancel(self) -> None:
        """The end was reached in time."""
        self._timer.cancel()

    def _end(self) -> None:
        for pid in self._children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            self._clean_up()
        finally:
            os._exit(1)
