"""Memory that frontends keep for the next backend: how it is made, and what is believed of it."""

import fcntl
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vhost_support import FEATURES, PACKED, state_number, with_device

from vio4wd.shm.inflight import PACKED_HEADER, SIZE_AT, STEP_AT, VERSION_AT, part_size
from vio4wd.testing.frontend import Memory
from vio4wd.vhost.errors import ViolationError
from vio4wd.vhost.features import Protocol
from vio4wd.vhost.inflight import Inflight, check_step
from vio4wd.vhost.messages import HEADER_SIZE, Request
from vio4wd.vhost.payloads import InflightArea, Number, VringState

TRACKED = int(Protocol.MQ | Protocol.INFLIGHT_SHMFD)
U16 = st.integers(0, 2**16 - 1)


async def get(peer, queues=2, queue_size=256):
    """In-flight memory of the device's making; its descriptor is `peer.file`."""
    reply = await peer.tell(Request.GET_INFLIGHT_FD, InflightArea(0, 0, queues, queue_size))
    return InflightArea.unpack(reply[HEADER_SIZE:])


async def track(peer, queues=2, queue_size=256):
    """As `get`; the device uses it from then on."""
    area = await get(peer, queues, queue_size)
    await peer.tell(Request.SET_INFLIGHT_FD, area, (peer.file,))
    return area


def encoded(after, before, wrap=1, wrap_before=1):
    return struct.pack("<HHBB2x", after, before, wrap, wrap_before)


def note(peer, index, step, size=256, *, version=1, queue_size=256):
    """Write what a worker would have written of a packed queue."""
    part = index * part_size(queue_size, packed=True)
    for where, data in ((STEP_AT, step), (SIZE_AT, size.to_bytes(2, "little"))):
        os.pwrite(peer.file, data, part + where)
    os.pwrite(peer.file, version.to_bytes(2, "little"), part + VERSION_AT)


def version(peer, index=0, *, packed=True):
    return os.pread(peer.file, 1, index * part_size(256, packed=packed) + VERSION_AT)[0]


def test_sizes_of_the_specification():
    # QueueRegionSplit and QueueRegionPacked with 16 and 32 bytes an entry, rounded up to cache lines.
    assert part_size(256, packed=False) == 4096 + 64
    assert part_size(256, packed=True) == 8192 + 64
    assert part_size(2, packed=False) == 64
    assert STEP_AT + 13 <= PACKED_HEADER


@pytest.mark.parametrize("features", [FEATURES, PACKED])
@given(queues=st.integers(1, 64), queue_size=st.integers(1, 32768))
def test_memory_for_any_queues(features, queues, queue_size):
    async def test(peer):
        await peer.negotiate(features, TRACKED)
        area = await track(peer, queues, queue_size)
        assert (area.offset, area.queues, area.queue_size) == (0, queues, queue_size)
        assert os.fstat(peer.file).st_size == area.size
        assert os.fstat(peer.file).st_blocks == 0  # it costs nothing before it is used
        packed = features == PACKED
        kept = peer.state.inflight
        parts = [kept.part(queue, queue_size, packed=packed) for queue in range(64)]
        assert parts[queues:] == [-1] * (64 - queues)
        step = part_size(queue_size, packed=packed)
        assert parts[:queues] == [queue * step for queue in range(queues)]
        assert area.size == queues * step
        assert kept.part(0, queue_size + 1, packed=packed) == -1
        assert kept.part(0, queue_size, packed=not packed) == -1

    with_device(test)


def test_a_frontend_cannot_take_the_memory_away():
    async def test(peer):
        await peer.negotiate(FEATURES, TRACKED)
        await get(peer)
        with pytest.raises(PermissionError):
            os.truncate(peer.file, 0)
        with pytest.raises(PermissionError):
            fcntl.fcntl(peer.file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)

    with_device(test)


@pytest.mark.parametrize("queues", [0, 65, 65535])
@pytest.mark.parametrize("request_number", [Request.GET_INFLIGHT_FD, Request.SET_INFLIGHT_FD])
def test_queues_that_there_cannot_be(queues, request_number):
    refused(request_number, InflightArea(1 << 40, 0, queues, 256), "queue")


@pytest.mark.parametrize("queue_size", [0, 32769, 65535])
@pytest.mark.parametrize("request_number", [Request.GET_INFLIGHT_FD, Request.SET_INFLIGHT_FD])
def test_queue_sizes_that_there_cannot_be(queue_size, request_number):
    refused(request_number, InflightArea(1 << 40, 0, 2, queue_size), "entries")


@pytest.mark.parametrize(
    ("size", "offset", "words"),
    [
        (0, 0, "are needed"),
        (2 * 4160 - 1, 0, "are needed"),
        (2 * 4160, 1, "not aligned"),
        (2 * 4160, 32, "not aligned"),
        (2 * 4160, 2**64 - 64, "beyond"),
        (2**64 - 1, 0, "beyond"),
        (2 * 4160, 8 << 20, "ends at"),
        (2**63 - 1, 0, "ends at"),
    ],
)
def test_memory_that_is_not_in_its_file(size, offset, words):
    refused(Request.SET_INFLIGHT_FD, InflightArea(size, offset, 2, 256), words)


def refused(request_number, payload, words):
    async def test(peer):
        await peer.negotiate(FEATURES, TRACKED)
        fds = (peer.memory.fd,) if request_number is Request.SET_INFLIGHT_FD else ()
        with pytest.raises(ViolationError, match=words):
            await peer.tell(request_number, payload, fds)
        assert peer.state.inflight is None

    with_device(test)


@given(
    step=st.integers(0, 2**64 - 1)
    | st.builds(lambda *numbers: int.from_bytes(encoded(*numbers), "little"), U16, U16),
    size=st.integers(1, 32768),
)
def test_any_step_leads_into_the_ring_or_is_none(step, size):
    found = check_step(step, size)
    after, before = step & 0xFFFF, step >> 16 & 0xFFFF
    wraps = step >> 32 & 0xFF, step >> 40 & 0xFF
    assert (found is None) == (max(after, before) >= size or max(wraps) > 1)
    if found is not None:
        base, open_step = found
        assert base == (after | wraps[0] << 15) * 0x10001
        assert open_step in (0, step & (1 << 48) - 1)
        assert bool(open_step) == ((after, wraps[0]) != (before, wraps[1]))


def test_a_backend_that_takes_over_goes_on_where_the_last_one_stood():
    async def test(peer):
        await peer.negotiate(PACKED, TRACKED)
        await track(peer, 4)
        for index, step in ((0, encoded(17, 12)), (1, encoded(3, 250, 0, 1)), (2, encoded(9, 9, 0, 0))):
            note(peer, index, step)
            await peer.start_queue(index, base=0x80008000, packed=True)
        await peer.device.settle()
        assert peer.listener.positions == {0: 0x80118011, 1: 0x00030003, 2: 0x00090009}
        steps = {0: encoded(17, 12), 1: encoded(3, 250, 0, 1)}
        assert peer.listener.steps == {
            index: int.from_bytes(steps.get(index, b""), "little") for index in range(3)
        }

    with_device(test)


@pytest.mark.parametrize(
    "noted",
    [
        {"step": encoded(256, 0)},
        {"step": encoded(0, 300)},
        {"step": encoded(1, 0, 2, 1)},
        {"step": b"\xff" * 8},
        {"step": encoded(17, 16), "size": 128},
        {"step": encoded(17, 16), "version": 0},
        {"step": encoded(17, 16), "version": 2},
    ],
)
def test_what_makes_no_sense_is_not_believed(noted):
    async def test(peer):
        await peer.negotiate(PACKED, TRACKED)
        await track(peer)
        note(peer, 0, **noted)
        await peer.start_queue(0, base=0x80058005, packed=True)
        await peer.device.settle()
        assert peer.listener.positions == {0: 0x80058005}

    with_device(test)


@pytest.mark.parametrize(
    ("place", "flags", "told"), [(0, 0x8080, True), (255, 0x8000, True), (0, 0x80, False)]
)
def test_a_packed_ring_that_was_in_use_and_nobody_knows(place, flags, told, caplog):
    async def test(peer):
        await peer.negotiate(PACKED, TRACKED)
        ring = peer.memory.ring(0, 256, packed=True)
        at = ring.descriptors - peer.memory.region.user_address + 16 * place + 14
        os.pwrite(peer.memory.fd, flags.to_bytes(2, "little"), at)
        await peer.start_queue(0, base=0x8000, packed=True)
        await peer.device.settle()
        assert peer.listener.positions == {0: 0x8000}

    with_device(test)
    assert ("was in use" in caplog.text) == told


def test_a_queue_that_is_stopped_in_order_is_forgotten():
    async def test(peer):
        await peer.negotiate(PACKED, TRACKED)
        await track(peer)
        await peer.start_queue(0, base=0x80008000, packed=True)
        await peer.device.settle()
        note(peer, 0, encoded(17, 16))
        peer.listener.positions[0] = 0x80118011
        reply = await peer.tell(Request.GET_VRING_BASE, VringState(0, 0))
        assert state_number(reply).number == 0x80118011
        assert version(peer) == 0
        # The driver has set the queue up anew: it begins at its start.
        await peer.start_queue(0, base=0x80008000, packed=True)
        await peer.device.settle()
        assert peer.listener.positions == {0: 0x80008000}

    with_device(test)


def test_a_queue_that_does_not_run_is_not_forgotten():
    async def test(peer):
        await peer.negotiate(PACKED, TRACKED)
        await track(peer)
        note(peer, 0, encoded(17, 17))
        await peer.tell(Request.GET_VRING_BASE, VringState(0, 0))
        assert version(peer) == 1

    with_device(test)


def test_a_device_that_is_reset_is_forgotten():
    async def test(peer):
        await peer.negotiate(PACKED, TRACKED)
        await track(peer)
        await peer.start_queue(1, packed=True)
        await peer.device.settle()
        note(peer, 1, encoded(17, 16))
        await peer.tell(Request.RESET_DEVICE)
        assert version(peer, 1) == 0
        assert peer.state.inflight is not None

    with_device(test)


def test_a_frontend_that_leaves_keeps_what_was_noted():
    async def test(peer):
        await peer.negotiate(PACKED, TRACKED)
        await track(peer)
        await peer.start_queue(0, packed=True)
        await peer.device.settle()
        note(peer, 0, encoded(17, 16))
        await peer.device.close()
        await peer.listener.connected("again")
        assert version(peer) == 1
        assert peer.state.inflight is None

    with_device(test)


def test_the_listener_hears_of_the_memory():
    async def test(peer):
        await peer.negotiate(FEATURES, TRACKED)
        await peer.start_queue(0)
        await peer.device.settle()
        peer.listener.calls.clear()
        await track(peer)
        assert peer.listener.calls == ["suspend"]
        await peer.device.settle()
        assert peer.listener.state.inflight is not None

    with_device(test)


def test_split_queues_go_by_their_used_rings():
    async def test(peer):
        await peer.negotiate(FEATURES, TRACKED)
        await track(peer)
        os.pwrite(peer.file, b"\1\0\0\1\0\0\x63\0", VERSION_AT)
        peer.memory.set_used_index(0, 256, 7)
        await peer.start_queue(0)
        await peer.device.settle()
        assert peer.listener.positions == {0: 7}

    with_device(test)


def test_the_other_rings_memory_is_not_used():
    async def test(peer):
        await peer.negotiate(FEATURES, TRACKED)
        await track(peer)
        await peer.tell(Request.SET_FEATURES, Number(PACKED))
        await peer.start_queue(0, packed=True)
        await peer.device.settle()
        assert peer.state.inflight.part(0, 256, packed=True) == -1
        assert peer.listener.positions == {0: 0}

    with_device(test)


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR])
def test_a_file_that_refuses(flags, tmp_path):
    path = tmp_path / "memory"
    path.write_bytes(bytes(100))
    fd = os.open(path, flags)
    try:
        inflight = Inflight(fd, part_size(256, packed=True), 0, 1, 256, True)
        assert inflight.step(0, 256) is None
        inflight.forget(0)
        os.truncate(path, 0)
        assert inflight.step(0, 256) is None
    finally:
        os.close(fd)


def test_memory_elsewhere_in_a_file():
    memory = Memory(size=1 << 20)
    try:
        inflight = Inflight(memory.fd, 1 << 16, 4096, 2, 256, True)
        part = 4096 + part_size(256, packed=True)
        os.pwrite(memory.fd, struct.pack("<HH", 1, 256), part + VERSION_AT)
        os.pwrite(memory.fd, encoded(3, 2), part + STEP_AT)
        assert inflight.step(1, 256) == int.from_bytes(encoded(3, 2), "little")
        assert inflight.step(0, 256) is None
        inflight.forget(1)
        assert inflight.step(1, 256) is None
    finally:
        memory.close()
