"""The guest is interrupted when it asks for it and at no other time; it is told not to kick."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vio4wd.shm.layout import VF_TO_VM, VM_TO_VF
from vio4wd.testing.mock_guest import MockGuest
from vio4wd.testing.mock_pool import MockPool, MockPort
from vio4wd.testing.mock_worker import MockWorker
from vio4wd.testing.strategies import guest_options, numbered_packet


def _move(direction, guest, pool, port, number):
    """Give the worker one more packet to move."""
    if direction == VF_TO_VM:
        guest.post([100])
        port.feed(pool.packet(numbered_packet(number, 60)))
    else:
        guest.send(numbered_packet(number, 60))


def _collect(direction, guest, port):
    if direction == VF_TO_VM:
        return len(guest.received())
    port.sent()
    return len(guest.sent())


@settings(max_examples=100)
@given(data=st.data(), options=guest_options(sizes=(8, 32)), direction=st.sampled_from([VF_TO_VM, VM_TO_VF]))
def test_interrupts_come_when_they_are_due(data, options, direction):
    guest = options.build()
    ring = guest.receive_ring if direction == VF_TO_VM else guest.transmit_ring
    pool = MockPool(128)
    port = MockPort(pool)
    with MockWorker(direction, [guest], pool, port, interrupts=True) as worker:
        first, total = True, 0
        for number in range(12):
            if data.draw(st.booleans(), label="request"):
                ring.request_interrupt(after=data.draw(st.integers(1, 6), label="after"))
            elif data.draw(st.booleans(), label="suppress"):
                ring.suppress_interrupts()
            count = data.draw(st.integers(0, min(5, ring.free)), label="packets")
            for place in range(count):
                _move(direction, guest, pool, port, 10 * number + place)
            guest.publish()
            assert worker.run() == count
            interrupts = worker.interrupts()
            total += interrupts
            due = ring.interrupt_due()
            if first and options.event_index and not options.packed:
                # A device new to a split ring cannot know what the driver has seen: it interrupts.
                assert interrupts >= due
            else:
                assert interrupts == due
            first = first and count == 0
            if data.draw(st.booleans(), label="collect"):
                _collect(direction, guest, port)
        assert worker.rings[0]["interrupts"] == total


@pytest.mark.parametrize("direction", [VF_TO_VM, VM_TO_VF], ids=["vf_to_vm", "vm_to_vf"])
@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
def test_one_interrupt_for_a_whole_burst(direction, packed):
    guest = MockGuest(packed=packed)
    pool = MockPool(128)
    port = MockPort(pool)
    with MockWorker(direction, [guest], pool, port, interrupts=True) as worker:
        for number in range(20):
            _move(direction, guest, pool, port, number)
        guest.publish()
        assert worker.run() == 20
        assert worker.interrupts() == 1


@pytest.mark.parametrize("direction", [VF_TO_VM, VM_TO_VF], ids=["vf_to_vm", "vm_to_vf"])
@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
def test_a_guest_without_an_eventfd_is_not_interrupted(direction, packed):
    guest = MockGuest(packed=packed)
    pool = MockPool(128)
    port = MockPort(pool)
    worker = MockWorker(direction, [guest], pool, port)
    _move(direction, guest, pool, port, 1)
    guest.publish()
    assert worker.run() == 1
    assert worker.rings[0]["interrupts"] == 0
    assert _collect(direction, guest, port) == 1
