"""A /sys with a network card, and of the kernel's driver core what binding needs of it."""

import os

from vio4wd.binding.sysfs import Sysfs

PF = "0000:05:00.0"


class FakeKernel(Sysfs):
    """Files below `root`. A physical function eth0 under "igb", and VFs under "igbvf" as they are added.

    Attributes:
        refuses: drivers whose probe fails.
        written: what was written, in order.
    """

    def __init__(self, root) -> None:
        super().__init__(root)
        self.refuses = set()
        self.written = []
        self._native = {}
        self._devices = root / "sys/devices/pci0000:00"
        for driver in ("igb", "igbvf", "vfio-pci", "igb_uio", "mlx5_core", "nvme"):
            self._make(self.pci / "drivers" / driver / "unbind")
        self._make(self.pci / "drivers_probe")
        (root / "sys/class/net").mkdir(parents=True)
        (root / "proc").mkdir()
        self.add(PF, "igb", netdev="eth0")
        self._make(self.device(PF) / "sriov_totalvfs", "7\n")
        self._make(self.device(PF) / "sriov_numvfs", "0\n")

    def device(self, address):
        return self._devices / address

    def _make(self, path, text="") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _link(self, link, target) -> None:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(target, link.parent))

    def add(self, address, driver, *, netdev="", pci_class="0x020000", vendor="0x8086", group=True) -> None:
        """A function whose own driver is `driver`; bound to it."""
        node = self.device(address)
        self._make(node / "class", f"{pci_class}\n")
        self._make(node / "vendor", f"{vendor}\n")
        self._make(node / "driver_override", "(null)\n")
        self._link(self.pci / "devices" / address, node)
        if group:
            number = len(self._native) + 1
            self._make(self.root / f"sys/kernel/iommu_groups/{number}/type", "DMA\n")
            self._link(node / "iommu_group", self.root / f"sys/kernel/iommu_groups/{number}")
        self._native[address] = (driver, netdev)
        self._probe(address)

    def add_vf(self, number, *, netdev="", group=True):
        """A VF of the physical function; returns its address."""
        address = f"0000:05:10.{number}"
        self.add(address, "igbvf", netdev=netdev, group=group)
        self._link(self.device(address) / "physfn", self.device(PF))
        self._link(self.device(PF) / f"virtfn{number}", self.device(address))
        return address

    def add_representor(self, name, number) -> None:
        node = self.device(PF) / "net" / name
        self._make(node / "phys_port_name", f"pf0vf{number}\n")
        self._link(node / "device", self.device(PF))
        self._link(self.root / "sys/class/net" / name, node)

    def set_up(self, netdev) -> None:
        (self.root / "sys/class/net" / netdev / "flags").write_text("0x1003\n")

    def open_group(self, address, pid, name) -> None:
        """A process that has the function's VFIO group open."""
        self._make(self.root / f"proc/{pid}/comm", f"{name}\n")
        fds = self.root / f"proc/{pid}/fd"
        fds.mkdir()
        (fds / "3").symlink_to(f"/dev/vfio/{self.function(address).group}")

    def unload(self, driver) -> None:
        (self.pci / "drivers" / driver / "unbind").unlink()
        (self.pci / "drivers" / driver).rmdir()

    def write(self, path, text) -> None:
        super().write(path, text)
        self.written.append((path.name, text))
        if path.name == "driver_override":
            path.write_text("(null)\n" if text == "\n" else f"{text}\n")
        elif path.name == "unbind":
            self._unbind(text)
        elif path.name == "drivers_probe":
            self._probe(text)

    def _probe(self, address) -> None:
        node = self.device(address)
        if (node / "driver").exists():
            return
        native, netdev = self._native[address]
        override = (node / "driver_override").read_text().strip()
        driver = native if override == "(null)" else override
        if driver in self.refuses or not self.has_driver(driver):
            return
        self._link(node / "driver", self.pci / "drivers" / driver)
        if netdev and driver == native:
            self._make(node / "net" / netdev / "flags", "0x1002\n")
            self._link(node / "net" / netdev / "device", node)
            self._link(self.root / "sys/class/net" / netdev, node / "net" / netdev)

    def _unbind(self, address) -> None:
        node = self.device(address)
        (node / "driver").unlink()
        for path in node.glob("net/*"):
            (self.root / "sys/class/net" / path.name).unlink()
            (path / "device").unlink()
            (path / "flags").unlink()
            path.rmdir()
