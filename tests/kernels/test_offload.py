"""What a guest asks to be done with a packet: by the VF where it can, by the kernel, or by nobody."""

import pytest
from frames import Frame, checksum
from hypothesis import given, settings
from hypothesis import strategies as st
from offload_rig import DATA_VALID, ECN, HARDWARE, NEEDS_CSUM, SOFTWARE, TCPV4, TCPV6, UDP, Rig, asks, frames
from rig import check_all_is_back

from vio4wd.dpdk import mbuf as m
from vio4wd.shm.layout import VF_TO_VM
from vio4wd.testing.mock_guest import MockGuest, NetHeader
from vio4wd.testing.mock_pool import MockPool, MockPort
from vio4wd.testing.mock_worker import MockWorker
from vio4wd.testing.strategies import numbered_packet


@settings(max_examples=80)
@given(frame=frames(4000), packed=st.booleans(), data_room=st.sampled_from([256, 2048]))
def test_checksums_are_filled_in_for_a_vf_that_cannot(frame, packed, data_room):
    rig = Rig(SOFTWARE, packed=packed, data_room=data_room)
    plain = numbered_packet(3, 100)
    sent = rig.send((frame.build(partial=True), asks(frame)), (plain, NetHeader()))
    assert [(packet.data, packet.ol_flags) for packet in sent] == [
        (frame.build(partial=False), 0),
        (plain, 0),
    ]


@settings(max_examples=60)
@given(frame=frames(4000), data_room=st.sampled_from([256, 2048]))
def test_checksums_are_left_to_a_vf_that_can(frame, data_room):
    rig = Rig(HARDWARE, data_room=data_room)
    (packet,) = rig.send((frame.build(partial=True), asks(frame)))
    assert packet.data == frame.build(partial=True)
    version = m.TX_IPV4 if frame.version == 4 else m.TX_IPV6
    assert packet.ol_flags == version | (m.TX_TCP_CKSUM if frame.protocol == 6 else m.TX_UDP_CKSUM)
    assert packet.tx_offload & 0x7F == frame.network
    assert packet.tx_offload >> 7 & 0x1FF == frame.transport - frame.network


@settings(max_examples=60)
@given(
    frame=frames(20000, protocols=(6,), least=1),
    size=st.integers(200, 1448),
    ecn=st.sampled_from([0, ECN]),
    data_room=st.sampled_from([1800, 9000]),
)
def test_large_packets_are_cut_for_a_vf_that_cannot(frame, size, ecn, data_room):
    rig = Rig(SOFTWARE, data_room=data_room)
    before, after = numbered_packet(1, 60), numbered_packet(2, 60)
    sent = rig.send(
        (before, NetHeader()), (frame.build(partial=True), asks(frame, size, ecn)), (after, NetHeader())
    )
    assert [packet.data for packet in sent] == [before, *frame.pieces(size), after]
    assert {packet.ol_flags for packet in sent} == {0}
    assert rig.worker.counters["packets_in"] == 3
    assert rig.worker.counters["packets_out"] == len(sent)
    assert rig.worker.counters["bytes_out"] == sum(len(packet.data) for packet in sent)


@settings(max_examples=40)
@given(frame=frames(20000, protocols=(6,), least=1), size=st.integers(200, 9000))
def test_cutting_is_left_to_a_vf_that_can(frame, size):
    rig = Rig(HARDWARE)
    (packet,) = rig.send((frame.build(partial=True), asks(frame, size)))
    assert packet.data == frame.build(partial=True)
    expected = m.TX_TCP_SEG | m.TX_TCP_CKSUM
    expected |= m.TX_IPV4 | m.TX_IP_CKSUM if frame.version == 4 else m.TX_IPV6
    assert packet.ol_flags == expected
    lengths = (frame.network, frame.transport - frame.network, frame.header - frame.transport, size)
    offload = packet.tx_offload
    assert (offload & 0x7F, offload >> 7 & 0x1FF, offload >> 16 & 0xFF, offload >> 24 & 0xFFFF) == lengths


def test_a_checksum_elsewhere_is_filled_in_all_the_same():
    """The device need not know the protocol (§5.1.6.2)."""
    data = bytearray(numbered_packet(5, 200))
    data[60:62] = b"\0\0"
    for offloads in (SOFTWARE, HARDWARE):
        header = NetHeader(flags=NEEDS_CSUM, csum_start=50, csum_offset=10)
        (packet,) = Rig(offloads).send((bytes(data), header))
        expected = bytes(data[:60]) + checksum(bytes(data[50:])).to_bytes(2, "big") + bytes(data[62:])
        assert (packet.data, packet.ol_flags) == (expected, 0)


@pytest.mark.parametrize("offloads", [SOFTWARE, HARDWARE], ids=["software", "hardware"])
@pytest.mark.parametrize(
    "header",
    [
        NetHeader(flags=NEEDS_CSUM, csum_start=1000, csum_offset=16),
        NetHeader(flags=NEEDS_CSUM, csum_start=65535, csum_offset=65535),
        NetHeader(flags=NEEDS_CSUM, csum_start=34, csum_offset=65535),
        NetHeader(flags=NEEDS_CSUM, csum_start=0, csum_offset=6),
        NetHeader(flags=0, gso_type=TCPV4, gso_size=500, csum_start=34, csum_offset=16),
        NetHeader(flags=NEEDS_CSUM, gso_type=TCPV4, gso_size=0, csum_start=34, csum_offset=16),
        NetHeader(flags=NEEDS_CSUM, gso_type=TCPV6, gso_size=500, csum_start=34, csum_offset=16),
        NetHeader(flags=NEEDS_CSUM, gso_type=TCPV4, gso_size=500, csum_start=34, csum_offset=6),
        NetHeader(flags=NEEDS_CSUM, gso_type=TCPV4, gso_size=500, csum_start=20, csum_offset=16),
        NetHeader(flags=NEEDS_CSUM, gso_type=UDP, gso_size=500, csum_start=34, csum_offset=16),
        NetHeader(flags=NEEDS_CSUM, gso_type=UDP, gso_size=7, csum_start=34, csum_offset=6),
        NetHeader(flags=NEEDS_CSUM, gso_type=UDP, gso_size=500, csum_start=34, csum_offset=6),
        NetHeader(flags=NEEDS_CSUM, gso_type=2, gso_size=500, csum_start=34, csum_offset=16),
        NetHeader(flags=NEEDS_CSUM, gso_type=0x7F, gso_size=500, csum_start=34, csum_offset=16),
    ],
    ids=str,
)
def test_requests_that_make_no_sense_are_dropped_and_counted(header, offloads):
    rig = Rig(offloads)
    frame = Frame(payload=bytes(900)).build(partial=True)
    good = numbered_packet(1, 60)
    sent = rig.send((good, NetHeader()), (frame, header), (good, NetHeader()))
    assert [packet.data for packet in sent] == [good, good]
    assert rig.worker.counters["dropped_invalid"] == 1


@settings(max_examples=300)
@given(
    header=st.builds(
        NetHeader,
        flags=st.sampled_from([0, 1, 2, 3, 255]),
        gso_type=st.sampled_from([0, 1, 3, 4, 5, 0x81, 0x84, 255]),
        hdr_len=st.integers(0, 65535),
        gso_size=st.sampled_from([0, 1, 8, 100, 536, 1448, 9000, 65535]) | st.integers(0, 65535),
        csum_start=st.sampled_from([0, 14, 34, 54, 65535]) | st.integers(0, 100),
        csum_offset=st.sampled_from([6, 16, 65535]) | st.integers(0, 100),
    ),
    frame=frames(4000),
    length=st.integers(14, 4100),
    noise=st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=4),
    offloads=st.sampled_from([SOFTWARE, HARDWARE]),
)
def test_no_request_does_harm(header, frame, length, noise, offloads):
    data = bytearray(frame.build(partial=True)[:length])
    for place, value in noise:
        if place < len(data):
            data[place] = value
    rig = Rig(offloads, data_room=512)
    rig.send((bytes(data), header))
    counters = rig.worker.counters
    assert counters["packets_in"] == 1
    assert counters["packets_out"] >= 1 or counters["dropped_invalid"] == 1


def test_without_the_feature_the_header_means_nothing():
    frame = Frame(payload=bytes(3000))
    (packet,) = Rig({}).send((frame.build(partial=True), asks(frame, 1000)))
    assert (packet.data, packet.ol_flags) == (frame.build(partial=True), 0)


@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
@pytest.mark.parametrize("mergeable", [False, True], ids=["single", "mergeable"])
def test_the_guest_learns_of_good_checksums(packed, mergeable):
    flags = {0: 0, m.RX_L4_CKSUM_GOOD: DATA_VALID, m.RX_L4_CKSUM_BAD: 0, m.RX_L4_CKSUM_MASK: 0}
    flags[m.RX_L4_CKSUM_GOOD | m.RX_IP_CKSUM_GOOD] = DATA_VALID
    for wants in (0, 1):
        guest = MockGuest(packed=packed, size=64, mergeable=mergeable)
        pool = MockPool(64)
        port = MockPort(pool)
        worker = MockWorker(VF_TO_VM, [guest], pool, port, offloads={"guest_checks": wants})
        for verdict in flags:
            for layout in ([1600], [6, 1600]):
                guest.post(layout)
                port.feed(pool.packet(numbered_packet(1, 60), ol_flags=verdict))
        guest.publish()
        worker.run()
        told = [packet.header.flags for packet in guest.received()]
        expected = [value * wants for value in flags.values()]
        assert told[::2] == told[1::2] == expected
        check_all_is_back(guest, pool, worker)
