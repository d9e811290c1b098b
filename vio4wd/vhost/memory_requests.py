"""Messages about guest memory, the log of what is written to it, and the memory that outlives us."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vio4wd.shm.inflight import ALIGNMENT
from vio4wd.vhost import inflight
from vio4wd.vhost.errors import ViolationError
from vio4wd.vhost.fds import check_eventfd
from vio4wd.vhost.memory import ADDRESS_LIMIT, MAX_REGIONS, PAGE, check_file
from vio4wd.vhost.payloads import InflightArea, LogArea, Nothing, Number, Regions, SingleRegion, WithFile
from vio4wd.vhost.rings import MAX_SIZE
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


async def get_inflight_fd(device: Device, payload: InflightArea, fds: list[int]) -> WithFile:
    """GET_INFLIGHT_FD: memory for the frontend to keep, in which rings can be followed.

    Raises:
        ViolationError: for no queue, more than there may be, or queues of no entry or too many.
    """
    _check_queues(device, payload)
    fd, size = inflight.create(payload.queues, payload.queue_size, packed=device.state.packed)
    return WithFile(InflightArea(size, 0, payload.queues, payload.queue_size), fd)


async def set_inflight_fd(device: Device, payload: InflightArea, fds: list[int]) -> None:
    """SET_INFLIGHT_FD: where to note how far each ring is; a backend that died may have noted it.

    Raises:
        ViolationError: as GET_INFLIGHT_FD; too small for the queues, not aligned, larger than its file.
    """
    _check_queues(device, payload)
    what = f"in-flight memory of {payload.size:#x} bytes at offset {payload.offset:#x}"
    packed = device.state.packed
    need = inflight.area_size(payload.queues, payload.queue_size, packed=packed)
    if payload.size < need:
        raise ViolationError(f"{what}: {need:#x} are needed")
    if payload.offset % ALIGNMENT or payload.offset + payload.size > ADDRESS_LIMIT:
        raise ViolationError(f"{what}: not aligned to {ALIGNMENT}, or beyond 2^63")
    check_file(fds[0], payload.offset, payload.size, what)
    area = (payload.size, payload.offset, payload.queues, payload.queue_size)
    device.state.set_inflight(inflight.Inflight(fds.pop(), *area, packed))


def _check_queues(device: Device, payload: InflightArea) -> None:
    if not payload.queues or not 0 < payload.queue_size <= MAX_SIZE:
        raise ViolationError(f"in-flight memory for {payload.queues} queues of {payload.queue_size} entries")
    device.queue(payload.queues - 1)
