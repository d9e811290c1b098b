"""Bonds that workers forward themselves: nothing is lost when they move, and a lost link is left.

Their members are memifs whose far ends a testpmd has, or rings that bring packets back.
"""

import contextlib
import time

import pytest

from vio4wd.control.client import ask
from vio4wd.control.proto.virtioforwarder_pb2 import CoreSchedRequest, CoreSchedResponse, RelayCPU
from vio4wd.testing.numbered import NumberedTraffic
from vio4wd.testing.testpmd import Testpmd, virtio_user
from vio4wd.testing.wait import wait_for

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


@pytest.mark.timeout(120)
def test_the_bond_goes_on_without_a_link(daemon, place):
    sockets = [f"socket={place}/memif{number}.sock,socket-abstract=no" for number in (0, 1)]
    servers, clients = (
        [f"net_memif{number},role={role},{socket}" for number, socket in enumerate(sockets)]
        for role in ("server", "client")
    )
    daemon.attach_bond(BOND, servers, RELAY, 1)
    far = [Testpmd([client], place / f"far{n}", mode="rxonly") for n, client in enumerate(clients)]
    with contextlib.ExitStack() as running:
        for end in far:
            running.enter_context(end)
            end.start()
        guest = running.enter_context(
            Testpmd([virtio_user(daemon.socket(RELAY))], place / "guest", mode="txonly")
        )
        guest.start()
        wait_for(lambda: gains(far) == [True, False], "the first member to be used")
        far[0].close()
        wait_for(lambda: gains(far[1:]) == [True], "the other one to be used")
    daemon.detach_bond(BOND, RELAY)


def gains(ends):
    """Whether more packets come to each of the far ends."""
    before = [end.stats()[0].rx_packets for end in ends]
    time.sleep(0.2)
    return [end.stats()[0].rx_packets > count for end, count in zip(ends, before, strict=True)]
