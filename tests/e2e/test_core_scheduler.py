"""Cores: what operators see of them, and the core scheduler with a real daemon.

Two relays are pinned to one of two workers and never run out of packets (net_null); nobody takes these, so
that no guest is needed to keep a worker busy.
"""

import json
import signal
import subprocess

import pytest

from vio4wd.testing.daemon import Daemon, orderly, program
from vio4wd.testing.process import ChildProcess
from vio4wd.testing.wait import wait_for

RELAYS = (1, 2)


@pytest.fixture(scope="module")
def two_workers(place):
    """A daemon with workers on CPUs 0 and 1, the second of which has both relays."""
    started = Daemon(
        place / "daemon",
        cpus=(0, 1),
        static=[f"net_null{relay},size=64={relay}" for relay in RELAYS],
        options=[f"--virtio-cpu={relay}:1" for relay in RELAYS],
    )
    with orderly(started):
        yield started


def said(name, *options):
    """What an installed command prints."""
    done = subprocess.run([program(name), *options], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def inspected(daemon):
    return json.loads(said("vio4wd-inspect", "--json", "--interval=0.2", f"--pid-path={daemon.directory}"))


def cpus(daemon):
    """(VF->VM, VM->VF) by relay."""
    return {
        relay["id"]: (relay["vf_to_vm"]["cpu"], relay["vm_to_vf"]["cpu"])
        for relay in inspected(daemon)["relays"]
    }


def pinner(daemon, *pins):
    endpoints = (
        f"--config-ep={daemon.endpoint('config')}",
        f"--sched-ep={daemon.endpoint('core_sched')}",
    )
    return said("virtioforwarder_core_pinner.py", *endpoints, *(f"--virtio-cpu={pin}" for pin in pins))


def test_pinner_and_inspection_agree(two_workers):
    assert cpus(two_workers) == {1: (1, 1), 2: (1, 1)}
    pinner(two_workers, "1:1,0")
    assert cpus(two_workers) == {1: (1, 0), 2: (1, 1)}
    printed = pinner(two_workers).splitlines()
    assert "relay 1: vf_to_vm on CPU 1, vm_to_vf on CPU 0" in printed
    assert "relay 2: vf_to_vm on CPU 1, vm_to_vf on CPU 1" in printed
    pinner(two_workers, "1:1")
    assert cpus(two_workers) == {1: (1, 1), 2: (1, 1)}


def test_loads_are_measured(two_workers):
    found = inspected(two_workers)
    workers = {worker["cpu"]: worker for worker in found["workers"]}
    assert workers[1]["rates"]["busy"] > 10 * workers[0]["rates"]["busy"]
    assert workers[1]["rates"]["packets_per_burst"] > 16
    assert all(relay["vf_to_vm"]["rates"]["load"] > 0.05 for relay in found["relays"])
    drawn = said(
        "virtioforwarder_monitor_load.py",
        f"--stats-ep={two_workers.endpoint('stats')}",
        f"--sched-ep={two_workers.endpoint('core_sched')}",
        "--count=1",
    ).splitlines()
    assert drawn[0].startswith("CPU    0 |")
    assert drawn[1].rstrip().endswith("relays 1 2")
    assert "measured" in drawn[2]


def test_the_scheduler_balances_and_leaves_it_alone(two_workers, place):
    scheduler = ChildProcess(
        [
            program("vio4wd_core_scheduler"),
            f"--stats-ep={two_workers.endpoint('stats')}",
            f"--sched-ep={two_workers.endpoint('core_sched')}",
            "--poll-interval=0.1",
            "--loglevel=7",
        ],
        place / "scheduler.log",
    )
    try:

        def decisions():
            return [line for line in scheduler.output().splitlines() if " DEBUG load by CPU " in line]

        def moves():
            return [line for line in scheduler.output().splitlines() if " moved from CPUs " in line]

        wait_for(moves, "the scheduler to move a relay", 60)
        before = scheduler.output().partition(" moved from CPUs ")[0]
        assert before.count(" DEBUG load by CPU ") == 2  # intervals
        assert len(moves()) == 1
        assert {first for first, _ in cpus(two_workers).values()} == {0, 1}
        wait_for(lambda: len(decisions()) > 102, "a hundred more decisions", 120)
        assert len(moves()) == 1
        scheduler.signal(signal.SIGTERM)
        assert scheduler.wait(60) == 0
        assert "Traceback" not in scheduler.output()
    finally:
        scheduler.kill()
