"""Devices: taking them at run time and letting go of them, in all processes of the instance."""

from __future__ import annotations

import errno
import re
from typing import Final

from vio4wd.dpdk._binding import ffi, lib
from vio4wd.dpdk.errors import DpdkError, mark_log, reason

_PCI_ADDRESS: Final = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")


def max_ports() -> int:
    """The most ports that the DPDK at hand can have at a time (RTE_MAX_ETHPORTS)."""
    return int(lib.RTE_MAX_ETHPORTS)


def ports_used() -> int:
    """The ports there are now, members of bonds and bonds included."""
    return int(lib.vio_ports_used())


def ports_of(name: str) -> list[int]:
    """The ports of the device with this name (PCI address or vdev name), empty: it is not attached."""
    found = ffi.new("uint16_t[]", max_ports())
    return [int(found[n]) for n in range(lib.vio_ports_of_device(name.encode(), found, max_ports()))]


def require_room(name: str) -> None:
    """Check that there can be another port.

    Args:
        name: what it is for.

    Raises:
        DpdkError: all are in use; the text names the limit and what helps.
    """
    if ports_used() >= max_ports():
        raise DpdkError(
            f"{name}: all {max_ports()} ports of this DPDK are in use (RTE_MAX_ETHPORTS of its build); "
            "'make dpdk' builds one with more"
        )


def probe(devargs: str) -> list[int]:
    """Attach a device in this primary process; its ports. `share` makes it known to the secondaries.

    Args:
        devargs: "0000:01:02.3" or "net_null0,size=64".

    Raises:
        DpdkError: it is attached already, all ports are taken, or DPDK refused.
    """
    name = devargs.partition(",")[0]
    if ports_of(name):
        raise DpdkError(f"{name} is attached already")
    require_room(name)
    mark_log()
    status = lib.vio_device_probe(devargs.encode(), not _PCI_ADDRESS.fullmatch(name))
    ports = ports_of(name)
    if status < 0 or not ports:
        raise DpdkError(f"{name} cannot be attached: {reason(status) or 'no DPDK driver takes it'}")
    return ports


def map_pages() -> None:
    """Have the memory that devices on vfio-pci reach be mapped by pages; `dma.h` says why.

    To be called after a first such device was probed and before it is started, while there is no other.

    Raises:
        DpdkError: the kernel refused.
    """
    status = lib.vio_dma_map_pages()
    if status < 0:
        raise DpdkError(f"memory cannot be mapped for DMA: {reason(status)}")


def share(devargs: str) -> None:
    """Make an attached device known to all secondaries that run; those that know it already keep it.

    A secondary looks at a port once, when it learns of it: for the queues it has and the functions that
    serve them. So a port is shared when it is configured and started. A secondary that starts later
    finds virtual devices by itself, and PCI devices that its options allow.

    Raises:
        DpdkError: a secondary refused.
    """
    mark_log()
    # DPDK tries the primary first, which has it, and calls that an error before it goes on.
    lib.vio_log_quiet(1)
    status = lib.rte_dev_probe(devargs.encode())
    lib.vio_log_quiet(0)
    if status < 0 and status != -errno.EEXIST:
        raise DpdkError(f"{devargs} cannot be attached in a worker: {reason(status)}")


def remove(port_id: int, *, close_first: bool = False) -> None:
    """Close a stopped port and detach its device, in the secondaries first. One that is gone stays so.

    Args:
        close_first: for a bond, whose driver would leave the port open.

    Raises:
        DpdkError: DPDK refused.
    """
    if not lib.rte_eth_dev_is_valid_port(port_id):
        return
    mark_log()
    status = lib.vio_device_remove(port_id, close_first)
    if status < 0:
        raise DpdkError(f"port {port_id} cannot be detached: {reason(status)}")
