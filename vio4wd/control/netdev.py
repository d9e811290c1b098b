"""From the name of a network device to the device that a relay is given, by sysfs.

OVSDB and the command file name network devices of the kernel. Three kinds are told apart:

* a VF's representor, which stays with the kernel while the VF itself does not: its port name says which VF
  of which physical function it stands for (`phys_port_name` "pf0vf3", `device` is the physical function);
* a VF's own network device: `device/physfn` is its physical function, whose `virtfnN` links number the VFs;
* anything else, as a veth: it has no VF.

A PCI device that a userspace driver, or a driver that shares it with userspace, holds is attached by its
address. Any other network device stays with its driver and is attached through an AF_PACKET socket.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Final

from vio4wd.config import drivers
from vio4wd.config.pci import PciAddress, parse_pci

#: As the kernel's dev_valid_name(), without the comma that would begin another device argument.
_NAME: Final = re.compile(r"(?!\.{1,2}$)[^\s/:,]{1,15}")
_REPRESENTOR: Final = re.compile(r"(?:c\d+)?pf\d+vf(\d+)")
_VIRTFN: Final = re.compile(r"virtfn(\d+)")


class NetdevError(Exception):
    """There is no such device, or it is not what it should be; the message says so."""


@dataclasses.dataclass(frozen=True, slots=True)
class Netdev:
    """What is behind a network device.

    Attributes:
        device: what a relay is given: a PCI address in full, or a DPDK device string.
        vf: number of the VF within its physical function, None: no VF.
        pci: address of the VF, None: no VF.
    """

    name: str
    device: str
    vf: int | None = None
    pci: PciAddress | None = None


def resolve(name: str, root: Path = Path("/")) -> Netdev:
    """Look the network device up.

    Args:
        root: where /sys is; another one in tests.

    Raises:
        NetdevError: it does not exist, or its name could not be one.
    """
    if not _NAME.fullmatch(name) or not name.isprintable():
        raise NetdevError(f"{name!r} cannot be the name of a network device")
    node = root / "sys/class/net" / name
    if not node.exists():
        raise NetdevError(f"there is no network device {name}")
    vf = _virtual_function(node)
    if vf is None:
        return Netdev(name, _af_packet(name))
    number, pci = vf
    driver = _link_name(root / "sys/bus/pci/devices" / str(pci) / "driver")
    usable = driver in (*drivers.USERSPACE, *drivers.SHARING) or _represented(node) is not None
    return Netdev(name, str(pci) if usable else _af_packet(name), number, pci)


def _af_packet(name: str) -> str:
    # A name of DPDK's is made of letters, digits and underscores.
    suffix = "".join(char if char.isalnum() and char.isascii() else f"_{ord(char):x}_" for char in name)
    return f"net_af_packet_{suffix},iface={name}"


def _virtual_function(node: Path) -> tuple[int, PciAddress] | None:
    """Number and address of the VF behind a network device."""
    number = _represented(node)
    if number is not None:
        pci = _pci(node / "device" / f"virtfn{number}")
        return None if pci is None else (number, pci)
    pci = _pci(node / "device")
    if pci is None:
        return None
    for link in sorted((node / "device/physfn").glob("virtfn*")):
        match = _VIRTFN.fullmatch(link.name)
        if match and _pci(link) == pci:
            return int(match[1]), pci
    return None


def _represented(node: Path) -> int | None:
    """Number of the VF that a representor stands for."""
    try:
        match = _REPRESENTOR.fullmatch((node / "phys_port_name").read_text().strip())
    except OSError:  # most drivers answer that they do not support it
        return None
    return int(match[1]) if match else None


def _pci(link: Path) -> PciAddress | None:
    name = _link_name(link)
    try:
        return None if name is None else parse_pci(name)
    except ValueError:
        return None


def _link_name(link: Path) -> str | None:
    """Name of what a symbolic link points to, None where there is none."""
    try:
        return link.resolve(strict=True).name if link.is_symlink() else None
    except OSError:
        return None
