"""Reads a PortControlRequest: what is asked for, checked in form, before any relay is looked at."""

from __future__ import annotations

import dataclasses
import errno
import re
from collections.abc import Iterable
from typing import Final

from vio4wd.config.pci import PciAddress
from vio4wd.control.controller import ControlError
from vio4wd.control.decisions import SOURCE
from vio4wd.control.proto.virtioforwarder_pb2 import PortControlRequest
from vio4wd.limits import MAX_RELAYS, SOCKET_PATH_BYTES

MIN_MEMBERS: Final = 2
MAX_MEMBERS: Final = 8
MAX_MODE: Final = 6
#: Bytes of a device string that the shared tables can show.
MAX_DEVICE: Final = 255
#: `RTE_DEV_NAME_MAX_LEN` is 64; a comma would begin another device argument.
_BOND_NAME: Final = re.compile(r"net_bonding[A-Za-z0-9_.-]{0,52}")


@dataclasses.dataclass(frozen=True, slots=True)
class Devices:
    """One device, or a bond.

    Attributes:
        devices: PCI addresses in full, or DPDK device strings; may be empty for a bond to remove.
        name: of the bond, None: a single device.
        mode: of the bond.
    """

    devices: tuple[str, ...]
    name: str | None
    mode: int

    def __str__(self) -> str:
        """As the log names it."""
        members = " ".join(self.devices)
        return members if self.name is None else f"{self.name} (mode {self.mode}: {members})"


def relay_of(request: PortControlRequest) -> int:
    """The relay named by `virtio_id`.

    Raises:
        ControlError: missing or no relay (EINVAL).
    """
    if not request.HasField("virtio_id"):
        raise _invalid("no relay given (virtio_id)")
    if request.virtio_id >= MAX_RELAYS:
        raise _invalid(f"there is no relay {request.virtio_id}: relays are 0 to {MAX_RELAYS - 1}")
    return request.virtio_id


def path_of(request: PortControlRequest) -> str:
    """The vhost-user socket's path.

    Raises:
        ControlError: missing, relative, too long or not printable (EINVAL).
    """
    path = _text(request.vhost_path, "vhost_path")
    if not path:
        raise _invalid("no vhost-user socket given (vhost_path)")
    if not path.startswith("/"):
        raise _invalid(f"{path!r} is not an absolute path (vhost_path)")
    if len(path.encode()) > SOCKET_PATH_BYTES:
        raise _invalid(f"the socket's path is longer than {SOCKET_PATH_BYTES} bytes: {path}")
    return path


def devices_to_add(request: PortControlRequest) -> Devices:
    """What is to be attached.

    Raises:
        ControlError: no device, one named twice, or a malformed bond (EINVAL).
    """
    devices = _devices(request)
    name = _bond_name(request)
    if not devices:
        raise _invalid("no device given (pci_addrs or devices)")
    if name is None:
        if len(devices) > 1:
            raise _invalid(
                f"{len(devices)} devices make a bond, and a bond needs a name that begins with net_bonding"
            )
        return Devices(devices, None, 0)
    if not MIN_MEMBERS <= len(devices) <= MAX_MEMBERS:
        raise _invalid(f"{name}: a bond has {MIN_MEMBERS} to {MAX_MEMBERS} members, not {len(devices)}")
    if request.mode > MAX_MODE:
        raise _invalid(f"{name}: there is no bond mode {request.mode}: modes are 0 to {MAX_MODE}")
    return Devices(devices, name, request.mode)


def devices_to_remove(request: PortControlRequest) -> Devices:
    """What is to be detached: a device, or a bond by its name or its members.

    Raises:
        ControlError: nothing is named, or something malformed (EINVAL).
    """
    devices = _devices(request)
    name = _bond_name(request)
    if not devices and name is None:
        raise _invalid("no device or bond given (pci_addrs, devices or name)")
    return Devices(devices, name, 0)


def _devices(request: PortControlRequest) -> tuple[str, ...]:
    devices = (*(_pci(address) for address in request.pci_addrs), *_device_strings(request.devices))
    for device in devices:
        if devices.count(device) > 1:
            raise _invalid(f"{device} is given more than once")
    return devices


def _pci(address: PortControlRequest.PciAddress) -> str:
    checked = PciAddress(address.domain, address.bus, address.slot, address.function)
    try:
        checked.check()
    except ValueError as error:
        raise _invalid(str(error)) from None
    return str(checked)


def _device_strings(devices: Iterable[object]) -> Iterable[str]:
    for device in devices:
        text = _text(device, "devices")
        if not text or len(text.encode()) > MAX_DEVICE or " " in text:
            raise _invalid(f"{text!r} is no device: 1 to {MAX_DEVICE} bytes without blanks (devices)")
        yield text


def _bond_name(request: PortControlRequest) -> str | None:
    name = _text(request.name, "name")
    if name and not _BOND_NAME.fullmatch(name):
        raise _invalid(f"{name!r} is no name for a bond: net_bonding and up to 52 letters, digits, - _ .")
    return name or None


def _text(value: object, field: str) -> str:
    """A string field's value. protobuf hands bytes through that are not UTF-8.

    Raises:
        ControlError: such bytes, or characters that would garble a log (EINVAL).
    """
    if not isinstance(value, str):
        raise _invalid(f"{field} is not UTF-8 text")
    if not value.isprintable():
        raise _invalid(f"{value!r} has unprintable characters ({field})")
    return value


def _invalid(message: str) -> ControlError:
    return ControlError(errno.EINVAL, SOURCE, message)
