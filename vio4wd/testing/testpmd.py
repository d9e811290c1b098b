"""DPDK's dpdk-testpmd: as a fast guest (net_virtio_user on a vhost-user socket), or as a reference backend.

    with Testpmd([virtio_user(socket)], directory, mode="txonly") as guest:
        guest.start()
        ...
        guest.stop()
        sent = guest.stats()[0].tx_packets

It is told what to do at its prompt. The prompt comes through a pseudo terminal, because testpmd holds back
output to a pipe.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
import select
import shutil
import time
import tty
from collections.abc import Sequence
from pathlib import Path
from typing import Self, TypeVar

from vio4wd.testing import hugepages
from vio4wd.testing.process import ChildProcess
from vio4wd.testing.resource import Resource
from vio4wd.testing.wait import wait_for

_PROMPT = b"testpmd> "
_numbers = itertools.count()


class TestpmdError(Exception):
    """testpmd did not start, ended, or did not answer."""

    __test__ = False  # no test case, whatever pytest makes of the name


@dataclasses.dataclass(frozen=True)
class PortStats:
    """Counters of one port since its start or the last `clear`; nombuf: packets lost to an empty pool."""

    rx_packets: int
    rx_missed: int
    rx_bytes: int
    rx_errors: int
    rx_nombuf: int
    tx_packets: int
    tx_errors: int
    tx_bytes: int


@dataclasses.dataclass(frozen=True)
class ForwardStats:
    """Counters of a port's forwarding since `start`, as testpmd prints them at `stop`.

    Attributes:
        tx_dropped: packets that the port's queue did not take.
    """

    rx_packets: int
    rx_dropped: int
    tx_packets: int
    tx_dropped: int


def virtio_user(
    socket: Path,
    *,
    queues: int = 1,
    queue_size: int = 256,
    mergeable: bool = True,
    in_order: bool = False,
    packed: bool = False,
    vectorized: bool = False,
    server: bool = False,
    mac: str = "52:54:00:00:00:01",
    number: int = 0,
) -> str:
    """The DPDK device string of a virtio-net driver on a vhost-user socket.

    Args:
        server: the guest listens on the socket and the backend connects.
        number: tells several devices of one testpmd apart.
    """
    flags = {
        "mrg_rxbuf": mergeable,
        "in_order": in_order,
        "packed_vq": packed,
        "vectorized": vectorized,
        "server": server,
    }
    options = ",".join(f"{name}={int(on)}" for name, on in flags.items())
    device = f"net_virtio_user{number},path={socket},queues={queues},queue_size={queue_size},mac={mac}"
    return f"{device},{options}"


Counters = TypeVar("Counters", PortStats, ForwardStats)


class Testpmd(Resource):
    """One dpdk-testpmd, from `__enter__` (or `open`) to `close`.

    Args:
        devices: DPDK device strings; they become ports 0, 1, ...
        directory: for its log (testpmd.log).
        cpus: the CPU of the prompt's thread and that of the forwarding thread.
        mode: forwarding mode: "txonly", "rxonly", "io", "macswap", "flowgen", ...
        packet_size: bytes of the packets that txonly sends.
        queues: queue pairs of each port to use.
        mbufs: packet buffers; each takes some 2.3 KiB of hugepages.
        memory_mb: MiB of hugepages to begin with; it takes more as it needs.
        node: NUMA node that those are on, None: DPDK's choice.
        huge_dir: the hugetlbfs to take them from, None: the first one.
        arguments: further arguments of testpmd.
        environment: further arguments of DPDK's environment, such as "--force-max-simd-bitwidth=512".
    """

    __test__ = False

    def __init__(
        self,
        devices: Sequence[str],
        directory: Path,
        *,
        cpus: tuple[int, int] = (0, 0),
        mode: str = "io",
        packet_size: int = 64,
        queues: int = 1,
        descriptors: int = 256,
        mbufs: int = 16384,
        memory_mb: int = 64,
        node: int | None = None,
        huge_dir: Path | None = None,
        arguments: Sequence[str] = (),
        environment: Sequence[str] = (),
    ) -> None:
        # Several may run at once, also in other processes: DPDK names its files by this prefix.
        self._prefix = f"testpmd-{os.getpid()}-{next(_numbers)}"
        self._huge_dir = huge_dir or hugepages.mount_point()
        self._directory = directory
        self._command = [
            *("dpdk-testpmd", "--lcores", f"0@{cpus[0]},1@{cpus[1]}", "--main-lcore=0"),
            f"-m{memory_mb}" if node is None else f"--socket-mem={'0,' * node}{memory_mb}",
            *("--single-file-segments", "--no-pci", "--no-telemetry"),
            *(f"--file-prefix={self._prefix}", f"--huge-dir={self._huge_dir}"),
            *(argument for device in devices for argument in ("--vdev", device)),
            *environment,
            *("--", "-i", "--nb-cores=1", "--no-mlockall", f"--forward-mode={mode}"),
            *(f"--txpkts={packet_size}", f"--rxq={queues}", f"--txq={queues}"),
            *(f"--rxd={descriptors}", f"--txd={descriptors}", f"--total-num-mbufs={mbufs}"),
            *arguments,
        ]
        self._process: ChildProcess | None = None
        self._terminal = -1
        self._buffer = b""

    def open(self, timeout: float = 60.0) -> None:
        """Start the program and return when its ports are up.

        Raises:
            TestpmdError: it did not come up.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        self._terminal, far_end = os.openpty()
        try:
            tty.setraw(far_end)
            self._process = ChildProcess(
                self._command, self._directory / "testpmd.log", stdout=far_end, stdin=True
            )
        finally:
            os.close(far_end)
        try:
            self._answer(timeout)
        except BaseException:  # also Ctrl-C
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._running_process().pid

    def running(self) -> bool:
        return self._process is not None and self._process.running()

    def command(self, text: str, timeout: float = 30.0) -> str:
        """What testpmd prints in answer to a line at its prompt.

        Raises:
            TestpmdError: it ended or did not answer in time.
        """
        stdin = self._running_process().stdin
        try:
            stdin.write(text.encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            raise TestpmdError(f"testpmd ended before {text!r}") from None
        return self._answer(timeout)

    def start(self) -> None:
        """Start forwarding."""
        answer = self.command("start")
        if "packet forwarding" not in answer:
            reason = self._running_process().tail()
            raise TestpmdError(f"testpmd does not start forwarding: {answer}\n{reason}")

    def stop(self) -> list[ForwardStats]:
        """Stop forwarding; what each port forwarded since `start`."""
        return _forwarded(self.command("stop"))

    def forwarded(self) -> list[ForwardStats]:
        """What each port has forwarded since `start`."""
        return _forwarded(self.command("show fwd stats all"))

    def forwarded_by_core(self) -> tuple[list[ForwardStats], int, int]:
        """The same, with all packets received, and the cycles (TSC) in the bursts that had any; the argument
        --record-core-cycles makes it count them."""
        answer = self.command("show fwd stats all")
        found = re.search(r" cycles=(\d+) / total \S+ packets=(\d+)", answer)
        cycles, packets = (int(found[1]), int(found[2])) if found else (0, 0)
        return _forwarded(answer), packets, cycles

    def set_mode(self, mode: str) -> None:
        """Choose the forwarding mode of the next `start`."""
        self.command(f"set fwd {mode}")

    def stats(self) -> list[PortStats]:
        """The counters of each port."""
        answer = self.command("show port stats all")
        blocks = re.findall(r"NIC statistics for port \d+(.*?)Throughput", answer, re.DOTALL)
        if not blocks:
            raise TestpmdError(f"testpmd shows no statistics: {answer}")
        return [_counters(PortStats, block) for block in blocks]

    def clear(self) -> None:
        """Set the counters of all ports to 0."""
        self.command("clear port stats all")

    def quit(self) -> None:
        """Leave as a well-behaved guest does: stop, close the ports, end.

        Raises:
            TestpmdError: it did not end.
        """
        process = self._running_process()
        process.stdin.write(b"quit\n")
        process.stdin.flush()
        wait_for(self._ended, "testpmd to end after quit")
        self.close()

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        self._running_process().kill()
        self.close()

    def close(self) -> None:
        if self._process is not None:
            # Without mercy: it has nothing to save, and "quit" is there for a guest that leaves in order.
            self._process.close(patience=0.0)
            self._process = None
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1
        self._buffer = b""
        # What DPDK leaves behind when it is killed.
        for path in self._huge_dir.glob(f"{self._prefix}map_*"):
            path.unlink(missing_ok=True)
        shutil.rmtree(Path("/var/run/dpdk", self._prefix), ignore_errors=True)

    def __enter__(self) -> Self:
        self.open()
        return self

    def _running_process(self) -> ChildProcess:
        if self._process is None:
            raise TestpmdError("testpmd does not run")
        return self._process

    def _ended(self) -> bool:
        # Somebody must read the terminal, or testpmd blocks when it is full.
        self._read(0.0)
        return not self.running()

    def _read(self, seconds: float) -> None:
        readable, _, _ = select.select([self._terminal], [], [], seconds)
        if readable:
            try:
                self._buffer += os.read(self._terminal, 65536)
            except OSError:  # the far end is closed: testpmd is about to be gone
                time.sleep(0.01)

    def _answer(self, timeout: float) -> str:
        deadline = time.monotonic() + timeout
        while _PROMPT not in self._buffer:
            self._read(0.2)
            if _PROMPT in self._buffer:
                break
            if not self.running() or time.monotonic() > deadline:
                reason = "does not answer" if self.running() else "ended"
                printed = self._buffer.decode(errors="replace")
                raise TestpmdError(f"testpmd {reason}:\n{self._running_process().tail()}\n{printed[-2000:]}")
        answer, self._buffer = self._buffer.split(_PROMPT, 1)
        return answer.decode(errors="replace")


def _forwarded(answer: str) -> list[ForwardStats]:
    blocks = re.findall(r"Forward statistics for port \d+(.*?)-{40}", answer, re.DOTALL)
    if not blocks:
        raise TestpmdError(f"testpmd forwards nothing: {answer}")
    return [_counters(ForwardStats, block) for block in blocks]


def _counters(kind: type[Counters], block: str) -> Counters:
    """The dataclass `kind` from lines with "RX-packets: 12", its field rx_packets."""
    found = {
        name.lower().replace("-", "_"): int(value)
        for name, value in re.findall(r"([RT]X-\w+):\s*(\d+)", block)
    }
    try:
        return kind(**{field.name: found[field.name] for field in dataclasses.fields(kind)})
    except KeyError as error:
        raise TestpmdError(f"no {error} in testpmd's statistics: {block}") from None
