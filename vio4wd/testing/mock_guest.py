"""The driver of a virtio-net device over memory of this process: the guest in tests of kernels.

    guest = MockGuest(packed=True, mergeable=True)
    guest.fill(1526)                      # receive buffers
    guest.send(frame, layout=(12,))       # the header apart from the frame
    guest.publish()
    ... the device under test runs ...
    guest.received(), guest.sent()

What the device may not do raises DeviceError here, what it may not write OutOfBoundsError.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Sequence
from typing import Final

from vio4wd.testing.guest_memory import GuestMemory
from vio4wd.testing.packed_driver import PackedDriver
from vio4wd.testing.ring_driver import DeviceError, RingDriver, RingFullError, Segment, Used
from vio4wd.testing.split_driver import SplitDriver

#: Bytes of the virtio-net header: legacy without mergeable buffers, and all others (virtio 1.2 §5.1.6.1).
LEGACY_HEADER: Final = 10
HEADER: Final = 12


@dataclasses.dataclass(frozen=True, slots=True)
class NetHeader:
    """The virtio-net header (virtio 1.2 §5.1.6); offsets and sizes in bytes."""

    flags: int = 0
    gso_type: int = 0
    hdr_len: int = 0
    gso_size: int = 0
    csum_start: int = 0
    csum_offset: int = 0
    num_buffers: int = 0

    def pack(self, size: int) -> bytes:
        """The first `size` bytes: 10 or 12."""
        return struct.pack("<BBHHHHH", *dataclasses.astuple(self))[:size]

    @classmethod
    def unpack(cls, data: bytes) -> NetHeader:
        """The header of 10 or 12 bytes."""
        return cls(*struct.unpack("<BBHHHHH", data.ljust(HEADER, b"\0")))


@dataclasses.dataclass(frozen=True, slots=True)
class Received:
    """A packet from the device: its header, its bytes, and the ids of the buffers it came in."""

    header: NetHeader
    data: bytes
    ids: tuple[int, ...]


class MockGuest:
    """One queue pair of a virtio-net driver.

    Args:
        memory: of the guest; None: one region of 1 MiB.
        packed: packed rings instead of split ones.
        size: entries of each ring.
        header_size: LEGACY_HEADER or HEADER.
        mergeable: VIRTIO_NET_F_MRG_RXBUF was negotiated.
        event_index: VIRTIO_F_EVENT_IDX was negotiated.
        in_order: VIRTIO_F_IN_ORDER was negotiated.
        start: where both rings begin, as in SplitDriver and PackedDriver.
    """

    def __init__(
        self,
        memory: GuestMemory | None = None,
        *,
        packed: bool = False,
        size: int = 256,
        header_size: int = HEADER,
        mergeable: bool = False,
        event_index: bool = False,
        in_order: bool = False,
        start: int = 0,
    ) -> None:
        self.memory = memory or GuestMemory()
        self.header_size = header_size
        self.mergeable = mergeable
        driver = PackedDriver if packed else SplitDriver
        self.receive_ring: RingDriver
        self.transmit_ring: RingDriver
        self.receive_ring, self.transmit_ring = (
            driver(self.memory, size, event_index=event_index, in_order=in_order, start=start)
            for _ in range(2)
        )
        self._posted: dict[int, tuple[Segment, ...]] = {}
        self._sending: dict[int, tuple[Segment, ...]] = {}

    def post(
        self, lengths: Sequence[int], *, indirect: bool = False, direct: int = 0, at: Sequence[int] = ()
    ) -> int:
        """Offer a receive buffer of segments with these lengths in bytes, header included.

        Args:
            indirect, direct: as for RingDriver.add.
            at: guest-physical addresses of the first segments; the others lie anywhere.

        Returns:
            The buffer's id.

        Raises:
            RingFullError: no descriptors left; nothing has changed.
        """
        segments = self._segments(lengths, at, writable=True)
        try:
            buffer_id = self.receive_ring.add(segments, indirect, direct)
        except RingFullError:
            self._free(segments)
            raise
        self._posted[buffer_id] = segments
        return buffer_id

    def fill(self, *lengths: int, indirect: bool = False) -> int:
        """Post buffers like this one until the receive ring is full, publish them, say how many."""
        count = 0
        while self.receive_ring.free >= (1 if indirect else len(lengths)):
            self.post(lengths, indirect=indirect)
            count += 1
        self.receive_ring.publish()
        return count

    def send(
        self,
        packet: bytes,
        *,
        header: NetHeader = NetHeader(),
        layout: Sequence[int] = (),
        indirect: bool = False,
        direct: int = 0,
        at: Sequence[int] = (),
    ) -> int:
        """Queue a packet with its header in front.

        Args:
            layout: lengths of the first segments in bytes; one more takes the rest, if there is a rest.
            indirect, direct, at: as for `post`.

        Returns:
            The buffer's id.

        Raises:
            RingFullError: no descriptors left; nothing has changed.
            ValueError: the layout is longer than header and packet.
        """
        data = header.pack(self.header_size) + packet
        rest = len(data) - sum(layout)
        if rest < 0:
            raise ValueError(f"layout of {sum(layout)} bytes for {len(data)}")
        segments = self._segments([*layout, rest] if rest else layout, at, writable=False)
        try:
            buffer_id = self.transmit_ring.add(segments, indirect, direct)
        except RingFullError:
            self._free(segments)
            raise
        done = 0
        for segment in segments:
            self.memory.write(segment.address, data[done : done + segment.length])
            done += segment.length
        self._sending[buffer_id] = segments
        return buffer_id

    def publish(self) -> None:
        """Let the device see what was posted and sent."""
        self.receive_ring.publish()
        self.transmit_ring.publish()

    def received(self) -> list[Received]:
        """Take the packets that have come, in order, and give their buffers' memory back.

        Raises:
            DeviceError: they are not packets as virtio 1.2 §5.1.6.4 has them.
            OutOfBoundsError: the device wrote beside a buffer.
        """
        packets = []
        used = self.receive_ring.collect()
        while used:
            first = self._take(used.pop(0))
            if len(first.data) < self.header_size:
                raise DeviceError(f"received {len(first.data)} bytes, less than a network header")
            header = NetHeader.unpack(first.data[: self.header_size])
            if self.header_size == HEADER and not 1 <= header.num_buffers <= (1 + len(used)):
                raise DeviceError(f"num_buffers is {header.num_buffers}, {1 + len(used)} buffers are used")
            if header.num_buffers > 1 and not self.mergeable:
                raise DeviceError(f"num_buffers is {header.num_buffers}, mergeable buffers are off")
            parts = [first, *(self._take(used.pop(0)) for _ in range(header.num_buffers - 1))]
            data = b"".join(part.data for part in parts)[self.header_size :]
            packets.append(Received(header, data, tuple(part.ids[0] for part in parts)))
        return packets

    def sent(self) -> list[int]:
        """The ids of the packets that the device has taken since the last call, in its order.

        Raises:
            DeviceError: it says that it wrote to one.
            OutOfBoundsError: it wrote beside one.
        """
        done = self.transmit_ring.collect()
        for used in done:
            if used.length:
                raise DeviceError(f"the device wrote {used.length} bytes to a packet that it was sent")
            self._free(self._sending.pop(used.id))
        return [used.id for used in done]

    def check(self) -> None:
        """Raise OutOfBoundsError if anything outside the buffers was written to."""
        self.memory.check()

    def _take(self, used: Used) -> Received:
        """One used receive buffer, its header still among the data."""
        segments = self._posted.pop(used.id)
        room = sum(segment.length for segment in segments)
        if used.length > room:
            raise DeviceError(f"the device wrote {used.length} bytes to a buffer of {room}")
        data = b""
        for segment in segments:
            data += self.memory.read(segment.address, min(segment.length, used.length - len(data)))
        self._free(segments)
        return Received(NetHeader(), data, (used.id,))

    def _segments(self, lengths: Sequence[int], at: Sequence[int], writable: bool) -> tuple[Segment, ...]:
        segments = []
        for position, length in enumerate(lengths):
            if position < len(at):
                address = self.memory.claim(at[position], length)
            else:
                address = self.memory.allocate(length)
            segments.append(Segment(address, length, writable))
        return tuple(segments)

    def _free(self, segments: Sequence[Segment]) -> None:
        for segment in segments:
            self.memory.release(segment.address)
