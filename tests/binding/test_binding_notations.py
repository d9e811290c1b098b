"""The four notations, and many devices at once."""

import pytest
from fake_kernel import FakeKernel

from vio4wd.binding import vfio
from vio4wd.binding.devices import addresses, carry_out
from vio4wd.binding.errors import BindingError


@pytest.fixture
def kernel(tmp_path):
    """With VFs 0, 1, 2 and 10; in the order of names 10 would be the second."""
    made = FakeKernel(tmp_path)
    for number in (10, 2, 0, 1):
        made.add_vf(number, netdev=f"eth{number + 1}") if number < 10 else made.add_vf(7)
    return made


@pytest.mark.parametrize("text", ["0000:05:10.1", "05:10.1"])
def test_an_address_means_itself(kernel, text):
    assert addresses(kernel, text) == ("0000:05:10.1",)


def test_a_network_device_means_its_vfs_in_their_order(kernel):
    every = tuple(f"0000:05:10.{number}" for number in (0, 1, 2, 7))
    assert addresses(kernel, "eth0") == every
    assert addresses(kernel, "eth0:4") == every
    assert addresses(kernel, "eth0:2") == every[:2]


def test_a_network_device_goes_on_meaning_them_when_they_are_bound(kernel):
    carry_out(kernel, ["eth0"], lambda sysfs, address: vfio.bind(sysfs, address, force=True))
    assert len(addresses(kernel, "eth0")) == 4


def test_more_vfs_than_there_are(kernel):
    with pytest.raises(BindingError, match=r"eth0 has 4 VFs, not 5: echo 5 > .*/0000:05:00.0/sriov_numvfs"):
        addresses(kernel, "eth0:5")


def test_a_card_without_vfs(tmp_path):
    bare = FakeKernel(tmp_path)
    with pytest.raises(BindingError, match=r"eth0 has no VFs: echo 1 > .*/sriov_numvfs"):
        addresses(bare, "eth0")
    bare.add("0000:06:00.0", "igbvf", netdev="eth9")
    with pytest.raises(BindingError, match=r"^eth9 has no VFs$"):
        addresses(bare, "eth9")


def test_a_vfs_own_network_device_is_no_name_for_it(kernel):
    with pytest.raises(BindingError, match=r"eth2 is a VF itself.*give its address 0000:05:10\.1"):
        addresses(kernel, "eth2")


def test_a_representor_means_its_vf(kernel):
    kernel.add_representor("rep2", 2)
    assert addresses(kernel, "rep2") == ("0000:05:10.2",)


def test_no_such_network_device(kernel):
    with pytest.raises(BindingError, match="there is no network device eth77"):
        addresses(kernel, "eth77")


def test_what_fails_keeps_nothing_else_from_being_bound(kernel):
    kernel.set_up("eth2")
    changed, refused = carry_out(kernel, ["eth77", "05:10.0", "eth0:3", "0000:05:00.0"], vfio.bind)
    assert changed == ["0000:05:10.0", "0000:05:10.2"]
    assert len(refused) == 3
    assert "eth77" in refused[0]
    assert "eth2 is up" in refused[1]
    assert "physical function" in refused[2]
