"""QEMU's machine protocol (QMP): one command at a time."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any


class QmpError(Exception):
    """QEMU refused a command."""


class Qmp:
    """A connection to QEMU's monitor socket; events are skipped."""

    def __init__(self, path: Path, timeout: float = 60.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(path))
            self._lines = self._socket.makefile("rb")
            self._lines.readline()  # greeting
            self.command("qmp_capabilities")
        except OSError:
            self._socket.close()
            raise

    def command(self, name: str, **arguments: object) -> dict[str, Any]:
        """The result of a command that answers with an object; names of arguments are written with _ for -.

        Raises:
            QmpError: QEMU's error.
            ConnectionError: QEMU ended.
        """
        request = {"execute": name, "arguments": {key.replace("_", "-"): arguments[key] for key in arguments}}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        while line := self._lines.readline():
            answer = json.loads(line)
            if "return" in answer:
                result: dict[str, Any] = answer["return"]
                return result
            if "error" in answer:
                raise QmpError(f"{name}: {answer['error']['desc']}")
        raise ConnectionError(f"QEMU ended during {name}")

    def close(self) -> None:
        self._lines.close()
        self._socket.close()
