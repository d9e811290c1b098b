"""Client mode: we connect to the socket that the frontend listens on, again and again."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from pathlib import Path
from typing import Final

from vio4wd.vhost.endpoint import Endpoint
from vio4wd.vhost.features import Offer
from vio4wd.vhost.listener import Listener
from vio4wd.vhost.socket_path import check_path

_log = logging.getLogger(__name__)

#: Seconds between attempts: doubled from the first to the second, so that a VM talks again soon after
#: either side was restarted, and 64 relays without VMs cost nothing. A connection that did not last
#: counts as an attempt.
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0


class VhostClient(Endpoint):
    """Serves one device to the frontend that listens at a path, whenever there is one."""

    def __init__(self, name: str, path: str | Path, listener: Listener, offer: Offer) -> None:
        super().__init__(name, path, listener, offer)
        self._told = ""

    async def start(self) -> None:
        """Begin to connect.

        Raises:
            SocketError: the path can be no socket's.
        """
        check_path(self.path)
        self._begin(self._run())

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

    def _tell(self, line: str) -> None:
        """Log a line unless it was the last one."""
        if line != self._told:
            self._told = line
            _log.info("%s: %s", self.name, line)
