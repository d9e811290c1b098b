"""A Linux VM behind its VF: ping, TCP, reboot, exit and return."""

import pytest

from vio4wd.testing import tcp
from vio4wd.testing.linux_guest import LinuxGuest
from vio4wd.testing.virtio_nic import VirtioNic

DAEMON_OPTIONS = ["--enable-mrgbuf"]
RELAY = 1
GUEST_ADDRESS = "10.1.0.2/24"
SIZE = 100_000_000
MERGEABLE_BIT = 15  # VIRTIO_NET_F_MRG_RXBUF


@pytest.fixture(scope="module")
def attached(daemon, wire):
    """The daemon with the wire on relay 1."""
    daemon.attach(f"net_af_packet0,iface={wire.interface}", RELAY)
    return daemon


def ping(guest, wire, count=100):
    """Ping the far end of the wire; no echo may be missing."""
    output = guest.check(f"ping -c {count} -i 0.01 {wire.address}")
    assert f"{count} packets transmitted, {count} packets received" in output, output


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mergeable", [True, False], ids=["mergeable", "not mergeable"])
def test_ping_and_tcp_both_ways(attached, wire, place, mergeable):
    data = tcp.random_data(SIZE)
    nic = VirtioNic(attached.socket(RELAY), mergeable=mergeable)
    with LinuxGuest([nic], place / "guest", memory_mb=384) as guest:
        guest.configure("eth0", GUEST_ADDRESS)
        features = attached.snapshot().relays[RELAY].features
        assert bool(features >> MERGEABLE_BIT & 1) == mergeable
        ping(guest, wire)
        into = tcp.to_guest(wire, guest, data)
        out_of = tcp.from_guest(wire, guest, data)
        assert (into.size, into.intact) == (SIZE, True)
        assert (out_of.size, out_of.intact) == (SIZE, True)


@pytest.mark.timeout(240)
def test_reboot_exit_and_return(attached, wire, place):
    nic = VirtioNic(attached.socket(RELAY))
    for _ in range(2):
        guest = LinuxGuest([nic], place / "guest")
        with guest:
            guest.configure("eth0", GUEST_ADDRESS)
            ping(guest, wire, 10)
            guest.reboot()
            guest.configure("eth0", GUEST_ADDRESS)
            ping(guest, wire, 10)
        attached.wait_no_guest(RELAY)
