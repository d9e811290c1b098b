"""A guest behind a VF that a worker polls, and a peer behind another VF of the same NIC."""

import hashlib
import json
import re
import socket
import subprocess
import threading

import pytest

from vio4wd.testing import tcp
from vio4wd.testing.daemon import program
from vio4wd.testing.wait import wait_for

GUEST = "10.1.0.2"
PEER = "10.1.0.1"
#: Bytes of a TCP transfer. Emulated processors move some megabytes a second.
SIZE = 2_000_000
#: Datagrams whose way is counted.
COUNT = 300


def ping(namespace, address, *options, count=20, size=56):
    """Ping from a namespace; how many echoes came back."""
    output = namespace.run(
        *("ping", "-c", str(count), "-i", "0.2", "-W", "10", "-s", str(size), *options, address), timeout=120
    )
    return int(re.search(r"(\d+) received", output)[1])


def peers_counters(namespace):
    """Packets that the peer's VF has received and sent."""
    (link,) = json.loads(namespace.run("ip", "-s", "-j", "link", "show", "peer0"))
    return link["stats64"]["rx"]["packets"], link["stats64"]["tx"]["packets"]


def relays_counters(daemon):
    """Packets that relay 1 has passed to its VF and taken from it."""
    relay = daemon.snapshot().relays[1]
    return relay.vm_to_vf.packets_out, relay.vf_to_vm.packets_in


def inspected(daemon):
    """What vio4wd-inspect tells: the whole document, and the same two counters."""
    command = [program("vio4wd-inspect"), "--json", f"--pid-path={daemon.directory}"]
    document = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    (relay,) = (relay for relay in document["relays"] if relay["id"] == 1)
    return document, (relay["vm_to_vf"]["packets_out"], relay["vf_to_vm"]["packets_in"])


def test_vfs_are_bound_and_polled(daemon, vfs, record):
    """VFs bound by netdev name and by address, attached, polled by workers"""
    assert [vf.driver() for vf in vfs] == ["vfio-pci"] * 2
    relays = daemon.snapshot().relays
    for relay, vf in enumerate(vfs, 1):
        assert (relays[relay].device, relays[relay].pumped) == (vf.address, False)
        assert relays[relay].vf_state == "DPDK_READY"
    shown = subprocess.run(["lspci", "-k", "-d", "8086:10ca"], capture_output=True, text=True, check=True)
    record("lspci -k -d 8086:10ca", shown.stdout)


def test_ping(guest, peer):
    """Ping through VF, relay and guest"""
    assert ping(peer, GUEST) == 20


def test_counters_agree_with_the_peers(guest, peer, daemon, record):
    """Counters: what vio4wd-inspect says of the relay, the peer's VF says too"""
    assert ping(peer, GUEST, count=1) == 1  # both know each other's MAC address now
    before = relays_counters(daemon), peers_counters(peer)
    with guest.socket(kind=socket.SOCK_DGRAM) as sender:
        for _ in range(COUNT):
            sender.sendto(b"x" * 100, (PEER, 9))

    def since(relay):
        return [
            tuple(new - old for new, old in zip(now, then, strict=True))
            for now, then in zip((relay, peers_counters(peer)), before, strict=True)
        ]

    def agreed():
        relay, peers = since(relays_counters(daemon))
        return relay == peers and relay[0] >= COUNT

    # Answers that the port is closed, and ARP, come on top; the VF's driver counts every two seconds.
    wait_for(agreed, "the counters to agree", 120, 0.5)
    document, counters = inspected(daemon)
    relay, peers = since(counters)
    record("vio4wd-inspect --json", json.dumps(document, indent=1))
    record("packets from the guest and to it", f"by the relay {relay}, by the peer's VF {peers}")
    assert relay == peers


def exchange(guest, peer, to_guest):
    """Digest of what was sent over TCP between guest and peer, and of what arrived."""
    data = tcp.random_data(SIZE)
    listener, sender = (guest.socket(), peer.socket()) if to_guest else (peer.socket(), guest.socket())
    with listener, sender:
        listener.bind((GUEST if to_guest else PEER, 0))
        listener.listen(1)
        listener.settimeout(120)
        sender.settimeout(120)
        digest = hashlib.sha256()

        def receive():
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(120)
                while part := connection.recv(1 << 16):
                    digest.update(part)

        receiver = threading.Thread(target=receive)
        receiver.start()
        sender.connect(listener.getsockname())
        sender.sendall(data)
        sender.shutdown(socket.SHUT_WR)
        receiver.join(120)
    return hashlib.sha256(data).digest(), digest.digest()


@pytest.mark.parametrize("to_guest", [True, False], ids=["to the guest", "from the guest"])
def test_tcp(guest, peer, to_guest):
    """TCP, both ways"""
    sent, arrived = exchange(guest, peer, to_guest)
    assert sent == arrived


def test_jumbo_frames(guest, peer):
    """Jumbo frames"""
    assert ping(peer, GUEST, "-M", "do", count=5, size=8900) == 5
