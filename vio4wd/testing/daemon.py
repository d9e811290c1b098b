"""A vio4wd-master of one's own: its pid file, sockets, endpoints and log lie in a directory that is given.

    with Daemon(directory, static=["net_null0=1"]) as daemon:
        daemon.attach("net_af_packet0,iface=vf0", 2)
        ...

The end of the block stops it as an operator would. `stop` returns the exit status, `leftovers` names what
it left on the machine, which should be nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import psutil

from vio4wd.config.instance import instance_name
from vio4wd.control.client import ClientError, ask
from vio4wd.control.proto.virtioforwarder_pb2 import (
    PortControlRequest,
    PortControlResponse,
    StatsRequest,
    StatsResponse,
)
from vio4wd.inspection import snapshot
from vio4wd.inspection.snapshot import Snapshot
from vio4wd.limits import MAX_RELAYS
from vio4wd.shm import segment
from vio4wd.shm.clock import cycles
from vio4wd.testing import hugepages
from vio4wd.testing.process import ChildProcess
from vio4wd.testing.resource import Resource
from vio4wd.testing.wait import wait_for

#: Seconds until the daemon must serve; a busy machine with cold kernels needs the most.
START_TIMEOUT = 300.0
_ANSWER_TIMEOUT = 30.0


class DaemonError(Exception):
    """The daemon did not start, ended, or refused a request."""


class Daemon(Resource):
    """One daemon, from `start` to `stop`.

    Args:
        directory: short (unix sockets allow some 100 bytes); it is created where it does not exist.
        cpus: the workers' CPUs.
        static: static VF entries, "<device>=<relay>".
        options: further options of vio4wd-master.
    """

    def __init__(
        self,
        directory: Path,
        *,
        cpus: Sequence[int] = (1,),
        static: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        self.huge_dir = hugepages.mount_point()
        self.instance = instance_name(directory)
        self._cpus = tuple(cpus)
        self._static = tuple(static)
        self._options = tuple(options)
        self._process: ChildProcess | None = None

    def command(self) -> list[str]:
        """The command line of the daemon."""
        return [
            program("vio4wd-master"),
            *("--nodaemon", f"--cpus={','.join(map(str, self._cpus))}", f"--pid-path={self.directory}"),
            *(f"--huge-dir={self.huge_dir}", f"--vhost-path={self.directory}"),
            f"--zmq-port-control-ep={self.endpoint('port_control')}",
            f"--zmq-stats-ep={self.endpoint('stats')}",
            f"--zmq-config-ep={self.endpoint('config')}",
            f"--zmq-core-sched-ep={self.endpoint('core_sched')}",
            *(f"--add-pci-vf={entry}" for entry in self._static),
            *self._options,
        ]

    def endpoint(self, service: str) -> str:
        """ZeroMQ endpoint of "port_control", "stats", "config" or "core_sched"."""
        return f"ipc://{self.directory}/{service}"

    def socket(self, relay: int) -> Path:
        """The vhost-user socket of a relay."""
        return self.directory / f"virtio-forwarder{relay}.sock"

    def start(self) -> None:
        """Start it and return when it answers requests.

        Raises:
            DaemonError: it ended or did not answer; its log is in the message.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self._process = ChildProcess(self.command(), self.directory / "master.log")
        try:
            wait_for(lambda: not self.running() or self._answers(), "vio4wd-master to serve", START_TIMEOUT)
            if not self.running():
                raise DaemonError(f"vio4wd-master ended with status {self._process.status()}:\n{self.log()}")
        except TimeoutError as error:
            message = f"{error}\n{self.log()}"
            self.close()
            raise DaemonError(message) from None
        except BaseException:  # also Ctrl-C
            self.close()
            raise

    @property
    def pid(self) -> int:
        if self._process is None:
            raise DaemonError("vio4wd-master was not started")
        return self._process.pid

    def worker_pids(self) -> list[int]:
        """Process ids of the workers, by slot."""
        return [worker.pid for worker in self.snapshot().workers]

    def running(self) -> bool:
        return self._process is not None and self._process.running()

    def log(self) -> str:
        """What master and workers have logged so far."""
        return "" if self._process is None else self._process.output()

    def attach(self, device: str, relay: int) -> None:
        """Attach a VF (a DPDK device string) to a relay.

        Raises:
            DaemonError: it refused.
        """
        self._change(PortControlRequest(op=PortControlRequest.ADD, virtio_id=relay, devices=[device]))

    def attach_bond(self, name: str, members: Sequence[str], relay: int, mode: int) -> None:
        """Attach several VFs (DPDK device strings) as one.

        Raises:
            DaemonError: it refused.
        """
        self._change(
            PortControlRequest(
                op=PortControlRequest.ADD, virtio_id=relay, name=name, mode=mode, devices=members
            )
        )

    def detach_bond(self, name: str, relay: int) -> None:
        """Detach a bond from a relay.

        Raises:
            DaemonError: it refused.
        """
        self._change(PortControlRequest(op=PortControlRequest.REMOVE, virtio_id=relay, name=name))

    def detach(self, device: str, relay: int) -> None:
        """Detach a VF from a relay.

        Raises:
            DaemonError: it refused.
        """
        self._change(PortControlRequest(op=PortControlRequest.REMOVE, virtio_id=relay, devices=[device]))

    def snapshot(self) -> Snapshot:
        """The shared tables now.

        Raises:
            SegmentError: there are none.
        """
        tables = segment.attach(self.instance, readonly=True)
        try:
            return snapshot.take(tables.tables, cycles())
        finally:
            tables.close()

    def wait_guest(self, relay: int, timeout: float = 60.0) -> None:
        """Return when a guest's driver uses the relay.

        Raises:
            TimeoutError: none does within `timeout` seconds.
        """
        wait_for(lambda: self.snapshot().relays[relay].vm_ready, f"a guest on relay {relay}", timeout)

    def wait_no_guest(self, relay: int, timeout: float = 60.0) -> None:
        """Return when no guest's driver uses the relay any more.

        Raises:
            TimeoutError: one still does after `timeout` seconds.
        """
        wait_for(lambda: not self.snapshot().relays[relay].vm_ready, f"relay {relay}'s guest to go", timeout)

    def stop(self, timeout: float = 30.0) -> int:
        """Stop it with SIGTERM; its exit status.

        Raises:
            DaemonError: it did not end within `timeout` seconds; it is killed then.
        """
        if self._process is None:
            raise DaemonError("vio4wd-master was not started")
        self._process.signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            log = self.log()
            self.kill()
            raise DaemonError(
                f"vio4wd-master did not end within {timeout:.0f} s of SIGTERM:\n{log}"
            ) from None

    def kill(self) -> None:
        """End the master with SIGKILL, as a crash would. Its workers notice by themselves."""
        if self._process is not None:
            self._process.kill()

    def leftovers(self) -> list[str]:
        """What a stopped daemon left: processes, sockets, its pid file, shared memory, DPDK's files."""
        own = [path for path in self.directory.glob("*") if path.name in self._own_names()]
        found = [*own, *Path("/dev/shm").glob(f"{self.instance}*"), *self._dpdk_files()]
        return [f"process {pid}" for pid in self._processes()] + sorted(map(str, found))

    def close(self) -> None:
        """Stop it if it runs, and remove what a killed one leaves behind."""
        if self.running():
            with contextlib.suppress(DaemonError):
                self.stop()
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        segment.remove_stale(self.instance)
        for path in self._dpdk_files():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def _answers(self) -> bool:
        # Endpoints are opened last. An answer tells, a file alone does not.
        with contextlib.suppress(ClientError):
            ask(self.endpoint("stats"), StatsRequest(relay=[0]), StatsResponse, _ANSWER_TIMEOUT)
            return True
        return False

    def _change(self, request: PortControlRequest) -> None:
        request.conditional = False
        try:
            response = ask(self.endpoint("port_control"), request, PortControlResponse, _ANSWER_TIMEOUT)
        except ClientError as error:
            raise DaemonError(f"{error}\n{self.log()}") from None
        if response.status != PortControlResponse.OK:
            raise DaemonError(response.error_code_source)

    def _processes(self) -> list[int]:
        """Living processes of this daemon: the master and its workers, by their arguments."""
        marks = {f"--pid-path={self.directory}", f"--instance={self.instance}"}
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            if process.info["status"] != psutil.STATUS_ZOMBIE and marks.intersection(
                process.info["cmdline"] or ()
            ):
                found.append(process.pid)
        return found

    def _own_names(self) -> set[str]:
        sockets = {self.socket(relay).name for relay in range(MAX_RELAYS)}
        return sockets | {"virtio-forwarder.pid", "port_control", "stats", "config", "core_sched"}

    def _dpdk_files(self) -> list[Path]:
        runtime = Path("/var/run/dpdk", self.instance)
        return [*self.huge_dir.glob(f"{self.instance}map_*"), *([runtime] if runtime.exists() else [])]


@contextlib.contextmanager
def orderly(daemon: Daemon) -> Iterator[Daemon]:
    """A daemon that is started and, where the block ends well, has to stop in order and leave nothing.

    Raises:
        DaemonError: it does not; its log is in the message.
    """
    with daemon:
        yield daemon
        status = daemon.stop()
        log = daemon.log()
        if status:
            raise DaemonError(f"vio4wd-master ended with status {status}:\n{log}")
        if left := daemon.leftovers():
            raise DaemonError(f"vio4wd-master left {', '.join(left)}:\n{log}")
        if "Traceback" in log:
            raise DaemonError(f"vio4wd-master has logged a traceback:\n{log}")


def program(name: str) -> str:
    """Path of an installed command: beside the interpreter that runs this."""
    return str(Path(sys.executable).parent / name)
