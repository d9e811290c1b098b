"""Frontends on real sockets that stop, stutter, leave and lie."""

import os
import socket
from pathlib import Path

import pytest
from vhost_support import OFFER, RecordingListener, open_fds

from vio4wd.testing.frontend import Frontend
from vio4wd.testing.wait import wait_for
from vio4wd.vhost.features import Protocol
from vio4wd.vhost.messages import HEADER_SIZE, Request, encode_request
from vio4wd.vhost.payloads import InflightArea, Nothing, Number, Regions, VringFile, VringState
from vio4wd.vhost.requests import REQUESTS
from vio4wd.vhost.server import VhostServer

#: All messages with a payload that is right for a fresh device with one memory region.
GOOD = {
    number: {
        Nothing: Nothing(),
        Number: Number(0),
        VringState: VringState(0, 1),
        VringFile: VringFile(0, no_fd=True),
        Regions: Regions(()),
        InflightArea: InflightArea(0, 0, 2, 256),
    }.get(spec.payload)
    for number, spec in REQUESTS.items()
    if spec.min_fds == 0
}


def serves(frontend):
    """Whether the backend answers."""
    return frontend.ask(Request.GET_FEATURES, Number).value == OFFER.features


def test_a_guest_from_start_to_end(server, listener, memory):
    with Frontend(server.path) as frontend:
        frontend.negotiate()
        assert frontend.ask(Request.GET_QUEUE_NUM, Number).value == 32
        frontend.share(memory)
        for index in range(4):
            frontend.start_queue(memory, index)
        wait_for(lambda: listener.ready == [0, 1, 2, 3], "four queues")
        assert listener.peer == f"pid {os.getpid()} ({Path('/proc/self/comm').read_text().strip()})"
        assert server.peer == listener.peer
        listener.positions[1] = 99
        assert frontend.stop_queue(1) == 99
        wait_for(lambda: listener.ready == [0, 2, 3], "one queue less")
        assert frontend.confirm(Request.NET_SET_MTU, Number(1500)) == 0
        assert frontend.confirm(Request.NET_SET_MTU, Number(9000)) == 1
    wait_for(lambda: not listener.is_connected, "the end")
    assert listener.calls[-2:] == ["suspend", "disconnected"]
    wait_for(lambda: server.peer == "", "the server to notice")


@pytest.mark.parametrize("request_number", GOOD)
def test_message_cut_at_each_byte(server, request_number):
    """The rest comes later, or never: the same to the backend until then."""
    payload = GOOD[request_number] or REQUESTS[request_number].payload.unpack(
        bytes(min(REQUESTS[request_number].payload.SIZES))
    )
    data = encode_request(request_number, payload)
    for cut in range(1, len(data)):
        with Frontend(server.path) as frontend:
            frontend.send_bytes(data[:cut])
    for cut in range(1, len(data)):
        with Frontend(server.path) as frontend:
            frontend.send_bytes(data[:cut])
            frontend.send_bytes(data[cut:])
            if request_number in (Request.REM_MEM_REG, Request.NET_SET_MTU):
                continue
            if request_number.name.startswith("GET_"):
                frontend.sock.recv(1 << 16)
            assert serves(frontend)


def test_message_byte_by_byte_with_its_descriptors_in_the_middle(server, listener, memory):
    data = encode_request(Request.SET_MEM_TABLE, Regions((memory.region,)))
    for place in (0, 5, HEADER_SIZE, HEADER_SIZE + 3, len(data) - 1):
        with Frontend(server.path) as frontend:
            frontend.negotiate()
            for at in range(len(data)):
                frontend.send_bytes(data[at : at + 1], [memory.fd] if at == place else [])
            frontend.start_queue(memory, 0)
            wait_for(lambda: listener.ready == [0], "the queue")
        wait_for(lambda: not listener.is_connected, "the end")


def test_descriptors_belong_to_the_message_they_came_with(server, memory, listener):
    """Two messages in the socket at once: the second one's descriptors are not the first one's."""
    with Frontend(server.path) as frontend:
        frontend.negotiate()
        first = encode_request(Request.SET_VRING_ENABLE, VringState(0, 1))
        frontend.send_bytes(first + first)
        frontend.share(memory)
        frontend.send_bytes(first)
        frontend.start_queue(memory, 0)
        wait_for(lambda: listener.ready == [0], "the queue")


@pytest.mark.parametrize("count", [1, 2, 8, 9, 64, 253])
def test_descriptors_that_nobody_asked_for(server, listener, memory, count):
    before = open_fds()
    with Frontend(server.path) as frontend:
        frontend.send_bytes(encode_request(Request.SET_OWNER, Nothing()), [memory.fd] * count)
        assert frontend.hung_up()
    wait_for(lambda: not listener.is_connected, "the end")
    wait_for(lambda: open_fds() == before, "all descriptors to be closed")


def test_descriptors_with_a_message_that_never_ends(server, listener, memory):
    before = open_fds()
    with Frontend(server.path) as frontend:
        frontend.send_bytes(encode_request(Request.SET_MEM_TABLE, Nothing())[:5], [memory.fd] * 8)
        wait_for(lambda: open_fds() == before + 2 + 8, "them to arrive")
    wait_for(lambda: open_fds() == before, "all descriptors to be closed")


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(64),
        b"\xff" * 64,
        encode_request(4711, Nothing()),
        encode_request(Request.GET_CONFIG, Number(0)),
        encode_request(Request.SET_FEATURES, Nothing()),
        encode_request(Request.SET_FEATURES, Number(0))[:8] + b"\xff\xff\xff\xff",
        encode_request(Request.SET_FEATURES, Number(1 << 4)),
        encode_request(Request.SET_VRING_NUM, VringState(65536, 256)),
    ],
)
def test_garbage_ends_the_connection_and_nothing_else(server, listener, data, caplog):
    with Frontend(server.path) as frontend:
        frontend.send_bytes(data)
        assert frontend.hung_up()
    with Frontend(server.path) as frontend:
        assert serves(frontend)
    wait_for(lambda: not listener.is_connected, "the end")
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1
    assert errors[0].getMessage().startswith("relay 1: connection of pid ")
    assert "\n" not in errors[0].getMessage()
    assert errors[0].exc_info is None


def test_a_slow_peer_holds_up_nobody(loop, tmp_path, memory):
    """63 frontends stop in the middle of a message or never read their replies; the 64th is served."""
    servers = []
    frontends = []
    data = encode_request(Request.SET_FEATURES, Number(0))
    try:
        for number in range(64):
            server = VhostServer(f"relay {number}", tmp_path / f"{number}.sock", RecordingListener(), OFFER)
            loop.run(server.start())
            servers.append(server)
        for number in range(63):
            frontend = Frontend(tmp_path / f"{number}.sock")
            frontends.append(frontend)
            if number % 2:
                frontend.send_bytes(data[: number % len(data)])
            else:
                frontend.fill()
        with Frontend(tmp_path / "63.sock") as last:
            for _ in range(100):
                assert serves(last)
    finally:
        for frontend in frontends:
            frontend.close()
        for server in servers:
            loop.run(server.close())


def test_peer_that_reads_its_replies_late_gets_them_all(server):
    with Frontend(server.path) as frontend:
        frontend.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        for _ in range(3000):
            frontend.send(Request.GET_PROTOCOL_FEATURES)
        for _ in range(3000):
            assert frontend.receive(Number).value == OFFER.protocol_features


def test_repeated_connections_leave_nothing(server, listener, memory):
    before = open_fds()
    for _ in range(200):
        with Frontend(server.path) as frontend:
            frontend.negotiate(protocol_features=int(Protocol.MQ))
            frontend.share(memory)
            frontend.start_queue(memory, 0)
            frontend.start_queue(memory, 1)
    with Frontend(server.path) as frontend:
        assert serves(frontend)
    wait_for(lambda: open_fds() == before, "all descriptors to be closed")


def test_listener_that_fails_ends_its_connection_only(server, listener, memory, caplog):
    good = listener.resume

    async def bad(state):
        raise RuntimeError("a defect")

    listener.resume = bad
    with Frontend(server.path) as frontend:
        frontend.negotiate()
        frontend.share(memory)
        frontend.start_queue(memory, 0)
        assert frontend.hung_up()
    listener.resume = good
    with Frontend(server.path) as frontend:
        assert serves(frontend)
    assert "internal error" in caplog.text
