"""Scenario startup: from the command to the first packet in a guest, and until all workers serve."""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.backends import RELAY
from bench.child import MeasureError
from bench.figures import OURS, Window
from bench.run import FAILURES, Run
from vio4wd.shm import layout
from vio4wd.testing.daemon import START_TIMEOUT, Daemon
from vio4wd.testing.frontend import Frontend, Memory
from vio4wd.testing.wait import wait_for

_SCENARIO: Final = "startup"
_COLD: Final = "cold: all kernels are compiled"
_WARM: Final = "warm"
_QUEUE_SIZE: Final = 256
_BUFFERS: Final = 4 << 20  # where the guest's buffers begin in its memory
_BUFFER_SIZE: Final = 2048
_WRITE: Final = 2  # VIRTQ_DESC_F_WRITE
_FEATURES: Final = 1 << 32 | 1 << 30  # VIRTIO_F_VERSION_1, VHOST_USER_F_PROTOCOL_FEATURES
_CACHE: Final = "VIO4WD_CACHE_DIR"
#: Seconds between two looks: more often would take the CPU from the master, which has the same.
_LOOK_EVERY: Final = 0.005


def startup(run: Run) -> Iterator[Window]:
    """Start a master and a worker on each of the two CPUs; one relay with a VF, and a guest that waits."""
    cases = [_WARM] if run.quick else [_COLD, _WARM]
    for case in cases:
        if not run.wants(f"{_SCENARIO} {case}"):
            continue
        windows = 1 if case == _COLD else run.windows
        for _ in range(windows):
            run.say(f"{_SCENARIO}: {case}")
            try:
                seconds, all_workers = _start(run, cold=case == _COLD)
            except FAILURES as error:
                run.failures.append(f"{_SCENARIO}: {error}")
                break
            extra = {"all workers after": all_workers}
            yield Window(_SCENARIO, f"{case}, first packet", OURS, seconds, "s", extra=extra)


def _start(run: Run, *, cold: bool) -> tuple[float, float]:
    """Seconds until the first packet is in the guest, and until all workers run."""
    directory = run.new_directory()
    cpus = sorted({run.guest_cpu, run.worker_cpu})
    options = [f"--master-lcore={run.guest_cpu}"]
    daemon = Daemon(directory / "daemon", cpus=cpus, static=[f"net_null0={RELAY}"], options=options)
    with _cache(directory / "cache" if cold else None):
        guest = _WaitingGuest(daemon.socket(RELAY))
        began = time.monotonic()
        try:
            guest.start()
            daemon.start()
            wait_for(lambda: _all_run(daemon, len(cpus)), "all workers", START_TIMEOUT, _LOOK_EVERY)
            all_workers = time.monotonic() - began
            first = guest.finish() - began
        finally:
            guest.leave()
            daemon.close()
    return first, all_workers


def _all_run(daemon: Daemon, count: int) -> bool:
    running = layout.WORKER_STATE_NAMES[layout.WORKER_RUNNING]
    return [worker.state for worker in daemon.snapshot().workers] == [running] * count


@contextlib.contextmanager
def _cache(directory: Path | None) -> Iterator[None]:
    """Let child processes keep compiled kernels in an empty directory."""
    if directory is None:
        yield
        return
    before = os.environ.get(_CACHE)
    os.environ[_CACHE] = str(directory)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CACHE]
        else:
            os.environ[_CACHE] = before
        shutil.rmtree(directory, ignore_errors=True)


class _WaitingGuest:
    """A thread that connects as soon as there is a socket, offers buffers, and waits for a packet."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._leaving = threading.Event()
        self._first: float | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Begin to look for the socket."""
        self._thread.start()

    def finish(self) -> float:
        """When (time.monotonic) the first packet was there.

        Raises:
            MeasureError: it did not come.
        """
        self._thread.join(START_TIMEOUT)
        if self._first is None:
            raise MeasureError(f"no packet reached the guest: {self._error or 'none came'}")
        return self._first

    def leave(self) -> None:
        """End, whatever it was at."""
        self._leaving.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        memory = Memory(16 << 20)
        try:
            _offer(memory)
            with self._connected() as frontend:
                frontend.negotiate(_FEATURES)
                frontend.share(memory)
                frontend.start_queue(memory, 0, _QUEUE_SIZE)
                while not self._leaving.is_set():
                    if _used(memory):
                        self._first = time.monotonic()
                        return
                    time.sleep(_LOOK_EVERY)
        except Exception as error:
            self._error = error
        finally:
            memory.close()

    def _connected(self) -> Frontend:
        while not self._leaving.is_set():
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                return Frontend(self._socket)
            time.sleep(_LOOK_EVERY)
        raise TimeoutError("there was no socket")


def _offer(memory: Memory) -> None:
    """Write descriptors of buffers to receive into, and make them available (virtio 1.3 §2.7.5, §2.7.6)."""
    ring = memory.ring(0, _QUEUE_SIZE)
    for number in range(_QUEUE_SIZE):
        address = memory.region.guest_address + _BUFFERS + number * _BUFFER_SIZE
        descriptor = struct.pack("<QIHH", address, _BUFFER_SIZE, _WRITE, 0)
        os.pwrite(memory.fd, descriptor, ring.descriptors - memory.region.user_address + 16 * number)
    available = struct.pack(f"<HH{_QUEUE_SIZE}H", 0, _QUEUE_SIZE, *range(_QUEUE_SIZE))
    os.pwrite(memory.fd, available, ring.available - memory.region.user_address)


def _used(memory: Memory) -> int:
    """The used index."""
    at = memory.ring(0, _QUEUE_SIZE).used - memory.region.user_address + 2
    (index,) = struct.unpack("<H", os.pread(memory.fd, 2, at))
    return int(index)
