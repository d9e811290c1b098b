"""A frontend on a socket that was connected before this process began."""

from __future__ import annotations

import socket
from collections.abc import Callable

from vio4wd.vhost.connection import Connection
from vio4wd.vhost.device import Device
from vio4wd.vhost.endpoint import Endpoint
from vio4wd.vhost.features import Offer
from vio4wd.vhost.listener import Listener


class VhostConnected(Endpoint):
    """Serves one device to one frontend. There is no next one; `path` stands for the socket in messages."""

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
            sock: connected, non-blocking; taken over.
            ended: called when the frontend has left.
        """
        super().__init__(name, f"fd:{sock.fileno()}", listener, offer)
        self._only = self._connection = Connection(sock, Device(name, offer, listener))
        self._ended = ended

    async def start(self) -> None:
        """Serve it."""
        self._begin(self._run())

    async def _run(self) -> None:
        await self._only.run()
        self._ended()
