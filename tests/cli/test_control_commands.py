"""The commands that talk to the daemon, as the guide prints them."""

import contextlib
import socket
import subprocess
import sys
import threading

import pytest
import zmq

from vio4wd.cli import config_tool, core_pinner, port_control, stats
from vio4wd.shm import layout
from vio4wd.testing.control_daemon import ControlDaemon, LoopThread

COMMANDS = (port_control, stats, config_tool, core_pinner)


@pytest.fixture
def daemon(tmp_path):
    with (
        contextlib.closing(LoopThread()) as thread,
        contextlib.closing(ControlDaemon(thread, tmp_path / "zmq")) as daemon,
    ):
        yield daemon


@pytest.fixture
def run(daemon, capsys):
    """Runs a command against the daemon; returns exit status, output and error output."""
    endpoints = {
        port_control: ["--zmq_ep", daemon.address("port_control")],
        stats: ["--stats-ep", daemon.address("stats")],
        config_tool: ["--config-ep", daemon.address("config")],
        core_pinner: ["--config-ep", daemon.address("config"), "--sched-ep", daemon.address("core_sched")],
    }

    def run_it(command, line=""):
        status = command.main([*line.split(), *endpoints[command]])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run_it


def test_vfs_as_in_the_guide(run, daemon):
    assert run(port_control, "add --virtio-id=1 --pci-addr=0000:05:08.1") == (0, "", "")
    assert daemon.controller.attached[1].devices == ("0000:05:08.1",)
    assert run(port_control, "remove --virtio-id=1 --pci-addr=05:08.1") == (0, "", "")
    assert daemon.controller.attached == {}


def test_bonds_as_in_the_guide(run, daemon):
    line = "add --virtio-id=1 --name=net_bonding0 --pci-addr=0000:05:08.1 --pci-addr=0000:05:08.2"
    assert run(port_control, line)[0] == 0
    assert daemon.controller.attached[1].mode == 1
    assert run(port_control, "remove --virtio-id=1 --name=net_bonding0")[0] == 0
    assert run(port_control, f"{line} --mode=4")[0] == 0
    assert daemon.controller.attached[1].mode == 4


def test_sockets_as_in_the_guide(run, daemon):
    assert run(port_control, "add_sock --vhost-path=/run/vm.sock --pci-addr=0000:05:08.1")[0] == 0
    assert run(port_control, "query_pci --vhost-path=/run/vm.sock") == (0, "0000:05:08.1\n", "")
    assert run(port_control, "remove_sock --vhost-path=/run/vm.sock --pci-addr=0000:05:08.1")[0] == 0
    line = "add_sock --vhost-path=/run/vm.sock --pci-addr=net_tap0 --pci-addr=net_tap1 --name=net_bonding1"
    assert run(port_control, f"{line} --mode=0")[0] == 0
    assert daemon.controller.attached[0].devices == ("net_tap0", "net_tap1")
    assert run(port_control, "remove_sock --vhost-path=/run/vm.sock --name=net_bonding1")[0] == 0


def test_only_conditional_requests_may_change_nothing(run):
    line = "add --virtio-id=1 --pci-addr=net_af_packet0,iface=eth1"
    assert run(port_control, line)[0] == 0
    status, _, error = run(port_control, line)
    assert status == 1
    assert error.startswith("virtioforwarder_port_control.py: add: port control: relay 1 has net_af_packet0")
    assert error.count("\n") == 1
    assert run(port_control, f"{line} --conditional")[0] == 0


@pytest.mark.parametrize(
    ("line", "about"),
    [
        ("", "operation"),
        ("destroy", "invalid choice"),
        ("add --virtio-id=64", "relay '64'"),
        ("add --virtio-id=x", "relay 'x'"),
        ("add --mode=7", "bond mode '7'"),
        ("add --virtio-id=1 --pci-addr=00:ff.1", "larger than"),
        ("add --timeout=0", "larger than 0"),
        ("add --zmq_ep=nonsense", "no endpoint"),
    ],
)
def test_wrong_usage(capsys, line, about):
    with pytest.raises(SystemExit) as exit_info:
        port_control.main(line.split())
    assert exit_info.value.code == 2
    assert about in capsys.readouterr().err


@pytest.fixture
def busy(daemon):
    """Relay 1 forwards on CPUs 1 and 2."""
    relay = daemon.tables[0]["relays"][1]
    relay["vf_state"], relay["vm_state"] = layout.VF_READY, layout.VM_READY
    relay["vf_to_vm_slot"], relay["vm_to_vf_slot"] = 1, 0
    relay["device"], relay["socket"] = b"0000:05:08.1", b"/tmp/virtio-forwarder1.sock"
    daemon.tables[0]["directions"][1, 0, 0]["packets_in"] = 10


def test_flat_statistics(run, busy):
    status, output, _ = run(stats, "--delay=0")
    lines = output.splitlines()
    assert status == 0
    assert "relay_1.vf_to_vm.cpu_2.pkts_rx_from_vf=10" in lines
    assert "relay_1.vf_to_vm.cpu_2.pkts_tx_to_vm=0" in lines
    assert "relay_1.vf_to_vm.cpu_2.pkt_rate_rx_from_vf=0.0" in lines
    assert "relay_1.vf_to_vm.cpu_2.internal_state=DPDK_READY" in lines
    assert "relay_1.vm_to_vf.cpu_1.internal_state=VIRTIO_READY" in lines
    assert "relay_1.cpu.vf_to_vm=2" in lines
    assert "relay_1.cpu.vm_to_vf=1" in lines
    assert "relay_1.vhost.vhost_socket_name=/tmp/virtio-forwarder1.sock" in lines
    assert "relay_1.vf.pci_addr_str=0000:05:08.1" in lines
    assert "relay_1.active=True" in lines
    assert all(line.startswith("relay_1.") for line in lines)


def test_flat_statistics_of_lanes(run, busy, daemon):
    relay = daemon.tables[0]["relays"][1]
    relay["lanes"] = 2
    relay["vf_to_vm_slot"][:2] = (1, 0)
    lines = run(stats, "--delay=0")[1].splitlines()
    assert "relay_1.lane_0.cpu.vf_to_vm=2" in lines
    assert "relay_1.lane_1.cpu.vf_to_vm=1" in lines


def test_statistics_without_zeroes(run, busy):
    _, output, _ = run(stats, "--delay=0 -z")
    assert "pkts_rx_from_vf=10" in output
    assert "=0\n" not in output.replace("relay_1.socket_id=0\n", "")
    assert "rate" not in output


def test_statistics_of_inactive_relays(run, busy):
    _, output, _ = run(stats, "--delay=0 --include-inactive")
    assert "relay_63.vhost.vhost_socket_name=NONE" in output
    assert "relay_63.vf_to_vm.cpu_-1.pkts_rx_from_vf=0" in output
    _, output, _ = run(stats, "--delay=1 --include-inactive 2 3")
    assert {line.split(".")[0] for line in output.splitlines()} == {"relay_2", "relay_3"}


def test_statistics_as_protobuf_text(run, busy):
    _, output, _ = run(stats, "--output-format=protobuf")
    assert output.startswith("status: OK\n")
    assert "pkts_rx_from_vf: 10" in output


def test_cpu_map_and_pins(run, daemon):
    run(port_control, "add --virtio-id=3 --pci-addr=net_null0")
    expected = "relay 3: vf_to_vm on CPU 1, vm_to_vf on CPU 2\n"
    assert run(config_tool) == (0, expected, "")
    assert run(core_pinner) == (0, expected, "")
    assert run(core_pinner, "--virtio-cpu=3:2,1") == (0, "", "")
    assert daemon.controller.cpus[3] == [(2, 1)]
    assert run(core_pinner, "--virtio-cpu=3:2")[0] == 0
    assert daemon.controller.cpus[3] == [(2, 2)]
    daemon.controller.cpus[3] *= 2
    assert run(core_pinner, "--virtio-cpu=3:2,2,1,2") == (0, "", "")
    expected = (
        "relay 3 lane 0: vf_to_vm on CPU 2, vm_to_vf on CPU 2\n"
        "relay 3 lane 1: vf_to_vm on CPU 1, vm_to_vf on CPU 2\n"
    )
    assert run(config_tool) == (0, expected, "")
    status, _, error = run(core_pinner, "--virtio-cpu=3:9")
    assert status == 1
    assert "CPU 9 has no worker: the workers' are 1,2" in error


def test_a_map_without_relays_is_empty(run):
    assert run(config_tool) == (0, "", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_daemon_that_is_down(command, tmp_path, capsys):
    flag = {port_control: "--zmq_ep", stats: "--stats-ep"}.get(command, "--config-ep")
    line = ["query_pci", "--vhost-path=/x"] if command is port_control else []
    stale = tmp_path / "stale"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(stale))
    for path in (tmp_path / "none", stale):
        assert command.main([*line, flag, f"ipc://{path}"]) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"{command.PROGRAM}: ipc://{path}: nobody listens (")
        assert error.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_daemon_that_does_not_answer(command, tmp_path, capsys):
    flag = {port_control: "--zmq_ep", stats: "--stats-ep"}.get(command, "--config-ep")
    line = ["query_pci", "--vhost-path=/x"] if command is port_control else []
    with zmq.Context() as context, context.socket(zmq.REP) as silent:
        silent.bind(f"ipc://{tmp_path}/silent")
        assert command.main([*line, "--timeout=0.2", flag, f"ipc://{tmp_path}/silent"]) == 1
        silent.close(linger=0)
    assert "/silent: no answer within 0." in capsys.readouterr().err


def test_an_answer_of_another_service(tmp_path, capsys):
    def answer():
        server.recv()
        server.send(b"\xff")

    with zmq.Context() as context, context.socket(zmq.REP) as server:
        server.bind(f"ipc://{tmp_path}/other")
        thread = threading.Thread(target=answer)
        thread.start()
        assert stats.main(["--stats-ep", f"ipc://{tmp_path}/other"]) == 1
        thread.join()
    assert "is no StatsResponse" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_and_version(command, capsys):
    for flag, shown in (("--help", "usage: "), ("--version", command.PROGRAM)):
        with pytest.raises(SystemExit) as exit_info:
            command.main([flag])
        assert exit_info.value.code == 0
        assert shown in capsys.readouterr().out


def test_a_reader_that_leaves_early(daemon):
    """As in `virtioforwarder_stats.py | head -1`."""
    program = "import sys; from vio4wd.cli.stats import main; sys.exit(main())"
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            program,
            "--include-inactive",
            "--delay=0",
            "--stats-ep",
            daemon.address("stats"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
