"""Copies of packets: exact in both directions, so that no byte beyond a buffer is read or written."""

from vio4wd.kernels.compile import inline, inner
from vio4wd.kernels.memory import copy8, copy16, copy32, copy64, load8, memcpy, store8

#: Above this the C library's copy is faster than a loop of vectors.
_LONG = 2048


@inner
def _copy_short(target, source, length):
    """Copy 0 to 31 bytes."""
    if length >= 16:
        copy16(target, source)
        copy16(target + length - 16, source + length - 16)
    elif length >= 8:
        copy8(target, source)
        copy8(target + length - 8, source + length - 8)
    else:
        for i in range(length):
            store8(target + i, load8(source + i))


@inner
def _copy_long(target, source, length):
    """Copy more than 64 bytes: whole vectors, the last one overlapping the one before."""
    if length > _LONG:
        memcpy(target, source, length)
        return
    last = length - 64
    done = 0
    while done < last:
        copy64(target + done, source + done)
        done += 64
    copy64(target + last, source + last)


@inline
def copy_bytes(target, source, length):
    """Copy `length` >= 0 bytes between ranges that do not overlap."""
    if length > 64:
        _copy_long(target, source, length)
    elif length >= 32:
        copy32(target, source)
        copy32(target + length - 32, source + length - 32)
    else:
        _copy_short(target, source, length)
