"""What is known of a PCI device before DPDK is asked, in a sysfs made for the test."""

from pathlib import Path

import pytest

from vio4wd.dpdk.errors import DpdkError
from vio4wd.ports import pci

ADDRESS = "0000:01:10.0"


def machine(root: Path, driver: str = "", pci_class: str = "0x020000", functions: int = 0) -> Path:
    """A sysfs with one PCI device."""
    device = root / "bus/pci/devices" / ADDRESS
    device.mkdir(parents=True)
    (device / "class").write_text(f"{pci_class}\n")
    if functions:
        (device / "sriov_numvfs").write_text(f"{functions}\n")
    if driver:
        (root / "bus/pci/drivers" / driver).mkdir(parents=True)
        (device / "driver").symlink_to(f"../../drivers/{driver}")
    return root


@pytest.mark.parametrize("driver", ["vfio-pci", "uio_pci_generic", "igb_uio", "mlx5_core", "mana"])
def test_a_device_that_is_left_to_processes_is_usable(tmp_path: Path, driver: str):
    sysfs = machine(tmp_path, driver)
    pci.require_usable(ADDRESS, sysfs)
    assert pci.kernel_driver(ADDRESS, sysfs) == driver


def test_a_device_of_the_kernel_is_refused_with_its_driver(tmp_path: Path):
    with pytest.raises(DpdkError, match=f"{ADDRESS} is bound to the kernel driver igbvf, .*vfio-pci"):
        pci.require_usable(ADDRESS, machine(tmp_path, "igbvf"))


def test_an_unbound_device_is_refused(tmp_path: Path):
    with pytest.raises(DpdkError, match=f"{ADDRESS} is bound to no driver, .*bind it to vfio-pci first"):
        pci.require_usable(ADDRESS, machine(tmp_path))


def test_a_missing_device_is_refused(tmp_path: Path):
    with pytest.raises(DpdkError, match=r"0000:02:00\.0: there is no such PCI device"):
        pci.require_usable("0000:02:00.0", machine(tmp_path))


def test_a_disk_is_refused(tmp_path: Path):
    with pytest.raises(DpdkError, match=r"is no network device \(class 0x010802"):
        pci.require_usable(ADDRESS, machine(tmp_path, "vfio-pci", "0x010802"))


def test_a_physical_function_in_use_is_refused(tmp_path: Path):
    with pytest.raises(DpdkError, match="physical function with 4 virtual functions"):
        pci.require_usable(ADDRESS, machine(tmp_path, "vfio-pci", functions=4))


def test_this_machines_sysfs_is_asked():
    with pytest.raises(DpdkError, match="no such PCI device"):
        pci.require_usable("ffff:ff:1f.7")
