"""NUMA nodes: of a CPU, of the machine, and of a guest's memory.

The guest's memory is looked at from the side of its owner, the process that serves the guest: the
kernel says there on which nodes the pages of each mapping lie (proc(5), numa_maps). Mapping it here and
touching it would place pages that the guest has not touched yet, on our node.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
from collections import Counter
from collections.abc import Iterable

_SYSFS = pathlib.Path("/sys/devices/system")
_PROC = pathlib.Path("/proc")


def nodes(sysfs: pathlib.Path = _SYSFS) -> list[int]:
    """Nodes of this machine that have memory, [0] where the kernel knows of none."""
    found = []
    for folder in sysfs.glob("node/node[0-9]*"):
        with contextlib.suppress(OSError):
            total = re.search(r"MemTotal:\s+(\d+)", (folder / "meminfo").read_text())
            if total is None or int(total[1]):
                found.append(int(folder.name.removeprefix("node")))
    return sorted(found) or [0]


def node_of_cpu(cpu: int, sysfs: pathlib.Path = _SYSFS) -> int:
    """Node of a CPU, 0 where the kernel knows of none."""
    for link in (sysfs / "cpu" / f"cpu{cpu}").glob("node[0-9]*"):
        return int(link.name.removeprefix("node"))
    return 0


def file_keys(fds: Iterable[int]) -> set[tuple[int, int]]:
    """(device, inode) of open files."""
    return {(status.st_dev, status.st_ino) for status in map(os.fstat, fds)}


def node_of_files(pid: int, files: set[tuple[int, int]], proc: pathlib.Path = _PROC) -> int | None:
    """Node on which most of these files' memory lies, as the process has it mapped.

    Args:
        pid: of the process that serves the guest.
        files: (device, inode) of the files behind guest memory.

    Returns:
        None where it cannot be told: the process is gone or hidden, or has touched none of it.
    """
    try:
        maps = (proc / str(pid) / "maps").read_text()
        placed = (proc / str(pid) / "numa_maps").read_text()
    except OSError:
        return None
    starts = {start for start, key in _mapped_files(maps) if key in files}
    pages: Counter[int] = Counter()
    for line in placed.splitlines():
        start, *words = line.split()
        if int(start, 16) not in starts:
            continue
        size = next((int(w.partition("=")[2]) for w in words if w.startswith("kernelpagesize_kB=")), 4)
        for word in words:
            if match := re.fullmatch(r"N(\d+)=(\d+)", word):
                pages[int(match[1])] += int(match[2]) * size
    return max(pages, key=lambda node: (pages[node], -node)) if pages else None


def _mapped_files(maps: str) -> Iterable[tuple[int, tuple[int, int]]]:
    """Start address and (device, inode) of each file mapping in /proc/PID/maps."""
    for line in maps.splitlines():
        span, _, _, device, inode, *_ = line.split(maxsplit=5)
        major, _, minor = device.partition(":")
        if inode != "0":
            yield int(span.partition("-")[0], 16), (os.makedev(int(major, 16), int(minor, 16)), int(inode))
