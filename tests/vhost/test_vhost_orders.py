"""Messages of all kinds in any order: nothing is served that is not safe, and nothing stays open.

The listener (`vhost_support.RecordingListener`) asserts at each resume that all a worker would touch
lies in guest memory, and that calls come in the promised order.
"""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vhost_support import OFFER, Peer, open_fds, with_device

from vio4wd.testing.frontend import Memory
from vio4wd.vhost.errors import ViolationError
from vio4wd.vhost.features import Protocol, Virtio
from vio4wd.vhost.messages import Request
from vio4wd.vhost.payloads import (
    InflightArea,
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
from vio4wd.vhost.requests import REQUESTS

QUEUES = st.integers(0, 3) | st.sampled_from([63, 64, 255])
SIZES = st.sampled_from([1, 2, 3, 64, 256, 32768, 0, 65536])
FEATURE_BITS = st.sampled_from(
    [
        0,
        int(Virtio.VERSION_1),
        int(Virtio.PROTOCOL_FEATURES | Virtio.VERSION_1),
        int(Virtio.PROTOCOL_FEATURES | Virtio.VERSION_1 | Virtio.RING_PACKED),
        int(Virtio.PROTOCOL_FEATURES | Virtio.VERSION_1 | Virtio.LOG_ALL),
        int(Virtio.CSUM),
    ]
)
PROTOCOL_BITS = st.sampled_from([0, int(Protocol.MQ), int(Protocol.MQ | Protocol.STATUS), 1 << 40])
PAGES = st.integers(0, 2**52).map(lambda page: page * 4096 % 2**64)
USER = Memory.__init__.__defaults__[2]
REGION = st.builds(
    Region,
    guest_address=st.integers(0, 8).map(lambda i: i << 20) | PAGES,
    size=st.integers(0, 9).map(lambda i: i << 20) | st.sampled_from([4095, 2**63, 2**64 - 4096]),
    user_address=st.integers(0, 8).map(lambda i: USER + (i << 20)) | PAGES,
    mmap_offset=st.integers(0, 3).map(lambda i: i << 20) | PAGES,
)
ADDRESS = st.builds(
    VringAddress,
    index=QUEUES,
    flags=st.integers(0, 3),
    descriptors=st.integers(0, 9 << 16).map(lambda i: USER + i * 16) | st.integers(0, 2**64 - 1),
    used=st.integers(0, 9 << 18).map(lambda i: USER + i * 4) | st.integers(0, 2**64 - 1),
    available=st.integers(0, 9 << 19).map(lambda i: USER + i * 2) | st.integers(0, 2**64 - 1),
    log=st.integers(0, 2**64 - 1),
)
INFLIGHT = st.builds(
    InflightArea,
    size=st.sampled_from([0, 4096, 1 << 20, 2**64 - 4096]),
    offset=st.sampled_from([0, 1, 4096, 2**64 - 4096]),
    queues=st.sampled_from([0, 1, 2, 4, 64, 65, 65535]),
    queue_size=st.sampled_from([0, 1, 256, 65535]),
)
LOG = st.builds(LogArea, st.sampled_from([0, 4096, 1 << 20, 2**64 - 4096]), st.sampled_from([0, 1, 4096]))

#: Payloads of each message, some of them good.
MESSAGES = {
    Request.SET_FEATURES: st.builds(Number, FEATURE_BITS),
    Request.SET_PROTOCOL_FEATURES: st.builds(Number, PROTOCOL_BITS),
    Request.SET_MEM_TABLE: st.builds(Regions, st.lists(REGION, max_size=3).map(tuple)),
    Request.ADD_MEM_REG: st.builds(SingleRegion, REGION),
    Request.REM_MEM_REG: st.builds(SingleRegion, REGION),
    Request.SET_LOG_BASE: LOG,
    Request.GET_INFLIGHT_FD: INFLIGHT,
    Request.SET_INFLIGHT_FD: INFLIGHT,
    Request.SET_VRING_NUM: st.builds(VringState, QUEUES, SIZES),
    Request.SET_VRING_BASE: st.builds(VringState, QUEUES, st.integers(0, 2**32 - 1) | st.just(0x80008000)),
    Request.GET_VRING_BASE: st.builds(VringState, QUEUES, st.just(0)),
    Request.SET_VRING_ENABLE: st.builds(VringState, QUEUES, st.integers(0, 2)),
    Request.SET_VRING_ADDR: ADDRESS,
    Request.SET_VRING_KICK: st.builds(VringFile, QUEUES, st.booleans()),
    Request.SET_VRING_CALL: st.builds(VringFile, QUEUES, st.booleans()),
    Request.SET_VRING_ERR: st.builds(VringFile, QUEUES, st.booleans()),
    Request.SEND_RARP: st.builds(Number, st.integers(0, 2**64 - 1)),
    Request.NET_SET_MTU: st.builds(Number, st.sampled_from([0, 1500, 2**64 - 1])),
    Request.SET_STATUS: st.builds(Number, st.sampled_from([0, 4, 15, 256])),
}
MEMORY_FILE = {Request.SET_MEM_TABLE, Request.ADD_MEM_REG, Request.SET_LOG_BASE, Request.SET_INFLIGHT_FD}
EVENTFD = {Request.SET_VRING_KICK, Request.SET_VRING_CALL, Request.SET_VRING_ERR, Request.SET_LOG_FD}

REQUEST = st.sampled_from(sorted(REQUESTS))
MESSAGE = REQUEST.flatmap(
    lambda number: st.tuples(
        st.just(number),
        MESSAGES.get(number, st.just(Nothing())),
        st.sampled_from(["right", "right", "right", "none", "many"]),
        st.booleans(),
    )
)
#: A step: a message, a pause in which the device settles, or a whole queue set up as it should be.
STEP = st.one_of(
    MESSAGE.map(lambda message: ("message", message)),
    MESSAGE.map(lambda message: ("message", message)),
    st.just(("settle", None)),
    st.integers(0, 3).map(lambda index: ("queue", index)),
)


def descriptors(number, payload, how, memory, eventfd):
    """What to send beside a message: as many as it should have, none, or too many."""
    kind = memory.fd if number in MEMORY_FILE else eventfd
    if how == "none":
        return ()
    if how == "many":
        return (kind,) * 3
    if number == Request.SET_MEM_TABLE:
        return (kind,) * len(payload.regions)
    if isinstance(payload, VringFile):
        return () if payload.no_fd else (kind,)
    return (kind,) if number in MEMORY_FILE | EVENTFD else ()


async def one_step(peer, eventfd, step):
    what, detail = step
    if what == "settle":
        await peer.device.settle()
    elif what == "queue":
        await peer.tell(Request.GET_VRING_BASE, VringState(detail, 0))
        await peer.start_queue(detail, 256)
        await peer.device.settle()
    else:
        number, payload, how, need_reply = detail
        fds = descriptors(number, payload, how, peer.memory, eventfd)
        await peer.tell(number, payload, fds, need_reply=need_reply)


@settings(max_examples=300)
@given(steps=st.lists(STEP, max_size=40))
def test_any_order(steps):
    async def test(peer: Peer):
        await peer.negotiate()
        await peer.start_queue(1)
        await peer.device.settle()
        eventfd = os.eventfd(0)
        try:
            for step in steps:
                # A frontend that was caught goes on in a connection of its own; here it may just go on.
                try:
                    await one_step(peer, eventfd, step)
                except ViolationError:
                    continue
            await peer.device.settle()
        finally:
            os.close(eventfd)

    with_device(test)


#: Descriptors are counted exactly: a leak of one shows at once, a rare one after this many.
REPEATS = 3_000


@pytest.mark.parametrize("request_number", REQUESTS)
def test_repetition(request_number):
    """Each message again and again, with the descriptors it should have and with others."""
    good = {
        Request.SET_MEM_TABLE: lambda peer: Regions((peer.memory.region,)),
        Request.ADD_MEM_REG: lambda peer: SingleRegion(peer.memory.region),
        Request.REM_MEM_REG: lambda peer: SingleRegion(peer.memory.region),
        Request.SET_LOG_BASE: lambda peer: LogArea(4096, 0),
        Request.GET_INFLIGHT_FD: lambda peer: InflightArea(0, 0, 2, 256),
        Request.SET_INFLIGHT_FD: lambda peer: InflightArea(1 << 20, 0, 2, 256),
        Request.SET_VRING_ADDR: lambda peer: peer.memory.ring(0, 256),
        Request.SET_FEATURES: lambda peer: Number(OFFER.features & ~int(Virtio.RING_PACKED)),
        Request.SET_PROTOCOL_FEATURES: lambda peer: Number(Protocol.MQ),
        Request.SET_STATUS: lambda peer: Number(15),
        Request.SEND_RARP: lambda peer: Number(0),
        Request.NET_SET_MTU: lambda peer: Number(1500),
    }
    kind = REQUESTS[request_number].payload
    plain = {VringState: VringState(0, 1), VringFile: VringFile(0, no_fd=False)}.get(kind, Nothing())

    async def repeat(peer, eventfd, how):
        payload = good.get(request_number, lambda peer: plain)(peer)
        fds = descriptors(request_number, payload, how, peer.memory, eventfd)
        try:
            await peer.tell(request_number, payload, fds)
            await peer.device.settle()
        except ViolationError:
            return

    async def test(peer: Peer):
        await peer.negotiate()
        await peer.start_queue(0)
        await peer.device.settle()
        eventfd = os.eventfd(0)
        try:
            for how in ("right", "many", "none"):
                await repeat(peer, eventfd, how)
                before = open_fds()
                for _ in range(REPEATS // 3):
                    await repeat(peer, eventfd, how)
                    peer.device._refusals = 0
                    peer.listener.calls.clear()
                    peer.listener.frames.clear()
                assert open_fds() == before
        finally:
            os.close(eventfd)

    with_device(test)
