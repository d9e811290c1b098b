"""The master dies under traffic: guests whose frontends keep in-flight memory go on with the next one.

The frontends know no more than that their rings were new once, as after a crash; where the rings stand now
the next daemon must find out.
"""

import os
import random
import signal
import time

import pytest

from vio4wd.testing.numbered import WINDOW, NumberedTraffic

RELAYS = range(1, 5)
PACKED = (2, 4)
KILLS = 2

DAEMON_CPUS = (0, 1)
DAEMON_STATIC = [f"net_ring{relay}={relay}" for relay in RELAYS]
#: Each kind of ring with both directions on one worker, and with one on each.
PINS = {1: "0,0", 2: "1,1", 3: "0,1", 4: "1,0"}
DAEMON_OPTIONS = [f"--virtio-cpu={relay}:{cpus}" for relay, cpus in PINS.items()]


@pytest.mark.timeout(240)
def test_guests_go_on_where_the_killed_master_stood(daemon):
    chance = random.Random(11)
    with NumberedTraffic(daemon, RELAYS, packed=PACKED, tracked=True) as traffic:
        for kill in range(1, KILLS + 1):
            traffic.set_window(WINDOW)
            for relay in RELAYS:
                traffic.wait_arrivals(relay, 1000)
            time.sleep(chance.uniform(0.0, 0.05))
            if kill % 2 == 0:  # all at once, as where a container is killed; else workers end by themselves
                for worker in daemon.worker_pids():
                    os.kill(worker, signal.SIGKILL)
            daemon.kill()
            daemon.start()
            traffic.reconnect()
            for relay in RELAYS:
                traffic.wait_arrivals(relay, 1000)
            traffic.settle()
            for relay in RELAYS:
                counts = traffic.counts(relay)
                assert counts.wrong == {}, f"relay {relay}, kill {kill}"
                # What was in the daemon and its VF is lost; what waited in the guest's queue is not.
                assert counts.lost <= kill * WINDOW, f"relay {relay}, kill {kill}"
        lost = {relay: traffic.counts(relay).lost for relay in RELAYS}
        print(f"{KILLS} kills; packets lost by relay: {lost}")
