"""One relay's life: the VF and the guest come and go, workers serve its directions and are replaced.

A relay holds up to three things: a port (the VF), a guest (a view of a vhost-user device) and a packet
pool. Each change follows one pattern, under the relay's lock: take the directions concerned from their
workers, change, publish in the shared tables, hand the directions out again (`service`). So nothing is
ever changed under a running burst.

The pool is the relay's own, so that whatever a dying worker does to it harms one relay only. A worker
that dies takes the mbufs with it that it was handling, and may leave the VF's queue in the middle of an
operation; pool and port are then made anew, which takes the VF down for a moment.
"""

from __future__ import annotations

import asyncio
import logging

from vio4wd.dpdk.errors import DpdkError
from vio4wd.dpdk.mempool import Pool
from vio4wd.limits import MAX_QUEUES
from vio4wd.master import guest as guests
from vio4wd.master import rings
from vio4wd.master.guest import Guest, Part
from vio4wd.master.roles import Device, Hardware, Placer, Team
from vio4wd.master.service import RelayError, Service
from vio4wd.ports.attach import AttachedPort
from vio4wd.shm import layout
from vio4wd.worker import protocol

_log = logging.getLogger(__name__)


class Relay:
    """One of the daemon's relays; it exists as long as the daemon does.

    Attributes:
        number: 0..63.
        lock: held while the relay changes; whoever combines several steps takes it around them.
        device: attached device, None: none.
    """

    def __init__(
        self, number: int, tables: layout.Tables, workers: Team, hardware: Hardware, placer: Placer
    ) -> None:
        self.number = number
        self.lock = asyncio.Lock()
        self.device: Device | None = None
        self._tables = tables
        self._row = tables["relays"][number]
        self._hardware = hardware
        self._service = Service(number, self._row, workers, placer, self._wanted)
        self._port: AttachedPort | None = None
        self._pool: Pool | None = None
        self._guest: Guest | None = None
        self._guest_node = -1
        self._ending = False

    @property
    def port(self) -> AttachedPort | None:
        """The attached VF; None also while its device could not be opened again after a failure."""
        return self._port

    @property
    def pool(self) -> Pool | None:
        return self._pool

    @property
    def slots(self) -> tuple[tuple[int, int], ...]:
        """Worker slots of (VF->VM, VM->VF) of each lane, -1: none."""
        return self._service.slots

    # The VF.

    async def attach(self, device: Device) -> None:
        """Attach a device to the relay.

        Raises:
            RelayError: there is one already.
            DpdkError: it cannot be attached; what DPDK said.
        """
        async with self.lock:
            if self.device is not None:
                raise RelayError(f"relay {self.number} has {self.device.name} attached already")
            await self._service.release()
            try:
                self._row["vf_state"] = layout.VF_ADDED
                pool = await self._need_pool(device)
                self._port = await self._hardware.open_port(device, self.number, pool)
                self.device = device
                self._tables["directions"][self.number] = 0
            finally:
                self._publish_port()
                refusal = await self._settle()
            if refusal:
                await self._detach()
                raise RelayError(f"{device.name} cannot be served: {refusal}")
        _log.info("relay %d: %s attached", self.number, device.name)

    async def detach(self) -> None:
        """Detach the VF; the guest's packets are then taken and dropped.

        Raises:
            RelayError: there is none.
        """
        async with self.lock:
            if self.device is None:
                raise RelayError(f"relay {self.number} has no device attached")
            name = self.device.name
            await self._detach()
        _log.info("relay %d: %s detached", self.number, name)

    async def shed(self) -> None:
        """Let go of the members of a bond that are taken away; the relay goes on with the others.

        Raises:
            DpdkError: DPDK refused a step; the others were done.
        """
        async with self.lock:
            await self._service.release()
            try:
                if self._port is not None:
                    await self._hardware.shed(self._port)
            finally:
                await self._settle()

    async def _detach(self) -> None:
        await self._service.release()
        port, self._port, self.device = self._port, None, None
        self._publish_port()
        try:
            if port is not None:
                await self._hardware.close_port(port)
        finally:
            await self._settle()

    # The guest; called for its vhost-user device.

    async def guest_suspend(self) -> None:
        """Returns when no worker touches the guest's memory and rings any more."""
        async with self.lock:
            await self._service.release()
            if self._service.harmed and self._guest is not None:
                # A worker died: another one finds out where the rings stand, before the frontend asks.
                await self._settle()
                await self._service.release()
            self._guest = None
            self._publish_guest()

    async def guest_resume(self, guest: Guest, node: int = -1) -> None:
        """Serve what the guest has set up, which may be nothing.

        Args:
            node: NUMA node of its memory, -1: not known.

        Raises:
            RelayError: the worker cannot serve it (its memory cannot be mapped); the VF is served without it.
        """
        async with self.lock:
            await self._service.release()
            self._guest = guest if guest.queues else None
            self._guest_node = node if guest.queues else -1
            self._publish_guest()
            if self._guest and self._pool and 0 <= node != int(self._row["numa_node"]):
                _log.info("relay %d: moving to the guest's NUMA node %d", self.number, node)
                await self._replace_pool()
                self._service.forget()
            refusal = await self._settle()
            if refusal:
                self._guest = None
                self._publish_guest()
                await self._settle()
                raise RelayError(refusal)

    async def guest_gone(self) -> None:
        """The frontend has disconnected; the next guest's rings begin anew."""
        async with self.lock:
            await self._service.release()
            self._guest, self._guest_node = None, -1
            self._publish_guest()
            for queue in range(MAX_QUEUES):
                rings.write_position(self._tables, self.number, queue, rings.Position(0, 0))
            await self._settle()

    async def announce(self, frame: bytes) -> None:
        """Send a frame to the VF in the guest's name; without a VF there is nobody to tell."""
        async with self.lock:
            if self._port is None or self._pool is None:
                return
            await self._service.release([layout.VM_TO_VF])
            if not await self._hardware.send(self._port, self._pool, frame):
                _log.warning("relay %d: the guest could not be announced to the VF", self.number)
            await self._settle()

    # Workers.

    async def move(self, part: Part, slot: int) -> None:
        """Have another worker serve a lane of a direction. Nothing is lost; if it fails nothing has changed.

        Raises:
            RelayError: the worker does not serve, or it refuses.
        """
        async with self.lock:
            await self._service.move(part, slot)

    async def worker_lost(self, slot: int) -> None:
        """The worker of a slot has died: repair what it held and give its lanes to others."""
        async with self.lock:
            if self._service.lost(slot):
                await self._settle()

    async def worker_running(self, slot: int) -> None:
        """A worker serves (again): it gets what waits for one, and what is pinned to it."""
        async with self.lock:
            if not self._service.complete:
                await self._settle()
            await self._service.bring_home(slot)

    def end_service(self) -> None:
        """The daemon stops: from now on nothing is handed to workers any more."""
        self._ending = True

    async def close(self) -> None:
        """Detach the VF and give up the pool; the workers have ended."""
        async with self.lock:
            port, self._port, self.device = self._port, None, None
            if port is not None:
                await self._hardware.close_port(port)
            await self._drop_pool()

    # Inside, with the lock held.

    def _wanted(self, part: Part) -> tuple[protocol.Serve, list[int]] | None:
        pool = "" if self._pool is None else self._pool.name
        return guests.serve_message(self.number, part, self._service.lanes, self._ref, pool, self._guest)

    @property
    def _ref(self) -> protocol.PortRef | None:
        return None if self._port is None else self._port.ref

    async def _settle(self) -> str:
        """Have everything served that there is to serve; says why a worker refused, if one did."""
        if self._ending:
            return ""
        if self._port is None and self._guest is None:
            self._service.forget()
            await self._drop_pool()
            return ""
        if self._service.harmed:
            await self._service.release()
            await self._replace_pool()
        await self._need_pool(self.device)
        lanes = guests.lanes_for(self._ref, self._guest)
        if lanes != self._service.lanes:
            await self._service.divide(lanes)
            self._publish_guest()
        vf_node = -1 if self._port is None else self._port.numa_node
        self._service.find_workers(self._guest_node if self._guest_node >= 0 else vf_node, vf_node)
        return await self._service.serve()

    async def _need_pool(self, device: Device | None) -> Pool:
        """The relay's pool, made now where there is none: near the guest, else near the device."""
        if self._pool is None:
            node = self._guest_node
            if node < 0 and device is not None:
                node = self._hardware.node_of(device)
            self._pool, placed = await self._hardware.make_pool(self.number, node)
            self._row["numa_node"] = placed
            self._row["pool_size"] = self._row["pool_free"] = self._pool.size
        return self._pool

    async def _drop_pool(self) -> None:
        self._service.harmed = False
        if self._pool is not None:
            pool, self._pool = self._pool, None
            self._row["pool_size"] = self._row["pool_free"] = 0
            await self._hardware.free_pool(pool)

    async def _replace_pool(self) -> None:
        """A new pool, and the port opened again with it; no direction is served meanwhile."""
        port, self._port = self._port, None
        try:
            if port is not None:
                await self._hardware.close_port(port)
            await self._drop_pool()
            pool = await self._need_pool(self.device)
            if self.device is not None:
                self._port = await self._hardware.open_port(self.device, self.number, pool)
        except DpdkError as error:
            _log.error("relay %d has lost its VF, remove and add it again: %s", self.number, error)
        self._publish_port()

    def _publish_port(self) -> None:
        port = self._port
        self._row["vf_state"] = layout.VF_UNINIT if port is None else layout.VF_READY
        self._row["port_id"] = -1 if port is None else port.port_id
        self._row["vf_queues"] = 0 if port is None else port.ref.queues
        self._row["pumped"] = int(port is not None and port.pumped)
        self._row["mtu"] = 0 if port is None else port.mtu
        self._row["device"] = b"" if self.device is None else self.device.name.encode()[:256]
        if port is None:
            self._row["link_up"] = 0

    def _publish_guest(self) -> None:
        guests.publish(self._tables, self.number, self._guest, self._service.lanes)
