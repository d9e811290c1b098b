"""Survives guest memory whose file was truncated (SIGBUS); `guard.h` tells how."""

from __future__ import annotations

import os

from vio4wd.dpdk._binding import ffi, lib
from vio4wd.dpdk.errors import DpdkError


def install() -> None:
    """Take over SIGBUS. A fault outside every region ends the process as before.

    Raises:
        DpdkError: the system refused.
    """
    if lib.vio_guard_install() < 0:
        raise DpdkError(f"SIGBUS cannot be handled: {os.strerror(ffi.errno)}")


def add(address: int, size: int) -> int:
    """Guard a mapping of `size` > 0 bytes at a page's address; the slot that names it.

    Raises:
        DpdkError: all slots are taken.
    """
    slot = int(lib.vio_guard_add(address, size))
    if slot < 0:
        raise DpdkError("too many guarded mappings")
    return slot


def remove(slot: int) -> None:
    """Guard it no more; before it is unmapped."""
    lib.vio_guard_remove(slot)


def tripped(slot: int) -> bool:
    """Whether a page of the mapping vanished and was replaced."""
    return bool(lib.vio_guard_tripped(slot))
