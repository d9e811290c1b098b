"""A fast guest at 64 bytes: its counters, the relay's and those beyond the VF agree to the packet.

The VF is one end of a shared-memory interface (memif) whose other end a second testpmd drives, so that
packets are counted by somebody else on both sides.
"""

import time

import pytest

from vio4wd.testing.testpmd import Testpmd, virtio_user
from vio4wd.testing.wait import wait_for
from vio4wd.vhost.features import Virtio

DAEMON_OPTIONS = ["--enable-mrgbuf"]
RELAY = 1
VF = 0  # the far end's only port
SECONDS = 0.5

#: Arguments of `virtio_user`. DPDK takes its vectorised functions only with exactly these, and for a packed
#: ring only on a CPU with AVX-512 that it is told to use, otherwise those of the same ring without vectors.
VARIANTS = {
    "split": {"mergeable": False},
    "split, mergeable": {},
    "split, in order": {"mergeable": False, "in_order": True},
    "split, in order, mergeable": {"in_order": True},
    "split, vectorised": {"mergeable": False, "vectorized": True},
    "packed": {"mergeable": False, "packed": True},
    "packed, mergeable": {"packed": True},
    "packed, in order": {"mergeable": False, "packed": True, "in_order": True},
    "packed, in order, mergeable": {"packed": True, "in_order": True},
    "packed, vectorised": {"mergeable": False, "packed": True, "in_order": True, "vectorized": True},
}


@pytest.fixture(scope="module")
def far_end(daemon, place):
    """What is beyond the VF of relay 1."""
    options = f"socket={place}/memif.sock,socket-abstract=no,id=0"
    daemon.attach(f"net_memif0,role=server,{options}", RELAY)
    with Testpmd([f"net_memif0,role=client,{options}"], place / "far") as far:
        wait_for(lambda: "Link status: up" in far.command("show port info 0"), "the memif's link")
        yield far


@pytest.fixture(scope="module", params=VARIANTS.values(), ids=VARIANTS)
def variant(request, daemon, far_end, place):
    """A guest of each variant on relay 1."""
    device = virtio_user(daemon.socket(RELAY), **request.param)
    with Testpmd([device], place / "guest", environment=["--force-max-simd-bitwidth=512"]) as started:
        daemon.wait_guest(RELAY)
        features = daemon.snapshot().relays[RELAY].features
        assert bool(features & Virtio.MRG_RXBUF) == request.param.get("mergeable", True)
        assert bool(features & Virtio.RING_PACKED) == request.param.get("packed", False)
        assert bool(features & Virtio.IN_ORDER) == request.param.get("in_order", False)
        yield started
    daemon.wait_no_guest(RELAY)


@pytest.fixture
def guest(variant, far_end):
    """The guest, whose counters and those of the far end begin at 0."""
    far_end.clear()
    variant.clear()
    return variant


def settled(daemon):
    """The relay's counters when no packet moves any more and the whole pool is free.

    Its worker has looked at both directions several times by then, however seldom it gets its CPU.
    """

    def still():
        before = daemon.snapshot().relays[RELAY]
        time.sleep(0.3)
        after = daemon.snapshot().relays[RELAY]
        rest = all(
            (old.packets_in, old.packets_out) == (new.packets_in, new.packets_out)
            and new.polls > old.polls + 2
            for old, new in zip(before.directions, after.directions, strict=True)
        )
        return rest and after.pool_size and after.pool_free == after.pool_size and after

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
