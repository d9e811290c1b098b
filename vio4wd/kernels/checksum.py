"""The Internet checksum (RFC 1071) over bytes of our own memory.

Sums are of 16-bit words in the machine's byte order, which gives the same result as in the network's
(RFC 1071 §2 B), so that a sum is stored without swapping.
"""

import numpy as np

from vio4wd.kernels.compile import inline, inner
from vio4wd.kernels.memory import load8, load16, peek32
from vio4wd.kernels.views import mbuf_at


@inline
def swap16(value):
    """A 16-bit number in the other byte order."""
    return value << 8 & 0xFF00 | value >> 8 & 0xFF


@inline
def swap32(value):
    """A 32-bit number in the other byte order."""
    return swap16(value) << 16 | swap16(value >> 16)


@inner
def sum_bytes(data, length):
    """Sum of the words of `length` < 2^20 bytes at an address; an odd last byte is padded with 0."""
    total = 0
    for i in range(length >> 2):
        word = peek32(data + 4 * i)
        total += (word & 0xFFFF) + (word >> 16)
    if length & 2:
        total += load16(data + (length & ~3))
    if length & 1:
        total += load8(data + length - 1)
    return total


@inline
def fold(total):
    """A sum in 16 bits (with end-around carry)."""
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


@inner
def chain_sum(mbuf, start):
    """Sum of a packet's bytes from offset `start` (in its first mbuf) to the end, over all its mbufs."""
    total, odd = 0, 0
    skip = start
    while mbuf != 0:
        mb = mbuf_at(mbuf)
        length = np.int64(mb.data_len) - skip
        part = fold(sum_bytes(mb.buf_addr + np.int64(mb.data_off) + skip, length))
        total += swap16(part) if odd else part
        odd ^= length & 1
        skip = 0
        mbuf = mb.next
    return total
