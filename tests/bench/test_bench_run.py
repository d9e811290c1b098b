"""A run of the real thing, as short as can be: programs start, packets move, figures are kept, all ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.result import load

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(240)
def test_a_short_run(tmp_path):
    out = tmp_path / "result"
    command = [
        *(sys.executable, "-m", "bench", "pvp", "--quick", "--seconds=0.2", "--only=64 B split, both ways"),
        *("--peer=broken=/bin/false {socket}", f"--out={out}"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 1, done.stderr
    failed = "failed: broken: it ended with status 1: it said nothing"
    assert done.stderr.splitlines()[-1] == failed, done.stderr
    result = load(out / "result.json")
    assert {window.backend: window.value > 0 for window in result.windows} == {
        "vio4wd": True,
        "testpmd": True,
    }
    assert all(window.before and window.after for window in result.windows)
    assert {path.name for path in out.iterdir()} >= {"result.json", "result.csv"}
    assert "pvp: Mpps, more is better" in done.stdout or "thrown away" in done.stdout
    assert "Traceback" not in done.stderr
