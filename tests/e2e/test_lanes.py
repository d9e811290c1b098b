"""VFs with several queues: each lane carries traffic, moves alone, and outlives workers and queue changes."""

import os
import random
import signal
import statistics

import pytest
from numbered_flows import check_order, exchange

from vio4wd.control.client import ask
from vio4wd.control.proto.virtioforwarder_pb2 import CoreSchedRequest, CoreSchedResponse, RelayCPU
from vio4wd.testing.numbered import WINDOW, NumberedTraffic
from vio4wd.testing.shared_guest import SharedGuest
from vio4wd.testing.wait import wait_for

RELAYS = range(1, 5)
LANES = 2  # as many as there are workers
MOVES = 100
KILLS = 2
STAY = -1

DAEMON_CPUS = (0, 1)
DAEMON_STATIC = [f"net_ring{relay}={relay}" for relay in RELAYS]  # return what they get on the same queue

# A guest with more queues than its relay has lanes.
PAIRS = 4
FLOWS = 16
PACKETS = 3
ROUNDS = 10


@pytest.fixture
def traffic(daemon):
    """Guests with a queue pair for each lane, on all relays."""
    with NumberedTraffic(daemon, RELAYS, pairs=LANES) as made:
        for relay in RELAYS:
            wait_for(lambda relay=relay: lanes(daemon, relay) == LANES, "the lanes")
            for pair in range(LANES):
                made.wait_arrivals(relay, 1000, pair)
        yield made
    for relay in RELAYS:
        daemon.wait_no_guest(relay)


def lanes(daemon, relay):
    return daemon.snapshot().relays[relay].lanes


def cpu_of(daemon, relay, direction, lane):
    return daemon.snapshot().relays[relay].directions[direction].parts[lane].cpu


def move(daemon, relay, direction, lane, cpu):
    cpus = [STAY, STAY]
    cpus[direction] = cpu
    entry = RelayCPU(relay_number=relay, vf2virtio_cpu=cpus[0], virtio2vf_cpu=cpus[1], lane=lane)
    request = CoreSchedRequest(op=CoreSchedRequest.UPDATE, relay_cpu_map=[entry])
    response = ask(daemon.endpoint("core_sched"), request, CoreSchedResponse, 60)
    assert response.status == CoreSchedResponse.OK, response.error_code_source


def counts_of(traffic):
    return {(relay, pair): traffic.counts(relay, pair) for relay in RELAYS for pair in range(LANES)}


def check_all_arrived(traffic):
    traffic.settle()
    counts = counts_of(traffic)
    assert {place: count.lost for place, count in counts.items() if count.lost} == {}
    assert {place: count.wrong for place, count in counts.items() if count.wrong} == {}


@pytest.mark.timeout(240)
def test_lanes_move_alone_and_lose_nothing(daemon, traffic):
    chance = random.Random(3)
    gaps = []
    for _ in range(MOVES):
        relay, direction, lane = chance.choice(RELAYS), chance.randrange(2), chance.randrange(LANES)
        cpu = 1 - cpu_of(daemon, relay, direction, lane)
        others = [cpu_of(daemon, relay, direction, other) for other in range(LANES) if other != lane]
        traffic.begin_epoch(relay)
        move(daemon, relay, direction, lane, cpu)
        traffic.wait_arrivals(relay, 100, lane)
        gaps.append(traffic.gap(relay, lane))
        assert cpu_of(daemon, relay, direction, lane) == cpu
        assert others == [cpu_of(daemon, relay, direction, other) for other in range(LANES) if other != lane]
    check_all_arrived(traffic)
    arrived = sum(count.arrived for count in counts_of(traffic).values())
    print(
        f"{MOVES} moves among {arrived} packets; longest time without a packet around a move: "
        f"median {1e3 * statistics.median(gaps):.2f} ms, worst {1e3 * max(gaps):.2f} ms"
    )


@pytest.mark.timeout(240)
def test_pairs_go_and_come_under_traffic(daemon, traffic):
    for _ in range(5):
        for pair in (1, 0):
            traffic.enable(1, pair, False)
            wait_for(lambda: lanes(daemon, 1) == 1, "a single lane")
            traffic.wait_arrivals(1, 1000, 1 - pair)
            traffic.enable(1, pair, True)
            wait_for(lambda: lanes(daemon, 1) == LANES, "all lanes")
            for other in range(LANES):
                traffic.wait_arrivals(1, 1000, other)
    check_all_arrived(traffic)


@pytest.mark.timeout(240)
def test_lanes_of_killed_workers_go_on(daemon, traffic):
    for kill in range(KILLS):
        wait_for(lambda: all(daemon.worker_pids()), "workers", 120)
        os.kill(daemon.worker_pids()[kill % 2], signal.SIGKILL)
        for relay in RELAYS:
            for pair in range(LANES):
                traffic.wait_arrivals(relay, 1000, pair)
        traffic.settle()
        counts = counts_of(traffic)
        assert {place: count.wrong for place, count in counts.items() if count.wrong} == {}
        traffic.set_window(WINDOW)
    wait_for(lambda: all(daemon.worker_pids()), "workers", 120)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
def test_flows_of_more_pairs_than_lanes_stay_in_order(daemon, packed):
    with SharedGuest(daemon.socket(1), PAIRS, packed=packed) as guest:
        for pair in guest.pairs:
            pair.fill(256)
        wait_for(lambda: lanes(daemon, 1) == LANES, "the lanes")
        wait_for(lambda: daemon.snapshot().relays[1].queue_pairs == PAIRS, "all pairs to be served")
        before = daemon.snapshot().relays[1].directions
        arrived = [[] for _ in range(PAIRS)]  # (flow, number) by receiving queue pair
        for number in range(ROUNDS):
            exchange(guest, number, arrived, FLOWS, PACKETS)
        guest.check()
        after = daemon.snapshot().relays[1].directions
    daemon.wait_no_guest(1)

    assert all(arrived)  # every queue has received something
    check_order(arrived, PAIRS * FLOWS, ROUNDS * PACKETS)
    for earlier, later in zip(before, after, strict=True):
        moved = [
            new.packets_out - old.packets_out for old, new in zip(earlier.lanes, later.lanes, strict=True)
        ]
        assert moved == [PAIRS // LANES * FLOWS * PACKETS * ROUNDS] * LANES


def test_a_vf_without_a_guest_is_drained_by_one_lane(daemon):
    daemon.attach("net_null9,size=64", 9)
    try:
        relay = daemon.snapshot().relays[9]
        assert (relay.vf_queues, relay.lanes) == (LANES, 1)
        wait_for(
            lambda: daemon.snapshot().relays[9].vf_to_vm.dropped_unconnected > 10000, "packets of the VF"
        )
    finally:
        daemon.detach("net_null9,size=64", 9)
