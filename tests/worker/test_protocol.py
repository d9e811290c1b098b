"""Messages between master and worker survive the channel; the largest one fits a datagram."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vio4wd.limits import MAX_QUEUE_PAIRS
from vio4wd.worker.protocol import (
    MAX_MESSAGE,
    Area,
    PortRef,
    Queue,
    Region,
    Release,
    Reply,
    Serve,
    Stop,
    decode,
    encode,
)

numbers = st.integers(0, 2**63 - 1)
small = st.integers(-1, 1000)
messages = st.one_of(
    st.builds(Stop),
    st.builds(Reply, st.text(max_size=200)),
    st.builds(Release, small, small),
    st.builds(
        Serve,
        relay=small,
        direction=small,
        port=st.none()
        | st.builds(PortRef, st.sampled_from(["ethdev", "rings"]), small, st.text(max_size=30)),
        pool=st.text(max_size=30),
        features=numbers,
        memory=numbers,
        regions=st.lists(st.builds(Region, numbers, numbers, numbers, small), max_size=3).map(tuple),
        queues=st.lists(
            st.builds(Queue, small, small, numbers, numbers, numbers, small, numbers), max_size=3
        ).map(tuple),
        log=st.none() | st.builds(Area, small, numbers, numbers),
        inflight=st.none() | st.builds(Area, small, numbers, numbers),
    ),
)


@given(messages)
def test_what_is_sent_arrives(message):
    assert decode(encode(message)) == message


def test_the_largest_relay_fits():
    top = 2**63 - 1
    serve = Serve(
        63,
        1,
        PortRef("rings", -1, "r" * 29, "t" * 29),
        "p" * 29,
        top,
        top,
        tuple(Region(top, top, top, 99) for _ in range(32)),
        tuple(Queue(63, 32768, top, top, top, 99, top, top) for _ in range(MAX_QUEUE_PAIRS)),
        Area(99, top, top),
        Area(99, top, top),
    )
    assert len(encode(serve)) < MAX_MESSAGE / 2


def test_too_long_a_message_is_refused():
    with pytest.raises(ValueError, match="more than"):
        encode(Reply("x" * MAX_MESSAGE))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"kind": "Serve"}', b'{"kind": "Nothing"}', b"\xff"])
def test_anything_else_is_refused(data):
    with pytest.raises(ValueError, match="not a worker message"):
        decode(data)
