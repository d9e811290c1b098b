"""The device side of a virtqueue, as short as it can be: what the mock guest driver is tested against."""

import dataclasses
import struct

from vio4wd.testing.guest_memory import GuestMemory
from vio4wd.testing.ring_driver import AVAIL, INDIRECT, NEXT, USED, WRITE, RingDriver, Segment


@dataclasses.dataclass(frozen=True)
class Chain:
    id: int
    segments: tuple[Segment, ...]
    slots: int

    def read(self, memory: GuestMemory) -> bytes:
        return b"".join(memory.read(s.address, s.length) for s in self.segments if not s.writable)

    def write(self, memory: GuestMemory, data: bytes) -> int:
        """Fill the writable segments; the number of bytes that found room."""
        done = 0
        for segment in self.segments:
            if segment.writable:
                part = data[done : done + segment.length]
                memory.write(segment.address, part)
                done += len(part)
        return done


class SplitDevice:
    def __init__(self, ring: RingDriver) -> None:
        self.ring, self.memory = ring, ring.memory
        self.last_avail, self.used = ring.start.last_avail, ring.start.used

    def _numbers(self, kind: str, address: int) -> tuple[int, ...]:
        return struct.unpack(kind, self.memory.read(address, struct.calcsize(kind)))

    def take(self) -> list[Chain]:
        (end,) = self._numbers("<H", self.ring.available + 2)
        chains = []
        while self.last_avail != end:
            (head,) = self._numbers("<H", self.ring.available + 4 + 2 * (self.last_avail % self.ring.size))
            table, index, segments, slots = self.ring.descriptors, head, [], 0
            while True:
                address, length, flags, following = self._numbers("<QIHH", table + 16 * index)
                slots += table == self.ring.descriptors
                if flags & INDIRECT:
                    table, index = address, 0
                    continue
                segments.append(Segment(address, length, bool(flags & WRITE)))
                if not flags & NEXT:
                    break
                index = following
            chains.append(Chain(head, tuple(segments), slots))
            self.last_avail = (self.last_avail + 1) % 65536
        return chains

    def give(self, done: list[tuple[Chain, int]]) -> None:
        for chain, length in done:
            address = self.ring.used + 4 + 8 * (self.used % self.ring.size)
            self.memory.write(address, struct.pack("<II", chain.id, length))
            self.used = (self.used + 1) % 65536
        self.memory.write(self.ring.used + 2, struct.pack("<H", self.used))

    def give_last(self, done: list[tuple[Chain, int]]) -> None:
        """One used entry for all of them, in order."""
        address = self.ring.used + 4 + 8 * (self.used % self.ring.size)
        self.memory.write(address, struct.pack("<II", done[-1][0].id, done[-1][1]))
        self.used = (self.used + len(done)) % 65536
        self.memory.write(self.ring.used + 2, struct.pack("<H", self.used))

    def suppress_kicks(self) -> None:
        self.memory.write(self.ring.used, struct.pack("<H", 1))

    def request_kick(self, after: int) -> None:
        """With event index: once `after` more buffers than those taken are available."""
        event = struct.pack("<H", (self.last_avail + after - 1) % 65536)
        self.memory.write(self.ring.used + 4 + 8 * self.ring.size, event)


class PackedDevice:
    def __init__(self, ring: RingDriver) -> None:
        self.ring, self.memory = ring, ring.memory
        start = ring.start
        self.next, self.avail_wrap = start.last_avail, start.avail_wrap
        self.used, self.used_wrap = start.used, start.used_wrap

    def _descriptor(self, address: int) -> tuple[int, int, int, int]:
        return struct.unpack("<QIHH", self.memory.read(address, 16))

    def take(self) -> list[Chain]:
        chains = []
        while True:
            flags = self._descriptor(self.ring.descriptors + 16 * self.next)[3]
            if bool(flags & AVAIL) != bool(self.avail_wrap) or bool(flags & USED) == bool(self.avail_wrap):
                return chains
            segments, slots = [], 0
            while True:
                address, length, buffer_id, flags = self._descriptor(self.ring.descriptors + 16 * self.next)
                assert bool(flags & AVAIL) == bool(self.avail_wrap) != bool(flags & USED)
                if flags & INDIRECT:
                    for entry in range(length // 16):
                        inner = self._descriptor(address + 16 * entry)
                        segments.append(Segment(inner[0], inner[1], bool(inner[3] & WRITE)))
                else:
                    segments.append(Segment(address, length, bool(flags & WRITE)))
                slots += 1
                self.next += 1
                if self.next == self.ring.size:
                    self.next, self.avail_wrap = 0, 1 - self.avail_wrap
                if not flags & NEXT:
                    break
            chains.append(Chain(buffer_id, tuple(segments), slots))

    def _use(self, chain: Chain, length: int, slots: int) -> None:
        flags = (AVAIL | USED if self.used_wrap else 0) | (WRITE if length else 0)
        entry = struct.pack("<QIHH", 0, length, chain.id, flags)
        self.memory.write(self.ring.descriptors + 16 * self.used, entry)
        self.used += slots
        if self.used >= self.ring.size:
            self.used, self.used_wrap = self.used - self.ring.size, 1 - self.used_wrap

    def give(self, done: list[tuple[Chain, int]]) -> None:
        for chain, length in done:
            self._use(chain, length, chain.slots)

    def give_last(self, done: list[tuple[Chain, int]]) -> None:
        """One used entry for all of them, in order."""
        self._use(done[-1][0], done[-1][1], sum(chain.slots for chain, _ in done))

    def suppress_kicks(self) -> None:
        self.memory.write(self.ring.used, struct.pack("<HH", 0, 1))

    def request_kick(self, after: int) -> None:
        """With event index: once `after` more descriptors than those taken are available."""
        position = self.next + after - 1
        wrap = self.avail_wrap if position < self.ring.size else 1 - self.avail_wrap
        event = struct.pack("<HH", position % self.ring.size | wrap << 15, 2)
        self.memory.write(self.ring.used, event)


def device_of(ring: RingDriver) -> SplitDevice | PackedDevice:
    return PackedDevice(ring) if ring.packed else SplitDevice(ring)
