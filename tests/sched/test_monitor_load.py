"""Bars of the load on each worker CPU."""

import io
import os
import subprocess
import sys

import pytest
from played_daemon import START, PlayedDaemon, uneven
from rich.console import Console

from vio4wd.cli.monitor_load import bars
from vio4wd.inspection.figures import ASCII, UNICODE
from vio4wd.sched.balance import RelayLoad
from vio4wd.sched.loads import core_loads

COMMAND = [sys.executable, "-c", "import sys; from vio4wd.cli.monitor_load import main; sys.exit(main())"]


def run(*options, **environment):
    return subprocess.run(
        [*COMMAND, *options], capture_output=True, text=True, timeout=60, env=os.environ | environment
    )


def drawn(loads, relays, width, symbols):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(bars(loads, relays, width, symbols, exact=True))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 132])
@pytest.mark.parametrize("symbols", [ASCII, UNICODE])
def test_bars_fit(width, symbols):
    relays = [RelayLoad(n, 0, (n % 3, 5), (0.02, 0.03)) for n in range(64)]
    lines = drawn(core_loads(relays, [7]), relays, width, symbols)
    assert len(lines) == 6
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith("CPU    0 |")
    assert " 44%  relays " in lines[0]
    assert "and" in lines[0]
    assert "100%" in lines[3]  # CPU 5: more than a core, as a model may say
    assert lines[4].rstrip().endswith("|   0%")
    assert lines[5].startswith("measured, mean")


def test_no_worker_at_all():
    assert drawn({}, [], 80, ASCII) == ["no CPU serves a relay"]


def test_the_command_without_colour_in_80_columns(tmp_path):
    with PlayedDaemon(tmp_path, [1, 2, 9], START, uneven) as daemon:
        done = run(
            f"--stats-ep={daemon.stats_ep}",
            f"--sched-ep={daemon.sched_ep}",
            "--poll-interval=0.1",
            "--count=2",
            COLUMNS="80",
            PYTHONIOENCODING="ascii",
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) == 8  # three CPUs and a summary, twice
    assert all(len(line) <= 80 for line in lines)
    assert "92%  relays 0 1 2 3" in lines[0]
    assert "16%  relays 4 5 6 7" in lines[1]
    assert lines[2].startswith("CPU    9 |")


def test_without_core_scheduling_the_serving_cpus_are_shown(tmp_path):
    with PlayedDaemon(tmp_path, [1, 2, 9], START, uneven, exact=False) as daemon:
        done = run(
            f"--stats-ep={daemon.stats_ep}",
            f"--sched-ep=ipc://{tmp_path}/nobody",
            "--poll-interval=0.1",
            "--count=1",
        )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3
    assert "estimated, mean" in done.stdout


def test_no_daemon(tmp_path):
    done = run(f"--stats-ep=ipc://{tmp_path}/nobody")
    assert done.returncode == 1
    assert done.stderr.startswith("virtioforwarder_monitor_load.py: ipc://")
    assert "nobody listens" in done.stderr
    assert "Traceback" not in done.stderr
