"""A real Linux VM under QEMU whose network interfaces are vhost-user sockets.

    with LinuxGuest([VirtioNic(socket)], directory) as guest:
        guest.configure("eth0", "10.1.0.2/24")
        status, output = guest.run("ping -c 1 10.1.0.1")

The guest is Debian's cloud kernel with busybox and ethtool in memory: no disk, nothing to clean up.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from vio4wd.testing import qemu
from vio4wd.testing.guest_agent import CommandResult, GuestAgent
from vio4wd.testing.namespace import Namespace
from vio4wd.testing.process import ChildProcess
from vio4wd.testing.qemu import GuestError
from vio4wd.testing.qmp import Qmp
from vio4wd.testing.resource import Resource
from vio4wd.testing.virtio_nic import VirtioNic
from vio4wd.testing.wait import wait_for

#: Seconds a guest may take to boot. Under emulation on a busy machine it needs some ten.
BOOT_TIMEOUT = 120.0


class LinuxGuest(Resource):
    """One guest, from `start` to `close`.

    Args:
        nics: its network interfaces eth0, eth1, ...
        directory: for its sockets and logs (console.log, qemu.log); two guests need two.
        memory_mb: MiB of memory, shared with the backend.
        cpus: virtual CPUs.
        huge_dir: a hugetlbfs that its memory comes from, None: ordinary memory.
        namespace: where QEMU runs, which matters for the interfaces it makes; None: on this machine.
        arguments: further arguments of QEMU.
    """

    def __init__(
        self,
        nics: Sequence[VirtioNic],
        directory: Path,
        *,
        memory_mb: int = 192,
        cpus: int = 1,
        huge_dir: Path | None = None,
        namespace: Namespace | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self._nics = tuple(nics)
        self._directory = directory
        self._memory_mb = memory_mb
        self._cpus = cpus
        self._huge_dir = huge_dir
        self._namespace = namespace
        self._arguments = tuple(arguments)
        self._process: ChildProcess | None = None
        self._agent: GuestAgent | None = None
        self._qmp: Qmp | None = None

    def start(self, *, wait: bool = True) -> None:
        """Start QEMU and, with `wait`, return when the guest takes commands.

        A guest that is the destination of a migration takes none before its memory has arrived: for it,
        `wait` is false.

        Raises:
            GuestError: QEMU ended or the guest did not boot; QEMU's last lines are in the message.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        agent, monitor = self._directory / "agent.sock", self._directory / "qmp.sock"
        for path in (agent, monitor):
            path.unlink(missing_ok=True)
        command = [*qemu.command(qemu.accelerator()), *self._machine(), *self._channels(agent, monitor)]
        self._process = ChildProcess(
            command if self._namespace is None else self._namespace.prefix(command),
            self._directory / "qemu.log",
            environment=qemu.environment(),
        )
        try:
            wait_for(lambda: not self.running() or (agent.exists() and monitor.exists()), "QEMU's sockets")
            self._agent = GuestAgent(agent, self.running)
            if wait:
                self._agent.wait_ready(BOOT_TIMEOUT)
        except OSError as error:  # TimeoutError and ConnectionError are kinds of it
            message = f"the guest did not start: {error}\n{self._process.tail()}\n{self._console_tail()}"
            self.close()
            raise GuestError(message) from error
        except BaseException:  # Ctrl-C, a test's time limit
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._running_process().pid

    @property
    def console(self) -> Path:
        """The log of the guest's kernel."""
        return self._directory / "console.log"

    def running(self) -> bool:
        return self._process is not None and self._process.running()

    def run(self, command: str, timeout: float = 60.0) -> CommandResult:
        """The exit status and output of a shell command in the guest.

        Raises:
            GuestError: no answer within `timeout` seconds, or the guest ended.
        """
        if self._agent is None:
            raise GuestError("the guest was not started")
        try:
            return self._agent.run(command, timeout)
        except OSError as error:
            raise GuestError(f"{command!r}: {error}\n{self._console_tail()}") from error

    def check(self, command: str, timeout: float = 60.0) -> str:
        """The output of a command that must succeed.

        Raises:
            GuestError: it did not.
        """
        status, output = self.run(command, timeout)
        if status:
            raise GuestError(f"{command!r} in the guest ended with status {status}: {output.strip()}")
        return output

    def configure(self, interface: str, address: str, mtu: int | None = None) -> None:
        """Give an interface an address ("10.1.0.2/24") and set it up."""
        if mtu is not None:
            self.check(f"ip link set {interface} mtu {mtu}")
        self.check(f"ip address add {address} dev {interface} && ip link set {interface} up")

    def add_ipv6(self, interface: str, address: str) -> None:
        """Let an interface speak IPv6 and give it an address ("fd00::2/64")."""
        settings = f"/proc/sys/net/ipv6/conf/{interface}"
        self.check(f"echo 0 >{settings}/accept_dad; echo 0 >{settings}/disable_ipv6")
        self.check(f"ip address add {address} dev {interface}")

    def reboot(self) -> None:
        """Reset the machine, as its reset button does, and return when it takes commands again.

        Raises:
            GuestError: it does not.
        """
        if self._agent is None:
            raise GuestError("the guest was not started")
        self.qmp().command("system_reset")
        try:
            self._agent.wait_ready(BOOT_TIMEOUT)
        except OSError as error:
            raise GuestError(f"the guest did not come back: {error}\n{self._console_tail()}") from error

    def qmp(self) -> Qmp:
        """QEMU's monitor."""
        if self._qmp is None:
            self._running_process()
            self._qmp = Qmp(self._directory / "qmp.sock")
        return self._qmp

    def kill(self) -> None:
        """End QEMU with SIGKILL, as a crash would."""
        self._running_process().kill()
        self.close()

    def close(self) -> None:
        for part in (self._qmp, self._agent, self._process):
            if part is not None:
                part.close()
        self._qmp = self._agent = self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def _running_process(self) -> ChildProcess:
        if self._process is None:
            raise GuestError("the guest does not run")
        return self._process

    def _machine(self) -> list[str]:
        size = f"size={self._memory_mb}M,share=on"
        memory = (
            f"memory-backend-memfd,id=memory,{size}"
            if self._huge_dir is None
            else f"memory-backend-file,id=memory,mem-path={self._huge_dir},{size}"
        )
        return [
            *("-machine", "q35,memory-backend=memory", "-object", memory),
            *("-m", f"{self._memory_mb}M", "-smp", str(self._cpus)),
            *(argument for number, nic in enumerate(self._nics) for argument in nic.arguments(number)),
            *self._arguments,
        ]

    def _channels(self, agent: Path, monitor: Path) -> list[str]:
        return [
            *("-serial", f"file:{self.console}"),
            *("-serial", f"unix:{agent},server=on,wait=off"),
            *("-qmp", f"unix:{monitor},server=on,wait=off"),
        ]

    def _console_tail(self) -> str:
        if not self.console.exists():
            return ""
        return "\n".join(self.console.read_text(errors="replace").splitlines()[-10:])
