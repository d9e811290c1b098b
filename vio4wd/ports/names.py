"""How devices are written: PCI addresses, DPDK device strings, names of bonds."""

from __future__ import annotations

import dataclasses
import re
from typing import Final, Literal

_PCI: Final = re.compile(
    r"(?:(?P<domain>[0-9a-fA-F]{4,8}):)?(?P<bus>[0-9a-fA-F]{2}):(?P<slot>[01][0-9a-fA-F])\.(?P<function>[0-7])"
)
_VDEV: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_BOND_PREFIX: Final = "net_bonding"
#: RTE_DEV_NAME_MAX_LEN, less its final zero.
_LONGEST: Final = 63
_FORMS: Final = (
    "a PCI address (0000:01:02.3 or 01:02.3) or a DPDK device string (net_af_packet0,iface=eth0) is needed"
)


class DeviceNameError(ValueError):
    """A text names no device; one line that says what is wrong."""


@dataclasses.dataclass(frozen=True, slots=True)
class DeviceName:
    """A device as DPDK knows it.

    Attributes:
        kind: "pci", or "vdev" for a device that DPDK makes.
        name: PCI address with domain, lower case; or the virtual device's name.
        arguments: what followed the first comma, for the driver.
    """

    kind: Literal["pci", "vdev"]
    name: str
    arguments: str = ""

    @property
    def devargs(self) -> str:
        """The whole string for DPDK."""
        return f"{self.name},{self.arguments}" if self.arguments else self.name


def parse(text: str) -> DeviceName:
    """The device that a text names.

    Raises:
        DeviceNameError: it names none.
    """
    text = text.strip()
    name, _, arguments = text.partition(",")
    if not text.isprintable() or not text.isascii():
        raise DeviceNameError(f"{text!r} holds characters no device name has: {_FORMS}")
    match = _PCI.fullmatch(name)
    if match:
        domain = match["domain"] or "0000"
        address = f"{domain}:{match['bus']}:{match['slot']}.{match['function']}".lower()
        return DeviceName("pci", address, arguments)
    if not _VDEV.fullmatch(name):
        raise DeviceNameError(f"{text!r} names no device: {_FORMS}")
    if len(name) > _LONGEST:
        raise DeviceNameError(f"the device name {name[:20]}... is longer than {_LONGEST} characters")
    if name.startswith(_BOND_PREFIX) or name.startswith("eth_bond"):
        raise DeviceNameError(f"{name} is a bond: give its name and its members, not a device string")
    return DeviceName("vdev", name, arguments)


def check_bond(name: str) -> str:
    """The name itself, if a bond may have it.

    Raises:
        DeviceNameError: it does not begin with net_bonding, is too long or has other characters than
            letters, digits and underscores.
    """
    if not name.startswith(_BOND_PREFIX):
        raise DeviceNameError(f"the bond name {name!r} must begin with {_BOND_PREFIX}")
    if not _VDEV.fullmatch(name) or len(name) > _LONGEST:
        raise DeviceNameError(
            f"the bond name {name[:70]!r} must be letters, digits and underscores, {_LONGEST} at most"
        )
    return name
