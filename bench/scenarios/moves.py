"""Scenario moves: for how long a relay stands still when it moves from one worker to another."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Iterator
from typing import Final

from bench.backends import RELAY
from bench.child import MeasureError
from bench.figures import OURS, Window
from bench.gap_kernel import longest_gap
from bench.guest import idle_guests
from bench.run import FAILURES, Run
from vio4wd.control.client import ClientError, ask
from vio4wd.control.proto.virtioforwarder_pb2 import CoreSchedRequest, CoreSchedResponse, RelayCPU
from vio4wd.shm import segment
from vio4wd.testing.daemon import Daemon

_SCENARIO: Final = "moves"
_CASE: Final = "both directions of a busy relay"
_WATCHED: Final = 0.4  # seconds around a move
_BEFORE: Final = 0.1  # seconds of these
_LOOK_EVERY: Final = 10  # µs
_TIMEOUT: Final = 30.0  # seconds for the daemon to answer


def moves(run: Run) -> Iterator[Window]:
    """Move a relay there and back, between workers on both CPUs, while its VF sends without end.

    Its guest is connected and takes no packets: it would need a CPU of its own. The worker looks at each
    packet and drops it, which counts as work here. The counter of packets is looked at every 10 µs.
    """
    if not run.wants(f"{_SCENARIO} {_CASE}"):
        return
    run.say(_SCENARIO)
    directory = run.new_directory()
    cpus = sorted({run.guest_cpu, run.worker_cpu})
    options = ["--idle=adaptive", f"--master-lcore={run.guest_cpu}"]
    daemon = Daemon(directory / "daemon", cpus=cpus, static=[f"net_null0={RELAY}"], options=options)
    try:
        with daemon, idle_guests([daemon.socket(RELAY)], directory, run.guest_cpu):
            daemon.wait_guest(RELAY)
            _move(daemon, run.worker_cpu)
            for _ in range(run.windows):
                for cpu in (run.guest_cpu, run.worker_cpu):
                    quiet = _gap(daemon, None)
                    gap = _gap(daemon, cpu)
                    yield Window(_SCENARIO, _CASE, OURS, gap, "ms", extra={"without a move": quiet})
    except (*FAILURES, ClientError) as error:
        run.failures.append(f"{_SCENARIO}: {error}")


def _move(daemon: Daemon, cpu: int) -> None:
    pair = RelayCPU(relay_number=RELAY, vf2virtio_cpu=cpu, virtio2vf_cpu=cpu)
    request = CoreSchedRequest(op=CoreSchedRequest.UPDATE, relay_cpu_map=[pair])
    response = ask(daemon.endpoint("core_sched"), request, CoreSchedResponse, _TIMEOUT)
    if response.status != CoreSchedResponse.OK:
        raise MeasureError(f"the relay does not move: {response.error_code_source}")


def _gap(daemon: Daemon, cpu: int | None) -> float:
    """Milliseconds for which VF→VM stood still while it moved to a CPU (None: it does not move)."""
    shared = segment.attach(daemon.instance, readonly=True)
    try:
        hz = int(shared.tables["header"]["tsc_hz"])
        column = shared.tables["directions"][RELAY]["packets_in"]  # VF→VM comes first
        gap = _watch(int(column.ctypes.data), hz, daemon, cpu)
    finally:
        shared.close()
    return gap / hz * 1000


def _watch(counter: int, hz: int, daemon: Daemon, cpu: int | None) -> int:
    sleep = int(ctypes.cast(ctypes.CDLL(None).usleep, ctypes.c_void_p).value or 0)
    found: list[int] = []

    def watch() -> None:
        with contextlib.suppress(PermissionError):  # so that a busy worker here does not keep us from looking
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        found.append(longest_gap(counter, sleep, _LOOK_EVERY, int(_WATCHED * hz)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        time.sleep(_BEFORE)
        if cpu is not None:
            _move(daemon, cpu)
    finally:
        watcher.join()
    return found[0]
