"""Datagrams larger than a frame, left to the device to cut (UFO), arrive whole at a Linux socket.

No Linux guest does that any more (since 4.14), so the guest is a driver of our own.
"""

import ipaddress
import json
import random
import socket
import struct

import pytest

from vio4wd.testing.mock_guest import NetHeader
from vio4wd.testing.shared_guest import SharedGuest
from vio4wd.vhost.features import Virtio

DAEMON_OPTIONS = ["--enable-tso"]
RELAY = 1
PORT = 5001
SIZES = (1473, 9000, 60000)
ADDRESSES = {socket.AF_INET: ("10.1.0.2", "10.1.0.1"), socket.AF_INET6: ("fd00::2", "fd00::1")}
NEEDS_CHECKSUM, UDP_KIND = 1, 3  # flags and gso_type of the network header


@pytest.fixture(scope="module")
def attached(daemon, wire):
    """The daemon with the wire, which speaks IPv6 as well, on RELAY."""
    wire.add_ipv6(wire.inner, f"{ADDRESSES[socket.AF_INET6][1]}/64")
    daemon.attach(f"net_af_packet0,iface={wire.interface}", RELAY)
    return daemon


@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
def test_they_arrive_whole(attached, wire, packed):
    (link,) = json.loads(wire.run("ip", "-j", "link", "show", wire.inner))
    features = Virtio.CSUM | Virtio.HOST_UFO
    with SharedGuest(attached.socket(RELAY), 1, packed=packed, features=features) as guest:
        pair = guest.pairs[0]
        for family, (source, target) in ADDRESSES.items():
            with wire.socket(family, socket.SOCK_DGRAM) as receiver:
                receiver.settimeout(60)
                receiver.bind((target, PORT))
                for size in SIZES:
                    payload = random.Random(size).randbytes(size)
                    frame, header = datagram(link["address"], source, target, payload)
                    pair.send(frame, header=header)
                    pair.publish()
                    assert receiver.recv(1 << 16) == payload
                    pair.sent()
    attached.wait_no_guest(RELAY)


def datagram(mac, source, target, payload):
    """A frame with this datagram, its checksum left to the device, and the header that asks for fragments."""
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    length = 8 + len(payload)
    if len(addresses) == 8:
        kind, ip = 0x0800, struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 77, 0, 64, 17, 0)
        pseudo = addresses + struct.pack("!HH", 17, length)
    else:
        kind, ip = 0x86DD, struct.pack("!IHBB", 6 << 28, length, 17, 64)
        pseudo = addresses + struct.pack("!II", length, 17)
    total = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo))
    udp = struct.pack("!HHHH", 1000, PORT, length, total % 0xFFFF)
    link = bytes.fromhex(mac.replace(":", "")) + bytes.fromhex("525400000001") + struct.pack("!H", kind)
    transport = len(link + ip + addresses)
    header = NetHeader(NEEDS_CHECKSUM, UDP_KIND, transport + 8, 1448, transport, 6)
    return link + ip + addresses + udp + payload, header
