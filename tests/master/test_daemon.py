"""The master process itself: how it starts, what it refuses, what it survives, and how it ends."""

import os
import signal
import subprocess
import time

import psutil
import pytest

from vio4wd.testing.daemon import Daemon, DaemonError
from vio4wd.testing.wait import wait_for

NULL = "net_null0,size=64"


def drops(daemon, relay=1):
    """Packets from the VF that were dropped because there is no guest."""
    return daemon.snapshot().relays[relay].vf_to_vm.dropped_unconnected


def goes_on(daemon, relay=1):
    before = drops(daemon, relay)
    wait_for(lambda: drops(daemon, relay) > before, f"relay {relay} to forward")


def test_starts_serves_and_leaves_nothing(directory):
    with Daemon(directory, static=[f"{NULL}=1"]) as daemon:
        assert (directory / "virtio-forwarder.pid").read_text() == f"{daemon.pid}\n"
        assert all(daemon.socket(relay).is_socket() for relay in range(64))
        assert os.sched_getaffinity(daemon.worker_pids()[0]) == {1}
        relay = daemon.snapshot().relays[1]
        assert (relay.vf_ready, relay.device, relay.socket) == (True, NULL, str(daemon.socket(1)))
        goes_on(daemon)
        second = subprocess.run(daemon.command(), capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 1
        assert f"pid {daemon.pid}" in second.stderr
        assert len(second.stderr.splitlines()) == 1
        began = time.monotonic()
        assert daemon.stop() == 0
        took = time.monotonic() - began
        assert "stopped" in daemon.log()
        assert daemon.leftovers() == [], f"after {took:.1f} s"


def test_killed_worker_is_replaced_and_its_relay_goes_on(directory):
    with Daemon(directory, static=[f"{NULL}=1"]) as daemon:
        goes_on(daemon)
        for _ in range(3):
            old = daemon.worker_pids()[0]
            os.kill(old, signal.SIGKILL)
            wait_for(lambda old=old: daemon.worker_pids()[0] not in (0, old), "a new worker")
            wait_for(lambda: daemon.snapshot().relays[1].vf_to_vm.slot == 0, "relay 1 to be served")
            goes_on(daemon)
        relay = daemon.snapshot().relays[1]
        assert relay.vf_ready
        assert daemon.stop() == 0
        assert daemon.leftovers() == []


def test_killed_master_takes_its_workers_along_and_the_next_one_cleans_up(directory):
    with Daemon(directory, static=[f"{NULL}=1"]) as daemon:
        workers = daemon.worker_pids()
        daemon.kill()
        wait_for(lambda: not any(psutil.pid_exists(pid) for pid in workers), "the workers to end")
        assert daemon.leftovers()
        daemon.start()
        assert "left shared memory" in daemon.log()
        goes_on(daemon)
        assert daemon.stop() == 0
        assert daemon.leftovers() == []


def test_ports_come_and_go_while_others_forward(directory):
    with Daemon(directory, static=[f"{NULL}=1"]) as daemon:
        for relay in (0, 63):
            daemon.attach(f"net_null{relay + 1}", relay)
            goes_on(daemon, relay)
        with pytest.raises(DaemonError, match="attached to relay 1"):
            daemon.attach(NULL, 5)
        with pytest.raises(DaemonError, match="net_nonsense0"):
            daemon.attach("net_nonsense0", 5)
        with pytest.raises(DaemonError, match=r"0000:ff:1f\.0"):
            daemon.attach("0000:ff:1f.0", 5)
        daemon.detach("net_null1", 0)
        goes_on(daemon)
        goes_on(daemon, 63)
        assert daemon.snapshot().relays[0].device == ""
        assert daemon.stop() == 0
        assert daemon.leftovers() == []


def test_hangup_reloads(directory):
    file = directory / "virtioforwarder"
    file.write_text("VIRTIOFWD_LOG_LEVEL=6\n")
    with Daemon(directory, options=[f"--config={file}"]) as daemon:
        file.write_text("VIRTIOFWD_LOG_LEVEL=5\nVIRTIOFWD_JUMBO=1\n")
        os.kill(daemon.pid, signal.SIGHUP)
        wait_for(lambda: "restart" in daemon.log(), "the daemon to read its file")
        assert "--enable-jumbo" in daemon.log()
        assert daemon.stop() == 0


@pytest.mark.parametrize("stage", ["virtio-forwarder.pid", "map_", "/dev/shm/"])
def test_stop_while_starting_is_clean(directory, stage):
    daemon = Daemon(directory)
    process = subprocess.Popen(daemon.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: any(stage in name for name in daemon.leftovers()), "the daemon to begin", interval=0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, -signal.SIGTERM)
        # Before the signal is taken over it simply kills; the next start removes the pid file then.
        assert [name for name in daemon.leftovers() if not name.endswith(".pid")] == []
    finally:
        process.kill()
        process.wait()
        daemon.close()


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["--no-such-option"], 2, "--no-such-option"),
        (["-C", "8000"], 2, "CPU 8000 does not exist"),
        (["-C", "1", "-P", "net_null0=64"], 2, "64"),
        (["-C", "1", "-n", "-H", "/tmp"], 1, "no hugetlbfs is mounted on /tmp"),
        (["-C", "1", "-n", "-V", "/nonexistent"], 1, "there is no directory /nonexistent"),
    ],
)
def test_mistakes_are_told_in_one_line_each(directory, arguments, status, text):
    daemon = Daemon(directory)
    command = [daemon.command()[0], f"--pid-path={directory}", f"--huge-dir={daemon.huge_dir}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert daemon.leftovers() == []


def test_background_daemon_is_there_when_the_command_returns(directory):
    daemon = Daemon(directory)
    command = [argument for argument in daemon.command() if argument != "--nodaemon"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    pid = int((directory / "virtio-forwarder.pid").read_text())
    try:
        assert daemon.snapshot().master_pid == pid
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not psutil.pid_exists(pid), "the daemon to end")
        assert daemon.leftovers() == []
    finally:
        daemon.close()
