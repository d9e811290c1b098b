"""A running set of endpoints, and clients that know field numbers only."""

from __future__ import annotations

import contextlib
import functools

import pytest
import zmq

from vio4wd.testing.control_daemon import ControlDaemon, LoopThread
from vio4wd.testing.wait import wait_for

PATIENCE_MS = 60_000


@pytest.fixture
def loop_thread():
    with contextlib.closing(LoopThread()) as thread:
        yield thread


class RawDaemon(ControlDaemon):
    """A ControlDaemon whose clients send bytes."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self._clients = zmq.Context()

    def client(self, service: str, kind: int = zmq.REQ) -> zmq.Socket:
        """A connected socket."""
        client = self._clients.socket(kind)
        client.setsockopt(zmq.LINGER, 0)
        client.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
        client.connect(self.address(service))
        return client

    def ask(self, service: str, frame: bytes) -> bytes:
        """The answer to one frame."""
        with self.client(service) as client:
            client.send(frame)
            return client.recv()

    def close(self) -> None:
        self._clients.destroy(linger=0)
        super().close()


@pytest.fixture
def start_daemon(loop_thread, tmp_path):
    """Starts a RawDaemon with the options given; its directory is tmp_path/zmq."""
    with contextlib.ExitStack() as stack:

        def start(**options):
            return stack.enter_context(
                contextlib.closing(RawDaemon(loop_thread, tmp_path / "zmq", **options))
            )

        yield start


@pytest.fixture
def daemon(start_daemon):
    return start_daemon()


@pytest.fixture
def wait_until():
    """Waits until a condition is true."""
    return functools.partial(wait_for, interval=0.02)
