"""Where the daemon's log goes: standard error, or syslog (which the journal receives as well)."""

from __future__ import annotations

import logging
import os
import sys
import syslog
from typing import Final

#: Python's levels for syslog's 0 (emergency) .. 7 (debug).
_LEVELS: Final = (
    logging.CRITICAL,
    logging.CRITICAL,
    logging.CRITICAL,
    logging.ERROR,
    logging.WARNING,
    logging.WARNING,
    logging.INFO,
    logging.DEBUG,
)


def python_level(loglevel: int) -> int:
    """Level of the logging package for a syslog level 0..7."""
    return _LEVELS[loglevel]


def priority(levelno: int) -> int:
    """Syslog priority of a record's level."""
    if levelno >= logging.CRITICAL:
        return syslog.LOG_CRIT
    if levelno >= logging.ERROR:
        return syslog.LOG_ERR
    if levelno >= logging.WARNING:
        return syslog.LOG_WARNING
    return syslog.LOG_INFO if levelno >= logging.INFO else syslog.LOG_DEBUG


class _Syslog(logging.Handler):
    """Hands records to syslog(3), which waits for nobody and fails silently without a log daemon."""

    def emit(self, record: logging.LogRecord) -> None:
        for line in self.format(record).splitlines():
            syslog.syslog(priority(record.levelno), line)


class _Journal(logging.Formatter):
    """Lines for the journal's standard error: a priority in angle brackets (sd-daemon(3)), no time."""

    def format(self, record: logging.LogRecord) -> str:
        mark = f"<{priority(record.levelno)}>"
        return "\n".join(mark + line for line in super().format(record).splitlines())


def set_up(loglevel: int, *, to_syslog: bool) -> None:
    """Send every record of this process to one place, from `loglevel` (0..7) on.

    Args:
        to_syslog: to syslog as "virtio-forwarder", otherwise to standard error.
    """
    handler: logging.Handler
    if to_syslog:
        syslog.openlog("virtio-forwarder", syslog.LOG_PID, syslog.LOG_DAEMON)
        handler = _Syslog()
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler = logging.StreamHandler(sys.stderr)
        if "JOURNAL_STREAM" in os.environ:
            handler.setFormatter(_Journal("%(message)s"))
        else:
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(loglevel)


def set_level(loglevel: int) -> None:
    """Change the threshold (0..7) of a log that was set up."""
    logging.getLogger().setLevel(python_level(loglevel))
    # asyncio reports every slow callback and selector at its debug level; that is its own business.
    logging.getLogger("asyncio").setLevel(max(logging.INFO, python_level(loglevel)))
    # So is what the compiler has to say: hundreds of thousands of lines, for which packets would wait.
    logging.getLogger("numba").setLevel(max(logging.WARNING, python_level(loglevel)))
