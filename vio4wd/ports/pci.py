"""What the system says of a PCI device before DPDK is asked: is it there, a NIC, and free for us."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vio4wd.config import drivers
from vio4wd.dpdk.errors import DpdkError

SYSFS: Final = Path("/sys")
_NETWORK_CLASS: Final = 0x02


def _number(path: Path) -> int:
    """The number in a file of sysfs, 0 when there is no such file."""
    try:
        return int(path.read_text(), 0)
    except (FileNotFoundError, ValueError):
        return 0


def kernel_driver(address: str, sysfs: Path = SYSFS) -> str:
    """Name of the kernel driver a PCI device is bound to, empty: none."""
    link = sysfs / "bus/pci/devices" / address / "driver"
    return link.resolve().name if link.exists() else ""


def numa_node(address: str, sysfs: Path = SYSFS) -> int:
    """NUMA node of a PCI device, -1: it is on none, or there is no such device."""
    path = sysfs / "bus/pci/devices" / address / "numa_node"
    return _number(path) if path.exists() else -1


def require_usable(address: str, sysfs: Path = SYSFS) -> None:
    """Check that DPDK may take a PCI device.

    Raises:
        DpdkError: it does not exist, is no network device, is a physical function whose virtual
            functions are in use, or belongs to a kernel driver, which is named.
    """
    device = sysfs / "bus/pci/devices" / address
    if not device.exists():
        raise DpdkError(f"{address}: there is no such PCI device (see lspci -D)")
    if _number(device / "class") >> 16 != _NETWORK_CLASS:
        raise DpdkError(f"{address} is no network device (class {_number(device / 'class'):#08x})")
    functions = _number(device / "sriov_numvfs")
    if functions:
        raise DpdkError(
            f"{address} is a physical function with {functions} virtual functions: attach one of those"
        )
    driver = kernel_driver(address, sysfs)
    if driver in drivers.USERSPACE or driver in drivers.SHARING:
        return
    present = f"is bound to the kernel driver {driver}" if driver else "is bound to no driver"
    raise DpdkError(
        f"{address} {present}, not to one that leaves it to DPDK ({', '.join(drivers.USERSPACE)}): "
        "bind it to vfio-pci first"
    )
