"""Ways of control that exclude those of the daemon of the other tests: by the names of VFs' network devices,
and with sockets that come and go."""

import subprocess

import pytest
from port_requests import request as ask

from vio4wd.control.proto.virtioforwarder_pb2 import PortControlRequest
from vio4wd.testing.daemon import Daemon
from vio4wd.testing.openvswitch import OvsdbServer
from vio4wd.testing.wait import wait_for


class ByName(Daemon):
    """Without port control over ZeroMQ."""

    def command(self):
        return [word for word in super().command() if not word.startswith("--zmq-port-control-ep")]


@pytest.fixture
def start(place, request):
    """Starts a daemon of a kind with an option, which stops in the end."""
    started = []

    def begin(kind, option):
        daemon = kind(place / request.function.__name__, options=[option, "--idle=adaptive"])
        started.append(daemon)
        daemon.start()
        return daemon

    yield begin
    for daemon in started:
        daemon.close()


def device_of(daemon, relay):
    return daemon.snapshot().relays[relay].device


def test_sockets_that_come_and_go(spare, place, start):
    """add_sock, query_pci and remove_sock by PCI address"""
    path = place / "own.sock"
    daemon = start(Daemon, "--dynamic-sockets")
    assert ask(daemon, PortControlRequest.ADD_SOCK, spare.address, vhost_path=str(path)).status
    assert path.is_socket()
    assert ask(daemon, PortControlRequest.QUERY_PCI, vhost_path=str(path)).query_string == spare.address
    assert ask(daemon, PortControlRequest.REMOVE_SOCK, spare.address, vhost_path=str(path)).status
    assert not path.exists()


def set_up(vf):
    """The VF's network device, which is up."""
    subprocess.run(["ip", "link", "set", vf.netdev(), "up"], check=True, timeout=60)
    return vf.netdev()


def test_ovsdb(nics, place, start):
    """OVSDB: a VF's network device is attached to the relay of its row, and detached with it"""
    netdev = set_up(nics[0].vfs()[3])
    directory = place / "ovsdb"
    directory.mkdir()
    with OvsdbServer(directory) as server:
        daemon = start(ByName, f"--ovsdb-sock={server.socket}")
        server.vsctl("add-br br0")
        server.vsctl(f"add-port br0 {netdev} -- set interface {netdev} external_ids:virtio_forwarder=5")
        wait_for(lambda: device_of(daemon, 5), "the row to be followed")
        assert device_of(daemon, 5).endswith(f"iface={netdev}")
        server.vsctl(f"del-port {netdev}")
        wait_for(lambda: device_of(daemon, 5) == "", "the row's end to be followed")


def test_command_file(nics, place, start):
    """Command file: a VF's network device is attached to the relay with the VF's number"""
    netdev = set_up(nics[1].vfs()[3])
    file = place / "command"
    daemon = start(ByName, f"--ipc={file}")
    for command, expected in (("add_port", f"iface={netdev}"), ("del_port", "")):
        file.write_text(f"{command} {netdev}\n")
        wait_for(lambda: not file.exists(), "the command to be carried out")
        assert device_of(daemon, 3).partition(",")[2] == expected
