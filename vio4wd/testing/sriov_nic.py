"""The NICs of the emulated machine (`sriov_machine`) and their virtual functions, as seen from within it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Final

from vio4wd.binding import vfio
from vio4wd.binding.sysfs import Sysfs
from vio4wd.testing.sriov_machine import NICS
from vio4wd.testing.wait import wait_for

_PORTS: Final = Path("/sys/class/virtio-ports")


@dataclasses.dataclass(frozen=True)
class Vf:
    """A virtual function.

    Attributes:
        address: PCI address in full.
        number: within its NIC, from 0.
        mac: as its NIC enforces it.
    """

    address: str
    number: int
    mac: str

    def netdev(self) -> str:
        """Its network device, which it has while the kernel drives it and it is in no namespace.

        Raises:
            LookupError: it has none.
        """
        found = Sysfs().function(self.address).netdevs
        if not found:
            raise LookupError(f"{self.address} has no network device")
        return found[0][0]

    def driver(self) -> str:
        """Its kernel driver."""
        return Sysfs().function(self.address).driver

    def to_vfio(self) -> None:
        """Bind it to vfio-pci."""
        vfio.bind(Sysfs(), self.address)

    def to_kernel(self) -> None:
        """Give it back to igbvf, and return when it has its network device."""
        vfio.unbind(Sysfs(), self.address)
        wait_for(lambda: Sysfs().function(self.address).netdevs, f"the network device of {self.address}")


class Nic:
    """One of the two NICs, 0 or 1; both are on the NUMA node of their number.

    Attributes:
        netdev: of its physical function.
        address: of its physical function.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.netdev = f"pf{number}"
        self.address = Path("/sys/class/net", self.netdev, "device").resolve().name
        # The driver of a virtual function waits in vain for a physical function without link.
        carrier = Path("/sys/class/net", self.netdev, "carrier")
        wait_for(lambda: carrier.read_text().strip() == "1", f"the link of {self.netdev}")

    def vfs(self) -> list[Vf]:
        """The virtual functions that it has now."""
        addresses = Sysfs().function(self.address).vfs
        return [
            Vf(address, number, f"52:54:00:bb:{self.number:02x}:{number:02x}")
            for number, address in enumerate(addresses)
        ]

    def set_count(self, count: int) -> None:
        """Have so many virtual functions, with the kernel's driver and `Vf.mac`, which the NIC enforces.

        0 takes all of them away, whoever uses them: the kernel waits until they have been let go.
        """
        device = Path("/sys/bus/pci/devices", self.address)
        (device / "sriov_drivers_autoprobe").write_text("0")
        try:
            (device / "sriov_numvfs").write_text(str(count))
        finally:
            (device / "sriov_drivers_autoprobe").write_text("1")
        for vf in self.vfs():
            self.set_mac(vf, vf.mac)
            Path("/sys/bus/pci/drivers_probe").write_text(vf.address)

    def set_mac(self, vf: Vf, mac: str) -> None:
        """The MAC address of a virtual function from its next reset on."""
        command = ["ip", "link", "set", self.netdev, "vf", str(vf.number), "mac", mac]
        subprocess.run(command, check=True, timeout=60)

    def set_vlan(self, vf: Vf, number: int) -> None:
        """Put a virtual function into a VLAN, which it does not see itself; 0: into none."""
        command = ["ip", "link", "set", self.netdev, "vf", str(vf.number), "vlan", str(number)]
        subprocess.run(command, check=True, timeout=60)

    def set_cable(self, *, plugged: bool) -> None:
        """Pull or plug the cable of its port."""
        _monitor("set_link", name=NICS[self.number], up=plugged)


def _monitor(command: str, **arguments: object) -> None:
    """Have QEMU's monitor do something.

    Raises:
        OSError: it did not.
    """
    port = next(path.name for path in _PORTS.iterdir() if (path / "name").read_text().strip() == "qmp")
    with Path("/dev", port).open("r+b", buffering=0) as monitor:
        # The monitor refuses to negotiate twice; it does not see that it has been opened again.
        for sent in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
            monitor.write(
                json.dumps({**sent, "id": command if sent.get("arguments") else ""}).encode() + b"\n"
            )
        line = b""
        while byte := monitor.read(1):
            line += byte
            if byte != b"\n":
                continue
            answer, line = json.loads(line), b""
            if answer.get("id") == command:
                if "error" in answer:
                    raise OSError(f"QEMU: {command}: {answer['error']['desc']}")
                return
