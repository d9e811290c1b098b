"""Cutting a large TCP packet into frames (GSO), for a VF that cannot.

The headers of the large packet stand before each piece, with lengths, IP identification, sequence
number, flags and checksums made right for it (RFC 9293 §3.1; for the flags Linux' tcp_gso_segment
shows what receivers expect: FIN and PSH on the last piece, CWR on the first).
"""

import numpy as np

from vio4wd.dpdk.mbuf import HEADROOM
from vio4wd.kernels.checksum import fold, sum_bytes, swap16, swap32
from vio4wd.kernels.compile import inner
from vio4wd.kernels.copy import copy_bytes
from vio4wd.kernels.memory import call4, load8, load16, load32, load64, store8, store16, store32
from vio4wd.kernels.records import MAX_PIECES, PIECES
from vio4wd.kernels.views import context_at, item_at, mbuf_at

_FIN, _PSH, _CWR = 0x01, 0x08, 0x80
_TCP = 6


@inner
def _patch(frame, original, network, transport, header, payload, offset, index, last):
    """Make the copied headers of piece `index`, with `payload` bytes from `offset` on, right."""
    ip = frame + network
    tcp = frame + transport
    length = header - transport + payload
    if load8(ip) >> 4 == 4:
        store16(ip + 2, swap16(transport - network + length))
        store16(ip + 4, swap16((swap16(load16(original + network + 4)) + index) & 0xFFFF))
        store16(ip + 10, 0)
        store16(ip + 10, ~fold(sum_bytes(ip, transport - network)) & 0xFFFF)
        addresses = sum_bytes(ip + 12, 8)
    else:
        store16(ip + 4, swap16(transport - network - 40 + length))
        addresses = sum_bytes(ip + 8, 32)
    store32(tcp + 4, swap32((swap32(load32(original + transport + 4)) + offset) & 0xFFFFFFFF))
    flags = load8(original + transport + 13)
    if not last:
        flags &= ~(_FIN | _PSH)
    if index > 0:
        flags &= ~_CWR
    store8(tcp + 13, flags)
    store16(tcp + 16, 0)
    total = sum_bytes(tcp, length) + fold(addresses) + swap16(length) + swap16(_TCP)
    store16(tcp + 16, ~fold(total) & 0xFFFF)


@inner
def spread(context, item, mbuf, header, gap, size):
    """Copy a packet into new mbufs, whose addresses go to PIECES.

    Each gets the first `header` bytes, `gap` bytes that are the caller's to fill, and the next `size` bytes
    of the rest, the last one what is left of it.

    Returns:
        How many; 0: a piece does not fit an mbuf, or there are too many; -1: no mbufs. The packet stays the
        caller's.
    """
    ctx = context_at(context)
    it = item_at(item)
    pieces = ctx.scratch + PIECES
    mb = mbuf_at(mbuf)
    original = mb.buf_addr + np.int64(mb.data_off)
    payload = np.int64(mb.pkt_len) - header
    count = (payload + size - 1) // size
    room = np.int64(mb.buf_len) - HEADROOM
    if count < 1 or count > MAX_PIECES or header + gap + min(size, payload) > room:
        return 0
    if call4(ctx.alloc, it.pool, 0, pieces, count) != count:
        return -1
    source, left = original + header, np.int64(mb.data_len) - header
    following = mb.next
    for index in range(count):
        part = min(size, payload - index * size)
        fresh = mbuf_at(load64(pieces + 8 * index))
        frame = fresh.buf_addr + HEADROOM
        copy_bytes(frame, original, header)
        filled = 0
        while filled < part:
            if left == 0:
                tail = mbuf_at(following)
                source, left = tail.buf_addr + np.int64(tail.data_off), np.int64(tail.data_len)
                following = tail.next
                continue
            step = min(left, part - filled)
            copy_bytes(frame + header + gap + filled, source, step)
            filled += step
            source += step
            left -= step
        fresh.data_off = HEADROOM
        fresh.ol_flags = 0
        fresh.pkt_len = header + gap + part
        fresh.data_len = header + gap + part
        fresh.vlan_tci = 0
    return count


@inner
def cut(context, item, mbuf):
    """Cut the packet of an mbuf with TX_TCP_SEG; returns as `spread`."""
    pieces = context_at(context).scratch + PIECES
    mb = mbuf_at(mbuf)
    lengths = mb.tx_offload
    network = lengths & 0x7F
    transport = network + (lengths >> 7 & 0x1FF)
    header = transport + (lengths >> 16 & 0xFF)
    size = lengths >> 24 & 0xFFFF
    original = mb.buf_addr + np.int64(mb.data_off)
    payload = np.int64(mb.pkt_len) - header
    count = spread(context, item, mbuf, header, 0, size)
    for index in range(count):
        frame = mbuf_at(load64(pieces + 8 * index)).buf_addr + HEADROOM
        offset = index * size
        part = min(size, payload - offset)
        _patch(frame, original, network, transport, header, part, offset, index, index == count - 1)
    return count
