"""Large datagrams that a guest leaves to the device to cut (UFO): what leaves are fragments of the whole."""

import dataclasses
import struct

import pytest
from frames import Frame
from hypothesis import given, settings
from hypothesis import strategies as st
from offload_rig import HARDWARE, SOFTWARE, Rig, asks, frames

from vio4wd.testing.mock_guest import NetHeader
from vio4wd.testing.strategies import numbered_packet

BOTH = st.sampled_from([SOFTWARE, HARDWARE])  # no VF cuts datagrams
SMALL = numbered_packet(1, 60)


def identification(frame, data):
    """That of the IPv6 fragment at hand."""
    return data[frame.transport + 4 : frame.transport + 8]


@settings(max_examples=80)
@given(
    frame=frames(20000, protocols=(17,), least=1500),
    size=st.integers(200, 1480),
    offloads=BOTH,
    packed=st.booleans(),
    data_room=st.sampled_from([1800, 9000]),
)
def test_large_datagrams_are_cut(frame, size, offloads, packed, data_room):
    rig = Rig(offloads, packed=packed, data_room=data_room)
    sent = rig.send(
        (SMALL, NetHeader()), (frame.build(partial=True), asks(frame, size)), (SMALL, NetHeader())
    )
    data = [packet.data for packet in sent]
    expected = frame.fragments(size & ~7, identification(frame, data[1]))
    assert data == [SMALL, *expected, SMALL]
    assert {packet.ol_flags for packet in sent} == {0}
    assert rig.worker.counters["packets_in"] == 3
    assert rig.worker.counters["packets_out"] == len(sent)
    assert rig.worker.counters["bytes_out"] == sum(map(len, data))


@pytest.mark.parametrize("version", [4, 6])
def test_a_datagram_that_fits_is_left_whole(version):
    frame = Frame(version=version, protocol=17, payload=numbered_packet(3, 1000))
    (packet,) = Rig(SOFTWARE).send((frame.build(partial=True), asks(frame, 1008)))
    assert packet.data == frame.build(partial=False)


def test_datagrams_of_ipv6_have_identifications_of_their_own():
    frame = Frame(version=6, protocol=17, payload=numbered_packet(3, 3000))
    sent = Rig(SOFTWARE).send(*[(frame.build(partial=True), asks(frame, 1448))] * 10)
    found = [identification(frame, packet.data) for packet in sent]
    assert found[::3] == found[1::3] == found[2::3]
    assert len(set(found)) == 10


@pytest.mark.parametrize(
    ("headers", "is_cut"),
    [
        ([(0, 8)], True),  # hop-by-hop
        ([(0, 16), (60, 8), (43, 24)], True),  # destination, routing
        ([(51, 24)], False),  # authentication
        ([(44, 8)], False),  # a fragment already
    ],
)
def test_extension_headers_of_ipv6(headers, is_cut):
    frame = Frame(version=6, protocol=17, payload=numbered_packet(3, 3000))
    whole = frame.build(partial=True)
    kinds = [kind for kind, _ in headers] + [17]
    extra = b"".join(
        struct.pack("!BB", following, length // 8 - 1) + bytes(length - 2)
        for (_, length), following in zip(headers, kinds[1:], strict=True)
    )
    start = bytearray(whole[: frame.transport])
    start[frame.network + 6] = kinds[0]
    header = asks(frame, 1448)
    header = dataclasses.replace(header, csum_start=header.csum_start + len(extra))
    rig = Rig(SOFTWARE)
    sent = [packet.data for packet in rig.send((bytes(start) + extra + whole[frame.transport :], header))]
    if not is_cut:
        assert sent == []
        assert rig.worker.counters["dropped_invalid"] == 1
        return
    transport = frame.transport + len(extra)
    last = frame.transport + sum(length for _, length in headers[:-1])  # says what follows
    assert {data[last] for data in sent} == {44}
    assert [data[transport] for data in sent] == [17] * 3
    whole = frame.build(partial=False)
    assert b"".join(data[transport + 8 :] for data in sent) == whole[frame.transport :]
    lengths = [struct.unpack_from("!H", data, frame.network + 4)[0] for data in sent]
    assert lengths == [len(data) - frame.network - 40 for data in sent]
