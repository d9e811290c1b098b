"""Several ports polled as one by the workers themselves (`members.h`): the table that tells them how."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final

from vio4wd.dpdk._binding import ffi, lib
from vio4wd.dpdk.errors import mark_log
from vio4wd.dpdk.named import Named

#: Ports of one table at most.
MAX_MEMBERS: Final = int(lib.VIO_MEMBERS)


class Sharing(enum.IntEnum):
    """Which members get a packet, where several are active: one in turn, one by its addresses, or all."""

    IN_TURN = int(lib.VIO_SHARE_IN_TURN)
    BY_ADDRESS = int(lib.VIO_SHARE_BY_ADDRESS)
    COPIES = int(lib.VIO_SHARE_COPIES)


class MemberTable(Named):
    """Ports in a table, for `functions.MEMBERS_RX` and `MEMBERS_TX`."""

    _kind = "table of members"
    _find = lib.vio_members_lookup

    @classmethod
    def create(cls, name: str, ports: Sequence[int], sharing: Sharing, socket: int = -1) -> MemberTable:
        """A table of 1 to MAX_MEMBERS ports, none of which is active yet.

        Args:
            name: at most 31 characters, unique in the instance.
            socket: NUMA node, -1: any.

        Raises:
            DpdkError: the name is taken, or no hugepages are left.
        """
        mark_log()
        table = cls._made(lib.vio_members_create(name.encode(), socket), name)
        table.pointer.sharing = sharing
        table.set_ports(ports)
        return table

    def set_ports(self, ports: Sequence[int]) -> None:
        """Other ports, none of which is active yet; nobody may poll the table meanwhile."""
        self.use(active=(), heard=())
        self.pointer.count = len(ports)
        for number, port in enumerate(ports):
            self.pointer.ports[number] = port

    def use(self, *, active: Sequence[int], heard: Sequence[int]) -> None:
        """Send to the members with the numbers in `active`, and drop what those not in `heard` receive.

        It may be called at any time; who polls the table follows with the next burst.
        """
        self.pointer.active = sum(1 << number for number in active)
        self.pointer.heard = sum(1 << number for number in heard)

    def free(self) -> None:
        """Give its memory back; no process may use it afterwards."""
        lib.vio_members_free(self.name.encode())
        self.pointer = ffi.NULL
