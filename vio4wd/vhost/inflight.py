"""The memory that a frontend keeps for us, so that a backend that takes over finds where its rings stood.

("Inflight I/O tracking" of the specification; `shm.inflight` says what stands in it.) The memory is the
frontend's as soon as it has it: whatever we read here may be anybody's invention.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import struct
from typing import Final

from vio4wd.shm import inflight as layout

_VERSION: Final = struct.Struct("<H")
#: Version, entries of the ring, and the step of a packed ring: what stands from VERSION_AT on.
_HEAD: Final = struct.Struct("<HH4xQ")


@dataclasses.dataclass(frozen=True, slots=True)
class Inflight:
    """The memory as the frontend gave it.

    Attributes:
        fd: its file, owned by the device's state.
        size: bytes.
        offset: where it begins in the file.
        queues: how many parts it has.
        queue_size: entries of each queue at most.
        packed: it is for packed rings.
    """

    fd: int
    size: int
    offset: int
    queues: int
    queue_size: int
    packed: bool

    def part(self, queue: int, size: int, *, packed: bool) -> int:
        """Where the part of a queue with so many entries begins in the memory; -1: it has none."""
        if queue >= self.queues or size > self.queue_size or packed != self.packed:
            return -1
        return queue * layout.part_size(self.queue_size, packed=packed)

    def step(self, queue: int, size: int) -> int | None:
        """The last step of a packed queue's backend (`shm.inflight.STEP_AT`), None: it is not known."""
        part = self.part(queue, size, packed=True)
        if part < 0:
            return None
        data = b""
        with contextlib.suppress(OSError):
            data = os.pread(self.fd, _HEAD.size, self.offset + part + layout.VERSION_AT)
        version, entries, step = _HEAD.unpack(data.ljust(_HEAD.size, b"\0"))
        return int(step) if (version, entries) == (1, size) else None

    def forget(self, queue: int) -> None:
        """Where the queue stands is somebody else's business from now on: it was stopped in order."""
        part = self.part(queue, 0, packed=self.packed)
        if part < 0:
            return
        with contextlib.suppress(OSError):  # its file may refuse
            os.pwrite(self.fd, _VERSION.pack(0), self.offset + part + layout.VERSION_AT)


def area_size(queues: int, queue_size: int, *, packed: bool) -> int:
    """Bytes for so many queues of at most so many entries."""
    return queues * layout.part_size(queue_size, packed=packed)


def create(queues: int, queue_size: int, *, packed: bool) -> tuple[int, int]:
    """Memory for so many queues that nobody has used.

    Returns:
        Its descriptor, which is the caller's, and its size in bytes.
    """
    size = area_size(queues, queue_size, packed=packed)
    fd = os.memfd_create("vhost-inflight", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd, size


def check_step(step: int, size: int) -> tuple[int, int] | None:
    """What a step found in the memory means for a packed ring of so many entries.

    Args:
        step: as `layout.STEP_AT` has it.

    Returns:
        The position it leads to, as SET_VRING_BASE has it for both halves, and the step itself if it may not
        have been finished, else 0. None: it is no step in such a ring.
    """
    after, before, wrap, wrap_before = struct.unpack("<HHBB2x", struct.pack("<Q", step))
    if max(after, before) >= size or max(wrap, wrap_before) > 1:
        return None
    base = (after | wrap << 15) * 0x10001
    return base, 0 if (after, wrap) == (before, wrap_before) else step & (1 << 48) - 1
