"""A guest that dies again and again under traffic takes nothing with it: the next one is served."""

import random
import time

import pytest

from vio4wd.testing import resources
from vio4wd.testing.testpmd import Testpmd, virtio_user
from vio4wd.testing.wait import wait_for

RELAY = 1
KILLS = 50


def guest_of(daemon, place):
    return Testpmd([virtio_user(daemon.socket(RELAY))], place / "guest", mode="io")


def counters(daemon):
    relay = daemon.snapshot().relays[RELAY]
    return relay.vf_to_vm.packets_out, relay.vm_to_vf.packets_out


def held(daemon):
    """What master and worker hold."""
    return [resources.of_process(pid) for pid in (daemon.pid, *daemon.worker_pids())]


@pytest.mark.timeout(290)
def test_fifty_guests_are_killed_under_traffic(daemon, place):
    options = f"socket={place}/memif.sock,socket-abstract=no,id=0"
    daemon.attach(f"net_memif0,role=server,{options}", RELAY)
    # flowgen sends all the time and takes what comes.
    far_end = Testpmd([f"net_memif0,role=client,{options}"], place / "far", mode="flowgen")
    chance = random.Random(1)
    with far_end:
        wait_for(lambda: "Link status: up" in far_end.command("show port info 0"), "the memif's link")
        far_end.start()
        baseline = None
        workers = daemon.worker_pids()
        # The first guest makes the processes load what they load once.
        for _ in range(1 + KILLS):
            before = counters(daemon)
            with guest_of(daemon, place) as guest:
                guest.start()
                # io mode: what the guest receives it sends back, so both directions move.
                wait_for(
                    lambda before=before: all(
                        new > old for new, old in zip(counters(daemon), before, strict=True)
                    ),
                    "traffic in both directions",
                )
                time.sleep(chance.uniform(0.0, 0.05))
                guest.kill()
            daemon.wait_no_guest(RELAY)
            if baseline is None:
                baseline = held(daemon)
        far_end.stop()

        assert daemon.worker_pids() == workers
        wait_for(lambda: full_pool(daemon), "all mbufs to be back in the pool")
        wait_for(
            lambda: not any(old.growth(new) for old, new in zip(baseline, held(daemon), strict=True)),
            "descriptors and mappings to be as before",
            10,
        )
        assert daemon.snapshot().relays[RELAY].guest_connections == 1 + KILLS


def full_pool(daemon):
    relay = daemon.snapshot().relays[RELAY]
    return relay.pool_size and relay.pool_free == relay.pool_size
