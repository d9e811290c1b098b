"""A /sys with network devices of every kind, in a directory."""

from __future__ import annotations

import os


class FakeSysfs:
    """Below `root`; the physical function 0000:05:00.0 is there from the start."""

    PF = "0000:05:00.0"

    def __init__(self, root) -> None:
        self.root = root
        self._devices = root / "sys/devices/pci0000:00"
        (root / "sys/class/net").mkdir(parents=True)
        (root / "sys/bus/pci/devices").mkdir(parents=True)
        self._pci(self.PF)

    def _link(self, link, target) -> None:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(target, link.parent))

    def _pci(self, address: str):
        node = self._devices / address
        node.mkdir(parents=True)
        self._link(self.root / "sys/bus/pci/devices" / address, node)
        return node

    def vf(self, address: str, number: int, driver: str | None = None) -> None:
        """A VF of the physical function, under a driver or none."""
        node = self._pci(address)
        self._link(node / "physfn", self._devices / self.PF)
        self._link(self._devices / self.PF / f"virtfn{number}", node)
        if driver is not None:
            target = self.root / "sys/bus/pci/drivers" / driver
            target.mkdir(parents=True, exist_ok=True)
            self._link(node / "driver", target)

    def netdev(self, name: str, pci: str | None = None, port_name: str | None = None) -> None:
        """A network device, of a PCI device or of nothing."""
        parent = self._devices / pci if pci else self.root / "sys/devices/virtual"
        node = parent / "net" / name
        node.mkdir(parents=True)
        if pci:
            self._link(node / "device", parent)
        if port_name is not None:
            (node / "phys_port_name").write_text(f"{port_name}\n")
        self._link(self.root / "sys/class/net" / name, node)

    def remove_netdev(self, name: str) -> None:
        (self.root / "sys/class/net" / name).unlink()
