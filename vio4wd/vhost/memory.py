"""Guest memory as a frontend describes it, checked, and its translation of addresses.

A *region* is a range of guest-physical addresses that lies in a file at some offset; the frontend also
says where it has mapped the region itself (the user address), because it names rings by user addresses.
The table owns the regions' file descriptors.

Addresses are kept below 2^63: the data path computes with signed numbers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import stat
import struct
from typing import Final

from vio4wd.vhost.errors import RefusedError, ViolationError
from vio4wd.vhost.fds import close_all
from vio4wd.vhost.payloads import Region

#: Most regions of a table; what fits into one message to a worker.
MAX_REGIONS: Final = 32
#: Frontends map whole pages; offsets and sizes that are not are mistakes or worse.
PAGE: Final = 4096
#: No address may reach this.
ADDRESS_LIMIT: Final = 1 << 63

# Numbers of memory tables, never used twice, so that a worker cannot take one table for another.
_numbers = itertools.count(1)


@dataclasses.dataclass(frozen=True, slots=True)
class MemoryRegion:
    """A range of guest memory and the file it lies in.

    Attributes:
        guest_address: guest-physical address of the first byte.
        size: bytes.
        user_address: where the frontend has mapped the first byte in its own address space.
        mmap_offset: offset of the first byte in the file.
        fd: the file, owned by the table that holds the region.
    """

    guest_address: int
    size: int
    user_address: int
    mmap_offset: int
    fd: int

    def __str__(self) -> str:
        return f"{self.size:#x} bytes at guest address {self.guest_address:#x}"


class MemoryTable:
    """The regions of one guest.

    Attributes:
        regions: in the order of their guest addresses.
        number: changes with each change of the table; unique in this process.
    """

    def __init__(self) -> None:
        self.regions: tuple[MemoryRegion, ...] = ()
        self.number = next(_numbers)

    def replace(self, regions: list[tuple[Region, int]]) -> None:
        """Put these regions and their files in the place of the present ones, which are closed.

        Takes the descriptors over when it succeeds.

        Raises:
            ViolationError: a region is malformed or overlaps another; the table is as before.
        """
        checked = [check_region(region, fd) for region, fd in regions]
        merged = _sorted_without_overlap(checked)
        self.close()
        self.regions = merged

    def add(self, region: Region, fd: int) -> None:
        """Add one region; takes the descriptor over when it succeeds.

        Raises:
            ViolationError: it is malformed or overlaps another one.
            RefusedError: the table is full.
        """
        if len(self.regions) >= MAX_REGIONS:
            raise RefusedError(f"more than {MAX_REGIONS} memory regions")
        merged = _sorted_without_overlap([*self.regions, check_region(region, fd)])
        self.regions = merged
        self.number = next(_numbers)

    def remove(self, region: Region) -> None:
        """Remove the region with this guest address, user address and size.

        Raises:
            RefusedError: there is none.
        """
        wanted = (region.guest_address, region.user_address, region.size)
        for known in self.regions:
            if (known.guest_address, known.user_address, known.size) == wanted:
                self.regions = tuple(other for other in self.regions if other is not known)
                self.number = next(_numbers)
                close_all([known.fd])
                return
        raise RefusedError(f"no memory region of {region.size:#x} bytes at {region.guest_address:#x}")

    def close(self) -> None:
        """Forget all regions and close their files."""
        regions, self.regions = self.regions, ()
        self.number = next(_numbers)
        close_all(region.fd for region in regions)

    def guest_address(self, user_address: int, length: int) -> int | None:
        """Guest-physical address of `length` bytes at the frontend's address.

        None: they do not lie in one region, from the first byte to the last.
        """
        for region in self.regions:
            offset = user_address - region.user_address
            if offset >= 0 and offset + length <= region.size:
                return region.guest_address + offset
        return None

    def read_u16(self, guest_address: int) -> int | None:
        """The little-endian 16-bit number there, read through the file; None: it cannot be read."""
        for region in self.regions:
            offset = guest_address - region.guest_address
            if offset >= 0 and offset + 2 <= region.size:
                with contextlib.suppress(OSError):
                    data = os.pread(region.fd, 2, region.mmap_offset + offset)
                    if len(data) == 2:
                        return int(struct.unpack("<H", data)[0])
        return None


def check_region(region: Region, fd: int) -> MemoryRegion:
    """The region in that file, if it is one.

    Raises:
        ViolationError: empty, not made of whole pages, beyond what can be addressed, or larger than
            the file; or the descriptor is no file.
    """
    where = f"memory region of {region.size:#x} bytes at guest address {region.guest_address:#x}"
    numbers = (region.guest_address, region.size, region.user_address, region.mmap_offset)
    if region.size == 0 or any(number % PAGE for number in numbers):
        raise ViolationError(
            f"{where}, user address {region.user_address:#x}, offset {region.mmap_offset:#x}: not whole pages"
        )
    starts = (region.guest_address, region.user_address, region.mmap_offset)
    if any(start + region.size > ADDRESS_LIMIT for start in starts):
        raise ViolationError(f"{where}: an address beyond 2^63")
    check_file(fd, region.mmap_offset, region.size, where)
    return MemoryRegion(region.guest_address, region.size, region.user_address, region.mmap_offset, fd)


def check_file(fd: int, offset: int, size: int, what: str) -> None:
    """See that the file holds `size` bytes from `offset` on.

    Raises:
        ViolationError: it does not, or it is no file that can be mapped.
    """
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise ViolationError(f"{what}: its descriptor is not a file")
    if offset + size > status.st_size:
        raise ViolationError(f"{what}: ends at {offset + size:#x} in a file of {status.st_size:#x} bytes")


def _sorted_without_overlap(regions: list[MemoryRegion]) -> tuple[MemoryRegion, ...]:
    """The regions in the order of their guest addresses.

    Raises:
        ViolationError: two share a guest address. (User addresses may: one memory, two places.)
    """
    by_guest = sorted(regions, key=lambda region: region.guest_address)
    for one, next_one in itertools.pairwise(by_guest):
        if one.guest_address + one.size > next_one.guest_address:
            raise ViolationError(f"memory regions overlap: {one}; {next_one}")
    return tuple(by_guest)
