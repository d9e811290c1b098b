"""Client mode: QEMU serves the socket, the daemon connects to it, and either may go and come back."""

import json
import time

import psutil
import pytest

from vio4wd.testing.daemon import Daemon, orderly
from vio4wd.testing.linux_guest import LinuxGuest
from vio4wd.testing.traffic import Ping, Stream
from vio4wd.testing.virtio_nic import VirtioNic
from vio4wd.testing.wait import wait_for

RELAY = 1
GUEST = "10.1.0.2"
PACKED_BIT = 34  # VIRTIO_F_RING_PACKED

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def daemon(place, wire):
    """A daemon in client mode whose relay 1 has the wire; in the end it must leave nothing."""
    started = Daemon(
        place / "daemon",
        static=[f"net_af_packet0,iface={wire.interface}={RELAY}"],
        # The sockets are QEMU's: they lie elsewhere than what the daemon must not leave behind.
        options=["--vhostuser-client", "--enable-mrgbuf", f"--vhost-path={place}"],
    )
    with orderly(started):
        yield started


@pytest.fixture
def machine(daemon, place):
    """A function that starts a VM whose QEMU serves the relay's socket; it is ended with the test."""
    started = []

    def start(**properties):
        nic = VirtioNic(place / daemon.socket(RELAY).name, server=True, **properties)
        guest = LinuxGuest([nic], place / "guest")
        started.append(guest)
        guest.start()
        guest.configure("eth0", f"{GUEST}/24")
        return guest

    yield start
    for guest in started:
        guest.close()


def test_the_vm_is_replaced(daemon, machine, wire):
    for _ in range(2):
        guest = machine()
        daemon.wait_guest(RELAY)
        guest.check(f"ping -c 10 -i 0.05 {wire.address}")
        guest.kill()
        daemon.wait_no_guest(RELAY)


@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed asked for"])
def test_a_killed_master_under_traffic(daemon, machine, wire, place, packed):
    """Its workers end by themselves, and with the next master the VM goes on where it was."""
    guest = machine(packed=packed)
    daemon.wait_guest(RELAY)
    know_each_other(wire, guest)
    # Where a packed ring stands nobody could tell the next daemon: in client mode rings are split ones.
    assert daemon.snapshot().relays[RELAY].features >> PACKED_BIT & 1 == 0
    with Ping(wire, GUEST, place / "ping.log") as ping, Stream(wire, guest, GUEST) as stream:
        for at_once in (False, True):
            stream.wait_progress()
            workers = [psutil.Process(pid) for pid in daemon.worker_pids()]
            killed = time.time()
            daemon.kill()
            if not at_once:
                wait_for_end(workers)
                print(f"workers ended {time.time() - killed:.2f} s after their master")
            began = time.time()
            daemon.start()
            served = time.time()
            ping.wait_answer()
            stream.wait_progress()
            _, answered = ping.silence(killed - 1)
            print(
                f"master killed; the next one took {served - began:.2f} s to start, the VM answered"
                f" {answered - began:.2f} s after its start began, {answered - killed:.2f} s after the kill"
            )
            assert not any(map(alive, workers))
        size = stream.finish()
        print(f"{ping.finish()}; {size / 1e6:.0f} MB of TCP there and back")


def test_a_master_that_is_stopped_and_started(daemon, machine, wire):
    guest = machine()
    for _ in range(3):
        guest.check(f"ping -c 10 -i 0.05 {wire.address}")
        assert daemon.stop() == 0
        daemon.start()
        daemon.wait_guest(RELAY)
    guest.check(f"ping -c 10 -i 0.05 {wire.address}")


def know_each_other(wire, guest):
    """Neither asks for the other's address: who asks in vain does so again a second later."""
    (link,) = json.loads(wire.run("ip", "-j", "link", "show", wire.inner))
    guest.check(f"arp -s {wire.address} {link['address']}")
    address = guest.check("cat /sys/class/net/eth0/address").strip()
    wire.run("ip", "neighbour", "replace", GUEST, "lladdr", address, "dev", wire.inner)


def alive(process):
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def wait_for_end(workers):
    """They notice by themselves that their master is gone."""
    wait_for(lambda: not any(map(alive, workers)), "the workers of a killed master to end")
