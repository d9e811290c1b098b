"""Bonds of two veth pairs: what is lost when a link is pulled, and an aggregate with DPDK's own bond."""

import contextlib
import re
from pathlib import Path

import pytest

from vio4wd.testing.linux_guest import LinuxGuest
from vio4wd.testing.namespace import Namespace
from vio4wd.testing.netns import pairs
from vio4wd.testing.switch import Switch
from vio4wd.testing.testpmd import Testpmd
from vio4wd.testing.traffic import Ping
from vio4wd.testing.virtio_nic import VirtioNic
from vio4wd.testing.wait import wait_for

RELAY = 1
BOND = "net_bonding0"
GUEST = "10.1.0.2"
FAR = "10.1.0.1"
MAC = VirtioNic(Path()).mac
#: The interface beyond the other bond.
TAP = "lacp-tap"
TAP_MAC = "52:54:00:00:00:02"
#: Seconds between two echo requests, and the most that may get lost when a link is pulled.
INTERVAL = 0.1
MOST_LOST = 3

DAEMON_OPTIONS = ["--enable-mrgbuf"]


@contextlib.contextmanager
def bonded(daemon, interfaces, mode):
    """A bond of kernel interfaces on the relay."""
    members = [f"net_af_packet{number},iface={interface}" for number, interface in enumerate(interfaces)]
    daemon.attach_bond(BOND, members, RELAY, mode)
    try:
        yield
    finally:
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


@pytest.fixture
def links():
    with pairs(2) as made:
        yield made


@pytest.mark.timeout(240)
def test_lacp_forms_an_aggregate_with_another_bond(daemon, guest, links, place):
    """The other bond is DPDK's in a testpmd, which has the namespace's interface behind it.

    It speaks LACP only while it has something to send; for that reason the ping begins at once, and needs no
    answer to ARP.
    """
    far = [
        *(f"net_af_packet{number},iface={end}" for number, (_, end) in enumerate(links)),
        "net_bonding0,mode=4,slave=net_af_packet0,slave=net_af_packet1",
        f"net_tap0,iface={TAP},mac={TAP_MAC}",
    ]
    bond, tap = len(links), len(links) + 1
    with (
        bonded(daemon, [near for near, _ in links], 4),
        Namespace() as beyond,
        Testpmd(
            far, place / "partner", arguments=[f"--portlist={bond},{tap}", "--no-lsc-interrupt"]
        ) as partner,
    ):
        beyond.take(TAP, f"{FAR}/24")
        beyond.run("ip", "neighbour", "add", GUEST, "lladdr", MAC, "dev", TAP)
        partner.start()
        with Ping(beyond, GUEST, place / "lacp.log", interval=0.05) as ping:
            wait_for(lambda: aggregated(partner, bond) == len(links), "both links to join the aggregate")
            ping.wait_answer()
            assert len(ping.wait_answers(40)) <= MOST_LOST


def aggregated(partner, bond):
    """Links over which both sides send packets, as the partner sees it."""
    states = re.findall(r"port state: (.*)", partner.command(f"show bonding lacp info {bond}"))
    both = zip(states[::2], states[1::2], strict=True)  # the partner's own, and what it knows of ours
    return sum("DISTRIBUTING" in own and "DISTRIBUTING" in other for own, other in both)
