"""Guest memory in a worker: the regions of one memory table, mapped once for all directions that use it.

A frontend may truncate the file behind a region at any time; touching it then raises SIGBUS. Each
mapping is therefore registered with `dpdk.guard`, which replaces the page and tells us.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Sequence

import numpy as np

from vio4wd.dpdk import guard
from vio4wd.kernels.records import REGION
from vio4wd.worker.protocol import Region


class GuestMemoryError(Exception):
    """A region cannot be mapped; the text says which one and why."""


class Mapping:
    """A file range mapped into this process; close() unmaps it. The file descriptor stays the caller's.

    Attributes:
        address: of the byte at `offset` of the file.
    """

    def __init__(self, fd: int, offset: int, size: int) -> None:
        file = os.fstat(fd)
        page = max(file.st_blksize, mmap.PAGESIZE)  # of a hugetlbfs file: the huge page's size
        length = -(-(offset + size) // page) * page
        if file.st_size < offset + size:
            raise GuestMemoryError(f"the file has {file.st_size} bytes, {offset + size} are needed")
        try:
            # From the file's start: an offset need not be a multiple of the (huge) page's size.
            self._map = mmap.mmap(fd, min(length, file.st_size))
        except (OSError, ValueError) as error:
            raise GuestMemoryError(f"{size} bytes of guest memory cannot be mapped: {error}") from None
        view = np.frombuffer(self._map, np.uint8)
        start = view.ctypes.data
        self._slot = guard.add(start, len(view))
        self.address = start + offset

    @property
    def gone(self) -> bool:
        """Whether the file was truncated and touched since."""
        return guard.tripped(self._slot)

    def close(self) -> None:
        guard.remove(self._slot)
        self._map.close()


class GuestMemory:
    """The mapped regions of a guest. Every user holds it with `retain` and lets go with `release`.

    Attributes:
        regions: array of records.REGION for kernels.
    """

    def __init__(self, regions: Sequence[Region], fds: Sequence[int]) -> None:
        """Map all regions.

        Args:
            fds: the message's file descriptors, which `Region.fd` counts in; they stay the caller's.

        Raises:
            GuestMemoryError: one cannot be mapped; none is then.
        """
        self.regions = np.zeros(len(regions), REGION)
        self._users = 0
        self._mappings: list[Mapping] = []
        with contextlib.ExitStack() as undo:
            for record, region in zip(self.regions, regions, strict=True):
                mapping = Mapping(fds[region.fd], region.mmap_offset, region.size)
                undo.callback(mapping.close)
                self._mappings.append(mapping)
                record["start"] = region.guest_address
                record["end"] = region.guest_address + region.size
                record["delta"] = mapping.address - region.guest_address
            undo.pop_all()

    @property
    def gone(self) -> bool:
        """Whether a file behind a region was truncated."""
        return any(mapping.gone for mapping in self._mappings)

    def host_address(self, guest_address: int, size: int) -> int:
        """Host address of a range.

        Raises:
            GuestMemoryError: it is not wholly inside one region.
        """
        for region in self.regions:
            if region["start"] <= guest_address and guest_address + size <= region["end"]:
                return int(guest_address + region["delta"])
        raise GuestMemoryError(f"{size} bytes at guest address {guest_address:#x} are in no memory region")

    @property
    def in_use(self) -> bool:
        """Whether it is mapped."""
        return self._users > 0

    def retain(self) -> GuestMemory:
        self._users += 1
        return self

    def release(self) -> None:
        self._users -= 1
        if self._users == 0:
            for mapping in self._mappings:
                mapping.close()
            self._mappings.clear()
