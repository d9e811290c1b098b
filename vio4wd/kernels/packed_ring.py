"""The packed virtqueue (virtio 1.2 §2.8): the same steps as in `split_ring`, on one ring of descriptors.

A descriptor is available when its AVAIL flag equals the driver's wrap counter and its USED flag does
not. A used descriptor is written over the first one of its chain, so positions advance by the number
of descriptors a chain took. The buffer's id stands in the last descriptor of a chain.
"""

from vio4wd.kernels.chains import INDIRECT, NEXT, WRITE, walk_packed
from vio4wd.kernels.compile import inline, inner
from vio4wd.kernels.guest_memory import find_region, log_write
from vio4wd.kernels.memory import (
    load64,
    load64_acquire,
    prefetch,
    store16,
    store16_release,
    store64,
    store64_release,
)
from vio4wd.kernels.records import BUFFER, FIRST, LENGTH, USED_COUNT, USED_ID, USED_LENGTH
from vio4wd.kernels.ring_error import fail
from vio4wd.kernels.views import item_at, ring_at, vring_at
from vio4wd.shm.inflight import SIZE_AT, STEP_AT, VERSION_AT
from vio4wd.shm.layout import RING, RING_CHAIN_TOO_LONG, RING_SHORT_CHAIN

_KIND = NEXT | WRITE | INDIRECT
_AVAIL_BIT = 55  # of a descriptor's second word: flag 7 of the flags at bit 48
_USED_BIT = 63
_STEP = RING.fields["step"][1]


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
    descriptors, size = v.descriptors, v.size
    position, wrap = v.cursor, v.cursor_wrap
    n = 0
    while n < limit:
        descriptor = descriptors + 16 * position
        word = load64_acquire(descriptor + 8)
        if not _is_available(word, wrap):
            break
        address = load64(descriptor)
        length = word & 0xFFFFFFFF
        store64(scratch + FIRST + 8 * n, position)
        store64(scratch + BUFFER + 8 * n, 0)
        if word >> 48 & _KIND:
            v.cursor, v.cursor_wrap = position, wrap
            if _finish_chain(vring, scratch, n, word) == 0:
                fail(vring, RING_CHAIN_TOO_LONG, position)
                return n
            position, wrap = v.cursor, v.cursor_wrap
            n += 1
            continue
        if length < header_size:
            fail(vring, RING_SHORT_CHAIN, length)
            return n
        store64(scratch + USED_ID + 8 * n, word >> 32 & 0xFFFF)
        store64(scratch + USED_COUNT + 8 * n, 1)
        position += 1
        if position == size:
            position = 0
            wrap ^= 1
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

    The guest looks at the first one: it is written last, so that the rest is there when it looks on. They
    are written from the last to the first: those that a worker has not come to when it dies are then
    untouched, and together, and `start_packed` can finish the step that was noted before.
    """
    v = vring_at(vring)
    r = ring_at(v.ring)
    size, descriptors, log_used = v.size, v.descriptors, v.log_used
    position, wrap = r.used, r.used_wrap
    for i in range(n):
        position += load64(scratch + USED_COUNT + 8 * i)
    while position >= size:
        position -= size
        wrap ^= 1
    step = position | r.used << 16 | wrap << 32 | r.used_wrap << 40
    store64_release(v.ring + _STEP, step)
    if v.inflight != 0:
        store64_release(v.inflight + STEP_AT, step)
    place, lap = position, wrap
    for i in range(n - 1, -1, -1):
        place -= load64(scratch + USED_COUNT + 8 * i)
        if place < 0:
            place += size
            lap ^= 1
        length = load64(scratch + USED_LENGTH + 8 * i)
        flags = lap << 7 | lap << 15 | (WRITE if length else 0)
        word = length | load64(scratch + USED_ID + 8 * i) << 32 | flags << 48
        store64_release(descriptors + 16 * place + 8, word)
        if log_used >= 0:  # not before it is written: the page might be sent in between
            log_write(item, log_used + 16 * place, 16)
    r.last_avail, r.avail_wrap = position, wrap
    r.used, r.used_wrap = position, wrap


@inner
def _finish_step(vring, before, wrap_before, after):
    """Give the chains from `before` up to `after` back, of which the last may have been given back already.

    The guest sees none of them yet. What was written to them is forgotten: their lengths are not known.

    Returns:
        False: none was given back, so there is nothing to finish.
    """
    v = vring_at(vring)
    for attempt in range(v.size + 1):
        # Each time the last of those that are still available.
        place, lap = before, wrap_before
        last, last_lap, last_id = -1, 0, 0
        walked = 0
        while walked < v.size:
            word = load64_acquire(v.descriptors + 16 * place + 8)
            if not _is_available(word, lap):
                break
            last, last_lap = place, lap
            more = NEXT
            while more and walked < v.size:
                walked += 1
                place += 1
                if place == v.size:
                    place = 0
                    lap ^= 1
                last_id = word >> 32 & 0xFFFF
                more = word >> 48 & NEXT
                word = load64(v.descriptors + 16 * place + 8)
            if place == after:
                break
        if attempt == 0:
            if place == after:
                return False
            while place != after and walked < v.size:
                descriptor = v.descriptors + 16 * place + 8
                word = load64(descriptor)
                if word >> _AVAIL_BIT & 1 == lap and word >> _USED_BIT & 1 == lap:
                    store64(descriptor, (word >> 32 & 0xFFFF) << 32 | lap << _AVAIL_BIT | lap << _USED_BIT)
                walked += 1
                place += 1
                if place == v.size:
                    place = 0
                    lap ^= 1
        if last < 0:
            break
        word = last_id << 32 | last_lap << _AVAIL_BIT | last_lap << _USED_BIT
        store64_release(v.descriptors + 16 * last + 8, word)
    return True


@inner
def start_packed(item, vring):
    """Finish what a worker that died may have left, and tell the guest that it need not kick (§2.8.10)."""
    v = vring_at(vring)
    r = ring_at(v.ring)
    position, wrap = r.used, r.used_wrap
    step = r.step
    before, wrap_before = step >> 16 & 0xFFFF, step >> 40 & 1
    if step != 0 and before < v.size and step & 0xFFFF < v.size:
        position, wrap = step & 0xFFFF, step >> 32 & 1
        # Still available in the lap that the step began in: it was not written, nor used again since.
        if _is_available(load64_acquire(v.descriptors + 16 * before + 8), wrap_before):
            if not _finish_step(vring, before, wrap_before, position):
                position, wrap = before, wrap_before
    r.last_avail, r.avail_wrap = position, wrap
    r.used, r.used_wrap = position, wrap
    store64_release(v.ring + _STEP, 0)
    if v.inflight != 0:
        store64(v.inflight + STEP_AT, position | position << 16 | wrap << 32 | wrap << 40)
        store16(v.inflight + SIZE_AT, v.size)
        store16_release(v.inflight + VERSION_AT, 1)
    store16(v.used + 2, 1)  # RING_EVENT_FLAGS_DISABLE
    if v.log_used >= 0:  # it may not have marked what it wrote last
        log_write(item, v.log_used, 16 * v.size)
