"""The master process from its start to its end: it owns everything, and gives it back in reverse order.

Start: pid file, worker processes, what a dead master left, and then all that is served (`serving`). The end,
wherever it comes, undoes what was done so far. It has two seconds; then it is made by force (`deadline`).
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
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Final

from vio4wd.config.instance import instance_name
from vio4wd.config.options import Settings
from vio4wd.master import logs, open_files, responsiveness
from vio4wd.master.background import Background, detach
from vio4wd.master.deadline import Deadline
from vio4wd.master.devices import DeviceThread
from vio4wd.master.errors import MasterError
from vio4wd.master.pidfile import PidFile
from vio4wd.master.service_manager import ServiceManager
from vio4wd.master.worker_handle import WorkerOptions
from vio4wd.master.workers import WORKER_STOP_TIME, Workers

if TYPE_CHECKING:
    from vio4wd.master.serving import Serving

_log = logging.getLogger(__name__)

#: Seconds from the signal until the process is gone, whatever happens.
STOP_TIME: Final = 1.9


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
    except MasterError as error:
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
        self._workers: Workers | None = None
        self._serving: Serving | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._cleaning = threading.Lock()
        self._clean = False

    def clean_up(self) -> None:
        """Remove shared memory, DPDK's files and the pid file. A second call does nothing but wait for the
        first: it comes from the deadline's thread when the stop ends in the last moment."""
        with self._cleaning:
            if not self._clean:
                from vio4wd.master import leftovers  # it knows the shared tables, see `_start`

                leftovers.remove_all(self._instance, str(self._settings.huge_dir))
                self._pid_file.remove()
                self._clean = True

    async def run(self) -> None:
        """Start, serve until SIGTERM or SIGINT (or until the only frontend leaves), stop.

        Raises:
            MasterError: it could not start.
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
        os.sched_setaffinity(0, {settings.master_lcore})
        devices = DeviceThread()
        stack.callback(devices.close)
        workers = self._workers = Workers(settings.cpus, self._worker_options())
        stack.push_async_callback(workers.stop, WORKER_STOP_TIME)
        await workers.spawn()
        # Only now: it takes as long as the workers need to load their programs.
        from vio4wd.master import leftovers
        from vio4wd.master.serving import Serving

        for what in leftovers.remove_all(self._instance, str(settings.huge_dir)):
            _log.warning("a master that did not end properly left %s behind; removed", what)
        serving = Serving(settings, self._instance, devices, workers, self._stop.set)
        await serving.start(stack, self._read_again)
        self._serving = serving
        stack.push_async_callback(self._end_tasks)
        self._spawn(serving.look_after())
        self._spawn(self._feed_watchdog(workers))
        _log.info("serving (pid %d, instance %s)", os.getpid(), self._instance)

    def _worker_options(self) -> WorkerOptions:
        level = logging.getLevelName(logs.python_level(self._settings.loglevel))
        return WorkerOptions(self._instance, self._settings.idle, level, responsiveness.present_priority())

    def _worker_pids(self) -> list[int]:
        return [] if self._workers is None else self._workers.pids()

    def _hang_up(self) -> None:
        if self._serving is not None:
            self._spawn(self._reload(self._serving))

    async def _reload(self, serving: Serving) -> None:
        self._service_manager.reloading(time.monotonic_ns() // 1000)
        await serving.reload()
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


def _not_yet(settings: Settings) -> list[str]:
    """What is asked for and not there, so that nobody waits for it."""
    missing = []
    if settings.zero_copy:
        missing.append("zero copy is not supported: packets are copied, --zero-copy changes nothing")
    return missing
