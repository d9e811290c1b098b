"""Two NUMA nodes: packet memory and workers follow the guest, and before it comes, the VF."""

import re
from collections import Counter
from pathlib import Path

from vio4wd.testing.kernel_guest import KernelGuest
from vio4wd.testing.wait import wait_for

RELAY = 2  # its VF is on node 1
#: CPU of a guest's driver -> the node, and the CPU of the worker there.
PLACES = {0: (0, 1), 2: (1, 3)}


def hugepages(daemon):
    """Hugepages of the daemon on each node, as the kernel tells for the master's mappings."""
    found = Counter()
    for line in Path(f"/proc/{daemon.pid}/numa_maps").read_text().splitlines():
        if f"{daemon.instance}map_" in line:
            for node, pages in re.findall(r"N(\d+)=(\d+)", line):
                found[int(node)] += int(pages)
    return found


def cpus(daemon):
    relay = daemon.snapshot().relays[RELAY]
    return relay.vf_to_vm.cpu, relay.vm_to_vf.cpu


def test_pool_and_workers_follow_the_guest(daemon, vfs, place, record):
    """NUMA: pool and workers are on the guest's node, before it comes on the VF's"""
    assert (daemon.snapshot().relays[RELAY].numa_node, cpus(daemon)) == (1, (3, 3))
    seen = [f"no guest: {dict(hugepages(daemon))}"]
    for cpu, (node, worker) in PLACES.items():
        before = hugepages(daemon)
        guest = KernelGuest(
            daemon.socket(RELAY),
            place / f"guest-on-{node}",
            mac=vfs[1].mac,
            address="10.3.0.2/24",
            interface=f"guest{cpu + 2}",
            cpu=cpu,
        )
        with guest:
            daemon.wait_guest(RELAY)
            wait_for(lambda node=node: daemon.snapshot().relays[RELAY].numa_node == node, "the pool to move")
            wait_for(lambda worker=worker: cpus(daemon) == (worker, worker), "the workers to change")
            after = hugepages(daemon)
            seen.append(f"guest on node {node}: {dict(after)}")
            assert after[node] > before[node]
            assert after[1 - node] < before[1 - node]
        daemon.wait_no_guest(RELAY)
    record("hugepages of the daemon by node", "\n".join(seen))
