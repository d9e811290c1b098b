"""The installed command against a segment that this process owns as if it were a master."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from vio4wd.shm import layout, segment
from vio4wd.shm.clock import cycles

COMMAND = [sys.executable, "-c", "import sys; from vio4wd.cli.inspect import main; sys.exit(main())"]
HZ = 2_000_000_000


@pytest.fixture
def daemon():
    """A segment with one worker and one relay; its name."""
    name = f"vio4wd-inspect-test-{os.getpid()}"
    mapped = segment.create(name, HZ)
    try:
        mapped.tables["control"][0]["cpu"] = 1
        mapped.tables["workers"][0]["state"] = layout.WORKER_RUNNING
        mapped.tables["workers"][0]["heartbeat"] = cycles()
        mapped.tables["relays"][7]["vf_state"] = layout.VF_READY
        mapped.tables["relays"][7]["link_up"] = 1
        mapped.tables["relays"][7]["vf_to_vm_slot"] = 0
        mapped.tables["relays"][7]["device"] = b"0000:01:10.2"
        mapped.tables["directions"][7, 0, 0]["packets_in"] = 42
        yield name
    finally:
        segment.remove(name)
        mapped.close()


def run(*options, **environment):
    return subprocess.run(
        [*COMMAND, *options], capture_output=True, text=True, timeout=60, env=os.environ | environment
    )


def test_once(daemon):
    done = run("--instance", daemon, "--interval", "0.05", COLUMNS="80")
    assert done.returncode == 0, done.stderr
    assert "0000:01:10.2" in done.stdout
    assert "running" in done.stdout
    assert "\x1b" not in done.stdout  # no colours into a pipe


def test_json(daemon):
    done = run("--instance", daemon, "--interval", "0.05", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["master"]["pid"] == os.getpid()
    (relay,) = found["relays"]
    assert relay["id"] == 7
    assert relay["vf_to_vm"]["cpu"] == 1
    assert relay["vf_to_vm"]["packets_in"] == 42
    assert found["workers"][0]["heartbeat_age"] < 60


def test_json_lines_end_when_the_reader_does(daemon):
    process = subprocess.Popen(
        [*COMMAND, "--instance", daemon, "--interval", "0.02", "--json", "--watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(3):
            assert json.loads(process.stdout.readline())["relays"][0]["id"] == 7
        process.stdout.close()
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_no_daemon():
    done = run("--instance", "vio4wd-nobody")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.strip() == (
        "vio4wd-inspect: no daemon of the name vio4wd-nobody is running (no shared memory /vio4wd-nobody)"
    )


def test_a_dead_daemon_is_not_inspected(daemon):
    with_other_start = segment.attach(daemon)
    with_other_start.tables["header"]["master_start_time"] -= 1
    with_other_start.close()
    done = run("--instance", daemon)
    assert done.returncode == 1
    assert "is no longer running" in done.stderr


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "soon", "1e9"])
def test_bad_interval(interval):
    done = run(f"--interval={interval}")
    assert done.returncode == 2
    assert "no number of seconds" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["", "../etc/passwd", "/vio4wd", ".."])
def test_bad_instance(name):
    done = run(f"--instance={name}")
    assert done.returncode == 2
    assert "is no name in /dev/shm" in done.stderr


def test_full_screen_needs_a_terminal(daemon):
    done = run("--instance", daemon, "--watch")
    assert done.returncode == 1
    assert "needs a terminal" in done.stderr


@pytest.mark.parametrize("ending", ["key", "signal"])
def test_full_screen(daemon, ending):
    """It draws, obeys keys, and leaves the terminal as it was."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    before = termios.tcgetattr(slave)
    process = subprocess.Popen(
        [*COMMAND, "--instance", daemon, "--interval", "0.05", "--watch"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=os.environ | {"TERM": "xterm-256color"},
    )
    try:
        read_until(master, b"0000:01:10.2")
        os.write(master, b"s")
        read_until(master, b"sorted by load")
        if ending == "key":
            os.write(master, b"q")
        else:
            process.send_signal(signal.SIGTERM)
        left = read_until(master, b"\x1b[?1049l")  # the alternate screen is left
        assert process.wait(timeout=60) == 0
        assert termios.tcgetattr(slave) == before
        assert b"Traceback" not in left
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)


def read_until(fd, wanted):
    """What the terminal shows up to and including `wanted`."""
    seen = b""
    deadline = time.monotonic() + 60
    while wanted not in seen:
        assert select.select([fd], [], [], max(deadline - time.monotonic(), 0))[0], (wanted, seen[-2000:])
        seen += os.read(fd, 65536)
    return seen
