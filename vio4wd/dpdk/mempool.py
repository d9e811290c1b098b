"""Packet pools: mbufs in hugepages, shared by all processes of the instance.

The free mbufs lie on DPDK's lock-free stack, not in its usual ring. In the ring, a process that is
killed between two instructions of an operation leaves everybody else waiting for ever; on the stack it
takes at most the mbufs it was handling with it.
"""

from __future__ import annotations

from typing import Final

from vio4wd.dpdk._binding import ffi, lib
from vio4wd.dpdk.errors import mark_log
from vio4wd.dpdk.named import Named

HEADROOM: Final = int(lib.RTE_PKTMBUF_HEADROOM)
#: Bytes for headroom and packet in one mbuf, by default: a frame of 1500 bytes payload fits.
DATA_ROOM: Final = 2048 + HEADROOM
#: mbufs that each lcore keeps to itself (up to 1.5 times as many); they count as available.
CACHE: Final = 256
_OPERATIONS: Final = b"lf_stack"


class Pool(Named):
    """A pool of mbufs. Who created it frees it, once every mbuf is back."""

    _kind = "packet pool"
    _find = lib.rte_mempool_lookup

    @classmethod
    def create(
        cls, name: str, count: int, socket: int = -1, *, data_room: int = DATA_ROOM, cache: int = CACHE
    ) -> Pool:
        """A pool of `count` mbufs (best 2^n - 1) with `data_room` bytes each, headroom included.

        Args:
            name: at most 25 characters, unique in the instance.
            socket: NUMA node, -1: any.
            cache: mbufs kept by each lcore, at most count / 1.5.

        Raises:
            DpdkError: the name is taken, or no hugepages are left.
        """
        mark_log()
        cached = min(cache, count * 2 // 3)
        pointer = lib.rte_pktmbuf_pool_create_by_ops(
            name.encode(), count, cached, 0, data_room, socket, _OPERATIONS
        )
        return cls._made(pointer, name, f" of {count} mbufs")

    @property
    def size(self) -> int:
        """mbufs it was made with."""
        return int(lib.vio_pool_size(self.pointer))

    @property
    def data_room(self) -> int:
        """Bytes of each mbuf's buffer, headroom included."""
        return int(lib.rte_pktmbuf_data_room_size(self.pointer))

    def flush(self) -> None:
        """Give back the free mbufs that this thread's lcore keeps, when it will use the pool no more."""
        lib.vio_pool_flush(self.pointer)

    def available(self) -> int:
        """mbufs that are in the pool now, in the lcores' caches included. Slow: for tests and statistics."""
        return int(lib.rte_mempool_avail_count(self.pointer))

    def free(self) -> None:
        """Give its memory back; no process may use it or one of its mbufs afterwards."""
        lib.rte_mempool_free(self.pointer)
        self.pointer = ffi.NULL


def free_packets(address: int, count: int) -> None:
    """Give packets back to their pools: `count` mbuf pointers at an address."""
    lib.vio_free_bulk(0, 0, address, count)
