"""Binding and unbinding of one function, and everything that is refused."""

import pytest
from fake_kernel import PF, FakeKernel

from vio4wd.binding import vfio
from vio4wd.binding.errors import BindingError
from vio4wd.binding.sysfs import Sysfs


@pytest.fixture
def kernel(tmp_path):
    return FakeKernel(tmp_path)


def test_a_vf_goes_to_vfio_and_back(kernel):
    vf = kernel.add_vf(0, netdev="eth1")
    assert vfio.bind(kernel, vf)
    assert kernel.function(vf).driver == "vfio-pci"
    assert kernel.function(vf).netdevs == ()
    assert kernel.written == [("driver_override", "vfio-pci"), ("unbind", vf), ("drivers_probe", vf)]
    assert not vfio.bind(kernel, vf), "it is bound already"
    assert vfio.unbind(kernel, vf)
    assert kernel.function(vf).driver == "igbvf"
    assert kernel.function(vf).netdevs == (("eth1", False),)
    assert (kernel.device(vf) / "driver_override").read_text() == "(null)\n"
    assert not vfio.unbind(kernel, vf), "it is the kernel's already"


def test_a_vf_without_driver_is_bound(kernel):
    kernel.unload("igbvf")
    vf = kernel.add_vf(0)
    assert kernel.function(vf).driver == ""
    assert vfio.bind(kernel, vf)
    assert kernel.function(vf).driver == "vfio-pci"


def test_a_card_without_vfs_is_bound(kernel):
    """As a VF looks inside a virtual machine."""
    kernel.add("0000:06:00.0", "igbvf", netdev="eth2")
    assert vfio.bind(kernel, "0000:06:00.0")


def refused(kernel, address, match, **options):
    """Binding says why not, and changes nothing."""
    before = kernel.function(address).driver
    with pytest.raises(BindingError, match=match) as caught:
        vfio.bind(kernel, address, **options)
    assert "\n" not in str(caught.value)
    assert kernel.function(address).driver == before
    assert (kernel.device(address) / "driver_override").read_text() == "(null)\n"


def test_a_physical_function_is_refused(kernel):
    refused(kernel, PF, f"{PF} is a physical function.*it has none: .*sriov_numvfs", force=True)
    vf = kernel.add_vf(0)
    refused(kernel, PF, f"name its VFs \\({vf}\\)")


def test_a_missing_device_is_refused(kernel):
    with pytest.raises(BindingError, match=r"0000:77:00\.0: there is no such PCI device"):
        vfio.bind(kernel, "0000:77:00.0")
    with pytest.raises(BindingError, match=r"0000:77:00\.0: there is no such PCI device"):
        vfio.unbind(kernel, "0000:77:00.0")


def test_a_disk_is_refused(kernel):
    kernel.add("0000:07:00.0", "nvme", pci_class="0x010802")
    refused(kernel, "0000:07:00.0", "is no network device", force=True)


def test_a_device_whose_interface_is_up_is_refused(kernel):
    vf = kernel.add_vf(0, netdev="eth1")
    kernel.set_up("eth1")
    refused(kernel, vf, "is in use, its network device eth1 is up: ip link set eth1 down")
    assert vfio.bind(kernel, vf, force=True)


def test_a_device_in_another_network_namespace_is_refused(kernel):
    vf = kernel.add_vf(0)
    refused(kernel, vf, "is in use: .* igbvf, and its network device is in another network namespace")
    assert vfio.bind(kernel, vf, force=True)


def test_a_device_that_another_userspace_driver_holds_is_refused(kernel):
    kernel.add("0000:06:00.0", "igb_uio")
    refused(kernel, "0000:06:00.0", "bound to igb_uio, perhaps for a process")
    assert vfio.bind(kernel, "0000:06:00.0", force=True)


def test_a_card_that_dpdk_shares_with_the_kernel_is_refused(kernel):
    kernel.add("0000:06:00.1", "mlx5_core", netdev="eth2", vendor="0x15b3")
    refused(kernel, "0000:06:00.1", "needs no binding: its driver mlx5_core serves", force=True)
    kernel.unload("mlx5_core")
    kernel.add("0000:06:00.2", "mlx5_core", vendor="0x15b3")
    assert kernel.function("0000:06:00.2").driver == ""
    refused(kernel, "0000:06:00.2", "echo 0000:06:00.2 > /sys/bus/pci/drivers/mlx5_core/bind", force=True)


def test_without_module_it_is_refused(kernel):
    vf = kernel.add_vf(0, netdev="eth1")
    kernel.unload("vfio-pci")
    refused(kernel, vf, "the driver vfio-pci is not loaded: modprobe vfio-pci")


def test_without_iommu_it_is_refused(kernel):
    vf = kernel.add_vf(0, netdev="eth1", group=False)
    refused(kernel, vf, r"is behind no IOMMU: .*\(intel_iommu=on\)")
    switch = kernel.root / "sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
    switch.parent.mkdir(parents=True)
    switch.write_text("N\n")
    refused(kernel, vf, "is behind no IOMMU")
    switch.write_text("Y\n")
    assert vfio.bind(kernel, vf)


def test_a_device_that_vfio_does_not_take_goes_back(kernel):
    vf = kernel.add_vf(0, netdev="eth1")
    kernel.refuses.add("vfio-pci")
    refused(kernel, vf, "vfio-pci did not take it; dmesg")


def test_a_device_that_a_process_has_open_is_not_unbound(kernel):
    vf, other = kernel.add_vf(0, netdev="eth1"), kernel.add_vf(1, netdev="eth2")
    vfio.bind(kernel, vf)
    vfio.bind(kernel, other)
    kernel.open_group(vf, 4711, "vio4wd-master")
    with pytest.raises(BindingError, match=r"in use by pid 4711 \(vio4wd-master\): detach it there first"):
        vfio.unbind(kernel, vf)
    assert kernel.function(vf).driver == "vfio-pci"
    assert vfio.unbind(kernel, other)


def test_what_the_kernel_refuses_is_told_with_the_file(tmp_path):
    with pytest.raises(BindingError, match=r"drivers_probe cannot be written: No such file or directory"):
        Sysfs(tmp_path).write(tmp_path / "drivers_probe", "x")
    with pytest.raises(BindingError, match=r"cannot be written: Is a directory$"):
        Sysfs(tmp_path).write(tmp_path, "x")
    with pytest.raises(BindingError, match="ifindex cannot be written: Permission denied: run as root"):
        Sysfs().write(Sysfs().root / "sys/class/net/lo/ifindex", "x")
