"""A frontend on a socket that was connected before this process began."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

from vio4wd.vhost.connection import Connection
from vio4wd.vhost.device import Device
from vio4wd.vhost.features import Offer
from vio4wd.vhost.listener import Listener


class VhostConnected:
    """Serves one device to one frontend. There is no next one.

    Attributes:
        path: what stands for the socket in messages.
        offer: what the frontend may negotiate.
    """

    def __init__(
        self,
        name: str,
        sock: socket.socket,
        listener: Listener,
        offer: Offer,
        ended: Callable[[], None],
    ) -> None:
        """
        Args:
            name: of the relay, for log lines.
            sock: connected, non-blocking; taken over.
            listener: who serves the device.
            ended: called when the frontend has left.
        """
        self.path = Path(f"fd:{sock.fileno()}")
        self.offer = offer
        self._connection = Connection(sock, Device(name, offer, listener))
        self._ended = ended
        self._task: asyncio.Task[None] | None = None

    @property
    def peer(self) -> str:
        """Who is connected."""
        return self._connection.peer

    async def start(self) -> None:
        """Serve it."""
        self._task = asyncio.create_task(self._run(), name=f"vhost-user {self.path}")

    async def close(self) -> None:
        """Hang up; returns when the listener has been told."""
        self._connection.hang_up()
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        await self._connection.run()
        self._ended()
