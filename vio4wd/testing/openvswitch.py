"""An OVSDB server with Open vSwitch's schema, and ovs-vsctl to change it: no switch runs behind it."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
from pathlib import Path
from typing import Final

from vio4wd.testing.process import ChildProcess
from vio4wd.testing.resource import Resource
from vio4wd.testing.wait import wait_for

_ROOT: Final = Path(__file__).resolve().parents[2]
_TREE: Final = _ROOT / ".build/openvswitch"
_SCHEMA: Final = _TREE / "usr/share/openvswitch/vswitch.ovsschema"
_TIMEOUT: Final = 60.0


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A key and a certificate that it signs itself, good for both sides of an ssl: connection."""
    key, certificate = directory / "key.pem", directory / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=ovsdb"]
    subprocess.run(
        [*command, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
        timeout=_TIMEOUT,
    )
    return key, certificate


class OvsdbServer(Resource):
    """A server and its database in a directory of its own, until `close`.

    Attributes:
        socket: its unix socket, for "unix:PATH".
    """

    def __init__(self, directory: Path, *arguments: str) -> None:
        """Starts it.

        Args:
            directory: exists; a short path, for sockets' are limited.
            arguments: more options of ovsdb-server, e.g. another --remote.
        """
        subprocess.run([str(_ROOT / "scripts/setup-openvswitch")], check=True, timeout=600)
        self.socket = directory / "db.sock"
        self._directory = directory
        self._arguments = arguments
        self._database = directory / "conf.db"
        self._process: ChildProcess | None = None
        self._run("ovsdb-tool", "create", str(self._database), str(_SCHEMA))
        self.start()
        self.vsctl("init")

    def start(self) -> None:
        """Serve the database as it is."""
        self._process = ChildProcess(
            [
                "ovsdb-server",
                str(self._database),
                f"--remote=punix:{self.socket}",
                f"--unixctl={self._directory}/ctl",
                *self._arguments,
            ],
            self._directory / "ovsdb-server.log",
        )
        process = self._process
        wait_for(lambda: self.socket.is_socket() or not process.running(), "ovsdb-server's socket")
        if not process.running():
            raise RuntimeError(f"ovsdb-server did not start: {process.tail()}")

    def stop(self) -> None:
        """Serve it no more, as a crash would; the database stays."""
        if self._process is not None:
            self._process.close()
            self._process = None
        self.socket.unlink(missing_ok=True)

    def close(self) -> None:
        self.stop()

    def vsctl(self, command: str) -> str:
        """What ovs-vsctl prints; it does not wait for a switch to follow."""
        tool = str(_TREE / "usr/bin/ovs-vsctl")
        return self._run(tool, f"--db=unix:{self.socket}", "--no-wait", *shlex.split(command))

    def shell(self, line: str) -> str:
        """What a shell's command line prints; its commands of Open vSwitch find this server."""
        return self._run("sh", "-c", f"PATH={_TREE}/usr/bin:$PATH; {line}")

    def _run(self, *command: str) -> str:
        result = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            env={**os.environ, "OVS_RUNDIR": str(self._directory)},
        )
        if result.returncode:
            raise RuntimeError(f"{shlex.join(command)} failed: {result.stderr.strip()}")
        return result.stdout
