"""Cutting a large UDP datagram into IP fragments (UFO): no VF of DPDK's does that.

The guest's gso_size counts what each fragment carries behind the IP header, the UDP header included, as
Linux' udp4_ufo_fragment has it (RFC 791 §3.2; for IPv6 with a fragment header of 8 bytes, RFC 8200 §4.5).
The checksum in the UDP header is that of the whole datagram and complete by now.
"""

import numpy as np

from vio4wd.dpdk.mbuf import HEADROOM, TX_IPV4
from vio4wd.kernels.checksum import fold, sum_bytes, swap16, swap32
from vio4wd.kernels.compile import inner
from vio4wd.kernels.memory import cycles, load8, load64, store8, store16, store32
from vio4wd.kernels.records import PIECES
from vio4wd.kernels.segmentation import spread
from vio4wd.kernels.views import context_at, mbuf_at

_UDP = 17
_FRAGMENT = 44
_FRAGMENT_HEADER = 8
_MORE_V4, _MORE_V6 = 0x2000, 1
_HOP_BY_HOP, _ROUTING, _DESTINATION = 0, 43, 60


@inner
def _last_next_header(original, network, transport):
    """Offset of the byte that says that UDP follows, in the last header of an IPv6 packet before it.

    0: there is none, or a header before it that cannot stand before a fragment header.
    """
    field, at = network + 6, network + 40
    while at < transport:
        kind = load8(original + field)
        if kind != _HOP_BY_HOP and kind != _ROUTING and kind != _DESTINATION:
            return 0
        field = at
        at += 8 * (load8(original + at + 1) + 1)
    return field if at == transport and load8(original + field) == _UDP else 0


@inner
def _patch_ipv4(ip, header, part, offset, more):
    """Make the copied header of a fragment of `part` bytes right; what it says of fragments is replaced."""
    store16(ip + 2, swap16(header + part))
    store16(ip + 6, swap16(offset >> 3 | (_MORE_V4 if more else 0)))
    store16(ip + 10, 0)
    store16(ip + 10, ~fold(sum_bytes(ip, header)) & 0xFFFF)


@inner
def fragment(context, item, mbuf):
    """Cut the packet of an mbuf with TX_UDP_SEG; returns as `spread`, 0 also for one that cannot be."""
    pieces = context_at(context).scratch + PIECES
    mb = mbuf_at(mbuf)
    lengths = mb.tx_offload
    network = lengths & 0x7F
    transport = network + (lengths >> 7 & 0x1FF)
    size = lengths >> 24 & 0xFFF8
    original = mb.buf_addr + np.int64(mb.data_off)
    whole = np.int64(mb.pkt_len) - transport
    is_ipv4 = mb.ol_flags & TX_IPV4 == TX_IPV4
    gap, field = 0, network + 9
    if not is_ipv4:
        gap, field = _FRAGMENT_HEADER, _last_next_header(original, network, transport)
    if field == 0 or load8(original + field) != _UDP:
        return 0
    count = spread(context, item, mbuf, transport, gap, size)
    identification = cycles()  # of IPv6 alone: hard to guess, and not the same again soon
    for index in range(count):
        frame = mbuf_at(load64(pieces + 8 * index)).buf_addr + HEADROOM
        offset = index * size
        part = min(size, whole - offset)
        more = index < count - 1
        if is_ipv4:
            _patch_ipv4(frame + network, transport - network, part, offset, more)
            continue
        store16(frame + network + 4, swap16(transport - network - 40 + gap + part))
        store8(frame + field, _FRAGMENT)
        store16(frame + transport, _UDP)  # and the reserved byte
        store16(frame + transport + 2, swap16(offset | (_MORE_V6 if more else 0)))
        store32(frame + transport + 4, swap32(identification & 0xFFFFFFFF))
    return count
