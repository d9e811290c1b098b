"""Those who move packets between a VF and a guest, each with its worker on one core and nothing else there.

with backend.serve(setup, directory) as served:
    ... a guest on served.socket ...
"""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from bench.child import MeasureError
from bench.figures import OURS
from bench.setup import Setup
from vio4wd.dpdk import device
from vio4wd.limits import MAX_RELAYS
from vio4wd.testing.daemon import Daemon
from vio4wd.testing.process import ChildProcess
from vio4wd.testing.testpmd import Testpmd
from vio4wd.testing.wait import wait_for

RELAY: Final = 1
#: Ports that a testpmd of DPDK's packages can have.
_PACKAGED_PORTS: Final = 32


@dataclasses.dataclass(frozen=True, slots=True)
class Counts:
    """What a backend tells of its work since its start.

    Attributes:
        received, dropped: packets that came from the VF, and those of them that found no buffer in the guest.
        packets, cycles: all packets that it took from either side, and its core's cycles (TSC) in the bursts
            that had any.
    """

    received: int
    dropped: int
    packets: int
    cycles: int


class Served(Protocol):
    """A backend that runs."""

    @property
    def socket(self) -> Path:
        """Where the guest connects."""

    @property
    def idle_sockets(self) -> list[Path]:
        """Where guests that do nothing connect, one a relay."""

    def counts(self) -> Counts | None:
        """Its counters; None: it tells none."""


class Backend(Protocol):
    """One who moves packets."""

    @property
    def name(self) -> str:
        """As it stands in the result."""

    def can(self, setup: Setup) -> bool:
        """Whether it can be set up so."""

    def serve(self, setup: Setup, directory: Path) -> contextlib.AbstractContextManager[Served]:
        """Run for the time of a `with` block; files go to the directory."""


@dataclasses.dataclass(frozen=True)
class Vio4wd:
    """This project: a master beside the guest, one worker on the other CPU, which polls without pause."""

    cpu: int
    master_cpu: int
    name: str = OURS

    def can(self, setup: Setup) -> bool:
        return 1 + setup.idle <= min(device.max_ports(), MAX_RELAYS)

    @contextlib.contextmanager
    def serve(self, setup: Setup, directory: Path) -> Iterator[Served]:
        options = ["--idle=poll", f"--master-lcore={self.master_cpu}"]
        if setup.mergeable:
            options.append("--enable-mrgbuf")
        if setup.jumbo:
            options.append("--enable-jumbo")
        idle = [relay for relay in range(MAX_RELAYS) if relay != RELAY][: setup.idle]
        static = [f"{setup.vf()}={RELAY}", *(f"net_null{relay},no-rx=1={relay}" for relay in idle)]
        with Daemon(directory, cpus=(self.cpu,), static=static, options=options) as daemon:
            yield _ServedRelay(daemon, [daemon.socket(relay) for relay in idle])


@dataclasses.dataclass(frozen=True)
class _ServedRelay:
    daemon: Daemon
    idle_sockets: list[Path]

    @property
    def socket(self) -> Path:
        return self.daemon.socket(RELAY)

    def counts(self) -> Counts:
        shown = self.daemon.snapshot()
        (worker,) = shown.workers
        counters = shown.relays[RELAY].vf_to_vm
        return Counts(counters.packets_in, counters.dropped, worker.packets, worker.busy_cycles)


@dataclasses.dataclass(frozen=True)
class TestpmdVhost:
    """DPDK's own: dpdk-testpmd with net_vhost, in io mode."""

    cpu: int
    prompt_cpu: int
    name: str = "testpmd"

    __test__ = False  # no test case, whatever pytest makes of the name

    def can(self, setup: Setup) -> bool:
        return 2 * (1 + setup.idle) <= _PACKAGED_PORTS

    @contextlib.contextmanager
    def serve(self, setup: Setup, directory: Path) -> Iterator[Served]:
        directory.mkdir(parents=True, exist_ok=True)
        sockets = [directory / f"vhost{number}.sock" for number in range(1 + setup.idle)]
        devices = []
        for number, socket in enumerate(sockets):
            devices.append(f"net_vhost{number},iface={socket},queues={setup.queues}")
            devices.append(setup.vf() if number == 0 else f"net_null{number},no-rx=1")
        arguments = ["--record-core-cycles"]
        if setup.jumbo:
            arguments += ["--mbuf-size=10240", "--max-pkt-len=9216"]
        with Testpmd(
            devices,
            directory,
            cpus=(self.prompt_cpu, self.cpu),
            queues=setup.queues,
            arguments=arguments,
        ) as program:
            program.start()
            yield _ServedPort(program, sockets[0], sockets[1:])


@dataclasses.dataclass(frozen=True)
class _ServedPort:
    program: Testpmd
    socket: Path
    idle_sockets: list[Path]

    def counts(self) -> Counts:
        ports, packets, cycles = self.program.forwarded_by_core()
        vhost = ports[0]
        return Counts(vhost.tx_packets + vhost.tx_dropped, vhost.tx_dropped, packets, cycles)


@dataclasses.dataclass(frozen=True)
class Command:
    """Any other program that serves a guest on a vhost-user socket.

    Attributes:
        command: its words; {socket}, {vf} (a DPDK device string), {cpu} (its core), {queues} and
            {directory} are filled in.
    """

    name: str
    command: str
    cpu: int

    def can(self, setup: Setup) -> bool:
        return setup.idle == 0

    @contextlib.contextmanager
    def serve(self, setup: Setup, directory: Path) -> Iterator[Served]:
        directory.mkdir(parents=True, exist_ok=True)
        socket = directory / "guest.sock"
        values = {
            "socket": socket,
            "vf": setup.vf(),
            "cpu": self.cpu,
            "queues": setup.queues,
            "directory": directory,
        }
        words = [word.format(**values) for word in shlex.split(self.command)]
        with ChildProcess(words, directory / "output.log") as process:
            wait_for(lambda: socket.exists() or not process.running(), f"{self.name} to make {socket}")
            if not process.running():
                said = process.tail().strip() or "it said nothing"
                raise MeasureError(f"it ended with status {process.status()}: {said}")
            yield _ServedCommand(socket)


@dataclasses.dataclass(frozen=True)
class _ServedCommand:
    socket: Path

    @property
    def idle_sockets(self) -> list[Path]:
        return []

    def counts(self) -> None:
        return None


def parse_command(text: str, cpu: int) -> Command:
    """A Command from "NAME=WORDS".

    Raises:
        ValueError: it is none; the message says what is wrong.
    """
    name, separator, command = text.partition("=")
    if not separator or not name.isidentifier() or name in {OURS, TestpmdVhost.name}:
        raise ValueError(f"{text!r} is not NAME=COMMAND with a name of its own")
    if "{socket}" not in command:
        raise ValueError(f"the command of {name} has no {{socket}}: where would the guest connect?")
    try:
        words = shlex.split(command)
        for word in words:
            word.format(socket="", vf="", cpu=0, queues=1, directory="")
    except (ValueError, KeyError, IndexError) as error:
        raise ValueError(f"the command of {name} cannot be filled in: {error}") from None
    return Command(name, command, cpu)
