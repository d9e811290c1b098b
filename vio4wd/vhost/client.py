"""Client mode: we connect to the socket that the frontend listens on, again and again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from pathlib import Path
from typing import Final

from vio4wd.vhost.connection import Connection
from vio4wd.vhost.device import Device
from vio4wd.vhost.features import Offer
from vio4wd.vhost.listener import Listener
from vio4wd.vhost.socket_path import check_path

_log = logging.getLogger(__name__)

#: Seconds between attempts: doubled from the first to the second, so that a VM talks again soon after
#: either side was restarted, and 64 relays without VMs cost nothing. A connection that did not last
#: counts as an attempt.
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0


class VhostClient:
    """Serves one device to the frontend that listens at a path, whenever there is one.

    Attributes:
        name: of the relay, for log lines.
        path: of the frontend's socket.
        offer: what the frontend may negotiate at its next connection; may be replaced at any time.
    """

    def __init__(self, name: str, path: str | Path, listener: Listener, offer: Offer) -> None:
        self.name = name
        self.path = Path(path)
        self.offer = offer
        self._listener = listener
        self._task: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._closing = False
        self._told = ""

    @property
    def peer(self) -> str:
        """Who is connected; "": nobody."""
        return self._connection.peer if self._connection else ""

    async def start(self) -> None:
        """Begin to connect.

        Raises:
            SocketError: the path can be no socket's.
        """
        check_path(self.path)
        self._closing = False
        self._task = asyncio.create_task(self._run(), name=f"vhost-user {self.name}")

    async def close(self) -> None:
        """Hang up and try no more; returns when the listener has been told."""
        self._closing = True
        if self._task is not None:
            if self._connection is not None:
                self._connection.hang_up()
            else:
                self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        pause = _FIRST_PAUSE
        while not self._closing:
            began = clock()
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            try:
                sock.connect(os.fspath(self.path))
            except OSError as error:
                sock.close()
                self._tell(f"waiting for a frontend at {self.path}: {error.strerror}")
            else:
                self._told = ""
                await self._serve(sock)
            pause = _FIRST_PAUSE if clock() - began > _LONGEST_PAUSE else min(2 * pause, _LONGEST_PAUSE)
            if not self._closing:
                await asyncio.sleep(pause)

    async def _serve(self, sock: socket.socket) -> None:
        self._connection = Connection(sock, Device(self.name, self.offer, self._listener))
        try:
            await self._connection.run()
        finally:
            self._connection = None

    def _tell(self, line: str) -> None:
        """Log a line unless it was the last one."""
        if line != self._told:
            self._told = line
            _log.info("%s: %s", self.name, line)
