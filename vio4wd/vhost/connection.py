"""One frontend on one socket: bytes and descriptors in, messages to the device, replies out.

A message is read in two parts, the header and then exactly the payload that it announces, so that
descriptors can only ever belong to the message in hand: the kernel hands them over with the first byte
they were sent with. Nothing here waits but for this one peer; a peer that stops in the middle of a
message, or does not read its replies, holds up itself alone.
"""

from __future__ import annotations

import array
import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vio4wd.vhost.device import Device
from vio4wd.vhost.errors import ViolationError
from vio4wd.vhost.fds import close_all
from vio4wd.vhost.messages import HEADER_SIZE, MAX_FDS, Header, Reply
from vio4wd.vhost.requests import find

_log = logging.getLogger(__name__)

# One descriptor more than a message may have, so that too many are seen as such.
_ANCILLARY: Final = socket.CMSG_SPACE(4 * (MAX_FDS + 1))


class Connection:
    """A connected frontend. The connection owns the socket."""

    def __init__(self, sock: socket.socket, device: Device) -> None:
        """
        Args:
            sock: connected, non-blocking; taken over.
            device: new; told of everything and closed at the end.
        """
        self._sock = sock
        self._device = device
        self._fds: list[int] = []
        self.peer = peer_name(sock)

    async def run(self) -> None:
        """Serve the frontend until it leaves, breaks the protocol, or `hang_up` is called."""
        name = self._device.name
        try:
            await self._device.listener.connected(self.peer)
            try:
                _log.info("%s: frontend connected: %s", name, self.peer)
                await self._serve()
                _log.info("%s: frontend left: %s", name, self.peer)
            finally:
                await self._device.close()
        except ViolationError as violation:
            _log.error("%s: connection of %s closed: %s", name, self.peer, violation)
        except ConnectionError as error:
            _log.info("%s: connection of %s lost: %s", name, self.peer, error.strerror)
        except Exception:
            # A defect of ours must not take the other relays down.
            _log.exception("%s: connection of %s closed after an internal error", name, self.peer)
        finally:
            close_all(self._fds)
            self._sock.close()

    def hang_up(self) -> None:
        """End the connection; `run` returns soon, when the device is closed."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it has ended by itself

    async def _serve(self) -> None:
        while data := await self._receive(HEADER_SIZE):
            header = Header.unpack(data)
            spec = find(header, self._device.offer.protocol_features)
            payload = await self._receive(header.size)
            if len(payload) < header.size:
                break
            fds, self._fds = self._fds, []
            reply = await self._device.handle(header, spec, payload, fds)
            if reply is not None:
                await self._send(reply)
            # However much one frontend has to say, others have their turn.
            await asyncio.sleep(0)

    async def _receive(self, size: int) -> bytes:
        """Exactly so many bytes; none, or less, when the peer has left."""
        data = bytearray()
        while len(data) < size:
            try:
                more, ancillary, flags, _ = self._sock.recvmsg(size - len(data), _ANCILLARY)
            except BlockingIOError:
                await self._device.settle()
                await self._wait(asyncio.get_running_loop().add_reader)
                continue
            self._take_fds(ancillary)
            if flags & socket.MSG_CTRUNC:
                raise ViolationError("more descriptors than a message may have, or than we may open")
            if not more:
                break
            data += more
        return bytes(data) if len(data) == size else b""

    def _take_fds(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        """Own the descriptors that came.

        Raises:
            ViolationError: the message in hand has too many.
        """
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._fds += array.array("i", data[: len(data) - len(data) % 4])
        if len(self._fds) > MAX_FDS:
            raise ViolationError(f"more than {MAX_FDS} descriptors with one message")

    async def _send(self, reply: Reply) -> None:
        data = reply.data
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [reply.fd]))]
        if reply.fd < 0:
            ancillary.clear()
        try:
            while data:
                try:
                    data = data[self._sock.sendmsg([data], ancillary) :]
                    ancillary.clear()  # the descriptor has gone with the first byte
                except BlockingIOError:
                    await self._device.settle()
                    await self._wait(asyncio.get_running_loop().add_writer)
        finally:
            close_all([reply.fd])

    async def _wait(self, add: Callable[..., object]) -> None:
        """Wait until the socket can be read or written, as `add` (add_reader or add_writer) sees it."""
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        add(self._sock.fileno(), _set_done, ready)
        try:
            await ready
        finally:
            loop.remove_reader(self._sock.fileno())
            loop.remove_writer(self._sock.fileno())


def _set_done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def peer_name(sock: socket.socket) -> str:
    """Who is at the other end, such as "pid 4711 (qemu-system-x86)"."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("=iII"))
    pid, _, _ = struct.unpack("=iII", credentials)
    try:
        command = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return f"pid {pid}"  # gone already, or of another namespace
    printable = "".join(character if character.isprintable() else "?" for character in command)
    return f"pid {pid} ({printable})"
