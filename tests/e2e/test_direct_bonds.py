"""Bonds that workers forward themselves, of rings that bring packets back: nothing is lost when they move."""

import pytest

from vio4wd.control.client import ask
from vio4wd.control.proto.virtioforwarder_pb2 import CoreSchedRequest, CoreSchedResponse, RelayCPU
from vio4wd.testing.numbered import NumberedTraffic

RELAY = 1
BOND = "net_bonding0"

DAEMON_CPUS = (0, 1)


def move(daemon, first, second):
    """Serve the relay's directions on these CPUs from now on."""
    pair = RelayCPU(relay_number=RELAY, vf2virtio_cpu=first, virtio2vf_cpu=second)
    request = CoreSchedRequest(op=CoreSchedRequest.UPDATE, relay_cpu_map=[pair])
    response = ask(daemon.endpoint("core_sched"), request, CoreSchedResponse, 60)
    assert response.status == CoreSchedResponse.OK, response.error_code_source


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mode", [1, 2], ids=["active-backup", "balance"])
def test_nothing_is_lost_while_workers_take_turns(daemon, mode):
    """All packets of this guest are between the same addresses, so they keep their order in both modes."""
    daemon.attach_bond(BOND, [f"net_ring{2 * mode}", f"net_ring{2 * mode + 1}"], RELAY, mode)
    relay = daemon.snapshot().relays[RELAY]
    assert (relay.device, relay.pumped) == (BOND, False)
    with NumberedTraffic(daemon, [RELAY]) as traffic:
        for first, second in ((0, 0), (0, 1), (1, 1), (1, 0)) * 3:
            move(daemon, first, second)
            traffic.wait_arrivals(RELAY, 1000)
        traffic.settle()
        counts = traffic.counts(RELAY)
    assert (counts.lost, counts.wrong) == (0, {})
    daemon.detach_bond(BOND, RELAY)
