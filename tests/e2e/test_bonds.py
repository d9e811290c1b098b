"""Bonds of two veth pairs: what is lost when a link is pulled."""

import contextlib

import pytest

from vio4wd.testing.linux_guest import LinuxGuest
from vio4wd.testing.switch import Switch
from vio4wd.testing.traffic import Ping
from vio4wd.testing.virtio_nic import VirtioNic

RELAY = 1
BOND = "net_bonding0"
GUEST = "10.1.0.2"
FAR = "10.1.0.1"
#: Seconds between two echo requests, and the most that may get lost when a link is pulled.
INTERVAL = 0.1
MOST_LOST = 3

DAEMON_OPTIONS = ["--enable-mrgbuf"]


@contextlib.contextmanager
def bonded(daemon, interfaces, mode):
    """A bond of kernel interfaces on the relay."""
    members = [f"net_af_packet{number},iface={interface}" for number, interface in enumerate(interfaces)]
    daemon.attach_bond(BOND, members, RELAY, mode)
    yield
    daemon.detach_bond(BOND, RELAY)


@pytest.fixture(scope="module")
def guest(daemon, place):
    """A Linux VM on the relay, whatever is attached to it."""
    with LinuxGuest([VirtioNic(daemon.socket(RELAY))], place / "guest") as started:
        started.configure("eth0", f"{GUEST}/24")
        yield started


@pytest.mark.timeout(240)
def test_active_backup_loses_next_to_nothing_when_a_link_is_pulled(daemon, guest, place):
    with Switch(f"{FAR}/24") as switch:
        ports = [switch.port(), switch.port()]
        with bonded(daemon, ports, 1), Ping(switch, GUEST, place / "ping.log", interval=INTERVAL) as ping:
            ping.wait_answer()
            # The first link is in use; after it was pulled and is back, the second one is.
            for port in (*ports, *ports):
                switch.set_link(port, up=False)
                lost = ping.wait_answers(20)
                print(f"{port} pulled: echo requests {lost} lost")
                assert len(lost) <= MOST_LOST
                switch.set_link(port, up=True)
                lost = ping.wait_answers(20)
                print(f"{port} plugged in: echo requests {lost} lost")
                assert len(lost) <= MOST_LOST
