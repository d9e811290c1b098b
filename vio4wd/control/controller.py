"""What the control services ask of the master.

The services know messages and files, the master knows relays; this protocol is all they share. Requests
arrive checked in form: relays exist, devices are not repeated, a bond has a valid name, mode and number of
members. What they mean for the relays as they are is decided by `vio4wd.control.decisions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class ControlError(Exception):
    """A request that cannot be done. It is told to the client, as it is no fault of the daemon.

    Attributes:
        code: number of <errno.h>, e.g. errno.ENODEV.
        source: what refuses, one or two words, e.g. "port control".
        message: why, and what to do; one line.
    """

    def __init__(self, code: int, source: str, message: str) -> None:
        self.code = code
        self.source = source
        self.message = message
        super().__init__(f"{source}: {message}")


class Controller(Protocol):
    """The master, as seen from the control services.

    Methods that change something return when the change is done, and raise ControlError otherwise; then
    nothing has changed. The services never ask for two port changes at once, but statistics, questions
    and moves may come while one is under way.
    """

    async def add(
        self, devices: Sequence[str], relay: int, conditional: bool, name: str | None, mode: int
    ) -> None:
        """Attach a device, or a bond of several, to a relay.

        Args:
            devices: PCI addresses in full ("0000:01:02.3") or DPDK device strings.
            conditional: that it is so already is no error.
            name: the bond's, None: `devices` is one device that is no bond.
            mode: the bond's, 0 to 6.
        """

    async def remove(self, devices: Sequence[str], relay: int, conditional: bool, name: str | None) -> None:
        """Detach the device, or the bond called `name`, from a relay.

        Args:
            devices: may be empty where `name` is given.
            conditional: that it is not there is no error.
        """

    async def add_sock(
        self, devices: Sequence[str], path: str, conditional: bool, name: str | None, mode: int
    ) -> None:
        """Attach a device or bond to a free relay, and serve that relay's guest at the socket `path`.

        A half that fails is undone with the other. Asked only with dynamic sockets.
        """

    async def remove_sock(
        self, devices: Sequence[str], path: str, conditional: bool, name: str | None
    ) -> None:
        """Undo `add_sock`. Asked only with dynamic sockets."""

    def query_pci(self, path: str) -> str:
        """The device attached to the relay whose vhost-user socket is `path`.

        Raises:
            ControlError: no such socket, or no device there (errno.ENOENT).
        """

    def relay_cpu_map(self) -> Mapping[int, Sequence[tuple[int, int]]]:
        """CPUs that serve VF to VM and VM to VF, -1: none, of each lane of each relay in use."""

    async def move(self, relay: int, vf_to_vm_cpu: int, vm_to_vf_cpu: int, lane: int | None = None) -> None:
        """Serve a relay's directions with these of `eal_cores()` from now on; -1 leaves one where it is.

        Args:
            lane: only this lane of them, None: all.
        """

    def eal_cores(self) -> Sequence[int]:
        """CPUs of the workers."""
