"""A worker that takes a ring over: the guest need not kick, and gets what a dead worker did not publish."""

import numpy as np
import pytest

from vio4wd.kernels.records import BURST
from vio4wd.shm.layout import VM_TO_VF
from vio4wd.testing.mock_guest import MockGuest
from vio4wd.testing.mock_pool import MockPool, MockPort
from vio4wd.testing.mock_worker import MockWorker
from vio4wd.testing.strategies import numbered_packet

RINGS = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])


def relay(packed, size=64):
    guest = MockGuest(packed=packed, size=size)
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VM_TO_VF, [guest], pool, port)
    worker.keeps = (pool, port)  # it knows their addresses only
    return guest, worker


def send(guest, count):
    for number in range(count):
        guest.send(numbered_packet(number, 100))
    guest.publish()


class Field:
    """A little-endian number in guest memory."""

    def __init__(self, guest, address, size):
        self.memory, self.address, self.size = guest.memory, address, size

    @property
    def value(self):
        return int.from_bytes(self.memory.read(self.address, self.size), "little")

    @value.setter
    def value(self, number):
        self.memory.write(self.address, number.to_bytes(self.size, "little"))


@RINGS
def test_the_guest_need_not_kick(packed):
    guest, worker = relay(packed)
    flags = Field(guest, guest.transmit_ring.used + 2 * packed, 2)
    assert flags.value == 0
    worker.set_up()
    assert flags.value == 1


@RINGS
@pytest.mark.parametrize("laps", [0, 1, 2])
def test_taking_over_a_ring_at_rest_changes_nothing(packed, laps):
    guest, worker = relay(packed, size=BURST)
    for _ in range(laps):
        send(guest, BURST)
        worker.run()
        assert len(guest.sent()) == BURST
    send(guest, 3)
    worker.run()
    worker.set_up()
    assert len(guest.sent()) == 3
    worker.set_up()
    assert guest.sent() == []
    guest.check()


@pytest.mark.parametrize("behind", ["none", "last_avail", "used"])
def test_a_split_ring_whose_index_was_not_published(behind):
    guest, worker = relay(packed=False)
    send(guest, 5)
    index = Field(guest, guest.transmit_ring.used + 2, 2)
    worker.run()
    index.value = 0  # the worker died before it got there
    if behind != "none":  # ... or even before it had noted both positions
        worker.rings[0][behind] = 0
    assert guest.sent() == []
    worker.set_up()
    assert len(guest.sent()) == 5
    send(guest, 3)
    assert worker.run() == 3
    assert len(guest.sent()) == 3


@pytest.mark.parametrize("laps", [0, 1])
def test_a_packed_ring_whose_first_descriptor_was_not_published(laps):
    guest, worker = relay(packed=True, size=BURST)
    for _ in range(laps):
        send(guest, BURST)
        worker.run()
        guest.sent()
    send(guest, 5)
    ring = worker.rings[0]
    first = int(ring["used"])
    word = Field(guest, guest.transmit_ring.descriptors + 16 * first + 8, 8)
    available = word.value
    worker.run()
    used = np.uint64(word.value).astype(np.int64)
    word.value = available  # the worker died before it got there
    ring["publishing"], ring["publishing_word"] = first + 1, used
    assert guest.sent() == []
    worker.set_up()
    assert len(guest.sent()) == 5
    assert ring["publishing"] == 0
    # Once it is published the guest may use the descriptor again: then it is left alone.
    ring["publishing"] = first + 1
    send(guest, BURST)
    reused = word.value
    worker.set_up()
    assert word.value == reused
    assert ring["publishing"] == 0
