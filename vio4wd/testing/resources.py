"""What a process holds: file descriptors and mappings, to show that nothing leaks."""

from __future__ import annotations

import collections
import dataclasses
import os
import re
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Resources:
    """Counts of one process's resources, by what they refer to.

    Attributes:
        fds: open file descriptors, by target ("socket", "anon_inode:[eventfd]", "/memfd:ram", ...).
        mappings: shared mappings of files, by file; private memory comes and goes with the allocator.
    """

    fds: collections.Counter[str]
    mappings: collections.Counter[str]

    def growth(self, later: Resources) -> dict[str, int]:
        """What `later` has more of, by target; empty when nothing has grown."""
        more = (later.fds - self.fds) + (later.mappings - self.mappings)
        return dict(more)


def of_process(pid: int) -> Resources:
    """The resources of a process now.

    Raises:
        FileNotFoundError, PermissionError: there is no such process, or it is another user's.
    """
    return Resources(_fds(pid), _mappings(pid))


def _fds(pid: int) -> collections.Counter[str]:
    count: collections.Counter[str] = collections.Counter()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count[_kind(os.readlink(fd))] += 1  # noqa: PTH115 - the target is no path: "socket:[123]"
        except FileNotFoundError:  # closed meanwhile
            continue
    return count


def _mappings(pid: int) -> collections.Counter[str]:
    count: collections.Counter[str] = collections.Counter()
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        _, permissions, _, _, _, *name = line.split(None, 5)
        if permissions.endswith("s") and name:
            count[f"mapping of {_kind(name[0])}"] += 1
    return count


def _kind(target: str) -> str:
    # Inode numbers tell two sockets or pipes apart, which nobody wants here; DPDK names files after the
    # process, which would tell a worker from its successor, and numbers those of hugepages.
    return re.sub(r":\[\d+\]|(?<=\d)_\d+$|(?<=map_)\d+$", "", target)
