"""The guest of latency measurements, a program of its own: DPDK can be initialised once in a process.

It finds the rate at which packets come back when it sends as fast as it can, then sends at shares of that
rate and times packets there and back. Prints JSON: a list of phases.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from vio4wd.dpdk import device, eal, functions
from vio4wd.dpdk.ethdev import Port
from vio4wd.dpdk.mempool import Pool
from vio4wd.testing.testpmd import virtio_user

_PERCENTILES = (50, 90, 99, 99.9)
_SAMPLES = 1 << 18
_DRAIN = 0.02  # seconds
_PACKETS = 4095


@dataclasses.dataclass(frozen=True, slots=True)
class Phase:
    """What came of one rate.

    Attributes:
        load: percent of the highest rate; 100: as fast as the ring took packets.
        mpps: million packets a second that came back.
        lost: share of the packets sent that did not.
        percentiles: nanoseconds there and back, by percentile ("50", "99.9", ...).
        before, after: round trip of a cache line between the cores, ns.
    """

    load: int
    mpps: float
    lost: float
    percentiles: dict[str, float]
    before: float
    after: float


class _Link:
    """A virtio device that sends and receives on this thread."""

    def __init__(self, socket: Path, cpus: tuple[int, int], size: int) -> None:
        # Only now: EAL must come before numba.
        from bench import latency_kernel

        self._kernel = latency_kernel
        self._cpus = cpus
        self._size = size
        self._pool = Pool.create("latency", _PACKETS)
        port = Port(device.probe(virtio_user(socket, mergeable=False))[0])
        port.configure(1, 256, self._pool, mtu=1500)
        port.start()
        self._packets = np.zeros(latency_kernel.BURST, np.int64)
        self._samples = np.zeros(_SAMPLES, np.int64)
        self._link = np.zeros(latency_kernel.LINK_SIZE, np.int64)
        self._link[: latency_kernel.TAKEN] = (
            *(functions.RX_BURST, functions.TX_BURST, functions.ALLOC_BULK, functions.FREE_BULK),
            *(port.port_id, self._pool.address, self._packets.ctypes.data),
            *(self._samples.ctypes.data, _SAMPLES),
        )

    def phase(self, load: int, rate: float, seconds: float) -> Phase:
        """Send `rate` packets a second (0: as fast as possible) for so long."""
        from bench.placement import round_trip

        hz = eal.tsc_hz()
        gap = int(hz / rate) if rate else 0
        every = max(1, int((rate or 2e7) * seconds / _SAMPLES))
        self._link[self._kernel.TAKEN :] = 0
        before = round_trip(self._cpus)
        self._kernel.exchange(
            int(self._link.ctypes.data), self._size, gap, every, int(hz * seconds), int(hz * _DRAIN)
        )
        after = round_trip(self._cpus)
        taken, sent, refused, received = map(int, self._link[self._kernel.TAKEN :])
        times = list(np.percentile(self._samples[:taken], _PERCENTILES) / hz * 1e9) if taken else []
        return Phase(
            load=load,
            mpps=received / seconds / 1e6,
            lost=1 - received / max(sent - refused, 1),
            percentiles={f"{percent:g}": float(ns) for percent, ns in zip(_PERCENTILES, times, strict=False)},
            before=before,
            after=after,
        )


def _phases(options: argparse.Namespace) -> list[dict[str, Any]]:
    link = _Link(options.socket, (options.cpu, options.worker_cpu), options.size)
    time.sleep(0.2)  # until the backend has taken the rings up
    link.phase(100, 0, 0.1)
    full = link.phase(100, 0, options.seconds)
    found = [full, *(link.phase(load, full.mpps * 1e4 * load, options.seconds) for load in options.loads)]
    return [dataclasses.asdict(phase) for phase in found]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--cpu", type=int, required=True, help="our own")
    parser.add_argument("--worker-cpu", type=int, required=True)
    parser.add_argument("--size", type=int, default=64, help="bytes of a packet")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a phase")
    parser.add_argument("--loads", type=int, nargs="*", default=[], help="percent of the highest rate")
    options = parser.parse_args()
    eal.init(
        [
            f"--lcores=0@{options.cpu}",
            *("-m", "64", "--in-memory", "--single-file-segments", "--no-pci", "--no-telemetry"),
        ]
    )
    json.dump(_phases(options), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
