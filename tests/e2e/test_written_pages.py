"""Whatever a relay writes to a guest's memory is marked for a migration, and arrives with it."""

import contextlib
import dataclasses

import numpy as np
import pytest
from numbered_flows import frame

from vio4wd.testing.linux_guest import LinuxGuest
from vio4wd.testing.migration import INCOMING, PAUSED, memory_digest, migrate
from vio4wd.testing.shared_guest import LOG_PAGE, SharedGuest
from vio4wd.testing.traffic import Flood
from vio4wd.testing.virtio_nic import VirtioNic
from vio4wd.testing.wait import wait_for

#: Two workers serve the relay and write to the same log.
DAEMON_CPUS = (0, 1)
DAEMON_OPTIONS = ["--enable-mrgbuf", "--virtio-cpu=1:0,1"]
RELAY, TARGET_RELAY = 1, 2

PAIRS = 4
PACKETS = 100  # of each pair: less than the VF's ring (1024) holds
FLOWS = 16
#: Segments of the receive buffers of even and of odd pairs: they are written to by different functions.
BUFFERS = ([256], [20, 236])
POSTED = 500

GUEST = "10.1.0.2"
MEMORY_MB = 192
RING = 256


@pytest.fixture
def attached(daemon, wire):
    """The daemon with the wire on RELAY."""
    device = f"net_af_packet0,iface={wire.interface}"
    daemon.attach(device, RELAY)
    yield daemon
    daemon.detach(device, RELAY)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
def test_each_page_that_is_written_is_marked(daemon, packed):
    device = f"net_ring{int(packed)}"
    daemon.attach(device, RELAY)  # returns what it gets
    try:
        with SharedGuest(daemon.socket(RELAY), PAIRS, packed=packed, size=1024) as guest:
            daemon.wait_guest(RELAY)
            for number, pair in enumerate(guest.pairs):
                for _ in range(POSTED):
                    pair.post(BUFFERS[number % 2])
                pair.publish()
            guest.start_log()
            # Whoever takes a ring over marks all of it; what counts is what is marked later.
            forward(guest, 0)
            guest.take_log()
            before = forward(guest, 1)
            guest.stop()
            changed = contents(guest) != before
            marked = guest.take_log()
            guest.check()
    finally:
        daemon.detach(device, RELAY)

    start = guest.memory.region.guest_address
    if not packed:
        for pair in guest.pairs:  # the driver's own: the available index
            index = pair.transmit_ring.available + 2 - start
            changed[index : index + 2] = False
    pages = {start + int(place) // LOG_PAGE * LOG_PAGE for place in np.flatnonzero(changed)}
    assert len(pages) > PAIRS * PACKETS * len(frame(0, 0)) / LOG_PAGE
    assert pages <= marked


def forward(guest, number):
    """Have PACKETS more packets of each pair sent and received, by round; what memory held when it began."""
    for position, pair in enumerate(guest.pairs):
        for packet in range(PACKETS):
            pair.send(frame(position * FLOWS + packet % FLOWS, number * PACKETS + packet))
    before = contents(guest)
    for pair in guest.pairs:
        pair.publish()
    rings = [ring for pair in guest.pairs for ring in (pair.receive_ring, pair.transmit_ring)]
    goal = (number + 1) * len(rings) * PACKETS
    wait_for(lambda: sum(len(ring.ready()) for ring in rings) == goal, "the packets to come back")
    return before


def contents(guest):
    region = guest.memory.region
    return guest.memory.view(region.guest_address, region.size).copy()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
def test_what_only_the_relay_has_written_arrives(attached, wire, place, packed):
    """The interface is down, its buffers are not: what comes lies where the guest does not look."""
    nic = VirtioNic(attached.socket(RELAY), packed=packed, queue_size=RING)
    wire.run("ip", "neighbour", "replace", GUEST, "lladdr", nic.mac, "dev", wire.inner)
    there = dataclasses.replace(nic, socket=attached.socket(TARGET_RELAY))

    def fill_queue():
        with Flood(wire, GUEST):
            wait_for(
                lambda: attached.snapshot().relays[RELAY].vf_to_vm.dropped_full,
                "the guest's queue to be full",
            )

    with (
        LinuxGuest([nic], place / "source", memory_mb=MEMORY_MB) as source,
        contextlib.closing(
            LinuxGuest([there], place / "target", memory_mb=MEMORY_MB, arguments=(*INCOMING, *PAUSED))
        ) as target,
    ):
        source.configure("eth0", f"{GUEST}/24")
        source.check("ip link set eth0 down")
        target.start(wait=False)
        print(migrate(source, target, place / "migration.sock", meanwhile=fill_queue))
        digests = [memory_digest(guest, place / "memory", MEMORY_MB << 20) for guest in (source, target)]
        assert digests[0] == digests[1]
        target.qmp().command("cont")
        target.check("ip link set eth0 up")
        wait_for(lambda: packets_received(target) >= RING, "the guest to see what came meanwhile")


def packets_received(guest):
    return int(guest.check("cat /sys/class/net/eth0/statistics/rx_packets"))
