"""The one exception of the DPDK rooms, and the way from DPDK's log to its text."""

from __future__ import annotations

import re
from typing import Final

from vio4wd.dpdk._binding import ffi, lib

_LOG_SIZE: Final = 4096
#: "EAL: ", "rte_pmd_init_internals(): ", "vdev_probe(): ": who speaks, which tells an operator nothing.
_SPEAKER: Final = re.compile(r"^(?:[A-Z_]+: |\w+\(\): )+")


class DpdkError(RuntimeError):
    """DPDK refused something. The text is one line: what, why, and where it is known what to do."""


def mark_log() -> None:
    """Forget what DPDK logged so far: the next failure is explained by what it logs from here on."""
    lib.vio_log_mark()


def reason(code: int = 0) -> str:
    """Why the last operation failed: DPDK's first log line since the mark, else the error's name.

    Args:
        code: an errno, of either sign; 0: none is known, and the text may be empty.
    """
    text = ffi.new("char[]", _LOG_SIZE)
    lib.vio_log_since_mark(text, _LOG_SIZE)
    lines = [line.strip() for line in ffi.string(text).decode(errors="replace").splitlines()]
    words = next((line for line in lines if line and "on primary process" not in line), "")
    said = _SPEAKER.sub("", words).rstrip(".")
    # Drivers return -1 for anything, so the number speaks only where the log says nothing.
    return said or (ffi.string(lib.rte_strerror(abs(code))).decode() if code else "")
