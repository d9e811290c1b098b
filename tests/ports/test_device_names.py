"""How devices are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vio4wd.ports import names
from vio4wd.ports.names import DeviceName, DeviceNameError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0000:01:02.3", DeviceName("pci", "0000:01:02.3")),
        ("01:02.3", DeviceName("pci", "0000:01:02.3")),
        (" 0000:0A:1F.7 ", DeviceName("pci", "0000:0a:1f.7")),
        ("10000:01:10.0", DeviceName("pci", "10000:01:10.0")),
        ("0000:01:02.3,option=1", DeviceName("pci", "0000:01:02.3", "option=1")),
        ("net_null0,size=64", DeviceName("vdev", "net_null0", "size=64")),
        ("net_tap0", DeviceName("vdev", "net_tap0")),
        ("net_af_packet0,iface=vf=1", DeviceName("vdev", "net_af_packet0", "iface=vf=1")),
    ],
)
def test_devices(text: str, expected: DeviceName):
    assert names.parse(text) == expected


def test_devargs_are_the_whole_string():
    assert names.parse("01:02.3,a=b,c=d").devargs == "0000:01:02.3,a=b,c=d"
    assert names.parse("net_tap0").devargs == "net_tap0"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "names no device"),
        ("01:02", "names no device"),
        ("01:02.8", "names no device"),
        ("01:20.0", "names no device"),
        ("net-null0", "names no device"),
        ("../net_null0", "names no device"),
        ("net_null0\n", None),
        ("net_null0,size=\n64", "characters no device name has"),
        ("net_nüll0", "characters no device name has"),
        ("net_null" + "0" * 60, "longer than 63"),
        ("net_bonding0,slave=01:02.3", "is a bond"),
        ("eth_bond0", "is a bond"),
    ],
)
def test_what_is_no_device_is_refused(text: str, reason: str | None):
    if reason is None:
        assert names.parse(text).name == text.strip()
        return
    with pytest.raises(DeviceNameError, match=reason) as caught:
        names.parse(text)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=200))
def test_any_text_is_a_device_or_refused_in_one_line(text: str):
    reason = ""
    try:
        device = names.parse(text)
    except DeviceNameError as error:
        reason = str(error)
    if reason:
        assert len(reason.splitlines()) == 1
    else:
        assert len(device.name) <= 63
        assert device.devargs.isascii()


@pytest.mark.parametrize("name", ["net_bonding0", "net_bonding_storage"])
def test_bond_names(name: str):
    assert names.check_bond(name) == name


@pytest.mark.parametrize(
    "name", ["bond0", "", "net_bonding0,mode=1", "net_bonding 0", "net_bonding" + "0" * 60]
)
def test_bad_bond_names_are_refused(name: str):
    with pytest.raises(DeviceNameError, match="bond name"):
        names.check_bond(name)
