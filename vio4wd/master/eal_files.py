"""Where DPDK's environment keeps its files, and how much it logs."""

from __future__ import annotations

import os
import pathlib
from typing import Final

#: Syslog levels (0 emergency .. 7 debug) to RTE_LOG_* (1 .. 8). EAL's "info" is chatter about memory
#: and buses which our operator did not ask for, so our info is its notice.
_LOG_LEVELS: Final = (1, 2, 3, 4, 5, 6, 6, 8)


def log_level(loglevel: int) -> int:
    """RTE_LOG_* number for a syslog level 0..7."""
    return _LOG_LEVELS[loglevel]


def runtime_directory(instance: str) -> pathlib.Path:
    """Where EAL keeps the sockets and files that its processes share (eal_create_runtime_dir)."""
    base = os.environ.get("RUNTIME_DIRECTORY")
    if base is None:
        base = "/var/run" if os.getuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "/tmp")
    return pathlib.Path(base) / "dpdk" / instance
