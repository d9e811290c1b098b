"""The core scheduler: measures, decides, moves; interval by interval, for as long as it lives.

It is no part of the daemon it serves. It knows that one by two ZeroMQ endpoints, waits when it is not there,
and begins afresh when it comes back.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from vio4wd.control.client import ClientError
from vio4wd.sched.balance import Decision, Memory, Move, RelayLoad, decide, variation
from vio4wd.sched.loads import core_loads
from vio4wd.sched.meter import Measuring, Meter

_log = logging.getLogger(__name__)

#: Seconds between two looks for a daemon that is not there.
RETRY: Final = 1.0


class Link(Measuring, Protocol):
    """The daemon, see `vio4wd.sched.daemon_link.DaemonLink`."""

    def cores(self) -> list[int]: ...

    def move(self, relay: int, cpus: tuple[int, int], lane: int | None = None) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """How it decides; see `vio4wd.sched.balance.decide`.

    Attributes:
        interval: seconds from one decision to the next.
    """

    interval: float = 5.0
    sensitivity: float = 0.25
    everywhere: bool = False


class Scheduler:
    """The state between intervals.

    Attributes:
        status: what it does, in one line, for people.
    """

    def __init__(
        self,
        link: Link,
        policy: Policy,
        node_of_cpu: Callable[[int], int],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        Args:
            node_of_cpu: NUMA node of a CPU.
            sleep: waits for so many seconds.
        """
        self.status = "starting"
        self._link = link
        self._policy = policy
        self._node_of_cpu = node_of_cpu
        self._sleep = sleep
        self._meter = Meter(link, policy.interval, sleep)
        self._memory = Memory()
        self._connected: bool | None = None

    def interval(self) -> None:
        """Measure for an interval, and move what should move; or wait a little for a missing daemon."""
        try:
            cores = self._link.cores()
            relays = self._meter.measure()
        except ClientError as error:
            self._lost(error)
            self._sleep(min(self._policy.interval, RETRY))
            return
        if self._connected is not True:
            self._connected = True
            _log.info("balancing the load of CPUs %s", ",".join(map(str, cores)) or "none")
        decision = decide(
            relays,
            {cpu: self._node_of_cpu(cpu) for cpu in cores},
            self._memory,
            sensitivity=self._policy.sensitivity,
            everywhere=self._policy.everywhere,
        )
        self._memory = decision.memory
        self._report(relays, cores, decision)
        self._act(relays, decision.moves)

    def _lost(self, error: ClientError) -> None:
        if self._connected is not False:
            _log.warning("%s; waiting", error)
        self.status = f"waiting: {error}"
        self._connected = False
        self._memory = Memory()

    def _report(self, relays: Sequence[RelayLoad], cores: Sequence[int], decision: Decision) -> None:
        loads = core_loads(relays, cores)
        text = " ".join(f"{cpu}:{load:.0%}" for cpu, load in loads.items())
        self.status = f"load by CPU {text}, variation {variation(loads.values()):.2f}"
        _log.debug("%s", self.status)
        if decision.moves:
            _log.info(
                "load by CPU %s: relays to move: %s, the variation from %.2f to %.2f",
                text,
                ",".join(_name(move) for move in decision.moves),
                decision.variation,
                decision.expected,
            )

    def _act(self, relays: Sequence[RelayLoad], moves: Sequence[Move]) -> None:
        before = {(entry.relay, entry.lane): entry for entry in relays}
        for move in moves:
            old = before[move.relay, move.lane]
            try:
                self._link.move(move.relay, move.cpus, move.lane)
            except ClientError as error:
                _log.warning("relay %s stays on CPUs %d,%d: %s", _name(move), *old.cpus, error)
                continue
            _log.info(
                "relay %s moved from CPUs %d,%d to %d,%d (load %.0f%% and %.0f%%)",
                _name(move),
                *old.cpus,
                *move.cpus,
                *(100 * load for load in old.loads),
            )


def _name(move: Move) -> str:
    """`3`, or `3 lane 1`."""
    return str(move.relay) if move.lane is None else f"{move.relay} lane {move.lane}"
