"""What the settings ask for is started, and nothing is left of it."""

from pathlib import Path

import pytest
from raw_messages import message, read

from vio4wd.config.options import Settings
from vio4wd.control.ipc import EndpointInUseError
from vio4wd.control.plane import ControlPlane
from vio4wd.testing.memory_controller import MemoryController


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def plane(loop_thread):
    """Makes planes for settings; closes them at the end."""
    made = []

    def make(**fields):
        controller = loop_thread.call(MemoryController)
        plane = ControlPlane(Settings(cpus=(1,), **fields), controller, lambda: None)
        made.append(plane)
        return plane, controller

    yield make
    for plane in made:
        loop_thread.run(plane.close())


def test_nothing_asked_for_nothing_started(plane, loop_thread):
    nothing, _ = plane()
    before = open_files()
    loop_thread.run(nothing.start())
    assert open_files() == before


def test_a_command_file(plane, loop_thread, tmp_path, wait_until):
    path = tmp_path / "vio_cmd"
    commands, controller = plane(ipc=path)
    loop_thread.run(commands.start())
    path.write_text("add_port lo 3")
    wait_until(lambda: not path.exists(), "removal of the command file")
    assert controller.attached[3].devices == ("net_af_packet_lo,iface=lo",)
    loop_thread.run(commands.close())
    path.write_text("add_port lo 4")
    assert list(controller.attached) == [3]


def test_an_ovsdb_monitor(plane, loop_thread, tmp_path):
    monitor, _ = plane(ovsdb_sock=f"unix:{tmp_path}/db.sock")
    before = open_files()
    loop_thread.run(monitor.start())
    loop_thread.run(monitor.close())
    assert open_files() == before


def test_what_was_started_is_stopped_when_the_rest_fails(daemon, plane, loop_thread, tmp_path):
    before = open_files()
    late, _ = plane(
        zmq_port_control_ep=f"ipc://{tmp_path}/mine/port_control", zmq_config_ep=daemon.address("config")
    )
    with pytest.raises(EndpointInUseError):
        loop_thread.run(late.start())
    assert not (tmp_path / "mine").exists()
    assert open_files() == before
    assert read(daemon.ask("config", b"")) == {1: [0]}


def test_only_named_endpoints_are_served(plane, loop_thread, tmp_path):
    some, _ = plane(zmq_config_ep=f"ipc://{tmp_path}/zmq/config")
    loop_thread.run(some.start())
    assert [path.name for path in (tmp_path / "zmq").iterdir()] == ["config"]


def test_requests_under_way_do_not_delay_the_end(start_daemon, tmp_path):
    daemon = start_daemon()
    client = daemon.client("stats")
    client.send(message((3, 60_000)))
    daemon.close()
    assert not (tmp_path / "zmq").exists()
