"""Commands to the shell inside a Linux guest; the guest's side is scripts/guest-init.

One line with the command in base64 goes out, a line "status length" and `length` bytes come back.
"""

from __future__ import annotations

import base64
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

#: Longest request line; the guest's terminal cuts lines at 4095 bytes.
_MAX_REQUEST = 4000


class CommandResult(NamedTuple):
    """The exit status of a command and all it printed."""

    status: int
    output: str


class GuestAgent:
    """The connection to one guest's agent.

    Args:
        path: unix socket of the guest's second serial port.
        alive: tells whether the guest still runs; waiting ends when it does not.
    """

    def __init__(self, path: Path, alive: Callable[[], bool]) -> None:
        self._alive = alive
        self._buffer = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._socket.settimeout(0.5)

    def wait_ready(self, timeout: float) -> None:
        """Return when the guest has booted (again).

        Raises:
            TimeoutError: it has not within `timeout` seconds.
            ConnectionError: it ended.
        """
        deadline = time.monotonic() + timeout
        # After a reset, the answer to a command that the old life began may stand before it.
        while self._line(deadline) != "ready":
            pass

    def run(self, command: str, timeout: float) -> CommandResult:
        """Run a shell command in the guest.

        Raises:
            TimeoutError: no complete answer within `timeout` seconds; the agent cannot be used afterwards.
            ConnectionError: the guest ended.
            ValueError: the command is too long.
        """
        request = base64.b64encode(command.encode()) + b"\n"
        if len(request) > _MAX_REQUEST:
            raise ValueError(f"command of {len(command)} bytes, more than fits a line")
        deadline = time.monotonic() + timeout
        self._socket.sendall(request)
        header = self._line(deadline)
        match = re.fullmatch(r"(\d+) (\d+)", header)
        if not match:
            raise ConnectionError(f"the guest answered {header!r} to {command!r}")
        length = int(match[2])
        while len(self._buffer) < length:
            self._receive(deadline)
        output, self._buffer = self._buffer[:length], self._buffer[length:]
        return CommandResult(int(match[1]), output.decode(errors="replace"))

    def close(self) -> None:
        self._socket.close()

    def _line(self, deadline: float) -> str:
        while b"\n" not in self._buffer:
            self._receive(deadline)
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.decode(errors="replace")

    def _receive(self, deadline: float) -> None:
        while True:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                if not self._alive():
                    raise ConnectionError("the guest ended") from None
                if time.monotonic() > deadline:
                    raise TimeoutError("the guest did not answer in time") from None
                continue
            if not data:
                raise ConnectionError("the guest ended")
            self._buffer += data
            return
