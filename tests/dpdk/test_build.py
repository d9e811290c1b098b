"""The binding's build: what it says when DPDK is not there, and which DPDK it is linked with."""

import os
import subprocess
import sys
from pathlib import Path

BUILD = Path(__file__).parents[2] / "vio4wd/dpdk/build.py"


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BUILD)],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_missing_dpdk_is_named_with_the_remedy(tmp_path: Path):
    result = run(PKG_CONFIG_LIBDIR=str(tmp_path))
    assert result.returncode == 1
    assert "pkg-config finds no libdpdk" in result.stderr
    assert "apt-get install libdpdk-dev" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_pkg_config_is_named_with_the_remedy(tmp_path: Path):
    result = run(PATH=str(tmp_path))
    assert result.returncode == 1
    assert result.stderr == "vio4wd: pkg-config is missing: apt-get install pkg-config\n"


def test_importing_the_binding_loads_no_numpy():
    code = (
        "import sys\n"
        "from vio4wd.dpdk import bonding, device, eal, errors, ethdev, functions, guard, mempool, ring\n"
        "assert 'numpy' not in sys.modules and 'numba' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
