"""Packets of a flow have one hash; flows differ; nothing beyond the frame counts."""

import struct

import numba
import numpy as np
import pytest

from vio4wd.kernels.flow_hash import flow_hash, hash_bytes
from vio4wd.testing.mock_pool import MockPool


@numba.njit
def _hash_bytes(data, length):
    return hash_bytes(data, length)


@numba.njit
def _flow_hash(mbuf):
    return flow_hash(mbuf)


def _hash(frame):
    """The hash of the frame, the same whatever stands behind it."""
    results = set()
    for rest in (b"\0", b"\xff"):
        data = np.frombuffer(frame + 64 * rest, np.uint8)
        results.add(_hash_bytes(data.ctypes.data, len(frame)))
    (result,) = results
    assert 0 <= result < 2**31
    return result


def _ethernet(kind, payload, tags=()):
    tagged = b"".join(struct.pack("!HH", 0x8100, tag) for tag in tags)
    return bytes.fromhex("020000000001020000000002") + tagged + struct.pack("!H", kind) + payload


def _ipv4(source=1, target=2, protocol=17, ports=(1000, 53), fragment=0, options=0, tos=0, tags=()):
    header = struct.pack(
        "!BBHHHBBHII",
        0x45 + options,
        tos,
        100,
        7,
        fragment,
        64,
        protocol,
        0,
        0x0A000000 + source,
        0x0A000000 + target,
    )
    return _ethernet(0x0800, header + bytes(4 * options) + struct.pack("!HH", *ports) + bytes(20), tags)


def _ipv6(source=1, target=2, protocol=6, ports=(1000, 53)):
    header = struct.pack("!IHBB", 0x60000000, 24, protocol, 64) + bytes(15) + bytes([source]) + bytes(15)
    return _ethernet(0x86DD, header + bytes([target]) + struct.pack("!HH", *ports) + bytes(20))


@pytest.mark.parametrize("protocol", [6, 17, 132])
@pytest.mark.parametrize("make", [_ipv4, _ipv6])
def test_addresses_and_ports_make_a_flow(make, protocol):
    base = _hash(make(protocol=protocol))
    others = [
        make(protocol=protocol, source=9),
        make(protocol=protocol, target=9),
        make(protocol=protocol, ports=(1001, 53)),
        make(protocol=protocol, ports=(1000, 54)),
    ]
    assert base not in set(map(_hash, others))
    assert len(set(map(_hash, others))) == len(others)


@pytest.mark.parametrize("make", [_ipv4, _ipv6])
def test_other_protocols_are_told_apart_by_addresses(make):
    assert _hash(make(protocol=1, ports=(1, 2))) == _hash(make(protocol=1, ports=(3, 4)))
    assert _hash(make(protocol=1)) != _hash(make(protocol=1, source=9))


def test_what_changes_within_a_flow_does_not_count():
    assert _hash(_ipv4(tos=3)) == _hash(_ipv4())
    assert _hash(_ipv4(options=2)) == _hash(_ipv4())
    assert _hash(_ipv4(tags=[5])) == _hash(_ipv4(tags=[5, 6])) == _hash(_ipv4())


def test_fragments_of_a_packet_stay_together():
    first, second, last = 0x2000, 0x20B9, 0x0172
    hashes = {_hash(_ipv4(fragment=part, ports=(part, part))) for part in (first, second, last)}
    assert len(hashes) == 1
    assert _hash(_ipv4(fragment=0x4000)) == _hash(_ipv4())  # don't fragment


def test_frames_cut_anywhere_are_hashed():
    for frame in (_ipv4(), _ipv4(options=10), _ipv6(), _ipv4(tags=[1, 2])):
        for length in range(len(frame)):
            _hash(frame[:length])
    assert _hash(bytes(13)) == 0


def test_flows_spread_evenly():
    counts = np.bincount([_hash(_ipv4(source=flow, ports=(flow, 53))) * 4 >> 31 for flow in range(400)])
    assert counts.min() > 60


def test_the_hash_of_the_vf_is_taken_where_there_is_one():
    pool = MockPool(4)
    assert _flow_hash(pool.packet(_ipv4(), rss=12345)) == 12345
    assert _flow_hash(pool.packet(_ipv4(), rss=2**32 - 1)) == 2**31 - 1
    assert _flow_hash(pool.packet(_ipv4())) == _hash(_ipv4())
