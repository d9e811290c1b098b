"""Pools, rings and mbufs: counted, found by name, and laid out as the compiler says."""

import pytest

from vio4wd.dpdk.errors import DpdkError
from vio4wd.testing.isolated import primary, run_isolated


def pool_life() -> None:
    from vio4wd.dpdk._binding import ffi, lib
    from vio4wd.dpdk.mempool import Pool

    with primary():
        pool = Pool.create("pool", 1023, data_room=2176)
        assert (pool.size, pool.available(), pool.data_room) == (1023, 1023, 2176)
        assert Pool.lookup("pool").address == pool.address != 0
        with pytest.raises(DpdkError, match="packet pool pool of 1023 mbufs cannot be made: "):
            Pool.create("pool", 1023)
        with pytest.raises(DpdkError, match="there is no packet pool other"):
            Pool.lookup("other")
        packets = ffi.new("struct rte_mbuf *[]", 1024)
        address = int(ffi.cast("uintptr_t", packets))
        assert lib.vio_alloc_bulk(pool.address, 0, address, 1000) == 1000
        assert pool.available() == 23
        assert lib.vio_alloc_bulk(pool.address, 0, address + 8 * 1000, 24) == 0  # all or nothing
        assert pool.available() == 23
        lib.vio_free_bulk(0, 0, address, 1000)
        assert pool.available() == 1023
        pool.flush()
        assert pool.available() == 1023
        pool.free()
        with pytest.raises(DpdkError, match="there is no packet pool pool"):
            Pool.lookup("pool")


def test_pool_life():
    run_isolated(pool_life)


def ring_life() -> None:
    from vio4wd.dpdk._binding import ffi, lib
    from vio4wd.dpdk.mempool import Pool
    from vio4wd.dpdk.ring import Ring

    with primary():
        pool = Pool.create("pool", 255)
        ring = Ring.create("ring", 64)
        assert (ring.capacity, ring.count()) == (63, 0)
        assert Ring.lookup("ring").address == ring.address
        with pytest.raises(DpdkError, match="ring bad of 63 entries cannot be made"):
            Ring.create("bad", 63)
        packets = ffi.new("struct rte_mbuf *[]", 100)
        address = int(ffi.cast("uintptr_t", packets))
        lib.vio_alloc_bulk(pool.address, 0, address, 100)
        assert lib.vio_ring_room(ring.address, 0, 0, 0) == 63
        assert lib.vio_ring_enqueue(ring.address, 0, address, 100) == 63
        assert lib.vio_ring_room(ring.address, 0, 0, 0) == 0
        taken = ffi.new("struct rte_mbuf *[]", 10)
        assert lib.vio_ring_dequeue(ring.address, 0, int(ffi.cast("uintptr_t", taken)), 10) == 10
        assert list(taken) == list(packets[0:10])
        ring.repair()  # of a sound ring: nothing changes
        assert ring.count() == 53
        assert ring.drain() == 53
        assert ring.count() == 0
        lib.vio_free_bulk(0, 0, address, 10)
        lib.vio_free_bulk(0, 0, address + 8 * 63, 37)
        assert pool.available() == 255
        ring.free()
        with pytest.raises(DpdkError, match="there is no ring ring"):
            Ring.lookup("ring")


def test_ring_life():
    run_isolated(ring_life)


def killed_producer() -> None:
    """A ring as a process leaves it that was killed between the two halves of an operation."""
    import ctypes

    from vio4wd.dpdk._binding import ffi, lib
    from vio4wd.dpdk.ring import Ring

    with primary():
        ring = Ring.create("ring", 64)
        packets = ffi.new("struct rte_mbuf *[]", 32)
        address = int(ffi.cast("uintptr_t", packets))
        lib.vio_ring_enqueue(ring.address, 0, address, 20)
        # prod.head is the first number behind the ring's description; find it by its value.
        words = (ctypes.c_uint32 * 128).from_address(ring.address)
        before = list(words)
        lib.vio_ring_enqueue(ring.address, 0, address, 5)
        changed = [n for n in range(128) if words[n] != before[n]]
        head, tail = changed[:2]
        assert (words[head], words[tail]) == (25, 25)
        words[head] = 30  # five more were announced
        ring.repair()
        assert (words[head], words[tail]) == (25, 25)
        assert lib.vio_ring_dequeue(ring.address, 0, address, 32) == 25


def test_a_killed_producer_leaves_whole_packets():
    run_isolated(killed_producer)


def mbuf_layout() -> None:
    from vio4wd.dpdk._binding import ffi, lib
    from vio4wd.dpdk.mempool import Pool

    with primary():
        pool = Pool.create("pool", 63, data_room=3000)
        packets = ffi.new("struct rte_mbuf *[]", 1)
        lib.vio_alloc_bulk(pool.address, 0, int(ffi.cast("uintptr_t", packets)), 1)
        import numpy as np

        from vio4wd.dpdk.mbuf import HEADROOM, MBUF

        assert MBUF.itemsize == 128
        address = int(ffi.cast("uintptr_t", packets[0]))
        mbuf = np.frombuffer(ffi.buffer(packets[0:1], 8), np.int64)
        assert mbuf[0] == address
        record = np.frombuffer(ffi.buffer(ffi.cast("char *", packets[0]), 128), MBUF)[0]
        assert record["buf_addr"] == address + 128
        assert record["buf_len"] == 3000
        assert record["data_off"] == HEADROOM == 128
        assert (record["refcnt"], record["nb_segs"], record["next"]) == (1, 1, 0)
        assert record["pool"] == pool.address


def test_mbuf_fields_are_where_dpdk_has_them():
    run_isolated(mbuf_layout)
