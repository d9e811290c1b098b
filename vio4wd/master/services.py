"""The endpoints that a daemon serves, by its settings: only those that are named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zmq.asyncio

from vio4wd.config.options import Settings
from vio4wd.control.controller import Controller
from vio4wd.control.endpoints import Endpoint
from vio4wd.control.ipc import EndpointInUseError
from vio4wd.control.port_control import PortControl
from vio4wd.control.relay_cpus import Config, CoreSched
from vio4wd.control.service import Service
from vio4wd.control.stats import Stats
from vio4wd.inspection.snapshot import Snapshot
from vio4wd.master.errors import MasterError


class Services:
    """Open endpoints; `close()` removes their socket files."""

    def __init__(self, settings: Settings, controller: Controller, take: Callable[[], Snapshot]) -> None:
        """Opens nothing yet.

        Args:
            take: a snapshot of the tables.
        """
        self._context = zmq.asyncio.Context()
        served: tuple[tuple[str | None, Service[Any, Any]], ...] = (
            (settings.zmq_port_control_ep, PortControl(controller, settings.dynamic_sockets)),
            (settings.zmq_stats_ep, Stats(take)),
            (settings.zmq_config_ep, Config(controller)),
            (settings.zmq_core_sched_ep, CoreSched(controller)),
        )
        self._endpoints = [
            Endpoint(self._context, address, service) for address, service in served if address is not None
        ]

    async def open(self) -> None:
        """Serve.

        Raises:
            MasterError: an endpoint cannot be had.
        """
        for endpoint in self._endpoints:
            try:
                await endpoint.open()
            except (EndpointInUseError, OSError) as error:
                raise MasterError(
                    error.strerror or str(error) if isinstance(error, OSError) else str(error)
                ) from None

    async def close(self) -> None:
        """Serve no more; endpoints that were never opened are fine."""
        for endpoint in self._endpoints:
            await endpoint.close()
        self._context.term()
