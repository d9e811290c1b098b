"""The parts a relay is played with, as the relay sees them; the daemon casts them, tests cast others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from vio4wd.master.worker_handle import WorkerHandle
from vio4wd.worker import protocol


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


class RelayPort(Protocol):
    """What a relay needs to know of its attached VF (`ports.attach.AttachedPort`)."""

    @property
    def device(self) -> str: ...
    @property
    def ref(self) -> protocol.PortRef: ...
    @property
    def port_id(self) -> int: ...
    @property
    def pumped(self) -> bool: ...
    @property
    def numa_node(self) -> int: ...
    @property
    def mtu(self) -> int: ...


class RelayPool(Protocol):
    """What a relay needs to know of its packet pool (`dpdk.mempool.Pool`)."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...


class Hardware(Protocol):
    """The blocking side: ports and pools. Calls are made one after the other."""

    async def make_pool(self, relay: int, node: int) -> tuple[RelayPool, int]:
        """A new pool on the node (-1: any), or on another where that has no room; and its node."""

    async def free_pool(self, pool: RelayPool, *, broken: bool) -> None:
        """Give a pool back; `broken`: a worker died while it used it."""

    async def open_port(self, device: Device, relay: int, pool: RelayPool) -> RelayPort:
        """Attach and start a device with this pool."""

    async def close_port(self, port: RelayPort, pool: RelayPool, *, broken: bool) -> None:
        """Stop and detach a device that no worker polls."""


class Team(Protocol):
    """The workers (`workers.Workers`)."""

    def get(self, slot: int) -> WorkerHandle | None: ...
    def running_slots(self) -> list[int]: ...


class Placer(Protocol):
    """Who says which worker serves what (`placement.Placement`)."""

    def slots_for(
        self, relay: int, running: Sequence[int], guest_node: int, vf_node: int
    ) -> tuple[int, int]: ...
    def pinned_slot(self, relay: int, direction: int) -> int | None: ...
