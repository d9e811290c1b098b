"""The packed virtqueue (virtio 1.2 §2.8): the same steps as in `split_ring`, on one ring of descriptors.

A descriptor is available when its AVAIL flag equals the driver's wrap counter and its USED flag does
not. A used descriptor is written over the first one of its chain, so positions advance by the number
of descriptors a chain took. The buffer's id stands in the last descriptor of a chain.
"""

from vio4wd.kernels.chains import INDIRECT, NEXT, WRITE, walk_packed
from vio4wd.kernels.compile import inline, inner
from vio4wd.kernels.guest_memory import find_region, log_write
from vio4wd.kernels.memory import load64, load64_acquire, prefetch, store16, store64, store64_release
from vio4wd.kernels.records import (
    BUFFER,
    FIRST,
    LENGTH,
    USED_COUNT,
    USED_ID,
    USED_LENGTH,
    item_at,
    ring_at,
    vring_at,
)
from vio4wd.kernels.ring_error import fail
from vio4wd.shm.layout import RING, RING_CHAIN_TOO_LONG, RING_SHORT_CHAIN

_KIND = NEXT | WRITE | INDIRECT
_AVAIL_BIT = 55  # of a descriptor's second word: flag 7 of the flags at bit 48
_USED_BIT = 63
_PUBLISHING = RING.fields["publishing"][1]
_PUBLISHING_WORD = RING.fields["publishing_word"][1]


@inline
def _is_available(word, wrap):
    return (word >> _AVAIL_BIT & 1) == wrap and (word >> _USED_BIT & 1) != wrap


@inner
def open_packed(vring, limit):
    """Set the cursor to the first available descriptor and ask for the next `limit`.

    Returns:
        1 if there is an available descriptor, else 0; how many there are shows on the way.
    """
    v = vring_at(vring)
    r = ring_at(v.ring)
    v.cursor = r.last_avail
    v.cursor_wrap = r.avail_wrap
    descriptor = v.descriptors + 16 * v.cursor
    if not _is_available(load64_acquire(descriptor + 8), v.cursor_wrap):
        r.depth = 0
        return 0
    for i in range(4, limit, 4):
        prefetch(descriptor + 16 * i)  # may run past the ring's end: harmless
    return 1


@inline
def _advance(vring, count):
    v = vring_at(vring)
    v.cursor += count
    if v.cursor >= v.size:
        v.cursor -= v.size
        v.cursor_wrap ^= 1


@inner
def _finish_chain(vring, scratch, used, word):
    """Follow the chain at the cursor, whose first descriptor's second word is given, to its end.

    Sets USED_ID[used], USED_COUNT[used] and FIRST (of `used`, where that fits), and moves the cursor
    behind it.

    Returns:
        The number of descriptors; 0: it does not end within the ring, which is an error.
    """
    v = vring_at(vring)
    position = v.cursor
    count = 1
    while word >> 48 & NEXT:
        count += 1
        if count > v.size:
            return 0
        position += 1
        if position == v.size:
            position = 0
        word = load64(v.descriptors + 16 * position + 8)
    store64(scratch + USED_ID + 8 * used, word >> 32 & 0xFFFF)
    store64(scratch + USED_COUNT + 8 * used, count)
    _advance(vring, count)
    return count


@inner
def collect_packed(item, vring, scratch, limit):
    """Look at up to `limit` chains of a queue that the guest transmits on; see `collect_split`.

    FIRST is set to the ring position of each chain as well.
    """
    it = item_at(item)
    v = vring_at(vring)
    header_size = it.header_size
    start, end, delta = it.region_start, it.region_end, it.region_delta
    descriptors = v.descriptors
    n = 0
    while n < limit:
        position = v.cursor
        descriptor = descriptors + 16 * position
        word = load64_acquire(descriptor + 8)
        if not _is_available(word, v.cursor_wrap):
            break
        address = load64(descriptor)
        length = word & 0xFFFFFFFF
        store64(scratch + FIRST + 8 * n, position)
        store64(scratch + BUFFER + 8 * n, 0)
        if word >> 48 & _KIND:
            if _finish_chain(vring, scratch, n, word) == 0:
                fail(vring, RING_CHAIN_TOO_LONG, position)
                return n
            n += 1
            continue
        if length < header_size:
            fail(vring, RING_SHORT_CHAIN, length)
            return n
        store64(scratch + USED_ID + 8 * n, word >> 32 & 0xFFFF)
        store64(scratch + USED_COUNT + 8 * n, 1)
        _advance(vring, 1)
        n += 1
        if address < start or address >= end:
            if not find_region(item, address):
                continue
            start, end, delta = it.region_start, it.region_end, it.region_delta
        if length > end - address or length == header_size:
            continue
        host = address + delta
        prefetch(host)
        prefetch(host + 64)
        store64(scratch + BUFFER + 8 * (n - 1), host + header_size)
        store64(scratch + LENGTH + 8 * (n - 1), length - header_size)
    ring_at(v.ring).depth = n
    return n


@inline
def plain_packed(item, vring, scratch, used, need):
    """Take the next chain if it is one writable buffer of at least `need` bytes; see `plain_split`."""
    it = item_at(item)
    v = vring_at(vring)
    descriptor = v.descriptors + 16 * v.cursor
    word = load64_acquire(descriptor + 8)
    if not _is_available(word, v.cursor_wrap):
        return -1
    address = load64(descriptor)
    if word >> 48 & _KIND != WRITE or word & 0xFFFFFFFF < need:
        return -1
    if address < it.region_start or address >= it.region_end:
        if not find_region(item, address):
            return -1
    if need > it.region_end - address:
        return -1
    store64(scratch + USED_ID + 8 * used, word >> 32 & 0xFFFF)
    store64(scratch + USED_COUNT + 8 * used, 1)
    _advance(vring, 1)
    return address


@inner
def take_packed(item, vring, scratch, used, segments, write):
    """Take the next chain, whatever its form, and append its buffers to the SEGMENTS; see `take_split`."""
    v = vring_at(vring)
    first = v.cursor
    word = load64_acquire(v.descriptors + 16 * first + 8)
    if not _is_available(word, v.cursor_wrap):
        return segments
    count = _finish_chain(vring, scratch, used, word)
    if count == 0:
        return -RING_CHAIN_TOO_LONG
    return walk_packed(item, vring, scratch, segments, first, count, write)


@inner
def complete_packed(item, vring, scratch, n):
    """Give the first `n` chains of USED_ID, USED_LENGTH and USED_COUNT back (§2.8.9).

    The guest looks at the first one: it is written last, so that the rest is there when it looks on.
    """
    v = vring_at(vring)
    r = ring_at(v.ring)
    position, wrap = r.used, r.used_wrap
    first_word = 0
    for i in range(n):
        length = load64(scratch + USED_LENGTH + 8 * i)
        flags = wrap << 7 | wrap << 15 | (WRITE if length else 0)
        word = length | load64(scratch + USED_ID + 8 * i) << 32 | flags << 48
        if i == 0:
            first_word = word
        else:
            store64(v.descriptors + 16 * position + 8, word)
            if v.log_used >= 0:
                log_write(item, v.log_used + 16 * position, 16)
        position += load64(scratch + USED_COUNT + 8 * i)
        if position >= v.size:
            position -= v.size
            wrap ^= 1
    # Whoever finds the positions advanced must find the descriptor written, or know what to write.
    first = r.used
    store64(v.ring + _PUBLISHING_WORD, first_word)
    store64_release(v.ring + _PUBLISHING, first + 1)
    r.last_avail, r.avail_wrap = position, wrap
    r.used, r.used_wrap = position, wrap
    store64_release(v.descriptors + 16 * first + 8, first_word)
    store64_release(v.ring + _PUBLISHING, 0)
    if v.log_used >= 0:  # not before it is written: the page might be sent in between
        log_write(item, v.log_used + 16 * first, 16)


@inner
def start_packed(item, vring):
    """Finish what a worker that died may have left, and tell the guest that it need not kick (§2.8.10)."""
    v = vring_at(vring)
    r = ring_at(v.ring)
    word = r.publishing_word
    if 0 < r.publishing <= v.size:
        descriptor = v.descriptors + 16 * (r.publishing - 1)
        # Still available in the lap that the word belongs to: it was not written, nor used again since.
        if _is_available(load64_acquire(descriptor + 8), word >> _AVAIL_BIT & 1):
            store64_release(descriptor + 8, word)
    r.publishing = 0
    store16(v.used + 2, 1)  # RING_EVENT_FLAGS_DISABLE
    if v.log_used >= 0:  # it may not have marked what it wrote last
        log_write(item, v.log_used, 16 * v.size)
