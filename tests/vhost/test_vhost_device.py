"""The state machine, message by message, with bytes alone."""

import os
import stat
import struct

import pytest
from vhost_support import FEATURES, OFFER, with_device

from vio4wd.testing.frontend import Memory
from vio4wd.vhost.errors import ViolationError
from vio4wd.vhost.features import Protocol, Virtio, offer
from vio4wd.vhost.messages import HEADER_SIZE, Request, decode_reply
from vio4wd.vhost.payloads import (
    LogArea,
    Nothing,
    Number,
    Region,
    Regions,
    SingleRegion,
    VringAddress,
    VringFile,
    VringState,
)
from vio4wd.vhost.rarp import frame

PACKED = FEATURES | int(Virtio.RING_PACKED)


def number(reply):
    """The 64-bit number of a reply."""
    _, size = decode_reply(reply[:HEADER_SIZE])
    assert size == len(reply) - HEADER_SIZE == 8
    return Number.unpack(reply[HEADER_SIZE:]).value


def state_number(reply):
    return VringState.unpack(reply[HEADER_SIZE:])


def calls(peer):
    """What the listener was told since the last time."""
    told, peer.listener.calls = peer.listener.calls, []
    return told


def test_offers():
    async def test(peer):
        assert number(await peer.tell(Request.GET_FEATURES)) == OFFER.features
        assert number(await peer.tell(Request.GET_PROTOCOL_FEATURES)) == OFFER.protocol_features
        assert number(await peer.tell(Request.GET_QUEUE_NUM)) == 32
        assert number(await peer.tell(Request.GET_MAX_MEM_SLOTS)) == 32

    with_device(test)


def test_a_volley_of_messages_is_one_resume():
    async def test(peer):
        await peer.negotiate()
        await peer.start_queue(0)
        await peer.start_queue(1)
        assert calls(peer) == ["connected"]
        await peer.device.settle()
        await peer.device.settle()
        assert calls(peer) == ["resume"]
        assert peer.listener.ready == [0, 1]
        assert peer.listener.positions == {0: 0, 1: 0}

    peer = with_device(test)
    assert calls(peer) == ["suspend", "disconnected"]


def test_nothing_ready_is_nothing_told():
    async def test(peer):
        await peer.negotiate()
        await peer.device.settle()

    assert calls(with_device(test)) == ["connected", "disconnected"]


def test_addresses_become_guest_physical():
    async def test(peer):
        await peer.negotiate()
        await peer.start_queue(1, 128)
        await peer.device.settle()
        vring = peer.state.vrings[1]
        base = peer.memory.region.guest_address + (1 << 20)
        assert (vring.descriptors, vring.available) == (base, base + 16 * 128)
        assert vring.used == (base + 16 * 128 + 6 + 2 * 128 + 3) & -4

    with_device(test)


def test_queue_is_suspended_before_it_changes():
    async def test(peer):
        await peer.negotiate()
        await peer.start_queue(0)
        await peer.device.settle()
        calls(peer)
        call_fd = peer.state.vrings[0].call_fd
        await peer.tell(Request.SET_VRING_CALL, VringFile(0, no_fd=True))
        assert calls(peer) == ["suspend"]
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(call_fd)
        await peer.device.settle()
        assert calls(peer) == ["resume"]
        assert peer.state.vrings[0].call_fd == -1

    with_device(test)


def test_another_queue_starts_beside_a_running_one():
    async def test(peer):
        await peer.negotiate()
        await peer.start_queue(0)
        await peer.device.settle()
        peer.listener.positions[0] = 77
        calls(peer)
        await peer.start_queue(2)
        assert calls(peer) == []
        await peer.device.settle()
        assert calls(peer) == ["suspend", "resume"]
        assert peer.listener.positions == {0: 77, 2: 0}

    with_device(test)


@pytest.mark.parametrize("features", [FEATURES, PACKED])
def test_stop_and_start_again(features):
    packed = features == PACKED
    base = 5 << 16 | 5 | 0x80008000 if packed else 5

    async def test(peer):
        await peer.negotiate(features)
        await peer.start_queue(0, base=base, packed=packed)
        await peer.device.settle()
        assert peer.listener.positions == {0: base if packed else 0}
        peer.listener.positions[0] = base + 3
        peer.memory.set_used_index(0, 256, 8)
        await peer.tell(Request.GET_VRING_BASE, VringState(1, 0))
        reply = await peer.tell(Request.GET_VRING_BASE, VringState(0, 0))
        assert state_number(reply) == VringState(0, base + 3)
        assert peer.state.vrings[0].kick_fd == -1
        await peer.device.settle()
        assert peer.listener.ready == []
        # Asked again, it says the same; kicked again, it goes on there.
        reply = await peer.tell(Request.GET_VRING_BASE, VringState(0, 0))
        assert state_number(reply) == VringState(0, base + 3)
        peer.listener.positions.clear()
        await peer.tell(Request.SET_VRING_KICK, VringFile(0, no_fd=True))
        await peer.device.settle()
        assert peer.listener.positions == {0: base + 3}

    with_device(test)


def test_used_ring_has_the_last_word_on_the_position():
    async def test(peer):
        await peer.negotiate()
        peer.memory.set_used_index(0, 256, 65535)
        await peer.start_queue(0, base=3)
        await peer.device.settle()
        assert peer.listener.positions == {0: 65535}

    with_device(test)


def test_packed_position_beyond_the_ring():
    async def test(peer):
        await peer.negotiate(PACKED)
        for base in (0x8000 | 100, 100 << 16):
            await peer.start_queue(0, 100, base=base, packed=True)
            await peer.device.settle()
            assert peer.listener.ready == []
            assert "position" in peer.state.vrings[0].fault
            await peer.tell(Request.GET_VRING_BASE, VringState(0, 0))
        await peer.start_queue(0, 101, base=0x8000 | 100, packed=True)
        await peer.device.settle()
        assert peer.listener.ready == [0]

    with_device(test)


def test_disabled_queue_is_started_but_not_ready():
    async def test(peer):
        await peer.negotiate()
        await peer.start_queue(1, enable=False)
        await peer.device.settle()
        assert (peer.listener.started, peer.listener.ready) == ([1], [])
        await peer.tell(Request.SET_VRING_ENABLE, VringState(1, 1))
        await peer.device.settle()
        assert (peer.listener.started, peer.listener.ready) == ([1], [1])

    with_device(test)


def test_queue_enabled_before_anything_else():
    async def test(peer):
        await peer.tell(Request.SET_VRING_ENABLE, VringState(1, 1))
        await peer.negotiate()
        await peer.start_queue(1, enable=False)
        await peer.device.settle()
        assert peer.listener.ready == [1]

    with_device(test)


def test_frontend_without_protocol_features_has_its_queues_enabled():
    async def test(peer):
        await peer.tell(Request.SET_FEATURES, Number(0))
        await peer.share()
        await peer.start_queue(0, enable=False)
        await peer.start_queue(1, enable=False)
        await peer.device.settle()
        assert peer.listener.ready == [0, 1]
        assert peer.state.header_size == 10

    with_device(test)


def test_queue_without_kick_eventfd_runs():
    async def test(peer):
        await peer.negotiate()
        await peer.start_queue(0)
        await peer.tell(Request.SET_VRING_KICK, VringFile(0, no_fd=True))
        await peer.device.settle()
        assert peer.listener.ready == [0]
        assert peer.state.vrings[0].kick_fd == -1

    with_device(test)


def test_log_is_switched_while_queues_run():
    async def test(peer):
        await peer.negotiate()
        await peer.start_queue(0)
        await peer.device.settle()
        calls(peer)
        log = os.memfd_create("log")
        os.truncate(log, 8192)
        reply = await peer.tell(Request.SET_LOG_BASE, LogArea(4096, 4096), (log,))
        assert number(reply) == 0
        os.close(log)
        await peer.tell(Request.SET_FEATURES, Number(FEATURES | Virtio.LOG_ALL))
        address = peer.memory.ring(0, 256, flags=1)
        await peer.tell(Request.SET_VRING_ADDR, address)
        await peer.device.settle()
        assert calls(peer) == ["suspend", "resume"]
        state = peer.listener.state
        assert state.logging
        assert (state.log.size, state.log.offset) == (4096, 4096)
        assert state.vrings[0].log_used == address.log
        await peer.tell(Request.SET_FEATURES, Number(FEATURES))
        await peer.tell(Request.SET_VRING_ADDR, peer.memory.ring(0, 256))
        await peer.device.settle()
        assert not state.logging
        assert state.vrings[0].log_used == -1

    with_device(test)


def test_log_that_is_replaced_is_closed():
    async def test(peer):
        log = os.memfd_create("log")
        os.truncate(log, 4096)
        for _ in range(2):
            await peer.tell(Request.SET_LOG_BASE, LogArea(4096, 0), (log,))
            await peer.tell(Request.SET_LOG_FD, Nothing(), (eventfd := os.eventfd(0),))
            os.close(eventfd)
        os.close(log)

    with_device(test)


@pytest.mark.parametrize(
    ("size", "offset"),
    [(0, 0), (4097, 0), (4096, 1), (4096, 4096), (2**64 - 4096, 4096), (4096, 2**64 - 4096), (2**63, 2**63)],
)
def test_log_that_is_not_in_its_file(size, offset):
    async def test(peer):
        log = os.memfd_create("log")
        os.truncate(log, 4096)
        try:
            with pytest.raises(ViolationError, match="dirty log"):
                await peer.tell(Request.SET_LOG_BASE, LogArea(size, offset), (log,))
        finally:
            os.close(log)
        assert peer.state.log is None

    with_device(test)


def test_features_may_not_change_while_queues_run():
    async def test(peer):
        await peer.negotiate()
        await peer.start_queue(0)
        await peer.tell(Request.SET_FEATURES, Number(FEATURES))
        with pytest.raises(ViolationError, match="while queues run: RING_PACKED"):
            await peer.tell(Request.SET_FEATURES, Number(PACKED))

    with_device(test)


@pytest.mark.parametrize(
    ("request_number", "bits", "text"),
    [
        (Request.SET_FEATURES, 1 << 4, "bit 4"),
        (Request.SET_FEATURES, int(Virtio.CSUM), "CSUM"),
        (Request.SET_FEATURES, int(Virtio.RING_PACKED), "without virtio 1.x"),
        (Request.SET_PROTOCOL_FEATURES, 1 << 63, "bit 63"),
        (Request.SET_PROTOCOL_FEATURES, int(Protocol.PAGEFAULT), "PAGEFAULT"),
        (Request.SET_STATUS, 256, "8 bits"),
    ],
)
def test_bits_that_were_not_offered(request_number, bits, text):
    async def test(peer):
        with pytest.raises(ViolationError, match=text):
            await peer.tell(request_number, Number(bits))

    with_device(test)


RING_REQUESTS = (
    Request.SET_VRING_NUM,
    Request.SET_VRING_BASE,
    Request.GET_VRING_BASE,
    Request.SET_VRING_ENABLE,
)


@pytest.mark.parametrize("index", [2, 63, 64, 255, 256, 65536, 2**32 - 1])
@pytest.mark.parametrize("multiqueue", [False, True])
def test_queue_numbers(index, multiqueue):
    async def test(peer):
        await peer.tell(Request.SET_PROTOCOL_FEATURES, Number(Protocol.MQ if multiqueue else 0))
        messages = [(request_number, VringState(index, 1)) for request_number in RING_REQUESTS]
        messages.append((Request.SET_VRING_ADDR, VringAddress(index, 0, 0, 0, 0, 0)))
        if index <= 255:
            messages.append((Request.SET_VRING_KICK, VringFile(index, no_fd=True)))
            messages.append((Request.SET_VRING_CALL, VringFile(index, no_fd=True)))
            messages.append((Request.SET_VRING_ERR, VringFile(index, no_fd=True)))
        for request_number, payload in messages:
            if multiqueue and index < 64:
                await peer.tell(request_number, payload)
                await peer.tell(Request.GET_VRING_BASE, VringState(index, 0))
            else:
                limit = 64 if multiqueue else 2
                with pytest.raises(ViolationError, match=f"queue {index} of {limit}"):
                    await peer.tell(request_number, payload)

    with_device(test)


@pytest.mark.parametrize("size", [0, 32769, 65536, 2**32 - 1])
def test_queue_sizes(size):
    async def test(peer):
        with pytest.raises(ViolationError, match="entries"):
            await peer.tell(Request.SET_VRING_NUM, VringState(0, size))

    with_device(test)


@pytest.mark.parametrize("request_number", [Request.SET_VRING_NUM, Request.SET_VRING_BASE])
def test_running_queue_keeps_size_and_position(request_number):
    async def test(peer):
        await peer.negotiate()
        await peer.start_queue(0)
        await peer.device.settle()
        with pytest.raises(ViolationError, match="while it runs"):
            await peer.tell(request_number, VringState(0, 128))

    with_device(test)


def test_enable_takes_0_or_1():
    async def test(peer):
        with pytest.raises(ViolationError, match="not 0 or 1"):
            await peer.tell(Request.SET_VRING_ENABLE, VringState(0, 2))

    with_device(test)


@pytest.mark.parametrize("size", [3, 100, 24576])
@pytest.mark.parametrize("packed", [False, True])
def test_sizes_that_are_no_power_of_two_are_for_packed_rings(size, packed):
    async def test(peer):
        await peer.negotiate(PACKED if packed else FEATURES)
        await peer.start_queue(0, size, packed=packed)
        await peer.device.settle()
        assert bool(peer.listener.ready) == packed

    with_device(test)


@pytest.mark.parametrize("size", [1, 2, 256, 32768])
@pytest.mark.parametrize("packed", [False, True])
def test_each_part_must_lie_in_memory_whole(size, packed):
    async def test(peer):
        await peer.negotiate(PACKED if packed else FEATURES)
        await peer.start_queue(0, size, packed=packed)
        await peer.device.settle()
        assert peer.listener.ready == [0]
        good = peer.memory.ring(0, size, packed=packed)
        end = peer.memory.region.user_address + peer.memory.region.size
        lengths = {"descriptors": 16 * size, "available": 6 + 2 * size, "used": 6 + 8 * size}
        if packed:
            lengths |= {"available": 4, "used": 4}
        alignments = {"descriptors": 16, "available": 4 if packed else 2, "used": 4}
        for name, length in lengths.items():
            step = alignments[name]
            last = (end - length) & -step
            for at, fits in ((last, True), (last + step, False), (end, False), (last + 1, False)):
                fields = {key: getattr(good, key) for key in VringAddress.__slots__}
                await peer.tell(Request.SET_VRING_ADDR, VringAddress(**fields | {name: at}))
                await peer.device.settle()
                assert bool(peer.listener.ready) == fits, (name, at)

    with_device(test)


@pytest.mark.parametrize("name", ["descriptors", "available", "used"])
@pytest.mark.parametrize("address", [2**63, 2**64 - 1, 2**64 - 16])
def test_addresses_near_the_end_of_the_world(name, address):
    async def test(peer):
        await peer.negotiate()
        fields = {key: getattr(peer.memory.ring(0, 4), key) for key in VringAddress.__slots__}
        with pytest.raises(ViolationError, match="beyond 2"):
            await peer.tell(Request.SET_VRING_ADDR, VringAddress(**fields | {name: address}))
        assert peer.state.vrings[0].user_addresses is None
        await peer.tell(Request.SET_VRING_ADDR, VringAddress(**fields | {"log": address}))
        with pytest.raises(ViolationError, match="beyond 2"):
            await peer.tell(Request.SET_VRING_ADDR, VringAddress(**fields | {"log": address, "flags": 1}))

    with_device(test)


def test_log_address_that_runs_over():
    async def test(peer):
        await peer.negotiate()
        await peer.start_queue(0)
        ring = peer.memory.ring(0, 256)
        ring = VringAddress(0, 1, ring.descriptors, ring.used, ring.available, 2**63 - 16)
        await peer.tell(Request.SET_VRING_ADDR, ring)
        await peer.device.settle()
        assert peer.listener.ready == []
        assert "log address" in peer.state.vrings[0].fault

    with_device(test)


def test_memory_table_changes_under_a_running_queue():
    async def test(peer):
        await peer.negotiate()
        await peer.start_queue(0)
        await peer.device.settle()
        number_before, fds = peer.state.memory_number, [region.fd for region in peer.state.regions]
        calls(peer)
        await peer.share()
        assert calls(peer) == ["suspend"]
        await peer.device.settle()
        assert peer.listener.ready == [0]
        assert peer.state.memory_number != number_before
        assert len(peer.state.regions) == len(fds) == 1
        # Elsewhere in the frontend's address space: the rings are not found any more, until they are.
        peer.listener.positions[0] = 9
        elsewhere = Memory(user_address=0x6F00_0000_0000)
        await peer.share(elsewhere)
        await peer.device.settle()
        assert peer.listener.ready == []
        assert "does not lie in" in peer.state.vrings[0].fault
        await peer.tell(Request.SET_VRING_ADDR, elsewhere.ring(0, 256))
        await peer.device.settle()
        assert peer.listener.ready == [0]
        assert peer.listener.positions == {0: 9}
        elsewhere.close()

    with_device(test)


def test_memory_table_that_is_refused_leaves_the_old_one():
    async def test(peer):
        await peer.negotiate()
        await peer.start_queue(0)
        await peer.device.settle()
        regions = peer.state.regions
        bad = Region(0, 1 << 40, 0, 0)
        for payload, fds in (
            (Regions((peer.memory.region, bad)), (peer.memory.fd, peer.memory.fd)),
            (Regions((peer.memory.region,)), ()),
            (Regions((peer.memory.region,)), (peer.memory.fd, peer.memory.fd)),
            (Regions(()), (peer.memory.fd,)),
        ):
            with pytest.raises(ViolationError):
                await peer.tell(Request.SET_MEM_TABLE, payload, fds)
            assert peer.state.regions == regions

    with_device(test)


def test_memory_slots():
    async def test(peer):
        await peer.tell(Request.SET_PROTOCOL_FEATURES, Number(0))
        await peer.tell(Request.SET_FEATURES, Number(FEATURES))
        slot = SingleRegion(peer.memory.region)
        confirmed = await peer.tell(Request.ADD_MEM_REG, slot, (peer.memory.fd,), need_reply=True)
        assert number(confirmed) == 0
        await peer.start_queue(0)
        await peer.device.settle()
        assert peer.listener.ready == [0]
        # QEMU 7.2 sends a descriptor along that is of no use.
        confirmed = await peer.tell(Request.REM_MEM_REG, slot, (peer.memory.fd,), need_reply=True)
        assert number(confirmed) == 0
        await peer.device.settle()
        assert peer.listener.ready == []
        confirmed = await peer.tell(Request.REM_MEM_REG, slot, need_reply=True)
        assert number(confirmed) != 0
        assert await peer.tell(Request.REM_MEM_REG, slot) is None

    with_device(test)


def test_frontend_that_is_refused_too_often_is_sent_away():
    async def test(peer):
        for _ in range(64):
            await peer.tell(Request.NET_SET_MTU, Number(0))
        with pytest.raises(ViolationError, match="64 requests were refused"):
            await peer.tell(Request.NET_SET_MTU, Number(0))

    with_device(test)


@pytest.mark.parametrize(("mtu", "answer"), [(67, 1), (68, 0), (1500, 0), (1501, 1), (2**64 - 1, 1)])
def test_mtu(mtu, answer):
    async def test(peer):
        assert number(await peer.tell(Request.NET_SET_MTU, Number(mtu), need_reply=True)) == answer
        assert peer.state.mtu == (0 if answer else mtu)

    with_device(test)


def test_announcement():
    async def test(peer):
        mac = bytes.fromhex("525400123456")
        await peer.tell(Request.SEND_RARP, Number(int.from_bytes(mac + b"\xee\xee", "little")))
        assert peer.listener.frames == [frame(mac)]

    with_device(test)


def test_status():
    async def test(peer):
        await peer.negotiate(protocol=int(Protocol.STATUS))
        await peer.start_queue(0)
        await peer.device.settle()
        assert peer.listener.ready == []
        for status in (1, 3, 11, 15):
            await peer.tell(Request.SET_STATUS, Number(status))
            assert number(await peer.tell(Request.GET_STATUS)) == status
        await peer.device.settle()
        assert peer.listener.ready == [0]
        peer.listener.positions[0] = 12
        # QEMU 7.2 stops with status 0 and asks for the position then.
        await peer.tell(Request.SET_STATUS, Number(0))
        await peer.device.settle()
        assert peer.listener.ready == []
        assert state_number(await peer.tell(Request.GET_VRING_BASE, VringState(0, 0))).number == 12

    with_device(test)


def test_reset_owner_stops_all_queues():
    async def test(peer):
        await peer.negotiate()
        await peer.start_queue(0)
        await peer.start_queue(1)
        await peer.device.settle()
        peer.listener.positions[1] = 7
        await peer.tell(Request.RESET_OWNER)
        await peer.device.settle()
        assert peer.listener.started == []
        assert state_number(await peer.tell(Request.GET_VRING_BASE, VringState(1, 0))).number == 7
        peer.memory.set_used_index(1, 256, 7)
        await peer.tell(Request.SET_VRING_KICK, VringFile(1, no_fd=True))
        await peer.device.settle()
        assert (peer.listener.started, peer.listener.ready) == ([1], [])

    with_device(test)


def test_reset_device_keeps_what_belongs_to_the_connection():
    async def test(peer):
        await peer.negotiate()
        await peer.start_queue(0)
        await peer.device.settle()
        await peer.tell(Request.RESET_DEVICE)
        await peer.device.settle()
        assert peer.listener.started == []
        state = peer.state
        assert (state.features, state.vrings[0].size, state.vrings[0].enabled) == (0, 0, False)
        assert state.protocol_features == Protocol.MQ
        assert len(state.regions) == 1
        await peer.tell(Request.SET_FEATURES, Number(FEATURES))
        await peer.start_queue(0)
        await peer.device.settle()
        assert peer.listener.ready == [0]

    with_device(test)


def test_eventfds_do_not_block():
    async def test(peer):
        fd = os.eventfd(0, 0)
        assert os.get_blocking(fd)
        await peer.tell(Request.SET_VRING_CALL, VringFile(0, no_fd=False), (fd,))
        os.close(fd)
        kept = peer.state.vrings[0].call_fd
        assert not os.get_blocking(kept)
        os.write(kept, struct.pack("=Q", 2**64 - 2))
        with pytest.raises(BlockingIOError):
            os.write(kept, struct.pack("=Q", 1))

    with_device(test)


@pytest.mark.parametrize(
    "request_number", [Request.SET_VRING_KICK, Request.SET_VRING_CALL, Request.SET_VRING_ERR]
)
def test_descriptors_that_are_no_eventfds(request_number):
    async def test(peer):
        pipe = os.pipe()
        for fd in (*pipe, peer.memory.fd):
            with pytest.raises(ViolationError, match="must be an eventfd"):
                await peer.tell(request_number, VringFile(0, no_fd=False), (fd,))
        for fd in pipe:
            os.close(fd)
        with pytest.raises(ViolationError, match="a descriptor announced, none sent"):
            await peer.tell(request_number, VringFile(0, no_fd=False))
        fd = os.eventfd(0)
        with pytest.raises(ViolationError, match="no descriptor announced, one sent"):
            await peer.tell(request_number, VringFile(0, no_fd=True), (fd,))
        with pytest.raises(ViolationError, match="with 2 descriptors"):
            await peer.tell(request_number, VringFile(0, no_fd=False), (fd, fd))
        os.close(fd)

    with_device(test)


def test_descriptors_are_the_devices_own():
    async def test(peer):
        await peer.share()
        (region,) = peer.state.regions
        assert region.fd != peer.memory.fd
        assert stat.S_ISREG(os.fstat(region.fd).st_mode)

    with_device(test)


def test_replies_only_where_asked():
    async def test(peer):
        assert await peer.tell(Request.SET_OWNER) is None
        assert number(await peer.tell(Request.SET_OWNER, need_reply=True)) == 0
        # Those with a reply of their own do not get another one.
        assert number(await peer.tell(Request.GET_FEATURES, need_reply=True)) == OFFER.features

    with_device(test)


def test_listener_that_fails_leaves_nothing_open():
    async def fail(state):
        raise RuntimeError("no memory")

    async def test(peer):
        await peer.negotiate()
        await peer.start_queue(0)
        peer.listener.resume = fail
        with pytest.raises(RuntimeError, match="no memory"):
            await peer.device.settle()

    assert calls(with_device(test)) == ["connected", "disconnected"]


def test_offer_of_few_queues():
    async def test(peer):
        await peer.tell(Request.SET_PROTOCOL_FEATURES, Number(Protocol.MQ))
        assert number(await peer.tell(Request.GET_QUEUE_NUM)) == 4
        await peer.tell(Request.SET_VRING_NUM, VringState(7, 256))
        with pytest.raises(ViolationError, match="queue 8 of 8"):
            await peer.tell(Request.SET_VRING_NUM, VringState(8, 256))

    with_device(test, offer(mergeable=True, queue_pairs=4))
