"""What vhost-user messages carry, as values and as bytes ("Payload" of the specification).

Numbers are in the machine's byte order. `unpack` takes the exact bytes of a message and raises
ViolationError when the size is not one of the type's.
"""

from __future__ import annotations

import dataclasses
import struct
from typing import ClassVar, Final, Protocol, Self

from vio4wd.vhost.errors import ViolationError

#: Most regions in a SET_MEM_TABLE; a frontend with more memory slots sends ADD_MEM_REG.
TABLE_REGIONS: Final = 8


class Payload(Protocol):
    """The part of a message after its header."""

    #: Sizes in bytes that it may have.
    SIZES: ClassVar[frozenset[int]]

    def pack(self) -> bytes:
        """Its bytes."""

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """The value of these bytes.

        Raises:
            ViolationError: they are none.
        """


@dataclasses.dataclass(frozen=True, slots=True)
class Nothing:
    """No payload."""

    SIZES: ClassVar[frozenset[int]] = frozenset({0})

    def pack(self) -> bytes:
        return b""

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        _check_size(cls, data)
        return cls()


@dataclasses.dataclass(frozen=True, slots=True)
class Number:
    """A 64-bit number ("u64")."""

    value: int

    _FORMAT: ClassVar = struct.Struct("=Q")
    SIZES: ClassVar[frozenset[int]] = frozenset({8})

    def pack(self) -> bytes:
        return self._FORMAT.pack(self.value)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        _check_size(cls, data)
        return cls(*cls._FORMAT.unpack(data))


@dataclasses.dataclass(frozen=True, slots=True)
class VringFile:
    """Which virtqueue a descriptor is for: bits 0 to 7 the queue, bit 8 "there is no descriptor"."""

    index: int
    no_fd: bool

    SIZES: ClassVar[frozenset[int]] = Number.SIZES

    def pack(self) -> bytes:
        return Number(self.index | self.no_fd << 8).pack()

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        value = Number.unpack(data).value
        if value > 0x1FF:
            raise ViolationError(f"queue and flags {value:#x} use more than 9 bits")
        return cls(value & 0xFF, bool(value >> 8))


@dataclasses.dataclass(frozen=True, slots=True)
class VringState:
    """A number for a virtqueue ("vring state description")."""

    index: int
    number: int

    _FORMAT: ClassVar = struct.Struct("=II")
    SIZES: ClassVar[frozenset[int]] = frozenset({8})

    def pack(self) -> bytes:
        return self._FORMAT.pack(self.index, self.number)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        _check_size(cls, data)
        return cls(*cls._FORMAT.unpack(data))


@dataclasses.dataclass(frozen=True, slots=True)
class VringAddress:
    """Where a virtqueue lies ("vring address description"); `log` is a guest-physical address."""

    index: int
    flags: int
    descriptors: int
    used: int
    available: int
    log: int

    _FORMAT: ClassVar = struct.Struct("=IIQQQQ")
    SIZES: ClassVar[frozenset[int]] = frozenset({40})

    def pack(self) -> bytes:
        return self._FORMAT.pack(
            self.index, self.flags, self.descriptors, self.used, self.available, self.log
        )

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        _check_size(cls, data)
        return cls(*cls._FORMAT.unpack(data))


@dataclasses.dataclass(frozen=True, slots=True)
class Region:
    """A memory region as a frontend tells it; see `memory.MemoryRegion` for the meanings."""

    guest_address: int
    size: int
    user_address: int
    mmap_offset: int

    FORMAT: ClassVar = struct.Struct("=QQQQ")

    def pack(self) -> bytes:
        return self.FORMAT.pack(self.guest_address, self.size, self.user_address, self.mmap_offset)


@dataclasses.dataclass(frozen=True, slots=True)
class Regions:
    """All of a guest's memory ("multiple memory regions description")."""

    regions: tuple[Region, ...]

    _HEAD: ClassVar = struct.Struct("=II")
    SIZES: ClassVar[frozenset[int]] = frozenset(8 + 32 * count for count in range(TABLE_REGIONS + 1))

    def pack(self) -> bytes:
        head = self._HEAD.pack(len(self.regions), 0)
        return head + b"".join(region.pack() for region in self.regions)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """As all; a frontend may send the array in its full length whatever the count."""
        _check_size(cls, data)
        count, _ = cls._HEAD.unpack_from(data)
        if len(data) not in (8 + 32 * count, 8 + 32 * TABLE_REGIONS) or count > TABLE_REGIONS:
            raise ViolationError(f"{count} memory regions in {len(data)} bytes")
        return cls(tuple(Region(*Region.FORMAT.unpack_from(data, 8 + 32 * i)) for i in range(count)))


@dataclasses.dataclass(frozen=True, slots=True)
class SingleRegion:
    """One memory region after 8 bytes of padding ("single memory region description")."""

    region: Region

    SIZES: ClassVar[frozenset[int]] = frozenset({40})

    def pack(self) -> bytes:
        return bytes(8) + self.region.pack()

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        _check_size(cls, data)
        return cls(Region(*Region.FORMAT.unpack_from(data, 8)))


@dataclasses.dataclass(frozen=True, slots=True)
class LogArea:
    """Where the dirty log lies in its file ("log description")."""

    size: int
    offset: int

    _FORMAT: ClassVar = struct.Struct("=QQ")
    SIZES: ClassVar[frozenset[int]] = frozenset({16})

    def pack(self) -> bytes:
        return self._FORMAT.pack(self.size, self.offset)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        _check_size(cls, data)
        return cls(*cls._FORMAT.unpack(data))


@dataclasses.dataclass(frozen=True, slots=True)
class InflightArea:
    """Where the in-flight memory lies in its file, and for what queues ("inflight description").

    All frontends send it as C lays it out, with four bytes of padding at the end.
    """

    size: int
    offset: int
    queues: int
    queue_size: int

    _FORMAT: ClassVar = struct.Struct("=QQHH4x")
    SIZES: ClassVar[frozenset[int]] = frozenset({24})

    def pack(self) -> bytes:
        return self._FORMAT.pack(self.size, self.offset, self.queues, self.queue_size)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        _check_size(cls, data)
        return cls(*cls._FORMAT.unpack(data))


@dataclasses.dataclass(frozen=True, slots=True)
class WithFile:
    """A reply and the descriptor that goes beside it, which is whose the reply is."""

    payload: Payload
    fd: int


def _check_size(kind: type[Payload], data: bytes) -> None:
    if len(data) not in kind.SIZES:
        raise ViolationError(f"payload of {len(data)} bytes, not {sorted(kind.SIZES)}")
