"""The port control service: PortControlRequest to calls of the Controller."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable

from vio4wd.control.controller import ControlError, Controller
from vio4wd.control.decisions import SOURCE
from vio4wd.control.port_request import devices_to_add, devices_to_remove, path_of, relay_of
from vio4wd.control.proto.virtioforwarder_pb2 import PortControlRequest, PortControlResponse
from vio4wd.control.service import ERRNO, Refusal

_log = logging.getLogger(__name__)


class PortControl:
    """Changes are made one by one in the order they arrive; questions are answered in between."""

    request_type = PortControlRequest

    def __init__(self, controller: Controller, dynamic_sockets: bool) -> None:
        """`dynamic_sockets`: whether ADD_SOCK and REMOVE_SOCK are allowed."""
        self._controller = controller
        self._dynamic_sockets = dynamic_sockets
        self._change = asyncio.Lock()
        self._operations: dict[int, Callable[[PortControlRequest], Awaitable[str]]] = {
            PortControlRequest.ADD: self._add,
            PortControlRequest.REMOVE: self._remove,
            PortControlRequest.ADD_SOCK: self._add_sock,
            PortControlRequest.REMOVE_SOCK: self._remove_sock,
            PortControlRequest.QUERY_PCI: self._query_pci,
        }

    async def answer(self, request: PortControlRequest) -> PortControlResponse:
        """OK when the request's state holds; ERROR, with errno and reason, when nothing was changed."""
        try:
            answer = await self._operations[request.op](request)
        except ControlError as error:
            _log.error(
                "%s: %s: %s", PortControlRequest.Op.Name(request.op).lower(), error.source, error.message
            )
            return _error(error.code, str(error))
        response = PortControlResponse(status=PortControlResponse.OK)
        if request.op == PortControlRequest.QUERY_PCI:
            response.query_string = answer
        return response

    def refuse(self, refusal: Refusal, detail: str) -> PortControlResponse:
        """An ERROR."""
        return _error(ERRNO[refusal], f"{SOURCE}: {refusal.value}: {detail}")

    async def _add(self, request: PortControlRequest) -> str:
        relay, what = relay_of(request), devices_to_add(request)
        async with self._change:
            await self._controller.add(what.devices, relay, request.conditional, what.name, what.mode)
        _log.info("add: %s is attached to relay %d", what, relay)
        return ""

    async def _remove(self, request: PortControlRequest) -> str:
        relay, what = relay_of(request), devices_to_remove(request)
        async with self._change:
            await self._controller.remove(what.devices, relay, request.conditional, what.name)
        _log.info("remove: %s is not attached to relay %d", what.name or what, relay)
        return ""

    async def _add_sock(self, request: PortControlRequest) -> str:
        self._check_dynamic(request)
        path, what = path_of(request), devices_to_add(request)
        async with self._change:
            await self._controller.add_sock(what.devices, path, request.conditional, what.name, what.mode)
        _log.info("add_sock: %s is paired with %s", what, path)
        return ""

    async def _remove_sock(self, request: PortControlRequest) -> str:
        self._check_dynamic(request)
        path, what = path_of(request), devices_to_remove(request)
        async with self._change:
            await self._controller.remove_sock(what.devices, path, request.conditional, what.name)
        _log.info("remove_sock: %s is not paired with %s", what.name or what, path)
        return ""

    async def _query_pci(self, request: PortControlRequest) -> str:
        return self._controller.query_pci(path_of(request))

    def _check_dynamic(self, request: PortControlRequest) -> None:
        if not self._dynamic_sockets:
            raise ControlError(
                errno.EPERM,
                SOURCE,
                "sockets are not dynamic: start with --dynamic-sockets (VIRTIOFWD_DYNAMIC_SOCKETS=true)",
            )
        if request.HasField("virtio_id"):
            _log.warning("add_sock and remove_sock choose the relay themselves: virtio_id is ignored")


def _error(code: int, message: str) -> PortControlResponse:
    return PortControlResponse(status=PortControlResponse.ERROR, error_code=code, error_code_source=message)
