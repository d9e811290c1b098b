"""What a run ran on, in words."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from vio4wd.dpdk import eal


def describe() -> dict[str, str]:
    """Properties of this machine and of the programs on it, by name."""
    cpu = _properties(Path("/proc/cpuinfo"))
    memory = _properties(Path("/proc/meminfo"))
    flags = cpu.get("flags", "").split()
    vectors = [name for name in ("avx2", "avx512f", "avx512bw", "avx512vl") if name in flags]
    total = int(memory["MemTotal"].split()[0]) >> 20
    pages = f"{memory['HugePages_Total']} hugepages of {memory['Hugepagesize']}"
    return {
        "processor": f"{cpu.get('model name', 'unknown')} ({', '.join(vectors) or 'no AVX2'})",
        "CPUs": f"{os.cpu_count()}{', virtual' if 'hypervisor' in flags else ''}",
        "caches": _caches(),
        "memory": f"{total} GiB, {pages}",
        "kernel": platform.release(),
        "DPDK": eal.version().removeprefix("DPDK "),
        "Python": platform.python_version(),
        "numba": f"{version('numba')} (llvmlite {version('llvmlite')}), numpy {version('numpy')}",
        "VIO4WD": f"{version('vio4wd')}{_commit()}",
    }


def _properties(path: Path) -> dict[str, str]:
    """Lines "name: value"; of a name that comes again, the first."""
    found: dict[str, str] = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    return found


def _caches() -> str:
    """Caches of the first CPU, from sysfs."""
    found = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return ", ".join(found) or "unknown"


def _commit() -> str:
    """The commit of this tree, "+" behind it where files differ from it; empty outside a checkout."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return f", commit {done.stdout.strip()}" if done.returncode == 0 else ""
