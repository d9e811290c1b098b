"""Where this machine's hugepages are."""

from __future__ import annotations

from pathlib import Path


def mount_point() -> Path:
    """The first hugetlbfs that is mounted.

    Raises:
        FileNotFoundError: none is.
    """
    for line in Path("/proc/mounts").read_text().splitlines():
        _, directory, kind, *_ = line.split()
        if kind == "hugetlbfs":
            return Path(directory)
    raise FileNotFoundError("no hugetlbfs is mounted: run scripts/setup")


def free() -> int:
    """Free hugepages of the default size."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("HugePages_Free:"):
            return int(line.split()[1])
    return 0
