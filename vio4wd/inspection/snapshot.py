"""The tables of a running instance as plain Python objects, taken at one moment.

`take` reads the shared memory and nothing else: no process, no clock, no file. All meanings are
those of `vio4wd.shm.layout`; this module only gives numbers their names and leaves out what is not in
use, so that a reader touches no more of the writers' cache lines than it must.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from vio4wd.shm import layout


@dataclasses.dataclass(frozen=True, slots=True)
class LongestBurst:
    """The longest burst of a worker since it started."""

    cycles: int
    relay: int
    direction: str  # one of layout.DIRECTION_NAMES
    packets: int


@dataclasses.dataclass(frozen=True, slots=True)
class Worker:
    """One worker slot in use. Counters are cumulative since the worker's start, in TSC cycles where so named.

    Attributes:
        state: one of layout.WORKER_STATE_NAMES.
        heartbeat: TSC of the last sign of life, 0: none yet.
        directions: (relay, direction number, lane) that the master gave to this slot.
    """

    slot: int
    cpu: int
    pid: int
    start_time: int
    numa_node: int
    state: str
    heartbeat: int
    loops: int
    busy_cycles: int
    total_cycles: int
    idle_cycles: int
    bursts: int
    packets: int
    sleeps: int
    longest: LongestBurst | None
    items: int
    directions: tuple[tuple[int, int, int], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Queue:
    """One virtqueue that is set up or has ever moved a packet; `lane` of its direction serves it."""

    index: int
    lane: int
    ready: bool
    size: int
    packed: bool
    event_idx: bool
    packets: int
    bytes: int
    interrupts: int
    depth: int
    error: str  # one of layout.RING_ERROR_NAMES; "none" while the ring works
    error_detail: int

    @property
    def failed(self) -> bool:
        return self.error != layout.RING_ERROR_NAMES[layout.RING_OK]


@dataclasses.dataclass(frozen=True, slots=True)
class Direction:
    """One direction of a relay or a lane of it: who serves it, and its counters since the VF was attached.

    Attributes:
        cpu: CPU of the worker that owns it, of the direction's first lane; None: nobody does.
        slot: that worker's slot, None likewise.
        lanes: of a direction that has several, each on its own; the counters of the direction are their sums.
        latency_histogram: entry n counts samples of 2^n <= cycles < 2^(n+1).
    """

    name: str
    cpu: int | None
    slot: int | None
    packets_in: int
    bytes_in: int
    packets_out: int
    bytes_out: int
    dropped_full: int
    dropped_full_bytes: int
    dropped_unconnected: int
    dropped_unconnected_bytes: int
    dropped_invalid: int
    dropped_invalid_bytes: int
    dropped_no_mbuf: int
    busy_cycles: int
    polls: int
    bursts: int
    latency_samples: int
    latency_histogram: tuple[int, ...]
    lanes: tuple[Direction, ...] = ()

    @property
    def parts(self) -> tuple[Direction, ...]:
        """The lanes; the direction itself where it has but one."""
        return self.lanes or (self,)

    @property
    def dropped(self) -> int:
        """Packets dropped for any cause; `dropped_no_mbuf` counts bursts that wait, not packets."""
        return self.dropped_full + self.dropped_unconnected + self.dropped_invalid


@dataclasses.dataclass(frozen=True, slots=True)
class Relay:
    """One relay as the master sees it.

    Attributes:
        vf_state, vm_state: names of the statistics protocol (layout.VF_STATE_NAMES, VM_STATE_NAMES).
        lanes: of each direction.
        numa_node: node of the packet pool.
        port_id: DPDK port number, -1: none.
        vf_queues: pairs of queues of the VF in use.
        features: virtio feature bits the guest acknowledged.
        device, socket, peer: empty where there is none.
    """

    id: int
    vf_state: str
    vm_state: str
    lanes: int
    numa_node: int
    port_id: int
    vf_queues: int
    pumped: bool
    link_up: bool
    features: int
    queue_pairs: int
    mtu: int
    pool_size: int
    pool_free: int
    guest_connections: int
    port_imissed: int
    port_ierrors: int
    port_oerrors: int
    device: str
    socket: str
    peer: str
    vf_to_vm: Direction
    vm_to_vf: Direction
    queues: tuple[Queue, ...]

    @property
    def vf_ready(self) -> bool:
        return self.vf_state == layout.VF_STATE_NAMES[layout.VF_READY]

    @property
    def vm_ready(self) -> bool:
        return self.vm_state == layout.VM_STATE_NAMES[layout.VM_READY]

    @property
    def active(self) -> bool:
        """Both sides are up."""
        return self.vf_ready and self.vm_ready

    @property
    def in_use(self) -> bool:
        """One side at least is there; all other relays are of no interest to an operator."""
        return self.vf_state != layout.VF_STATE_NAMES[layout.VF_UNINIT] or self.vm_ready

    @property
    def directions(self) -> tuple[Direction, Direction]:
        return self.vf_to_vm, self.vm_to_vf

    def depth(self, direction: int, lane: int | None = None) -> int:
        """Descriptors the guest had made available to a direction (layout.VF_TO_VM, ...) at the last poll.

        Args:
            lane: only those of its queues, None: of all.
        """
        return sum(
            queue.depth
            for queue in self.queues
            if queue.ready and queue.index % 2 == direction and lane in (None, queue.lane)
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """All of it.

    Attributes:
        cycles: TSC when the snapshot was taken, as the caller gave it.
        cycles_per_second: of the TSC.
        created_ns: CLOCK_REALTIME when the master created the tables.
        workers: slots in use, by slot number.
        relays: all of them, the relay's number is the index.
    """

    cycles: int
    cycles_per_second: int
    master_pid: int
    master_start_time: int
    created_ns: int
    workers: tuple[Worker, ...]
    relays: tuple[Relay, ...]

    def seconds(self, cycles: int) -> float:
        """A number of cycles in seconds; 0 where the frequency is not known."""
        return cycles / self.cycles_per_second if self.cycles_per_second > 0 else 0.0

    def heartbeat_age(self, worker: Worker) -> float | None:
        """Seconds since the worker's last sign of life, None where it never gave one."""
        if worker.heartbeat <= 0:
            return None
        return self.seconds(max(self.cycles - worker.heartbeat, 0))


def take(tables: Any, cycles: int = 0) -> Snapshot:  # noqa: ANN401 - numpy has no type for one record
    """Reads the tables (layout.TABLES: the record, or an array of one) into plain objects.

    Args:
        tables: the tables, which may be written to meanwhile; each record is copied once.
        cycles: TSC now (`vio4wd.shm.clock.cycles`); ages of heartbeats are counted from it.
    """
    record = tables[0] if isinstance(tables, np.ndarray) and tables.ndim else tables
    header = record["header"]
    relays_table: list[dict[str, Any]] = _records(record["relays"])
    cpus = [int(cpu) for cpu in record["control"]["cpu"]]
    sums = _sums(record["directions"])
    relays = tuple(_relay(number, row, record, sums[number], cpus) for number, row in enumerate(relays_table))
    return Snapshot(
        cycles=cycles,
        cycles_per_second=int(header["tsc_hz"]),
        master_pid=int(header["master_pid"]),
        master_start_time=int(header["master_start_time"]),
        created_ns=int(header["created_ns"]),
        workers=_workers(record, cpus, relays),
        relays=relays,
    )


def _records(table: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Rows of a table as dictionaries by field name, copied in one go."""
    names = table.dtype.names
    return [dict(zip(names, row, strict=True)) for row in table.tolist()]


def _sums(directions: Any) -> Any:  # noqa: ANN401
    """The records of all directions, those of their lanes added up: relay x direction."""
    numbers = np.ascontiguousarray(directions).view(np.int64)
    numbers = numbers.reshape(*directions.shape, -1).sum(axis=2)
    return numbers.view(layout.DIRECTION)[..., 0]


def _name(names: Sequence[str], value: int) -> str:
    return names[value] if 0 <= value < len(names) else f"unknown ({value})"


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _relay(number: int, row: dict[str, Any], record: Any, sums: Any, cpus: Sequence[int]) -> Relay:  # noqa: ANN401
    lanes = max(row["lanes"], 1)
    owners = [[int(slot) for slot in row.pop(column)[:lanes]] for column in layout.SLOT_COLUMNS]
    used = row["vf_state"] != layout.VF_UNINIT or row["vm_state"] != layout.VM_UNINIT
    vf_to_vm, vm_to_vf = (
        _direction(
            name,
            slots[0],
            counters,
            cpus,
            _lanes(name, slots, record["directions"][number, direction], cpus) if lanes > 1 else (),
        )
        for direction, (name, slots, counters) in enumerate(
            zip(layout.DIRECTION_NAMES, owners, _records(sums), strict=True)
        )
    )
    return Relay(
        **row
        | {
            "id": number,
            "vf_state": _name(layout.VF_STATE_NAMES, row["vf_state"]),
            "vm_state": _name(layout.VM_STATE_NAMES, row["vm_state"]),
            "lanes": lanes,
            "pumped": bool(row["pumped"]),
            "link_up": bool(row["link_up"]),
            "device": _text(row["device"]),
            "socket": _text(row["socket"]),
            "peer": _text(row["peer"]),
            "vf_to_vm": vf_to_vm,
            "vm_to_vf": vm_to_vf,
            "queues": _queues(record, number) if used else (),
        }
    )


def _lanes(name: str, slots: Sequence[int], table: Any, cpus: Sequence[int]) -> tuple[Direction, ...]:  # noqa: ANN401
    return tuple(
        _direction(name, slot, counters, cpus)
        for slot, counters in zip(slots, _records(table[: len(slots)]), strict=True)
    )


def _direction(
    name: str,
    slot: int,
    counters: dict[str, Any],
    cpus: Sequence[int],
    lanes: tuple[Direction, ...] = (),
) -> Direction:
    owned = 0 <= slot < len(cpus) and cpus[slot] >= 0
    histogram = tuple(counters.pop("latency_histogram").tolist())
    return Direction(
        name=name,
        cpu=cpus[slot] if owned else None,
        slot=slot if owned else None,
        latency_histogram=histogram,
        lanes=lanes,
        **counters,
    )


def _queues(record: Any, number: int) -> tuple[Queue, ...]:  # noqa: ANN401
    setup, rings = record["queues"][number], record["rings"][number]
    used = np.flatnonzero((setup["ready"] != 0) | (rings["packets"] != 0) | (rings["error"] != 0))
    queues = []
    for index, queue, ring in zip(used.tolist(), _records(setup[used]), _records(rings[used]), strict=True):
        queues.append(
            Queue(
                index=index,
                lane=queue["lane"],
                ready=bool(queue["ready"]),
                size=queue["size"],
                packed=bool(queue["packed"]),
                event_idx=bool(queue["event_idx"]),
                packets=ring["packets"],
                bytes=ring["bytes"],
                interrupts=ring["interrupts"],
                depth=ring["depth"],
                error=_name(layout.RING_ERROR_NAMES, ring["error"]),
                error_detail=ring["error_detail"],
            )
        )
    return tuple(queues)


def _workers(record: Any, cpus: Sequence[int], relays: Sequence[Relay]) -> tuple[Worker, ...]:  # noqa: ANN401
    served: dict[int, list[tuple[int, int, int]]] = {}
    for relay in relays:
        for number, direction in enumerate(relay.directions):
            for lane, part in enumerate(direction.parts):
                if part.slot is not None:
                    served.setdefault(part.slot, []).append((relay.id, number, lane))
    workers = []
    for slot, row in enumerate(_records(record["workers"])):
        if cpus[slot] < 0:
            continue
        longest = LongestBurst(
            cycles=row.pop("longest_cycles"),
            relay=row.pop("longest_relay"),
            direction=_name(layout.DIRECTION_NAMES, row.pop("longest_direction")),
            packets=row.pop("longest_packets"),
        )
        workers.append(
            Worker(
                **row
                | {
                    "slot": slot,
                    "cpu": cpus[slot],
                    "state": _name(layout.WORKER_STATE_NAMES, row["state"]),
                    "longest": longest if longest.cycles > 0 and longest.relay >= 0 else None,
                    "directions": tuple(served.get(slot, ())),
                }
            )
        )
    return tuple(workers)
