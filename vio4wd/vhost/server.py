"""A relay's listening socket, to which frontends connect, one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from pathlib import Path
from typing import Final

from vio4wd.vhost.endpoint import Endpoint
from vio4wd.vhost.features import Offer
from vio4wd.vhost.listener import Listener
from vio4wd.vhost.socket_path import Access, bind

_log = logging.getLogger(__name__)

#: Seconds to wait when no connection can be taken (too many open files, say) before trying again.
_ACCEPT_PAUSE: Final = 1.0


class VhostServer(Endpoint):
    """Serves one device to the frontend that is connected.

    While a frontend is served, another one that connects waits in the kernel's queue: it may well be
    the successor of a frontend that was killed and whose end has not been noticed yet.
    """

    def __init__(
        self, name: str, path: str | Path, listener: Listener, offer: Offer, access: Access | None = None
    ) -> None:
        """
        Args:
            access: owner and mode of the socket file.
        """
        super().__init__(name, path, listener, offer)
        self._access = access or Access()
        self._sock: socket.socket | None = None
        self._inode = (0, 0)

    async def start(self, listening: socket.socket | None = None) -> None:
        """Make the socket and serve whoever connects.

        Args:
            listening: serve this socket instead, and leave its file alone.

        Raises:
            SocketError: it cannot be made.
        """
        if listening is None:
            self._sock = bind(self.path, self._access)
            status = self.path.lstat()
            self._inode = (status.st_dev, status.st_ino)
        else:
            self._sock = listening
        self._begin(self._run(self._sock))

    async def close(self) -> None:
        """Hang up and remove the socket; returns when the listener has been told."""
        await super().close()
        if self._sock is not None:
            self._sock.close()
            self._sock = None
            self._remove_file()

    def _remove_file(self) -> None:
        """Remove the socket file unless it is another one by now."""
        with contextlib.suppress(OSError):
            status = os.lstat(self.path)
            if (status.st_dev, status.st_ino) == self._inode:
                self.path.unlink()

    async def _run(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while not self._closing:
            try:
                peer, _ = await loop.sock_accept(sock)
            except OSError as error:
                _log.error("%s: no connection can be taken on %s: %s", self.name, self.path, error.strerror)
                await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            await self._serve(peer)
