"""Descriptor chains that are more than one plain buffer: found step by step, with every step bounded.

A walk reads each descriptor once and writes the buffers it finds as (guest-physical address, length)
pairs to the working space. It makes at most MAX_CHAIN steps, and in a table of n entries at most n,
so that a loop ends (virtio 1.2 §2.7.5, §2.8.6). An indirect table may stand anywhere in guest memory,
but holds no further indirect one (§2.7.5.3.1).

Walks return the number of buffers, or minus the reason (layout.RING_*) for which the ring is broken.
"""

from vio4wd.kernels.compile import inner
from vio4wd.kernels.guest_memory import translate
from vio4wd.kernels.memory import load64, store64
from vio4wd.kernels.records import MAX_CHAIN, SEGMENTS
from vio4wd.kernels.views import vring_at
from vio4wd.shm.layout import (
    RING_BAD_ADDRESS,
    RING_BAD_DIRECTION,
    RING_BAD_HEAD,
    RING_BAD_INDIRECT,
    RING_CHAIN_TOO_LONG,
)

NEXT = 1  # VIRTQ_DESC_F_NEXT
WRITE = 2  # VIRTQ_DESC_F_WRITE
INDIRECT = 4  # VIRTQ_DESC_F_INDIRECT
#: Segments that fit the working space.
MAX_SEGMENTS = 2 * MAX_CHAIN


@inner
def _add_segment(scratch, n, address, length):
    store64(scratch + SEGMENTS + 16 * n, address)
    store64(scratch + SEGMENTS + 16 * n + 8, length)


@inner
def _walk_indirect(item, scratch, n, table, length, write, packed):
    """Append the buffers of an indirect table of `length` bytes at a guest-physical address."""
    entries = length >> 4
    if entries == 0 or length & 15 or entries > MAX_CHAIN:
        return -RING_BAD_INDIRECT
    index = 0
    for _ in range(entries):
        if n >= MAX_SEGMENTS:
            return -RING_CHAIN_TOO_LONG
        descriptor = translate(item, table + 16 * index, 16)
        if descriptor == 0:
            return -RING_BAD_ADDRESS
        address = load64(descriptor)
        word = load64(descriptor + 8)
        flags = word >> 48 & 0xFFFF if packed else word >> 32 & 0xFFFF
        if flags & INDIRECT:
            return -RING_BAD_INDIRECT
        # DPDK's driver leaves the flag set on the header of what it transmits from a packed ring.
        if flags & WRITE != write and (write or not packed):
            return -RING_BAD_DIRECTION
        _add_segment(scratch, n, address, word & 0xFFFFFFFF)
        n += 1
        if packed:
            index += 1  # its entries follow each other, whatever their flags (§2.8.7)
        elif flags & NEXT:
            index = word >> 48 & 0xFFFF
            if index >= entries:
                return -RING_BAD_INDIRECT
        else:
            return n
    return n if packed else -RING_CHAIN_TOO_LONG


@inner
def walk_split(item, vring, scratch, n, head, write):
    """Append the buffers of the chain that begins at descriptor `head` of a split ring.

    Args:
        n: segments already in the working space.
        write: WRITE if the chain must be device-writable, 0 if it must be readable.
    """
    v = vring_at(vring)
    index = head
    for _ in range(min(v.size, MAX_CHAIN)):
        if n >= MAX_SEGMENTS:
            return -RING_CHAIN_TOO_LONG
        descriptor = v.descriptors + 16 * index
        address = load64(descriptor)
        word = load64(descriptor + 8)
        flags = word >> 32 & 0xFFFF
        if flags & INDIRECT:
            if flags & NEXT:
                return -RING_BAD_INDIRECT
            return _walk_indirect(item, scratch, n, address, word & 0xFFFFFFFF, write, 0)
        if flags & WRITE != write:
            return -RING_BAD_DIRECTION
        _add_segment(scratch, n, address, word & 0xFFFFFFFF)
        n += 1
        if flags & NEXT == 0:
            return n
        index = word >> 48 & 0xFFFF
        if index >= v.size:
            return -RING_BAD_HEAD
    return -RING_CHAIN_TOO_LONG


@inner
def walk_packed(item, vring, scratch, n, first, count, write):
    """Append the buffers of the `count` descriptors from position `first` of a packed ring."""
    v = vring_at(vring)
    position = first
    for _ in range(count):
        if n >= MAX_SEGMENTS:
            return -RING_CHAIN_TOO_LONG
        descriptor = v.descriptors + 16 * position
        address = load64(descriptor)
        word = load64(descriptor + 8)
        flags = word >> 48 & 0xFFFF
        if flags & INDIRECT:
            if count != 1:
                return -RING_BAD_INDIRECT
            return _walk_indirect(item, scratch, n, address, word & 0xFFFFFFFF, write, 1)
        if flags & WRITE != write:
            return -RING_BAD_DIRECTION
        _add_segment(scratch, n, address, word & 0xFFFFFFFF)
        n += 1
        position += 1
        if position == v.size:
            position = 0
    return n
