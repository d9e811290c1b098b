"""The driver side of a packed virtqueue (virtio 1.2 §2.8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from vio4wd.testing.guest_memory import GuestMemory
from vio4wd.testing.ring_driver import (
    AVAIL,
    DESCRIPTOR_SIZE,
    INDIRECT,
    NEXT,
    USED,
    WRITE,
    DeviceError,
    Outstanding,
    RingDriver,
    RingFullError,
    RingPosition,
    Segment,
    Used,
)

# Flags of the event suppression areas (§2.8.14).
EVENTS_ALL: Final = 0
EVENTS_NONE: Final = 1
EVENTS_AT: Final = 2

DESCRIPTOR = np.dtype([("address", "<u8"), ("length", "<u4"), ("id", "<u2"), ("flags", "<u2")])

#: The id in the descriptors of a chain but its last, which alone counts (§2.8.6).
NO_ID: Final = 0xFFFF


class PackedDriver(RingDriver):
    """A packed virtqueue.

    A position is counted without end here; its descriptor is position % size, and its wrap counter
    is 1 in the laps of even number.

    Args:
        size: entries, 1 to 32768.
        event_index: VIRTIO_F_EVENT_IDX was negotiated.
        in_order: VIRTIO_F_IN_ORDER was negotiated.
        start: first position, 0 to 2 * size - 1; from `size` on the wrap counters begin with 0.
        region: the region of guest memory that holds the ring; None: any.
    """

    packed = True

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
        if not 0 < size <= 32768:
            raise ValueError(f"a packed ring cannot have {size} entries")
        wrap = self._wrap(start)
        self.start = RingPosition(last_avail=start % size, used=start % size, avail_wrap=wrap, used_wrap=wrap)
        self.descriptors = memory.allocate(DESCRIPTOR_SIZE * size, 16, region)
        self.available = memory.allocate(4, 4, region)
        self.used = memory.allocate(4, 4, region)
        self.table = memory.view(self.descriptors, DESCRIPTOR_SIZE * size).view(DESCRIPTOR)
        self._driver_events = memory.view(self.available, 4).view("<u2")  # position and wrap, flags
        self._device_events = memory.view(self.used, 4).view("<u2")
        self._driver_events[:] = 0
        self._device_events[:] = 0
        self.table[:] = 0
        self._free_ids = list(range(size))
        self._added = start  # position of the next descriptor to write
        self._published = start
        self._last_used = start
        self._kicked = start
        self._interrupted = start
        self._held_flags: dict[int, int] = {}  # of first descriptors, which make their chains available

    @staticmethod
    def descriptor_dtype() -> np.dtype[np.void]:
        return DESCRIPTOR

    @property
    def free(self) -> int:
        return self.size - (self._added - self._last_used)

    def add(self, segments: Sequence[Segment], indirect: bool = False, direct: int = 0) -> int:
        if direct:
            raise ValueError("a chain of a packed ring has either direct or indirect descriptors (§2.8.5)")
        count = 1 if indirect else len(segments)
        if count > self.free:
            raise RingFullError(f"{count} descriptors asked for, {self.free} are free")
        buffer_id = self._added % self.size if self.in_order else self._free_ids.pop()
        table_address = self._write_table(segments) if indirect else 0
        slots = []
        for position in range(count):
            if indirect:
                address, length, flags = table_address, DESCRIPTOR_SIZE * len(segments), INDIRECT
            else:
                address, length = segments[position].address, segments[position].length
                flags = WRITE if segments[position].writable else 0
            last = position == count - 1
            flags |= (0 if last else NEXT) | (AVAIL if self._wrap(self._added) else USED)
            slot = self._added % self.size
            self.table["address"][slot] = address
            self.table["length"][slot] = length
            self.table["id"][slot] = buffer_id if last else NO_ID
            if position == 0:
                self._held_flags[slot] = flags
            else:
                self.table["flags"][slot] = flags
            slots.append(slot)
            self._added += 1
        self.outstanding[buffer_id] = Outstanding(tuple(segments), slots, table_address)
        self._unpublished.add(buffer_id)
        return buffer_id

    def publish(self) -> None:
        self._unpublished.clear()
        for slot, flags in self._held_flags.items():
            self.table["flags"][slot] = flags
        self._held_flags.clear()
        self._published = self._added

    def change(
        self,
        slot: int,
        *,
        address: int | None = None,
        length: int | None = None,
        flags: int | None = None,
        next_slot: int | None = None,
    ) -> None:
        if next_slot is not None:
            raise ValueError("descriptors of a packed ring have no next")
        if address is not None:
            self.table["address"][slot] = address
        if length is not None:
            self.table["length"][slot] = length
        if flags is not None and slot in self._held_flags:
            self._held_flags[slot] = self._held_flags[slot] & (AVAIL | USED) | flags
        elif flags is not None:
            self.table["flags"][slot] = int(self.table["flags"][slot]) & (AVAIL | USED) | flags

    def ready(self) -> list[Used]:
        return self._ready()[0]

    def collect(self) -> list[Used]:
        used, self._last_used = self._ready()
        self._take(used)
        if not self.in_order:
            self._free_ids += [entry.id for entry in used]
        return used

    def kick_wanted(self) -> bool:
        before, self._kicked = self._kicked, self._published
        return self._due(self._device_events, before, self._published)

    def suppress_interrupts(self) -> None:
        self._driver_events[1] = EVENTS_NONE

    def request_interrupt(self, after: int = 1) -> None:
        if self.event_index:
            position = self._last_used + after - 1
            self._driver_events[0] = position % self.size | self._wrap(position) << 15
            self._driver_events[1] = EVENTS_AT
        else:
            self._driver_events[1] = EVENTS_ALL

    def interrupt_due(self) -> bool:
        before, self._interrupted = self._interrupted, self._ready()[1]
        return self._due(self._driver_events, before, self._interrupted)

    def _write_table(self, segments: Sequence[Segment]) -> int:
        """Allocate and fill an indirect table, in which only the write flag means anything (§2.8.7)."""
        table_address = self.memory.allocate(DESCRIPTOR_SIZE * len(segments), 16)
        table = self.memory.view(table_address, DESCRIPTOR_SIZE * len(segments)).view(DESCRIPTOR)
        for position, segment in enumerate(segments):
            flags = WRITE if segment.writable else 0
            table[position] = (segment.address, segment.length, NO_ID, flags)
        return table_address

    def _wrap(self, position: int) -> int:
        return 1 - position // self.size % 2

    def _ready(self) -> tuple[list[Used], int]:
        """Buffers given back, and the position behind them."""
        listed: list[Used] = []
        position = self._last_used
        while len(listed) < len(self.outstanding):
            entry = self.table[position % self.size]
            flags = int(entry["flags"])
            both = AVAIL | USED
            if flags & both != (both if self._wrap(position) else 0) or position >= self._published:
                break
            # The length of a used entry counts only when it says that something was written (§2.8.4).
            length = int(entry["length"]) if flags & WRITE else 0
            batch = self._batch(listed, int(entry["id"]), length)
            listed += batch
            position += sum(len(self.outstanding[used.id].slots) for used in batch)
        if position > self._published:
            raise DeviceError(f"the device used descriptors to {position}, {self._published} are published")
        return listed, position

    def _due(self, events: np.ndarray, before: int, after: int) -> bool:
        """Whether the one who wrote `events` wants to hear of the positions from `before` to `after`."""
        where, how = int(events[0]), int(events[1])
        if how == EVENTS_AT:
            slot, wrap = where & 0x7FFF, where >> 15
            return any(
                position % self.size == slot and self._wrap(position) == wrap
                for position in range(before, after)
            )
        return before != after and how == EVENTS_ALL
