"""How far two cores are from each other: the round trip of a cache line between them."""

from __future__ import annotations

import contextlib
import os
import statistics
import threading
import time
from typing import Final

import numpy as np

from bench.ping_kernel import bounce

_BATCHES: Final = 16
_ROUND_TRIPS: Final = 2000  # of a batch: less than a millisecond
_PATIENCE: Final = 2 * 10**9  # cycles


class ProbeError(Exception):
    """The cores could not be made to talk to each other."""


def round_trip(cpus: tuple[int, int]) -> float:
    """Nanoseconds that a cache line takes from one CPU to the other and back.

    It pushes aside whatever runs there, for some 10 ms, where the system lets it (SCHED_FIFO, for root);
    elsewhere batches that were interrupted do not count, as the median is taken of the faster half.

    Raises:
        ProbeError: one of the threads did not get to run.
    """
    line = np.zeros(32, np.int64)
    address = -(-int(line.ctypes.data) // 128) * 128
    cell = line[(address - int(line.ctypes.data)) // 8 :][:1]
    times: list[float] = []
    failed: list[str] = []
    both = threading.Barrier(2)

    def play(cpu: int, first: int) -> None:
        try:
            os.sched_setaffinity(0, {cpu})  # of this thread alone
            with contextlib.suppress(PermissionError):
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            for _ in range(_BATCHES):
                if first == 1:
                    cell[0] = 0
                both.wait(10)
                began = time.perf_counter_ns()
                done = bounce(address, first, _ROUND_TRIPS, _PATIENCE)
                if first == 1:
                    times.append((time.perf_counter_ns() - began) / _ROUND_TRIPS)
                both.wait(10)
                if done < _ROUND_TRIPS:
                    failed.append(f"CPU {cpu} got no answer")
                    return
        except (OSError, threading.BrokenBarrierError) as error:
            failed.append(f"CPU {cpu}: {error}")
            both.abort()

    threads = [
        threading.Thread(target=play, args=(cpu, first)) for cpu, first in zip(cpus, (1, 2), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise ProbeError("; ".join(failed))
    return statistics.median(sorted(times)[: _BATCHES // 2])
