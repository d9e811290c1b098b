"""Virtqueues from set-up to stop, message by message, with bytes alone."""

import os
import struct

import pytest
from vhost_support import FEATURES, PACKED, calls, state_number, with_device

from vio4wd.vhost.errors import ViolationError
from vio4wd.vhost.features import Protocol
from vio4wd.vhost.messages import Request
from vio4wd.vhost.payloads import (
    Number,
    VringAddress,
    VringFile,
    VringState,
)


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
