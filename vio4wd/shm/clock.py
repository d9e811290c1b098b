"""The time stamp counter, which workers write into the tables as their heartbeat.

Read by one instruction that LLVM knows under the name the kernels use too; compiling it takes a few
milliseconds, where importing all of numba for it would take a third of a second.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

from vio4wd import native

_MODULE = """
declare i64 @llvm.readcyclecounter()
define i64 @cycles() {
  %value = call i64 @llvm.readcyclecounter()
  ret i64 %value
}
"""


def cycles() -> int:
    """The time stamp counter of the CPU that happens to run this; all CPUs of a machine agree on it."""
    return _reader()()


@functools.cache
def _reader() -> Callable[[], int]:
    return native.function("cycles", ctypes.CFUNCTYPE(ctypes.c_int64), source=_MODULE)
