"""Workers die under traffic: their relays go on with another one, those of the other worker lose nothing."""

import contextlib
import os
import random
import signal
import time

import pytest

from vio4wd.testing import resources
from vio4wd.testing.numbered import WINDOW, NumberedTraffic
from vio4wd.testing.wait import wait_for

RELAYS = range(1, 9)
#: Relays whose guests have packed rings.
PACKED = (2, 4, 6, 8)
KILLS = 6
#: Hugepages of 2 MiB that there may be more in the end: what four of the two dozen pools take that are made
#: anew, since a pool seldom fits exactly where the last one was. (A killed worker leaves 400 bytes.)
MORE_PAGES = 40

DAEMON_CPUS = (0, 1)
DAEMON_STATIC = [f"net_ring{relay}={relay}" for relay in RELAYS]
#: Two relays with both directions on either worker, and four with one on each.
PINS = {1: (0, 0), 2: (0, 0), 3: (1, 1), 4: (1, 1), 5: (0, 1), 6: (0, 1), 7: (1, 0), 8: (1, 0)}
DAEMON_OPTIONS = [f"--virtio-cpu={relay}:{first},{second}" for relay, (first, second) in PINS.items()]


def cpus(daemon):
    relays = daemon.snapshot().relays
    return {relay: tuple(way.cpu for way in relays[relay].directions) for relay in RELAYS}


def in_place(daemon):
    """Whether both workers run and each relay is where it is pinned to."""
    return all(daemon.worker_pids()) and cpus(daemon) == PINS


def held(daemon):
    """What the master and the workers hold."""
    return [resources.of_process(pid) for pid in (daemon.pid, *daemon.worker_pids())]


def growth(before, after):
    """What each of them has more of; but for hugepages, which each new pool divides in another way."""
    more = [old.growth(new) for old, new in zip(before, after, strict=True)]
    return [{what: count for what, count in one.items() if "hugepages" not in what} for one in more]


def hugepages(daemon):
    return len(list(daemon.huge_dir.glob(f"{daemon.instance}map_*")))


def full_pools(daemon):
    relays = daemon.snapshot().relays
    return all(relays[relay].pool_free == relays[relay].pool_size > 0 for relay in RELAYS)


@pytest.mark.timeout(290)
def test_killed_workers_harm_their_own_relays_only(daemon):
    chance = random.Random(7)
    lost = dict.fromkeys(RELAYS, 0)
    baseline = None
    with NumberedTraffic(daemon, RELAYS, packed=PACKED) as traffic:
        for kill in range(KILLS):
            victim = kill % 2
            wait_for(lambda: in_place(daemon), "workers to serve what is pinned to them", 120)
            traffic.set_window(WINDOW)
            for relay in RELAYS:
                traffic.wait_arrivals(relay, 1000)
            if kill == 2:  # each worker has been replaced once
                baseline, pages = held(daemon), hugepages(daemon)
            time.sleep(chance.uniform(0.0, 0.05))
            os.kill(daemon.worker_pids()[victim], signal.SIGKILL)
            # All go on, by whomever they are served, be there a new worker or not.
            for relay in RELAYS:
                traffic.wait_arrivals(relay, 1000)
            wait_for(lambda: in_place(daemon), "workers to serve what is pinned to them", 120)
            traffic.settle()
            for relay, places in PINS.items():
                counts = traffic.counts(relay)
                assert counts.wrong == {}, f"relay {relay}, kill {kill}"
                assert victim in places or counts.lost == lost[relay], f"relay {relay}, kill {kill}"
                lost[relay] = counts.lost
        print(f"{KILLS} kills; packets lost by relay: {lost}")
        wait_for(lambda: full_pools(daemon), "all packets to be back in their pools")
        # New workers have the priority of the first ones, not that of the master's event loop.
        ordinary = os.getpriority(os.PRIO_PROCESS, 0)
        assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in daemon.worker_pids()] == [ordinary] * 2

        with contextlib.suppress(TimeoutError):
            wait_for(lambda: not any(growth(baseline, held(daemon))), "all to be as before", 20)
        assert growth(baseline, held(daemon)) == [{}, {}, {}]
        print(f"hugepages: {pages} after 2 kills, {hugepages(daemon)} after {KILLS}")
        assert hugepages(daemon) < pages + MORE_PAGES
