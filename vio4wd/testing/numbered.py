"""Numbered traffic: guests whose packets come back from their VFs, and who know of each what became of it.

    with NumberedTraffic(daemon, relays=range(8)) as traffic:   # VFs: net_ring<n>, which return what they get
        ...
        traffic.settle()
        traffic.counts(3).lost

All guests are this process: a thread of compiled code drives their rings, and vhost-user frontends show
the rings to the daemon. Traffic is paced by what comes back (`numbered_kernel`), so that whatever is lost,
doubled, out of order or in the wrong guest is the forwarder's doing.
"""

from __future__ import annotations

import ctypes
import dataclasses
import mmap
import os
import threading
import time
from collections.abc import Collection, Sequence
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from vio4wd.testing.daemon import Daemon
from vio4wd.testing.frontend import NEW_PACKED, Frontend, Memory
from vio4wd.testing.numbered_kernel import FLOW, MEMORY, exchange, post_all
from vio4wd.testing.numbered_rings import BUFFER, RING
from vio4wd.testing.resource import Resource
from vio4wd.testing.wait import wait_for
from vio4wd.vhost.features import Protocol, Virtio
from vio4wd.vhost.messages import Request
from vio4wd.vhost.payloads import InflightArea, VringState

#: Packets of a guest that are under way at most.
WINDOW: Final = 64
#: Seconds after which packets that were under way count as lost and others follow.
PATIENCE: Final = 1.0

# A guest's memory: the rings of all queue pairs as `Memory` places them, then the buffers of each pair, first
# those that receive.
_RING_SPACE: Final = 2 << 20  # of a pair
_BUFFER_SPACE: Final = 1 << 20  # of a pair's receive or transmit queue
_DESCRIPTOR: Final = np.dtype([("address", "<u8"), ("length", "<u4"), ("flags", "<u2"), ("next", "<u2")])
_WRITE: Final = 2  # VIRTQ_DESC_F_WRITE
_NO_INTERRUPT: Final = 1  # VIRTQ_AVAIL_F_NO_INTERRUPT, RING_EVENT_FLAGS_DISABLE
_MARKS: Final = 0x4E55_4D42_0000_0000
_PAIR: Final = 1 << 8  # in a mark


@dataclasses.dataclass(frozen=True, slots=True)
class Counts:
    """What became of a guest's packets.

    Attributes:
        sent: by the guest.
        arrived: back in the same guest, each counted once.
        duplicated: came once more.
        reordered: came after one that was sent later.
        foreign: were never sent by this guest.
        damaged: came with another length or content.
        ring_faults: used entries that no device may write.
        write_offs: times that nothing came for PATIENCE seconds.
    """

    sent: int
    arrived: int
    duplicated: int
    reordered: int
    foreign: int
    damaged: int
    ring_faults: int
    write_offs: int

    @classmethod
    def of(cls, flow: np.void) -> Counts:
        """Those in a record of `numbered_kernel.FLOW`."""
        names = [field.name for field in dataclasses.fields(cls) if field.name != "sent"]
        return cls(sent=int(flow["next"]), **{name: int(flow[name]) for name in names})

    @property
    def lost(self) -> int:
        """Did not come back; those under way count as well, see `NumberedTraffic.settle`."""
        return self.sent - self.arrived

    @property
    def wrong(self) -> dict[str, int]:
        """All that must not happen even when packets may get lost, by name; empty when all is well."""
        names = ("duplicated", "reordered", "foreign", "damaged", "ring_faults")
        return {name: getattr(self, name) for name in names if getattr(self, name)}


class NumberedTraffic(Resource):
    """Guests on relays, sending as fast as their packets come back, from `__enter__` to `close`.

    Args:
        daemon: runs, with a net_ring device on each of the relays.
        window: most packets of a queue pair under way.
        pairs: of each guest, which send on their own; as many as the relays have lanes, so that what a pair
            sends comes back to it.
        packed: of the relays, those whose guests have packed rings.
        tracked: the guests keep in-flight memory for the daemon.
    """

    def __init__(
        self,
        daemon: Daemon,
        relays: Sequence[int],
        *,
        window: int = WINDOW,
        pairs: int = 1,
        packed: Collection[int] = (),
        tracked: bool = False,
    ) -> None:
        self._daemon = daemon
        self._relays = list(relays)
        self._window = window
        self._packed = frozenset(packed)
        self._tracked = tracked
        self._flows = np.zeros((len(self._relays), pairs), FLOW)
        self._guests: dict[int, RingGuest] = {}
        self._stop = np.zeros(1, np.int64)
        self._thread: threading.Thread | None = None
        self._hz = 1

    def open(self) -> None:
        """Connect the guests and begin.

        Raises:
            TimeoutError, OSError: the daemon does not serve one.
        """
        self._hz = self._daemon.snapshot().cycles_per_second
        try:
            for relay, flows in zip(self._relays, self._flows, strict=True):
                guest = self._guests[relay] = RingGuest(
                    flows, _MARKS | relay, packed=relay in self._packed, tracked=self._tracked
                )
                guest.connect(self._daemon, relay)
                flows["patience"] = int(PATIENCE * self._hz)
                flows["window"] = self._window
            for relay in self._relays:
                self._daemon.wait_guest(relay)
            sleep = ctypes.cast(ctypes.CDLL(None).usleep, ctypes.c_void_p).value or 0
            arguments = (self._flows.ctypes.data, self._flows.size, self._stop.ctypes.data, sleep)
            self._thread = threading.Thread(target=exchange, args=arguments, name="numbered traffic")
            self._thread.start()
        except BaseException:
            self.close()
            raise

    def reconnect(self) -> None:
        """Connect the guests to the daemon that has come in the place of the one that served them.

        Raises:
            TimeoutError, OSError: it does not serve one.
        """
        for relay, guest in self._guests.items():
            guest.connect(self._daemon, relay)
            self._daemon.wait_guest(relay)

    def counts(self, relay: int, pair: int = 0) -> Counts:
        """What became of the packets of a relay's guest so far."""
        return Counts.of(self._flow(relay, pair))

    def wait_arrivals(self, relay: int, count: int = 1, pair: int = 0) -> None:
        """Return when so many more packets have come back to a relay's guest.

        Raises:
            TimeoutError: they have not.
        """
        flow = self._flow(relay, pair)
        goal = int(flow["arrived"]) + count
        wait_for(
            lambda: int(flow["arrived"]) >= goal, f"packets of relay {relay} to come back", interval=0.001
        )

    def set_window(self, packets: int, *relays: int) -> None:
        """Change the most packets under way, 0: pause; of all guests where no relays are given."""
        for relay in relays or self._relays:
            self._flows[self._relays.index(relay)]["window"] = packets

    def enable(self, relay: int, pair: int, on: bool) -> None:
        """Switch a queue pair of a guest on or off, as its driver does when told how many queues to use.

        A pair that is to go comes to rest before, as the network stack above a driver sees to it.
        """
        flow = self._flow(relay, pair)
        if not on:
            flow["window"] = 0
            wait_for(lambda: flow["expected"] == flow["next"], "the pair's packets to come back")
        self._guests[relay].enable(pair, on)
        if on:
            flow["window"] = self._window

    def settle(self) -> None:
        """Stop sending and return when no packet comes any more."""
        self.set_window(0)

        def quiet() -> bool:
            before = self._flows["arrived"].copy()
            time.sleep(0.3)
            return bool((before == self._flows["arrived"]).all())

        wait_for(quiet, "packets to come to rest")

    def begin_epoch(self, relay: int) -> None:
        """Forget a guest's longest times so far."""
        flows = self._flows[self._relays.index(relay)]
        flows["epoch"] += 1
        wait_for(
            lambda: bool((flows["known_epoch"] == flows["epoch"]).all()),
            "the traffic's thread",
            interval=0.001,
        )

    def gap(self, relay: int, pair: int = 0) -> float:
        """Longest time in this epoch between two packets coming back, in seconds."""
        return int(self._flow(relay, pair)["gap"]) / self._hz

    def slowest(self, relay: int) -> float:
        """Longest time in this epoch from sending a packet until it came back, in seconds."""
        return int(self._flow(relay)["slowest"]) / self._hz

    def close(self) -> None:
        """Stop, and disconnect the guests."""
        self._stop[0] = 1
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        while self._guests:
            self._guests.popitem()[1].close()

    def __enter__(self) -> Self:
        self.open()
        return self

    def _flow(self, relay: int, pair: int = 0) -> np.void:
        record: np.void = self._flows[self._relays.index(relay), pair]
        return record


class RingGuest:
    """Memory, rings and connection of a guest whose queue pairs carry a flow each.

    Args:
        flows: records of `numbered_kernel.FLOW`; what the owner writes is filled in, but for the window.
        mark: a number whose lower half no other guest has; the pairs' numbers are added to it.
        packed: the rings are packed ones.
        tracked: keep in-flight memory for the daemon, and hand it to the next one.
    """

    def __init__(
        self, flows: npt.NDArray[np.void], mark: int, *, packed: bool = False, tracked: bool = False
    ) -> None:
        self._packed = packed
        self._tracked = tracked
        self._inflight: tuple[InflightArea, int] | None = None
        self._pairs = len(flows)
        self._memory = Memory(self._pairs * (_RING_SPACE + 2 * _BUFFER_SPACE))
        size = self._memory.region.size
        self._map = mmap.mmap(self._memory.fd, size)
        self._bytes = np.frombuffer(self._map, np.uint8)
        self._frontend: Frontend | None = None
        self._numbers: list[npt.NDArray[np.int64]] = []
        for pair, flow in enumerate(flows):
            self._fill_flow(pair, flow)
            flow["mark"] = mark + pair * _PAIR

    def _fill_flow(self, pair: int, flow: np.void) -> None:
        numbers: dict[str, npt.NDArray[np.int64]] = {
            "free": np.arange(RING, dtype=np.int64),
            "tx_out": np.zeros(RING, np.int64),
            "rx_out": np.zeros(RING, np.int64),
            "seen": np.zeros(MEMORY, np.int64),
        }
        for name, values in numbers.items():
            flow[name] = values.ctypes.data
        self._numbers += numbers.values()
        start = self._bytes.ctypes.data
        receiving = self._pairs * _RING_SPACE + 2 * pair * _BUFFER_SPACE
        transmitting = receiving + _BUFFER_SPACE
        flow["rx_buffers"], flow["tx_buffers"] = start + receiving, start + transmitting
        self._lay_out(flow["rx"], 2 * pair, receiving, _WRITE)
        self._lay_out(flow["tx"], 2 * pair + 1, transmitting, 0)
        post_all(flow.__array_interface__["data"][0])

    def connect(self, daemon: Daemon, relay: int) -> None:
        """Show the rings to the daemon, as if they were new: a guest knows not where the last one stood."""
        if self._frontend is not None:
            self._frontend.close()
        frontend = self._frontend = Frontend(daemon.socket(relay))
        features = Virtio.VERSION_1 | Virtio.PROTOCOL_FEATURES | Virtio.MQ
        protocol = Protocol.MQ | Protocol.REPLY_ACK
        if self._packed:
            features |= Virtio.RING_PACKED
        if self._tracked:
            protocol |= Protocol.INFLIGHT_SHMFD
        frontend.negotiate(int(features), int(protocol))
        frontend.share(self._memory)
        if self._tracked:
            if self._inflight is None:
                self._inflight = frontend.get_inflight(2 * self._pairs, RING)
            area, fd = self._inflight
            frontend.send(Request.SET_INFLIGHT_FD, area, [fd])
        for index in range(2 * self._pairs):
            base = NEW_PACKED if self._packed else 0
            frontend.start_queue(self._memory, index, RING, base=base, packed=self._packed)

    def enable(self, pair: int, on: bool) -> None:
        """Enable or disable a queue pair; done when this returns."""
        if self._frontend is None:
            raise ConnectionError("the guest is not connected")
        for index in (2 * pair, 2 * pair + 1):
            if self._frontend.confirm(Request.SET_VRING_ENABLE, VringState(index, int(on))):
                raise ConnectionError(f"queue {index} cannot be switched")

    def close(self) -> None:
        if self._frontend is not None:
            self._frontend.close()
        if self._inflight is not None:
            os.close(self._inflight[1])
        del self._bytes
        self._map.close()
        self._memory.close()

    def _lay_out(self, side: np.void, index: int, buffers: int, flags: int) -> None:
        """Set a queue up; its buffers begin at this place in memory."""
        ring = self._memory.ring(index, RING, packed=self._packed)
        side["packed"] = self._packed
        side["descriptors"] = self._host(ring.descriptors)
        side["available"] = self._host(ring.available)
        side["used"] = self._host(ring.used)
        side["guest"] = self._memory.region.guest_address + buffers
        side["flags"] = flags
        if not self._packed:  # descriptor n describes buffer n
            table = self._view(ring.descriptors, _DESCRIPTOR.itemsize * RING).view(_DESCRIPTOR)
            table["address"] = int(side["guest"]) + BUFFER * np.arange(RING)
            table["flags"] = flags
        # Flags stand first in a split ring's area, second in a packed one's (virtio 1.2 §2.7.6, §2.8.10).
        self._view(ring.available, 4).view("<u2")[int(self._packed)] = _NO_INTERRUPT

    def _view(self, user_address: int, size: int) -> npt.NDArray[np.uint8]:
        start = user_address - self._memory.region.user_address
        return self._bytes[start : start + size]

    def _host(self, user_address: int) -> int:
        return int(self._view(user_address, 1).ctypes.data)
