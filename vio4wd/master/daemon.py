"""The master process from its start to its end: it owns everything, and gives it back in reverse order.

Start: pid file, what a dead master left, VFs to vfio-pci, DPDK, shared memory, pump, workers, sockets,
static VFs, control services. The end, wherever it comes, undoes what was done so far. It has two seconds;
then it is made by force (`deadline`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Final

from vio4wd.binding import vfio
from vio4wd.binding.devices import carry_out
from vio4wd.binding.sysfs import Sysfs
from vio4wd.config.instance import instance_name
from vio4wd.config.options import Settings
from vio4wd.control.controller import ControlError
from vio4wd.control.ipc import EndpointInUseError
from vio4wd.control.plane import ControlPlane
from vio4wd.dpdk import eal
from vio4wd.dpdk.errors import DpdkError
from vio4wd.inspection import snapshot
from vio4wd.limits import MAX_RELAYS
from vio4wd.master import eal_files, leftovers, logs, numa, open_files, responsiveness
from vio4wd.master.background import Background, detach
from vio4wd.master.controller import MasterController
from vio4wd.master.deadline import Deadline
from vio4wd.master.devices import DeviceThread
from vio4wd.master.errors import MasterError
from vio4wd.master.guest_sockets import GuestSockets
from vio4wd.master.hardware import DpdkHardware
from vio4wd.master.pidfile import PidFile
from vio4wd.master.placement import Placement
from vio4wd.master.relay import Relay
from vio4wd.master.reload import Reloader
from vio4wd.master.service_manager import ServiceManager
from vio4wd.master.upkeep import Upkeep
from vio4wd.master.worker_handle import WorkerOptions
from vio4wd.master.workers import Workers
from vio4wd.ports.attach import PortOptions
from vio4wd.shm import segment
from vio4wd.shm.clock import cycles
from vio4wd.vhost.errors import SocketError
from vio4wd.vhost.features import ETHERNET_MTU, JUMBO_MTU
from vio4wd.worker import lanes

_log = logging.getLogger(__name__)

#: Hugepage memory without which a start makes no sense, MiB: EAL's own and a few relays' pools.
LEAST_MEMORY_MIB: Final = 64
#: Seconds from the signal until the process is gone, whatever happens.
STOP_TIME: Final = 1.9
#: Of these, for the workers.
WORKER_STOP_TIME: Final = 0.8


def run(settings: Settings, read_again: Callable[[], Settings]) -> int:
    """Be the master until a signal ends it.

    Args:
        read_again: reads the settings anew, for SIGHUP.

    Returns:
        The exit status: 0 after a clean stop, 1 when it could not start.
    """
    try:
        pid_file = PidFile(str(settings.pid_path))
    except MasterError as error:
        print(f"vio4wd-master: {error}", file=sys.stderr)
        return 1
    background = detach() if settings.daemon else Background(-1)
    logs.set_up(settings.loglevel, to_syslog=settings.log_syslog)
    pid_file.write()
    open_files.raise_limit()
    daemon = Daemon(settings, read_again, background, pid_file)
    try:
        asyncio.run(daemon.run())
    except (MasterError, DpdkError, segment.SegmentError, SocketError) as error:
        _log.error("%s", error)
        background.failed(f"vio4wd-master: {error}")
        return 1
    finally:
        daemon.clean_up()
    return 0


class Daemon:
    """One master. `run()` is its life; `clean_up()` removes what must not outlive it."""

    def __init__(
        self,
        settings: Settings,
        read_again: Callable[[], Settings],
        background: Background,
        pid_file: PidFile,
    ) -> None:
        self._settings = settings
        self._read_again = read_again
        self._background = background
        self._pid_file = pid_file
        self._instance = instance_name(settings.pid_path)
        self._service_manager = ServiceManager()
        self._relays: list[Relay] = []
        self._workers: Workers | None = None
        self._reloader: Reloader | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._cleaning = threading.Lock()
        self._clean = False

    def clean_up(self) -> None:
        """Remove shared memory, DPDK's files and the pid file. A second call does nothing but wait for the
        first: it comes from the deadline's thread when the stop ends in the last moment."""
        with self._cleaning:
            if not self._clean:
                leftovers.remove_all(self._instance, str(self._settings.huge_dir))
                self._pid_file.remove()
                self._clean = True

    async def run(self) -> None:
        """Start, serve until SIGTERM or SIGINT (or until the only frontend leaves), stop.

        Raises:
            MasterError, DpdkError, SegmentError, SocketError: it could not start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        deadline = Deadline(STOP_TIME, self._worker_pids, self.clean_up)
        stopping = asyncio.create_task(self._stop.wait())
        try:
            async with contextlib.AsyncExitStack() as stack:
                starting = asyncio.create_task(self._start(stack))
                await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if starting.done():
                    starting.result()
                    self._background.ready()
                    self._service_manager.ready(f"{len(self._settings.cpus)} workers")
                    await stopping
                else:
                    starting.cancel()
                    await asyncio.wait({starting})
                _log.info("stopping")
                self._service_manager.stopping()
                deadline.start()
        finally:
            deadline.cancel()
            stopping.cancel()
        _log.info("stopped")

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        settings = self._settings
        for warning in (*settings.warnings, *_not_yet(settings)):
            _log.warning("%s", warning)
        for what in leftovers.remove_all(self._instance, str(settings.huge_dir)):
            _log.warning("a master that did not end properly left %s behind; removed", what)
        os.sched_setaffinity(0, {settings.master_lcore})
        devices = DeviceThread()
        stack.callback(devices.close)
        hardware = DpdkHardware(devices, self._instance, settings.master_lcore, _port_options(settings))
        workers = Workers(
            settings.cpus,
            self._worker_options(),
            devices.paused,
            self._worker_lost,
            self._worker_running,
            hardware.polled_pci,
        )
        self._workers = workers
        stack.push_async_callback(workers.stop, WORKER_STOP_TIME)
        await workers.spawn()
        await devices.run(_bind_vfs, settings.bind_vfio_pci)
        tsc_hz = await self._start_dpdk(devices, stack)
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
        stack.push_async_callback(self._stop_workers, workers)
        await workers.start(tables)

        controller = MasterController(self._relays, sockets, placement)
        await self._open_sockets(sockets)
        await self._attach_static(controller)
        if settings.backend_fd is not None:  # last, for its frontend may ask but once what the VF can do
            await sockets.adopt(self._relays[0], settings.backend_fd, self._stop.set)
        # Not before: the pump is to stay where it is.
        responsiveness.put_ahead()
        plane = ControlPlane(settings, controller, lambda: snapshot.take(tables, cycles()))
        stack.push_async_callback(self._close_plane, plane, controller)
        await self._open_plane(plane)
        self._reloader = Reloader(settings, self._read_again, controller, placement)
        stack.push_async_callback(self._end_tasks)
        self._spawn(Upkeep(tables, self._relays, placement, devices, controller.lost).run())
        self._spawn(self._feed_watchdog(workers))
        responsiveness.spare_what_stays()
        _log.info("serving (pid %d, instance %s)", os.getpid(), self._instance)

    def _worker_options(self) -> WorkerOptions:
        level = logging.getLevelName(logs.python_level(self._settings.loglevel))
        return WorkerOptions(self._instance, self._settings.idle, level, responsiveness.present_priority())

    async def _start_dpdk(self, devices: DeviceThread, stack: contextlib.AsyncExitStack) -> int:
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
        await devices.run(eal.init, arguments)
        stack.push_async_callback(devices.run, eal.cleanup)
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
        except EndpointInUseError as error:
            raise MasterError(str(error)) from None
        except OSError as error:
            raise MasterError(error.strerror or str(error)) from None

    async def _close_plane(self, plane: ControlPlane, controller: MasterController) -> None:
        """A device that is being attached for a client must not get lost."""
        async with controller.idle():
            await plane.close()

    async def _stop_workers(self, workers: Workers) -> None:
        for relay in self._relays:
            relay.end_service()
        await workers.stop(WORKER_STOP_TIME)

    async def _close_relays(self) -> None:
        for relay in self._relays:
            await relay.close()

    async def _worker_lost(self, slot: int) -> None:
        await asyncio.gather(*(relay.worker_lost(slot) for relay in self._relays))

    async def _worker_running(self, slot: int) -> None:
        await asyncio.gather(*(relay.worker_running(slot) for relay in self._relays))

    def _worker_pids(self) -> list[int]:
        return [] if self._workers is None else self._workers.pids()

    def _hang_up(self) -> None:
        if self._reloader is not None:
            self._spawn(self._reload(self._reloader))

    async def _reload(self, reloader: Reloader) -> None:
        self._service_manager.reloading(time.monotonic_ns() // 1000)
        await reloader.reload()
        self._service_manager.ready(f"{len(self._settings.cpus)} workers")

    async def _feed_watchdog(self, workers: Workers) -> None:
        """As long as every worker shows signs of life; systemd restarts us when that ends for long."""
        interval = self._service_manager.watchdog_interval
        while interval:
            if workers.all_beat():
                self._service_manager.alive()
            await asyncio.sleep(interval)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("fault in the master", exc_info=task.exception())

    async def _end_tasks(self) -> None:
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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


def _not_yet(settings: Settings) -> list[str]:
    """What is asked for and not there, so that nobody waits for it."""
    missing = []
    if settings.zero_copy:
        missing.append("zero copy is not supported: packets are copied, --zero-copy changes nothing")
    return missing
