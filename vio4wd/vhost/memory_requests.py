"""Messages about guest memory and the log of what is written to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vio4wd.vhost.errors import ViolationError
from vio4wd.vhost.fds import check_eventfd
from vio4wd.vhost.memory import ADDRESS_LIMIT, MAX_REGIONS, PAGE, check_file
from vio4wd.vhost.payloads import LogArea, Nothing, Number, Regions, SingleRegion
from vio4wd.vhost.state import DirtyLog

if TYPE_CHECKING:
    from vio4wd.vhost.device import Device


async def set_mem_table(device: Device, payload: Regions, fds: list[int]) -> None:
    """SET_MEM_TABLE: all of the guest's memory, a file for each region.

    Raises:
        ViolationError: not one file a region, or a malformed region.
    """
    if len(fds) != len(payload.regions):
        raise ViolationError(f"{len(payload.regions)} memory regions with {len(fds)} descriptors")
    device.state.memory.replace(list(zip(payload.regions, fds, strict=True)))
    fds.clear()


async def get_max_mem_slots(device: Device, payload: Nothing, fds: list[int]) -> Number:
    """GET_MAX_MEM_SLOTS: how many regions there may be."""
    return Number(MAX_REGIONS)


async def add_mem_reg(device: Device, payload: SingleRegion, fds: list[int]) -> None:
    """ADD_MEM_REG: one more region.

    Raises:
        ViolationError, RefusedError: as `memory.MemoryTable.add`.
    """
    device.state.memory.add(payload.region, fds[0])
    fds.clear()


async def rem_mem_reg(device: Device, payload: SingleRegion, fds: list[int]) -> None:
    """REM_MEM_REG: one region less; a descriptor that some frontends send along is not used."""
    device.state.memory.remove(payload.region)


async def set_log_base(device: Device, payload: LogArea, fds: list[int]) -> Number:
    """SET_LOG_BASE: the shared memory that logs written pages.

    Answered whether asked to or not (LOG_SHMFD): QEMU waits for it.

    Raises:
        ViolationError: empty, not page-aligned, or larger than its file.
    """
    what = f"dirty log of {payload.size:#x} bytes at offset {payload.offset:#x}"
    if payload.size == 0 or payload.offset % PAGE or payload.offset + payload.size > ADDRESS_LIMIT:
        raise ViolationError(f"{what}: empty, not at a page, or beyond 2^63")
    check_file(fds[0], payload.offset, payload.size, what)
    device.state.set_log(DirtyLog(fds.pop(), payload.size, payload.offset))
    return Number(0)


async def set_log_fd(device: Device, payload: Nothing, fds: list[int]) -> None:
    """SET_LOG_FD: an eventfd that tells of changes of the log.

    Raises:
        ViolationError: it is no eventfd.
    """
    check_eventfd(fds[0])
    device.state.set_log_fd(fds.pop())
