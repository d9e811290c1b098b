"""From network devices to what a relay is given."""

import pytest
from fake_sysfs import FakeSysfs

from vio4wd.control.netdev import NetdevError, resolve


@pytest.fixture
def sysfs(tmp_path):
    return FakeSysfs(tmp_path)


@pytest.mark.parametrize("driver", ["vfio-pci", "igb_uio", "uio_pci_generic", "mlx5_core"])
def test_a_vf_that_dpdk_can_take_goes_by_its_address(sysfs, driver):
    sysfs.vf("0000:05:08.1", 0, "igbvf")
    sysfs.vf("0000:05:08.2", 12, driver)
    sysfs.netdev("eth100", "0000:05:08.2")
    found = resolve("eth100", sysfs.root)
    assert (found.device, found.vf, str(found.pci)) == ("0000:05:08.2", 12, "0000:05:08.2")


def test_a_vf_of_the_kernel_goes_by_its_network_device(sysfs):
    sysfs.vf("0000:05:08.1", 3, "igbvf")
    sysfs.netdev("eth1", "0000:05:08.1")
    found = resolve("eth1", sysfs.root)
    assert (found.device, found.vf) == ("net_af_packet_eth1,iface=eth1", 3)
    assert str(found.pci) == "0000:05:08.1"


@pytest.mark.parametrize("port_name", ["pf0vf5", "c1pf0vf5"])
def test_a_representor_stands_for_its_vf(sysfs, port_name):
    sysfs.vf("0000:05:08.5", 5, "vfio-pci")
    sysfs.netdev("eth5", FakeSysfs.PF, port_name)
    found = resolve("eth5", sysfs.root)
    assert (found.device, found.vf) == ("0000:05:08.5", 5)


@pytest.mark.parametrize("port_name", ["p0", "pf0", "pf0sf3", "pf0vf9"])
def test_other_ports_of_a_physical_function_have_no_vf(sysfs, port_name):
    sysfs.netdev("eth5", FakeSysfs.PF, port_name)
    found = resolve("eth5", sysfs.root)
    assert (found.device, found.vf, found.pci) == ("net_af_packet_eth5,iface=eth5", None, None)


def test_a_virtual_device_has_no_vf(sysfs):
    sysfs.netdev("veth0-p.1")
    found = resolve("veth0-p.1", sysfs.root)
    assert found.device == "net_af_packet_veth0_2d_p_2e_1,iface=veth0-p.1"
    assert found.vf is None


def test_a_device_that_is_not_there(sysfs):
    with pytest.raises(NetdevError, match="there is no network device eth9"):
        resolve("eth9", sysfs.root)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../../etc", "a b", "a:b", "a,b", "x" * 16, "a\nb", "a\0b", "a\x07"]
)
def test_names_no_device_can_have(sysfs, name):
    with pytest.raises(NetdevError, match="cannot be the name"):
        resolve(name, sysfs.root)


def test_this_machines_loopback():
    assert resolve("lo").device == "net_af_packet_lo,iface=lo"
