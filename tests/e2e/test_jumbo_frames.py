"""Jumbo frames of Linux guests, whose drivers take the VF's MTU from the device."""

import pytest

from vio4wd.testing import tcp
from vio4wd.testing.linux_guest import LinuxGuest
from vio4wd.testing.netns import Wire
from vio4wd.testing.virtio_nic import VirtioNic
from vio4wd.vhost.features import Virtio

DAEMON_OPTIONS = ["--enable-jumbo", "--enable-mrgbuf"]
MTU = 9000
PINGS = 20
DATA = tcp.random_data(3_000_000)
NICS = [
    {"packed": True},
    {"generation": "transitional"},
    {"mergeable": False},
]


@pytest.fixture(scope="module")
def wires(daemon):
    """A wire that carries jumbo frames for each of the relays; guests have 10.1.<relay>.2/24."""
    made = []
    try:
        for relay in range(len(NICS)):
            made.append(Wire(f"10.1.{relay}.1/24", mtu=MTU))
            options = f"iface={made[relay].interface},framesz=9216,blocksz=36864"
            daemon.attach(f"net_af_packet{relay},{options}", relay)
        yield made
    finally:
        for wire in made:
            wire.close()


@pytest.mark.timeout(240)
def test_frames_of_9000_bytes_both_ways(daemon, wires, place):
    nics = [
        VirtioNic(
            daemon.socket(number), mac=f"52:54:00:00:01:{number:02x}", mtu=MTU, offloads=False, **options
        )
        for number, options in enumerate(NICS)
    ]
    with LinuxGuest(nics, place / "guest", memory_mb=384) as guest:
        for number, (nic, wire) in enumerate(zip(nics, wires, strict=True)):
            guest.configure(f"eth{number}", f"10.1.{number}.2/24")
            relay = daemon.snapshot().relays[number]
            assert relay.features & Virtio.MTU
            assert bool(relay.features & Virtio.MRG_RXBUF) == nic.mergeable
            assert int(guest.check(f"cat /sys/class/net/eth{number}/mtu")) == MTU
            output = guest.check(f"ping -c {PINGS} -i 0.02 -s {MTU - 28} {wire.address}")
            assert f"{PINGS} packets transmitted, {PINGS} packets received" in output, output
            for result in (tcp.to_guest(wire, guest, DATA), tcp.from_guest(wire, guest, DATA)):
                assert (result.size, result.intact) == (len(DATA), True)
            after = daemon.snapshot().relays[number]
            # Each echo is one frame, and TCP fills frames.
            for way in (after.vf_to_vm, after.vm_to_vf):
                assert way.bytes_out > 2 * 1500 * way.packets_out
