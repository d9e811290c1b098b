"""A guest that breaks a ring stops that ring alone: with the reason, and without harm to anything else."""

import pytest
from rig import check_all_is_back

from vio4wd.shm.layout import RING_BAD_AVAIL_INDEX, RING_ERROR_NAMES, VF_TO_VM, VM_TO_VF
from vio4wd.testing.guest_memory import GuestMemory
from vio4wd.testing.malformed import BODY, FAULTS, offer
from vio4wd.testing.mock_guest import MockGuest
from vio4wd.testing.mock_pool import MockPool, MockPort
from vio4wd.testing.mock_worker import MockWorker
from vio4wd.testing.strategies import numbered_packet

CASES = [
    pytest.param(fault, packed, id=f"{fault.name}-{'packed' if packed else 'split'}")
    for fault in FAULTS
    for packed in sorted(fault.packed)
]
#: Sound chains before the broken one: it stands at each place of a group of four.
BEFORE = (0, 1, 2, 3, 4)

#: Longest packet that needs every segment of a broken receive buffer.
LONG = 2 * BODY


def _two_guests(packed, mergeable=False):
    """Two queues in one guest's memory, which has a hole."""
    memory = GuestMemory([(0x10000, 0x40000), (0x80000, 0x1000)])
    return [MockGuest(memory, packed=packed, size=32, mergeable=mergeable) for _ in range(2)]


def _assert_stopped(worker, fault):
    error = int(worker.rings[0]["error"])
    assert error in fault.errors, f"{RING_ERROR_NAMES[error]}, detail {worker.rings[0]['error_detail']}"
    assert worker.rings[1]["error"] == 0


@pytest.mark.parametrize(("fault", "packed"), CASES)
def test_a_transmit_queue_is_stopped(fault, packed):
    for before in BEFORE:
        broken, sound = _two_guests(packed)
        pool = MockPool(256)
        port = MockPort(pool)
        worker = MockWorker(VM_TO_VF, [broken, sound], pool, port)
        good = [numbered_packet(number, 60) for number in range(before)]
        for packet in good:
            broken.send(packet)
        offer(broken.transmit_ring, fault, writable=False, header_size=12)
        broken.publish()
        other = [numbered_packet(1000 + number, 60) for number in range(20)]
        for packet in other:
            sound.send(packet)
            sound.publish()
            worker.run()
        arrived = [packet.data for packet in port.sent()]
        assert [packet for packet in arrived if packet in other] == other
        assert len(sound.sent()) == len(other)
        assert worker.counters["packets_out"] == len(arrived)
        if not fault.harmless or worker.rings[0]["error"]:
            _assert_stopped(worker, fault)
            # What came before is sent, unless the index that announced it was wrong.
            if RING_BAD_AVAIL_INDEX in fault.errors:
                good = []
            assert [packet for packet in arrived if packet not in other] == good
            assert len(broken.sent()) == len(good)
        worker.rings["error"] = 0
        check_all_is_back(broken, pool, worker)


@pytest.mark.parametrize("mergeable", [False, True], ids=["single", "mergeable"])
@pytest.mark.parametrize(("fault", "packed"), CASES)
def test_a_receive_queue_is_stopped(fault, packed, mergeable):
    for before in BEFORE:
        broken, sound = _two_guests(packed, mergeable)
        pool = MockPool(256)
        port = MockPort(pool)
        worker = MockWorker(VF_TO_VM, [broken, sound], pool, port)
        for _ in range(before):
            broken.post([300])
        offer(broken.receive_ring, fault, writable=True, header_size=12)
        broken.publish()
        sound.fill(300)
        # The upper bits of the VF's hash steer: even packets to the broken queue, odd ones to the sound one.
        packets = [numbered_packet(number, LONG) for number in range(20)]
        for number, packet in enumerate(packets):
            port.feed(pool.packet(packet, rss=number % 2 << 30))
        worker.run()
        if fault.late and worker.rings[0]["error"] == 0:
            assert worker.rings[0]["packets"] >= before
        else:
            _assert_stopped(worker, fault)
            delivered = 0 if RING_BAD_AVAIL_INDEX in fault.errors else before
            assert [packet.data for packet in broken.received()] == packets[::2][:delivered]
            assert worker.counters["packets_out"] == delivered + 10
            assert worker.counters["dropped_full"] == 10 - delivered
        assert [packet.data for packet in sound.received()] == packets[1::2]
        worker.rings["error"] = 0
        check_all_is_back(broken, pool, worker)


@pytest.mark.parametrize("direction", [VF_TO_VM, VM_TO_VF])
@pytest.mark.parametrize("packed", [False, True])
def test_a_stopped_ring_is_left_alone(direction, packed):
    guest, other = _two_guests(packed)
    pool = MockPool(256)
    port = MockPort(pool)
    with MockWorker(direction, [guest, other], pool, port, interrupts=True) as worker:
        worker.rings[0]["error"] = 3
        guest.fill(300)
        guest.send(numbered_packet(1, 60))
        guest.publish()
        before = [guest.memory.read(region.guest_address, region.size) for region in guest.memory.regions]
        for number in range(10):
            port.feed(pool.packet(numbered_packet(number, 60), rss=0))
        worker.run(rounds=5)
        after = [guest.memory.read(region.guest_address, region.size) for region in guest.memory.regions]
        assert before == after
        assert worker.interrupts(0) == 0
        assert port.sent() == []
        assert worker.counters["dropped_full"] == (10 if direction == VF_TO_VM else 0)
