"""The split virtqueue (virtio 1.2 §2.7): finding available chains and giving used ones back.

A burst begins with `open_split`, which reads how much is available. A cursor then moves over the
available entries: many at a time with `collect_split` where the guest transmits, one at a time with
`plain_split` and `take_split` where it receives. `complete_split` writes the used entries and
publishes them with one release of the index. Nothing shared changes before that: a worker that dies
on the way has taken nothing.
"""

from vio4wd.kernels.chains import INDIRECT, NEXT, WRITE, walk_split
from vio4wd.kernels.compile import inline, inner
from vio4wd.kernels.guest_memory import find_region, log_write
from vio4wd.kernels.memory import (
    load16,
    load16_acquire,
    load64,
    prefetch,
    store16,
    store16_release,
    store64,
)
from vio4wd.kernels.records import BUFFER, LENGTH, USED_ID, USED_LENGTH
from vio4wd.kernels.ring_error import fail
from vio4wd.kernels.views import item_at, ring_at, vring_at
from vio4wd.shm.inflight import SIZE_AT, USED_AT, VERSION_AT
from vio4wd.shm.layout import RING_BAD_AVAIL_INDEX, RING_BAD_HEAD, RING_SHORT_CHAIN

_KIND = NEXT | WRITE | INDIRECT  # what makes a descriptor other than one readable buffer


@inner
def open_split(vring, limit):
    """Set the cursor to the first available entry and ask for the descriptors of the next `limit`.

    Returns:
        How many entries are available, at most `limit`; 0 also if the ring had to be stopped.
    """
    v = vring_at(vring)
    r = ring_at(v.ring)
    last = r.last_avail
    ready = (load16_acquire(v.available + 2) - last) & 0xFFFF
    r.depth = ready
    if ready > v.size:
        fail(vring, RING_BAD_AVAIL_INDEX, ready)
        return 0
    v.cursor = last
    v.cursor_end = last + ready
    n = min(ready, limit)
    entries = v.available + 4
    descriptors = v.descriptors
    mask = v.size - 1
    for i in range(n):
        # A number outside the table asks for a line that is never read: harmless.
        prefetch(descriptors + 16 * load16(entries + 2 * ((last + i) & mask)))
    return n


@inner
def collect_split(item, vring, scratch, n):
    """Look at the next `n` chains, all available, of a queue that the guest transmits on.

    For each, USED_ID is set, LENGTH to the bytes of the packet and BUFFER to the host address of its
    first byte, behind the network header; BUFFER is 0 where the chain must be walked.

    Returns:
        How many; fewer than `n` if the ring had to be stopped.
    """
    it = item_at(item)
    v = vring_at(vring)
    header_size = it.header_size
    start, end, delta = it.region_start, it.region_end, it.region_delta
    entries, descriptors = v.available + 4, v.descriptors
    size, mask, first = v.size, v.size - 1, v.cursor
    for i in range(n):
        head = load16(entries + 2 * ((first + i) & mask))
        if head >= size:
            fail(vring, RING_BAD_HEAD, head)
            return i
        descriptor = descriptors + 16 * head
        address = load64(descriptor)
        word = load64(descriptor + 8)
        length = word & 0xFFFFFFFF
        store64(scratch + USED_ID + 8 * i, head)
        store64(scratch + BUFFER + 8 * i, 0)
        if word >> 32 & _KIND or length == header_size:
            continue
        if length < header_size:
            fail(vring, RING_SHORT_CHAIN, length)
            return i
        if address < start or address >= end:
            if not find_region(item, address):
                continue  # the walk will say what is wrong
            start, end, delta = it.region_start, it.region_end, it.region_delta
        if length > end - address:
            continue
        host = address + delta
        prefetch(host)
        prefetch(host + 64)
        store64(scratch + BUFFER + 8 * i, host + header_size)
        store64(scratch + LENGTH + 8 * i, length - header_size)
    return n


@inline
def plain_split(item, vring, scratch, used, need):
    """Take the next chain if it is one writable buffer of at least `need` bytes.

    Returns:
        Its guest-physical address, in the item's current region, with USED_ID[used] set; -1: it is not,
        and the cursor stays.
    """
    it = item_at(item)
    v = vring_at(vring)
    if v.cursor >= v.cursor_end:
        return -1
    head = load16(v.available + 4 + 2 * (v.cursor & (v.size - 1)))
    if head >= v.size:
        return -1
    descriptor = v.descriptors + 16 * head
    address = load64(descriptor)
    word = load64(descriptor + 8)
    if word >> 32 & _KIND != WRITE or word & 0xFFFFFFFF < need:
        return -1
    if address < it.region_start or address >= it.region_end:
        if not find_region(item, address):
            return -1
    if need > it.region_end - address:
        return -1
    store64(scratch + USED_ID + 8 * used, head)
    v.cursor += 1
    return address


@inner
def take_split(item, vring, scratch, used, segments, write):
    """Take the next chain, whatever its form, and append its buffers to the SEGMENTS.

    Returns:
        How many segments there are now, with USED_ID[used] set; `segments` itself if no chain is
        available; minus the reason if the ring must be stopped.
    """
    v = vring_at(vring)
    if v.cursor >= v.cursor_end:
        return segments
    head = load16(v.available + 4 + 2 * (v.cursor & (v.size - 1)))
    if head >= v.size:
        return -RING_BAD_HEAD
    store64(scratch + USED_ID + 8 * used, head)
    v.cursor += 1
    return walk_split(item, vring, scratch, segments, head, write)


@inner
def complete_split(item, vring, scratch, n):
    """Give the first `n` chains of USED_ID and USED_LENGTH back to the guest (§2.7.8, §2.7.14)."""
    v = vring_at(vring)
    r = ring_at(v.ring)
    used = r.used
    mask = v.size - 1
    entries = v.used + 4
    for i in range(n):
        entry = load64(scratch + USED_ID + 8 * i) | load64(scratch + USED_LENGTH + 8 * i) << 32
        store64(entries + 8 * ((used + i) & mask), entry)
    r.last_avail = (r.last_avail + n) & 0xFFFF
    r.used = (used + n) & 0xFFFF
    store16_release(v.used + 2, r.used)
    if v.inflight != 0:
        store16_release(v.inflight + USED_AT, r.used)
    # Last of all: a page that was marked before it was written may have been sent in between.
    if v.log_used >= 0:
        for i in range(n):
            log_write(item, v.log_used + 4 + 8 * ((used + i) & mask), 8)
        log_write(item, v.log_used, 4)


@inner
def start_split(item, vring):
    """Publish what a worker that died may have left, and tell the guest that it need not kick (§2.7.10)."""
    v = vring_at(vring)
    r = ring_at(v.ring)
    # Both positions are the same but in the middle of `complete_split`, when all entries are written.
    ahead = (r.used - r.last_avail) & 0xFFFF
    if ahead < 0x8000:
        r.last_avail = r.used
    else:
        r.used = r.last_avail
    store16_release(v.used + 2, r.used)
    if v.inflight != 0:
        store16(v.inflight + USED_AT, r.used)
        store16(v.inflight + SIZE_AT, v.size)
        store16_release(v.inflight + VERSION_AT, 1)
    store16(v.used, 1)  # VIRTQ_USED_F_NO_NOTIFY
    if v.log_used >= 0:  # it may not have marked what it wrote last
        log_write(item, v.log_used, 4 + 8 * v.size)
