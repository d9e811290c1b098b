"""A worker that takes a ring over: the guest need not kick, and gets what a dead worker did not publish."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vio4wd.kernels.records import BURST
from vio4wd.shm.layout import VF_TO_VM, VM_TO_VF
from vio4wd.testing.mock_guest import MockGuest
from vio4wd.testing.mock_pool import MockPool, MockPort
from vio4wd.testing.mock_worker import MockWorker
from vio4wd.testing.strategies import numbered_packet

RINGS = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])


def relay(packed, size=64, *, tracked=False):
    guest = MockGuest(packed=packed, size=size)
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VM_TO_VF, [guest], pool, port, tracked=tracked)
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


def pass_through(guest, worker, count):
    """Send so many packets, one after the other."""
    for _ in range(count):
        send(guest, 1)
        assert worker.run() == len(guest.sent()) == 1


#: Descriptors of the chains of a burst; after some laps one of them runs over the ring's end.
COUNTS = (1, 3, 1, 2, 1)
BEFORE = (0, BURST - 3, BURST, 2 * BURST - 3)


class Burst:
    """A burst on a packed ring as a worker leaves it that dies on the way.

    Args:
        ring: the driver.
        before: chains of one descriptor that went through the ring first.
        run: has the worker move the burst.
    """

    def __init__(self, ring, worker, before, run):
        self.worker = worker
        size = ring.size
        self.places = [(place % size, 1 ^ place // size & 1) for place in self._starts(before)]
        words = [Field(ring, ring.descriptors + 16 * place + 8, 8) for place in range(size)]
        available, was = [word.value for word in words], worker.rings[0].copy()
        run()
        self._words, self._available, self._was = words, available, was

    @staticmethod
    def _starts(before):
        return [before + sum(COUNTS[:chain]) for chain in range(len(COUNTS) + 1)]

    def die(self, left):
        """Make it so that the worker died when it had not come to the first `left` chains."""
        for place, _ in self.places[:left]:
            self._words[place].value = self._available[place]
        (before, wrap_before), (after, wrap) = self.places[0], self.places[-1]
        self.worker.rings[0] = self._was
        self.worker.rings[0]["step"] = after | before << 16 | wrap << 32 | wrap_before << 40

    def position(self):
        """Where the ring stands, and the wrap counter there."""
        ring = self.worker.rings[0]
        assert (ring["last_avail"], ring["avail_wrap"]) == (ring["used"], ring["used_wrap"])
        return int(ring["used"]), int(ring["used_wrap"])


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("left", range(len(COUNTS) + 1))
def test_a_packed_ring_whose_worker_died_giving_back_what_was_sent(before, left):
    guest, worker = relay(packed=True, size=BURST)
    pass_through(guest, worker, before)
    for number, count in enumerate(COUNTS):
        guest.send(numbered_packet(number, 100), layout=(12, *[10] * (count - 2))[: count - 1])
    guest.publish()
    burst = Burst(guest.transmit_ring, worker, before, worker.run)
    burst.die(left)
    assert len(guest.transmit_ring.ready()) == (len(COUNTS) if left == 0 else 0)
    worker.set_up()
    if left == len(COUNTS):  # nothing had happened yet
        assert burst.position() == burst.places[0]
        assert worker.run() == len(COUNTS)
    assert burst.position() == burst.places[-1]
    assert worker.run() == 0
    assert len(guest.sent()) == len(COUNTS)
    pass_through(guest, worker, BURST)
    guest.check()


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("left", range(len(COUNTS) + 1))
def test_a_packed_ring_whose_worker_died_giving_back_what_was_received(before, left):
    """Of a packet in several buffers the guest must see all or nothing, and nothing that was not filled."""
    guest = MockGuest(packed=True, size=BURST, mergeable=True)
    pool = MockPool()
    port = MockPort(pool)
    worker = MockWorker(VF_TO_VM, [guest], pool, port)
    for number in range(before):
        guest.post([200])
        guest.publish()
        port.feed(pool.packet(numbered_packet(number, 100)))
        assert worker.run() == len(guest.received()) == 1
    for count in COUNTS:
        guest.post([50] * count)
    guest.publish()
    # Two packets, of three buffers and of two.
    packets = [numbered_packet(number, length) for number, length in ((1, 230), (2, 130))]

    def run():
        port.feed(*map(pool.packet, packets))
        worker.run()

    burst = Burst(guest.receive_ring, worker, before, run)
    burst.die(left)
    ready = guest.receive_ring.ready()
    worker.set_up()
    if left == 0:
        assert [packet.data for packet in guest.received()] == packets
    elif left == len(COUNTS):
        assert ready == guest.receive_ring.ready() == []
        run()
        assert [packet.data for packet in guest.received()] == packets
    else:
        assert ready == []
        assert [used.length for used in guest.receive_ring.collect()] == [0] * len(COUNTS)
    assert burst.position() == burst.places[-1]
    guest.check()


@given(words=st.lists(st.integers(0, 2**64 - 1), min_size=4, max_size=4), step=st.integers(0, 2**48 - 1))
def test_any_step_and_any_ring_end_in_a_position(words, step):
    guest, worker = relay(packed=True, size=4)
    for place, value in enumerate(words):
        Field(guest, guest.transmit_ring.descriptors + 16 * place + 8, 8).value = value
    worker.rings[0]["step"] = step
    worker.set_up()
    assert 0 <= worker.rings[0]["used"] < 4
    assert worker.rings[0]["used_wrap"] in (0, 1)
    guest.check()


def test_a_chain_that_fills_a_packed_ring():
    guest, worker = relay(packed=True, size=4)
    for lap in range(3):
        guest.send(numbered_packet(lap, 100), layout=(12, 10, 10))
        guest.publish()
        assert worker.run() == 1
        worker.set_up()
        assert len(guest.sent()) == 1


@RINGS
@pytest.mark.parametrize("before", [0, BURST - 3])
def test_the_frontend_is_told_how_far_the_ring_is(packed, before):
    guest, worker = relay(packed, size=BURST, tracked=True)

    def header():
        version, size, last_batch, used = struct.unpack("<8xHHHH", worker.inflight[0, :16].tobytes())
        place = struct.unpack("<HHBB2x8x", worker.inflight[0, 16:].tobytes())
        return (version, size, last_batch), place if packed else used

    assert header() == ((0, 0, 0), (0,) * 4 if packed else 0)
    worker.set_up()
    assert header() == ((1, BURST, 0), (0, 0, 1, 1) if packed else 0)
    pass_through(guest, worker, before)
    send(guest, 4)
    assert worker.run() == 4
    # As the specification has it: the used index, its old value, the wrap counters of both.
    count = before + 4
    (place, wrap), (old, old_wrap) = ((n % BURST, 1 ^ n // BURST & 1) for n in (count, before))
    assert header() == ((1, BURST, 0), (place, old, wrap, old_wrap) if packed else count)
    worker.set_up()
    assert header() == ((1, BURST, 0), (place, place, wrap, wrap) if packed else count)
    # Nothing else is written.
    assert not worker.inflight[0, 22:].any()
    assert not worker.inflight[0, :8].any()
