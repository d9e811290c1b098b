"""Compiled kernels: kept in files, made once, loaded by processes that have no numba."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Stands for the compiler: it says when it begins and goes on when it is told to.
PROGRAM = """
import sys, types
from vio4wd.kernels import machine_code

def object_file(name, function):
    print("compiles", flush=True)
    sys.stdin.readline()
    return b"code"

sys.modules["vio4wd.kernels.compile"] = types.SimpleNamespace(object_file=object_file)
sys.modules[machine_code.ENTRIES["run"]] = types.SimpleNamespace(run=None)
print(machine_code.machine_code("run").decode(), flush=True)
"""

LOADING = """
import sys
from vio4wd.kernels.machine_code import load
from vio4wd.worker import process
load("run"), load("set_up"), load("run_pump")
print("numba" in sys.modules)
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


def finish(process):
    """Let a process compile, if it does, and end."""
    output, _ = process.communicate("\n", timeout=30)
    assert process.returncode == 0
    return output


def test_the_second_waits_for_the_first_and_nobody_compiles_again(tmp_path):
    first, second, third = None, None, None
    try:
        first = start(tmp_path)
        assert first.stdout.readline() == "compiles\n"
        (lock,) = tmp_path.glob("*/lock")
        second = start(tmp_path)
        while str(second.pid) not in waiting(lock):
            assert second.poll() is None
        assert finish(first) == "code\n"
        assert finish(second) == "code\n"
        third = start(tmp_path)
        assert finish(third) == "code\n"
        assert [path.name for path in lock.parent.iterdir() if path != lock] == ["run.o"]
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


@pytest.mark.parametrize("size", [0, 3, 20])
def test_a_file_that_was_cut_short_is_made_anew(tmp_path, size):
    first = start(tmp_path)
    assert finish(first) == "compiles\ncode\n"
    (path,) = tmp_path.glob("*/run.o")
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    second = start(tmp_path)
    assert finish(second) == "compiles\ncode\n"
    assert path.read_bytes() == whole


def test_a_cache_that_cannot_be_written_stops_nobody(tmp_path):
    (tmp_path / "file").touch()
    process = start(tmp_path / "file")
    try:
        assert finish(process) == "compiles\ncode\n"
    finally:
        process.kill()
        process.wait()


def test_what_is_compiled_already_is_loaded_without_numba():
    subprocess.run([sys.executable, "-c", "from vio4wd.cli.precompile import main; main()", "-q"], check=True)
    done = subprocess.run([sys.executable, "-c", LOADING], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
