"""One burst from a guest to its VF: collect chains, copy them into mbufs, give the chains back, send.

Chains of one plain buffer, which is nearly all of them, are found and copied in two tight loops, so
that the cache misses of a burst overlap. Any other chain is walked and copied on its own in between.
Chains go back to the guest whatever becomes of their packets: a VF that takes none must not stop the
guest. What is not forwarded is counted by cause.
"""

import numpy as np

from vio4wd.dpdk.mbuf import HEADROOM, TX_TCP_SEG, TX_UDP_SEG
from vio4wd.kernels.chains import walk_packed, walk_split
from vio4wd.kernels.compile import inline, inner
from vio4wd.kernels.copy import copy_bytes
from vio4wd.kernels.fragmentation import fragment
from vio4wd.kernels.guest_memory import read_guest
from vio4wd.kernels.memory import call4, load16, load64, store64
from vio4wd.kernels.notify import notify_packed, notify_split
from vio4wd.kernels.offload import finish_in_software, request
from vio4wd.kernels.packed_ring import collect_packed, complete_packed, open_packed
from vio4wd.kernels.records import (
    BUFFER,
    BURST,
    FIRST,
    HEADER,
    LENGTH,
    PACKETS,
    PIECES,
    SEGMENTS,
    SPARE,
    USED_COUNT,
    USED_ID,
    USED_LENGTH,
    VRING,
)
from vio4wd.kernels.ring_error import fail
from vio4wd.kernels.segmentation import cut
from vio4wd.kernels.split_ring import collect_split, complete_split, open_split
from vio4wd.kernels.views import context_at, counters_at, item_at, mbuf_at, ring_at, vring_at
from vio4wd.shm.layout import RING_BAD_ADDRESS, RING_SHORT_CHAIN

_VRING_SIZE = VRING.itemsize
#: Longest packet taken from a guest, in bytes: a 64 KiB TSO packet with its headers.
_LONGEST = 65535 + 18
#: Shortest: an Ethernet header.
_SHORTEST = 14


@inline
def _reset(mbuf, length):
    """Make a raw mbuf (nb_segs 1, next NULL, reference count 1) a packet of `length` bytes."""
    mb = mbuf_at(mbuf)
    mb.data_off = HEADROOM
    mb.ol_flags = 0
    mb.pkt_len = length
    mb.data_len = length
    mb.vlan_tci = 0


@inner
def _release(context, mbuf, keep_head):
    """Free the segments behind an mbuf, and the mbuf itself unless `keep_head`."""
    ctx = context_at(context)
    mb = mbuf_at(mbuf)
    if keep_head:
        following = mb.next
        mb.next = 0
        mb.nb_segs = 1
        if following == 0:
            return
        mbuf = following
    store64(ctx.scratch + SPARE, mbuf)
    call4(ctx.free, 0, 0, ctx.scratch + SPARE, 1)


@inner
def _gather(context, item, mbuf, n_segments, length):
    """Copy the SEGMENTS of a chain to HEADER, an mbuf, and as many more mbufs as it takes.

    Args:
        length: bytes of the packet, which is all of the segments but the header.

    Returns:
        The packet's bytes; -1: too short, too long, or no mbuf for the rest (counted), the packet is
        not to be sent; -2: the chain is broken (the caller knows only that an address was bad).
    """
    ctx = context_at(context)
    it = item_at(item)
    scratch = ctx.scratch
    skip = it.header_size
    mb = mbuf_at(mbuf)
    _reset(mbuf, 0)
    room = np.int64(mb.buf_len) - HEADROOM
    if length < _SHORTEST or length > _LONGEST:
        return -1
    tail, segments, filled = mbuf, 1, 0
    for i in range(n_segments):
        address = load64(scratch + SEGMENTS + 16 * i)
        left = load64(scratch + SEGMENTS + 16 * i + 8)
        if skip > 0:
            part = min(skip, left)
            if not read_guest(item, scratch + HEADER + it.header_size - skip, address, part):
                return -2
            skip -= part
            address += part
            left -= part
        while left > 0:
            if filled == room:
                if call4(ctx.alloc, it.pool, 0, scratch + SPARE, 1) != 1:
                    counters_at(it.counters).dropped_no_mbuf += 1
                    _release(context, mbuf, True)
                    return -1
                fresh = load64(scratch + SPARE)
                _reset(fresh, 0)
                mbuf_at(tail).data_len = filled
                mbuf_at(tail).next = fresh
                tail = fresh
                segments += 1
                filled = 0
            part = min(left, room - filled)
            if not read_guest(item, mbuf_at(tail).buf_addr + HEADROOM + filled, address, part):
                _release(context, mbuf, True)
                return -2
            filled += part
            address += part
            left -= part
    mbuf_at(tail).data_len = filled
    mb.nb_segs = segments
    mb.pkt_len = length
    return length


@inner
def _walk(context, item, vring, i):
    """Copy the i-th collected chain by walking it. Returns as `_gather`; a broken ring is stopped."""
    scratch = context_at(context).scratch
    it = item_at(item)
    if it.packed:
        first = load64(scratch + FIRST + 8 * i)
        found = walk_packed(item, vring, scratch, 0, first, load64(scratch + USED_COUNT + 8 * i), 0)
    else:
        found = walk_split(item, vring, scratch, 0, load64(scratch + USED_ID + 8 * i), 0)
    if found < 0:
        fail(vring, -found, i)
        return -2
    total = 0
    for j in range(found):
        total += load64(scratch + SEGMENTS + 16 * j + 8)
    if total < it.header_size:
        fail(vring, RING_SHORT_CHAIN, total)
        return -2
    mbuf = load64(scratch + PACKETS + 8 * i)
    length = _gather(context, item, mbuf, found, total - it.header_size)
    if length == -2:
        fail(vring, RING_BAD_ADDRESS, load64(scratch + SEGMENTS))
    return length


@inner
def _apply_header(context, item, i):
    """Act on the network header of the i-th packet; false: it asks for the impossible."""
    it = item_at(item)
    scratch = context_at(context).scratch
    buffer = load64(scratch + BUFFER + 8 * i)
    header = buffer - it.header_size if buffer != 0 else scratch + HEADER
    word = load64(header)
    if word & 0xFFFF == 0:
        return True
    mbuf = load64(scratch + PACKETS + 8 * i)
    if not request(mbuf, word, load16(header + 8)):
        return False
    mb = mbuf_at(mbuf)
    if mb.ol_flags != 0 and mb.ol_flags & (TX_TCP_SEG | TX_UDP_SEG) == 0 and it.vf_checksums == 0:
        finish_in_software(mbuf)
    return True


@inner
def _copy_out(context, item, vring, n):
    """Fill the mbufs of the first `n` PACKETS; sets LENGTH to -1 where there is nothing to send.

    Returns:
        How many chains were good; fewer than `n` if the ring had to be stopped.
    """
    scratch = context_at(context).scratch
    offloads = item_at(item).guest_offloads
    for i in range(n):
        buffer = load64(scratch + BUFFER + 8 * i)
        mbuf = load64(scratch + PACKETS + 8 * i)
        length = load64(scratch + LENGTH + 8 * i)
        mb = mbuf_at(mbuf)
        if buffer != 0 and _SHORTEST <= length <= np.int64(mb.buf_len) - HEADROOM:
            _reset(mbuf, length)
            copy_bytes(mb.buf_addr + HEADROOM, buffer, length)
        else:
            store64(scratch + BUFFER + 8 * i, 0)
            length = _walk(context, item, vring, i)
            if length == -2:
                return i
            store64(scratch + LENGTH + 8 * i, length)
        if offloads and length > 0 and not _apply_header(context, item, i):
            _release(context, mbuf, True)
            store64(scratch + LENGTH + 8 * i, -1)
    return n


@inner
def _transmit(context, item, packets, n, volume):
    """Hand `n` mbufs of `volume` bytes to the VF; free and count those it does not take."""
    ctx = context_at(context)
    it = item_at(item)
    counters = counters_at(it.counters)
    sent = 0
    if it.tx != 0:
        ready = n
        if it.guest_offloads and it.prepare != 0:
            ready = call4(it.prepare, it.tx_a, it.tx_b, packets, n)
        sent = call4(it.tx, it.tx_a, it.tx_b, packets, ready)
    rest = n - sent
    if rest > 0:
        lost = 0
        for i in range(sent, n):
            lost += np.int64(mbuf_at(load64(packets + 8 * i)).pkt_len)
        call4(ctx.free, 0, 0, packets + 8 * sent, rest)
        if it.tx != 0:
            counters.dropped_full += rest
            counters.dropped_full_bytes += lost
        else:
            counters.dropped_unconnected += rest
            counters.dropped_unconnected_bytes += lost
        volume -= lost
    counters.packets_out += sent
    counters.bytes_out += volume


@inner
def _segment(context, item, mbuf):
    """Send a large packet in pieces, and free it. It counts as one packet in and its pieces out."""
    ctx = context_at(context)
    counters = counters_at(item_at(item).counters)
    length = np.int64(mbuf_at(mbuf).pkt_len)
    if mbuf_at(mbuf).ol_flags & TX_UDP_SEG:
        count = fragment(context, item, mbuf)
    else:
        count = cut(context, item, mbuf)
    _release(context, mbuf, False)
    if count <= 0:
        if count < 0:
            counters.dropped_no_mbuf += 1
        counters.dropped_invalid += 1
        counters.dropped_invalid_bytes += length
        return
    # The VF may take fewer at a time than a packet has pieces.
    pieces = ctx.scratch + PIECES
    while count > 0:
        n = min(count, BURST)
        volume = 0
        for i in range(n):
            volume += np.int64(mbuf_at(load64(pieces + 8 * i)).pkt_len)
        _transmit(context, item, pieces, n, volume)
        pieces += 8 * n
        count -= n


@inner
def _send(context, item, n):
    """Send the first `n` PACKETS in order, leaving out those of LENGTH -1; returns their bytes."""
    scratch = context_at(context).scratch
    it = item_at(item)
    counters = counters_at(it.counters)
    cuts = 0
    if it.guest_offloads:
        cuts = TX_UDP_SEG if it.vf_segments else TX_UDP_SEG | TX_TCP_SEG
    keep, volume, total = 0, 0, 0
    for i in range(n):
        length = load64(scratch + LENGTH + 8 * i)
        mbuf = load64(scratch + PACKETS + 8 * i)
        if length < 0:
            _release(context, mbuf, False)
            counters.dropped_invalid += 1
            continue
        total += length
        if cuts and mbuf_at(mbuf).ol_flags & cuts:
            if keep > 0:
                _transmit(context, item, scratch + PACKETS, keep, volume)
            keep, volume = 0, 0
            _segment(context, item, mbuf)
            continue
        if keep != i:
            store64(scratch + PACKETS + 8 * keep, mbuf)
        keep += 1
        volume += length
    counters.packets_in += n
    counters.bytes_in += total
    if keep > 0:
        _transmit(context, item, scratch + PACKETS, keep, volume)
    return total


@inner
def _take(context, item, vring, limit):
    """Copy up to `limit` packets of one queue into PACKETS; returns the number of chains to give back."""
    ctx = context_at(context)
    it = item_at(item)
    scratch = ctx.scratch
    counters = counters_at(it.counters)
    if it.packed:
        found = collect_packed(item, vring, scratch, limit)
    else:
        found = collect_split(item, vring, scratch, limit)
    if call4(ctx.alloc, it.pool, 0, scratch + PACKETS, found) != found:
        counters.dropped_no_mbuf += 1
        return 0
    n = _copy_out(context, item, vring, found)
    if n < found:
        call4(ctx.free, 0, 0, scratch + PACKETS + 8 * n, found - n)
    return n


@inner
def _drain(context, item, vring, limit):
    """Take up to `limit` packets of a queue that is not enabled, and drop them."""
    scratch = context_at(context).scratch
    it = item_at(item)
    counters = counters_at(it.counters)
    if it.packed:
        n = collect_packed(item, vring, scratch, limit)
    else:
        n = collect_split(item, vring, scratch, limit)
    counters.packets_in += n
    counters.dropped_unconnected += n
    return n


@inner
def _forward(context, item, vring):
    """Move one burst of one queue; returns the number of chains taken."""
    ctx = context_at(context)
    it = item_at(item)
    v = vring_at(vring)
    r = ring_at(v.ring)
    if r.error != 0:
        return 0
    scratch = ctx.scratch
    ready = open_packed(vring, BURST) if it.packed else open_split(vring, BURST)
    if ready == 0:
        return 0
    limit = BURST if it.packed else ready
    n = _drain(context, item, vring, limit) if v.drain else _take(context, item, vring, limit)
    if n == 0:
        return 0
    for i in range(n):
        store64(scratch + USED_LENGTH + 8 * i, 0)
    before, wrap = r.used, r.used_wrap
    # Before they are sent: should the worker die in between, they are lost, whereas the next one would
    # send packets twice that it found in the ring after they had been sent.
    if it.packed:
        complete_packed(item, vring, scratch, n)
    else:
        complete_split(item, vring, scratch, n)
    if not v.drain:
        r.bytes += _send(context, item, n)
    if it.packed:
        notify_packed(context, item, vring, before, wrap)
    else:
        notify_split(context, item, vring)
    r.packets += n
    return n


@inner
def burst_vm_to_vf(context, item):
    """Move up to a burst of each of the guest's transmit queues; returns the number of packets."""
    it = item_at(item)
    moved = 0
    for q in range(it.n_queues):
        moved += _forward(context, item, it.queues + q * _VRING_SIZE)
    return moved
