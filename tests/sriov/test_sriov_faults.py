"""What befalls a VF under traffic: its worker is killed, the kernel takes it away, its cable is pulled."""

import os
import re
import signal
import socket
import threading

import pytest
from port_requests import request

from vio4wd.control.proto.virtioforwarder_pb2 import PortControlRequest
from vio4wd.testing.process import ChildProcess
from vio4wd.testing.wait import wait_for

GUEST = "10.1.0.2"
#: Seconds between two echo requests.
INTERVAL = 0.2


class Pings:
    """Echo requests from a namespace until `close`."""

    def __init__(self, namespace, address, log):
        self._process = ChildProcess(namespace.prefix(["ping", "-i", str(INTERVAL), "-O", address]), log)

    def answered(self):
        """Sequence numbers of the requests that were answered so far."""
        return {int(found) for found in re.findall(r"icmp_seq=(\d+) ttl", self._process.output())}

    def latest(self):
        """The latest request of which is known what became of it."""
        return max((int(found) for found in re.findall(r"icmp_seq=(\d+)", self._process.output())), default=0)

    def wait_flowing(self):
        """Return when five requests in a row, sent from now on, were answered."""
        now = self.latest() + 1

        def five():
            answered = self.answered()
            return any(
                set(range(first, first + 5)) <= answered for first in range(now + 1, self.latest() + 1)
            )

        wait_for(five, "echoes", 120)

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
    """A worker is killed while it polls a VF under traffic: the VF forwards again"""
    before = daemon.snapshot()
    slot = before.relays[1].vf_to_vm.slot
    sent = pings.latest()
    os.kill(before.workers[slot].pid, signal.SIGKILL)
    pings.wait_flowing()
    lost = set(range(sent, pings.latest())) - pings.answered()
    record("killed worker", f"{len(lost)} echoes lost, one each {INTERVAL} s")
    wait_for(lambda: daemon.snapshot().workers[slot].pid != before.workers[slot].pid, "a new worker")
    wait_for(lambda: daemon.snapshot().workers[slot].state == "running", "the new worker to serve", 180)


def test_hot_unplug(daemon, nics, vfs, pings, flood):
    """A NIC's VFs are taken away under traffic: its relay ends, others go on, and it can be added again"""
    relays = lambda: daemon.snapshot().relays  # noqa: E731
    flood(vfs[1].mac)
    before = relays()[2].vf_to_vm.packets_in
    wait_for(lambda: relays()[2].vf_to_vm.packets_in > before, "traffic for relay 2")
    # The kernel waits until the daemon has let go.
    unplug = threading.Thread(target=nics[1].set_count, args=(0,), daemon=True)
    unplug.start()
    wait_for(lambda: relays()[2].device == "", "relay 2 to let go of its VF")
    unplug.join(60)
    assert not unplug.is_alive()
    pings.wait_flowing()

    nics[1].set_count(4)
    vfs[1].to_vfio()
    answer = request(daemon, PortControlRequest.ADD, vfs[1].address, virtio_id=2)
    assert answer.status, answer.error_code_source
    before = relays()[2].vf_to_vm.packets_in
    wait_for(lambda: relays()[2].vf_to_vm.packets_in > before, "traffic for relay 2 again")


@pytest.fixture
def flood():
    """Sends frames to a MAC address from beyond the cables, a hundred a second, until the test ends."""
    ended = threading.Event()
    threads = []

    def begin(mac):
        frame = bytes.fromhex(mac.replace(":", "")) + bytes.fromhex("525400cc0000 88b5") + bytes(50)

        def send():
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
                sender.bind(("wire", 0))
                while not ended.wait(0.01):
                    sender.send(frame)

        threads.append(threading.Thread(target=send))
        threads[0].start()

    yield begin
    ended.set()
    for thread in threads:
        thread.join()
