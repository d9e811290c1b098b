"""What lets the event loop answer at once where workers leave no CPU idle."""

from __future__ import annotations

import contextlib
import gc
import os
from typing import Final

#: How much further ahead, as nice values go: about ten times the share of a CPU that a worker there gets.
_AHEAD: Final = 10
_HIGHEST: Final = -20


def present_priority() -> int:
    """Nice value of the calling thread."""
    return os.getpriority(os.PRIO_PROCESS, 0)


def put_ahead() -> None:
    """Give the calling thread precedence over those that poll on its CPU; without the right to it, nothing.

    It sleeps most of the time, so a worker there loses next to nothing. Threads and processes that it starts
    from now on have the same priority, unless they change it.
    """
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, max(present_priority() - _AHEAD, _HIGHEST))


def spare_what_stays() -> None:
    """Have the garbage collector never look again at what is there now, modules above all.

    A full collection would take tens of milliseconds for them alone.
    """
    gc.collect()
    gc.freeze()
