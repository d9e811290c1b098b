"""PCI addresses as operators write them: `0000:01:02.3` or `01:02.3`."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_ADDRESS: Final = re.compile(
    r"(?:(?P<domain>[0-9a-f]{1,8}):)?(?P<bus>[0-9a-f]{1,2}):(?P<slot>[0-9a-f]{1,2})\.(?P<function>[0-9a-f])",
    re.IGNORECASE | re.ASCII,
)


class PciAddress(NamedTuple):
    """Domain, bus, slot (device) and function of a PCI function."""

    domain: int
    bus: int
    slot: int
    function: int

    def __str__(self) -> str:
        """As sysfs and DPDK spell it, e.g. "0000:01:02.3"."""
        return f"{self.domain:04x}:{self.bus:02x}:{self.slot:02x}.{self.function:x}"

    def check(self) -> None:
        """Refuse what no PCI bus can have.

        Raises:
            ValueError: saying which number is too large.
        """
        limits = (("domain", 0xFFFFFFFF), ("bus", 0xFF), ("slot", 0x1F), ("function", 0x7))
        for (name, limit), value in zip(limits, self, strict=True):
            if not 0 <= value <= limit:
                raise ValueError(f"PCI {name} {value:#x} is larger than {limit:#x}")


def parse_pci(text: str) -> PciAddress | None:
    """The PCI address that `text` spells, or None when it is something else.

    Raises:
        ValueError: it has the form of a PCI address, but a number is out of range.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None:
        return None
    address = PciAddress(*(int(match[part] or "0", 16) for part in ("domain", "bus", "slot", "function")))
    try:
        address.check()
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from error
    return address
