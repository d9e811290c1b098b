"""A vhost-user frontend for tests: speaks the protocol to a backend's socket, well or badly.

It stands for QEMU where no guest is needed: it negotiates, shares memory, starts and stops queues. It
can also send any bytes with any file descriptors.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar

from vio4wd.testing.resource import Resource
from vio4wd.vhost.features import Protocol, Virtio
from vio4wd.vhost.messages import HEADER_SIZE, Request, decode_reply, encode_request
from vio4wd.vhost.payloads import (
    InflightArea,
    Nothing,
    Number,
    Payload,
    Region,
    Regions,
    VringAddress,
    VringFile,
    VringState,
)
from vio4wd.vhost.rings import parts

#: Seconds to wait for a backend's answer.
TIMEOUT: Final = 60.0

#: SET_VRING_BASE of a packed ring that is new: positions 0 and wrap counters 1, of either side.
NEW_PACKED: Final = 0x8000_8000

_NOTHING: Final = Nothing()
_MAX_REPLY: Final = 4096
_RING_SPACE: Final = 1 << 20

P = TypeVar("P", bound=Payload)


class Memory:
    """Guest memory in a memfd, as one region. The rings lie in it one after the other, 1 MiB each.

    Attributes:
        region: as it is told to the backend.
        fd: the memfd.
    """

    def __init__(
        self, size: int = 8 << 20, guest_address: int = 0x1000_0000, user_address: int = 0x7F00_0000_0000
    ) -> None:
        self.region = Region(guest_address, size, user_address, 0)
        self.fd = os.memfd_create("guest-memory")
        os.truncate(self.fd, size)

    def ring(self, index: int, size: int, *, packed: bool = False, flags: int = 0) -> VringAddress:
        """Where the test puts queue `index`, as SET_VRING_ADDR says it."""
        at = self.region.user_address + index * _RING_SPACE
        descriptors, available, used = parts(size, packed=packed)
        start_available = at + descriptors.length
        start_used = (start_available + available.length + used.alignment - 1) & -used.alignment
        log = start_used - self.region.user_address + self.region.guest_address
        return VringAddress(index, flags, at, start_used, start_available, log)

    def set_used_index(self, index: int, size: int, value: int) -> None:
        """Write the used index of a split queue, as a backend that served it would have."""
        used = self.ring(index, size).used - self.region.user_address
        os.pwrite(self.fd, struct.pack("<H", value), used + 2)

    def close(self) -> None:
        """Give the memory back."""
        os.close(self.fd)


class Frontend(Resource):
    """One connection to a backend.

    Args:
        where: path of the backend's socket, or a connected socket, which is taken over.
    """

    def __init__(self, where: str | Path | socket.socket) -> None:
        if isinstance(where, socket.socket):
            self.sock = where
        else:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                self.sock.connect(os.fspath(where))
            except OSError:
                self.sock.close()
                raise
        self.sock.settimeout(TIMEOUT)

    def close(self) -> None:
        """Leave."""
        self.sock.close()

    def send_bytes(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Send any bytes, with any descriptors beside the first of them."""
        if fds:
            sent = socket.send_fds(self.sock, [data], list(fds))
            data = data[sent:]
        if data:
            self.sock.sendall(data)

    def fill(self) -> None:
        """Ask and ask without reading the replies, until the backend does not take more."""
        self.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.send(Request.GET_FEATURES)

    def send(
        self,
        request: Request,
        payload: Payload = _NOTHING,
        fds: Sequence[int] = (),
        *,
        need_reply: bool = False,
    ) -> None:
        """Send one message."""
        self.send_bytes(encode_request(request, payload, need_reply=need_reply), fds)

    def receive(self, kind: type[P]) -> P:
        """The next reply.

        Raises:
            ConnectionError: the backend has hung up.
            TimeoutError: there is none.
        """
        _, size = decode_reply(self._receive_exactly(HEADER_SIZE))
        return kind.unpack(self._receive_exactly(min(size, _MAX_REPLY)))

    def ask(self, request: Request, kind: type[P], payload: Payload = _NOTHING) -> P:
        """Send a message and return its reply; raises as `receive`."""
        self.send(request, payload)
        return self.receive(kind)

    def confirm(self, request: Request, payload: Payload = _NOTHING, fds: Sequence[int] = ()) -> int:
        """Send a message, ask for its outcome and return that (0: done); raises as `receive`."""
        self.send(request, payload, fds, need_reply=True)
        return self.receive(Number).value

    def hung_up(self) -> bool:
        """Whether the backend closes the connection; waits for that."""
        try:
            while self.sock.recv(_MAX_REPLY):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True

    def negotiate(
        self,
        features: int = int(Virtio.VERSION_1 | Virtio.PROTOCOL_FEATURES),
        protocol_features: int = int(Protocol.MQ | Protocol.REPLY_ACK),
    ) -> None:
        """Become the owner and take these features."""
        self.ask(Request.GET_FEATURES, Number)
        self.ask(Request.GET_PROTOCOL_FEATURES, Number)
        self.send(Request.SET_PROTOCOL_FEATURES, Number(protocol_features))
        self.send(Request.SET_OWNER)
        self.send(Request.SET_FEATURES, Number(features))

    def share(self, memory: Memory) -> None:
        """Make this the guest's memory."""
        self.send(Request.SET_MEM_TABLE, Regions((memory.region,)), [memory.fd])

    def start_queue(
        self, memory: Memory, index: int, size: int = 256, *, base: int = 0, packed: bool = False
    ) -> None:
        """Set a queue up in memory of ours, start and enable it."""
        self.start_ring(memory.ring(index, size, packed=packed), size, base)

    def start_ring(self, ring: VringAddress, size: int, base: int) -> None:
        """Set a queue up, start and enable it; its eventfds are known to the backend alone."""
        index = ring.index
        self.send(Request.SET_VRING_NUM, VringState(index, size))
        self.send(Request.SET_VRING_BASE, VringState(index, base))
        self.send(Request.SET_VRING_ADDR, ring)
        for request in (Request.SET_VRING_CALL, Request.SET_VRING_KICK):
            fd = os.eventfd(0)
            try:
                self.send(request, VringFile(index, no_fd=False), [fd])
            finally:
                os.close(fd)
        self.send(Request.SET_VRING_ENABLE, VringState(index, 1))

    def get_inflight(self, queues: int, queue_size: int) -> tuple[InflightArea, int]:
        """Have the backend make in-flight memory: where it lies, and its descriptor, the caller's."""
        self.send(Request.GET_INFLIGHT_FD, InflightArea(0, 0, queues, queue_size))
        header, fds, _, _ = socket.recv_fds(self.sock, HEADER_SIZE, 1)
        _, size = decode_reply(header)
        return InflightArea.unpack(self._receive_exactly(size)), fds[0]

    def stop_queue(self, index: int) -> int:
        """Stop a queue; the position it was left at."""
        return self.ask(Request.GET_VRING_BASE, VringState, VringState(index, 0)).number

    def _receive_exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            if not more:
                raise ConnectionResetError("the backend has hung up")
            data += more
        return data
