"""Guest memory that a test owns: regions, guards around them, and an allocator.

A region is a block of this process's memory that the guest knows by another address, as a backend
sees the memory table of a real guest. Writes where nobody may write are found in two ways: guards of
a fixed pattern lie before and behind each region, and red zones of the same pattern around each
allocation. `check` looks at all of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

#: What guards and red zones are filled with.
PATTERN: Final = 0xA5
#: What a fresh allocation is filled with, so that bytes nobody wrote do not look like data.
POISON: Final = 0xCC
#: Bytes of guard on either side of a region.
GUARD: Final = 4096
#: Bytes of red zone on either side of an allocation: one vector store of the widest kind.
RED_ZONE: Final = 64
#: Host and guest addresses agree in the bits below this power of two.
ALIGNMENT: Final = 64

DEFAULT_REGIONS: Final = ((0x1_0000_0000, 1 << 20),)

Bytes = npt.NDArray[np.uint8]


class OutOfBoundsError(Exception):
    """Something wrote outside the memory that it was given."""


@dataclasses.dataclass(frozen=True, slots=True)
class MappedRegion:
    """A region as a backend needs it: first guest-physical address, bytes, first host address."""

    guest_address: int
    size: int
    host_address: int

    @property
    def guest_end(self) -> int:
        """The guest-physical address behind the last byte."""
        return self.guest_address + self.size


class GuestMemory:
    """The regions of one guest, and who uses which part of them.

    Args:
        regions: (guest-physical address, bytes) of each, not overlapping, in any order.
    """

    def __init__(self, regions: Sequence[tuple[int, int]] = DEFAULT_REGIONS) -> None:
        self._blocks: list[Bytes] = []
        self._bodies: list[Bytes] = []
        self._free: list[list[tuple[int, int]]] = []  # of each region, sorted (first, end) ranges
        self._allocations: dict[int, int] = {}  # guest address -> bytes, red zones not counted
        self._claims: dict[int, int] = {}
        mapped = []
        for guest_address, size in regions:
            block = self._block(size + 2 * GUARD + ALIGNMENT)
            start = GUARD + (guest_address - GUARD - block.ctypes.data) % ALIGNMENT
            block[:start] = PATTERN
            block[start + size :] = PATTERN
            self._blocks.append(block)
            self._bodies.append(block[start : start + size])
            self._free.append([(guest_address, guest_address + size)])
            mapped.append(MappedRegion(guest_address, size, block.ctypes.data + start))
        self.regions: tuple[MappedRegion, ...] = tuple(mapped)

    def table(self) -> npt.NDArray[np.int64]:
        """The regions as an array of shape (regions, 3): guest address, bytes, host address."""
        return np.array([dataclasses.astuple(region) for region in self.regions], np.int64)

    def view(self, address: int, length: int) -> Bytes:
        """The bytes at a guest-physical address, writable in place; they must lie in one region.

        Raises:
            ValueError: they do not.
        """
        for region, body in zip(self.regions, self._bodies, strict=True):
            if region.guest_address <= address and address + length <= region.guest_end:
                offset = address - region.guest_address
                return body[offset : offset + length]
        raise ValueError(f"guest memory has no {length} bytes at {address:#x} in one region")

    def host(self, address: int) -> int:
        """The host address of a guest-physical one.

        Raises:
            ValueError: no region holds it.
        """
        return int(self.view(address, 1).ctypes.data)

    def read(self, address: int, length: int) -> bytes:
        """Bytes that may cross from one region into another that follows it in the guest's view.

        Raises:
            ValueError: not all of them are in a region.
        """
        return b"".join(part.tobytes() for part in self._parts(address, length))

    def write(self, address: int, data: bytes) -> None:
        """Store bytes; like `read` in all else."""
        done = 0
        for part in self._parts(address, len(data)):
            part[:] = np.frombuffer(data, np.uint8, len(part), done)
            done += len(part)

    def allocate(self, size: int, align: int = 1, region: int | None = None) -> int:
        """Take `size` bytes, filled with POISON, with red zones around them, from one region.

        Args:
            size: bytes, 0 allowed.
            align: power of two that divides the address returned.
            region: index in `regions`; None: the first that has room.

        Returns:
            The guest-physical address.

        Raises:
            MemoryError: there is no such room.
        """
        for index in range(len(self.regions)) if region is None else (region,):
            for first, end in self._free[index]:
                address = -(-(first + RED_ZONE) // align) * align
                if address + size + RED_ZONE <= end:
                    self._take(index, address - RED_ZONE, address + size + RED_ZONE)
                    for zone in self._red_zones(address, size):
                        zone[:] = PATTERN
                    self.view(address, size)[:] = POISON
                    self._allocations[address] = size
                    return address
        raise MemoryError(f"guest memory has no {size} bytes left")

    def claim(self, address: int, size: int) -> int:
        """Take the bytes at this very place, across adjacent regions if need be, without red zones.

        Returns:
            `address`.

        Raises:
            MemoryError: part of them is taken.
            ValueError: part of them is in no region.
        """
        self._parts(address, size)
        for index, region in enumerate(self.regions):
            first = max(address, region.guest_address)
            end = min(address + size, region.guest_end)
            if first < end:
                self._take(index, first, end)
        self.write(address, bytes([POISON]) * size)
        self._claims[address] = size
        return address

    def release(self, address: int) -> None:
        """Give back what `allocate` or `claim` returned.

        Raises:
            KeyError: it was not taken.
            OutOfBoundsError: its red zones were written to.
        """
        if address in self._claims:
            first, end = address, address + self._claims.pop(address)
        else:
            self._check_red_zones(address, self._allocations[address])
            first, end = address - RED_ZONE, address + self._allocations.pop(address) + RED_ZONE
        for index, region in enumerate(self.regions):
            lower, upper = max(first, region.guest_address), min(end, region.guest_end)
            if lower < upper:
                self._give(index, lower, upper)

    def check(self) -> None:
        """Look at every guard and red zone.

        Raises:
            OutOfBoundsError: one was written to; the message says where.
        """
        self.check_guards()
        for address, size in self._allocations.items():
            self._check_red_zones(address, size)

    def check_guards(self) -> None:
        """Look at the guards alone, for guests that lie about where their buffers are.

        Raises:
            OutOfBoundsError: as above.
        """
        for region, block in zip(self.regions, self._blocks, strict=True):
            start = region.host_address - block.ctypes.data
            for name, first, guard in (
                ("before", -start, block[:start]),
                ("behind", region.size, block[start + region.size :]),
            ):
                wrong = np.flatnonzero(guard != PATTERN)
                if len(wrong):
                    raise OutOfBoundsError(
                        f"{len(wrong)} bytes {name} the region at {region.guest_address:#x} overwritten, "
                        f"first at {region.guest_address + first + int(wrong[0]):#x}"
                    )

    def _block(self, size: int) -> Bytes:
        """Memory for a region and its guards, all 0."""
        return np.zeros(size, np.uint8)

    def _parts(self, address: int, length: int) -> list[Bytes]:
        parts = []
        while length > 0:
            for region in self.regions:
                if region.guest_address <= address < region.guest_end:
                    piece = min(length, region.guest_end - address)
                    parts.append(self.view(address, piece))
                    address += piece
                    length -= piece
                    break
            else:
                raise ValueError(f"guest memory has nothing at {address:#x}")
        return parts

    def _red_zones(self, address: int, size: int) -> tuple[Bytes, Bytes]:
        return self.view(address - RED_ZONE, RED_ZONE), self.view(address + size, RED_ZONE)

    def _check_red_zones(self, address: int, size: int) -> None:
        before, behind = self._red_zones(address, size)
        for name, zone in (("before", before), ("behind", behind)):
            if (zone != PATTERN).any():
                raise OutOfBoundsError(f"bytes {name} the {size} ones at {address:#x} were overwritten")

    def _take(self, index: int, first: int, end: int) -> None:
        ranges = self._free[index]
        for position, (lower, upper) in enumerate(ranges):
            if lower <= first and end <= upper:
                rest = [(lower, first), (end, upper)]
                ranges[position : position + 1] = [entry for entry in rest if entry[0] < entry[1]]
                return
        raise MemoryError(f"guest memory from {first:#x} to {end:#x} is in use")

    def _give(self, index: int, first: int, end: int) -> None:
        merged: list[tuple[int, int]] = []
        for lower, upper in sorted([*self._free[index], (first, end)]):
            if merged and merged[-1][1] == lower:
                merged[-1] = (merged[-1][0], upper)
            else:
                merged.append((lower, upper))
        self._free[index] = merged
