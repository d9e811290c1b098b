"""A Controller that keeps relays in a dictionary: the real decisions, no ports."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping, Sequence

from vio4wd.control import decisions
from vio4wd.control.controller import ControlError
from vio4wd.control.decisions import Attached


class MemoryController:
    """Has workers on CPUs 1 and 2; make it in the loop that uses it.

    Attributes:
        attached: what each relay has.
        cpus: which CPUs serve its lanes.
        broken: devices that cannot be attached.
        gate: port changes wait for it; it is open at first.
        changing, most_changing: port changes under way, and how many there ever were at once.
    """

    def __init__(self) -> None:
        self.attached: dict[int, Attached] = {}
        self.cpus: dict[int, list[tuple[int, int]]] = {}
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

    def _attach(self, relay: int, found: Attached) -> None:
        for device in found.devices:
            if device in self.broken:
                raise ControlError(errno.ENODEV, "port", f"{device} does not exist")
        self.attached[relay] = found
        self.cpus[relay] = [(1, 2)]

    def _detach(self, relay: int) -> None:
        del self.attached[relay]
        self.cpus.pop(relay, None)

    async def add(
        self, devices: Sequence[str], relay: int, conditional: bool, name: str | None, mode: int
    ) -> None:
        await self._change()
        if decisions.add_changes(self.attached, relay, devices, name, mode, conditional):
            self._attach(relay, Attached(tuple(devices), name, mode))

    async def remove(self, devices: Sequence[str], relay: int, conditional: bool, name: str | None) -> None:
        await self._change()
        if decisions.remove_changes(self.attached, relay, devices, name, conditional):
            self._detach(relay)

    async def add_sock(
        self, devices: Sequence[str], path: str, conditional: bool, name: str | None, mode: int
    ) -> None:
        await self._change()
        relay = decisions.relay_for_socket(self.attached, range(64), path, devices, name, mode, conditional)
        if relay is not None:
            self._attach(relay, Attached(tuple(devices), name, mode, path))

    async def remove_sock(
        self, devices: Sequence[str], path: str, conditional: bool, name: str | None
    ) -> None:
        await self._change()
        relay = decisions.relay_of_socket(self.attached, path, devices, name, conditional)
        if relay is not None:
            self._detach(relay)

    def query_pci(self, path: str) -> str:
        for relay, present in self.attached.items():
            if path in (present.socket, f"/tmp/virtio-forwarder{relay}.sock"):
                return " ".join(present.devices)
        raise ControlError(errno.ENOENT, "port control", f"no device is paired with {path}")

    def relay_cpu_map(self) -> Mapping[int, Sequence[tuple[int, int]]]:
        return self.cpus

    async def move(self, relay: int, vf_to_vm_cpu: int, vm_to_vf_cpu: int, lane: int | None = None) -> None:
        if relay not in self.attached:
            raise ControlError(errno.ENOENT, "core scheduling", f"relay {relay} is not in use")
        wanted = (vf_to_vm_cpu, vm_to_vf_cpu)
        for number, (first, second) in enumerate(self.cpus[relay]):
            if lane in (None, number):
                self.cpus[relay][number] = (
                    wanted[0] if wanted[0] >= 0 else first,
                    wanted[1] if wanted[1] >= 0 else second,
                )

    def eal_cores(self) -> Sequence[int]:
        return (1, 2)
