"""The driver side of a split virtqueue (virtio 1.2 §2.7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from vio4wd.testing.guest_memory import GuestMemory
from vio4wd.testing.ring_driver import (
    DESCRIPTOR_SIZE,
    INDIRECT,
    NEXT,
    WRITE,
    DeviceError,
    Outstanding,
    RingDriver,
    RingFullError,
    RingPosition,
    Segment,
    Used,
)

NO_INTERRUPT: Final = 1  # available ring's flags (§2.7.7)
NO_NOTIFY: Final = 1  # used ring's flags (§2.7.10)

DESCRIPTOR = np.dtype([("address", "<u8"), ("length", "<u4"), ("flags", "<u2"), ("next", "<u2")])
USED_ELEMENT = np.dtype([("id", "<u4"), ("length", "<u4")])


class SplitDriver(RingDriver):
    """A split virtqueue whose buffers' ids are the numbers of their first descriptors.

    Args:
        size: entries, a power of two up to 32768.
        event_index: VIRTIO_F_EVENT_IDX was negotiated.
        in_order: VIRTIO_F_IN_ORDER was negotiated.
        start: both rings' first index, 0..65535, as if so many buffers had been used before.
        region: the region of guest memory that holds the ring; None: any.
    """

    packed = False

    def __init__(
        self,
        memory: GuestMemory,
        size: int = 256,
        *,
        event_index: bool = False,
        in_order: bool = False,
        start: int = 0,
        region: int | None = None,
    ) -> None:
        super().__init__(memory, size, event_index, in_order)
        if not 0 < size <= 32768 or size & (size - 1):
            raise ValueError(f"a split ring cannot have {size} entries")
        self.start = RingPosition(last_avail=start, used=start, avail_wrap=0, used_wrap=0)
        self.descriptors = memory.allocate(DESCRIPTOR_SIZE * size, 16, region)
        self.available = memory.allocate(6 + 2 * size, 2, region)
        self.used = memory.allocate(6 + 8 * size, 4, region)
        self.table = memory.view(self.descriptors, DESCRIPTOR_SIZE * size).view(DESCRIPTOR)
        # flags, index, ring, used_event (§2.7.6)
        self._available = memory.view(self.available, 6 + 2 * size).view("<u2")
        used = memory.view(self.used, 6 + 8 * size)
        self._used_head = used[:4].view("<u2")  # flags, index (§2.7.8)
        self._used_ring = used[4 : 4 + 8 * size].view(USED_ELEMENT)
        self._avail_event = used[4 + 8 * size :].view("<u2")
        self._available[:] = 0
        used[:] = 0
        self._available[1] = self._used_head[1] = start
        self._avail_event[0] = start
        self._available[-1] = start
        self._free = list(range(size))
        self._added = start  # available index, once all that was added is published
        self._last_used = start
        self._kicked = start  # available index at the last look whether to kick
        self._interrupted = start  # used index at the last look whether an interrupt is due

    @staticmethod
    def descriptor_dtype() -> np.dtype[np.void]:
        return DESCRIPTOR

    @property
    def free(self) -> int:
        return len(self._free)

    def add(self, segments: Sequence[Segment], indirect: bool = False, direct: int = 0) -> int:
        count = direct + 1 if indirect else len(segments)
        if count > len(self._free):
            raise RingFullError(f"{count} descriptors asked for, {len(self._free)} are free")
        slots, self._free = self._free[:count], self._free[count:]
        table_address = 0
        if indirect:
            length = DESCRIPTOR_SIZE * (len(segments) - direct)
            table_address = self.memory.allocate(length, 16)
            table = self.memory.view(table_address, length).view(DESCRIPTOR)
            self._write_chain(table, list(range(len(table))), segments[direct:])
            self._write_chain(self.table, slots, [*segments[:direct], Segment(table_address, length, False)])
            self.table["flags"][slots[-1]] = INDIRECT
        else:
            self._write_chain(self.table, slots, segments)
        self.outstanding[slots[0]] = Outstanding(tuple(segments), slots, table_address)
        self._unpublished.add(slots[0])
        self.add_head(slots[0])
        return slots[0]

    def add_head(self, head: int) -> None:
        """Put a descriptor number into the available ring, whatever it is; seen after `publish`."""
        self._available[2 + self._added % self.size] = head
        self._added = (self._added + 1) % 65536

    def publish(self) -> None:
        self._unpublished.clear()
        self._available[1] = self._added

    def skip_available(self, count: int) -> None:
        """Move the available index on as if `count` more chains had been added; seen after `publish`."""
        self._added = (self._added + count) % 65536

    def change(
        self,
        slot: int,
        *,
        address: int | None = None,
        length: int | None = None,
        flags: int | None = None,
        next_slot: int | None = None,
    ) -> None:
        fields = {"address": address, "length": length, "flags": flags, "next": next_slot}
        for name, value in fields.items():
            if value is not None:
                self.table[name][slot] = value

    def ready(self) -> list[Used]:
        end = int(self._used_head[1])
        listed: list[Used] = []
        count = (end - self._last_used) % 65536
        if count > len(self.outstanding):
            raise DeviceError(f"used index {end} stands for {count} buffers, {len(self.outstanding)} are due")
        while len(listed) < count:
            entry = self._used_ring[(self._last_used + len(listed)) % self.size]
            listed += self._batch(listed, int(entry["id"]), int(entry["length"]))
        if len(listed) > count:
            raise DeviceError(f"used index {end} counts {count} buffers, the entries {len(listed)}")
        return listed

    def collect(self) -> list[Used]:
        used = self.ready()
        for buffer in self._take(used):
            self._free += buffer.slots
        self._last_used = (self._last_used + len(used)) % 65536
        return used

    def kick_wanted(self) -> bool:
        before, after = self._kicked, int(self._available[1])
        self._kicked = after
        if self.event_index:
            return _passed(int(self._avail_event[0]), before, after)
        return before != after and not self._used_head[0] & NO_NOTIFY

    def suppress_interrupts(self) -> None:
        if self.event_index:
            self._available[-1] = (self._last_used - 1) % 65536
        else:
            self._available[0] = NO_INTERRUPT

    def request_interrupt(self, after: int = 1) -> None:
        self._available[0] = 0
        self._available[-1] = (self._last_used + after - 1) % 65536

    def interrupt_due(self) -> bool:
        before, after = self._interrupted, int(self._used_head[1])
        self._interrupted = after
        if self.event_index:
            return _passed(int(self._available[-1]), before, after)
        return before != after and not self._available[0] & NO_INTERRUPT

    @staticmethod
    def _write_chain(table: np.ndarray, slots: list[int], segments: Sequence[Segment]) -> None:
        for position, (slot, segment) in enumerate(zip(slots, segments, strict=True)):
            last = position == len(slots) - 1
            flags = (WRITE if segment.writable else 0) | (0 if last else NEXT)
            table[slot] = (segment.address, segment.length, flags, 0 if last else slots[position + 1])


def _passed(event: int, before: int, after: int) -> bool:
    """Whether an index that went from `before` to `after` passed `event` (§2.7.7.2)."""
    return (after - event - 1) % 65536 < (after - before) % 65536
