"""Shows the main job on this machine: a VM that reaches its network through a relay.

A veth pair stands in for the VF: the relay drives one end, the other lies in a network namespace, the world
outside. A Linux VM has the relay's vhost-user socket as its network interface. They ping each other and
exchange a file; then all of it is taken down, and looked for.

Run by `make demo`. The exit status is 0 only if all of it worked and nothing was left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil
from pyroute2 import netns
from rich.console import Console

from vio4wd.testing import qemu, tcp
from vio4wd.testing.daemon import Daemon, DaemonError, program
from vio4wd.testing.linux_guest import LinuxGuest
from vio4wd.testing.netns import Wire
from vio4wd.testing.virtio_nic import VirtioNic

RELAY = 1
WIRE_ADDRESS = "10.1.0.1"
GUEST_ADDRESS = "10.1.0.2"
FILE_SIZE = 20_000_000

console = Console(highlight=False, soft_wrap=True)


class DemoError(Exception):
    """Something did not work; the text says what."""


@contextlib.contextmanager
def step(what: str) -> Iterator[Callable[[str], None]]:
    """One visible step: a spinner while it runs, then a line with its outcome and how long it took.

    Yields:
        A function that takes what came out, for the end of the line.
    """
    outcome: list[str] = []
    started = time.monotonic()
    if not console.is_terminal:
        console.print(f"  ... {what}")
    try:
        with console.status(f"{what} ..."):
            yield outcome.append
    except BaseException:
        console.print(f"  [red]failed[/red] {what}")
        raise
    result = f": {', '.join(outcome)}" if outcome else ""
    console.print(f"  [green]done[/green] {what}{result} [dim]({time.monotonic() - started:.1f} s)[/dim]")


def command(name: str, *arguments: str) -> str:
    """Output of an installed command of the project.

    Raises:
        DemoError: it failed.
    """
    result = subprocess.run([program(name), *arguments], capture_output=True, text=True, timeout=60)
    if result.returncode:
        raise DemoError(f"{name} ended with status {result.returncode}: {result.stderr.strip()}")
    return result.stdout


def show(title: str, text: str) -> None:
    """Print what a command said."""
    console.print(f"\n[bold]{title}[/bold]")
    console.out(text.rstrip(), highlight=False)
    console.print()


def ping(run: Callable[[str], str], address: str, how_many: int = 50) -> str:
    """Ping with the `run` of one side.

    Returns:
        The line with the round-trip times.

    Raises:
        DemoError: an echo was lost.
    """
    output = run(f"ping -c {how_many} -i 0.01 {address}")
    lines = output.strip().splitlines()
    if not any(f"{how_many} packets transmitted, {how_many} " in line for line in lines):
        raise DemoError(f"echoes were lost: {lines[-2]}")
    return f"{how_many} of {how_many} answered, {lines[-1]}"


def transfer(what: str, move: Callable[[], tcp.Transfer]) -> None:
    """Show a transfer.

    Raises:
        DemoError: not what was sent has arrived.
    """
    with step(f"TCP: a file of {FILE_SIZE // 1_000_000} MB {what}") as tell:
        done = move()
        if not done.intact:
            raise DemoError(f"{done.size} bytes arrived, and their digest is not that of the file")
        tell(f"digests match, {done.megabits:.0f} Mbit/s")


def demonstrate(directory: Path, stack: contextlib.ExitStack, owned: list[Daemon | Wire]) -> None:
    """Build it up and show it; what must be closed goes to `stack`, what must leave nothing to `owned`."""
    with step("a network namespace, joined by a veth pair"):
        wire = stack.enter_context(Wire(f"{WIRE_ADDRESS}/24"))
        owned.append(wire)
    daemon = Daemon(directory, cpus=[max(os.sched_getaffinity(0))], options=["--enable-mrgbuf"])
    with step("vio4wd-master with one worker") as tell:
        owned.append(daemon)
        stack.callback(daemon.close)
        daemon.start()
        tell(f"master is process {daemon.pid}, worker {daemon.worker_pids()[0]}")
    device = f"net_af_packet0,iface={wire.interface}"
    port_control = (
        f"--zmq_ep={daemon.endpoint('port_control')}",
        f"--virtio-id={RELAY}",
        f"--pci-addr={device}",
    )
    with step(f"{device} becomes the VF of relay {RELAY}"):
        command("virtioforwarder_port_control.py", "add", *port_control)
    with step(f"a Linux VM on {daemon.socket(RELAY)}") as tell:
        tell(
            {"kvm": "under KVM", "tcg": "in software emulation, as KVM runs no guests here"}[
                qemu.accelerator()
            ]
        )
        guest = LinuxGuest([VirtioNic(daemon.socket(RELAY))], directory / "guest")
        stack.enter_context(guest)
        guest.configure("eth0", f"{GUEST_ADDRESS}/24")
    with step("ping from the VM") as tell:
        tell(ping(guest.check, WIRE_ADDRESS))
    with step("ping to the VM") as tell:
        tell(ping(lambda line: wire.run(*line.split()), GUEST_ADDRESS))
    data = tcp.random_data(FILE_SIZE)
    transfer("into the VM", lambda: tcp.to_guest(wire, guest, data))
    transfer("out of the VM", lambda: tcp.from_guest(wire, guest, data))
    stats = command(
        "virtioforwarder_stats.py", f"--stats-ep={daemon.endpoint('stats')}", "--suppress-zero", "--delay=200"
    )
    show("virtioforwarder_stats.py --suppress-zero", stats)
    show("vio4wd-inspect", command("vio4wd-inspect", f"--instance={daemon.instance}"))
    with step("the VM is switched off"):
        guest.close()
        daemon.wait_no_guest(RELAY)
    with step("the VF is detached"):
        command("virtioforwarder_port_control.py", "remove", *port_control)
    with step("the master stops on SIGTERM"):
        status = daemon.stop()
        if status:
            raise DemoError(f"vio4wd-master ended with status {status}")


def remains(owned: list[Daemon | Wire]) -> list[str]:
    """What is still on the machine of the daemon, the wire and the processes started here."""
    found = [f"process {child.pid} ({child.name()})" for child in psutil.Process().children(recursive=True)]
    for owner in owned:
        if isinstance(owner, Daemon):
            found += owner.leftovers()
        else:
            found += [f"namespace {name}" for name in netns.listnetns() if name == owner.namespace]
            interface = Path("/sys/class/net", owner.interface)
            found += [f"interface {interface.name}"] if interface.exists() else []
    return found


def main() -> int:
    """Run the demonstration; its exit status."""
    console.print("[bold]A VM talks through a VF and a relay[/bold]\n")
    directory = Path(tempfile.mkdtemp(prefix="vio4wd-demo-"))
    owned: list[Daemon | Wire] = []
    problem: Exception | None = None
    try:
        with contextlib.ExitStack() as stack:
            demonstrate(directory, stack, owned)
    except (DemoError, DaemonError, qemu.GuestError, OSError, subprocess.SubprocessError) as error:
        problem = error
    finally:
        found = remains(owned)
        shutil.rmtree(directory, ignore_errors=True)
    if found:
        console.print(f"  [red]left behind[/red] {', '.join(found)}")
    else:
        console.print(
            "  [green]done[/green] all is taken down: no process, socket, hugepage file, shared memory, "
            "namespace or interface is left"
        )
    if problem is not None:
        console.print("\n[red]The demonstration failed:[/red]")
        console.out(str(problem), highlight=False)
        return 1
    console.print(f"\n{'[red]Not clean[/red]' if found else '[bold green]All of it worked.[/bold green]'}")
    return 1 if found else 0


def _end_on_sigterm() -> None:
    """Let SIGTERM end the demonstration like Ctrl-C, so that all is taken down."""
    own = os.getpid()

    def terminated(number: int, frame: FrameType | None) -> NoReturn:
        if (
            os.getpid() != own
        ):  # a process that pyroute2 forked for work in a namespace: nothing is its to undo
            os._exit(128 + number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminated)


if __name__ == "__main__":
    _end_on_sigterm()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        console.print("\ninterrupted")
        sys.exit(130)
