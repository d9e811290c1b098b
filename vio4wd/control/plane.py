"""All the ways of control that the settings ask for, started and stopped together."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

import zmq.asyncio

from vio4wd.config.options import Settings
from vio4wd.control.command_file import CommandFile
from vio4wd.control.controller import Controller
from vio4wd.control.endpoints import Endpoint
from vio4wd.control.ovsdb import OvsdbMonitor
from vio4wd.control.ovsdb_idl import Credentials
from vio4wd.control.port_control import PortControl
from vio4wd.control.relay_cpus import Config, CoreSched
from vio4wd.control.service import Service
from vio4wd.control.stats import Stats
from vio4wd.inspection.snapshot import Snapshot

_log = logging.getLogger(__name__)


class ControlPlane:
    """Owns endpoints, monitor and command file from `start` to `close`."""

    def __init__(self, settings: Settings, controller: Controller, take: Callable[[], Snapshot]) -> None:
        """`take`: a snapshot of the tables, for the statistics."""
        self._settings = settings
        self._controller = controller
        self._take = take
        self._opened = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Begin to take requests.

        Raises:
            EndpointInUseError: an endpoint is another process's.
            OSError: an endpoint cannot be bound, or the command file's directory not be watched.
        """
        async with contextlib.AsyncExitStack() as stack:
            services = self._services()
            if services:
                context = zmq.asyncio.Context()
                stack.callback(context.term)
                for address, service in services.items():
                    endpoint = Endpoint(context, address, service)
                    await endpoint.open()
                    stack.push_async_callback(endpoint.close)
                    _log.info("%s is served at %s", type(service).__name__, address)
            if self._settings.ovsdb_sock is not None:
                monitor = OvsdbMonitor(self._controller, self._settings.ovsdb_sock, self._credentials())
                await monitor.start()
                stack.push_async_callback(monitor.close)
            if self._settings.ipc is not None:
                commands = CommandFile(self._controller, self._settings.ipc)
                await commands.start()
                stack.push_async_callback(commands.close)
            self._opened = stack.pop_all()

    async def close(self) -> None:
        """Take no more requests; what was attached stays so."""
        await self._opened.aclose()

    def _services(self) -> dict[str, Service[Any, Any]]:
        settings, controller = self._settings, self._controller
        services: dict[str | None, Service[Any, Any]] = {
            settings.zmq_port_control_ep: PortControl(controller, settings.dynamic_sockets),
            settings.zmq_stats_ep: Stats(self._take),
            settings.zmq_config_ep: Config(controller),
            settings.zmq_core_sched_ep: CoreSched(controller),
        }
        return {address: service for address, service in services.items() if address is not None}

    def _credentials(self) -> Credentials | None:
        key, certificate, authority = (
            self._settings.ovsdb_private_key,
            self._settings.ovsdb_certificate,
            self._settings.ovsdb_ca_cert,
        )
        if key is None or certificate is None or authority is None:
            return None
        return Credentials(key, certificate, authority)
