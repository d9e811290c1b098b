"""Bad input gets one clear answer, and a relay that forwards meanwhile goes on."""

import random
import socket
import struct
import subprocess

import pytest
import zmq

from vio4wd.control.proto.virtioforwarder_pb2 import PortControlRequest, PortControlResponse, StatsResponse
from vio4wd.testing.daemon import Daemon, DaemonError, program
from vio4wd.testing.testpmd import Testpmd, virtio_user
from vio4wd.testing.wait import wait_for

RELAY = 1
OTHER = 2

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def forwarding(daemon, place):
    """The daemon with a guest that sends and receives on relay 1 all the time."""
    daemon.attach("net_null0,size=64", RELAY)
    with Testpmd([virtio_user(daemon.socket(RELAY))], place / "guest") as guest:
        guest.start()
        check_forwarding(daemon)
        yield daemon


@pytest.fixture(autouse=True)
def _forwards_afterwards(forwarding):
    workers = forwarding.worker_pids()
    yield
    check_forwarding(forwarding)
    assert forwarding.worker_pids() == workers


def check_forwarding(daemon):
    """Both directions of relay 1 move packets."""

    def moved():
        return [direction.packets_out for direction in daemon.snapshot().relays[RELAY].directions]

    start = moved()
    wait_for(lambda: all(new > old for new, old in zip(moved(), start, strict=True)), "packets on relay 1")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--no-such-option"], ["--no-such-option"]),
        (["--cpus=999"], ["999"]),
        (["--cpus=one"], ["one"]),
        ([], ["--cpus"]),
        (["--cpus=1", "--add-pci-vf=0000:01:02.3=64"], ["64"]),
        (["--cpus=1", "--virtio-cpu=1:0"], ["CPU 0"]),
        (["--cpus=1", "--vhost-socket=plain.sock"], ["%u"]),
        (["--cpus=1", "--config=/nowhere/at/all"], ["/nowhere/at/all"]),
    ],
)
def test_bad_options(arguments, words):
    result = subprocess.run(
        [program("vio4wd-master"), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


def test_a_second_daemon_in_the_same_place(forwarding):
    second = Daemon(forwarding.directory)
    result = subprocess.run(second.command(), capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert str(forwarding.pid) in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("device", "relay", "words"),
    [
        ("net_null5", 64, ["64"]),
        ("net_af_packet5,iface=nothere0", OTHER, ["net_af_packet5", "No such device"]),
        ("net_no_such_driver0", OTHER, ["net_no_such_driver0"]),
        ("0000:ff:1f.7", OTHER, ["0000:ff:1f.7"]),
        ("", OTHER, []),
        ("net_null5", RELAY, ["net_null0"]),
        ("net_null0,size=64", OTHER, ["net_null0"]),
    ],
)
def test_bad_devices(forwarding, device, relay, words):
    with pytest.raises(DaemonError) as refusal:
        forwarding.attach(device, relay)
    message = str(refusal.value)
    assert message
    assert "\n" not in message
    for word in words:
        assert word in message
    assert forwarding.snapshot().relays[OTHER].device == ""


@pytest.mark.parametrize("frame", [b"", b"\xff" * 100, b"\x08", b"\x0a\xff\xff\xff\xff\x0f", bytes(1 << 20)])
@pytest.mark.parametrize(
    ("service", "response_type", "fine"),
    [
        ("port_control", PortControlResponse, PortControlResponse.OK),
        ("stats", StatsResponse, StatsResponse.OK),
    ],
)
def test_malformed_requests(forwarding, service, response_type, fine, frame):
    with zmq.Context() as context, context.socket(zmq.REQ) as client:
        client.setsockopt(zmq.LINGER, 0)
        client.setsockopt(zmq.RCVTIMEO, 30_000)
        client.connect(forwarding.endpoint(service))
        client.send(frame)
        response = response_type.FromString(client.recv())
    if frame or service == "port_control":  # nothing at all is a fine question for statistics
        assert response.status != fine


def test_a_client_that_does_not_wait_for_its_answer(forwarding):
    request = PortControlRequest(op=PortControlRequest.QUERY_PCI, vhost_path="/nowhere").SerializeToString()
    with zmq.Context() as context:
        for _ in range(200):
            with context.socket(zmq.REQ) as client:
                client.setsockopt(zmq.LINGER, 100)
                client.connect(forwarding.endpoint("port_control"))
                client.send(request)
    with pytest.raises(DaemonError):
        forwarding.attach("net_null5", 64)


def message(request, payload=b"", flags=1, size=None):
    """A vhost-user message; `size` instead of the payload's true one."""
    return struct.pack("<III", request, flags, len(payload) if size is None else size) + payload


GARBAGE = {
    "random bytes": random.Random(1).randbytes(4096),
    "a size of 4 GiB": message(1, size=0xFFFFFFFF),
    "a message that does not exist": message(9999),
    "the wrong version": message(1, flags=3),
    "features that were not offered": message(2, struct.pack("<Q", 2**64 - 1)),
    "a memory table without files": message(5, struct.pack("<IIQQQQ", 1, 0, 0, 4096, 0, 0)),
    "a memory table of a million regions": message(5, struct.pack("<II", 1_000_000, 0)),
    "a ring number out of range": message(8, struct.pack("<II", 0x10000, 256)),
    "a ring without entries": message(8, struct.pack("<II", 0, 0)),
    "a ring larger than virtio allows": message(8, struct.pack("<II", 0, 65536)),
    "addresses before a memory table": message(9, struct.pack("<IIQQQQ", 0, 0, 1 << 63, 1 << 63, 1 << 63, 0)),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_vhost_user_garbage(forwarding, garbage):
    """The connection is closed, with the reason in the log; the socket takes the next frontend."""
    logged = len(forwarding.log())
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as frontend:
        frontend.settimeout(30)
        frontend.connect(str(forwarding.socket(OTHER)))
        frontend.sendall(garbage)
        assert closed(frontend)
    wait_for(lambda: f"relay {OTHER}" in forwarding.log()[logged:], "a line in the log")
    assert "Traceback" not in forwarding.log()


@pytest.mark.parametrize("length", range(0, 20, 3))
def test_a_frontend_that_stops_in_the_middle(forwarding, length):
    whole = message(2, struct.pack("<Q", 0))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as frontend:
        frontend.connect(str(forwarding.socket(OTHER)))
        frontend.sendall(whole[:length])
        check_forwarding(forwarding)


def closed(frontend):
    """The other side ends the connection, whatever it may say before."""
    try:
        while frontend.recv(4096):
            pass
    except ConnectionError:
        pass
    return True
