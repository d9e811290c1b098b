"""Serves protobuf messages over ZeroMQ: one request, one response, as a REP socket would for REQ clients.

A REP socket must answer each request before it takes the next, so one statistics request with a delay
would hold up everybody. This is a ROUTER socket instead, which keeps the envelopes apart, and each request
is a task of its own. Three things hold for every message that arrives: it gets exactly one answer, the
answer is a well-formed response of the service, and it cannot stop the endpoint. A client that has gone
away is libzmq's business; its answer is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import time
from pathlib import Path
from typing import Any, Final

import zmq
import zmq.asyncio
from google.protobuf.message import DecodeError

from vio4wd.control.ipc import MODE, clear_the_way, socket_file
from vio4wd.control.service import Refusal, Service

_log = logging.getLogger(__name__)

#: Longest request in bytes; the longest that make sense name 64 relays or eight devices.
MAX_REQUEST: Final = 65536
#: Longest frame that is read at all, to be refused politely; a longer one ends the connection.
MAX_FRAME: Final = 64 << 20
#: Requests under way at once; more are refused.
MAX_PENDING: Final = 128
#: Messages of one client that wait to be read.
_BACKLOG: Final = 8
#: How long the last answers may take to leave when the endpoint is closed, in milliseconds.
_LINGER_MS: Final = 100


class Endpoint:
    """One bound socket and the tasks that answer on it. `open` and `close` it in the same event loop."""

    def __init__(self, context: zmq.asyncio.Context, address: str, service: Service[Any, Any]) -> None:
        """Binds nothing yet.

        Args:
            address: ipc:// or tcp:// endpoint.
        """
        self.address = address
        self._context = context
        self._service = service
        self._socket: zmq.asyncio.Socket | None = None
        self._receiver: asyncio.Task[None] | None = None
        self._pending: set[asyncio.Task[None]] = set()
        self._file: tuple[Path, int] | None = None  # our socket file and its inode
        self._directory: Path | None = None  # made by us
        self._last_warning = -math.inf
        self._unlogged = 0

    async def open(self) -> None:
        """Bind and begin to answer.

        Raises:
            EndpointInUseError: another process serves this endpoint, or a file is in its place.
            OSError: it cannot be bound; the message names the endpoint.
        """
        path = socket_file(self.address)
        if path is not None:
            self._make_directory(path.parent)
            clear_the_way(path)
        self._socket = self._context.socket(zmq.ROUTER)
        try:
            self._socket.setsockopt(zmq.LINGER, _LINGER_MS)
            self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME)
            self._socket.setsockopt(zmq.RCVHWM, _BACKLOG)
            # A client that comes back under its old name takes the place of its former self.
            self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
            self._socket.bind(self.address)
            if path is not None:
                path.chmod(MODE)
                self._file = (path, path.stat().st_ino)
        except (zmq.ZMQError, OSError) as error:
            await self.close()
            raise OSError(
                error.errno, f"{self.address} cannot be served: {os.strerror(error.errno or 0)}"
            ) from error
        self._receiver = asyncio.create_task(self._receive(self._socket), name=f"endpoint {self.address}")

    async def close(self) -> None:
        """Answer no more, and remove the socket's file. Requests under way are given up."""
        tasks = [task for task in (self._receiver, *self._pending) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._receiver = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        # libzmq removes the file too, but when its own thread gets to it.
        if self._file is not None:
            path, inode = self._file
            with contextlib.suppress(OSError):
                if path.stat().st_ino == inode:
                    path.unlink()
            self._file = None
        if self._directory is not None:
            with contextlib.suppress(OSError):  # not empty: another endpoint's business
                self._directory.rmdir()
            self._directory = None

    def _make_directory(self, directory: Path) -> None:
        if not directory.is_dir():
            directory.mkdir(parents=True, mode=0o755)
            self._directory = directory

    async def _receive(self, socket: zmq.asyncio.Socket) -> None:
        while True:
            try:
                frames = await socket.recv_multipart()
            except zmq.ZMQError as error:
                _log.error("%s: cannot receive: %s", self.address, error)
                await asyncio.sleep(0.1)
                continue
            task = asyncio.create_task(self._respond(socket, frames, len(self._pending) >= MAX_PENDING))
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)
            # A flood leaves recv_multipart() always ready; the rest of the daemon wants a turn, too.
            await asyncio.sleep(0)

    async def _respond(self, socket: zmq.asyncio.Socket, frames: list[bytes], busy: bool) -> None:
        envelope, body = _split(frames)
        response = await self._response(body, busy)
        try:
            await socket.send_multipart([*envelope, response])
        except zmq.ZMQError as error:
            _log.warning("%s: an answer could not be sent: %s", self.address, error)

    async def _response(self, body: list[bytes], busy: bool) -> bytes:
        if len(body) != 1:
            return self._refuse(Refusal.MALFORMED, f"{len(body)} frames in the place of one")
        if len(body[0]) > MAX_REQUEST:
            return self._refuse(Refusal.TOO_LARGE, f"{len(body[0])} bytes, at most {MAX_REQUEST} are read")
        if busy:
            return self._refuse(Refusal.BUSY, f"{MAX_PENDING} requests are under way")
        try:
            request = self._service.request_type.FromString(body[0])
        except DecodeError as error:
            return self._refuse(Refusal.MALFORMED, " ".join(str(error).split()))
        if not request.IsInitialized():
            missing = ", ".join(request.FindInitializationErrors())
            return self._refuse(Refusal.MALFORMED, f"without the required {missing}")
        try:
            response = await self._service.answer(request)
            return bytes(response.SerializeToString())
        except Exception:
            _log.exception("%s: fault while answering %s", self.address, self._service.request_type.__name__)
            return self._refuse(Refusal.FAULT, "see the daemon's log")

    def _refuse(self, refusal: Refusal, detail: str) -> bytes:
        self._warn(f"{refusal.value}: {detail}")
        return bytes(self._service.refuse(refusal, detail).SerializeToString())

    def _warn(self, message: str) -> None:
        """Log it, but no more than once a second: a client may send garbage in a loop."""
        now = time.monotonic()
        if now - self._last_warning < 1.0:
            self._unlogged += 1
            return
        more = f" ({self._unlogged} refusals before were not logged)" if self._unlogged else ""
        _log.warning("%s: %s%s", self.address, message, more)
        self._last_warning, self._unlogged = now, 0


def _split(frames: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Envelope (routing ids up to the empty frame, inclusive) and body of a message.

    A message without an empty frame comes from a client that is no REQ socket; it is answered in its own
    way, after the id that the ROUTER socket put in front.
    """
    for index, frame in enumerate(frames):
        if index and not frame:
            return frames[: index + 1], frames[index + 1 :]
    return frames[:1], frames[1:]
