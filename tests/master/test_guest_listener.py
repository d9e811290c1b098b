"""From the state of a vhost-user device to what workers are asked to serve."""

import asyncio
import os

import pytest
from relay_stage import VF_TO_VM, VM_TO_VF, Stage

from vio4wd.master.guest_listener import GuestListener, as_guest
from vio4wd.master.roles import Device
from vio4wd.vhost.features import Virtio, header_size
from vio4wd.vhost.inflight import Inflight
from vio4wd.vhost.payloads import Region
from vio4wd.vhost.state import DeviceState, DirtyLog

SIZE = 1 << 20


@pytest.fixture
def state():
    """A device with one pair of queues of 256 entries in a region at 0."""
    made = DeviceState()
    fd = os.memfd_create("guest")
    os.ftruncate(fd, SIZE)
    made.features = int(Virtio.VERSION_1 | Virtio.RING_EVENT_IDX)
    made.memory.replace([(Region(0, SIZE, 0x7F0000000000, 0), fd)])
    for queue in made.vrings[:2]:
        queue.size = 256
        start = 0x7F0000000000 + 0x10000 * queue.index
        queue.user_addresses = (start, start + 0x2000, start + 0x4000)
        queue.started = queue.enabled = True
        queue.call_fd = os.eventfd(0)
    made.place_rings()
    yield made
    made.close()


def listen(scenario):
    async def wrapped():
        stage = Stage()
        relay = stage.relay()
        await scenario(stage, relay, GuestListener(relay, stage.tables, find_node=True))

    asyncio.run(wrapped())


def test_state_becomes_a_guest(state):
    guest = as_guest(state)
    assert [queue.index for queue in guest.queues] == [0, 1]
    assert (guest.queues[1].descriptors, guest.queues[1].used) == (0x10000, 0x14000)
    assert guest.queues[0].call_fd == state.vrings[0].call_fd
    assert guest.regions[0].size == SIZE
    assert header_size(guest.features) == 12
    assert guest.log is None


def test_log_counts_only_while_logging(state):
    fd = os.memfd_create("log")
    state.set_log(DirtyLog(fd, 4096, 0))
    assert as_guest(state).log is None
    state.features |= int(Virtio.LOG_ALL)
    assert as_guest(state).log.fd == fd


def test_queues_have_their_parts_of_the_in_flight_memory(state):
    assert as_guest(state).inflight is None
    assert [queue.inflight for queue in as_guest(state).queues] == [-1, -1]
    fd = os.memfd_create("inflight")
    state.set_inflight(Inflight(fd, 8320, 64, 2, 256, False))
    guest = as_guest(state)
    assert (guest.inflight.fd, guest.inflight.size, guest.inflight.offset) == (fd, 8320, 64)
    assert [queue.inflight for queue in guest.queues] == [0, 4160]


def test_a_guests_life(state):
    async def scenario(stage, relay, listener):
        await relay.attach(Device("net_null0"))
        row = stage.tables["relays"][1]
        await listener.connected(f"pid {os.getpid()} (qemu-system-x86)")
        assert row["peer"] == f"pid {os.getpid()} (qemu-system-x86)".encode()
        assert row["guest_connections"] == 1
        await listener.suspend()
        await listener.set_ring_position(0, 7, False)
        await listener.set_ring_position(1, 9, False)
        await listener.resume(state)
        assert len(stage.serve(relay, VF_TO_VM).queues) == len(stage.serve(relay, VM_TO_VF).queues) == 1
        assert row["features"] == state.features
        stage.tables["rings"][1][1]["last_avail"] = 65535
        await listener.suspend()
        assert stage.owners(relay) == (None, None)
        assert await listener.ring_position(0, False) == 7
        assert await listener.ring_position(1, False) == 65535
        await listener.disconnected()
        assert row["peer"] == b""
        assert stage.serve(relay, VF_TO_VM).queues == ()
        assert await listener.ring_position(1, False) == 0

    listen(scenario)


def test_worker_that_cannot_map_the_guest_does_not_end_the_connection(state, caplog):
    async def scenario(stage, relay, listener):
        for worker in stage.workers:
            worker.refusal = "the file has 0 bytes"
        await listener.connected("pid 1 (x)")
        await listener.resume(state)
        assert "relay 1: the guest is not served" in caplog.text
        assert "the file has 0 bytes" in caplog.text

    listen(scenario)


def test_announcement_goes_to_the_vf_while_nobody_else_sends(state):
    async def scenario(stage, relay, listener):
        await listener.announce(b"frame")  # nobody to tell
        await relay.attach(Device("net_null0"))
        await listener.resume(state)
        await listener.announce(b"frame")
        assert stage.hardware.sent == [b"frame"]
        assert None not in stage.owners(relay)

    listen(scenario)
