"""Cycles of each kernel on one core, a program of its own: DPDK can be initialised once in a process.

VF and pool are DPDK's (net_null, rte_mempool); the guest is `bench.driver`, whose buffers are always in
the caches, so nothing crosses cores. Prints JSON: cycles by case, one figure a repetition.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import sys

from vio4wd.dpdk import device, eal, functions
from vio4wd.dpdk.ethdev import Port
from vio4wd.dpdk.mempool import Pool

_LENGTHS = (64, 512, 1500)
_BURSTS = 2000
_PACKETS = 4095


def _port(length: int, pool: Pool) -> int:
    port_id = device.probe(f"net_null{length},size={length}")[0]
    port = Port(port_id)
    port.configure(1, 512, pool, mtu=1500)
    port.start()
    return port_id


def _measure(repetitions: int) -> dict[str, list[float]]:
    # Only now: EAL must come before numba.
    from bench.driver import Bed
    from vio4wd.kernels.records import BURST
    from vio4wd.shm import layout

    pool = Pool.create("kernels", _PACKETS)
    write = int(ctypes.cast(ctypes.CDLL(None).write, ctypes.c_void_p).value or 0)
    found: dict[str, list[float]] = {}
    for length in _LENGTHS:
        port = _port(length, pool)
        vf = (functions.RX_BURST, port, functions.TX_BURST, port)
        memory = (pool.address, functions.ALLOC_BULK, functions.FREE_BULK, write)
        for direction, name in enumerate(layout.DIRECTION_NAMES):
            for packed in (False, True):
                bed = Bed(direction, packed=packed, length=length, functions=(*vf, *memory))
                # The VF always has a whole burst, the guest may have less.
                bursts = (1, 8, BURST) if direction == layout.VM_TO_VF else (BURST,)
                for burst in bursts:
                    bed.run(burst, _BURSTS)
                    case = f"{name} {'packed' if packed else 'split'} {length} B, burst of {burst}"
                    found[case] = [bed.run(burst, _BURSTS) / _BURSTS / burst for _ in range(repetitions)]
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", type=int, required=True)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.cpu})
    eal.init([f"--lcores=0@{options.cpu}", "-m", "64", "--no-pci", "--in-memory", "--no-telemetry"])
    json.dump(_measure(options.repetitions), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
