"""The mock pool and port behave as DPDK's do, and find what kernels do wrong."""

import numba
import numpy as np
import pytest

from vio4wd.dpdk.mbuf import RX_RSS_HASH
from vio4wd.kernels.memory import call4
from vio4wd.testing.mock_pool import ALLOC_BULK, FREE_BULK, RX_BURST, TX_BURST, MockPool, MockPort


@numba.njit
def _call(function, a, b, c, d):
    return call4(function, a, b, c, d)


def _received(port, count):
    packets = np.zeros(count, np.int64)
    n = _call(RX_BURST, port.address, 0, packets.ctypes.data, count)
    return packets[:n].tolist()


def _transmitted(port, mbufs):
    packets = np.array(mbufs, np.int64)
    return _call(TX_BURST, port.address, 0, packets.ctypes.data, len(packets))


def test_all_or_none_are_allocated():
    pool = MockPool(4)
    packets = np.zeros(8, np.int64)
    assert _call(ALLOC_BULK, pool.address, 0, packets.ctypes.data, 5) == 0
    assert (pool.available, pool.failed) == (4, 1)
    assert _call(ALLOC_BULK, pool.address, 0, packets.ctypes.data, 3) == 3
    assert len(set(packets[:3].tolist())) == 3
    assert pool.available == 1
    assert _call(FREE_BULK, 0, 0, packets.ctypes.data, 3) == 3
    assert pool.available == 4
    pool.check()


@pytest.mark.parametrize(("segments", "expected"), [((), (100, 100, 50)), ((1, 99), (1, 99, 100, 50))])
def test_packets_are_chains_that_are_freed_as_a_whole(segments, expected):
    pool = MockPool(8, data_room=100)
    data = bytes(range(250))
    mbuf = pool.packet(data, segments=segments, rss=7)
    packet = pool.read(mbuf)
    assert (packet.data, packet.segments, packet.ol_flags) == (data, expected, RX_RSS_HASH)
    assert pool.available == 8 - len(expected)
    pool.free([mbuf])
    assert pool.available == 8
    pool.check()


def test_a_double_free_is_found():
    pool = MockPool(4)
    mbuf = pool.packet(b"abc")
    pool.free([mbuf])
    pool.free([mbuf])
    with pytest.raises(AssertionError, match="1 mbufs were freed twice"):
        pool.check()
    assert pool.available == 4


def test_a_write_behind_an_mbuf_is_found():
    pool = MockPool(4, data_room=100)
    pool._bytes(pool.packet(b"x"), 101)[100] = 0
    with pytest.raises(AssertionError, match="behind an mbuf"):
        pool.check()


def test_a_chain_that_contradicts_itself_is_found():
    pool = MockPool(4)
    mbuf = pool.packet(b"abc")
    pool._record(mbuf)["pkt_len"] = 4
    with pytest.raises(AssertionError, match="1 segments of 3 bytes, the first mbuf says 1 of 4"):
        pool.read(mbuf)


def test_a_port_gives_and_takes_packets_in_order():
    pool = MockPool(64)
    port = MockPort(pool, capacity=8)
    for lap in range(3):
        fed = [pool.packet(bytes([lap, number])) for number in range(8)]
        port.feed(*fed)
        assert _received(port, 5) == fed[:5]
        assert port.waiting == 3
        assert _received(port, 5) == fed[5:]
        assert _received(port, 5) == []
        assert _transmitted(port, fed) == 8
        assert _transmitted(port, fed) == 0
        assert [packet.data for packet in port.sent()] == [bytes([lap, number]) for number in range(8)]
    assert pool.available == 64
    pool.check()


def test_a_full_port_takes_as_many_as_it_was_told():
    pool = MockPool(64)
    port = MockPort(pool, capacity=8)
    port.accept(3)
    mbufs = [pool.packet(bytes([number])) for number in range(5)]
    assert _transmitted(port, mbufs) == 3
    assert _transmitted(port, mbufs[3:]) == 0
    assert [packet.data for packet in port.sent()] == [b"\0", b"\1", b"\2"]
    port.accept(1)
    assert _transmitted(port, mbufs[3:]) == 1
    with pytest.raises(MemoryError, match="do not fit 8"):
        port.feed(*range(9))
