"""Messages about one virtqueue: size, place, position, eventfds, start, stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vio4wd.vhost.errors import ViolationError
from vio4wd.vhost.fds import check_eventfd
from vio4wd.vhost.memory import ADDRESS_LIMIT
from vio4wd.vhost.payloads import VringAddress, VringFile, VringState
from vio4wd.vhost.rings import LOG_USED, MAX_SIZE, Vring

if TYPE_CHECKING:
    from vio4wd.vhost.device import Device


async def set_vring_num(device: Device, payload: VringState, fds: list[int]) -> None:
    """SET_VRING_NUM: how many entries the ring has.

    Raises:
        ViolationError: none or too many, or the ring runs.
    """
    vring = _stopped(device, payload.index)
    if not 0 < payload.number <= MAX_SIZE:
        raise ViolationError(f"queue {payload.index} of {payload.number} entries, not 1 to {MAX_SIZE}")
    vring.size = payload.number


async def set_vring_addr(device: Device, payload: VringAddress, fds: list[int]) -> None:
    """SET_VRING_ADDR: where the ring lies; also sent while it runs, to switch the logging of it.

    Whether it lies in guest memory is found out when it is started: the memory may come later.

    Raises:
        ViolationError: an address beyond what can be computed with.
    """
    addresses = (payload.descriptors, payload.available, payload.used)
    logged = bool(payload.flags & LOG_USED)
    if any(address >= ADDRESS_LIMIT for address in (*addresses, payload.log if logged else 0)):
        raise ViolationError(f"queue {payload.index} at an address beyond 2^63")
    vring = device.queue(payload.index)
    vring.user_addresses = addresses
    vring.log_used = payload.log if logged else -1


async def set_vring_base(device: Device, payload: VringState, fds: list[int]) -> None:
    """SET_VRING_BASE: where in the ring to begin.

    Raises:
        ViolationError: the ring runs.
    """
    _stopped(device, payload.index).base = payload.number


async def get_vring_base(device: Device, payload: VringState, fds: list[int]) -> VringState:
    """GET_VRING_BASE: stop the ring and say where it was left."""
    vring = device.queue(payload.index)
    return VringState(payload.index, await device.stop(vring))


async def set_vring_kick(device: Device, payload: VringFile, fds: list[int]) -> None:
    """SET_VRING_KICK: the eventfd of the guest's notifications; it starts the ring.

    The specification would have us wait for the first notification. A guest that polls never sends one,
    nor one that was moved here with its ring full of buffers, so we go by this message.
    """
    vring = device.queue(payload.index)
    vring.set_fd("kick_fd", _take_eventfd(payload, fds))
    vring.started = True


async def set_vring_call(device: Device, payload: VringFile, fds: list[int]) -> None:
    """SET_VRING_CALL: the eventfd that interrupts the guest; also sent while the ring runs."""
    device.queue(payload.index).set_fd("call_fd", _take_eventfd(payload, fds))


async def set_vring_err(device: Device, payload: VringFile, fds: list[int]) -> None:
    """SET_VRING_ERR: the eventfd that tells of a broken ring."""
    device.queue(payload.index).set_fd("err_fd", _take_eventfd(payload, fds))


async def set_vring_enable(device: Device, payload: VringState, fds: list[int]) -> None:
    """SET_VRING_ENABLE: let packets flow or not; QEMU sends it before the ring is set up, too.

    Raises:
        ViolationError: neither 0 nor 1.
    """
    if payload.number > 1:
        raise ViolationError(f"queue {payload.index} enabled with {payload.number}, not 0 or 1")
    device.queue(payload.index).enabled = bool(payload.number)


def _stopped(device: Device, index: int) -> Vring:
    vring = device.queue(index)
    if vring.started:
        raise ViolationError(f"queue {index} was changed while it runs")
    return vring


def _take_eventfd(payload: VringFile, fds: list[int]) -> int:
    """The descriptor of the message, -1 if the message says that there is none.

    Raises:
        ViolationError: it says one thing and does another, or it is no eventfd.
    """
    if payload.no_fd == bool(fds):
        said, sent = ("no", "one") if payload.no_fd else ("a", "none")
        raise ViolationError(f"queue {payload.index}: {said} descriptor announced, {sent} sent")
    if payload.no_fd:
        return -1
    check_eventfd(fds[0])
    return fds.pop()
