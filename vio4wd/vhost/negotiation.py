"""Messages about the device as a whole: features, owner, status, reset, MTU, announcement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vio4wd.vhost import rarp
from vio4wd.vhost.errors import RefusedError, ViolationError
from vio4wd.vhost.features import MIN_MTU, Protocol, Virtio, names
from vio4wd.vhost.payloads import Nothing, Number

if TYPE_CHECKING:
    from vio4wd.vhost.device import Device


#: Features that may change while rings run.
_CHANGEABLE: Final = int(Virtio.LOG_ALL | Virtio.PROTOCOL_FEATURES)


async def get_features(device: Device, payload: Nothing, fds: list[int]) -> Number:
    """GET_FEATURES: what we offer."""
    return Number(device.offer.features)


async def set_features(device: Device, payload: Number, fds: list[int]) -> None:
    """SET_FEATURES: what the guest took of it; sent again to switch the dirty log on and off.

    Raises:
        ViolationError: a bit that was not offered, packed rings for a legacy guest, or anything but
            the log changed while rings run.
    """
    features = payload.value
    unknown = features & ~device.offer.features
    if unknown:
        raise ViolationError(f"took features that were not offered: {names(unknown)}")
    if features & Virtio.RING_PACKED and not features & Virtio.VERSION_1:
        raise ViolationError("took packed virtqueues without virtio 1.x")
    state = device.state
    changed = (features ^ state.features) & ~_CHANGEABLE
    if changed and any(vring.started for vring in state.vrings):
        raise ViolationError(f"changed features while queues run: {names(changed)}")
    state.features = features
    if not features & Virtio.PROTOCOL_FEATURES:
        # "Ring states": a frontend that does not know how to enable rings has them enabled.
        for vring in state.vrings:
            vring.enabled = True


async def get_protocol_features(device: Device, payload: Nothing, fds: list[int]) -> Number:
    """GET_PROTOCOL_FEATURES: what we offer."""
    return Number(device.offer.protocol_features)


async def set_protocol_features(device: Device, payload: Number, fds: list[int]) -> None:
    """SET_PROTOCOL_FEATURES: what the frontend took of it.

    Raises:
        ViolationError: a bit that was not offered.
    """
    unknown = payload.value & ~device.offer.protocol_features
    if unknown:
        raise ViolationError(f"took protocol features that were not offered: {names(unknown, Protocol)}")
    device.state.protocol_features = payload.value


async def get_queue_num(device: Device, payload: Nothing, fds: list[int]) -> Number:
    """GET_QUEUE_NUM: how many queue pairs there may be."""
    return Number(device.offer.queue_pairs)


async def set_owner(device: Device, payload: Nothing, fds: list[int]) -> None:
    """SET_OWNER: the session begins; the connection itself says as much."""


async def reset_owner(device: Device, payload: Nothing, fds: list[int]) -> None:
    """RESET_OWNER (deprecated): old frontends send it where they stop; all rings stop and are disabled."""
    for vring in device.state.vrings:
        await device.stop(vring)
        vring.enabled = False


async def reset_device(device: Device, payload: Nothing, fds: list[int]) -> None:
    """RESET_DEVICE: back to the state before the features were negotiated, but with the same frontend."""
    for vring in device.state.vrings:
        device.forget_position(vring)
    device.state.reset()


async def set_status(device: Device, payload: Number, fds: list[int]) -> None:
    """SET_STATUS: the device status of virtio.

    Status 0 stops service but forgets nothing: QEMU 7.2 sends it before it asks for the positions.

    Raises:
        ViolationError: more than 8 bits.
    """
    if payload.value > 0xFF:
        raise ViolationError(f"device status {payload.value:#x} has more than 8 bits")
    device.state.status = payload.value


async def get_status(device: Device, payload: Nothing, fds: list[int]) -> Number:
    """GET_STATUS: the status as it was set."""
    return Number(device.state.status)


async def net_set_mtu(device: Device, payload: Number, fds: list[int]) -> None:
    """NET_SET_MTU: the MTU the guest was told.

    Raises:
        RefusedError: less than a network device may have, or more than the VF takes.
    """
    if not MIN_MTU <= payload.value <= device.offer.max_mtu:
        raise RefusedError(f"MTU {payload.value} is not within {MIN_MTU} to {device.offer.max_mtu}")
    device.state.mtu = payload.value


#: Bits of SEND_RARP's payload that hold the MAC address, its first byte in the lowest.
_MAC_BITS: Final = (1 << 48) - 1


async def send_rarp(device: Device, payload: Number, fds: list[int]) -> None:
    """SEND_RARP: tell the network that the guest is reached through us from now on."""
    await device.listener.announce(rarp.frame((payload.value & _MAC_BITS).to_bytes(6, "little")))
