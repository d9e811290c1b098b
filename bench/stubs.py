"""The VF and the packet pool of a measurement, at next to no cost: the same packets over and over.

The functions have the signature of those in `vio4wd.dpdk.functions`, need no DPDK process, and cost a
few instructions a burst, so that what is measured is the kernel.
"""

from __future__ import annotations

import ctypes

import numba
import numpy as np

from vio4wd.dpdk.mbuf import HEADROOM, MBUF
from vio4wd.kernels import compile as _compile  # noqa: F401  (says where compiled code is kept)
from vio4wd.kernels.memory import copy32, store64
from vio4wd.kernels.records import BURST

_ROOM = 2048  # bytes of packet in an mbuf, at least


def _supply(table: int, b: int, packets: int, n: int) -> int:
    # Always whole vectors: the caller's array has room for a burst.
    for place in range(0, 8 * n, 32):
        copy32(packets + place, table + place)
    return n


def _take(a: int, b: int, packets: int, n: int) -> int:
    return n


def _nothing(a: int, b: int, packets: int, n: int) -> int:
    store64(packets, 0)
    return 0


_signature = numba.cfunc("int64(int64, int64, int64, int64)", nopython=True, cache=True)
_functions = [_signature(function) for function in (_supply, _take, _nothing)]
_SUPPLY, _TAKE, _NOTHING = (int(function.address) for function in _functions)


class StubVf:
    """A burst of packets that never ends.

    Args:
        length: bytes of each packet.
        silent: the VF receives nothing.

    Attributes:
        functions: as `bench.driver.Bed` takes them.
    """

    def __init__(self, length: int, *, silent: bool = False) -> None:
        room = HEADROOM + max(length, _ROOM)
        stride = -(-(MBUF.itemsize + room) // 64) * 64
        self._block = np.zeros((BURST + 1) * stride, np.uint8)
        base = -(-self._block.ctypes.data // 64) * 64
        offset = base - self._block.ctypes.data
        mbufs = np.ndarray((BURST,), MBUF, self._block, offset, (stride,))
        self._table = base + stride * np.arange(BURST)
        mbufs["buf_addr"] = self._table + MBUF.itemsize
        mbufs["buf_len"] = room
        mbufs["data_off"] = HEADROOM
        mbufs["data_len"] = mbufs["pkt_len"] = length
        mbufs["refcnt"] = mbufs["nb_segs"] = 1
        table = int(self._table.ctypes.data)
        write = int(ctypes.cast(ctypes.CDLL(None).write, ctypes.c_void_p).value or 0)
        receive = _NOTHING if silent else _SUPPLY
        self.functions = (receive, table, _TAKE, 0, table, _SUPPLY, _TAKE, write)
