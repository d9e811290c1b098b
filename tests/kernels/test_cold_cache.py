"""Several processes that find an empty cache compile one after the other."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys, time
from vio4wd.kernels import cold_cache
with cold_cache.one_at_a_time():
    print("in", flush=True)
    sys.stdin.readline()
print("out", flush=True)
"""


def start(folder):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env={**os.environ, "VIO4WD_CACHE_DIR": str(folder)},
    )


def leave(process):
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "out\n"
    assert process.wait(30) == 0
    process.stdin.close()
    process.stdout.close()


def test_the_second_waits_for_the_first_and_the_third_for_nobody(tmp_path):
    first, second, third = None, None, None
    try:
        first = start(tmp_path)
        assert first.stdout.readline() == "in\n"
        (lock,) = tmp_path.glob("*/lock")
        second = start(tmp_path)
        while str(second.pid) not in waiting(lock):
            assert second.poll() is None
        leave(first)
        assert second.stdout.readline() == "in\n"
        third = start(tmp_path)  # the cache is warm by now
        assert third.stdout.readline() == "in\n"
        leave(third)
        leave(second)
    finally:
        for process in (first, second, third):
            if process is not None:
                process.kill()
                process.wait()


def waiting(lock):
    """Process ids of those that wait for the lock on a file (proc_locks(5))."""
    inode = str(lock.stat().st_ino)
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return [words[5] for words in lines if words[1] == "->" and words[6].endswith(f":{inode}")]


def test_a_cache_that_cannot_be_written_stops_nobody(tmp_path):
    (tmp_path / "file").touch()
    process = start(tmp_path / "file")
    try:
        assert process.stdout.readline() == "in\n"
        leave(process)
    finally:
        process.kill()
        process.wait()
