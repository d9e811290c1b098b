"""Ports and sockets come and go, again and again, beside a busy relay, which does not notice.

With CYCLES set to 1,000, which takes two minutes, none of the busy relay's 41 million packets was lost,
descriptors were as before and 1.3 MiB more were resident. From the 600th cycle on there were more hugepages:
DPDK's net_null keeps two allocations, 384 bytes, each time that it is attached. net_ring keeps none.
"""

import psutil
import pytest

from vio4wd.control.client import ask
from vio4wd.control.proto.virtioforwarder_pb2 import PortControlRequest, PortControlResponse
from vio4wd.testing import resources
from vio4wd.testing.frontend import Frontend, Memory
from vio4wd.testing.numbered import NumberedTraffic
from vio4wd.testing.wait import wait_for

BUSY = 0
PASSING = 9
CYCLES = 100
#: Cycles after which everything that is loaded or kept once is there.
WARM = 10
#: Bytes that the processes may have more in the end: allocators do not give everything back.
SLACK = 8 << 20

DAEMON_OPTIONS = ["--dynamic-sockets"]


def socket_request(daemon, op, device, path):
    request = PortControlRequest(op=op, devices=[device], vhost_path=str(path), conditional=False)
    response = ask(daemon.endpoint("port_control"), request, PortControlResponse, 60)
    assert response.status == PortControlResponse.OK, response.error_code_source


def cycle(daemon, memory):
    """Attach and detach a port; then one with a socket of its own, whose guest is there when it goes."""
    daemon.attach("net_null0", PASSING)
    daemon.detach("net_null0", PASSING)
    path = daemon.directory / "passing.sock"
    socket_request(daemon, PortControlRequest.ADD_SOCK, "net_null1", path)
    with Frontend(path) as guest:
        guest.negotiate()
        guest.share(memory)
        for queue in (0, 1):
            guest.start_queue(memory, queue)
        wait_for(lambda: daemon.snapshot().relays[BUSY + 1].vm_ready, "the passing guest", interval=0.005)
        socket_request(daemon, PortControlRequest.REMOVE_SOCK, "net_null1", path)
        assert guest.hung_up()
    assert not path.exists()


def held(daemon):
    """What the master and the worker hold; and the bytes of their hugepages' files."""
    processes = [resources.of_process(pid) for pid in (daemon.pid, *daemon.worker_pids())]
    hugepages = sum(512 * path.stat().st_blocks for path in daemon.huge_dir.glob(f"{daemon.instance}map_*"))
    return processes, hugepages


def resident(daemon):
    return sum(psutil.Process(pid).memory_info().rss for pid in (daemon.pid, *daemon.worker_pids()))


@pytest.mark.timeout(290)
def test_coming_and_going_harms_nobody_and_leaves_nothing(daemon):
    memory = Memory()
    # The lowest relay that is free is taken.
    socket_request(daemon, PortControlRequest.ADD_SOCK, f"net_ring{BUSY}", daemon.socket(BUSY))
    try:
        with NumberedTraffic(daemon, [BUSY]) as traffic:
            for _ in range(WARM):
                cycle(daemon, memory)
            (processes, hugepages), bytes_before = held(daemon), resident(daemon)
            traffic.begin_epoch(BUSY)
            for _ in range(CYCLES):
                cycle(daemon, memory)
            traffic.wait_arrivals(BUSY, 1000)
            gap = traffic.gap(BUSY)
            growth = resident(daemon) - bytes_before
            print(f"{CYCLES} cycles: {growth >> 10} KiB more resident, longest gap {1e3 * gap:.1f} ms")
            wait_for(
                lambda: not any(old.growth(new) for old, new in zip(processes, held(daemon)[0], strict=True)),
                "descriptors and mappings to be as before",
            )
            assert held(daemon)[1] == hugepages
            assert growth < SLACK
            traffic.settle()
            counts = traffic.counts(BUSY)
    finally:
        memory.close()
    assert (counts.lost, counts.wrong) == (0, {})
