"""Traffic between a namespace and a Linux guest that goes on while something else happens.

with Ping(switch, "10.1.0.2", log) as ping, Stream(switch, guest, "10.1.0.2") as stream:
    ...
    print(stream.finish(), ping.finish())
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import random
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from vio4wd.testing.linux_guest import LinuxGuest
from vio4wd.testing.namespace import Namespace
from vio4wd.testing.process import ChildProcess
from vio4wd.testing.resource import Resource
from vio4wd.testing.wait import wait_for

_ECHO_PORT = 7
_DISCARD_PORT = 9
_CHUNK = 16384
#: Seconds between chunks: some 20 Mbit/s each way, which leaves an emulated guest time for other things.
_PAUSE = 0.005


@dataclasses.dataclass(frozen=True)
class PingResult:
    """How many echoes came back, and the longest time in seconds between two that did."""

    sent: int
    received: int
    longest_gap: float

    def __str__(self) -> str:
        return f"{self.sent - self.received} of {self.sent} pings lost, longest gap {self.longest_gap:.2f} s"


class Ping(Resource):
    """Pings an address from a namespace.

    Args:
        interval: seconds between two echo requests.
    """

    def __init__(self, namespace: Namespace, address: str, log: Path, *, interval: float = 0.02) -> None:
        command = namespace.prefix(["ping", "-n", "-D", "-i", str(interval), address])
        self._process = ChildProcess(command, log)

    def answers(self) -> list[float]:
        """When each echo so far came back, seconds since the epoch."""
        return [float(when) for when in re.findall(r"^\[([\d.]+)\] \d+ bytes", self._process.output(), re.M)]

    def answered(self) -> list[int]:
        """Sequence numbers of the requests that were answered so far, in the order of the answers."""
        return [
            int(number) for number in re.findall(r"^\[.*icmp_seq=(\d+) ttl", self._process.output(), re.M)
        ]

    def wait_answers(self, count: int) -> list[int]:
        """Return when a request has been answered that was sent `count` after the last answered one.

        Returns:
            The numbers of the requests in between that were not.

        Raises:
            TimeoutError: none was.
        """
        first = max(self.answered(), default=0) + 1
        wait_for(lambda: max(self.answered(), default=0) >= first + count, "answers to pings")
        return sorted(set(range(first, first + count)).difference(self.answered()))

    def wait_answer(self) -> None:
        """Return when an echo has come back that was not there before.

        Raises:
            TimeoutError: none does.
        """
        before = len(self.answers())
        wait_for(lambda: len(self.answers()) > before, "an answer to a ping")

    def silence(self, since: float = 0.0) -> tuple[float, float]:
        """Begin and end of the longest time without answers, seconds since the epoch.

        Args:
            since: answers before are left out.
        """
        answers = [when for when in self.answers() if when >= since]
        return max(itertools.pairwise(answers), key=lambda gap: gap[1] - gap[0], default=(since, since))

    def finish(self) -> PingResult:
        """Stop it."""
        self._process.signal(signal.SIGINT)
        self._process.wait(60)
        output = self._process.output()
        summary = re.search(r"(\d+) packets transmitted, (\d+) received", output)
        if summary is None:
            raise ValueError(f"ping ended without a summary: {output[-500:]}")
        begin, end = self.silence()
        return PingResult(int(summary[1]), int(summary[2]), end - begin)

    def close(self) -> None:
        self._process.close()


class Flood(Resource):
    """UDP packets to a guest, some thousand a second, so that unread ones are in its queue at any time.

    They go to a port where nobody listens; with numbers in them, so that no two are the same.
    """

    def __init__(self, namespace: Namespace, address: str) -> None:
        self._stop = threading.Event()
        self._socket = namespace.socket(kind=socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._send, args=((address, _DISCARD_PORT),))
        self._thread.start()

    def _send(self, target: tuple[str, int]) -> None:
        number = 0
        while not self._stop.wait(0.002):
            for _ in range(8):
                number += 1
                with contextlib.suppress(ConnectionRefusedError, BlockingIOError):
                    self._socket.sendto(number.to_bytes(8, "little") * 150, target)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()


class Stream(Resource):
    """A TCP connection to a guest that sends back what it gets, with data under way all the time."""

    def __init__(self, namespace: Namespace, guest: LinuxGuest, address: str) -> None:
        guest.check(f"nc -ll -p {_ECHO_PORT} -e cat </dev/null >/dev/null 2>&1 &")
        self._sent, self._received = hashlib.sha256(), hashlib.sha256()
        self._size_sent = self._size_received = 0
        self._finish = threading.Event()
        self._failure: Exception | None = None
        self._connection = self._connect(namespace, address)
        self._threads = [
            threading.Thread(target=self._run, args=(work,)) for work in (self._send, self._receive)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def received(self) -> int:
        """Bytes that have come back so far."""
        return self._size_received

    def wait_progress(self) -> None:
        """Return when data sent from now on comes back.

        Raises:
            TimeoutError, OSError: it does not.
        """
        goal = self._size_sent + 1

        def arrived() -> bool:
            if self._failure is not None:
                raise self._failure
            return self._size_received > goal

        wait_for(arrived, "TCP to move data")

    def finish(self) -> int:
        """End the stream in order; how many bytes have been there and back.

        Raises:
            OSError: the connection broke, or something else came back than was sent.
        """
        self._finish.set()
        for thread in self._threads:
            thread.join(60)
        if self._failure is not None:
            raise self._failure
        if any(thread.is_alive() for thread in self._threads):
            raise TimeoutError("TCP does not come to an end")
        if (self._size_sent, self._sent.digest()) != (self._size_received, self._received.digest()):
            raise OSError(f"{self._size_sent} bytes were sent, {self._size_received} others came back")
        return self._size_received

    def close(self) -> None:
        self._finish.set()
        with contextlib.suppress(OSError):  # it has ended already
            self._connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._connection.close()

    @staticmethod
    def _connect(namespace: Namespace, address: str) -> socket.socket:
        def attempt() -> socket.socket | None:
            made = namespace.socket()
            made.settimeout(10)
            try:
                made.connect((address, _ECHO_PORT))
            except ConnectionRefusedError:  # the guest's nc does not listen yet
                made.close()
                return None
            except OSError:
                made.close()
                raise
            made.settimeout(None)
            return made

        made = wait_for(attempt, "the guest's echo service")
        assert made is not None
        return made

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            if not self._finish.is_set():
                self._failure = error

    def _send(self) -> None:
        data = random.Random(1)
        while not self._finish.is_set():
            chunk = data.randbytes(_CHUNK)
            self._connection.sendall(chunk)
            self._sent.update(chunk)
            self._size_sent += len(chunk)
            time.sleep(_PAUSE)
        self._connection.shutdown(socket.SHUT_WR)

    def _receive(self) -> None:
        while part := self._connection.recv(1 << 16):
            self._received.update(part)
            self._size_received += len(part)
