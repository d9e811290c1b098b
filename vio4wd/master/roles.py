"""The parts a relay is played with, as the relay sees them; the daemon casts them, tests cast others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from vio4wd.dpdk.mempool import Pool
from vio4wd.master.guest import Part
from vio4wd.master.worker_handle import WorkerHandle
from vio4wd.ports.attach import AttachedPort


@dataclasses.dataclass(frozen=True, slots=True)
class Device:
    """What an operator asked to attach.

    Attributes:
        name: PCI address, DPDK device string, or a bond's name.
        members: devices of the bond, empty: no bond.
        mode: bonding mode 0..6.
    """

    name: str
    members: tuple[str, ...] = ()
    mode: int = 1


class Hardware(Protocol):
    """The blocking side: ports and pools. Calls are made one after the other."""

    def node_of(self, device: Device) -> int:
        """NUMA node of a device (of a bond: its first member), -1: not known."""

    async def make_pool(self, relay: int, node: int) -> tuple[Pool, int]:
        """A new pool on the node (-1: any), or on another where that has no room; and its node."""

    async def free_pool(self, pool: Pool) -> None:
        """Give a pool back that no port and no worker uses."""

    async def open_port(self, device: Device, relay: int, pool: Pool) -> AttachedPort:
        """Attach and start a device with this pool."""

    async def close_port(self, port: AttachedPort) -> None:
        """Stop and detach a device that no worker polls."""

    async def shed(self, port: AttachedPort) -> None:
        """Let go of the members of a bond that are taken away, while no worker polls it."""

    async def send(self, port: AttachedPort, pool: Pool, frame: bytes) -> bool:
        """Send a frame to a VF that no worker sends to; False: it had no room."""


class Team(Protocol):
    """The workers (`workers.Workers`)."""

    def get(self, slot: int) -> WorkerHandle | None: ...
    def running_slots(self) -> list[int]: ...


class Placer(Protocol):
    """Who says which worker serves what (`placement.Placement`)."""

    def slot_for(self, relay: int, part: Part, running: Sequence[int], near: int, vf_node: int) -> int: ...
    def pinned_slot(self, relay: int, part: Part) -> int | None: ...
