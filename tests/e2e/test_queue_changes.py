"""A guest changes the number of its queues under traffic: nothing stalls, and the relay loses nothing."""

import pytest

from vio4wd.testing.linux_guest import LinuxGuest
from vio4wd.testing.traffic import Ping, Stream
from vio4wd.testing.virtio_nic import VirtioNic
from vio4wd.testing.wait import wait_for

DAEMON_OPTIONS = ["--enable-mrgbuf"]
RELAY = 1
MAX_PAIRS = 4
CHANGES = (1, 3, 4, 2, 1, 4, 1, 3)
ADDRESS = "10.1.0.2"


@pytest.fixture(scope="module")
def attached(daemon, wire):
    """The daemon with the wire on relay 1."""
    daemon.attach(f"net_af_packet0,iface={wire.interface}", RELAY)
    return daemon


@pytest.mark.timeout(280)
@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
def test_the_number_of_queues_changes_under_traffic(attached, wire, place, packed):
    def relay():
        return attached.snapshot().relays[RELAY]

    nic = VirtioNic(attached.socket(RELAY), queue_pairs=MAX_PAIRS, packed=packed)
    with LinuxGuest([nic], place / "guest", cpus=MAX_PAIRS) as guest:
        guest.configure("eth0", f"{ADDRESS}/24")
        wait_for(lambda: relay().queue_pairs == MAX_PAIRS, "the guest to use all of its queues")
        before = relay()
        with Ping(wire, ADDRESS, place / "ping.log") as ping, Stream(wire, guest, ADDRESS) as stream:
            for pairs in CHANGES:
                guest.check(f"ethtool -L eth0 combined {pairs}")
                wait_for(lambda pairs=pairs: relay().queue_pairs == pairs, f"{pairs} queues to be served")
                ping.wait_answer()
                stream.wait_progress()
            assert stream.finish() > 0
            pings = ping.finish()
        after = relay()
        in_guest = sum(
            int(guest.check(f"cat /sys/class/net/eth0/statistics/{name}"))
            for name in ("rx_dropped", "tx_dropped", "rx_errors", "tx_errors")
        )

    assert after.vf_to_vm.dropped == before.vf_to_vm.dropped
    assert after.vm_to_vf.dropped_full == before.vm_to_vf.dropped_full
    assert after.vm_to_vf.dropped_invalid == before.vm_to_vf.dropped_invalid
    # The driver tells the device first and then moves its senders to the queues that stay: what it puts
    # into the others meanwhile is discarded, as the specification has it. Ping's end may cut off an echo.
    discarded = after.vm_to_vf.dropped_unconnected - before.vm_to_vf.dropped_unconnected
    assert pings.sent - pings.received <= discarded + in_guest + 1
