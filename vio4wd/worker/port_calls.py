"""How each kind of port is polled: the C functions to call for a `PortRef`, and what to give them."""

from __future__ import annotations

from typing import NamedTuple

from vio4wd.dpdk import functions
from vio4wd.dpdk.members import MemberTable
from vio4wd.dpdk.ring import Ring
from vio4wd.worker.protocol import PortRef


class PortCalls(NamedTuple):
    """Addresses of `vio4wd.dpdk.functions`, each with its first argument; the second is the queue.

    Attributes:
        prepare: to be called before `transmit`, with the same arguments; 0: not needed.
    """

    receive: int
    receive_from: int
    transmit: int
    transmit_to: int
    prepare: int


def port_calls(port: PortRef) -> PortCalls:
    """What polls this port from this process.

    Raises:
        DpdkError: a ring or the table of the port does not exist.
    """
    if port.kind == "ethdev":
        prepare = functions.TX_PREPARE if port.tx_offloads else 0
        return PortCalls(functions.RX_BURST, port.port_id, functions.TX_BURST, port.port_id, prepare)
    if port.kind == "members":
        source, sink = MemberTable.lookup(port.rx).address, MemberTable.lookup(port.tx).address
        return PortCalls(functions.MEMBERS_RX, source, functions.MEMBERS_TX, sink, 0)
    source, sink = Ring.lookup(port.rx).address, Ring.lookup(port.tx).address
    return PortCalls(functions.RING_DEQUEUE, source, functions.RING_ENQUEUE, sink, 0)
