"""Scenario endpoints: how long the control endpoints take to answer while all workers forward."""

from __future__ import annotations

import contextlib
import os
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Final

import zmq
from google.protobuf.message import Message

from bench.child import MeasureError
from bench.figures import OURS, Window
from bench.run import FAILURES, Run
from vio4wd.control.proto.virtioforwarder_pb2 import (
    ConfigRequest,
    CoreSchedRequest,
    PortControlRequest,
    StatsRequest,
)
from vio4wd.testing.daemon import Daemon
from vio4wd.testing.testpmd import Testpmd, virtio_user

_SCENARIO: Final = "endpoints"
_RELAYS: Final = (1, 2)
_REQUESTS: Final = 1000
_REQUESTS_IF_QUICK: Final = 100
_PAUSE: Final = 0.002  # seconds between an answer and the next request
_PATIENCE_MS: Final = 10_000


def endpoints(run: Run) -> Iterator[Window]:
    """The slowest of many answers of each endpoint, with workers on both CPUs at full rate.

    Two relays with endless VFs forward both ways, each on one CPU, which its worker shares with its guest;
    one of them with the master and us as well. We look before everybody else there, so that the time is the
    daemon's.
    """
    if not run.wants(_SCENARIO):
        return
    run.say(_SCENARIO)
    directory = run.new_directory()
    cpus = (run.guest_cpu, run.worker_cpu)
    places = list(zip(_RELAYS, cpus, strict=True))
    daemon = Daemon(
        directory / "daemon",
        cpus=sorted(cpus),
        static=[f"net_null{relay}={relay}" for relay in _RELAYS],
        options=[
            "--idle=poll",
            f"--master-lcore={run.guest_cpu}",
            *(f"--virtio-cpu={relay}:{cpu},{cpu}" for relay, cpu in places),
        ],
    )
    try:
        with contextlib.ExitStack() as running:
            running.enter_context(daemon)
            for relay, cpu in places:
                device = virtio_user(daemon.socket(relay))
                guest = Testpmd([device], directory / f"guest{relay}", cpus=(run.guest_cpu, cpu))
                running.enter_context(guest)
                daemon.wait_guest(relay)
                guest.start()
            count = _REQUESTS_IF_QUICK if run.quick else _REQUESTS
            for _ in range(run.windows):
                for name, request in _requests(daemon).items():
                    times = _ask(daemon.endpoint(name), request, count)
                    yield _window(name, times)
    except FAILURES as error:
        run.failures.append(f"{_SCENARIO}: {error}")


def _requests(daemon: Daemon) -> Mapping[str, Message]:
    """A question to each endpoint that changes nothing."""
    path = str(daemon.socket(_RELAYS[0]))
    return {
        "port_control": PortControlRequest(op=PortControlRequest.QUERY_PCI, vhost_path=path),
        "stats": StatsRequest(),
        "config": ConfigRequest(),
        "core_sched": CoreSchedRequest(op=CoreSchedRequest.GET_EAL_CORES),
    }


def _window(name: str, times: list[float]) -> Window:
    """Milliseconds: the slowest answer, beside it the usual one and the slowest but one in a hundred."""
    extra = {"median": statistics.median(times), "99 %": statistics.quantiles(times, n=100)[-1]}
    return Window(_SCENARIO, f"{name}, slowest of {len(times)}", OURS, max(times), "ms", extra=extra)


def _ask(endpoint: str, request: Message, count: int) -> list[float]:
    """Milliseconds from each of `count` requests to its answer.

    Raises:
        MeasureError: one was not answered.
    """
    found: list[float] = []

    def ask() -> None:
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        with zmq.Context() as context, context.socket(zmq.REQ) as client:
            client.setsockopt(zmq.LINGER, 0)
            client.setsockopt(zmq.RCVTIMEO, _PATIENCE_MS)
            client.connect(endpoint)
            frame = request.SerializeToString()
            for _ in range(count):
                time.sleep(_PAUSE)
                began = time.monotonic()
                client.send(frame)
                try:
                    client.recv()
                except zmq.Again:
                    return
                found.append((time.monotonic() - began) * 1000)

    # In a thread of its own, which takes its priority with it when it ends.
    asker = threading.Thread(target=ask)
    asker.start()
    asker.join()
    if len(found) < count:
        raise MeasureError(f"{endpoint} does not answer within {_PATIENCE_MS} ms")
    return found
