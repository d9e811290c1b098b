"""Loads of relays and cores, out of the statistics service's answers.

A daemon that measures its workers' cycles says what share of a core each direction took. One that does not
(the program VIO4WD replaces) gives rates only; then a linear model of packets and bytes has to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from vio4wd.control.proto.virtioforwarder_pb2 import StatsResponse
from vio4wd.sched.balance import RelayLoad

RelayState = StatsResponse.RelayState

#: The model: core seconds a packet takes, and each byte of it.
PACKET_SECONDS: Final = 50e-9
BYTE_SECONDS: Final = 0.05e-9


def relay_loads(relays: Iterable[RelayState]) -> list[RelayLoad]:
    """The relays, or where they have several their lanes, both of whose directions some worker serves."""
    found: list[RelayLoad] = []
    for state in relays:
        if state.lane:
            found += [
                RelayLoad(
                    relay=state.id,
                    numa_node=state.socket_id,
                    cpus=(lane.cpu.vf_to_vm, lane.cpu.vm_to_vf),
                    loads=(lane.vf_to_vm_load, lane.vm_to_vf_load),
                    lane=number,
                )
                for number, lane in enumerate(state.lane)
                if _served(lane.cpu)
            ]
        elif _served(state.cpu):
            found.append(
                RelayLoad(
                    relay=state.id,
                    numa_node=state.socket_id,
                    cpus=(state.cpu.vf_to_vm, state.cpu.vm_to_vf),
                    loads=(_vf_to_vm(state.vf_to_vm), _vm_to_vf(state.vm_to_vf)),
                )
            )
    return found


def measured(relays: Iterable[RelayState]) -> bool:
    """Does the daemon measure loads? Told from any relay of its answer; False where there is none."""
    return any(state.vf_to_vm.HasField("load") for state in relays)


def core_loads(relays: Iterable[RelayLoad], cpus: Iterable[int] = ()) -> dict[int, float]:
    """Share of each CPU that its directions took; all CPUs that serve any, and `cpus`, in order."""
    found = dict.fromkeys(cpus, 0.0)
    for relay in relays:
        for cpu, load in zip(relay.cpus, relay.loads, strict=True):
            found[cpu] = found.get(cpu, 0.0) + load
    return dict(sorted(found.items()))


def _served(cpu: RelayState.CPU) -> bool:
    """Old daemons write -1 for no CPU, VIO4WD leaves the field away."""
    return cpu.HasField("vf_to_vm") and cpu.HasField("vm_to_vf") and min(cpu.vf_to_vm, cpu.vm_to_vf) >= 0


def _vf_to_vm(rates: RelayState.VFtoVM) -> float:
    if rates.HasField("load"):
        return rates.load
    return rates.pkt_rate_rx_from_vf * PACKET_SECONDS + rates.byte_rate_rx_from_vf * BYTE_SECONDS


def _vm_to_vf(rates: RelayState.VMtoVF) -> float:
    if rates.HasField("load"):
        return rates.load
    return rates.pkt_rate_rx_from_vm * PACKET_SECONDS + rates.byte_rate_rx_from_vm * BYTE_SECONDS
