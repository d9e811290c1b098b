"""The control services of a daemon without the daemon: endpoints, an in-memory controller, and tables.

Clients and commands can be tried against it in milliseconds, without DPDK, workers or privileges.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import numpy as np

from vio4wd.config.options import Settings
from vio4wd.control.plane import ControlPlane
from vio4wd.inspection.snapshot import take
from vio4wd.shm import layout
from vio4wd.testing.memory_controller import MemoryController

_T = TypeVar("_T")
_P = ParamSpec("_P")

#: Longest wait for anything, in seconds.
_PATIENCE: Final = 60.0


class LoopThread:
    """An event loop that runs beside its owner, until `close`."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="event loop")
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """The coroutine's result; it runs in the loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(_PATIENCE)

    def call(self, function: Callable[_P, _T], *arguments: _P.args, **options: _P.kwargs) -> _T:
        """The function's result; it runs in the loop."""

        async def call() -> _T:
            return function(*arguments, **options)

        return self.run(call())

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


def empty_tables() -> layout.Tables:
    """Tables as a master with workers on CPUs 1 and 2 sets them up; no relay is in use."""
    tables = np.zeros(1, layout.TABLES)
    tables["header"]["tsc_hz"] = 10**9
    tables["control"]["cpu"] = -1
    tables["control"]["cpu"][0, :2] = (1, 2)
    for field in (*layout.SLOT_COLUMNS, "port_id"):
        tables["relays"][field] = -1
    return tables


class ControlDaemon:
    """All four endpoints in a directory, until `close`.

    Attributes:
        controller: what is behind them; touch its methods with `thread` only.
        tables: what the statistics are read from.
    """

    def __init__(self, thread: LoopThread, directory: Path, *, dynamic_sockets: bool = True) -> None:
        self.thread = thread
        self.controller = thread.call(MemoryController)
        self.tables = empty_tables()
        self.settings = Settings(
            cpus=(1, 2),
            zmq_port_control_ep=f"ipc://{directory}/port_control",
            zmq_stats_ep=f"ipc://{directory}/stats",
            zmq_config_ep=f"ipc://{directory}/config",
            zmq_core_sched_ep=f"ipc://{directory}/core_sched",
            dynamic_sockets=dynamic_sockets,
        )
        self._plane = ControlPlane(self.settings, self.controller, lambda: take(self.tables))
        thread.run(self._plane.start())

    def address(self, service: str) -> str:
        """The endpoint of "port_control", "stats", "config" or "core_sched"."""
        return str(getattr(self.settings, f"zmq_{service}_ep"))

    def close(self) -> None:
        self.thread.run(self._plane.close())
