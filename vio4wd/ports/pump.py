"""The master's one thread on the packet path: ports that only the primary can poll, through rings.

The thread spends its time in a kernel that needs no GIL. Whoever changes what it works on hands the
change over, rings its doorbell and waits: the thread makes changes between two runs of the kernel, when
no burst is under way. Without lanes it sleeps.
"""

from __future__ import annotations

import dataclasses
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

import numpy as np

from vio4wd.dpdk import eal, functions
from vio4wd.dpdk.errors import DpdkError
from vio4wd.dpdk.mempool import free_packets
from vio4wd.dpdk.ring import Ring
from vio4wd.kernels.machine_code import load
from vio4wd.kernels.pump_records import LANE, PUMP
from vio4wd.kernels.records import BURST
from vio4wd.limits import MAX_RELAYS
from vio4wd.shm.clock import cycles

_log = logging.getLogger(__name__)

R = TypeVar("R")

#: Seconds between two looks at the lanes' `between`.
PERIOD: Final = 0.02
#: Longest sleep when nothing moves, microseconds; it bounds what the pump adds to a packet's way.
_LONGEST_SLEEP_US: Final = 128


@dataclasses.dataclass(frozen=True, slots=True)
class LaneCounters:
    """What the pump moved for one port, packets since the lane was made."""

    rx_packets: int
    tx_packets: int
    refused: int


class Lane:
    """One pumped port. `Pump.add` makes it."""

    def __init__(self, index: int, record: np.void, between: Callable[[], None] | None) -> None:
        self.index = index
        self.between = between
        self._record = record

    def counters(self) -> LaneCounters:
        """Packets moved so far."""
        record = self._record
        return LaneCounters(int(record["rx_packets"]), int(record["tx_packets"]), int(record["refused"]))


class Pump:
    """Owns the thread and the records that its kernel reads. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lanes = np.zeros(MAX_RELAYS, LANE)
        self._packets = np.zeros((MAX_RELAYS, BURST), np.int64)
        self._order = np.zeros(MAX_RELAYS, np.int64)
        self._scratch = np.zeros(BURST, np.int64)
        self._state = np.zeros(1, PUMP)
        self._served: dict[int, Lane] = {}
        self._changes: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._closed = False
        state = self._state[0]
        for field, function in (
            ("rx", functions.RX_BURST),
            ("tx", functions.TX_BURST),
            ("prepare", functions.TX_PREPARE),
            ("dequeue", functions.RING_DEQUEUE),
            ("enqueue", functions.RING_ENQUEUE),
            ("room", functions.RING_ROOM),
            ("free", functions.FREE_BULK),
            ("sleep", functions.SLEEP_US),
            ("scratch", self._scratch.ctypes.data),
            ("lanes", self._order.ctypes.data),
            ("sleep_us", _LONGEST_SLEEP_US),
        ):
            state[field] = function
        self._thread = threading.Thread(target=self._run, name="pump", daemon=True)
        self._thread.start()

    def add(self, port_id: int, rx: Ring, tx: Ring, between: Callable[[], None] | None = None) -> Lane:
        """Pump a started port: what it receives into `rx`, what is in `tx` out of it (queue 0 of each).

        Args:
            between: called by the pump's thread each PERIOD seconds, while no port is polled.

        Raises:
            DpdkError: there are as many lanes as there can be.
        """
        return self.paused(lambda: self._add(port_id, rx, tx, between))

    def remove(self, lane: Lane) -> None:
        """Pump a port no more; packets that its driver had not taken go back into the ring's pool."""
        self.paused(lambda: self._remove(lane))

    def paused(self, change: Callable[[], R]) -> R:
        """Result of a change made by the pump's thread between two bursts; nothing is polled meanwhile."""
        if self._closed:
            raise DpdkError("the pump was closed")
        future: Future[R] = Future()
        self._changes.put((future, change))
        self._state[0]["doorbell"] += 1
        return future.result()

    def close(self) -> None:
        """End the thread; lanes that are left are forgotten."""
        if self._closed:
            return
        self.paused(self._mark_closed)
        self._thread.join()

    def _mark_closed(self) -> None:
        self._closed = True

    def _run(self) -> None:
        state = self._state[0]
        address = self._state.ctypes.data
        while not self._closed:
            seen = int(state["doorbell"])
            self._change_all(wait=not self._served)
            if self._served and not self._closed:
                # The frequency is asked now: it is not known before DPDK has started.
                load("run_pump")(address, seen, cycles() + int(PERIOD * eal.tsc_hz()))
                for lane in list(self._served.values()):
                    self._look_after(lane)

    def _look_after(self, lane: Lane) -> None:
        if lane.between is None:
            return
        try:
            lane.between()
        except Exception:
            # The thread serves other ports as well.
            _log.exception("a pumped port could not be looked after")

    def _change_all(self, *, wait: bool) -> None:
        """Make the changes that are asked for; with `wait`, one at least."""
        while True:
            try:
                future, change = self._changes.get(block=wait)
            except queue.Empty:
                return
            wait = False
            try:
                future.set_result(change())
            except BaseException as error:
                future.set_exception(error)

    def _add(self, port_id: int, rx: Ring, tx: Ring, between: Callable[[], None] | None) -> Lane:
        free = [index for index in range(MAX_RELAYS) if index not in self._served]
        if not free:
            raise DpdkError(f"the pump serves {MAX_RELAYS} ports already")
        index = free[0]
        record = self._lanes[index]
        record["port"] = port_id
        record["rx_ring"] = rx.address
        record["tx_ring"] = tx.address
        record["packets"] = self._packets[index].ctypes.data
        for counter in ("first", "end", "rx_packets", "tx_packets", "refused"):
            record[counter] = 0
        lane = Lane(index, record, between)
        self._served[index] = lane
        self._publish()
        return lane

    def _remove(self, lane: Lane) -> None:
        del self._served[lane.index]
        self._publish()
        record = self._lanes[lane.index]
        first, end = int(record["first"]), int(record["end"])
        if end > first:
            free_packets(int(record["packets"]) + 8 * first, end - first)

    def _publish(self) -> None:
        addresses = [self._lanes[index : index + 1].ctypes.data for index in sorted(self._served)]
        self._order[: len(addresses)] = addresses
        self._state[0]["n_lanes"] = len(addresses)
