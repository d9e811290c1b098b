"""A packet pool and a port without DPDK: mbufs in memory of this process, functions by address.

The functions have the signature and the behaviour of those in `vio4wd.dpdk.functions`, and are
compiled code that holds no lock, so that kernels cannot tell them apart. `ALLOC_BULK` hands out mbufs
full of nonsense, as raw mbufs are; `FREE_BULK` finds mbufs that are freed twice, belong to no pool,
or have a reference count other than 1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

import numba
import numpy as np
import numpy.typing as npt

from vio4wd.dpdk.mbuf import HEADROOM, MBUF, RX_RSS_HASH
from vio4wd.kernels import compile as _compile  # noqa: F401  (says where compiled code is kept)
from vio4wd.kernels.memory import load8, load64, store8, store64
from vio4wd.kernels.views import mbuf_at
from vio4wd.testing.guest_memory import PATTERN

#: Bytes behind each mbuf's buffer that nobody may write.
GUARD: Final = 64

# A pool's block of 64-bit numbers, at these byte offsets from its address.
_FREE = 0  # mbufs in the pool
_BASE = 8  # address of the first mbuf
_STRIDE = 16  # bytes from one to the next
_COUNT = 24  # mbufs in all
_ERRORS = 32  # wrong frees
_FAILED = 40  # allocations for which there were too few
_INSIDE = 48  # address of a byte for each mbuf: 1 while it is in the pool
_STACK = 64  # addresses of those in the pool

# A port's block, likewise.
_FED = 0  # packets fed to the source
_TAKEN = 8  # of these, received
_SENT = 16  # packets in the sink
_ACCEPT = 24  # packets the sink still takes, negative: as many as fit it
_BOTH = 32  # entries of either list
_LISTS = 64  # addresses of packets: the source's, then the sink's

_NONSENSE = 0x6B


def _alloc(pool: int, b: int, packets: int, n: int) -> int:
    free = load64(pool + _FREE)
    if free < n:
        store64(pool + _FAILED, load64(pool + _FAILED) + 1)
        return 0
    for i in range(n):
        mbuf = load64(pool + _STACK + 8 * (free - 1 - i))
        place = (mbuf - load64(pool + _BASE)) // load64(pool + _STRIDE)
        store8(load64(pool + _INSIDE) + place, 0)
        store64(packets + 8 * i, mbuf)
    store64(pool + _FREE, free - n)
    return n


def _free(a: int, b: int, packets: int, n: int) -> int:
    for i in range(n):
        mbuf = load64(packets + 8 * i)
        while mbuf != 0:
            mb = mbuf_at(mbuf)
            pool = mb.pool
            following = mb.next
            offset = mbuf - load64(pool + _BASE)
            place = offset // load64(pool + _STRIDE)
            known = offset >= 0 and place < load64(pool + _COUNT) and offset % load64(pool + _STRIDE) == 0
            if not known or load8(load64(pool + _INSIDE) + place) == 1 or mb.refcnt != 1:
                store64(pool + _ERRORS, load64(pool + _ERRORS) + 1)
                break
            mb.next = 0
            mb.nb_segs = 1
            mb.data_off = _NONSENSE
            mb.data_len = _NONSENSE
            mb.pkt_len = _NONSENSE
            mb.ol_flags = _NONSENSE
            mb.vlan_tci = _NONSENSE
            mb.packet_type = _NONSENSE
            mb.tx_offload = _NONSENSE
            store8(load64(pool + _INSIDE) + place, 1)
            free = load64(pool + _FREE)
            store64(pool + _STACK + 8 * free, mbuf)
            store64(pool + _FREE, free + 1)
            mbuf = following
    return n


def _receive(port: int, b: int, packets: int, n: int) -> int:
    taken = load64(port + _TAKEN)
    count: int = min(n, load64(port + _FED) - taken)
    for i in range(count):
        store64(packets + 8 * i, load64(port + _LISTS + 8 * (taken + i)))
    store64(port + _TAKEN, taken + count)
    return count


def _send(port: int, b: int, packets: int, n: int) -> int:
    sent = load64(port + _SENT)
    capacity = load64(port + _BOTH)
    accept = load64(port + _ACCEPT)
    count: int = min(n, capacity - sent)
    if accept >= 0:
        count = min(count, accept)
        store64(port + _ACCEPT, accept - count)
    sink = port + _LISTS + 8 * capacity
    for i in range(count):
        store64(sink + 8 * (sent + i), load64(packets + 8 * i))
    store64(port + _SENT, sent + count)
    return count


_signature = numba.cfunc("int64(int64, int64, int64, int64)", nopython=True, cache=True)
_functions = [_signature(function) for function in (_alloc, _free, _receive, _send)]
ALLOC_BULK, FREE_BULK, RX_BURST, TX_BURST = (int(function.address) for function in _functions)


@dataclasses.dataclass(frozen=True, slots=True)
class Packet:
    """What an mbuf chain holds: bytes, bytes of each segment, and the fields that ask for offloads."""

    data: bytes
    segments: tuple[int, ...]
    ol_flags: int
    tx_offload: int


class MockPool:
    """A pool of mbufs. `address` is what ALLOC_BULK is called with.

    Args:
        count: mbufs.
        data_room: bytes of packet that fit one.
    """

    def __init__(self, count: int = 512, data_room: int = 2048) -> None:
        self.size = count
        self.data_room = data_room
        length = HEADROOM + data_room
        stride = -(-(MBUF.itemsize + length + GUARD) // 64) * 64
        self._block = np.zeros(count * stride + 64, np.uint8)
        base = -(-self._block.ctypes.data // 64) * 64
        self._offset = base - self._block.ctypes.data
        self._base, self._stride = base, stride
        self._mbufs = np.ndarray((count,), MBUF, self._block, self._offset, (stride,))
        addresses = base + stride * np.arange(count)
        self._inside = np.ones(count, np.uint8)
        self._state = np.zeros(_STACK // 8 + count, np.int64)
        self._state[_FREE // 8] = self._state[_COUNT // 8] = count
        self._state[_BASE // 8] = base
        self._state[_STRIDE // 8] = stride
        self._state[_INSIDE // 8] = self._inside.ctypes.data
        self._state[_STACK // 8 :] = addresses
        self.address = int(self._state.ctypes.data)
        self._mbufs["buf_addr"] = addresses + MBUF.itemsize
        self._mbufs["buf_len"] = length
        self._mbufs["pool"] = self.address
        self._mbufs["refcnt"] = 1
        self._mbufs["nb_segs"] = 1
        for name in ("data_off", "data_len", "pkt_len", "ol_flags", "vlan_tci", "packet_type", "tx_offload"):
            self._mbufs[name] = _NONSENSE
        self._guards = np.ndarray(
            (count, GUARD), np.uint8, self._block, self._offset + MBUF.itemsize + length, (stride, 1)
        )
        self._guards[:] = PATTERN

    @property
    def available(self) -> int:
        """Mbufs in the pool."""
        return int(self._state[_FREE // 8])

    @property
    def failed(self) -> int:
        """Allocations refused."""
        return int(self._state[_FAILED // 8])

    def check(self) -> None:
        """Raise AssertionError if an mbuf was freed wrongly or written beyond its buffer."""
        errors = int(self._state[_ERRORS // 8])
        if errors:
            raise AssertionError(f"{errors} mbufs were freed twice, or with a wrong reference count")
        if (self._guards != PATTERN).any():
            raise AssertionError("bytes behind an mbuf's buffer were overwritten")

    def hold(self, count: int) -> list[int]:
        """Take `count` mbufs away, e.g. to leave the pool empty; `free` brings them back.

        Raises:
            MemoryError: there are fewer.
        """
        packets = np.zeros(max(count, 1), np.int64)
        if count > self.available:
            raise MemoryError(f"{count} mbufs asked for, {self.available} are in the pool")
        _functions[0].ctypes(self.address, 0, packets.ctypes.data, count)
        return [int(mbuf) for mbuf in packets[:count]]

    def free(self, mbufs: Sequence[int]) -> None:
        """Give packets back, by the addresses of their first mbufs."""
        packets = np.array(mbufs, np.int64)
        _functions[1].ctypes(0, 0, packets.ctypes.data, len(packets))

    def packet(
        self, data: bytes, *, segments: Sequence[int] = (), rss: int | None = None, ol_flags: int = 0
    ) -> int:
        """Make a packet as a driver receives it.

        Args:
            segments: bytes of the first mbufs of the chain; what is left fills as many more as it takes.
            rss: the hash that a VF's RSS computed; None: it computed none.
            ol_flags: RX_*; the flag for `rss` is set by itself.

        Returns:
            The address of its first mbuf.
        """
        lengths = list(segments)
        while sum(lengths) < len(data):
            lengths.append(min(self.data_room, len(data) - sum(lengths)))
        lengths = lengths or [0]
        mbufs = self.hold(len(lengths))
        done = 0
        for position, (mbuf, length) in enumerate(zip(mbufs, lengths, strict=True)):
            record = self._record(mbuf)
            record["data_off"] = HEADROOM
            record["data_len"] = length
            record["next"] = mbufs[position + 1] if position + 1 < len(mbufs) else 0
            self._bytes(mbuf, length)[:] = np.frombuffer(data, np.uint8, length, done)
            done += length
        first = self._record(mbufs[0])
        first["pkt_len"] = len(data)
        first["nb_segs"] = len(mbufs)
        first["ol_flags"] = ol_flags | (RX_RSS_HASH if rss is not None else 0)
        first["rss"] = rss or 0
        return mbufs[0]

    def read(self, mbuf: int) -> Packet:
        """The packet that begins with an mbuf.

        Raises:
            AssertionError: the chain's fields contradict each other.
        """
        first = self._record(mbuf)
        parts, following = [], mbuf
        while following:
            record = self._record(following)
            if int(record["data_off"]) + int(record["data_len"]) > int(record["buf_len"]):
                raise AssertionError(f"data of an mbuf ends outside its buffer: {record}")
            parts.append(self._bytes(following, int(record["data_len"])).tobytes())
            following = int(record["next"])
        data = b"".join(parts)
        if len(parts) != first["nb_segs"] or len(data) != first["pkt_len"]:
            raise AssertionError(
                f"{len(parts)} segments of {len(data)} bytes, "
                f"the first mbuf says {first['nb_segs']} of {first['pkt_len']}"
            )
        return Packet(data, tuple(map(len, parts)), int(first["ol_flags"]), int(first["tx_offload"]))

    def _record(self, mbuf: int) -> np.void:
        record: np.void = self._mbufs[(mbuf - self._base) // self._stride]
        return record

    def _bytes(self, mbuf: int, length: int) -> npt.NDArray[np.uint8]:
        start = mbuf - self._base + self._offset + MBUF.itemsize + int(self._record(mbuf)["data_off"])
        return self._block[start : start + length]


class MockPort:
    """A VF whose packets a test supplies and whose sent packets it reads.

    RX_BURST and TX_BURST are called with (address, 0).

    Args:
        capacity: packets fed, and packets sent, before the next `sent`.
    """

    def __init__(self, pool: MockPool, capacity: int = 4096) -> None:
        self.pool = pool
        self.capacity = capacity
        self._state = np.zeros(_LISTS // 8 + 2 * capacity, np.int64)
        self._state[_BOTH // 8] = capacity
        self._state[_ACCEPT // 8] = -1
        self.address = int(self._state.ctypes.data)

    @property
    def waiting(self) -> int:
        """Packets fed that nobody has received yet."""
        return int(self._state[_FED // 8] - self._state[_TAKEN // 8])

    def feed(self, *mbufs: int) -> None:
        """Let RX_BURST return these packets, one after the other, after those fed before."""
        fed = int(self._state[_FED // 8])
        if not self.waiting:
            self._state[_FED // 8] = self._state[_TAKEN // 8] = fed = 0
        if fed + len(mbufs) > self.capacity:
            raise MemoryError(f"{len(mbufs)} more packets do not fit {self.capacity}, {fed} are there")
        first = _LISTS // 8 + fed
        self._state[first : first + len(mbufs)] = mbufs
        self._state[_FED // 8] = fed + len(mbufs)

    def accept(self, count: int) -> None:
        """Let TX_BURST take so many packets more and refuse all others, as a VF whose queue is full."""
        self._state[_ACCEPT // 8] = count

    def sent(self) -> list[Packet]:
        """Take the packets that TX_BURST was given; their mbufs go back to the pool.

        Raises:
            AssertionError: as for MockPool.read.
        """
        first = _LISTS // 8 + self.capacity
        mbufs = [int(mbuf) for mbuf in self._state[first : first + int(self._state[_SENT // 8])]]
        packets = [self.pool.read(mbuf) for mbuf in mbufs]
        self._state[_SENT // 8] = 0
        if mbufs:
            self.pool.free(mbufs)
        return packets
