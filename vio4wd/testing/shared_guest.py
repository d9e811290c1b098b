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
from vio4wd.vhost.features import Virtio
from vio4wd.vhost.messages import Request
from vio4wd.vhost.payloads import Region, Regions, VringAddress

_GUEST_ADDRESS: Final = 0x1_0000_0000
#: Guest-physical addresses are this much higher in the frontend's own address space, as it tells it.
_USER_OFFSET: Final = 0x7F00_0000_0000


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

    Attributes:
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
    ) -> None:
        self._socket = socket
        self._packed = packed
        self._memory = SharedMemory(memory_size)
        self._frontend: Frontend | None = None
        self.pairs = tuple(MockGuest(self._memory, packed=packed, size=size) for _ in range(queue_pairs))

    def connect(self) -> None:
        """Show the rings to the backend and enable them.

        Raises:
            OSError: it is not there, or hangs up.
        """
        features = Virtio.VERSION_1 | Virtio.PROTOCOL_FEATURES | Virtio.MQ
        if self._packed:
            features |= Virtio.RING_PACKED
        self._frontend = Frontend(self._socket)
        self._frontend.negotiate(int(features))
        self._frontend.send(Request.SET_MEM_TABLE, Regions((self._memory.region,)), [self._memory.fd])
        for number, pair in enumerate(self.pairs):
            self._start(2 * number, pair.receive_ring)
            self._start(2 * number + 1, pair.transmit_ring)

    def check(self) -> None:
        """Raise OutOfBoundsError if anything outside the buffers was written to."""
        self._memory.check()

    def close(self) -> None:
        """Disconnect."""
        if self._frontend is not None:
            self._frontend.close()
            self._frontend = None
        self._memory.close()

    def __enter__(self) -> Self:
        try:
            self.connect()
        except BaseException:
            self.close()
            raise
        return self

    def _start(self, index: int, ring: RingDriver) -> None:
        """Set a queue up, start and enable it."""
        frontend = self._frontend
        if frontend is None:
            raise ConnectionError("the guest is not connected")
        descriptors, available, used = (
            address + _USER_OFFSET for address in (ring.descriptors, ring.available, ring.used)
        )
        address = VringAddress(index, 0, descriptors, used, available, 0)
        frontend.start_ring(address, ring.size, NEW_PACKED if self._packed else 0)
