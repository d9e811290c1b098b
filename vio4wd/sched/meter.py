"""Loads interval by interval, from a daemon that measures them, or does not, or is another one by now."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from vio4wd.control.client import ClientError
from vio4wd.control.proto.virtioforwarder_pb2 import StatsResponse
from vio4wd.sched.balance import RelayLoad
from vio4wd.sched.loads import measured, relay_loads

#: An old daemon busy-waits while it measures; it is asked for a short measurement only.
SHORT_MEASUREMENT: Final = 0.2


class Measuring(Protocol):
    """A daemon that tells of its relays, see `vio4wd.sched.daemon_link.DaemonLink`."""

    def measure(self, seconds: float) -> Sequence[StatsResponse.RelayState]: ...


class Meter:
    """Measures one interval at a time.

    Attributes:
        exact: the last loads were measured by the daemon; otherwise they come from the model of
            `vio4wd.sched.loads`. False before the first.
    """

    def __init__(self, link: Measuring, interval: float, sleep: Callable[[float], None] = time.sleep) -> None:
        """
        Args:
            interval: seconds.
            sleep: waits for so many seconds.
        """
        self.exact = False
        self._link = link
        self._interval = interval
        self._sleep = sleep

    def measure(self) -> list[RelayLoad]:
        """Loads over the interval, which passes meanwhile; the first time only over the beginning of one.

        Raises:
            ClientError: there is no answer.
        """
        start = time.monotonic()
        first_look = not self.exact
        try:
            states = self._link.measure(
                min(SHORT_MEASUREMENT, self._interval) if first_look else self._interval
            )
        except ClientError:
            self.exact = False
            raise
        self.exact = measured(states)
        if not (first_look and self.exact):
            self._sleep(max(self._interval - (time.monotonic() - start), 0.0))
        return relay_loads(states)
