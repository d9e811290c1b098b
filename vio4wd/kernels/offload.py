"""Checksum and segmentation requests of a guest, made into what a VF understands.

The virtio-net header says where a checksum belongs and how a large packet is to be cut (virtio 1.2
§5.1.6.2); DPDK wants the lengths of the headers in the mbuf. The guest's numbers are checked against
the packet, all of which lies in our own memory by now, and headers are read from there: nothing that
the guest may still change decides anything.

`request` fills the mbuf. What the VF cannot do by itself is done in `segmentation` and `fragmentation`.
"""

import numpy as np

from vio4wd.dpdk.mbuf import (
    TX_IP_CKSUM,
    TX_IPV4,
    TX_IPV6,
    TX_TCP_CKSUM,
    TX_TCP_SEG,
    TX_UDP_CKSUM,
    TX_UDP_SEG,
)
from vio4wd.kernels.checksum import chain_sum, fold, swap16
from vio4wd.kernels.compile import inner
from vio4wd.kernels.memory import load8, load16, store16
from vio4wd.kernels.views import mbuf_at

# virtio_net_hdr.flags and .gso_type
NEEDS_CSUM = 1
DATA_VALID = 2
_GSO_NONE = 0
_GSO_TCPV4 = 1
_GSO_UDP = 3
_GSO_TCPV6 = 4
_GSO_ECN = 0x80

_IPV4 = 0x0800
_IPV6 = 0x86DD
_VLAN = 0x8100
_QINQ = 0x88A8
_FRAGMENT_UNIT = 8  # bytes that offsets of fragments count
_TCP_CHECKSUM_AT = 16
_UDP_CHECKSUM_AT = 6


@inner
def _network_header(data, limit):
    """Where the IP header of the frame at an address begins, and its EtherType: offset << 16 | type."""
    network = 14
    kind = swap16(load16(data + 12))
    for _ in range(2):
        if (kind == _VLAN or kind == _QINQ) and network + 4 <= limit:
            kind = swap16(load16(data + network + 2))
            network += 4
    return network << 16 | kind


@inner
def request(mbuf, word, checksum_at):
    """Note in an mbuf what its guest asks for.

    Args:
        mbuf: a whole packet, its headers in the first segment.
        word: the first 8 bytes of the virtio-net header.
        checksum_at: its csum_offset.

    Returns:
        True; False if the request makes no sense for this packet, which is to be dropped.
    """
    flags, kind = word & 0xFF, word >> 8 & 0xFF & ~_GSO_ECN
    size, transport = word >> 32 & 0xFFFF, word >> 48 & 0xFFFF
    if flags & NEEDS_CSUM == 0:
        return kind == _GSO_NONE
    mb = mbuf_at(mbuf)
    first = np.int64(mb.data_len)
    data = mb.buf_addr + np.int64(mb.data_off)
    if transport + checksum_at + 2 > first or transport < 14:
        return False
    found = _network_header(data, first)
    network, ethertype = found >> 16, found & 0xFFFF
    version = 0
    if ethertype == _IPV4 and network + 20 <= transport <= network + 60:
        version = TX_IPV4
    elif ethertype == _IPV6 and network + 40 <= transport < network + 512:
        version = TX_IPV6
    protocol = 0
    if checksum_at == _TCP_CHECKSUM_AT:
        protocol = TX_TCP_CKSUM
    elif checksum_at == _UDP_CHECKSUM_AT:
        protocol = TX_UDP_CKSUM
    if kind == _GSO_UDP:
        if version == 0 or protocol != TX_UDP_CKSUM or size < _FRAGMENT_UNIT or transport + 8 > first:
            return False
        if np.int64(mb.pkt_len) - transport > size:
            finish_checksum(mbuf, transport, checksum_at)
            mb.ol_flags = version | TX_UDP_SEG
            mb.tx_offload = network | (transport - network) << 7 | size << 24
            return True
        kind = _GSO_NONE  # it fits as it is
    if kind == _GSO_NONE:
        if version == 0 or protocol == 0:
            finish_checksum(mbuf, transport, checksum_at)
            return True
        mb.ol_flags = version | protocol
        mb.tx_offload = network | (transport - network) << 7
        return True
    wanted = _GSO_TCPV4 if version == TX_IPV4 else _GSO_TCPV6
    if kind != wanted or version == 0 or protocol != TX_TCP_CKSUM or size == 0:
        return False
    if transport + 20 > first:
        return False
    header = 4 * (load8(data + transport + 12) >> 4)
    if header < 20 or transport + header > first:
        return False
    mb.ol_flags = version | TX_TCP_CKSUM | TX_TCP_SEG | (TX_IP_CKSUM if version == TX_IPV4 else 0)
    mb.tx_offload = network | (transport - network) << 7 | header << 16 | size << 24
    return True


@inner
def finish_checksum(mbuf, transport, checksum_at):
    """Write the checksum from offset `transport` to the end; its field holds the pseudo header's sum."""
    mb = mbuf_at(mbuf)
    value = ~fold(chain_sum(mbuf, transport)) & 0xFFFF
    if value == 0 and checksum_at == _UDP_CHECKSUM_AT:
        value = 0xFFFF  # 0 would say that there is none (RFC 768)
    store16(mb.buf_addr + np.int64(mb.data_off) + transport + checksum_at, value)


@inner
def finish_in_software(mbuf):
    """Write the checksum that the mbuf's flags leave to the VF."""
    mb = mbuf_at(mbuf)
    lengths = mb.tx_offload
    transport = (lengths & 0x7F) + (lengths >> 7 & 0x1FF)
    is_tcp = mb.ol_flags & TX_TCP_CKSUM == TX_TCP_CKSUM and mb.ol_flags & TX_UDP_CKSUM != TX_UDP_CKSUM
    finish_checksum(mbuf, transport, _TCP_CHECKSUM_AT if is_tcp else _UDP_CHECKSUM_AT)
    mb.ol_flags = 0
