"""Port control by the names of VFs' network devices. Each way excludes the others and has its own daemon."""

import pytest

from vio4wd.testing.daemon import Daemon
from vio4wd.testing.openvswitch import OvsdbServer
from vio4wd.testing.wait import wait_for


class ByName(Daemon):
    """A daemon without port control over ZeroMQ."""

    def command(self):
        return [word for word in super().command() if not word.startswith("--zmq-port-control-ep")]


@pytest.fixture
def start(place, request):
    """Starts a daemon with an option, which stops in the end."""
    started = []

    def begin(option):
        daemon = ByName(place / request.function.__name__, options=[option, "--idle=adaptive"])
        started.append(daemon)
        daemon.start()
        return daemon

    yield begin
    for daemon in started:
        daemon.close()


def device_of(daemon, relay):
    return daemon.snapshot().relays[relay].device


def test_ovsdb(nics, place, start):
    """OVSDB: a VF's network device is attached to the relay of its row, and detached with it"""
    netdev = nics[0].vfs()[3].netdev()
    directory = place / "ovsdb"
    directory.mkdir()
    with OvsdbServer(directory) as server:
        daemon = start(f"--ovsdb-sock={server.socket}")
        server.vsctl("add-br br0")
        server.vsctl(f"add-port br0 {netdev} -- set interface {netdev} external_ids:virtio_forwarder=5")
        wait_for(lambda: device_of(daemon, 5), "the row to be followed")
        assert device_of(daemon, 5).endswith(f"iface={netdev}")
        server.vsctl(f"del-port {netdev}")
        wait_for(lambda: device_of(daemon, 5) == "", "the row's end to be followed")


def test_command_file(nics, place, start):
    """Command file: a VF's network device is attached to the relay with the VF's number"""
    netdev = nics[1].vfs()[3].netdev()
    file = place / "command"
    daemon = start(f"--ipc={file}")
    for command, expected in (("add_port", f"iface={netdev}"), ("del_port", "")):
        file.write_text(f"{command} {netdev}\n")
        wait_for(lambda: not file.exists(), "the command to be carried out")
        assert device_of(daemon, 3).partition(",")[2] == expected
