"""What the master serves and owns beside the worker processes.

Start: VFs to vfio-pci, DPDK, shared memory, pump, workers, sockets, static VFs, control services. Loading
this module takes the master longer than anything else at its start. `daemon` does it when the worker
processes are made, which load their own programs meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from vio4wd.binding import vfio
from vio4wd.binding.devices import carry_out
from vio4wd.binding.sysfs import Sysfs
from vio4wd.config.options import Settings
from vio4wd.control.controller import ControlError
from vio4wd.control.ipc import EndpointInUseError
from vio4wd.control.plane import ControlPlane
from vio4wd.dpdk import eal
from vio4wd.dpdk.errors import DpdkError
from vio4wd.inspection import snapshot
from vio4wd.limits import MAX_RELAYS
from vio4wd.master import eal_files, numa, responsiveness
from vio4wd.master.controller import MasterController
from vio4wd.master.devices import DeviceThread
from vio4wd.master.errors import MasterError
from vio4wd.master.guest_sockets import GuestSockets
from vio4wd.master.hardware import DpdkHardware
from vio4wd.master.placement import Placement
from vio4wd.master.relay import Relay
from vio4wd.master.reload import Reloader
from vio4wd.master.upkeep import Upkeep
from vio4wd.master.workers import WORKER_STOP_TIME, Surroundings, Workers
from vio4wd.ports.attach import PortOptions
from vio4wd.shm import segment
from vio4wd.shm.clock import cycles
from vio4wd.vhost.errors import SocketError
from vio4wd.vhost.features import ETHERNET_MTU, JUMBO_MTU
from vio4wd.worker import lanes

_log = logging.getLogger(__name__)

#: Hugepage memory without which a start makes no sense, MiB: EAL's own and a few relays' pools.
LEAST_MEMORY_MIB: Final = 64


class Serving:
    """All that is served, from `start` until the stack given there is closed.

    Args:
        instance: name of the shared memory and EAL's file prefix.
        devices: the thread for DPDK's calls; it stays the caller's.
        workers: spawned, and not started.
        leave: called when the only frontend of a single-relay start is gone.
    """

    # From `start` on.
    _reloader: Reloader
    _upkeep: Upkeep

    def __init__(
        self,
        settings: Settings,
        instance: str,
        devices: DeviceThread,
        workers: Workers,
        leave: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._instance = instance
        self._devices = devices
        self._workers = workers
        self._leave = leave
        self._relays: list[Relay] = []

    async def start(self, stack: contextlib.AsyncExitStack, read_again: Callable[[], Settings]) -> None:
        """Start all of it.

        Args:
            stack: what was started is undone by it, in reverse order, also after a failure.
            read_again: reads the settings anew, for `reload`.

        Raises:
            MasterError: something could not be started.
        """
        try:
            await self._start(stack, read_again)
        except (DpdkError, segment.SegmentError, SocketError, EndpointInUseError) as error:
            raise MasterError(str(error)) from None

    async def _start(self, stack: contextlib.AsyncExitStack, read_again: Callable[[], Settings]) -> None:
        settings, devices, workers = self._settings, self._devices, self._workers
        hardware = DpdkHardware(devices, self._instance, settings.master_lcore, _port_options(settings))
        await devices.run(_bind_vfs, settings.bind_vfio_pci)
        tsc_hz = await self._start_dpdk(stack)
        shared = segment.create(self._instance, tsc_hz)
        stack.callback(shared.close)
        stack.callback(segment.remove, self._instance)
        tables = shared.tables

        placement = Placement(settings.cpus, tables, settings.pins, same_numa=settings.same_numa)
        stack.push_async_callback(hardware.close)
        self._relays = [Relay(number, tables, workers, hardware, placement) for number in range(MAX_RELAYS)]
        stack.push_async_callback(self._close_relays)
        sockets = GuestSockets(settings, tables, find_node=len(numa.nodes()) > 1)
        stack.push_async_callback(sockets.close_all)
        stack.push_async_callback(self._stop_workers)
        surroundings = Surroundings(
            devices.paused, self._worker_lost, self._worker_running, hardware.polled_pci
        )
        await workers.start(tables, surroundings)

        controller = MasterController(self._relays, sockets, placement)
        await self._open_sockets(sockets)
        await self._attach_static(controller)
        if settings.backend_fd is not None:  # last, for its frontend may ask but once what the VF can do
            await sockets.adopt(self._relays[0], settings.backend_fd, self._leave)
        # Not before: the pump is to stay where it is.
        responsiveness.put_ahead()
        plane = ControlPlane(settings, controller, lambda: snapshot.take(tables, cycles()))
        stack.push_async_callback(self._close_plane, plane, controller)
        await self._open_plane(plane)
        self._reloader = Reloader(settings, read_again, controller, placement)
        self._upkeep = Upkeep(tables, self._relays, placement, devices, controller.lost)
        responsiveness.spare_what_stays()

    async def reload(self) -> None:
        """Read the settings again, and change what can be changed while relays are served."""
        await self._reloader.reload()

    async def look_after(self) -> None:
        """Notice what happens without a request: links, broken rings, devices that are lost. Never ends."""
        await self._upkeep.run()

    async def _start_dpdk(self, stack: contextlib.AsyncExitStack) -> int:
        """Initialise EAL; returns the cycles a second of the time stamp counter, measured meanwhile."""
        settings = self._settings
        huge_dir = str(settings.huge_dir)
        eal.require_hugepages(huge_dir, LEAST_MEMORY_MIB)
        arguments = eal.primary_arguments(
            self._instance,
            settings.master_lcore,
            huge_dir,
            token=settings.vfio_vf_token or "",
            extra=[f"--log-level={eal_files.log_level(settings.loglevel)}"],
        )
        began, at = time.monotonic_ns(), cycles()
        await self._devices.run(eal.init, arguments)
        stack.push_async_callback(self._devices.run, eal.cleanup)
        await asyncio.sleep(max(0.0, 0.1 - (time.monotonic_ns() - began) / 1e9))
        _log.info("%s, hugepages from %s", eal.version(), huge_dir)
        now, then = cycles(), time.monotonic_ns()
        return (now - at) * 1_000_000_000 // (then - began)

    async def _open_sockets(self, sockets: GuestSockets) -> None:
        """All relays' sockets, or the only one that was asked for, or none."""
        settings = self._settings
        if settings.backend_socket is not None:
            await sockets.open(self._relays[0], str(settings.backend_socket))
        elif settings.backend_fd is None and not settings.dynamic_sockets:
            for relay in self._relays:
                await sockets.open(relay, str(settings.socket_path(relay.number)))

    async def _attach_static(self, controller: MasterController) -> None:
        """One VF that is missing must not keep the others from being served."""
        for device, relay in self._settings.static_vfs:
            try:
                await controller.add([device], relay, False, None, 0)
            except ControlError as error:
                _log.error("static VF %s=%d: %s", device, relay, error)

    async def _open_plane(self, plane: ControlPlane) -> None:
        try:
            await plane.start()
        except OSError as error:
            raise MasterError(error.strerror or str(error)) from None

    async def _close_plane(self, plane: ControlPlane, controller: MasterController) -> None:
        """A device that is being attached for a client must not get lost."""
        async with controller.idle():
            await plane.close()

    async def _stop_workers(self) -> None:
        for relay in self._relays:
            relay.end_service()
        await self._workers.stop(WORKER_STOP_TIME)

    async def _close_relays(self) -> None:
        for relay in self._relays:
            await relay.close()

    async def _worker_lost(self, slot: int) -> None:
        await asyncio.gather(*(relay.worker_lost(slot) for relay in self._relays))

    async def _worker_running(self, slot: int) -> None:
        await asyncio.gather(*(relay.worker_running(slot) for relay in self._relays))


def _port_options(settings: Settings) -> PortOptions:
    return PortOptions(
        mtu=JUMBO_MTU if settings.enable_jumbo else ETHERNET_MTU,
        tso=settings.enable_tso,
        queues=min(lanes.power_of_two(settings.vf_queues), lanes.worthwhile(len(settings.cpus))),
    )


def _bind_vfs(entries: Sequence[str]) -> None:
    """Before EAL starts, which looks for VFIO only then. One that is refused must not keep the others out."""
    bound, refused = carry_out(Sysfs(), entries, vfio.bind)
    for address in bound:
        _log.info("%s is bound to %s now", address, vfio.DRIVER)
    for line in refused:
        _log.error("%s", line)
