"""The demonstration works, tells the truth in its exit status, and takes everything down when interrupted."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from vio4wd.testing.wait import wait_for

DEMO = Path(__file__).parents[2] / "scripts" / "demo.py"


@pytest.fixture
def demo(place):
    """A function that starts the demonstration with its files in `place`; it is ended with the test."""
    started = []

    def start():
        log = place / "demo.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, str(DEMO)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "TMPDIR": str(place), "PYTHONUNBUFFERED": "1"},
            )
        started.append(process)
        return process, log

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def left_in(place):
    return [path.name for path in place.glob("vio4wd-demo-*")]


@pytest.mark.timeout(240)
def test_the_demonstration_works(demo, place):
    process, log = demo()
    status = process.wait(200)
    assert status == 0, log.read_text()
    assert "All of it worked." in log.read_text()
    assert "digests match" in log.read_text()
    assert left_in(place) == []


@pytest.mark.timeout(240)
def test_an_interrupted_demonstration_takes_all_down(demo, place):
    process, log = demo()
    wait_for(
        lambda: list(place.glob("vio4wd-demo-*/guest/console.log")), "the demonstration to boot its VM", 120
    )
    children = psutil.Process(process.pid).children(recursive=True)
    namespaces = [path for path in Path("/run/netns").iterdir() if str(process.pid) in path.name]
    assert len(children) >= 3  # master, worker, QEMU
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130, log.read_text()
    assert not [child for child in children if child.is_running()]
    assert namespaces
    assert not [path for path in namespaces if path.exists()]
    assert left_in(place) == []
