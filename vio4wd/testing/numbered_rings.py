"""The driver's side of one virtqueue for numbered traffic, split or packed: compiled code.

A chain is one buffer. Buffer n lies at `guest` + n * BUFFER, and is made available once before it has come
back; so there is always a free descriptor for one that is offered.
"""
# mypy: ignore-errors

import numpy as np

from vio4wd.kernels.compile import inner
from vio4wd.kernels.memory import (
    load16_acquire,
    load32,
    load64_acquire,
    store16,
    store16_release,
    store32,
    store64,
    store64_release,
)
from vio4wd.kernels.views import view_of

#: Entries of each ring, and bytes of each buffer.
RING = 256
BUFFER = 2048

SIDE = np.dtype(
    [
        # Written by the owner.
        ("packed", "i8"),  # 1: a packed ring (virtio 1.2 §2.8)
        ("descriptors", "i8"),  # host addresses
        ("available", "i8"),
        ("used", "i8"),
        ("guest", "i8"),  # guest-physical address of the first buffer
        ("flags", "i8"),  # of each descriptor
        # Written by the kernel.
        ("posted", "i8"),  # buffers made available
        ("position", "i8"),  # used entries read
    ]
)
side_at = view_of(SIDE)

_AVAIL, _USED = 7, 15  # flag bits of a packed descriptor


@inner
def _wrap(count: int) -> int:
    """The wrap counter of a packed ring after so many descriptors."""
    return 1 ^ count // RING & 1


@inner
def offer(side: int, buffer: int, length: int) -> None:
    """Make a buffer available, the device's to see after `publish` at the latest."""
    s = side_at(side)
    place = s.posted % RING
    if s.packed:
        wrap = _wrap(s.posted)
        flags = s.flags | wrap << _AVAIL | (1 ^ wrap) << _USED
        descriptor = s.descriptors + 16 * place
        store64(descriptor, s.guest + BUFFER * buffer)
        store64_release(descriptor + 8, length | buffer << 32 | flags << 48)
    else:
        store32(s.descriptors + 16 * buffer + 8, length)
        store16(s.available + 4 + 2 * place, buffer)
    s.posted += 1


@inner
def publish(side: int) -> None:
    """Let the device see what was offered."""
    s = side_at(side)
    if s.packed == 0:
        store16_release(s.available + 2, s.posted & 0xFFFF)


@inner
def next_used(side: int) -> int:
    """The next buffer that the device is done with, and the bytes written to it from bit 32 on; -1: none."""
    s = side_at(side)
    place = s.position % RING
    if s.packed:
        word = load64_acquire(s.descriptors + 16 * place + 8)
        wrap = _wrap(s.position)
        if (word >> (48 + _AVAIL)) & 1 != wrap or (word >> (48 + _USED)) & 1 != wrap:
            return -1
        s.position += 1
        return (word >> 32 & 0xFFFF) | (word & 0xFFFFFFFF) << 32
    if s.position & 0xFFFF == load16_acquire(s.used + 2):
        return -1
    s.position += 1
    entry = s.used + 4 + 8 * place
    return load32(entry) | load32(entry + 4) << 32
