"""A guest with many queues whose driver is this process: the mock driver's rings, shown to a backend.

    with SharedGuest(daemon.socket(1), queue_pairs=32) as guest:
        guest.pairs[5].send(frame)
        guest.pairs[5].publish()
        ...
        guest.pairs[5].received()

The backend must poll: nobody is notified of anything, and nobody is interrupted.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Final, Self

import numpy as np

from vio4wd.testing.frontend import NEW_PACKED, Frontend
from vio4wd.testing.guest_memory import GUARD, Bytes, GuestMemory
from vio4wd.testing.mock_guest import MockGuest
from vio4wd.testing.resource import Resource
from vio4wd.testing.ring_driver import RingDriver
from vio4wd.vhost.features import Protocol, Virtio
from vio4wd.vhost.messages import Request
from vio4wd.vhost.payloads import LogArea, Number, Region, Regions, VringAddress

_GUEST_ADDRESS: Final = 0x1_0000_0000
#: Guest-physical addresses are this much higher in the frontend's own address space, as it tells it.
_USER_OFFSET: Final = 0x7F00_0000_0000
#: VHOST_VRING_F_LOG, a flag of SET_VRING_ADDR.
_LOG_USED: Final = 1
#: Bytes of guest memory that a bit of the dirty log stands for (VHOST_LOG_PAGE).
LOG_PAGE: Final = 4096


class SharedMemory(GuestMemory):
    """Guest memory of one region that lies in a file without a name, for others to map.

    Attributes:
        fd: the file.
        region: as a frontend tells it.
    """

    def __init__(self, size: int) -> None:
        self.fd = os.memfd_create("guest-memory")
        try:
            super().__init__([(_GUEST_ADDRESS, size)])
        except BaseException:
            self.close()
            raise
        self.region = Region(_GUEST_ADDRESS, size, _GUEST_ADDRESS + _USER_OFFSET, GUARD)

    def close(self) -> None:
        """Close the file; the memory goes with the last who has it mapped."""
        os.close(self.fd)

    def _block(self, size: int) -> Bytes:
        # A mapping begins with a page, as the region does then: the guard before it is a page long.
        os.truncate(self.fd, -(-size // mmap.PAGESIZE) * mmap.PAGESIZE)
        return np.frombuffer(mmap.mmap(self.fd, size), np.uint8)


class SharedGuest(Resource):
    """A guest on a backend's socket, from `connect` to `close`.

    Args:
        socket: the backend's.
        queue_pairs: pairs to set up and enable.
        packed: packed rings instead of split ones.
        size: entries of each ring.
        memory_size: bytes of memory for rings and packets.
        features: bits to negotiate beside those that it needs.

    Attributes:
        memory: the guest's.
        pairs: the driver of each queue pair.
    """

    def __init__(
        self,
        socket: Path,
        queue_pairs: int,
        *,
        packed: bool = False,
        size: int = 256,
        memory_size: int = 16 << 20,
        features: Virtio = Virtio.VERSION_1,
    ) -> None:
        self._socket = socket
        self._packed = packed
        self._chosen = features
        self.memory = SharedMemory(memory_size)
        self._frontend: Frontend | None = None
        self._log: mmap.mmap | None = None
        self.pairs = tuple(MockGuest(self.memory, packed=packed, size=size) for _ in range(queue_pairs))

    def connect(self) -> None:
        """Show the rings to the backend and enable them.

        Raises:
            OSError: it is not there, or hangs up.
        """
        protocol = Protocol.MQ | Protocol.REPLY_ACK | Protocol.LOG_SHMFD
        self._frontend = Frontend(self._socket)
        self._frontend.negotiate(self._features(), int(protocol))
        self._frontend.send(Request.SET_MEM_TABLE, Regions((self.memory.region,)), [self.memory.fd])
        for index, ring in enumerate(self._rings()):
            address = self._address(index, ring)
            self._frontend.start_ring(address, ring.size, NEW_PACKED if self._packed else 0)

    def start_log(self) -> None:
        """Have the backend mark the pages that it writes, from now on; the queues go on meanwhile.

        Raises:
            ConnectionError: the backend hangs up.
        """
        frontend = self._connected()
        size = -(-(self.memory.region.guest_address + self.memory.region.size) // (8 * LOG_PAGE))
        fd = os.memfd_create("dirty-log")
        try:
            os.truncate(fd, size)
            self._log = mmap.mmap(fd, size)
            frontend.send(Request.SET_LOG_BASE, LogArea(size, 0), [fd])
        finally:
            os.close(fd)
        frontend.receive(Number)
        frontend.send(Request.SET_FEATURES, Number(self._features() | int(Virtio.LOG_ALL)))
        for index, ring in enumerate(self._rings()):
            frontend.confirm(Request.SET_VRING_ADDR, self._address(index, ring, _LOG_USED))

    def take_log(self) -> set[int]:
        """Guest-physical addresses of the pages that were marked since the last call.

        Only while the backend marks nothing: it may be lost.
        """
        if self._log is None:
            raise ValueError("nothing is logged")
        bits = np.unpackbits(np.frombuffer(self._log, np.uint8), bitorder="little")
        self._log[:] = bytes(len(self._log))
        return {int(page) * LOG_PAGE for page in np.flatnonzero(bits)}

    def stop(self) -> None:
        """Stop all queues, as a frontend does when the VM stands still: nothing is written any more.

        Raises:
            ConnectionError: the backend hangs up.
        """
        for index in range(2 * len(self.pairs)):
            self._connected().stop_queue(index)

    def check(self) -> None:
        """Raise OutOfBoundsError if anything outside the buffers was written to."""
        self.memory.check()

    def close(self) -> None:
        """Disconnect."""
        if self._frontend is not None:
            self._frontend.close()
            self._frontend = None
        if self._log is not None:
            self._log.close()
            self._log = None
        self.memory.close()

    def __enter__(self) -> Self:
        try:
            self.connect()
        except BaseException:
            self.close()
            raise
        return self

    def _connected(self) -> Frontend:
        if self._frontend is None:
            raise ConnectionError("the guest is not connected")
        return self._frontend

    def _features(self) -> int:
        features = Virtio.VERSION_1 | Virtio.PROTOCOL_FEATURES | Virtio.MQ | self._chosen
        return int(features | Virtio.RING_PACKED if self._packed else features)

    def _rings(self) -> list[RingDriver]:
        """All rings in the order of their numbers."""
        return [ring for pair in self.pairs for ring in (pair.receive_ring, pair.transmit_ring)]

    @staticmethod
    def _address(index: int, ring: RingDriver, flags: int = 0) -> VringAddress:
        descriptors, available, used = (
            address + _USER_OFFSET for address in (ring.descriptors, ring.available, ring.used)
        )
        return VringAddress(index, flags, descriptors, used, available, ring.used)
