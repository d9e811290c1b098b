"""Port control by OVSDB, with a real server and ovs-vsctl."""

import pytest
from fake_sysfs import FakeSysfs

from vio4wd.control import ovsdb
from vio4wd.control.decisions import Attached
from vio4wd.control.ovsdb import OvsdbMonitor
from vio4wd.control.ovsdb_idl import Credentials
from vio4wd.testing.memory_controller import MemoryController
from vio4wd.testing.openvswitch import OvsdbServer, free_port, make_certificate

ADD = "add-port br-virtio eth100 -- set interface eth100 external_ids:virtio_forwarder=1"


@pytest.fixture
def server(directory):
    with OvsdbServer(directory) as server:
        server.vsctl("add-br br-virtio")
        yield server


@pytest.fixture
def sysfs(tmp_path):
    made = FakeSysfs(tmp_path)
    for number in range(3):
        made.vf(f"0000:05:08.{number}", number + 40, "vfio-pci")
        made.netdev(f"eth10{number}", f"0000:05:08.{number}")
    return made


@pytest.fixture
def follow(loop_thread, sysfs):
    """Follows a remote; returns the controller."""
    monitors = []

    def begin(remote, credentials=None):
        controller = loop_thread.call(MemoryController)
        monitor = OvsdbMonitor(controller, remote, credentials, sysfs.root)
        loop_thread.run(monitor.start())
        monitors.append(monitor)
        return controller

    yield begin
    for monitor in monitors:
        loop_thread.run(monitor.close())


@pytest.fixture
def controller(follow, server):
    return follow(f"unix:{server.socket}")


@pytest.fixture
def becomes(wait_until):
    """Waits until just these relays have these devices."""

    def wait(controller, expected):
        wait_until(
            lambda: {relay: found.devices[0] for relay, found in controller.attached.items()} == expected,
            f"{expected}",
        )

    return wait


VF0, VF1, VF2 = ("0000:05:08.0", "0000:05:08.1", "0000:05:08.2")


def test_commands_of_the_guide(controller, server, becomes):
    server.vsctl(ADD)
    becomes(controller, {1: VF0})
    listed = server.shell("ovs-vsctl list interface eth100 | grep external_ids")
    assert listed.split() == ["external_ids", ":", '{virtio_forwarder="1"}']
    dumped = server.shell(
        "ovsdb-client --pretty -f list dump Interface name external_ids | \\\n"
        'grep -A2 -E "external_ids.*: {.+}"'
    )
    assert 'virtio_forwarder="1"' in dumped
    assert "eth100" in dumped
    server.vsctl("remove interface eth100 external_ids virtio_forwarder")
    becomes(controller, {})
    server.vsctl("set interface eth100 external_ids:virtio_forwarder=1")
    becomes(controller, {1: VF0})
    server.vsctl("del-port br-virtio eth100")
    becomes(controller, {})
    server.vsctl("add-port br-virtio eth100")
    server.vsctl("set interface eth100 external_ids:virtio_forwarder=2")
    becomes(controller, {2: VF0})


def test_interfaces_from_before_the_start(server, follow, becomes):
    server.vsctl(ADD)
    server.vsctl("add-port br-virtio eth101")
    becomes(follow(f"unix:{server.socket}"), {1: VF0})


def test_a_server_that_comes_later(directory, follow, becomes):
    controller = follow(f"unix:{directory}/db.sock")
    with OvsdbServer(directory) as server:
        server.vsctl("add-br br-virtio")
        server.vsctl(ADD)
        becomes(controller, {1: VF0})


def test_the_relay_is_the_one_configured_not_the_vfs_number(controller, server, becomes):
    server.vsctl("add-port br-virtio eth102 -- set interface eth102 external_ids:virtio_forwarder=5")
    becomes(controller, {5: VF2})


def test_the_older_spelling(controller, server, becomes):
    server.vsctl("add-port br-virtio eth100 -- set interface eth100 external_ids:virtio_relay=3")
    becomes(controller, {3: VF0})
    server.vsctl("set interface eth100 external_ids:virtio_forwarder=4")
    becomes(controller, {4: VF0})


def test_changes_of_relay_and_a_swap(controller, server, becomes):
    server.vsctl(ADD)
    server.vsctl("add-port br-virtio eth101 -- set interface eth101 external_ids:virtio_forwarder=2")
    becomes(controller, {1: VF0, 2: VF1})
    server.vsctl(
        "set interface eth100 external_ids:virtio_forwarder=2 "
        "-- set interface eth101 external_ids:virtio_forwarder=1"
    )
    becomes(controller, {1: VF1, 2: VF0})


def test_several_bridges(controller, server, becomes):
    server.vsctl("add-br br-other")
    server.vsctl(ADD)
    server.vsctl("add-port br-other eth101 -- set interface eth101 external_ids:virtio_forwarder=2")
    becomes(controller, {1: VF0, 2: VF1})
    server.vsctl("del-br br-other")
    becomes(controller, {1: VF0})


def test_a_server_that_restarts_meanwhile_changed(controller, server, becomes):
    server.vsctl(ADD)
    server.vsctl("add-port br-virtio eth101 -- set interface eth101 external_ids:virtio_forwarder=2")
    becomes(controller, {1: VF0, 2: VF1})
    server.stop()
    assert set(controller.attached) == {1, 2}
    server.start()
    server.vsctl("del-port br-virtio eth101")
    server.vsctl("add-port br-virtio eth102 -- set interface eth102 external_ids:virtio_forwarder=3")
    becomes(controller, {1: VF0, 3: VF2})


@pytest.mark.parametrize("value", ["64", "-1", "x", "1x", "'\"\"'", "99999999999", "²"])
def test_relays_that_do_not_exist(controller, server, becomes, wait_until, caplog, value):
    server.vsctl(f"add-port br-virtio eth100 -- set interface eth100 external_ids:virtio_forwarder={value}")
    wait_until(lambda: "is no relay: relays are 0 to 63" in caplog.text, "the complaint")
    server.vsctl("add-port br-virtio eth101 -- set interface eth101 external_ids:virtio_forwarder=2")
    becomes(controller, {2: VF1})


def test_devices_and_relays_that_become_free_later(
    controller, server, sysfs, becomes, wait_until, caplog, monkeypatch
):
    monkeypatch.setattr(ovsdb, "RETRY", 0.2)
    controller.attached[1] = Attached(("static",))
    server.vsctl(ADD)
    server.vsctl("add-port br-virtio eth200 -- set interface eth200 external_ids:virtio_forwarder=2")
    wait_until(lambda: "relay 1 has static" in caplog.text, "the complaint about the relay")
    wait_until(lambda: "there is no network device eth200" in caplog.text, "the complaint about the device")
    del controller.attached[1]
    sysfs.netdev("eth200")
    becomes(controller, {1: VF0, 2: "net_af_packet_eth200,iface=eth200"})
    assert caplog.text.count("there is no network device eth200") == 1


def test_two_interfaces_that_want_one_relay(controller, server, becomes, wait_until, caplog):
    server.vsctl(ADD)
    becomes(controller, {1: VF0})
    server.vsctl("add-port br-virtio eth101 -- set interface eth101 external_ids:virtio_forwarder=1")
    wait_until(lambda: "interface eth101: relay 1 has 0000:05:08.0" in caplog.text, "the complaint")
    server.vsctl("del-port br-virtio eth100")
    becomes(controller, {1: VF1})


def test_tcp(directory, follow, becomes):
    port = free_port()
    with OvsdbServer(directory, f"--remote=ptcp:{port}:127.0.0.1") as server:
        controller = follow(f"tcp:127.0.0.1:{port}")
        server.vsctl("add-br br-virtio")
        server.vsctl(ADD)
        becomes(controller, {1: VF0})


def test_ssl(directory, follow, becomes):
    port = free_port()
    key, certificate = make_certificate(directory)
    options = (f"--private-key={key}", f"--certificate={certificate}", f"--ca-cert={certificate}")
    with OvsdbServer(directory, f"--remote=pssl:{port}:127.0.0.1", *options) as server:
        controller = follow(f"ssl:127.0.0.1:{port}", Credentials(key, certificate, certificate))
        server.vsctl("add-br br-virtio")
        server.vsctl(ADD)
        becomes(controller, {1: VF0})
