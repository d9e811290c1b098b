"""PCI devices as the kernel shows them: what a function is, who drives it, who has it open."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
from pathlib import Path
from typing import Final

from vio4wd.binding.errors import BindingError

_NETWORK_CLASS: Final = 0x02
_VIRTFN: Final = re.compile(r"virtfn(\d+)")
#: IFF_UP of linux/if.h.
_UP: Final = 1


@dataclasses.dataclass(frozen=True, slots=True)
class PciFunction:
    """What sysfs told of a function when it was asked.

    Attributes:
        address: in full, "0000:01:02.3".
        vendor: PCI vendor, 0: not told.
        network: it is a network device by its class.
        driver: kernel driver, "": none.
        netdevs: its network devices in this network namespace, with whether each is up.
        physical: address of a VF's physical function, "": it is no VF.
        most_vfs: VFs that it can have; 0: it is no physical function.
        vfs: addresses of the VFs it has, by number.
        group: IOMMU group, "": none.
    """

    address: str
    vendor: int
    network: bool
    driver: str
    netdevs: tuple[tuple[str, bool], ...]
    physical: str
    most_vfs: int
    vfs: tuple[str, ...]
    group: str


class Sysfs:
    """The kernel's files.

    Args:
        root: where /sys and /proc are; another directory in tests.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root
        self.pci = root / "sys/bus/pci"

    def functions(self) -> list[PciFunction]:
        """Every network function, by address."""
        addresses = sorted(path.name for path in (self.pci / "devices").glob("*"))
        found = [self.function(address) for address in addresses]
        return [function for function in found if function.network]

    def function(self, address: str) -> PciFunction:
        """The function at an address.

        Raises:
            BindingError: there is none.
        """
        device = self.pci / "devices" / address
        if not device.exists():
            raise BindingError(f"{address}: there is no such PCI device (see vio4wd-bind list)")
        numbered = {
            int(match[1]): link.resolve().name
            for link in device.glob("virtfn*")
            if (match := _VIRTFN.fullmatch(link.name))
        }
        return PciFunction(
            address,
            vendor=_number(device / "vendor"),
            network=_number(device / "class") >> 16 == _NETWORK_CLASS,
            driver=_target(device / "driver"),
            netdevs=_netdevs(device),
            physical=_target(device / "physfn"),
            most_vfs=_number(device / "sriov_totalvfs"),
            vfs=tuple(numbered[number] for number in sorted(numbered)),
            group=_target(device / "iommu_group"),
        )

    def has_driver(self, name: str) -> bool:
        """Whether a driver is loaded."""
        return (self.pci / "drivers" / name).exists()

    def without_iommu(self) -> bool:
        """Whether VFIO was told to do without an IOMMU (which protects nothing from the device)."""
        switch = self.root / "sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
        try:
            return switch.read_text().strip() in ("Y", "1")
        except OSError:
            return False

    def users(self, function: PciFunction) -> list[str]:
        """Processes that have the function's VFIO group open, as "pid 12 (qemu-system-x86)"."""
        if not function.group:
            return []
        wanted = f"/dev/vfio/{function.group}"
        found = []
        for process in (self.root / "proc").glob("[0-9]*"):
            try:
                if any(os.readlink(fd) == wanted for fd in (process / "fd").iterdir()):  # noqa: PTH115
                    found.append(f"pid {process.name} ({(process / 'comm').read_text().strip()})")
            except OSError:  # it has ended, or closed the file, meanwhile
                continue
        return sorted(found)

    def write(self, path: Path, text: str) -> None:
        """Write to a file of the kernel, in one piece.

        Raises:
            BindingError: the kernel refused.
        """
        try:
            fd = os.open(path, os.O_WRONLY)
            try:
                os.write(fd, text.encode())
            finally:
                os.close(fd)
        except OSError as error:
            hint = ": run as root" if error.errno in (errno.EACCES, errno.EPERM) else ""
            raise BindingError(f"{path} cannot be written: {error.strerror}{hint}") from None


def _netdevs(device: Path) -> tuple[tuple[str, bool], ...]:
    """Names of a device's network devices, and whether each is up."""
    # Those of virtio and of auxiliary devices are a level below. The links lead to other PCI devices.
    below = [path for path in device.glob("*/net/*") if not path.parent.parent.is_symlink()]
    return tuple(
        (path.name, bool(_number(path / "flags") & _UP)) for path in sorted((*device.glob("net/*"), *below))
    )


def _number(path: Path) -> int:
    """The number in a file, 0 when there is no such file or the driver has no answer."""
    try:
        return int(path.read_text(), 0)
    except (OSError, ValueError):
        return 0


def _target(link: Path) -> str:
    """The name of what a symbolic link points to, empty where there is none."""
    return link.resolve().name if link.exists() else ""
