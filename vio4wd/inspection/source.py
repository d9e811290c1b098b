"""Snapshots of a running daemon, out of its shared memory."""

from __future__ import annotations

import time
from collections.abc import Sequence

import psutil

from vio4wd.inspection.rates import Rates, rates
from vio4wd.inspection.snapshot import Snapshot, take
from vio4wd.shm import segment
from vio4wd.shm.clock import cycles


class SourceError(Exception):
    """There is nothing to inspect; the text says what was looked for and what to do."""


class Source:
    """The daemon of one instance name. It is found anew each time, so that it may be restarted meanwhile."""

    def __init__(self, instance: str) -> None:
        self.instance = instance
        self._last: tuple[float, Snapshot] | None = None

    def sample(self) -> tuple[Snapshot, Rates | None]:
        """A snapshot, and the rates since the sample before; None for the first one of a daemon.

        Raises:
            SourceError: no daemon of that name is running, or it may not be read.
        """
        now, snapshot = time.monotonic(), self._read()
        last, self._last = self._last, (now, snapshot)
        if last is None or last[1].created_ns != snapshot.created_ns or now <= last[0]:
            return snapshot, None
        return snapshot, rates(last[1], snapshot, now - last[0])

    def _read(self) -> Snapshot:
        try:
            mapped = segment.attach(self.instance, readonly=True)
        except segment.SegmentError as error:
            raise SourceError(str(error)) from None
        try:
            snapshot = take(mapped.tables, cycles())
        finally:
            mapped.close()
        pid = snapshot.master_pid
        if not psutil.pid_exists(pid) or segment.process_start_time(pid) != snapshot.master_start_time:
            raise SourceError(f"the daemon {self.instance} (pid {pid}) is no longer running")
        return snapshot


def pick(default: str, running: Sequence[str]) -> str:
    """The instance a user means who named none: the default one, or else the only one there is.

    Raises:
        SourceError: several others run, and none is the default; they are listed.
    """
    if default in running or not running:
        return default
    if len(running) > 1:
        raise SourceError(f"several daemons run: {', '.join(running)}; choose one with --instance")
    return running[0]
