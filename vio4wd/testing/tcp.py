"""Moves data over TCP between a namespace and a Linux guest, and compares digests.

The guest connects, the namespace listens: busybox's nc as a client sends all of its input, then reads until
the far side closes.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import random
import socket
import time
from collections.abc import Callable

from vio4wd.testing.linux_guest import LinuxGuest
from vio4wd.testing.netns import Wire

#: Where the guest keeps what it received.
GUEST_FILE = "/tmp/transfer"


@dataclasses.dataclass(frozen=True)
class Transfer:
    """How a transfer went.

    Attributes:
        size: bytes that arrived.
        seconds: from the connection to its end.
        intact: the digest of what arrived is that of what was sent.
    """

    size: int
    seconds: float
    intact: bool

    @property
    def megabits(self) -> float:
        """Mbit/s."""
        return self.size * 8 / self.seconds / 1e6


def random_data(size: int, seed: int = 1) -> bytes:
    """`size` bytes that do not repeat; the same ones for the same seed."""
    return random.Random(seed).randbytes(size)


def to_guest(
    wire: Wire, guest: LinuxGuest, data: bytes, timeout: float = 120.0, *, address: str = ""
) -> Transfer:
    """Send `data` into the guest, where it stays in GUEST_FILE.

    Args:
        address: of the namespace, "": the wire's.

    Raises:
        GuestError, OSError: the connection failed or took longer than `timeout` seconds.
    """

    def send(connection: socket.socket) -> float:
        started = time.monotonic()
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)  # the guest closes when it has all of it
        return time.monotonic() - started

    seconds = _serve(wire, address, guest, send, f"</dev/null >{GUEST_FILE}", timeout)
    digest, size = guest.check(f"sha256sum <{GUEST_FILE}; wc -c <{GUEST_FILE}", timeout).split(None, 1)
    arrived = int(size.split()[-1])
    return Transfer(arrived, seconds, digest == hashlib.sha256(data).hexdigest())


def from_guest(
    wire: Wire, guest: LinuxGuest, expected: bytes, timeout: float = 120.0, *, address: str = ""
) -> Transfer:
    """Receive the guest's GUEST_FILE, which should hold `expected`.

    Args:
        address: of the namespace, "": the wire's.

    Raises:
        GuestError, OSError: the connection failed or took longer than `timeout` seconds.
    """
    digest = hashlib.sha256()
    size = 0

    def receive(connection: socket.socket) -> float:
        nonlocal size
        started = time.monotonic()
        while part := connection.recv(1 << 20):
            digest.update(part)
            size += len(part)
        return time.monotonic() - started

    seconds = _serve(wire, address, guest, receive, f"<{GUEST_FILE}", timeout)
    return Transfer(size, seconds, digest.digest() == hashlib.sha256(expected).digest())


def _serve(
    wire: Wire,
    address: str,
    guest: LinuxGuest,
    handle: Callable[[socket.socket], float],
    redirection: str,
    timeout: float,
) -> float:
    """Accept one connection from the guest's nc in the namespace; the result of `handle`."""
    address = address or wire.address
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with wire.socket(family) as listener, concurrent.futures.ThreadPoolExecutor(1) as executor:
        listener.settimeout(timeout)
        listener.bind((address, 0))
        listener.listen(1)
        port = listener.getsockname()[1]

        def accept() -> float:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(timeout)
                return handle(connection)

        served = executor.submit(accept)
        try:
            guest.check(f"nc {address} {port} {redirection}", timeout)
        except BaseException:
            # Wakes a thread that still waits for the connection.
            listener.shutdown(socket.SHUT_RDWR)
            raise
        return served.result(timeout)
