"""What a port-control request means for the relays as they are: pure decisions, for the master to carry out.

A *conditional* request (the default of the protocol) asks for a state: where it holds already, all is well.
An unconditional one asks for a change: where nothing would change, that is an error.
"""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from vio4wd.control.controller import ControlError

SOURCE: Final = "port control"


@dataclasses.dataclass(frozen=True, slots=True)
class Attached:
    """What a relay has.

    Attributes:
        devices: one device, or the members of a bond.
        name, mode: the bond's; None and 0 for a single device.
        socket: path of the dynamic socket it is paired with, None: the relay's own, or none.
    """

    devices: tuple[str, ...]
    name: str | None = None
    mode: int = 0
    socket: str | None = None

    def __str__(self) -> str:
        """As messages name it."""
        return self.name or self.devices[0]

    def is_the_same(self, devices: Sequence[str], name: str | None, mode: int) -> bool:
        """Whether adding these would add what is there."""
        return set(self.devices) == set(devices) and self.name == name and (name is None or self.mode == mode)

    def is_meant(self, devices: Sequence[str], name: str | None) -> bool:
        """Whether a request to remove these means this; a bond may be named by its name or its members."""
        if name is not None:
            return self.name == name and set(devices) <= set(self.devices)
        return set(self.devices) == set(devices)


def add_changes(
    attached: Mapping[int, Attached],
    relay: int,
    devices: Sequence[str],
    name: str | None,
    mode: int,
    conditional: bool,
) -> bool:
    """Whether an ADD has to attach anything.

    Args:
        attached: relay -> what it has; relays without a device are missing.

    Raises:
        ControlError: it cannot be done (EBUSY), or it is so already and must not be (EEXIST).
    """
    present = attached.get(relay)
    if present is not None:
        if not present.is_the_same(devices, name, mode):
            raise ControlError(errno.EBUSY, SOURCE, f"relay {relay} has {present}: remove that first")
        if not conditional:
            raise ControlError(errno.EEXIST, SOURCE, f"relay {relay} has {present} already")
        return False
    _refuse_used_elsewhere(attached, devices, name)
    return True


def remove_changes(
    attached: Mapping[int, Attached],
    relay: int,
    devices: Sequence[str],
    name: str | None,
    conditional: bool,
) -> bool:
    """Whether a REMOVE has to detach what the relay has.

    Raises:
        ControlError: it is not there and should be (ENOENT).
    """
    present = attached.get(relay)
    if present is not None and present.is_meant(devices, name):
        return True
    if conditional:
        return False
    has = "no device" if present is None else str(present)
    raise ControlError(errno.ENOENT, SOURCE, f"relay {relay} has {has}, not {name or ' '.join(devices)}")


def relay_for_socket(
    attached: Mapping[int, Attached],
    relays: Iterable[int],
    path: str,
    devices: Sequence[str],
    name: str | None,
    mode: int,
    conditional: bool,
) -> int | None:
    """The relay that an ADD_SOCK takes, None: the pair is there already.

    Args:
        relays: all there are, in the order of preference.

    Raises:
        ControlError: socket or device are in use (EBUSY), the pair is there and must not be (EEXIST), or no
            relay is free (ENOSPC).
    """
    for relay, present in attached.items():
        if present.socket == path:
            if not present.is_the_same(devices, name, mode):
                raise ControlError(errno.EBUSY, SOURCE, f"{path} is paired with {present}: remove that first")
            if not conditional:
                raise ControlError(
                    errno.EEXIST, SOURCE, f"{path} is paired with {present} already (relay {relay})"
                )
            return None
    _refuse_used_elsewhere(attached, devices, name)
    for relay in relays:
        if relay not in attached:
            return relay
    raise ControlError(errno.ENOSPC, SOURCE, "all relays are in use")


def relay_of_socket(
    attached: Mapping[int, Attached],
    path: str,
    devices: Sequence[str],
    name: str | None,
    conditional: bool,
) -> int | None:
    """The relay that a REMOVE_SOCK frees, None: there is nothing to free.

    Raises:
        ControlError: the pair is not there and should be (ENOENT).
    """
    has = "no device"
    for relay, present in attached.items():
        if present.socket == path:
            if present.is_meant(devices, name):
                return relay
            has = str(present)
    if conditional:
        return None
    raise ControlError(errno.ENOENT, SOURCE, f"{path} is paired with {has}, not {name or ' '.join(devices)}")


def _refuse_used_elsewhere(
    attached: Mapping[int, Attached], devices: Sequence[str], name: str | None
) -> None:
    for relay, present in attached.items():
        for device in devices:
            if device in present.devices:
                raise ControlError(errno.EBUSY, SOURCE, f"{device} is attached to relay {relay} already")
        if name is not None and present.name == name:
            raise ControlError(errno.EBUSY, SOURCE, f"{name} is the bond of relay {relay} already")
