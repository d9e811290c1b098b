"""From the guest's transmit queues to the VF: every packet intact, in order and counted."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import BORDERS, across, bordered_memory, check_all_is_back

from vio4wd.kernels.memory import load64, store64
from vio4wd.shm.layout import RING, VM_TO_VF
from vio4wd.testing.guest_memory import GuestMemory
from vio4wd.testing.mock_guest import MockGuest
from vio4wd.testing.mock_pool import MockPool, MockPort
from vio4wd.testing.mock_worker import MockWorker
from vio4wd.testing.ring_driver import WRITE
from vio4wd.testing.strategies import buffers, guest_options, numbered_packet, packet_lengths

RINGS = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])


@settings(max_examples=60)
@given(data=st.data(), options=guest_options(), data_room=st.sampled_from([256, 2048]))
def test_packets_arrive_intact_in_order_and_counted(data, options, data_room):
    guest = options.build(bordered_memory())
    pool = MockPool(2048, data_room)
    port = MockPort(pool)
    worker = MockWorker(VM_TO_VF, [guest], pool, port)
    sent, arrived, ids, used = [], [], [], []
    for _ in range(3):
        for _ in range(data.draw(st.integers(1, 12))):
            packet = numbered_packet(len(sent), data.draw(packet_lengths(9018)))
            total = options.header_size + len(packet)
            buffer = data.draw(buffers(total, packed=options.packed, most_segments=min(4, options.size)))
            if buffer.descriptors > guest.transmit_ring.free:
                break
            border, offset = data.draw(st.sampled_from(BORDERS)), data.draw(st.integers(0, total))

            def send(at, packet=packet, buffer=buffer):
                return guest.send(
                    packet, layout=buffer.lengths, indirect=buffer.indirect, direct=buffer.direct, at=at
                )

            ids.append(across(guest.memory, border, min(offset, buffer.lengths[0]), send))
            sent.append(packet)
        guest.publish()
        worker.run()
        arrived += [packet.data for packet in port.sent()]
        used += guest.sent()
    assert arrived == sent
    assert used == ids
    check_all_is_back(guest, pool, worker)
    volume = sum(map(len, sent))
    for name in ("in", "out"):
        assert worker.counters[f"packets_{name}"] == len(sent)
        assert worker.counters[f"bytes_{name}"] == volume
    assert worker.rings[0]["packets"] == len(sent)
    assert worker.rings[0]["bytes"] == volume


@numba.cfunc("int64(int64, int64, int64, int64)")
def note_position(note, b, packets, n):
    """A VF that takes nothing, but notes a number whose address stands behind the note."""
    store64(note, load64(load64(note + 8)))
    return 0


@RINGS
def test_the_next_worker_sends_nothing_that_was_sent(packed):
    guest, pool = MockGuest(packed=packed), MockPool()
    note = np.zeros(2, np.int64)
    vf = {"tx": note_position.address, "tx_a": note.ctypes.data}
    worker = MockWorker(VM_TO_VF, [guest], pool, None, offloads=vf)
    note[1] = worker.rings.ctypes.data + RING.fields["last_avail"][1]
    for number in range(5):
        guest.send(numbered_packet(number, 100))
    guest.publish()
    worker.run()
    # Where it would begin if this one died while the VF takes the packets.
    assert note[0] == 5


@RINGS
@pytest.mark.parametrize("in_order", [False, True])
def test_indices_wrap_around(packed, in_order):
    guest = MockGuest(packed=packed, size=32, in_order=in_order, start=63 if packed else 65535)
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VM_TO_VF, [guest], pool, port)
    for lap in range(40):
        packets = [numbered_packet(lap * 31 + place, 60 + place) for place in range(31)]
        for packet in packets:
            guest.send(packet)
        guest.publish()
        assert worker.run() == 31
        assert [packet.data for packet in port.sent()] == packets
        assert len(guest.sent()) == 31
    check_all_is_back(guest, pool, worker)


@RINGS
def test_a_burst_takes_what_is_there_and_no_more_than_the_ring(packed):
    guest = MockGuest(packed=packed, size=128)
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VM_TO_VF, [guest], pool, port)
    assert worker.run() == 0
    for number in range(128):
        guest.send(numbered_packet(number, 64))
    assert worker.run() == 0  # nothing is published yet
    guest.publish()
    assert worker.run(rounds=20) == 128
    assert [packet.data for packet in port.sent()] == [numbered_packet(n, 64) for n in range(128)]
    assert len(guest.sent()) == 128
    check_all_is_back(guest, pool, worker)


def test_a_header_that_dpdks_driver_calls_writable():
    guest = MockGuest(packed=True, size=64)
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VM_TO_VF, [guest], pool, port)
    packet = numbered_packet(0, 60)
    buffer_id = guest.send(packet, layout=(guest.header_size, 20, 20), indirect=True)
    guest.transmit_ring.indirect_table(buffer_id)["flags"][0] |= WRITE
    guest.publish()
    worker.run()
    assert [sent.data for sent in port.sent()] == [packet]
    check_all_is_back(guest, pool, worker)


@RINGS
@pytest.mark.parametrize("header_size", [10, 12])
def test_a_header_cut_at_every_byte(packed, header_size):
    guest = MockGuest(packed=packed, size=64, header_size=header_size)
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VM_TO_VF, [guest], pool, port)
    packets = []
    for cut in range(1, header_size + 2):
        for indirect in (False, True):
            packets.append(numbered_packet(len(packets), 60))
            guest.send(packets[-1], layout=(cut,), indirect=indirect)
    for indirect in (False, True):
        packets.append(numbered_packet(len(packets), 60))
        guest.send(packets[-1], layout=(1,) * (header_size + 3), indirect=indirect)
        guest.publish()
        worker.run()
    assert [packet.data for packet in port.sent()] == packets
    check_all_is_back(guest, pool, worker)


@RINGS
@pytest.mark.parametrize("indirect", [False, True])
def test_frames_shorter_than_an_ethernet_header_are_dropped_and_counted(packed, indirect):
    guest = MockGuest(packed=packed, size=64)
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VM_TO_VF, [guest], pool, port)
    for length in range(16):
        guest.send(numbered_packet(length, length), layout=(12,) if indirect else (), indirect=indirect)
    guest.publish()
    assert worker.run() == 16
    assert [len(packet.data) for packet in port.sent()] == [14, 15]
    assert len(guest.sent()) == 16
    assert worker.counters["dropped_invalid"] == 14
    assert worker.counters["packets_in"] == 16
    assert worker.counters["packets_out"] == 2
    check_all_is_back(guest, pool, worker)


@RINGS
def test_the_longest_packet_and_one_that_is_too_long(packed):
    guest = MockGuest(GuestMemory([(0, 4 << 20)]), packed=packed, size=64)
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VM_TO_VF, [guest], pool, port)
    longest = numbered_packet(1, 65535 + 14)
    guest.send(longest)
    guest.send(longest, layout=(12, *[4096] * 15), indirect=True)
    guest.send(numbered_packet(2, 65536 + 18))
    guest.send(numbered_packet(3, 60))
    guest.publish()
    assert worker.run() == 4
    assert [packet.data for packet in port.sent()] == [longest, longest, numbered_packet(3, 60)]
    assert len(guest.sent()) == 4
    assert worker.counters["dropped_invalid"] == 1
    check_all_is_back(guest, pool, worker)


@RINGS
def test_chains_of_a_thousand_descriptors(packed):
    guest = MockGuest(packed=packed, size=1024)
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VM_TO_VF, [guest], pool, port)
    for indirect in (False, True):
        packet = numbered_packet(7, 1000)
        guest.send(packet, layout=[1] * 1012, indirect=indirect)
        guest.publish()
        assert worker.run() == 1
        assert [packet.data for packet in port.sent()] == [packet]
        assert len(guest.sent()) == 1
    check_all_is_back(guest, pool, worker)


@RINGS
@pytest.mark.parametrize("accepted", [0, 1, 5])
def test_what_the_vf_does_not_take_is_dropped_and_counted(packed, accepted):
    guest = MockGuest(packed=packed, size=64)
    pool = MockPool(data_room=256)
    port = MockPort(pool)
    port.accept(accepted)
    worker = MockWorker(VM_TO_VF, [guest], pool, port)
    packets = [numbered_packet(number, 100 * (number + 1)) for number in range(8)]
    for packet in packets:
        guest.send(packet)
    guest.publish()
    assert worker.run() == 8
    assert [packet.data for packet in port.sent()] == packets[:accepted]
    assert len(guest.sent()) == 8
    counters = worker.counters
    assert counters["packets_in"] == 8
    assert counters["packets_out"] == accepted
    assert counters["dropped_full"] == 8 - accepted
    assert counters["dropped_full_bytes"] == sum(map(len, packets[accepted:]))
    assert counters["bytes_in"] == counters["bytes_out"] + counters["dropped_full_bytes"]
    check_all_is_back(guest, pool, worker)


@RINGS
def test_without_a_vf_packets_are_taken_and_counted(packed):
    guest = MockGuest(packed=packed, size=64)
    pool = MockPool()
    worker = MockWorker(VM_TO_VF, [guest], pool, None)
    for number in range(5):
        guest.send(numbered_packet(number, 60), layout=(12,) * (number % 2))
    guest.publish()
    assert worker.run() == 5
    assert len(guest.sent()) == 5
    assert worker.counters["packets_out"] == 0
    assert worker.counters["dropped_unconnected"] == 5
    assert worker.counters["dropped_unconnected_bytes"] == 300
    check_all_is_back(guest, pool, worker)


@RINGS
def test_a_queue_that_is_not_enabled_is_drained(packed):
    guest = MockGuest(packed=packed)
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VM_TO_VF, [guest], pool, port)
    worker.drain()
    for number in range(5):
        guest.send(numbered_packet(number, 100))
    guest.publish()
    worker.run()
    assert len(guest.sent()) == 5
    assert port.sent() == []
    assert worker.counters["packets_in"] == worker.counters["dropped_unconnected"] == 5
    check_all_is_back(guest, pool, worker)


@RINGS
def test_an_empty_pool_makes_the_guest_wait(packed):
    guest = MockGuest(packed=packed, size=64)
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VM_TO_VF, [guest], pool, port)
    guest.send(numbered_packet(1, 60))
    guest.publish()
    held = pool.hold(pool.size)
    assert worker.run() == 0
    assert guest.sent() == []
    assert worker.counters["dropped_no_mbuf"] == 1
    pool.free(held)
    assert worker.run() == 1
    assert [packet.data for packet in port.sent()] == [numbered_packet(1, 60)]
    check_all_is_back(guest, pool, worker)


@RINGS
def test_a_long_packet_for_which_mbufs_run_out_is_dropped(packed):
    guest = MockGuest(packed=packed, size=64)
    pool = MockPool(64, data_room=256)
    port = MockPort(pool)
    worker = MockWorker(VM_TO_VF, [guest], pool, port)
    held = pool.hold(64 - 40)
    for number, length in enumerate((60, 9000, 60)):
        guest.send(numbered_packet(number, length))
        guest.send(numbered_packet(number, length), layout=(12, 30))
    guest.publish()
    assert worker.run() == 6
    arrived = [packet.data for packet in port.sent()]
    assert arrived == [numbered_packet(number, 60) for number in (0, 0, 2, 2)]
    assert len(guest.sent()) == 6
    assert worker.counters["packets_in"] == 6
    assert worker.counters["packets_out"] == 4
    assert worker.counters["dropped_invalid"] == 2
    pool.free(held)
    check_all_is_back(guest, pool, worker)


@RINGS
def test_all_queues_are_served_in_turn(packed):
    memory = GuestMemory()
    guests = [MockGuest(memory, packed=packed, size=16) for _ in range(4)]
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VM_TO_VF, guests, pool, port)
    for queue, guest in enumerate(guests):
        for number in range(4 * queue):
            guest.send(numbered_packet(100 * queue + number, 60))
        guest.publish()
    assert worker.run(rounds=3) == 24
    arrived = [packet.data for packet in port.sent()]
    for queue, guest in enumerate(guests):
        expected = [numbered_packet(100 * queue + number, 60) for number in range(4 * queue)]
        assert [packet for packet in arrived if packet in expected] == expected
        assert len(guest.sent()) == 4 * queue
        check_all_is_back(guest, pool, worker)
