"""Which queue a packet goes to: a hash of its flow, so that a flow stays on one queue.

A flow is the addresses and ports of TCP, UDP and SCTP over IPv4 or IPv6 (behind up to two VLAN tags);
for fragments and other protocols over IP the addresses alone, for other frames the MAC addresses. The
same mbuf field that a VF's RSS fills is taken in its place where the VF gave it.
"""

import numpy as np

from vio4wd.dpdk.mbuf import RX_RSS_HASH
from vio4wd.kernels.compile import inline, inner
from vio4wd.kernels.memory import load8, load16, load32, load64
from vio4wd.kernels.views import mbuf_at

# EtherTypes and protocols as they stand in memory, read as little-endian numbers.
_IPV4 = 0x0008
_IPV6 = 0xDD86
_VLAN = 0x0081
_QINQ = 0xA888
_TCP, _UDP, _SCTP = 6, 17, 132
_IPV4_FRAGMENT = 0xFF3F  # more-fragments flag and offset of the third 16 bits
_MULTIPLIER = 0x2545F4914F6CDD1D


@inline
def _mix(state, value):
    state = (state ^ value) * _MULTIPLIER
    return state ^ (state >> 29 & 0x7FFFFFFFF)


@inline
def _has_ports(protocol):
    return protocol == _TCP or protocol == _UDP or protocol == _SCTP


@inner
def hash_bytes(data, length):
    """31-bit hash of the flow of the frame of `length` contiguous bytes at an address; short ones are 0."""
    if length < 14:
        return 0
    kind = load16(data + 12)
    network = 14
    for _ in range(2):
        if (kind == _VLAN or kind == _QINQ) and length >= network + 4:
            kind = load16(data + network + 2)
            network += 4
    state = 0
    ports = 0
    if kind == _IPV4 and length >= network + 20:
        state = _mix(state, load64(data + network + 12))
        if _has_ports(load8(data + network + 9)) and load16(data + network + 6) & _IPV4_FRAGMENT == 0:
            ports = network + 4 * (load8(data + network) & 15)
    elif kind == _IPV6 and length >= network + 40:
        for i in range(4):
            state = _mix(state, load64(data + network + 8 + 8 * i))
        if _has_ports(load8(data + network + 6)):
            ports = network + 40
    else:
        state = _mix(state, load64(data))
        state = _mix(state, load32(data + 8))
    if ports and length >= ports + 4:
        state = _mix(state, load32(data + ports))
    return state >> 32 & 0x7FFFFFFF


@inline
def flow_hash(mbuf):
    """31-bit hash of a packet's flow: the VF's if it gave one, else that of the first mbuf's bytes."""
    mb = mbuf_at(mbuf)
    if mb.ol_flags & RX_RSS_HASH:
        return np.int64(mb.rss) & 0x7FFFFFFF
    return hash_bytes(mb.buf_addr + np.int64(mb.data_off), np.int64(mb.data_len))
