"""Many queue pairs: all of them carry traffic, and the packets of a flow stay on one queue in their order."""

import time

import pytest
from numbered_flows import check_order, exchange

from vio4wd.testing.shared_guest import SharedGuest
from vio4wd.testing.testpmd import Testpmd, virtio_user
from vio4wd.testing.wait import wait_for

RELAY = 1
PAIRS = 32
#: What each pair sends in a round: of all pairs together less than the VF's ring (1024) holds.
FLOWS = 8
PACKETS = 3
ROUNDS = 10

TESTPMD_RELAY = 2
TESTPMD_PAIRS = 8  # the most that DPDK's virtio-user has


@pytest.mark.timeout(240)
@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
def test_flows_of_32_pairs_stay_in_order(daemon, packed):
    daemon.attach(f"net_ring{int(packed)}", RELAY)  # returns what it gets
    try:
        with SharedGuest(daemon.socket(RELAY), PAIRS, packed=packed) as guest:
            for pair in guest.pairs:
                pair.fill(256)
            daemon.wait_guest(RELAY)
            wait_for(lambda: daemon.snapshot().relays[RELAY].queue_pairs == PAIRS, "all pairs to be served")
            before = packets_by_queue(daemon)
            arrived = [[] for _ in range(PAIRS)]  # (flow, number) by receiving queue pair
            for number in range(ROUNDS):
                exchange(guest, number, arrived, FLOWS, PACKETS)
            guest.check()
            moved = {index: count - before[index] for index, count in packets_by_queue(daemon).items()}
        daemon.wait_no_guest(RELAY)
    finally:
        daemon.detach(f"net_ring{int(packed)}", RELAY)

    assert [moved[2 * pair + 1] for pair in range(PAIRS)] == [ROUNDS * FLOWS * PACKETS] * PAIRS
    assert [moved[2 * pair] for pair in range(PAIRS)] == [len(packets) for packets in arrived]
    assert all(arrived)
    check_order(arrived, PAIRS * FLOWS, ROUNDS * PACKETS)


def packets_by_queue(daemon, relay=RELAY):
    return {queue.index: queue.packets for queue in daemon.snapshot().relays[relay].queues if queue.ready}


@pytest.mark.timeout(120)
def test_eight_pairs_of_a_fast_guest_all_carry_traffic(daemon, place):
    options = f"socket={place}/memif.sock,socket-abstract=no,id=0"
    daemon.attach(f"net_memif0,role=server,{options}", TESTPMD_RELAY)
    far_end = Testpmd([f"net_memif0,role=client,{options}"], place / "far", mode="flowgen")
    guest = Testpmd(
        [virtio_user(daemon.socket(TESTPMD_RELAY), queues=TESTPMD_PAIRS)],
        place / "guest",
        mode="txonly",
        queues=TESTPMD_PAIRS,
    )
    with far_end, guest:
        wait_for(lambda: "Link status: up" in far_end.command("show port info 0"), "the memif's link")
        wait_for(
            lambda: daemon.snapshot().relays[TESTPMD_RELAY].queue_pairs == TESTPMD_PAIRS,
            "all pairs to be served",
        )
        guest.start()
        everywhere(daemon, range(1, 2 * TESTPMD_PAIRS, 2), "each queue to send")
        guest.stop()
        guest.set_mode("rxonly")
        guest.start()
        far_end.start()
        everywhere(daemon, range(0, 2 * TESTPMD_PAIRS, 2), "each queue to receive")
        far_end.stop()
        guest.stop()


def everywhere(daemon, queues, what):
    """Return when each of the queues has moved packets twice from now on."""
    for _ in range(2):
        before = packets_by_queue(daemon, TESTPMD_RELAY)
        wait_for(
            lambda before=before: all(
                packets_by_queue(daemon, TESTPMD_RELAY)[queue] > before[queue] for queue in queues
            ),
            what,
        )
        time.sleep(0.1)
