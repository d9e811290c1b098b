"""PCI addresses in the notations of the guide."""

import pytest

from vio4wd.config.pci import PciAddress, parse_pci


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0000:01:02.3", "0000:01:02.3"),
        ("01:02.3", "0000:01:02.3"),
        ("A:B:C.7", "000a:0b:0c.7"),
        ("10000:fF:1f.0", "10000:ff:1f.0"),
    ],
)
def test_notations(text, canonical):
    assert str(parse_pci(text)) == canonical


@pytest.mark.parametrize(
    "text", ["", "eth0", "01:02", "01:02.3 ", "net_null0", "0000:01:02:3", "1:2:3:4.5", "x1:02.3"]
)
def test_other_things_are_no_addresses(text):
    assert parse_pci(text) is None


@pytest.mark.parametrize("text", ["01:20.0", "01:02.8", "0000:01:ff.1"])
def test_numbers_out_of_range_are_told(text):
    with pytest.raises(ValueError, match="is larger than"):
        parse_pci(text)


def test_parts():
    assert parse_pci("0001:02:03.4") == PciAddress(1, 2, 3, 4)
