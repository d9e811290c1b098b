"""Binding one function to vfio-pci, and giving it back."""

from __future__ import annotations

from typing import Final

from vio4wd.binding.errors import BindingError
from vio4wd.binding.sysfs import PciFunction, Sysfs
from vio4wd.config import drivers

DRIVER: Final = "vfio-pci"
#: Drivers that leave a device to a process, which cannot be asked whether there is one.
_OTHER_USERSPACE: Final = tuple(driver for driver in drivers.USERSPACE if driver != DRIVER)


def bind(sysfs: Sysfs, address: str, *, force: bool = False) -> bool:
    """Bind a function to vfio-pci.

    Args:
        address: in full.
        force: also when it is in use, which ends that use.

    Returns:
        False: it was bound already.

    Raises:
        BindingError: there is no such VF, DPDK needs it under its own driver, it is in use, or the kernel
            cannot; all is as before.
    """
    function = sysfs.function(address)
    if function.driver == DRIVER:
        return False
    _require_vf(function)
    _require_unshared(function)
    _require_vfio(sysfs, function)
    if not force:
        _require_unused(function)
    device = sysfs.pci / "devices" / address
    try:
        sysfs.write(device / "driver_override", DRIVER)
        _probe_again(sysfs, function)
    except BindingError:
        give_back(sysfs, address)
        raise
    if sysfs.function(address).driver != DRIVER:
        give_back(sysfs, address)
        raise BindingError(f"{address}: {DRIVER} did not take it; dmesg may say why")
    return True


def unbind(sysfs: Sysfs, address: str) -> bool:
    """Give a function back to the kernel's own driver for it.

    Returns:
        False: it was not bound to vfio-pci.

    Raises:
        BindingError: there is none, a process has it open, or the kernel refused.
    """
    function = sysfs.function(address)
    if function.driver != DRIVER:
        return False
    users = sysfs.users(function)
    if users:
        # The kernel would wait in the middle of the write until the last of them lets go.
        raise BindingError(f"{address} is in use by {', '.join(users)}: detach it there first")
    give_back(sysfs, address)
    return True


def give_back(sysfs: Sysfs, address: str) -> None:
    """Let the kernel choose the driver again.

    Raises:
        BindingError: the kernel refused.
    """
    sysfs.write(sysfs.pci / "devices" / address / "driver_override", "\n")
    _probe_again(sysfs, sysfs.function(address))


def _probe_again(sysfs: Sysfs, function: PciFunction) -> None:
    if function.driver:
        sysfs.write(sysfs.pci / "drivers" / function.driver / "unbind", function.address)
    sysfs.write(sysfs.pci / "drivers_probe", function.address)


def _require_vf(function: PciFunction) -> None:
    if not function.network:
        raise BindingError(f"{function.address} is no network device")
    if function.most_vfs:
        raise BindingError(
            f"{function.address} is a physical function, which its driver must keep: name its VFs "
            f"({', '.join(function.vfs) or 'it has none: write their number to its sriov_numvfs'})"
        )


def _require_unshared(function: PciFunction) -> None:
    if function.driver in drivers.SHARING:
        raise BindingError(
            f"{function.address} needs no binding: its driver {function.driver} serves the kernel and DPDK "
            f"at once, and DPDK cannot use it on {DRIVER}"
        )
    if not function.driver and function.vendor in drivers.SHARING_VENDORS:
        raise BindingError(
            f"{function.address} is a card of NVIDIA's, which DPDK uses through the kernel's driver, not on "
            f"{DRIVER}: echo {function.address} > /sys/bus/pci/drivers/mlx5_core/bind"
        )


def _require_vfio(sysfs: Sysfs, function: PciFunction) -> None:
    if not sysfs.has_driver(DRIVER):
        raise BindingError(f"{function.address}: the driver {DRIVER} is not loaded: modprobe {DRIVER}")
    if not function.group and not sysfs.without_iommu():
        raise BindingError(
            f"{function.address} is behind no IOMMU: switch it on in the firmware and for the kernel "
            "(intel_iommu=on)"
        )


def _require_unused(function: PciFunction) -> None:
    used = [name for name, up in function.netdevs if up]
    if used:
        raise BindingError(
            f"{function.address} is in use, its network device {used[0]} is up: ip link set {used[0]} down"
        )
    if function.driver in _OTHER_USERSPACE:
        raise BindingError(
            f"{function.address} is bound to {function.driver}, perhaps for a process that uses it: "
            "unbind it from there first"
        )
    if function.driver and not function.netdevs:
        raise BindingError(
            f"{function.address} is in use: its driver is {function.driver}, and its network device is "
            "in another network namespace"
        )
