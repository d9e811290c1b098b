"""Payloads and headers as bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vio4wd.vhost import payloads
from vio4wd.vhost.errors import ViolationError
from vio4wd.vhost.messages import HEADER_SIZE, Header, Request, decode_reply, encode_reply, encode_request

U16 = st.integers(0, 2**16 - 1)
U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
REGION = st.builds(payloads.Region, U64, U64, U64, U64)
PAYLOADS = st.one_of(
    st.builds(payloads.Nothing),
    st.builds(payloads.Number, U64),
    st.builds(payloads.VringFile, st.integers(0, 255), st.booleans()),
    st.builds(payloads.VringState, U32, U32),
    st.builds(payloads.VringAddress, U32, U32, U64, U64, U64, U64),
    st.builds(payloads.Regions, st.lists(REGION, max_size=8).map(tuple)),
    st.builds(payloads.SingleRegion, REGION),
    st.builds(payloads.LogArea, U64, U64),
    st.builds(payloads.InflightArea, U64, U64, U16, U16),
)
KINDS = (
    payloads.Nothing,
    payloads.Number,
    payloads.VringFile,
    payloads.VringState,
    payloads.VringAddress,
    payloads.Regions,
    payloads.SingleRegion,
    payloads.LogArea,
    payloads.InflightArea,
)


@given(PAYLOADS)
def test_bytes_and_back(payload):
    data = payload.pack()
    assert len(data) in payload.SIZES
    assert type(payload).unpack(data) == payload


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_value_or_a_violation(kind, data):
    try:
        payload = kind.unpack(data)
    except ViolationError:
        return
    assert len(data) in kind.SIZES
    assert kind.unpack(payload.pack()) == payload


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_sizes(kind):
    for size in set(range(300)) - kind.SIZES:
        with pytest.raises(ViolationError):
            kind.unpack(bytes(size))


def test_memory_table_in_full_length():
    region = payloads.Region(1, 2, 3, 4)
    data = payloads.Regions((region,)).pack().ljust(8 + 8 * 32, b"\xff")
    assert payloads.Regions.unpack(data).regions == (region,)


@pytest.mark.parametrize(("count", "size"), [(9, 8 + 8 * 32), (2, 8 + 32), (2**32 - 1, 8), (1, 8 + 3 * 32)])
def test_memory_table_with_another_count(count, size):
    with pytest.raises(ViolationError, match=f"{count} memory regions"):
        payloads.Regions.unpack(count.to_bytes(4, "little").ljust(size, b"\0"))


def test_layout_of_the_specification():
    assert payloads.VringFile(5, no_fd=True).pack() == b"\x05\x01" + bytes(6)
    assert payloads.VringState(1, 0x80008000).pack() == b"\1\0\0\0\0\x80\0\x80"
    address = payloads.VringAddress(1, 2, descriptors=3, used=4, available=5, log=6)
    assert [address.pack()[8 + 8 * i] for i in range(4)] == [3, 4, 5, 6]
    area = payloads.InflightArea(1, 2, queues=3, queue_size=4)
    assert area.pack() == bytes([1, *[0] * 7, 2, *[0] * 7, 3, 0, 4, *[0] * 5])
    assert payloads.SingleRegion(payloads.Region(1, 2, 3, 4)).pack()[8::8] == b"\1\2\3\4"


def test_queue_number_beyond_its_bits():
    with pytest.raises(ViolationError, match="9 bits"):
        payloads.VringFile.unpack((1 << 16).to_bytes(8, "little"))


@given(U32, PAYLOADS, st.booleans())
def test_request_header(request_number, payload, need_reply):
    data = encode_request(request_number, payload, need_reply=need_reply)
    header = Header.unpack(data[:HEADER_SIZE])
    assert header == Header(request_number, len(data) - HEADER_SIZE, need_reply)


@given(U32, PAYLOADS)
def test_reply_header(request_number, payload):
    data = encode_reply(request_number, payload)
    assert decode_reply(data[:HEADER_SIZE]) == (request_number, len(data) - HEADER_SIZE)
    with pytest.raises(ViolationError, match="not a vhost-user request"):
        Header.unpack(data[:HEADER_SIZE])


@given(st.binary(min_size=HEADER_SIZE, max_size=HEADER_SIZE))
def test_any_header(data):
    try:
        header = Header.unpack(data)
    except ViolationError:
        return
    assert header.name


def test_names():
    assert Header(1, 0).name == Request.GET_FEATURES.name
    assert Header(4711, 0).name == "request 4711"
