"""What the driver sides of split and packed virtqueues have in common: words, data and interface.

The drivers are written from the specification (virtio 1.2 §2.7, §2.8) in plain Python, apart from the
kernels that they test, and trust the device in nothing: what it may not do raises DeviceError. Their
stores reach the device in program order on x86, whose caches keep the order of stores.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from vio4wd.testing.guest_memory import GuestMemory

# Descriptor flags (virtio 1.2 §2.7.5, §2.8.1, §2.8.13).
NEXT: Final = 1
WRITE: Final = 2
INDIRECT: Final = 4
AVAIL: Final = 1 << 7  # packed only
USED: Final = 1 << 15  # packed only

DESCRIPTOR_SIZE: Final = 16


class DeviceError(Exception):
    """The device did to the ring what the specification does not allow."""


class RingFullError(Exception):
    """The ring has too few free descriptors for the buffer."""


@dataclasses.dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a buffer: guest-physical address, bytes, and whether the device writes it."""

    address: int
    length: int
    writable: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Used:
    """A buffer that the device gave back: its id, as `add` returned it, and the bytes written."""

    id: int
    length: int


@dataclasses.dataclass(frozen=True, slots=True)
class RingPosition:
    """Where a device begins; the meanings are those of shm.layout.RING."""

    last_avail: int
    used: int
    avail_wrap: int
    used_wrap: int


@dataclasses.dataclass(slots=True)
class Outstanding:
    """A buffer between `add` and `collect`."""

    segments: tuple[Segment, ...]
    slots: list[int]  # descriptors of the ring, in chain order
    indirect_table: int  # guest-physical address, 0: none

    @property
    def writable_length(self) -> int:
        """Bytes that the device may write."""
        return sum(segment.length for segment in self.segments if segment.writable)


class RingDriver(ABC):
    """The driver side of one virtqueue.

    Attributes:
        size: entries.
        descriptors: guest-physical address of the descriptor table (split) or ring (packed).
        available: ... of the available ring (split) or the driver's event suppression area (packed).
        used: ... of the used ring (split) or the device's event suppression area (packed).
        start: where a device that is new to the ring begins.
        outstanding: buffers the device has, by id, in the order in which they were added.
    """

    packed: bool
    size: int
    descriptors: int
    available: int
    used: int
    start: RingPosition

    def __init__(self, memory: GuestMemory, size: int, event_index: bool, in_order: bool) -> None:
        self.memory = memory
        self.size = size
        self.event_index = event_index
        self.in_order = in_order
        self.outstanding: dict[int, Outstanding] = {}
        self._unpublished: set[int] = set()

    def host_addresses(self) -> tuple[int, int, int]:
        """Host addresses of `descriptors`, `available` and `used`."""
        host = self.memory.host
        return host(self.descriptors), host(self.available), host(self.used)

    @property
    @abstractmethod
    def free(self) -> int:
        """Descriptors that no buffer occupies."""

    @abstractmethod
    def add(self, segments: Sequence[Segment], indirect: bool = False, direct: int = 0) -> int:
        """Describe a buffer of one or more segments; the device sees it after `publish`.

        Readable segments come before writable ones (virtio 1.2 §2.7.4.2); that is up to the caller.

        Args:
            indirect: put the segments into an indirect table.
            direct: split only: so many of them come before the table (§2.7.5.3.2).

        Returns:
            The buffer's id, unique among those outstanding.

        Raises:
            RingFullError: too few free descriptors; nothing has changed.
        """

    @abstractmethod
    def publish(self) -> None:
        """Let the device see the buffers added since the last call."""

    @abstractmethod
    def change(
        self,
        slot: int,
        *,
        address: int | None = None,
        length: int | None = None,
        flags: int | None = None,
        next_slot: int | None = None,
    ) -> None:
        """Overwrite fields of a descriptor in the ring; this is how chains are broken on purpose.

        Args:
            slot: number of the descriptor.
            flags: NEXT, WRITE and INDIRECT; the bits that make a packed descriptor available stay.
            next_slot: split only.
        """

    @abstractmethod
    def ready(self) -> list[Used]:
        """The buffers the device has given back, without taking them, in its order.

        Raises:
            DeviceError: what the device wrote is not allowed.
        """

    @abstractmethod
    def collect(self) -> list[Used]:
        """Take the buffers the device has given back, in its order; their descriptors are free again.

        Raises:
            DeviceError: what the device wrote is not allowed.
        """

    @abstractmethod
    def kick_wanted(self) -> bool:
        """Whether the device asks to be told of the buffers published since the last call."""

    @abstractmethod
    def suppress_interrupts(self) -> None:
        """Ask the device not to interrupt. With the event index of a split ring this is a hint only."""

    @abstractmethod
    def request_interrupt(self, after: int = 1) -> None:
        """Ask for an interrupt once the device has used `after` more buffers (event index) or any.

        In a packed ring `after` counts descriptors.
        """

    @abstractmethod
    def interrupt_due(self) -> bool:
        """Whether the buffers used since the last call call for an interrupt, as asked at present."""

    def indirect_table(self, buffer_id: int) -> npt.NDArray[np.void]:
        """The indirect table of a buffer added with one, writable in place."""
        buffer = self.outstanding[buffer_id]
        entries = len(buffer.segments) - (len(buffer.slots) - 1)
        return self.memory.view(buffer.indirect_table, DESCRIPTOR_SIZE * entries).view(
            self.descriptor_dtype()
        )

    @staticmethod
    @abstractmethod
    def descriptor_dtype() -> np.dtype[np.void]:
        """The layout of a descriptor: fields address, length, flags, and next (split) or id (packed)."""

    def _batch(self, listed: Sequence[Used], last_id: int, length: int) -> list[Used]:
        """The buffers that a used entry stands for.

        It is one, unless the device uses them in order: then all that are older are used as well
        (virtio 1.2 §2.7.9, §2.8.8), and their lengths remain unknown; they count as filled.

        Args:
            listed: what the entries before it stand for.
        """
        if last_id not in self.outstanding or last_id in self._unpublished:
            raise DeviceError(f"the device used buffer {last_id}, which it does not have")
        if not self.in_order:
            return [Used(last_id, length)]
        batch: list[Used] = []
        for buffer_id in list(self.outstanding)[len(listed) :]:
            if buffer_id == last_id:
                return [*batch, Used(buffer_id, length)]
            batch.append(Used(buffer_id, self.outstanding[buffer_id].writable_length))
        raise DeviceError(f"the device used buffer {last_id} twice or out of order")

    def _take(self, used: Sequence[Used]) -> list[Outstanding]:
        """Forget the buffers listed.

        Raises:
            DeviceError: one is listed twice.
        """
        if len({entry.id for entry in used}) != len(used):
            raise DeviceError("the device used a buffer twice")
        taken = []
        for entry in used:
            buffer = self.outstanding.pop(entry.id)
            if buffer.indirect_table:
                self.memory.release(buffer.indirect_table)
            taken.append(buffer)
        return taken
