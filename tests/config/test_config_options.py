"""Command line and file to Settings, and all errors at once."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from vio4wd.config.errors import ConfigError
from vio4wd.config.options import Settings, changed, parse

ONLINE = range(4)


@pytest.fixture
def settings(tmp_path):
    """Parses a file's text and arguments."""

    def read(text="VIRTIOFWD_CPU_MASK=1,2", *argv):
        path = tmp_path / "virtioforwarder"
        path.write_text(text)
        return parse(["--config", str(path), *argv], ONLINE)

    return read


@pytest.fixture
def errors(settings):
    """The errors of a file's text and arguments, without the file's directory."""

    def read(text="", *argv):
        with pytest.raises(ConfigError) as caught:
            settings(text, *argv)
        assert str(caught.value) == "\n".join(caught.value.errors)
        return [error.replace(f"{Path(error.split(':')[0]).parent}/", "", 1) for error in caught.value.errors]

    return read


def test_defaults_of_the_guide():
    settings = parse(["-C", "1,2"], ONLINE)
    assert settings == Settings(cpus=(1, 2), log_syslog=True)
    assert settings.socket_path(7) == Path("/tmp/virtio-forwarder7.sock")


def test_every_option_in_its_short_form(tmp_path):
    argv = """
        -C 0x6 -M 0 -nlog_syslog -l 7 -p /run/x -H /hp -uroot -groot -V /v -S s%u -c 1:1,2 -J -R
        -P 0000:05:08.1=1 -P net_tap0=2 -t 14d63f20-8445-11ea-8900-1f9ce7d5650d -i -0 -T -d -a
        -Y -Z/run/pc -z tcp://127.0.0.1:5555 -s
    """.split()  # noqa: SIM905
    settings = parse(argv, ONLINE)
    assert settings.cpus == (1, 2)
    assert settings.pins == {1: (1, 2)}
    assert settings.static_vfs == (("0000:05:08.1", 1), ("net_tap0", 2))
    assert (settings.daemon, settings.log_syslog, settings.loglevel) == (False, True, 7)
    assert (settings.pid_path, settings.huge_dir) == (Path("/run/x"), Path("/hp"))
    assert (settings.vhost_username, settings.vhost_groupname) == ("root", "root")
    assert settings.socket_path(3) == Path("/v/s3")
    assert settings.zmq_config_ep == "ipc:///var/run/virtio-forwarder/config"
    assert settings.zmq_port_control_ep == "ipc:///run/pc"
    assert settings.zmq_stats_ep == "tcp://127.0.0.1:5555"
    assert settings.zmq_core_sched_ep == "ipc:///var/run/virtio-forwarder/core_sched"
    switches = ("enable_jumbo", "enable_mrgbuf", "vhost_client", "zero_copy", "enable_tso", "dynamic_sockets")
    assert all(getattr(settings, name) for name in (*switches, "same_numa"))
    assert settings.vfio_vf_token == "14d63f20-8445-11ea-8900-1f9ce7d5650d"


def test_nodaemon_logs_to_stderr():
    settings = parse(["-C1", "--nodaemon"], ONLINE)
    assert (settings.daemon, settings.log_syslog) == (False, False)


def test_a_file_with_every_kind_of_value(settings):
    read = settings(
        """
        # comment
        export VIRTIOFWD_CPU_MASK="1,3"
        VIRTIOFWD_STATIC_VFS=(0000:05:08.1=1
           05:08.2=2  # short form
           'net_af_packet0,iface=vf0=3')
        VIRTIOFWD_CPU_PINS='1:1,3; 2:3'
        VIRTIOFWD_JUMBO=y
        VIRTIOFWD_MRGBUF=
        VIRTIOFWD_TSO=false
        VIRTIOFWD_DYNAMIC_SOCKETS=no
        VIRTIOFWD_OVSDB_SOCKET_PATH=/usr/local/var/run/openvswitch/db.sock
        VIRTIOFWD_BIND_VFIO_PCI=0000:01:02.3,01:02.4,eth0,eth1:4
        VIO4WD_CORE_SCHED_SENSITIVITY=0.5
        VIO4WD_CORE_SCHED_POLL_INTERVAL=2
        """
    )
    assert read.cpus == (1, 3)
    assert read.static_vfs == (("0000:05:08.1", 1), ("0000:05:08.2", 2), ("net_af_packet0,iface=vf0", 3))
    assert read.pins == {1: (1, 3), 2: (3, 3)}
    assert (read.enable_jumbo, read.enable_mrgbuf, read.enable_tso) == (True, False, False)
    assert not read.dynamic_sockets
    assert read.ovsdb_sock == "unix:/usr/local/var/run/openvswitch/db.sock"
    assert read.bind_vfio_pci == ("0000:01:02.3", "0000:01:02.4", "eth0", "eth1:4")
    assert (read.core_sched_sensitivity, read.core_sched_poll_interval) == (0.5, 2.0)
    assert read.config_file is not None


@pytest.mark.parametrize(
    ("text", "vfs"),
    [
        ("VIRTIOFWD_STATIC_VFS=0000:05:08.1=1", 1),
        ("VIRTIOFWD_STATIC_VFS=(0000:05:08.1=1)", 1),
        ("VIRTIOFWD_STATIC_VFS=(0000:05:08.1=1 0000:05:08.2=2 0000:05:08.3=3)", 3),
        ('VIRTIOFWD_STATIC_VFS="0000:05:08.1=1 0000:05:08.2=2"', 2),
    ],
)
def test_static_vfs_as_the_guide_prints_them(settings, text, vfs):
    assert len(settings(f"VIRTIOFWD_CPU_MASK=1\n{text}").static_vfs) == vfs


def test_pins_as_the_guide_prints_them(settings):
    read = settings("VIRTIOFWD_CPU_MASK=1,2\nVIRTIOFWD_CPU_PINS='--virtio-cpu=1:1, 2 --virtio-cpu=2:2'")
    assert read.pins == {1: (1, 2), 2: (2, 2)}


def test_pins_of_lanes(settings):
    read = settings("VIRTIOFWD_CPU_MASK=1,2\nVIRTIOFWD_CPU_PINS='1:1,2,2,1;2:2'")
    assert read.pins == {1: (1, 2, 2, 1), 2: (2, 2)}


def test_the_command_line_wins(settings):
    read = settings(
        "VIRTIOFWD_CPU_MASK=1\nVIRTIOFWD_LOG_LEVEL=3\nVIRTIOFWD_STATIC_VFS=net_tap0=1",
        "-C2",
        "-P",
        "net_null0=4",
    )
    assert (read.cpus, read.loglevel, read.static_vfs) == ((2,), 3, (("net_null0", 4),))


@pytest.mark.parametrize(
    ("text", "argv", "served"),
    [
        ("", ["-s"], True),
        ("VIO4WD_CORE_SCHED_ENABLE=true", [], True),
        ("VIO4WD_CORE_SCHED_ENABLE=True", [], True),
        ("VIO4WD_CORE_SCHED_ENABLE=false", ["-s"], True),
        ("VIRTIOFWD_ZMQ_CORE_SCHED_EP=/x", [], False),
        ("VIO4WD_CORE_SCHED_ENABLE=\nVIRTIOFWD_ZMQ_CORE_SCHED_EP=/x", [], False),
    ],
)
def test_core_scheduling_is_enabled_explicitly(settings, text, argv, served):
    read = settings(f"VIRTIOFWD_CPU_MASK=1\n{text}", *argv)
    assert (read.zmq_core_sched_ep is not None) == served


def test_core_scheduling_at_another_endpoint(settings):
    read = settings(
        "VIRTIOFWD_CPU_MASK=1\nVIO4WD_CORE_SCHED_ENABLE=true\nVIRTIOFWD_ZMQ_CORE_SCHED_EP=ipc:///x"
    )
    assert read.zmq_core_sched_ep == "ipc:///x"


@pytest.mark.parametrize(
    ("value", "path"),
    [("1", "/tmp/vio_cmd"), ("true", "/tmp/vio_cmd"), ("/run/c", "/run/c"), ("no", None), ("", None)],
)
def test_command_file(settings, value, path):
    read = settings(f"VIRTIOFWD_CPU_MASK=1\nVIRTIOFWD_IPC_PORT_CONTROL={value}")
    assert read.ipc == (None if path is None else Path(path))


def test_all_errors_of_file_and_command_line_come_at_once(errors):
    text = """
VIRTIOFWD_CPU_MASK=1,x
VIRTIOFWD_LOG_LEVLE=6
VIRTIOFWD_LOG_LEVEL=9
VIRTIOFWD_SOCKET_FNAME_PATTERN=sock
VIRTIOFWD_STATIC_VFS=(0000:05:08.1=64 0000:05:08.9=1)
junk
VIRTIOFWD_PID_DIR=run
"""
    found = errors(text, "--nodaemon=stdout", "--loud", "--vfio-vf-token=abc")
    assert [error.split(":")[0] for error in found].count("virtioforwarder") == 7
    for line, word in (
        (2, "CPU_MASK"),
        (3, "is VIRTIOFWD_LOG_LEVEL meant?"),
        (4, "'9'"),
        (5, "%u"),
        (6, "64"),
        (7, "junk"),
        (8, "run"),
    ):
        assert any(error.startswith(f"virtioforwarder:{line}:") and word in error for error in found), (
            line,
            found,
        )
    assert any(error.startswith("--nodaemon: 'stdout'") for error in found)
    assert any(error.startswith("--loud: no such option") for error in found)
    assert any(error.startswith("--vfio-vf-token: 'abc' is not a UUID") for error in found)


@pytest.mark.parametrize(
    ("argv", "about"),
    [
        ([], "no worker CPUs: give them with --cpus or VIRTIOFWD_CPU_MASK"),
        (["-C", "7"], "CPU 7 does not exist here, there are 0,1,2,3"),
        (["-C", "0x0"], "names no CPU"),
        (["-C", "0xzz"], "'0xzz'"),
        (["-C", "1,1"], "names a CPU twice"),
        (["-C", "1,-2"], "'1,-2'"),
        (["-C", "1", "-M", "9"], "--master-lcore: CPU 9"),
        (["-C", "1", "-c", "1:2"], "CPU 2 is not among the worker CPUs"),
        (["-C", "1", "-c", "1:1;1:1,1;64:1"], "relay '64'"),
        (["-C", "1,2", "-c", "1:1;1:2"], "relay 1 is pinned twice"),
        (["-C", "1", "-c", "1"], "RELAY:CPU"),
        (["-C", "1", "-c", "1:1,1,1"], "up to 8 pairs of CPUs"),
        (["-C", "1", "-c", "1:" + "1," * 17 + "1"], "up to 8 pairs of CPUs"),
        (["-C", "1", "-P", "net_tap0"], "DEVICE=RELAY"),
        (["-C", "1", "-P", "net_tap0=1", "-P", "net_tap1=1"], "relay 1 is given net_tap0 and net_tap1"),
        (
            ["-C", "1", "-P", "01:02.3=1", "-P", "0000:01:02.3=2"],
            "0000:01:02.3 is given to relay 1 and to relay 2",
        ),
        (["-C", "1", "-S", "a%ub%u"], "exactly one %u"),
        (["-C", "1", "-S", "a/%u"], "exactly one %u"),
        (["-C", "1", "-V", "/" + "d" * 100], "longer than 107"),
        (["-C", "1", "-Y", "nonsense"], "no endpoint"),
        (["-C", "1", "-Y="], "no endpoint"),
        (["-C", "1", "-Y", "ipc:///" + "e" * 200], "107"),
        (["-C", "1", "-Y/same", "-z/same"], "ipc:///same is the endpoint of"),
        (["-C", "1", "-O", "db.sock"], "no OVSDB server"),
        (["-C", "1", "-O", "tcp:localhost:6640"], "no OVSDB server"),
        (["-C", "1", "-O", "tcp:127.0.0.1:66400"], "no OVSDB server"),
        (
            ["-C", "1", "-O", "ssl:127.0.0.1:6640"],
            "ssl needs --ovsdb-private-key or VIO4WD_OVSDB_PRIVATE_KEY",
        ),
        (["-C", "1", "--ovsdb-ca-cert", "/no/such.pem"], "there is no file /no/such.pem"),
        (["-C", "1", "-u", "nobody-here"], "there is no user 'nobody-here'"),
        (["-C", "1", "-g", "nobody-here"], "there is no group 'nobody-here'"),
        (["-C", "1", "--idle", "sleep"], "neither poll nor adaptive"),
        (["-C", "1", "--bind-vfio-pci", "eth0:x"], "'eth0:x'"),
        (["-C", "1", "-l"], "expected one argument"),
        (["-C", "1", "-l", "-1"], "expected one argument"),
        (["-C", "1", "--config", "/no/such/file"], "/no/such/file: cannot be read: No such file"),
        (["-C", "1", "stray"], "stray: no such option"),
        (["-C", "1", "-p", "/run/\udcff"], r"--pid-path: '/run/\udcff' is not UTF-8 text"),
    ],
)
def test_bad_arguments(argv, about):
    with pytest.raises(ConfigError) as caught:
        parse(argv, ONLINE)
    assert any(about in error for error in caught.value.errors), caught.value.errors
    assert all("\n" not in error for error in caught.value.errors)


@pytest.mark.parametrize(
    ("argv", "names"),
    [
        (
            ["-Z", "-O", "/db.sock"],
            ("ZeroMQ port control (--zmq-port-control-ep)", "OVSDB monitor (--ovsdb-sock)"),
        ),
        (["-Z", "-I"], ("ZeroMQ port control", "command file (--ipc)")),
        (["-O", "/db.sock", "-I"], ("OVSDB monitor", "command file")),
    ],
)
def test_ways_of_port_control_exclude_each_other(argv, names):
    with pytest.raises(ConfigError) as caught:
        parse(["-C1", *argv], ONLINE)
    (error,) = caught.value.errors
    assert "exclude each other, for each would undo what the other does" in error
    assert all(name in error for name in names)


def test_the_exclusion_names_the_files_line(errors):
    (error,) = errors("VIRTIOFWD_CPU_MASK=1\nVIRTIOFWD_IPC_PORT_CONTROL=1", "-Z")
    assert "virtioforwarder:2: VIRTIOFWD_IPC_PORT_CONTROL" in error


def test_both_spellings_of_the_ovsdb_variable(settings, errors):
    one, two = "VIRTIOFWD_OVSDB_SOCK_PATH", "VIRTIOFWD_OVSDB_SOCKET_PATH"
    head = "VIRTIOFWD_CPU_MASK=1\n"
    assert settings(f"{head}{one}=/a\n{two}=").ovsdb_sock == "unix:/a"
    assert settings(f"{head}{one}=\n{two}=/b").ovsdb_sock == "unix:/b"
    assert settings(f"{head}{one}=/a\n{two}=/a").ovsdb_sock == "unix:/a"
    (error,) = errors(f"{head}{one}=/a\n{two}=/b")
    assert error.startswith("virtioforwarder:3:")


def test_a_second_assignment_wins_as_in_a_shell(settings):
    read = settings("VIRTIOFWD_CPU_MASK=1\nVIRTIOFWD_CPU_MASK=2")
    assert read.cpus == (2,)
    (warning,) = read.warnings
    assert ":2: VIRTIOFWD_CPU_MASK: replaces the value of line 1" in warning


def test_a_blank_second_assignment_takes_the_value_away(settings):
    assert settings("VIRTIOFWD_CPU_MASK=1\nVIRTIOFWD_LOG_LEVEL=3\nVIRTIOFWD_LOG_LEVEL=").loglevel == 6


@pytest.mark.parametrize(
    ("argv", "about"),
    [
        (["-C", "0,1"], "CPU 0 is a worker's too"),
        (["-C1", "-d"], "ZeroMQ port control only"),
        (["-C1", "-s"], "VIRTIOFWD_ZMQ_STATS_EP"),
    ],
)
def test_what_is_surely_not_meant_is_a_warning(argv, about):
    (warning,) = parse(argv, ONLINE).warnings
    assert about in warning


def test_owners_that_only_libvirt_brings_need_not_exist(monkeypatch):
    def nobody(name):
        raise KeyError(name)

    monkeypatch.setattr("vio4wd.config.check.pwd.getpwnam", nobody)
    read = parse(["-C1", "-u"], ONLINE)
    assert read.vhost_username is None
    assert "there is no user 'libvirt-qemu'" in read.warnings[0]
    with pytest.raises(ConfigError):
        parse(["-C1", "-u", "operator"], ONLINE)


@pytest.mark.parametrize("data", [b"\xff\xfe=1", b"A" * (1 << 19)])
def test_files_that_are_no_text(tmp_path, data):
    path = tmp_path / "binary"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        parse(["-C1", "--config", str(path)], ONLINE)
    (error,) = caught.value.errors
    assert error.startswith(f"{path}:")


def test_a_relative_file_is_found_again_after_a_daemon_went_to_the_root(tmp_path):
    (tmp_path / "file").write_text("VIRTIOFWD_CPU_MASK=1")
    program = (
        "import os; from vio4wd.config.options import parse; argv = ['--config', 'file'];"
        "first = parse(argv);"
        "os.chdir('/'); assert parse(argv) == first; print(first.config_file)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (result.stderr, result.stdout.strip()) == ("", str(tmp_path / "file"))


def test_help_and_version_exit(capsys):
    for flag, shown in (("--help", "--add-pci-vf"), ("--version", "vio4wd-master")):
        with pytest.raises(SystemExit) as exit_info:
            parse([flag], ONLINE)
        assert exit_info.value.code == 0
        assert shown in capsys.readouterr().out


def test_changed_options_are_named():
    before = parse(["-C1"], ONLINE)
    after = dataclasses.replace(before, loglevel=7, huge_dir=Path("/x"), warnings=("w",))
    assert {(option.field, option.live) for option in changed(before, after)} == {
        ("loglevel", True),
        ("huge_dir", False),
    }


def test_this_machines_cpus_are_asked_from_the_kernel():
    with pytest.raises(ConfigError) as caught:
        parse(["-C", "8000"])
    assert "CPU 8000 does not exist here" in caught.value.errors[0]
