"""Telling systemd that the daemon is ready, stopping, or alive (sd_notify(3)); silent elsewhere."""

from __future__ import annotations

import os
import time

import sdnotify


class ServiceManager:
    """One daemon's notifications.

    Attributes:
        watchdog_interval: seconds between two `alive()` that keep systemd content, 0.0: it does not watch.
    """

    def __init__(self) -> None:
        self._notifier = sdnotify.SystemdNotifier()
        self.watchdog_interval = _interval(os.environ.get("WATCHDOG_USEC"), os.environ.get("WATCHDOG_PID"))

    def ready(self, status: str) -> None:
        """The daemon serves."""
        self._notifier.notify(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """One line for `systemctl status`."""
        self._notifier.notify(f"STATUS={status}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._notifier.notify("WATCHDOG=1")

    def sleep(self, seconds: float) -> None:
        """Wait, and feed the watchdog meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, self.watchdog_interval or left))
            if self.watchdog_interval:
                self.alive()

    def reloading(self, monotonic_us: int) -> None:
        """The daemon re-reads its configuration; follow with `ready()`."""
        self._notifier.notify(f"RELOADING=1\nMONOTONIC_USEC={monotonic_us}")

    def stopping(self) -> None:
        """The daemon ends because it was asked to."""
        self._notifier.notify("STOPPING=1")


def _interval(microseconds: str | None, pid: str | None) -> float:
    """Half of the time systemd waits, as sd_watchdog_enabled(3) advises; 0.0: it watches another process."""
    if not microseconds or not microseconds.isdigit() or (pid and pid != str(os.getpid())):
        return 0.0
    return int(microseconds) / 2e6
