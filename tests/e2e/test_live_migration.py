"""A Linux VM moves between relays, and to a backend that is not ours, while it pings and TCP runs.

The relays' VFs are ports of one switch, as those of two hosts would be. Each relay has its two directions on
two workers, which write to the same dirty log.
"""

import contextlib
import dataclasses

import pytest

from vio4wd.testing.daemon import Daemon, orderly
from vio4wd.testing.linux_guest import LinuxGuest
from vio4wd.testing.migration import INCOMING, PAUSED, memory_digest, migrate
from vio4wd.testing.switch import Switch
from vio4wd.testing.traffic import Flood, Ping, Stream
from vio4wd.testing.virtio_nic import VirtioNic

RELAYS = (1, 2)
GUEST = "10.1.0.2"
MEMORY_MB = 192
#: One migration of so many compares the memories of source and target.
COMPARED = 5

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def switch():
    with Switch("10.1.0.1/24") as made:
        yield made


@pytest.fixture(scope="module")
def daemon(place, switch):
    """A daemon with both relays on two workers; in the end it must leave nothing."""
    started = Daemon(
        place / "daemon",
        cpus=(0, 1),
        static=[f"net_af_packet{relay},iface={switch.port()}={relay}" for relay in RELAYS],
        options=["--enable-mrgbuf", "--virtio-cpu=1:0,1", "--virtio-cpu=2:1,0"],
    )
    with orderly(started):
        yield started


class Traveller:
    """A guest that moves from one QEMU to the next; `nics` are the places it can be at."""

    def __init__(self, nics, place, switch):
        self._nics = nics
        self._place = place
        self._switch = switch
        self._hops = 0
        self.guest = self._machine(nics[0])

    def _machine(self, nic, arguments=()):
        directory = self._place / f"guest{self._hops % 2}"
        namespace = self._switch if nic.tap else None
        return LinuxGuest([nic], directory, memory_mb=MEMORY_MB, namespace=namespace, arguments=arguments)

    def hop(self, where, *, compare=False):
        """Move to the NIC of this number; with `compare`, both memories must be the same."""
        self._hops += 1
        target = self._machine(self._nics[where], (*INCOMING, *(PAUSED if compare else ())))
        target.start(wait=False)
        source, self.guest = self.guest, target
        try:
            if self._nics[where].tap:
                self._switch.plug(self._nics[where].tap)
            # Packets that the guest has not seen when it stops lie in pages that only the relay has written.
            with Flood(self._switch, GUEST) if compare else contextlib.nullcontext():
                moved = migrate(source, target, self._place / "migration.sock")
            if compare:
                digests = [
                    memory_digest(guest, self._place / "memory", MEMORY_MB << 20)
                    for guest in (source, target)
                ]
                assert digests[0] == digests[1]
                target.qmp().command("cont")
        finally:
            source.close()
        print(f"migration {self._hops}: {moved}")

    def close(self):
        self.guest.close()


@pytest.fixture
def travel(place, switch):
    """A function that boots a guest at the first of some NICs and calls another with traffic under way."""

    def go(nics, itinerary):
        traveller = Traveller(nics, place, switch)
        try:
            traveller.guest.start()
            traveller.guest.configure("eth0", f"{GUEST}/24")
            with (
                Ping(switch, GUEST, place / "ping.log") as ping,
                Stream(switch, traveller.guest, GUEST) as stream,
            ):
                stream.wait_progress()
                for number, where in enumerate(itinerary):
                    traveller.hop(where, compare=number % COMPARED == 0)
                    stream.wait_progress()
                    ping.wait_answer()
                size = stream.finish()
                print(f"{ping.finish()}; {size / 1e6:.0f} MB of TCP there and back")
                # The guest never noticed: it runs since it was booted once.
                traveller.guest.check("true")
        finally:
            traveller.close()

    return go


@pytest.mark.parametrize(
    ("packed", "properties"),
    [(False, ()), (True, ("guest_announce=off",))],
    ids=["split, guest announces", "packed, relay announces"],
)
def test_there_and_back_between_relays(daemon, place, travel, packed, properties, pytestconfig):
    link = place / "link.sock"
    link.unlink(missing_ok=True)
    link.symlink_to(daemon.socket(RELAYS[1]))
    here = VirtioNic(daemon.socket(RELAYS[0]), packed=packed, properties=properties)
    there = dataclasses.replace(here, socket=link)
    travel([here, there], [1 - number % 2 for number in range(pytestconfig.getoption("--migrations"))])
    for relay in RELAYS:
        daemon.wait_no_guest(relay)


@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
def test_to_a_backend_that_is_not_ours_and_back(daemon, travel, packed):
    # The features must be such that both backends have them.
    ours = VirtioNic(daemon.socket(RELAYS[0]), packed=packed, offloads=False)
    qemus = dataclasses.replace(ours, tap="tap0")
    travel([ours, qemus], [1, 0])
