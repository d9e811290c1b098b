"""Directions of busy relays are moved between two workers; no packet is lost, doubled or out of order."""

import random
import statistics

import pytest

from vio4wd.control.client import ask
from vio4wd.control.proto.virtioforwarder_pb2 import CoreSchedRequest, CoreSchedResponse, RelayCPU
from vio4wd.testing.numbered import NumberedTraffic

RELAYS = range(1, 9)
MOVES = 1000
STAY = -1

DAEMON_CPUS = (0, 1)
DAEMON_STATIC = [f"net_ring{relay}={relay}" for relay in RELAYS]


def move(daemon, relay, direction, cpu):
    cpus = [STAY, STAY]
    cpus[direction] = cpu
    entry = RelayCPU(relay_number=relay, vf2virtio_cpu=cpus[0], virtio2vf_cpu=cpus[1])
    request = CoreSchedRequest(op=CoreSchedRequest.UPDATE, relay_cpu_map=[entry])
    response = ask(daemon.endpoint("core_sched"), request, CoreSchedResponse, 60)
    assert response.status == CoreSchedResponse.OK, response.error_code_source


@pytest.mark.timeout(290)
def test_moves_lose_nothing(daemon):
    chance = random.Random(5)
    gaps = []
    with NumberedTraffic(daemon, RELAYS) as traffic:
        for relay in RELAYS:
            traffic.wait_arrivals(relay, 1000)
        for _ in range(MOVES):
            relay, direction = chance.choice(RELAYS), chance.randrange(2)
            cpu = 1 - daemon.snapshot().relays[relay].directions[direction].cpu
            traffic.begin_epoch(relay)
            move(daemon, relay, direction, cpu)
            traffic.wait_arrivals(relay, 100)
            gaps.append(traffic.gap(relay))
            assert daemon.snapshot().relays[relay].directions[direction].cpu == cpu
        traffic.settle()
        counts = {relay: traffic.counts(relay) for relay in RELAYS}
    arrived = sum(count.arrived for count in counts.values())
    print(
        f"{MOVES} moves among {arrived} packets; longest time without a packet around a move: "
        f"median {1e3 * statistics.median(gaps):.2f} ms, worst {1e3 * max(gaps):.2f} ms"
    )
    assert {relay: count.lost for relay, count in counts.items() if count.lost} == {}
    assert {relay: count.wrong for relay, count in counts.items() if count.wrong} == {}
