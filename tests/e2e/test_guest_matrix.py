"""Linux guests with every pair of settings that a virtio-net device may have.

Each VM has up to four NICs of different settings, on as many relays of one daemon. The driver of the
guest's kernel takes what it is offered but in-order use, which it may not know.
"""

import dataclasses
import itertools
import socket

import pytest

from vio4wd.testing import tcp
from vio4wd.testing.linux_guest import LinuxGuest
from vio4wd.testing.netns import Wire
from vio4wd.testing.pairwise import covering, pairs
from vio4wd.testing.virtio_nic import VirtioNic
from vio4wd.testing.wait import wait_for
from vio4wd.vhost.features import Virtio

DAEMON_OPTIONS = ["--enable-mrgbuf", "--enable-tso"]
NICS = 4  # of a VM
CPUS = 4  # of a VM: its driver uses one queue pair for each
SIZE = 3_000_000
PINGS = 50
DATA = tcp.random_data(SIZE)


@dataclasses.dataclass(frozen=True)
class Variant:
    """What a NIC offers."""

    generation: str
    packed: bool
    mergeable: bool
    indirect: bool
    event_idx: bool
    in_order: bool
    queue_pairs: int
    offloads: bool

    def allowed(self):
        """The feature bits of a legacy device end before packed rings and in-order use."""
        return self.generation == "modern" or not (self.packed or self.in_order)

    def nic(self, path, number):
        """The NIC as eth<number>."""
        return VirtioNic(path, mac=f"52:54:00:00:01:{number:02x}", **dataclasses.asdict(self))


SWITCH = (False, True)
VALUES = (("legacy", "modern"), SWITCH, SWITCH, SWITCH, SWITCH, SWITCH, (1, 2, 4), SWITCH)
VALID = [variant for variant in itertools.starmap(Variant, itertools.product(*VALUES)) if variant.allowed()]
CHOSEN = [Variant(*values) for values in covering([dataclasses.astuple(variant) for variant in VALID])]
GUESTS = [tuple(CHOSEN[first : first + NICS]) for first in range(0, len(CHOSEN), NICS)]


@pytest.fixture(scope="module")
def wires(daemon):
    """A wire on each of the relays 0 to 3; guests have 10.1.<relay>.2/24 and fd00:<relay>::2/64."""
    made = []
    try:
        for relay in range(NICS):
            made.append(Wire(f"10.1.{relay}.1/24"))
            made[relay].add_ipv6(made[relay].inner, f"fd00:{relay}::1/64")
            daemon.attach(f"net_af_packet{relay},iface={made[relay].interface}", relay)
        yield made
    finally:
        for wire in made:
            wire.close()


def test_all_pairs_are_chosen():
    def all_pairs(variants):
        return set().union(*(pairs(dataclasses.astuple(variant)) for variant in variants))

    assert all_pairs(CHOSEN) == all_pairs(VALID)
    assert len(CHOSEN) <= 12
    assert all(variant.allowed() for variant in CHOSEN)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("variants", GUESTS, ids=[f"guest {number}" for number in range(len(GUESTS))])
def test_ping_and_tcp_both_ways(daemon, wires, place, variants):
    nics = [variant.nic(daemon.socket(number), number) for number, variant in enumerate(variants)]
    with LinuxGuest(nics, place / "guest", memory_mb=384, cpus=CPUS) as guest:
        for number, variant in enumerate(variants):
            guest.configure(f"eth{number}", f"10.1.{number}.2/24")
            guest.add_ipv6(f"eth{number}", f"fd00:{number}::2/64")
            wire = wires[number]

            def relay(number=number):
                return daemon.snapshot().relays[number]

            serves(variant, guest, wire, relay)
            for address in (wire.address, f"fd00:{number}::1"):
                carries_tcp(variant, guest, wire, address, relay)
    for number in range(len(variants)):
        daemon.wait_no_guest(number)


def serves(variant, guest, wire, relay):
    """The guest's NIC of this variant works to the packet; `relay` gives the state of its relay."""
    wait_for(lambda: relay().queue_pairs == variant.queue_pairs, "the guest to set its queues up")
    assert negotiated(relay().features) == expected(variant)
    output = guest.check(f"ping -c {PINGS} -i 0.01 {wire.address}")
    assert f"{PINGS} packets transmitted, {PINGS} packets received" in output, output

    flows_reach_every_queue(wire, relay, variant.queue_pairs)


def carries_tcp(variant, guest, wire, address, relay):
    """TCP to and from the wire's address arrives intact, in large packets where offloads allow it."""
    into = tcp.to_guest(wire, guest, DATA, address=address)
    assert (into.size, into.intact) == (SIZE, True)
    before = relay().vm_to_vf
    out_of = tcp.from_guest(wire, guest, DATA, address=address)
    assert (out_of.size, out_of.intact) == (SIZE, True)
    after = relay().vm_to_vf
    taken, sent = after.packets_in - before.packets_in, after.packets_out - before.packets_out
    if variant.offloads:
        assert sent > taken  # large packets were cut into frames
    else:
        assert sent <= taken
    assert after.dropped_invalid == before.dropped_invalid


def negotiated(features):
    """The settings that the guest's driver has taken."""
    bits = {
        "modern": Virtio.VERSION_1,
        "packed": Virtio.RING_PACKED,
        "mergeable": Virtio.MRG_RXBUF,
        "indirect": Virtio.RING_INDIRECT_DESC,
        "event_idx": Virtio.RING_EVENT_IDX,
        "multiqueue": Virtio.MQ,
        "checksum": Virtio.CSUM,
        "guest checksum": Virtio.GUEST_CSUM,
        "segmentation": Virtio.HOST_TSO4,
        "large receive": Virtio.GUEST_TSO4,
    }
    return {name for name, bit in bits.items() if features & bit}


def expected(variant):
    wanted = {name for name, value in dataclasses.asdict(variant).items() if value is True}
    if "offloads" in wanted:
        wanted |= {"checksum", "guest checksum", "segmentation", "large receive"}
    if variant.generation == "modern":
        wanted.add("modern")
    if variant.queue_pairs > 1:
        wanted.add("multiqueue")
    return wanted - {"offloads", "in_order"}


def flows_reach_every_queue(wire, relay, queue_pairs):
    """Many flows into the guest are spread over all of its receive queues."""

    def received():
        return {
            queue.index: queue.packets for queue in relay().queues if queue.ready and queue.index % 2 == 0
        }

    before = received()
    assert sorted(before) == [2 * pair for pair in range(queue_pairs)]
    guest_address = wire.address.removesuffix("1") + "2"
    with wire.socket(kind=socket.SOCK_DGRAM) as sender:
        for port in range(20000, 20128):
            sender.sendto(b"flow", (guest_address, port))
    wait_for(
        lambda: all(count > before[index] for index, count in received().items()),
        "packets in each of the guest's receive queues",
    )
