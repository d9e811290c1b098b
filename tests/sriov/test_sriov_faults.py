"""What befalls a VF under traffic: its worker is killed, the kernel takes it away."""

import itertools
import os
import re
import signal
import socket
import threading
import time

import pytest
from port_requests import request

from vio4wd.control.proto.virtioforwarder_pb2 import PortControlRequest
from vio4wd.ports.attach import DESCRIPTORS
from vio4wd.testing.process import ChildProcess
from vio4wd.testing.wait import wait_for

GUEST = "10.1.0.2"
#: Seconds between two echo requests.
INTERVAL = 0.1
#: Packets that a killed worker may have had in its hands: a burst of each direction.
IN_HAND = 64
#: Packet buffers that the VF's driver has: those to receive into, and those sent, up to where it frees them.
HELD = 2 * DESCRIPTORS
LOST_BUFFERS = re.compile(r"(\d+) of \d+ packet buffers of \S+ did not come back")


class Pings:
    """Echo requests from a namespace until `close`."""

    def __init__(self, namespace, address, log):
        command = ["ping", "-D", "-n", "-i", str(INTERVAL), "-O", address]
        self._process = ChildProcess(namespace.prefix(command), log)

    def answered(self):
        """Sequence numbers of the requests that were answered so far, and when, seconds."""
        found = re.findall(r"^\[([\d.]+)\] .*icmp_seq=(\d+) ttl", self._process.output(), re.MULTILINE)
        return {int(number): float(when) for when, number in found}

    def latest(self):
        """The latest request of which is known what became of it."""
        return max((int(found) for found in re.findall(r"icmp_seq=(\d+)", self._process.output())), default=0)

    def wait_flowing(self):
        """Return when five requests in a row, sent from now on, were answered."""
        now = self.latest() + 1

        def five():
            answered = self.answered()
            return any(answered.keys() >= set(range(first, first + 5)) for first in range(now, self.latest()))

        wait_for(five, "echoes", 120, 0.5)

    def close(self):
        self._process.close()


@pytest.fixture
def pings(guest, peer, place):
    running = Pings(peer, GUEST, place / "pings.log")
    try:
        running.wait_flowing()
        yield running
    finally:
        running.close()


def test_a_killed_worker(daemon, pings, record):
    """A worker is killed while it polls a VF under traffic: the VF forwards again, buffers come back"""

    def used():
        relay = daemon.snapshot().relays[1]
        return relay.pool_size - relay.pool_free

    before, used_before, logged = daemon.snapshot(), used(), len(daemon.log())
    slot = before.relays[1].vf_to_vm.slot
    sent = pings.latest()
    os.kill(before.workers[slot].pid, signal.SIGKILL)
    pings.wait_flowing()
    answered = pings.answered()
    arrivals = [when for number, when in sorted(answered.items()) if number >= sent]
    pause = max(later - earlier for earlier, later in itertools.pairwise(arrivals))
    lost = set(range(sent, pings.latest())) - answered.keys()
    record(
        "killed worker",
        f"longest time between two echoes {pause:.2f} s, {len(lost)} lost, one sent each {INTERVAL} s",
    )
    wait_for(lambda: 0 < used() <= HELD + IN_HAND, "buffers to come back")
    lost_buffers = [int(number) for number in LOST_BUFFERS.findall(daemon.log()[logged:])]
    assert sum(lost_buffers) <= IN_HAND
    record("packet buffers", f"in use before {used_before}, after {used()}; lost {lost_buffers}")
    wait_for(lambda: daemon.snapshot().workers[slot].pid != before.workers[slot].pid, "a new worker", 180)
    wait_for(lambda: daemon.snapshot().workers[slot].state == "running", "the new worker to serve", 240)


@pytest.fixture
def receiving(daemon, vfs, flood):
    """Under a flood of frames for relay 2: whether it receives any within a second."""
    flood(vfs[1].mac)

    def tell():
        before = daemon.snapshot().relays[2].vf_to_vm.packets_in
        time.sleep(1)
        return daemon.snapshot().relays[2].vf_to_vm.packets_in > before

    wait_for(tell, "traffic for relay 2")
    return tell


def test_hot_unplug(daemon, nics, vfs, receiving, pings):
    """A NIC's VFs are taken away under traffic: its relay ends, others go on, and it can be added again"""
    logged = len(daemon.log())
    # The kernel waits until the daemon has let go.
    unplug = threading.Thread(target=nics[1].set_count, args=(0,), daemon=True)
    unplug.start()
    wait_for(lambda: daemon.snapshot().relays[2].device == "", "relay 2 to let go of its VF")
    unplug.join(60)
    assert not unplug.is_alive()
    pings.wait_flowing()
    assert not LOST_BUFFERS.search(daemon.log(), logged)

    nics[1].set_count(4)
    vfs[1].to_vfio()
    answer = request(daemon, PortControlRequest.ADD, vfs[1].address, virtio_id=2)
    assert answer.status, answer.error_code_source
    wait_for(receiving, "traffic for relay 2 again")


@pytest.fixture
def flood(far):
    """Sends frames to a MAC address from beyond the cables, a hundred a second, until the test ends."""
    ended = threading.Event()
    threads = []

    def begin(mac):
        frame = bytes.fromhex(mac.replace(":", "")) + bytes.fromhex("525400cc0000 88b5") + bytes(50)

        def send():
            with far.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
                sender.bind(("wire", 0))
                while not ended.wait(0.01):
                    sender.send(frame)

        threads.append(threading.Thread(target=send))
        threads[0].start()

    yield begin
    ended.set()
    for thread in threads:
        thread.join()
