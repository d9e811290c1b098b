"""Sockets that others opened: one that listens, one that is connected."""

import socket
import threading

from vhost_support import OFFER, RecordingListener

from vio4wd.testing.frontend import Frontend
from vio4wd.testing.wait import wait_for
from vio4wd.vhost.connected import VhostConnected
from vio4wd.vhost.messages import Request
from vio4wd.vhost.payloads import Number
from vio4wd.vhost.server import VhostServer


def serves(frontend):
    return frontend.ask(Request.GET_FEATURES, Number).value == OFFER.features


def connected(loop, listener):
    """The frontend's end of a started device, the device, and an event of its end."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    ended = threading.Event()
    device = VhostConnected("relay 0", theirs, listener, OFFER, ended.set)
    loop.run(device.start())
    return Frontend(ours), device, ended


def test_a_listening_socket_is_served_and_its_file_stays(loop, tmp_path):
    path = tmp_path / "s.sock"
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen()
    sock.setblocking(False)
    server = VhostServer("relay 0", path, RecordingListener(), OFFER)
    loop.run(server.start(sock))
    for _ in range(2):
        with Frontend(path) as frontend:
            assert serves(frontend)
    loop.run(server.close())
    assert path.is_socket()


def test_a_connected_socket_is_served_until_its_peer_leaves(loop):
    listener = RecordingListener()
    frontend, device, ended = connected(loop, listener)
    with frontend:
        assert serves(frontend)
        assert "pid " in device.peer
        assert not ended.is_set()
    wait_for(ended.is_set, "the device to notice")
    loop.run(device.close())


def test_closing_hangs_up(loop):
    frontend, device, ended = connected(loop, RecordingListener())
    with frontend:
        assert serves(frontend)
        loop.run(device.close())
        assert ended.is_set()
        assert frontend.hung_up()
