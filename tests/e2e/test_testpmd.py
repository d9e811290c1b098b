"""A fast guest at 64 bytes: its counters, the relay's and those beyond the VF agree to the packet.

The VF is one end of a shared-memory interface (memif) whose other end a second testpmd drives, so that
packets are counted by somebody else on both sides.
"""

import time

import pytest

from vio4wd.testing.testpmd import Testpmd, virtio_user
from vio4wd.testing.wait import wait_for

RELAY = 1
VF = 0  # the far end's only port
SECONDS = 1.0


@pytest.fixture(scope="module")
def far_end(daemon, place):
    """What is beyond the VF of relay 1."""
    options = f"socket={place}/memif.sock,socket-abstract=no,id=0"
    daemon.attach(f"net_memif0,role=server,{options}", RELAY)
    with Testpmd([f"net_memif0,role=client,{options}"], place / "far") as far:
        wait_for(lambda: "Link status: up" in far.command("show port info 0"), "the memif's link")
        yield far


@pytest.fixture
def guest(daemon, far_end, place):
    """A guest on relay 1, whose counters and those of the far end begin at 0."""
    with Testpmd([virtio_user(daemon.socket(RELAY))], place / "guest") as started:
        daemon.wait_guest(RELAY)
        far_end.clear()
        started.clear()
        yield started


def settled(daemon):
    """The relay's counters when no packet moves any more and the whole pool is free."""

    def still():
        before = daemon.snapshot().relays[RELAY]
        time.sleep(0.3)
        after = daemon.snapshot().relays[RELAY]
        moved = any(
            (old.packets_in, old.packets_out) != (new.packets_in, new.packets_out)
            for old, new in zip(before.directions, after.directions, strict=True)
        )
        return not moved and after.pool_size and after.pool_free == after.pool_size and after

    return wait_for(still, "packets to come to rest and the pool to be full", 30)


def difference(before, after, field):
    return getattr(after, field) - getattr(before, field)


@pytest.mark.timeout(120)
def test_every_packet_from_the_guest_is_accounted_for(daemon, guest, far_end):
    before = settled(daemon).vm_to_vf
    far_end.set_mode("rxonly")
    guest.set_mode("txonly")
    far_end.start()
    guest.start()
    time.sleep(SECONDS)
    guest.stop()
    after = settled(daemon).vm_to_vf
    far_end.stop()

    sent = guest.stats()[0].tx_packets
    assert sent > 0
    assert difference(before, after, "packets_in") == sent
    assert difference(before, after, "bytes_in") == 64 * sent
    assert sent == difference(before, after, "packets_out") + difference(before, after, "dropped")
    assert far_end.stats()[VF].rx_packets == difference(before, after, "packets_out")


@pytest.mark.timeout(120)
def test_every_packet_to_the_guest_is_accounted_for(daemon, guest, far_end):
    before = settled(daemon).vf_to_vm
    far_end.set_mode("txonly")
    guest.set_mode("rxonly")
    guest.start()
    far_end.start()
    time.sleep(SECONDS)
    far_end.stop()
    after = settled(daemon).vf_to_vm
    guest.stop()

    sent = far_end.stats()[VF].tx_packets
    assert sent > 0
    assert difference(before, after, "packets_in") == sent
    assert sent == difference(before, after, "packets_out") + difference(before, after, "dropped")
    assert guest.stats()[0].rx_packets == difference(before, after, "packets_out")
