"""A running set of endpoints in a thread of its own, and clients that know field numbers only."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

import numpy as np
import pytest
import zmq
import zmq.asyncio
from memory_controller import MemoryController

from vio4wd.control.endpoints import Endpoint
from vio4wd.control.port_control import PortControl
from vio4wd.control.relay_cpus import Config, CoreSched
from vio4wd.control.stats import Stats
from vio4wd.inspection.snapshot import take
from vio4wd.shm import layout

#: Longest wait for anything, in seconds.
PATIENCE = 60.0


class LoopThread:
    """An event loop that runs beside the test."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE)

    def call(self, function, *arguments):
        async def call():
            return function(*arguments)

        return self.run(call())

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def loop_thread():
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture
def tables():
    """Tables as a master sets them up, none of whose relays is in use."""
    record = np.zeros(1, layout.TABLES)
    record["header"]["tsc_hz"] = 10**9
    record["control"]["cpu"] = -1
    record["control"]["cpu"][0, :2] = (1, 2)
    record["relays"]["vf_to_vm_slot"] = -1
    record["relays"]["vm_to_vf_slot"] = -1
    record["relays"]["port_id"] = -1
    return record


class Daemon:
    """Endpoints in a directory, with a MemoryController behind them."""

    def __init__(self, thread: LoopThread, directory, tables, dynamic_sockets: bool = True) -> None:
        self.thread = thread
        self.controller = thread.call(MemoryController)
        self.endpoints = {}
        self._context = zmq.asyncio.Context()
        self.clients = zmq.Context()
        services = {
            "port_control": PortControl(self.controller, dynamic_sockets),
            "stats": Stats(lambda: take(tables)),
            "config": Config(self.controller),
            "core_sched": CoreSched(self.controller),
        }
        for name, service in services.items():
            endpoint = Endpoint(self._context, f"ipc://{directory}/{name}", service)
            thread.run(endpoint.open())
            self.endpoints[name] = endpoint

    def address(self, name: str) -> str:
        return self.endpoints[name].address

    def client(self, name: str, kind: int = zmq.REQ) -> zmq.Socket:
        """A connected socket; `close` closes it."""
        client = self.clients.socket(kind)
        client.setsockopt(zmq.LINGER, 0)
        client.setsockopt(zmq.RCVTIMEO, round(PATIENCE * 1000))
        client.connect(self.address(name))
        return client

    def ask(self, name: str, frame: bytes) -> bytes:
        """The answer to one frame."""
        with self.client(name) as client:
            client.send(frame)
            return client.recv()

    def close(self) -> None:
        self.clients.destroy(linger=0)
        for endpoint in reversed(self.endpoints.values()):
            self.thread.run(endpoint.close())
        self.thread.call(self._context.term)


@pytest.fixture
def start_daemon(loop_thread, tmp_path, tables):
    """Starts a Daemon with the arguments given; its directory is tmp_path/zmq."""
    with contextlib.ExitStack() as stack:

        def start(**arguments):
            daemon = Daemon(loop_thread, tmp_path / "zmq", tables, **arguments)
            stack.callback(daemon.close)
            return daemon

        yield start


@pytest.fixture
def daemon(start_daemon):
    return start_daemon()


def wait_until(condition, what="the condition"):
    """Waits until `condition()` is true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"{what} never came true"
        time.sleep(0.02)


@pytest.fixture(name="wait_until")
def wait_until_fixture():
    return wait_until
