"""vio4wd_core_scheduler as a service of its own."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from played_daemon import START, PlayedDaemon, uneven

from vio4wd.cli.core_scheduler import read_options
from vio4wd.config.errors import ConfigError

COMMAND = [sys.executable, "-c", "import sys; from vio4wd.cli.core_scheduler import main; sys.exit(main())"]
PATIENCE = 60


def wait_until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


class Manager:
    """Listens where systemd would, and keeps what it hears."""

    def __init__(self, path):
        self.heard = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self):
        while message := self._socket.recv(4096):
            self.heard.append(message.decode())

    def hears(self, text):
        return any(text in message for message in self.heard)

    def close(self, path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(path))
        self._thread.join()
        self._socket.close()


@pytest.fixture
def manager(tmp_path):
    listening = Manager(tmp_path / "notify")
    yield listening
    listening.close(tmp_path / "notify")


def test_it_balances_survives_a_restart_and_stops_cleanly(tmp_path, manager):
    daemon = PlayedDaemon(tmp_path, [1, 2], START, uneven)
    endpoints = ["--stats-ep", daemon.stats_ep, "--sched-ep", daemon.sched_ep]
    process = subprocess.Popen(
        [*COMMAND, *endpoints, "--poll-interval", "0.2"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")},
    )
    try:
        wait_until(lambda: manager.hears("READY=1"))  # though the daemon is not there yet
        for _ in range(2):
            wait_until(lambda: manager.hears("STATUS=waiting: "))
            manager.heard.clear()
            with daemon:
                wait_until(lambda: max(daemon.loads().values()) < 0.6)
            daemon.where = dict(START)  # a restarted daemon has forgotten the moves
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, log
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    assert "balancing the load of CPUs 1,2" in log
    assert "relay 0 moved from CPUs 1,1 to" in log
    assert "nobody listens" in log
    assert "Traceback" not in log
    wait_until(lambda: manager.hears("STOPPING=1"))


def test_defaults():
    options = read_options([])
    assert options.stats_ep == "ipc:///var/run/virtio-forwarder/stats"
    assert options.sched_ep == "ipc:///var/run/virtio-forwarder/core_sched"
    assert (options.poll_interval, options.sensitivity, options.loglevel) == (5.0, 0.25, 6)
    assert options.global_numa_opt is False


def test_the_file_and_what_wins_over_it(tmp_path):
    file = tmp_path / "virtioforwarder"
    file.write_text(
        "VIO4WD_CORE_SCHED_ENABLE=true\n"
        "VIO4WD_CORE_SCHED_SENSITIVITY=0.5\n"
        "VIO4WD_CORE_SCHED_POLL_INTERVAL=7\n"
        "VIO4WD_CORE_SCHED_GLOBAL_NUMA_OPT=yes\n"
        "VIRTIOFWD_ZMQ_STATS_EP=ipc:///run/x/stats\n"
    )
    options = read_options(["--config", str(file), "--poll-interval", "2"])
    assert (options.sensitivity, options.poll_interval, options.global_numa_opt) == (0.5, 2.0, True)
    assert options.stats_ep == "ipc:///run/x/stats"


def test_a_bad_file_is_told_line_by_line(tmp_path):
    file = tmp_path / "virtioforwarder"
    file.write_text("VIO4WD_CORE_SCHED_SENSITIVITY=much\nVIO4WD_CORE_SCHED_POLL_INTERVAL=0\n")
    with pytest.raises(ConfigError) as caught:
        read_options(["--config", str(file)])
    assert [line.partition(": ")[0] for line in sorted(caught.value.errors)] == [f"{file}:1", f"{file}:2"]
    done = subprocess.run([*COMMAND, "--config", str(file)], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert "'much' is not a number larger than 0" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "option", ["--sensitivity=-1", "--poll-interval=0", "--loglevel=8", "--stats-ep=somewhere", "--nonsense"]
)
def test_wrong_usage(option):
    done = subprocess.run([*COMMAND, option], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2
    assert option.partition("=")[0] in done.stderr
    assert "Traceback" not in done.stderr
