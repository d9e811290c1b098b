"""Rings of packets between two processes: one producer, one consumer."""

from __future__ import annotations

from typing import Final

from vio4wd.dpdk._binding import ffi, lib
from vio4wd.dpdk.errors import mark_log
from vio4wd.dpdk.named import Named

_BURST: Final = 32


class Ring(Named):
    """A single-producer, single-consumer ring of mbuf pointers."""

    _kind = "ring"
    _find = lib.rte_ring_lookup

    @classmethod
    def create(cls, name: str, size: int, socket: int = -1) -> Ring:
        """A ring with room for size - 1 packets; size is a power of two.

        Args:
            name: at most 26 characters, unique in the instance.
            socket: NUMA node, -1: any.

        Raises:
            DpdkError: the name is taken, the size is no power of two, or no hugepages are left.
        """
        mark_log()
        flags = lib.RING_F_SP_ENQ | lib.RING_F_SC_DEQ
        pointer = lib.rte_ring_create(name.encode(), size, socket, flags)
        return cls._made(pointer, name, f" of {size} entries")

    @property
    def capacity(self) -> int:
        """Packets it can hold."""
        return int(lib.rte_ring_get_capacity(self.pointer))

    def count(self) -> int:
        """Packets in it now."""
        return int(lib.rte_ring_count(self.pointer))

    def drain(self) -> int:
        """Free the packets in it, as its only consumer; their number."""
        packets = ffi.new("struct rte_mbuf *[]", _BURST)
        address = int(ffi.cast("uintptr_t", packets))
        drained = 0
        while n := lib.vio_ring_dequeue(self.address, 0, address, _BURST):
            lib.vio_free_bulk(0, 0, address, n)
            drained += n
        return drained

    def repair(self) -> None:
        """Undo the half-done operation of a process that was killed, while nobody uses the ring.

        What was being put in is forgotten, what was being taken out counts as taken: packets may be lost,
        none comes twice.
        """
        lib.vio_ring_repair(self.pointer)

    def free(self) -> None:
        """Give its memory back; no process may use it afterwards. What it holds is not freed."""
        lib.rte_ring_free(self.pointer)
        self.pointer = ffi.NULL
