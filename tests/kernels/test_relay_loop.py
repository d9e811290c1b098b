"""A worker's rounds: who moves packets is polled at once, who is silent soon, and the loop ends when told."""

import threading
import time

import pytest

from vio4wd.shm.layout import VF_TO_VM, VM_TO_VF
from vio4wd.testing.mock_guest import MockGuest
from vio4wd.testing.mock_pool import ALLOC_BULK, MockPool, MockPort
from vio4wd.testing.mock_worker import MockWorker
from vio4wd.testing.strategies import numbered_packet
from vio4wd.testing.wait import wait_for

#: Polls without a packet after which nothing is hot any more.
LONG_SILENCE = 600


class Relay:
    """One VM->VF direction with all it needs."""

    def __init__(self):
        self.guest = MockGuest(size=32)
        self.pool = MockPool(64)
        self.port = MockPort(self.pool)
        self.worker = MockWorker(VM_TO_VF, [self.guest], self.pool, self.port)

    def send(self, number):
        self.guest.send(numbered_packet(number, 60))
        self.guest.publish()

    def arrived(self):
        self.guest.sent()
        return len(self.port.sent())


@pytest.fixture
def relays():
    made = [Relay() for _ in range(6)]
    made[0].worker.adopt([relay.worker for relay in made[1:]])
    return made


def test_all_directions_are_served(relays):
    for round_ in range(5):
        for relay in relays:
            relay.send(round_)
        assert relays[0].worker.run() == len(relays)
        assert [relay.arrived() for relay in relays] == [1] * len(relays)


def test_a_silent_direction_is_served_while_another_is_busy(relays):
    worker = relays[0].worker
    for _ in range(LONG_SILENCE):
        relays[2].send(1)
        worker.run()
        relays[2].arrived()
    polls = int(relays[4].worker.counters["polls"])
    assert relays[2].worker.counters["polls"] >= LONG_SILENCE
    assert polls < LONG_SILENCE + 1
    for relay in relays:
        relay.send(2)
    worker.run(rounds=len(relays))
    assert [relay.arrived() for relay in relays] == [1] * len(relays)


def test_a_silent_direction_is_served_beside_one_that_never_pauses():
    pool = MockPool(64)
    # A VF that has a whole burst at each poll, and no guest to take it.
    vf = {"rx": ALLOC_BULK, "rx_a": pool.address}
    busy = MockWorker(VF_TO_VM, [], pool, None, offloads=vf)
    relay = Relay()
    busy.adopt([relay.worker])
    thread = threading.Thread(target=busy.run_until_stopped)
    thread.start()
    try:
        wait_for(lambda: busy.account()["loops"] > 10 * LONG_SILENCE, "the silent one to be cold")
        assert relay.worker.counters["polls"] < busy.counters["polls"]
        relay.send(1)
        wait_for(relay.guest.sent, "it to be served")
    finally:
        busy.stop()
        thread.join(60)
    assert not thread.is_alive()
    assert relay.arrived() == 1
    assert busy.counters["dropped_unconnected"] == busy.counters["packets_in"] > 0


def test_all_are_served_after_a_long_silence(relays):
    worker = relays[0].worker
    worker.run(rounds=LONG_SILENCE)
    for relay in relays:
        relay.send(1)
    assert worker.run() == len(relays)
    assert [relay.arrived() for relay in relays] == [1] * len(relays)
    for relay in relays[::2]:
        relay.send(2)
    assert worker.run() == len(relays[::2])


@pytest.mark.parametrize("longest_sleep", [0, 50])
def test_the_loop_runs_until_the_doorbell_rings(longest_sleep):
    relay = Relay()
    relay.worker.may_sleep(longest_sleep)
    thread = threading.Thread(target=relay.worker.run_until_stopped)
    thread.start()
    arrived = 0
    deadline = time.monotonic() + 60
    account = relay.worker.account()
    for number in range(50):
        relay.send(number)
        while arrived <= number and time.monotonic() < deadline:
            arrived += len(relay.guest.sent())
            time.sleep(0)
    while longest_sleep and not account["sleeps"] and time.monotonic() < deadline:
        time.sleep(0.001)
    relay.worker.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert arrived == len(relay.port.sent()) == 50
    assert account["packets"] == 50
    assert account["loops"] > 0
    assert account["heartbeat"] > 0
    assert account["total_cycles"] >= account["idle_cycles"] + account["busy_cycles"] > 0
    assert bool(account["sleeps"]) == bool(longest_sleep)
    assert bool(account["idle_cycles"]) == bool(longest_sleep)


def test_bursts_are_accounted():
    guest = MockGuest(size=64)
    pool = MockPool(64)
    port = MockPort(pool)
    worker = MockWorker(VF_TO_VM, [guest], pool, port)
    guest.fill(100)
    worker.run(rounds=3)
    for count in (1, 7, 20):
        for number in range(count):
            port.feed(pool.packet(numbered_packet(number, 60)))
        worker.run()
    account = worker.account()
    assert worker.counters["polls"] == 6
    assert worker.counters["bursts"] == account["bursts"] == 3
    assert account["packets"] == 28
    assert 0 < worker.counters["busy_cycles"] == account["busy_cycles"] <= account["total_cycles"]
    assert account["longest_direction"] == VF_TO_VM
    assert account["longest_packets"] in (1, 7, 20)
    assert 0 < account["longest_cycles"] <= account["busy_cycles"]
