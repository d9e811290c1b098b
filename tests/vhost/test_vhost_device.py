"""The device as a whole, message by message, with bytes alone."""

import pytest
from vhost_support import FEATURES, OFFER, PACKED, calls, number, state_number, with_device

from vio4wd.vhost.errors import ViolationError
from vio4wd.vhost.features import Protocol, Virtio, offer
from vio4wd.vhost.messages import Request
from vio4wd.vhost.payloads import Number, VringFile, VringState
from vio4wd.vhost.rarp import frame


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
