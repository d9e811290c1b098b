"""What serves a device, however its frontends come: one connection after the other."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Coroutine
from pathlib import Path

from vio4wd.vhost.connection import Connection
from vio4wd.vhost.device import Device
from vio4wd.vhost.features import Offer
from vio4wd.vhost.listener import Listener


class Endpoint:
    """Serves one device to the frontend that is connected.

    Attributes:
        name: of the relay, for log lines.
        path: of the socket.
        offer: what the next frontend may negotiate; may be replaced at any time.
    """

    def __init__(self, name: str, path: str | Path, listener: Listener, offer: Offer) -> None:
        """
        Args:
            name, path, offer: see the attributes.
            listener: who serves the device.
        """
        self.name = name
        self.path = Path(path)
        self.offer = offer
        self._listener = listener
        self._task: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._closing = False

    @property
    def peer(self) -> str:
        """Who is connected; "": nobody."""
        return self._connection.peer if self._connection else ""

    async def close(self) -> None:
        """Hang up and serve no more; returns when the listener has been told."""
        self._closing = True
        if self._task is not None:
            if self._connection is not None:
                self._connection.hang_up()
            else:
                self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def _begin(self, run: Coroutine[None, None, None]) -> None:
        """Serve from now on: what `run` does until `_closing`."""
        self._closing = False
        self._task = asyncio.create_task(run, name=f"vhost-user {self.name}")

    async def _serve(self, sock: socket.socket) -> None:
        """Serve a frontend on a connected socket, which is taken over, until it leaves."""
        self._connection = Connection(sock, Device(self.name, self.offer, self._listener))
        try:
            await self._connection.run()
        finally:
            self._connection = None
