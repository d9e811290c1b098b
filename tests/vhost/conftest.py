"""Backends on real sockets, in a thread of their own."""

import pytest
from vhost_support import OFFER, LoopThread, RecordingListener, open_fds

from vio4wd.testing.frontend import Memory
from vio4wd.vhost.client import VhostClient
from vio4wd.vhost.server import VhostServer


@pytest.fixture
def loop():
    """An event loop in a thread; nothing may be left open when it ends."""
    before = open_fds()
    thread = LoopThread()
    yield thread
    thread.close()
    assert open_fds() == before


@pytest.fixture
def memory(loop):
    memory = Memory()
    yield memory
    memory.close()


@pytest.fixture
def listener():
    return RecordingListener()


@pytest.fixture
def server(loop, tmp_path, listener):
    """A started server."""
    server = VhostServer("relay 1", tmp_path / "s.sock", listener, OFFER)
    loop.run(server.start())
    yield server
    loop.run(server.close())


@pytest.fixture
def client(loop, tmp_path, listener):
    """A started client."""
    client = VhostClient("relay 1", tmp_path / "s.sock", listener, OFFER)
    loop.run(client.start())
    yield client
    loop.run(client.close())
