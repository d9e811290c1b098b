"""The statistics service: snapshots of the shared tables as StatsResponse."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from vio4wd.control.proto.virtioforwarder_pb2 import StatsRequest, StatsResponse
from vio4wd.control.service import Refusal
from vio4wd.inspection.rates import Rates, RelayRates, rates
from vio4wd.inspection.snapshot import Direction, Relay, Snapshot
from vio4wd.shm import layout

RelayState = StatsResponse.RelayState

#: Longest time over which rates are measured, in milliseconds.
MAX_DELAY_MS: Final = 60_000
#: Stands where a relay has no socket.
NO_SOCKET: Final = "NONE"

_STATUS: Final = {
    Refusal.MALFORMED: StatsResponse.EBADR,
    Refusal.TOO_LARGE: StatsResponse.E2BIG,
    Refusal.BUSY: StatsResponse.ENOMEM,
    Refusal.FAULT: StatsResponse.ENOMEM,
}


class Stats:
    """Reads tables that workers write to; nobody waits for it, and it waits for nobody but the clock."""

    request_type = StatsRequest

    def __init__(self, take: Callable[[], Snapshot]) -> None:
        """`take`: a snapshot of the running instance's tables."""
        self._take = take

    async def answer(self, request: StatsRequest) -> StatsResponse:
        """The relays asked for; rates are those of the delay asked for, 0 where that is 0."""
        if request.delay > MAX_DELAY_MS:
            return StatsResponse(status=StatsResponse.E2BIG)
        measured: Rates | None = None
        snapshot = self._take()
        if request.delay:
            before, start = snapshot, time.monotonic()
            await asyncio.sleep(request.delay / 1000)
            snapshot = self._take()
            measured = rates(before, snapshot, time.monotonic() - start)
        wanted = frozenset(request.relay)
        return StatsResponse(
            status=StatsResponse.OK,
            relay=[
                relay_state(relay, measured.relays[relay.id] if measured else None)
                for relay in snapshot.relays
                if (not wanted or relay.id in wanted) and (relay.active or request.include_inactive)
            ],
        )

    def refuse(self, refusal: Refusal, detail: str) -> StatsResponse:
        """A response with the status that says so; the protocol has no room for `detail`."""
        return StatsResponse(status=_STATUS[refusal])


def relay_state(relay: Relay, measured: RelayRates | None) -> RelayState:
    """One relay's message."""
    state = RelayState(
        id=relay.id,
        active=relay.active,
        vhost=RelayState.VHOST(vhost_socket_name=relay.socket or NO_SOCKET),
        vf_to_vm=_vf_to_vm(relay, measured),
        vm_to_vf=_vm_to_vf(relay, measured),
        socket_id=max(relay.numa_node, 0),
    )
    if relay.peer:
        state.ident = relay.peer
    if relay.device:
        state.vf.pci_addr_str = relay.device
    if relay.vf_to_vm.cpu is not None:
        state.cpu.vf_to_vm = relay.vf_to_vm.cpu
    if relay.vm_to_vf.cpu is not None:
        state.cpu.vm_to_vf = relay.vm_to_vf.cpu
    for lane in range(relay.lanes if relay.lanes > 1 else 0):
        state.lane.append(_lane(relay, lane, measured))
    return state


def _lane(relay: Relay, number: int, measured: RelayRates | None) -> RelayState.Lane:
    lane = RelayState.Lane()
    for name, direction in zip(layout.DIRECTION_NAMES, relay.directions, strict=True):
        cpu = direction.lanes[number].cpu
        if cpu is not None:
            setattr(lane.cpu, name, cpu)
        if measured:
            setattr(lane, f"{name}_load", getattr(measured, name).lanes[number].load)
    return lane


def _vf_to_vm(relay: Relay, measured: RelayRates | None) -> RelayState.VFtoVM:
    counters: Direction = relay.vf_to_vm
    speed = measured.vf_to_vm if measured else None
    return RelayState.VFtoVM(
        active=relay.vf_ready,
        internal_state=relay.vf_state,
        pkts_rx_from_vf=counters.packets_in,
        bytes_rx_from_vf=counters.bytes_in,
        pkts_tx_to_vm=counters.packets_out,
        bytes_tx_to_vm=counters.bytes_out,
        pkts_dropped_vm_queue_full=counters.dropped_full,
        bytes_dropped_vm_queue_full=counters.dropped_full_bytes,
        pkts_dropped_vm_not_connected=counters.dropped_unconnected,
        bytes_dropped_vm_not_connected=counters.dropped_unconnected_bytes,
        pkts_dropped_invalid=counters.dropped_invalid,
        bytes_dropped_invalid=counters.dropped_invalid_bytes,
        pkt_rate_rx_from_vf=speed.packets_in if speed else 0.0,
        byte_rate_rx_from_vf=speed.bytes_in if speed else 0.0,
        pkt_rate_tx_to_vm=speed.packets_out if speed else 0.0,
        byte_rate_tx_to_vm=speed.bytes_out if speed else 0.0,
        load=speed.load if speed else None,
    )


def _vm_to_vf(relay: Relay, measured: RelayRates | None) -> RelayState.VMtoVF:
    counters: Direction = relay.vm_to_vf
    speed = measured.vm_to_vf if measured else None
    return RelayState.VMtoVF(
        active=relay.vm_ready,
        internal_state=relay.vm_state,
        pkts_rx_from_vm=counters.packets_in,
        bytes_rx_from_vm=counters.bytes_in,
        pkts_tx_to_vf=counters.packets_out,
        bytes_tx_to_vf=counters.bytes_out,
        pkts_dropped_vf_queue_full=counters.dropped_full,
        bytes_dropped_vf_queue_full=counters.dropped_full_bytes,
        pkts_dropped_vf_not_connected=counters.dropped_unconnected,
        bytes_dropped_vf_not_connected=counters.dropped_unconnected_bytes,
        pkts_dropped_invalid=counters.dropped_invalid,
        bytes_dropped_invalid=counters.dropped_invalid_bytes,
        pkt_rate_rx_from_vm=speed.packets_in if speed else 0.0,
        byte_rate_rx_from_vm=speed.bytes_in if speed else 0.0,
        pkt_rate_tx_to_vf=speed.packets_out if speed else 0.0,
        byte_rate_tx_to_vf=speed.bytes_out if speed else 0.0,
        load=speed.load if speed else None,
    )
