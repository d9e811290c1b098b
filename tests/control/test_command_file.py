"""Port control by a text file."""

import os

import pytest
from fake_sysfs import FakeSysfs

from vio4wd.control.command_file import CommandFile
from vio4wd.testing.memory_controller import MemoryController


@pytest.fixture
def sysfs(tmp_path):
    made = FakeSysfs(tmp_path / "root")
    made.vf("0000:05:08.1", 1, "vfio-pci")
    made.vf("0000:05:08.2", 2, "igbvf")
    made.vf("0000:05:10.0", 64, "vfio-pci")
    made.netdev("eth1", "0000:05:08.1")
    made.netdev("eth2", "0000:05:08.2")
    made.netdev("eth64", "0000:05:10.0")
    made.netdev("veth0")
    return made


class Operator:
    """Writes commands and reads what became of them."""

    def __init__(self, directory, wait_until) -> None:
        self.path = directory / "vio_cmd"
        self.result = directory / "vio_cmd.result"
        self._wait_until = wait_until

    def command(self, text: str) -> list[str]:
        self.path.write_text(text)
        self._wait_until(lambda: not self.path.exists(), "removal of the command file")
        return self.result.read_text().splitlines()


@pytest.fixture
def start(loop_thread, tmp_path, sysfs):
    """Starts to watch; returns the controller."""
    watchers = []

    def begin(path=None):
        controller = loop_thread.call(MemoryController)
        watcher = CommandFile(controller, path or tmp_path / "vio_cmd", sysfs.root)
        loop_thread.run(watcher.start())
        watchers.append(watcher)
        return controller

    yield begin
    for watcher in watchers:
        loop_thread.run(watcher.close())
        loop_thread.run(watcher.close())


@pytest.fixture
def operator(tmp_path, wait_until):
    return Operator(tmp_path, wait_until)


def test_add_and_delete_as_the_old_daemon_took_them(start, operator):
    controller = start()
    assert operator.command("add_port eth1\n") == ["OK: add_port eth1: 0000:05:08.1 is attached to relay 1"]
    assert controller.attached[1].devices == ("0000:05:08.1",)
    assert operator.command("add_port eth2") == [
        "OK: add_port eth2: net_af_packet_eth2,iface=eth2 is attached to relay 2"
    ]
    assert operator.command("del_port eth1\n") == [
        "OK: del_port eth1: 0000:05:08.1 is not attached to relay 1"
    ]
    assert list(controller.attached) == [2]


def test_any_device_with_a_relay_of_choice(start, operator):
    controller = start()
    operator.command("add_port veth0 7")
    assert controller.attached[7].devices == ("net_af_packet_veth0,iface=veth0",)
    operator.command("del_port veth0")
    assert controller.attached == {}


def test_several_commands_in_one_file(start, operator):
    controller = start()
    lines = operator.command("add_port eth1\n\nadd_port nothere\nadd_port eth2\n")
    assert [line.split(":")[0] for line in lines] == ["OK", "ERROR", "OK"]
    assert sorted(controller.attached) == [1, 2]


def test_a_device_that_left_the_kernel_can_be_deleted(start, operator, sysfs):
    controller = start()
    operator.command("add_port eth1")
    sysfs.remove_netdev("eth1")
    assert operator.command("del_port eth1")[0].startswith("OK")
    assert controller.attached == {}


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("add_port", "commands are: add_port NETDEV [RELAY], del_port NETDEV"),
        ("add_port a b c", "commands are:"),
        ("a eth1", "commands are:"),
        ("add_portx eth1", "commands are:"),
        ("del_port", "commands are:"),
        ("reboot", "commands are:"),
        ("add_port nothere", "there is no network device nothere"),
        ("add_port ../../etc", "cannot be the name of a network device"),
        ("add_port veth0", "no VF, so its relay must be given: add_port veth0 RELAY"),
        ("add_port veth0 64", "there is no relay 64"),
        ("add_port veth0 x", "there is no relay x"),
        ("add_port veth0 ²", "there is no relay ²"),
        ("add_port eth64", "VF 64, and relays are 0 to 63"),
        ("del_port veth0", "its relay must be given"),
    ],
)
def test_bad_commands_are_told_in_the_result(start, operator, command, reason):
    controller = start()
    (line,) = operator.command(command)
    assert line.startswith("ERROR: ")
    assert reason in line
    assert controller.attached == {}


def test_what_the_controller_refuses_is_told(start, operator):
    controller = start()
    operator.command("add_port eth1")
    assert operator.command("add_port veth0 1") == [
        "ERROR: add_port veth0 1: relay 1 has 0000:05:08.1: remove that first"
    ]
    controller.broken.add("net_af_packet_eth2,iface=eth2")
    assert "does not exist" in operator.command("add_port eth2")[0]


def test_a_file_from_before_the_start(start, operator, wait_until):
    operator.path.write_text("add_port eth1")
    controller = start()
    wait_until(lambda: not operator.path.exists(), "removal of the command file")
    assert 1 in controller.attached


def test_a_file_that_is_moved_into_place(start, operator, tmp_path, wait_until):
    controller = start()
    draft = tmp_path / "draft"
    draft.write_text("add_port eth1")
    draft.rename(operator.path)
    wait_until(lambda: not operator.path.exists(), "removal of the command file")
    assert 1 in controller.attached


def test_an_empty_file_waits_for_its_text(start, operator, wait_until):
    controller = start()
    operator.path.touch()
    with operator.path.open("a") as file:
        file.write("add_port eth1")
    wait_until(lambda: not operator.path.exists(), "removal of the command file")
    assert 1 in controller.attached


def test_a_command_written_while_another_is_at_work(start, operator, loop_thread, wait_until):
    controller = start()
    loop_thread.call(controller.gate.clear)
    operator.path.write_text("add_port eth1")
    wait_until(lambda: controller.changing == 1, "the first command")
    operator.path.write_text("add_port eth2")
    loop_thread.call(controller.gate.set)
    wait_until(lambda: not operator.path.exists() and len(controller.attached) == 2, "both commands")
    assert operator.result.read_text().startswith("OK: add_port eth2")


def test_links_are_not_followed(start, operator, tmp_path, wait_until):
    controller = start()
    target = tmp_path / "target"
    target.write_text("add_port eth1")
    operator.path.symlink_to(target)
    # A link makes no event; the next file of that name is looked at.
    (tmp_path / "other").symlink_to(target)
    (tmp_path / "other").rename(operator.path)
    wait_until(lambda: not operator.path.is_symlink(), "removal of the link")
    assert target.read_text() == "add_port eth1"
    assert controller.attached == {}


@pytest.mark.parametrize("prepare", [lambda path: os.chown(path, 65534, -1), lambda path: path.chmod(0o666)])
def test_commands_of_anybody_else_are_removed_unread(start, operator, tmp_path, wait_until, prepare):
    controller = start()
    draft = tmp_path / "draft"
    draft.write_text("add_port eth1")
    prepare(draft)
    draft.rename(operator.path)
    wait_until(lambda: not operator.path.exists(), "removal of the command file")
    assert controller.attached == {}
    assert not operator.result.exists()


def test_pipes_large_files_and_binary_ones(start, operator, tmp_path, wait_until):
    controller = start()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    pipe.rename(operator.path)
    wait_until(lambda: not operator.path.exists(), "removal of the command file")
    operator.path.write_text("add_port eth1\n" * 1000)
    wait_until(lambda: not operator.path.exists(), "removal of the command file")
    assert controller.attached == {}
    operator.path.write_bytes(b"\xff\xfe\x00\x1b[2J add_port eth1\n")
    wait_until(lambda: not operator.path.exists(), "removal of the command file")
    (line,) = operator.result.read_text().splitlines()
    assert line.startswith("ERROR")
    assert line.isprintable()


def test_a_link_in_the_results_place_is_replaced(start, operator, tmp_path):
    start()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    operator.result.symlink_to(victim)
    operator.command("add_port eth1")
    assert victim.read_text() == "precious"
    assert not operator.result.is_symlink()
    assert operator.result.stat().st_mode & 0o777 == 0o644


def test_other_files_of_the_directory_are_left_alone(start, operator, tmp_path):
    controller = start()
    (tmp_path / "vio_cmd2").write_text("add_port eth1")
    operator.command("add_port eth2")
    assert (tmp_path / "vio_cmd2").exists()
    assert list(controller.attached) == [2]


def test_a_directory_that_is_not_there(start, tmp_path):
    with pytest.raises(OSError, match="nowhere cannot be watched"):
        start(tmp_path / "nowhere" / "vio_cmd")
