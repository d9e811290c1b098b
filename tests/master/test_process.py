"""Going into the background, logging, leftovers, service manager, deadline: each in a process of its own."""

import logging
import os
import pathlib
import socket
import subprocess
import sys
import time
import uuid

import psutil
import pytest

from vio4wd.master import leftovers, logs, service_manager
from vio4wd.shm import layout, segment


def run(program, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


DAEMON = """
import os, pathlib, sys, time
from vio4wd.master.background import detach
background = detach()
{then}
pathlib.Path(sys.argv[1]).write_text(f"{{os.getpid()}} {{os.getsid(0)}} {{os.getppid()}}")
while pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.02)
"""


def test_starting_command_ends_when_the_daemon_serves(tmp_path):
    note = tmp_path / "note"
    done = run(DAEMON.format(then="background.ready()"), note)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    until(note.exists)
    pid = int(note.read_text().split()[0])
    try:
        assert psutil.Process(pid).cwd() == "/"
        assert os.getsid(pid) != os.getsid(0)
        assert str(pathlib.Path(f"/proc/{pid}/fd/2").readlink()) == "/dev/null"
    finally:
        note.unlink()
        until(lambda: not psutil.pid_exists(pid))


def test_starting_command_tells_why_the_daemon_did_not_start(tmp_path):
    done = run(DAEMON.format(then="background.failed('no hugepages'); sys.exit(1)"), tmp_path / "note")
    assert (done.returncode, done.stderr) == (1, "no hugepages\n")


def test_daemon_that_just_dies_is_a_failure(tmp_path):
    done = run(DAEMON.format(then="os._exit(9)"), tmp_path / "note")
    assert done.returncode == 1
    assert "ended while it started" in done.stderr


LOGGER = """
import logging, sys
from vio4wd.master import logs
logs.set_up(int(sys.argv[1]), to_syslog=sys.argv[2] == "syslog")
for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
    logging.getLogger("x").log(level, "line %d", level)
"""


@pytest.mark.parametrize(("loglevel", "lines"), [(7, 4), (6, 3), (5, 2), (4, 2), (3, 1), (2, 0)])
def test_threshold(loglevel, lines):
    assert len(run(LOGGER, loglevel, "stderr").stderr.splitlines()) == lines


@pytest.mark.parametrize(("library", "lines"), [("asyncio", 3), ("numba.core.ssa", 2)])
def test_what_libraries_say_to_their_developers_is_left_out(library, lines):
    program = LOGGER.replace('"x"', f'"{library}"')
    assert len(run(program, 7, "stderr").stderr.splitlines()) == lines


def test_journal_gets_priorities_in_the_place_of_times():
    done = run(LOGGER, 7, "stderr", env=os.environ | {"JOURNAL_STREAM": "8:1234"})
    assert done.stderr.splitlines() == ["<7>line 10", "<6>line 20", "<4>line 30", "<3>line 40"]


def test_without_a_log_daemon_syslog_is_silent_but_harmless():
    done = run(LOGGER, 7, "syslog")
    assert (done.returncode, done.stderr) == (0, "")


def test_levels_of_python_and_syslog_agree():
    assert [logs.priority(logs.python_level(n)) for n in range(8)] == [2, 2, 2, 3, 4, 4, 6, 7]
    assert logs.python_level(7) == logging.DEBUG


PRIORITIES = """
import os, threading
from vio4wd.master.responsiveness import present_priority, put_ahead
{first}
asked, told = threading.Event(), []
other = threading.Thread(target=lambda: (asked.wait(), told.append(present_priority())))
other.start()
before = present_priority()
put_ahead()
asked.set()
other.join()
print(present_priority() - before, told[0] - before)
"""


def test_only_the_thread_that_asks_runs_ahead():
    assert run(PRIORITIES.format(first="")).stdout == "-10 0\n"


def test_without_the_right_to_it_nobody_runs_ahead():
    done = run(PRIORITIES.format(first="os.setuid(65534)"))
    assert (done.stdout, done.stderr) == ("0 0\n", "")


@pytest.fixture
def instance():
    return f"vio4wd-test-{uuid.uuid4().hex[:8]}"


def test_leftovers_of_a_dead_master_are_removed_and_named(instance, tmp_path, monkeypatch):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    runtime = tmp_path / "run/dpdk" / instance
    runtime.mkdir(parents=True)
    (runtime / "config").touch()
    pages, foreign = tmp_path / f"{instance}map_0", tmp_path / f"{instance}0map_0"
    pages.touch()
    foreign.touch()
    orphan = subprocess.Popen(["sleep", "60"])
    tables = segment.create(instance, 1)
    row = tables.tables["workers"][3]
    row["pid"], row["start_time"] = orphan.pid, segment.process_start_time(orphan.pid)
    row["state"] = layout.WORKER_RUNNING
    # A process that has got the id of a dead worker is none of ours.
    row = tables.tables["workers"][4]
    row["pid"], row["start_time"] = os.getpid(), segment.process_start_time(os.getpid()) - 1
    tables.close()
    try:
        found = leftovers.remove_all(instance, str(tmp_path))
    finally:
        segment.remove(instance)
        orphan.kill()
        assert orphan.wait() == -9
    assert found == [
        f"worker process {orphan.pid}",
        f"shared memory /{instance}",
        str(runtime),
        f"1 hugepage files in {tmp_path}",
    ]
    assert foreign.exists()
    assert not pages.exists()
    assert not runtime.exists()
    assert leftovers.remove_all(instance, str(tmp_path)) == []


def test_service_manager_is_told(tmp_path, monkeypatch):
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        manager = service_manager.ServiceManager()
        assert manager.watchdog_interval == 1.5
        manager.ready("2 workers")
        manager.alive()
        manager.stopping()
        assert [receiver.recv(200) for _ in range(3)] == [
            b"READY=1\nSTATUS=2 workers",
            b"WATCHDOG=1",
            b"STOPPING=1",
        ]


def test_service_manager_hears_from_one_that_sleeps(tmp_path, monkeypatch):
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        began = time.monotonic()
        service_manager.ServiceManager().sleep(0.1)
        assert time.monotonic() - began >= 0.1
        receiver.setblocking(False)
        assert [receiver.recv(200) for _ in range(2)] == [b"WATCHDOG=1"] * 2


def test_watchdog_of_another_process_is_not_ours(monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    assert service_manager.ServiceManager().watchdog_interval == 0.0


DEADLINE = """
import subprocess, sys, time, pathlib
from vio4wd.master.deadline import Deadline
child = subprocess.Popen(["sleep", "60"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
def clean_up():
    assert child.wait() == -9
    pathlib.Path(sys.argv[2]).touch()
deadline = Deadline(0.1, lambda: [child.pid], clean_up)
deadline.start()
if sys.argv[3] == "in time":
    deadline.cancel()
    child.kill()
    sys.exit(child.wait() + 9)
time.sleep(60)
"""


@pytest.mark.parametrize(("how", "status"), [("in time", 0), ("late", 1)])
def test_deadline_ends_what_does_not_end(tmp_path, how, status):
    done = run(DEADLINE, tmp_path / "pid", tmp_path / "clean", how)
    assert done.returncode == status, done.stderr
    assert (tmp_path / "clean").exists() == (how == "late")
    assert not psutil.pid_exists(int(pathlib.Path(tmp_path / "pid").read_text()))
