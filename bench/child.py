"""Programs of this package that run as processes of their own and print their result as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any


class MeasureError(Exception):
    """Something could not be measured; the message says why."""


def json_of(module: str, arguments: Sequence[str], timeout: float) -> Any:  # noqa: ANN401 - what JSON holds
    """What `python -m module` prints.

    Raises:
        MeasureError: it failed, or took longer than `timeout` seconds.
    """
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise MeasureError(f"{module} took longer than {timeout:.0f} s") from None
    if done.returncode != 0:
        raise MeasureError(f"{module} ended with status {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)
