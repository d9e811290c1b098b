"""Guest memory and the dirty log, message by message, with bytes alone."""

import os
import stat

import pytest
from vhost_support import FEATURES, calls, number, with_device

from vio4wd.testing.frontend import Memory
from vio4wd.vhost.errors import ViolationError
from vio4wd.vhost.features import Virtio
from vio4wd.vhost.messages import Request
from vio4wd.vhost.payloads import (
    LogArea,
    Nothing,
    Number,
    Region,
    Regions,
    SingleRegion,
)


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


def test_descriptors_are_the_devices_own():
    async def test(peer):
        await peer.share()
        (region,) = peer.state.regions
        assert region.fd != peer.memory.fd
        assert stat.S_ISREG(os.fstat(region.fd).st_mode)

    with_device(test)
