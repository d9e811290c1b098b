"""From the VF to the guest's receive queues: every packet intact, in order, or counted as dropped."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import BORDERS, across, bordered_memory, check_all_is_back

from vio4wd.shm.layout import VF_TO_VM
from vio4wd.testing.guest_memory import GuestMemory
from vio4wd.testing.mock_guest import MockGuest, NetHeader
from vio4wd.testing.mock_pool import MockPool, MockPort
from vio4wd.testing.mock_worker import MockWorker
from vio4wd.testing.strategies import buffers, guest_options, numbered_packet, packet_lengths

RINGS = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
MERGEABLE = pytest.mark.parametrize("mergeable", [False, True], ids=["single", "mergeable"])
BURST = 32


@dataclasses.dataclass
class Expected:
    """What becomes of packets: a model of the queue, in which a burst that runs out of buffers ends."""

    options: object
    rooms: list[int]  # bytes of the buffers posted and not used
    delivered: list[tuple[bytes, int]] = dataclasses.field(default_factory=list)
    full: list[int] = dataclasses.field(default_factory=list)
    invalid: list[int] = dataclasses.field(default_factory=list)

    def burst(self, packets):
        for place, packet in enumerate(packets):
            count = self._buffers_for(len(packet) + self.options.header_size)
            if count is None:
                self.full += map(len, packets[place:])
                return
            if count == 0:
                self.invalid.append(len(packet))
            else:
                del self.rooms[:count]
                self.delivered.append((packet, count))

    def _buffers_for(self, need):
        """How many it takes; 0: it never fits; None: there are too few."""
        if not self.rooms:
            return None
        if not self.options.mergeable:
            return 1 if self.rooms[0] >= need else 0
        capacity = 0
        for place, room in enumerate(self.rooms):
            capacity += room
            if capacity >= need:
                return place + 1
        return None


@settings(max_examples=60)
@given(data=st.data(), options=guest_options(), data_room=st.sampled_from([256, 2048]))
def test_packets_arrive_intact_in_order_and_counted(data, options, data_room):
    guest = options.build(bordered_memory())
    pool = MockPool(2048, data_room)
    port = MockPort(pool)
    worker = MockWorker(VF_TO_VM, [guest], pool, port)
    expected = Expected(options, [])
    received, number = [], 0
    for _ in range(3):
        for _ in range(data.draw(st.integers(0, 12))):
            total = data.draw(st.sampled_from([40, 300, 1526, 1530, 2000, 4096]))
            buffer = data.draw(buffers(total, packed=options.packed, most_segments=min(3, options.size)))
            if buffer.descriptors > guest.receive_ring.free:
                break
            border, offset = data.draw(st.sampled_from(BORDERS)), data.draw(st.integers(0, total))

            def post(at, buffer=buffer):
                return guest.post(buffer.lengths, indirect=buffer.indirect, direct=buffer.direct, at=at)

            across(guest.memory, border, min(offset, buffer.lengths[0]), post)
            expected.rooms.append(total)
        guest.publish()
        packets = []
        for _ in range(data.draw(st.integers(0, 10))):
            packets.append(numbered_packet(number, data.draw(packet_lengths(9018))))
            number += 1
            first = data.draw(st.integers(14, min(len(packets[-1]), data_room)))
            port.feed(pool.packet(packets[-1], segments=[first] if data.draw(st.booleans()) else []))
        expected.burst(packets)
        assert worker.run() == len(packets)
        received += guest.received()
    assert [(packet.data, len(packet.ids)) for packet in received] == expected.delivered
    for packet in received:
        buffers_said = len(packet.ids) if options.header_size == 12 else 0
        assert packet.header == NetHeader(num_buffers=buffers_said)
    check_all_is_back(guest, pool, worker)
    counters = worker.counters
    assert counters["packets_in"] == number
    assert counters["packets_out"] == len(expected.delivered)
    assert counters["bytes_out"] == sum(len(packet) for packet, _ in expected.delivered)
    assert counters["dropped_full"] == len(expected.full)
    assert counters["dropped_full_bytes"] == sum(expected.full)
    assert counters["dropped_invalid"] == len(expected.invalid)
    assert counters["dropped_invalid_bytes"] == sum(expected.invalid)
    dropped = counters["dropped_full_bytes"] + counters["dropped_invalid_bytes"]
    assert counters["bytes_in"] == counters["bytes_out"] + dropped
    assert worker.rings[0]["packets"] == len(expected.delivered)


@RINGS
@MERGEABLE
@pytest.mark.parametrize("in_order", [False, True])
def test_indices_wrap_around(packed, mergeable, in_order):
    start = 63 if packed else 65535
    guest = MockGuest(packed=packed, size=32, mergeable=mergeable, in_order=in_order, start=start)
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VF_TO_VM, [guest], pool, port)
    for lap in range(40):
        guest.fill(1000)
        packets = [numbered_packet(lap * 23 + place, 60 + 20 * place) for place in range(23)]
        port.feed(*map(pool.packet, packets))
        assert worker.run() == 23
        assert [packet.data for packet in guest.received()] == packets
    check_all_is_back(guest, pool, worker)


@RINGS
@pytest.mark.parametrize("header_size", [10, 12])
def test_a_buffer_whose_header_is_cut_at_every_byte(packed, header_size):
    guest = MockGuest(packed=packed, size=128, header_size=header_size)
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VF_TO_VM, [guest], pool, port)
    packets = []
    for cut in range(1, header_size + 2):
        for indirect in (False, True):
            packets.append(numbered_packet(len(packets), 60))
            guest.post([cut, 100], indirect=indirect)
    packets.append(numbered_packet(len(packets), 14))
    guest.post([1] * (header_size + 14))
    guest.publish()
    port.feed(*map(pool.packet, packets))
    assert worker.run() == len(packets)
    assert [packet.data for packet in guest.received()] == packets
    check_all_is_back(guest, pool, worker)


@RINGS
@MERGEABLE
def test_a_header_is_zero_whatever_the_buffer_held(packed, mergeable):
    guest = MockGuest(packed=packed, size=8, mergeable=mergeable)
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VF_TO_VM, [guest], pool, port)
    for poison in (0, 1, 0xFF):
        buffer = guest.receive_ring.outstanding[guest.post([200])]
        guest.memory.write(buffer.segments[0].address, bytes([poison]) * 200)
        guest.publish()
        port.feed(pool.packet(b"fourteen bytes"))
        worker.run()
        assert [packet.header for packet in guest.received()] == [NetHeader(num_buffers=1)]


@RINGS
def test_the_longest_packet_is_spread_over_mergeable_buffers(packed):
    guest = MockGuest(GuestMemory([(0, 1 << 20)]), packed=packed, size=64, mergeable=True, header_size=12)
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VF_TO_VM, [guest], pool, port)
    packet = numbered_packet(1, 65535 + 14)
    guest.fill(1530)
    port.feed(pool.packet(packet), pool.packet(numbered_packet(2, 60)))
    assert worker.run() == 2
    received = guest.received()
    assert [(packet.data, len(packet.ids)) for packet in received] == [
        (packet, 43),
        (numbered_packet(2, 60), 1),
    ]
    check_all_is_back(guest, pool, worker)


@RINGS
@MERGEABLE
def test_a_full_queue_drops_and_counts(packed, mergeable):
    guest = MockGuest(packed=packed, size=8, mergeable=mergeable)
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VF_TO_VM, [guest], pool, port)
    guest.fill(200)
    packets = [numbered_packet(number, 60 + number) for number in range(BURST + 5)]
    port.feed(*map(pool.packet, packets))
    assert worker.run(rounds=2) == BURST + 5
    assert [packet.data for packet in guest.received()] == packets[:8]
    assert worker.counters["dropped_full"] == BURST - 3
    assert worker.counters["dropped_full_bytes"] == sum(map(len, packets[8:]))
    check_all_is_back(guest, pool, worker)


@RINGS
def test_packets_that_are_too_long_do_not_stop_those_that_fit(packed):
    guest = MockGuest(packed=packed, size=8)
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VF_TO_VM, [guest], pool, port)
    guest.fill(100)
    for length in (60, 89, 88, 3000, 60):
        port.feed(pool.packet(numbered_packet(length, length)))
    assert worker.run() == 5
    assert [len(packet.data) for packet in guest.received()] == [60, 88, 60]
    assert worker.counters["dropped_invalid"] == 2
    assert worker.counters["dropped_invalid_bytes"] == 3089
    check_all_is_back(guest, pool, worker)


@RINGS
@pytest.mark.parametrize("small", [2040, 2047, 2048, 2060])
def test_a_burst_that_takes_more_buffers_than_a_burst_may(packed, small):
    """One packet takes thousands of tiny buffers, those behind it take many more."""
    memory = GuestMemory([(0, 4 << 20)])
    guest = MockGuest(memory, packed=packed, size=4096, mergeable=True)
    pool = MockPool(256, data_room=4096)
    port = MockPort(pool)
    worker = MockWorker(VF_TO_VM, [guest], pool, port)
    for _ in range(small):
        guest.post([30])
    for _ in range(BURST):
        guest.post([3012])
    guest.publish()
    packets = [numbered_packet(0, 30 * small - 12)]
    packets += [numbered_packet(number, 3000) for number in range(1, BURST)]
    port.feed(*map(pool.packet, packets))
    assert worker.run() == BURST
    received = [packet.data for packet in guest.received()]
    assert received == [packet for packet in packets if packet in received]
    counters = worker.counters
    assert counters["packets_out"] == len(received)
    assert counters["packets_out"] + counters["dropped_full"] + counters["dropped_invalid"] == BURST
    check_all_is_back(guest, pool, worker)


def test_without_a_guest_packets_are_taken_and_counted():
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VF_TO_VM, [], pool, port)
    port.feed(*(pool.packet(numbered_packet(number, 60)) for number in range(5)))
    assert worker.run() == 5
    assert worker.counters["packets_in"] == 5
    assert worker.counters["dropped_unconnected"] == 5
    assert worker.counters["dropped_unconnected_bytes"] == 300
    assert pool.available == pool.size
    pool.check()


def _udp(flow, number):
    """An IPv4 UDP frame of a flow, with a number in its payload."""
    ethernet = bytes.fromhex("0200000000010200000000020800")
    ip = bytes.fromhex("4500002e000040004011000a") + bytes([10, 0, 0, flow % 250, 10, 0, 1, flow // 250])
    udp = (1000 + flow).to_bytes(2, "big") + (53).to_bytes(2, "big") + b"\0\0\0\0"
    return ethernet + ip + udp + number.to_bytes(4, "big") + bytes(14)


@RINGS
@pytest.mark.parametrize("queues", [2, 3, 8])
@pytest.mark.parametrize("hashed", [False, True])
def test_a_flow_stays_on_one_queue_and_in_order(packed, queues, hashed):
    memory = GuestMemory([(0, 4 << 20)])
    guests = [MockGuest(memory, packed=packed, size=64) for _ in range(queues)]
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VF_TO_VM, guests, pool, port)
    places = {}
    for lap in range(20):
        # Four bursts of 32 flows, then the same flows again.
        flows = range(lap % 4 * BURST, lap % 4 * BURST + BURST)
        for guest in guests:
            guest.fill(128)
        for flow in flows:
            # The lower bits have chosen the VF's queue, where it has several, and are all alike.
            rss = (flow * 0x9E3779B1 & 0xFFFFFF) << 8 | 5 if hashed else None
            port.feed(pool.packet(_udp(flow, lap), rss=rss))
        assert worker.run() == BURST
        for queue, guest in enumerate(guests):
            arrived = [int.from_bytes(packet.data[34:36], "big") - 1000 for packet in guest.received()]
            assert arrived == sorted(arrived)
            assert all(places.setdefault(flow, queue) == queue for flow in arrived)
    assert sorted(places) == list(range(4 * BURST))
    assert set(places.values()) == set(range(queues))
    assert worker.counters["packets_out"] == 20 * BURST
    assert worker.rings["packets"].sum() == 20 * BURST
    check_all_is_back(guests[0], pool, worker)
