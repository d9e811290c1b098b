"""One burst from a VF to its guest: receive mbufs, place each in the guest's buffers, publish, free.

A packet of one mbuf that fits one plain buffer, which is nearly every packet, gets its place in a
first loop and is copied in a second, so that the cache misses of a burst overlap. Any other packet
(several mbufs, chains, mergeable buffers) is copied on its own in between. What finds no place is
dropped and counted, as a full queue of a switch would.

Each packet begins with the virtio-net header (virtio 1.2 §5.1.6). Its bytes are written only where
they differ from what the buffer already holds, which spares the guest's cache line.
"""

import numpy as np

from vio4wd.dpdk.mbuf import RX_L4_CKSUM_GOOD, RX_L4_CKSUM_MASK
from vio4wd.kernels.chains import MAX_SEGMENTS, WRITE
from vio4wd.kernels.compile import inline, inner
from vio4wd.kernels.copy import copy_bytes
from vio4wd.kernels.flow_hash import flow_hash
from vio4wd.kernels.guest_memory import log_write, write_guest
from vio4wd.kernels.memory import (
    call4,
    load16,
    load32,
    load64,
    prefetch,
    prefetch_write,
    store16,
    store32,
    store64,
)
from vio4wd.kernels.notify import notify_packed, notify_split
from vio4wd.kernels.offload import DATA_VALID
from vio4wd.kernels.packed_ring import complete_packed, open_packed, plain_packed, take_packed
from vio4wd.kernels.records import (
    BUFFER,
    BURST,
    GUEST,
    HEADER,
    MAX_CHAIN,
    MAX_USED,
    PACKETS,
    PICKED,
    SEGMENTS,
    TARGET,
    USED_LENGTH,
    VRING,
)
from vio4wd.kernels.ring_error import fail
from vio4wd.kernels.split_ring import complete_split, open_split, plain_split, take_split
from vio4wd.kernels.views import context_at, counters_at, item_at, mbuf_at, ring_at, vring_at
from vio4wd.shm.layout import RING_BAD_ADDRESS, RING_SHORT_CHAIN

_VRING_SIZE = VRING.itemsize
_ONE_BUFFER = 1 << 16  # of the header's bytes 8 to 11: csum_offset 0, num_buffers 1


@inline
def _header_flags(item, mbuf):
    """The header's first 8 bytes: whether the VF found the packet's checksum good (§5.1.6.4.1)."""
    if item_at(item).guest_checks and mbuf_at(mbuf).ol_flags & RX_L4_CKSUM_MASK == RX_L4_CKSUM_GOOD:
        return DATA_VALID
    return 0


@inline
def _plain_header(host, header_size, flags):
    """Write the header of a packet in one buffer."""
    if load64(host) != flags:
        store64(host, flags)
    if header_size == 12:
        if load32(host + 8) != _ONE_BUFFER:
            store32(host + 8, _ONE_BUFFER)
    elif load16(host + 8) != 0:
        store16(host + 8, 0)


@inner
def _scatter(context, item, mbuf, n_segments, buffers):
    """Write header and packet into the SEGMENTS, over their boundaries; false: an address is bad."""
    it = item_at(item)
    scratch = context_at(context).scratch
    store64(scratch + HEADER, _header_flags(item, mbuf))
    store32(scratch + HEADER + 8, buffers << 16)
    source, left = scratch + HEADER, it.header_size
    mb = mbuf_at(mbuf)
    following = mbuf
    for i in range(n_segments):
        address = load64(scratch + SEGMENTS + 16 * i)
        room = load64(scratch + SEGMENTS + 16 * i + 8)
        while room > 0:
            if left == 0:
                if following == 0:
                    return True
                mb = mbuf_at(following)
                source, left = mb.buf_addr + np.int64(mb.data_off), np.int64(mb.data_len)
                following = mb.next
                continue
            part = min(room, left)
            if not write_guest(item, address, source, part):
                return False
            address += part
            room -= part
            source += part
            left -= part
    return True


@inner
def _receive(context, item, vring, mbuf, used):
    """Place a packet in whatever chains the guest has for it, and copy it.

    Returns:
        The number of chains it took, in USED_* from `used` on; 0: the guest has not enough of them, the
        cursor stays; -1: it can never fit; -2: the ring was stopped.
    """
    it = item_at(item)
    v = vring_at(vring)
    scratch = context_at(context).scratch
    need = np.int64(mbuf_at(mbuf).pkt_len) + it.header_size
    cursor, wrap = v.cursor, v.cursor_wrap
    chains, segments, capacity = 0, 0, 0
    while capacity < need:
        if used + chains >= MAX_USED or segments > MAX_SEGMENTS - MAX_CHAIN:
            v.cursor, v.cursor_wrap = cursor, wrap
            return 0 if used > 0 else -1  # the next burst has room for it
        if chains == 1 and it.mergeable == 0:
            v.cursor, v.cursor_wrap = cursor, wrap
            return -1
        if it.packed:
            found = take_packed(item, vring, scratch, used + chains, segments, WRITE)
        else:
            found = take_split(item, vring, scratch, used + chains, segments, WRITE)
        if found < 0:
            fail(vring, -found, v.cursor)
            return -2
        if found == segments:
            v.cursor, v.cursor_wrap = cursor, wrap
            return 0
        room = 0
        for i in range(segments, found):
            room += load64(scratch + SEGMENTS + 16 * i + 8)
        if room < it.header_size:
            fail(vring, RING_SHORT_CHAIN, room)
            return -2
        segments = found
        store64(scratch + USED_LENGTH + 8 * (used + chains), min(room, need - capacity))
        capacity += room
        chains += 1
    if not _scatter(context, item, mbuf, segments, chains):
        fail(vring, RING_BAD_ADDRESS, load64(scratch + SEGMENTS))
        return -2
    return chains


@inner
def _deliver(context, item, vring, packets, n):
    """Put the `n` mbufs at address `packets` into one queue; returns how many of them found a place."""
    ctx = context_at(context)
    it = item_at(item)
    v = vring_at(vring)
    r = ring_at(v.ring)
    counters = counters_at(it.counters)
    scratch = ctx.scratch
    header_size = it.header_size
    packed = it.packed
    placed, used, volume, unfit = 0, 0, 0, 0
    before, wrap = r.used, r.used_wrap
    if r.error == 0:
        ready = open_packed(vring, n) if packed else open_split(vring, n)
        while ready and placed < n and used < MAX_USED:
            mbuf = load64(packets + 8 * placed)
            mb = mbuf_at(mbuf)
            length = np.int64(mb.pkt_len)
            need = length + header_size
            if mb.nb_segs == 1:
                if packed:
                    address = plain_packed(item, vring, scratch, used, need)
                else:
                    address = plain_split(item, vring, scratch, used, need)
                if address >= 0:
                    host = address + it.region_delta
                    prefetch_write(host)
                    prefetch_write(host + 64)
                    prefetch(mb.buf_addr + np.int64(mb.data_off))
                    store64(scratch + BUFFER + 8 * placed, host)
                    store64(scratch + GUEST + 8 * placed, address)
                    store64(scratch + USED_LENGTH + 8 * used, need)
                    used += 1
                    placed += 1
                    volume += length
                    continue
            made = _receive(context, item, vring, mbuf, used)
            if made == -1:
                unfit += 1
                counters.dropped_invalid_bytes += length
            elif made <= 0:
                break
            else:
                used += made
                volume += length
            store64(scratch + BUFFER + 8 * placed, 0)
            placed += 1
    for i in range(placed):
        host = load64(scratch + BUFFER + 8 * i)
        if host == 0:
            continue
        mbuf = load64(packets + 8 * i)
        mb = mbuf_at(mbuf)
        length = np.int64(mb.pkt_len)
        _plain_header(host, header_size, _header_flags(item, mbuf))
        copy_bytes(host + header_size, mb.buf_addr + np.int64(mb.data_off), length)
        if it.log != 0:
            log_write(item, load64(scratch + GUEST + 8 * i), length + header_size)
    if used > 0:
        if packed:
            complete_packed(item, vring, scratch, used)
            notify_packed(context, item, vring, before, wrap)
        else:
            complete_split(item, vring, scratch, used)
            notify_split(context, item, vring)
    forwarded = placed - unfit
    r.packets += forwarded
    r.bytes += volume
    counters.packets_out += forwarded
    counters.bytes_out += volume
    counters.dropped_invalid += unfit
    if placed < n:
        lost = 0
        for i in range(placed, n):
            lost += np.int64(mbuf_at(load64(packets + 8 * i)).pkt_len)
        counters.dropped_full += n - placed
        counters.dropped_full_bytes += lost
    return placed


@inner
def _steer(context, item, n):
    """Spread a burst over the guest's queues by flow; packets of a flow keep their order.

    The upper bits of the hash choose, because its lower bits have chosen the VF's queue where it has several
    (RSS): all packets of that queue have them in common.
    """
    it = item_at(item)
    scratch = context_at(context).scratch
    for i in range(n):
        hashed = flow_hash(load64(scratch + PACKETS + 8 * i))
        store64(scratch + TARGET + 8 * i, hashed * it.n_queues >> 31)
    left = n
    for q in range(it.n_queues):
        picked = 0
        for i in range(n):
            if load64(scratch + TARGET + 8 * i) == q:
                store64(scratch + PICKED + 8 * picked, load64(scratch + PACKETS + 8 * i))
                picked += 1
        if picked > 0:
            _deliver(context, item, it.queues + q * _VRING_SIZE, scratch + PICKED, picked)
            left -= picked
            if left == 0:
                break


@inner
def burst_vf_to_vm(context, item):
    """Move up to a burst from the VF to the guest; returns the number of packets received."""
    ctx = context_at(context)
    it = item_at(item)
    packets = ctx.scratch + PACKETS
    n = call4(it.rx, it.rx_a, it.rx_b, packets, BURST)
    if n == 0:
        return 0
    counters = counters_at(it.counters)
    volume = 0
    for i in range(n):
        prefetch(load64(packets + 8 * i))
    for i in range(n):
        volume += np.int64(mbuf_at(load64(packets + 8 * i)).pkt_len)
    counters.packets_in += n
    counters.bytes_in += volume
    if it.n_queues == 1:
        _deliver(context, item, it.queues, packets, n)
    elif it.n_queues > 1:
        _steer(context, item, n)
    else:
        counters.dropped_unconnected += n
        counters.dropped_unconnected_bytes += volume
    call4(ctx.free, 0, 0, packets, n)
    return n
