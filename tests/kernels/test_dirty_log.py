"""Under migration every page that the device writes is marked in the log."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vio4wd.shm.layout import VF_TO_VM, VM_TO_VF
from vio4wd.testing.guest_memory import GuestMemory
from vio4wd.testing.mock_guest import MockGuest
from vio4wd.testing.mock_pool import MockPool, MockPort
from vio4wd.testing.mock_worker import MockWorker
from vio4wd.testing.strategies import guest_options, numbered_packet, packet_lengths

PAGE = 4096
#: Bitmaps begin at guest-physical address 0.
BASE, SIZE = 0x40000, 0x40000
LOG_SIZE = (BASE + SIZE) // PAGE // 8


def _marked(log):
    return set(np.flatnonzero(np.unpackbits(log, bitorder="little")).tolist())


def _changed(memory, before):
    after = np.frombuffer(memory.read(BASE, SIZE), np.uint8)
    return {(BASE + int(place)) // PAGE for place in np.flatnonzero(after != before)}


@settings(max_examples=60)
@given(
    data=st.data(),
    options=guest_options(sizes=(8, 256)),
    direction=st.sampled_from([VF_TO_VM, VM_TO_VF]),
)
def test_every_changed_page_is_marked(data, options, direction):
    guest = options.build(GuestMemory([(BASE, SIZE)]))
    pool = MockPool(256)
    port = MockPort(pool)
    worker = MockWorker(direction, [guest], pool, port, log_size=LOG_SIZE)
    for number in range(6):
        packet = numbered_packet(number, data.draw(packet_lengths(6000)))
        if direction == VF_TO_VM:
            guest.post(data.draw(st.sampled_from([[12, 3000], [100, 3000], [6000, 3000], [6100]])))
            port.feed(pool.packet(packet))
        else:
            guest.send(packet)
        guest.publish()
        worker.log[:] = 0
        before = np.frombuffer(guest.memory.read(BASE, SIZE), np.uint8)
        worker.run()
        marked = _marked(worker.log)
        assert _changed(guest.memory, before) <= marked
        assert len(marked) <= 6
        guest.received(), guest.sent(), port.sent()


@pytest.mark.parametrize("direction", [VF_TO_VM, VM_TO_VF], ids=["vf_to_vm", "vm_to_vf"])
def test_pages_beyond_the_log_are_left_out(direction):
    guest = MockGuest(size=8)  # its memory lies far behind the pages of the log
    pool = MockPool(64)
    port = MockPort(pool)
    worker = MockWorker(direction, [guest], pool, port, log_size=8)
    guest.fill(100)
    guest.send(numbered_packet(1, 60))
    guest.publish()
    port.feed(pool.packet(numbered_packet(1, 60)))
    assert worker.run() == 1
    assert not worker.log.any()
    guest.check()
    worker.check()


@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
def test_whoever_takes_a_ring_over_marks_all_that_its_last_owner_may_have_written(packed):
    guest = MockGuest(memory=GuestMemory([(BASE, SIZE)]), packed=packed, size=1024)
    pool = MockPool(64)
    port = MockPort(pool)
    worker = MockWorker(VM_TO_VF, [guest], pool, port, log_size=LOG_SIZE)
    worker.set_up()
    ring = guest.transmit_ring
    start, size = (ring.descriptors, 16 * 1024) if packed else (ring.used, 4 + 8 * 1024)
    assert _marked(worker.log) == set(range(start // PAGE, (start + size - 1) // PAGE + 1))
