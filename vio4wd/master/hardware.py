"""Ports and pools for relays, made by DPDK in the device thread (`roles.Hardware`)."""

from __future__ import annotations

import itertools
import logging

from vio4wd.dpdk.errors import DpdkError
from vio4wd.dpdk.mempool import Pool
from vio4wd.master import numa
from vio4wd.master.announce import send_frame
from vio4wd.master.devices import DeviceThread
from vio4wd.master.roles import Device
from vio4wd.ports import names, pci
from vio4wd.ports.attach import POOL_SIZE, AttachedPort, PortOptions, attach, data_room
from vio4wd.ports.bond import attach_bond
from vio4wd.ports.pump import Pump
from vio4wd.ports.trial import Trial

_log = logging.getLogger(__name__)


class DpdkHardware:
    """Made when EAL runs; `close()` when all ports are detached.

    Args:
        instance: EAL's file prefix.
        cpu: the master's CPU.
        options: what ports are wanted to do.
    """

    def __init__(self, devices: DeviceThread, instance: str, cpu: int, options: PortOptions) -> None:
        self._devices = devices
        self._options = options
        self._data_room = data_room(options.mtu)
        self._trial = Trial(instance, cpu)
        self._pump = Pump()
        self._numbers = itertools.count()
        self._nodes = numa.nodes()
        self._polled: set[str] = set()

    async def close(self) -> None:
        """End the pump."""
        await self._devices.run(self._pump.close)

    def polled_pci(self) -> list[str]:
        """PCI addresses of the devices that workers poll themselves."""
        parsed = [names.parse(device) for device in self._polled]
        return sorted(name.name for name in parsed if name.kind == "pci")

    def node_of(self, device: Device) -> int:
        """NUMA node of a device (of a bond: its first member), -1: not known.

        Raises:
            DeviceNameError: its name is none.
        """
        name = names.parse(device.members[0] if device.members else device.name)
        return pci.numa_node(name.name) if name.kind == "pci" else -1

    async def make_pool(self, relay: int, node: int) -> tuple[Pool, int]:
        """A pool on the node, or with a warning on another that has hugepages; and its node.

        Raises:
            DpdkError: no node has enough hugepages.
        """
        wanted = node if node in self._nodes else self._nodes[0]
        others = [other for other in self._nodes if other != wanted]
        failure: DpdkError | None = None
        for tried in (wanted, *others):
            name = f"relay{relay}_{next(self._numbers)}"
            try:
                pool = await self._devices.run(Pool.create, name, POOL_SIZE, tried, data_room=self._data_room)
            except DpdkError as error:
                failure = failure or error
                continue
            if tried != wanted:
                _log.warning("relay %d: its packets are on NUMA node %d: %s", relay, tried, failure)
            return pool, tried
        raise failure or DpdkError(f"no memory for the packets of relay {relay}")

    async def free_pool(self, pool: Pool) -> None:
        """Give a pool back that no port and no worker uses."""
        await self._devices.run(_free, pool)

    async def open_port(self, device: Device, relay: int, pool: Pool) -> AttachedPort:
        """Attach and start a device.

        Raises:
            DpdkError: it cannot be had; what to do.
            DeviceNameError: its name is none.
        """
        place = (relay, pool, self._pump, self._trial, self._options)
        if device.members:
            port = await self._devices.run(attach_bond, device.name, device.members, device.mode, *place)
        else:
            port = await self._devices.run(attach, device.name, *place)
        self._polled.update(port.polled)
        return port

    async def close_port(self, port: AttachedPort) -> None:
        """Stop and detach a device that no worker polls.

        Raises:
            DpdkError: DPDK refused a step; the others were done.
        """
        self._polled.difference_update(port.polled)
        await self._devices.run(port.detach)

    async def shed(self, port: AttachedPort) -> None:
        """Let go of the members of a bond that are taken away, while no worker polls it.

        Raises:
            DpdkError: DPDK refused a step; the others were done.
        """
        self._polled.difference_update(port.polled)
        try:
            await self._devices.run(port.shed)
        finally:
            self._polled.update(port.polled)

    async def send(self, port: AttachedPort, pool: Pool, frame: bytes) -> bool:
        """Send a frame to a VF that no worker sends to; False: it had no room."""
        return await self._devices.run(send_frame, port.ref, pool, frame)


def _free(pool: Pool) -> None:
    missing = pool.size - pool.available()
    if missing:
        _log.warning("%d of %d packet buffers of %s did not come back", missing, pool.size, pool.name)
    pool.free()
