"""DPDK's bonding device: several ports that look like one."""

from __future__ import annotations

from typing import Final

from vio4wd.dpdk import device
from vio4wd.dpdk._binding import ffi, lib
from vio4wd.dpdk.errors import DpdkError, mark_log, reason

MODES: Final = {
    0: "round-robin",
    1: "active-backup",
    2: "balance",
    3: "broadcast",
    4: "802.3ad",
    5: "adaptive transmit load balancing",
    6: "adaptive load balancing",
}
#: Ports of one bond at most.
MAX_MEMBERS: Final = 8


def create(name: str, mode: int, socket: int) -> int:
    """A new bond without members; its port. `device.remove(port, close_first=True)` takes it.

    Args:
        name: begins with "net_bonding".
        mode: one of MODES.
        socket: NUMA node, -1: any.

    Raises:
        DpdkError: the name is taken, or DPDK refused.
    """
    if device.ports_of(name):
        raise DpdkError(f"{name} is attached already")
    device.require_room(name)
    mark_log()
    port = int(lib.rte_eth_bond_create(name.encode(), mode, max(socket, 0)))
    if port < 0:
        raise DpdkError(f"bond {name} cannot be made: {reason(port)}")
    return port


def add_member(bond: int, member: int) -> None:
    """Make a port a member; the bond configures and starts it.

    Raises:
        DpdkError: DPDK refused.
    """
    mark_log()
    status = lib.rte_eth_bond_member_add(bond, member)
    if status < 0:
        raise DpdkError(f"port {member} cannot become a member of bond {bond}: {reason()}")


def remove_member(bond: int, member: int) -> None:
    """Make a port a member no more.

    Raises:
        DpdkError: DPDK refused.
    """
    mark_log()
    # DPDK also tries to reset the member, and logs that it is not stopped: it need not be.
    lib.vio_log_quiet(1)
    status = lib.rte_eth_bond_member_remove(bond, member)
    lib.vio_log_quiet(0)
    if status < 0:
        raise DpdkError(f"port {member} cannot leave bond {bond}: {reason()}")


def active_members(bond: int) -> list[int]:
    """The members whose link is up, as the bond knows.

    Raises:
        DpdkError: it is no bond.
    """
    found = ffi.new("uint16_t[]", MAX_MEMBERS)
    count = lib.rte_eth_bond_active_members_get(bond, found, MAX_MEMBERS)
    if count < 0:
        raise DpdkError(f"port {bond} is no bond")
    return [int(found[n]) for n in range(count)]
