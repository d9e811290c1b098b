"""What a NIC lets through to a VF that a relay has, and out of it: MAC addresses and VLAN tags.

Frames for relay 5 come from the peer, in the order in which they are sent: when the last has arrived, the
ones before it would have.
"""

import contextlib
import re
import socket
import struct

import pytest
from port_requests import request

from vio4wd.control.proto.virtioforwarder_pb2 import PortControlRequest
from vio4wd.testing.wait import wait_for

RELAY = 5
VLAN = 100
#: One that the NIC gives to nobody but the peer.
OTHER_VLAN = 7
#: For experiments (IEEE 802).
ETHERTYPE = 0x88B5
BROADCAST = "ff:ff:ff:ff:ff:ff"


def frame(source, destination, vlan=None):
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    addresses = bytes.fromhex((destination + source).replace(":", ""))
    return addresses + tag + struct.pack("!H", ETHERTYPE) + bytes(50)


@contextlib.contextmanager
def attached(daemon, vf):
    """The VF is relay 5's; yields a function that tells how many frames it has received since."""
    answer = request(daemon, PortControlRequest.ADD, vf.address, virtio_id=RELAY)
    assert answer.status, answer.error_code_source
    try:
        yield lambda: daemon.snapshot().relays[RELAY].vf_to_vm.packets_in
    finally:
        request(daemon, PortControlRequest.REMOVE, vf.address, virtio_id=RELAY)


@pytest.fixture
def sender(peer):
    """A socket that sends frames from the peer."""
    with peer.socket(socket.AF_PACKET, socket.SOCK_RAW) as made:
        made.bind(("peer0", 0))
        yield made


def only_these_arrive(sender, received, wanted, others):
    before = received()
    for sent in (*others, *wanted):
        sender.send(sent)
    wait_for(lambda: received() - before >= len(wanted), "the frames to arrive", 60)
    assert received() - before == len(wanted)


def test_mac_address(daemon, nics, spare, sender):
    """MAC address: the NIC's for the VF, promiscuous or not; another one after it was changed"""
    other = "52:54:00:bb:00:77"
    source = nics[0].vfs()[1].mac
    to_own, to_other, to_all = (frame(source, mac) for mac in (spare.mac, other, BROADCAST))
    with attached(daemon, spare) as received:
        only_these_arrive(sender, received, [to_own, to_all], [to_other])
    nics[0].set_mac(spare, other)
    try:
        with attached(daemon, spare) as received:
            only_these_arrive(sender, received, [to_other, to_all], [to_own])
    finally:
        nics[0].set_mac(spare, spare.mac)


@pytest.fixture
def vlan_peer(peer):
    """The peer's interface in a VLAN, of which its VF is a member then."""
    made = []

    def make(number, *address):
        name = f"peer0.{number}"
        peer.run(*f"ip link add link peer0 name {name} type vlan id {number}".split())
        made.append(name)
        for own in address:
            peer.run("ip", "address", "add", own, "dev", name)
        peer.run("ip", "link", "set", name, "up")
        return name

    yield make
    for name in made:
        peer.run("ip", "link", "delete", name)


def test_tags_of_the_guests(daemon, guest, peer, nics, vfs, vlan_peer, sender, spare):
    """VLAN tags of a guest: leave as they are; come in for VLANs only that the NIC has given the VF"""
    mac = nics[0].vfs()[1].mac
    interface = vlan_peer(OTHER_VLAN)
    with peer.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE)) as receiver:
        receiver.bind((interface, ETHERTYPE))
        receiver.settimeout(60)
        with guest.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
            out.bind((guest.interface, 0))
            out.send(frame(vfs[0].mac, mac, OTHER_VLAN))
        assert receiver.recv(2048) == frame(vfs[0].mac, mac)  # the interface has taken the tag off
    with attached(daemon, spare) as received:
        tagged, untagged = frame(mac, spare.mac, OTHER_VLAN), frame(mac, spare.mac)
        only_these_arrive(sender, received, [untagged], [tagged])


def test_vlan_of_the_nic(guest, peer, nics, vfs, vlan_peer):
    """VLAN that the NIC gives a VF: tagged for the others, untagged for the guest"""

    def answers(address):
        output = peer.run("sh", "-c", f"ping -c 3 -i 0.2 -W 3 {address} || true")
        return int(re.search(r"(\d+) received", output)[1])

    guest.run("ip", "address", "add", "10.4.0.2/24", "dev", guest.interface)
    vlan_peer(VLAN, "10.4.0.1/24")
    assert answers("10.1.0.2") == 3
    nics[0].set_vlan(vfs[0], VLAN)
    try:
        wait_for(lambda: answers("10.4.0.2") == 3, "echoes in the VLAN", 60)
        assert answers("10.1.0.2") == 0, "frames without the tag are not for this VF"
    finally:
        nics[0].set_vlan(vfs[0], 0)
    wait_for(lambda: answers("10.1.0.2") == 3, "echoes without VLAN", 60)
