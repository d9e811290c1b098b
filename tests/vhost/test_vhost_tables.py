"""The tables of features and messages: complete, free of contradictions, and what is offered of them."""

import pytest

from vio4wd.vhost import features
from vio4wd.vhost.errors import ViolationError
from vio4wd.vhost.features import Protocol, Support, Virtio, offer
from vio4wd.vhost.messages import Header, Request
from vio4wd.vhost.rarp import frame
from vio4wd.vhost.requests import LEFT_OUT, REQUESTS, Touches, find


@pytest.mark.parametrize(
    ("kind", "table"),
    [(Virtio, features.VIRTIO_FEATURES), (Protocol, features.PROTOCOL_FEATURES)],
)
def test_each_bit_stands_in_the_table_once(kind, table):
    assert [feature.flag for feature in table] == list(kind)
    assert all(feature.why for feature in table)
    assert all(feature.flag == 1 << feature.bit for feature in table)


def test_each_message_is_handled_or_left_out():
    assert sorted(REQUESTS | LEFT_OUT) == sorted(Request)
    assert not REQUESTS.keys() & LEFT_OUT.keys()


def test_messages_left_out_belong_to_features_left_out():
    offered = offer(mergeable=True, tso=True, jumbo=True, mtu=9000).protocol_features
    for reason in LEFT_OUT.values():
        assert reason if isinstance(reason, str) else not reason & offered
    for spec in REQUESTS.values():
        assert not spec.needs & ~offered


def test_messages_that_touch_a_ring_name_it():
    for spec in REQUESTS.values():
        if spec.touches is Touches.RING:
            assert hasattr(spec.payload, "index")


def test_switches():
    least = offer(mergeable=False, packed=False)
    assert not least.features & (Virtio.MRG_RXBUF | Virtio.RING_PACKED | Virtio.MTU | features.OFFLOADS)
    assert not least.protocol_features & Protocol.NET_MTU
    most = offer(mergeable=True, tso=True, jumbo=True, mtu=9000)
    switched = [f.flag for f in features.VIRTIO_FEATURES if f.support is not Support.NO]
    assert most.features == sum(switched)
    assert most.protocol_features & Protocol.NET_MTU
    assert most.max_mtu == 9000
    assert offer(mergeable=True, mtu=9000).max_mtu == 1500
    assert offer(mergeable=True, mtu=20).max_mtu == 1500


def test_names_of_bits():
    assert features.names(0) == "none"
    assert features.names(1 << 32 | 1 << 15 | 1 << 4) == "bit 4 MRG_RXBUF VERSION_1"
    assert features.names(1 | 1 << 40, Protocol) == "MQ bit 40"


@pytest.mark.parametrize("request_number", [0, 45, 99, 2**32 - 1, *LEFT_OUT])
def test_messages_that_are_not_supported(request_number):
    offered = offer(mergeable=True, mtu=1500).protocol_features
    with pytest.raises(ViolationError, match="not supported"):
        find(Header(request_number, 8), offered)


@pytest.mark.parametrize("request_number", REQUESTS)
def test_message_without_its_protocol_feature(request_number):
    spec = REQUESTS[request_number]
    header = Header(request_number, min(spec.payload.SIZES))
    assert find(header, spec.needs) is spec
    if spec.needs:
        with pytest.raises(ViolationError, match="not supported"):
            find(header, ~spec.needs)


@pytest.mark.parametrize("request_number", REQUESTS)
def test_message_with_a_size_that_is_none_of_its_own(request_number):
    spec = REQUESTS[request_number]
    for size in {0, 1, 7, 9, 4096, 2**31, 2**32 - 1} - spec.payload.SIZES:
        with pytest.raises(ViolationError, match=f"payload of {size} bytes"):
            find(Header(request_number, size), spec.needs)


def test_rarp_frame():
    mac = bytes.fromhex("525400123456")
    data = frame(mac)
    assert len(data) == 60
    assert data[:14] == b"\xff" * 6 + mac + b"\x80\x35"
    assert data[14:22] == bytes.fromhex("0001080006040003")
    assert data[22:28] == mac
    assert data[32:38] == mac
