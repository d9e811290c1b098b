"""A Controller that keeps relays in a dictionary: the real decisions, no ports."""

from __future__ import annotations

import asyncio
import errno

from vio4wd.control import decisions
from vio4wd.control.controller import ControlError
from vio4wd.control.decisions import Attached


class MemoryController:
    """Has workers on CPUs 1 and 2.

    Attributes:
        broken: devices that cannot be attached.
        gate: changes wait for it.
        changing, most_changing: port changes under way, and how many there ever were at once.
    """

    def __init__(self) -> None:
        self.attached: dict[int, Attached] = {}
        self.cpus: dict[int, tuple[int, int]] = {}
        self.broken: set[str] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.changing = 0
        self.most_changing = 0

    async def _change(self) -> None:
        self.changing += 1
        self.most_changing = max(self.most_changing, self.changing)
        await self.gate.wait()
        self.changing -= 1

    def _attach(self, relay, devices, name, mode, socket=None) -> None:
        for device in devices:
            if device in self.broken:
                raise ControlError(errno.ENODEV, "port", f"{device} does not exist")
        self.attached[relay] = Attached(tuple(devices), name, mode, socket)
        self.cpus[relay] = (1, 2)

    async def add(self, devices, relay, conditional, name, mode) -> None:
        await self._change()
        if decisions.add_changes(self.attached, relay, devices, name, mode, conditional):
            self._attach(relay, devices, name, mode)

    async def remove(self, devices, relay, conditional, name) -> None:
        await self._change()
        if decisions.remove_changes(self.attached, relay, devices, name, conditional):
            del self.attached[relay]

    async def add_sock(self, devices, path, conditional, name, mode) -> None:
        await self._change()
        relay = decisions.relay_for_socket(self.attached, range(64), path, devices, name, mode, conditional)
        if relay is not None:
            self._attach(relay, devices, name, mode, path)

    async def remove_sock(self, devices, path, conditional, name) -> None:
        await self._change()
        relay = decisions.relay_of_socket(self.attached, path, devices, name, conditional)
        if relay is not None:
            del self.attached[relay]

    def query_pci(self, path) -> str:
        for relay, present in self.attached.items():
            if path in (present.socket, f"/tmp/virtio-forwarder{relay}.sock"):
                return " ".join(present.devices)
        raise ControlError(errno.ENOENT, "port control", f"no device is paired with {path}")

    def relay_cpu_map(self):
        return self.cpus

    async def move(self, relay, vf_to_vm_cpu, vm_to_vf_cpu) -> None:
        if relay not in self.attached:
            raise ControlError(errno.ENOENT, "core scheduling", f"relay {relay} is not in use")
        present = self.cpus[relay]
        wanted = (vf_to_vm_cpu, vm_to_vf_cpu)
        self.cpus[relay] = tuple(new if new >= 0 else old for new, old in zip(wanted, present, strict=True))

    def eal_cores(self):
        return (1, 2)
