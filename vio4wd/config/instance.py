"""What distinguishes two masters on one machine: their pid directory."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

DEFAULT_PID_PATH: Final = Path("/var/run")
_NAME: Final = "vio4wd"


def instance_name(pid_path: Path | str) -> str:
    """The name that a master's shared memory and DPDK files carry.

    Args:
        pid_path: directory of the pid file; two spellings of one directory give one name.

    Returns:
        "vio4wd" for /var/run, else "vio4wd-" and 8 hexadecimal digits of the path's SHA-256.
    """
    path = os.path.realpath(pid_path)
    if path == os.path.realpath(DEFAULT_PID_PATH):
        return _NAME
    return f"{_NAME}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
