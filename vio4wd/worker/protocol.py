"""What master and worker say to each other: JSON objects with file descriptors beside them.

The channel is a pair of connected SOCK_SEQPACKET unix sockets, one datagram a message. The master
asks, the worker answers each request once, in order, when the request has taken effect; a lane
that was released is not touched again by that worker. The master raises the worker's doorbell
(`control[slot].doorbell`) after each request, so that the worker leaves its kernel and reads it.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Final, Literal

#: Longest message in bytes; a relay with 32 queue pairs and 32 memory regions needs some 10 KiB.
MAX_MESSAGE: Final = 65536
#: Most file descriptors beside one message: a region each, an interrupt each, dirty log, in-flight memory.
MAX_FDS: Final = 128


@dataclasses.dataclass(frozen=True, slots=True)
class PortRef:
    """Where a worker finds a VF's packets.

    Attributes:
        kind: "ethdev": a DPDK port polled by the worker; "members": several of them that are one, in a table;
            "rings": a pair of rings filled by a pump.
        port_id: DPDK port number (ethdev), -1 otherwise.
        rx: name of the ring that holds packets from the VF (rings), or of the table (members).
        tx: name of the ring that takes packets to the VF (rings), or of the table (members).
        tx_offloads: RTE_ETH_TX_OFFLOAD_* flags that the port was configured with.
        queues: pairs of queues that the port has, a power of two; of any kind but "ethdev" it is one.
    """

    kind: Literal["ethdev", "members", "rings"]
    port_id: int = -1
    rx: str = ""
    tx: str = ""
    tx_offloads: int = 0
    queues: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Region:
    """A range of guest memory (vhost-user VHOST_USER_SET_MEM_TABLE).

    Attributes:
        guest_address: guest-physical address of the first byte.
        size: bytes.
        mmap_offset: where the range begins in the file.
        fd: the file: in a message its place among the message's descriptors, in the master a descriptor.
    """

    guest_address: int
    size: int
    mmap_offset: int
    fd: int


@dataclasses.dataclass(frozen=True, slots=True)
class Queue:
    """A virtqueue of the direction served. Addresses are guest-physical.

    Attributes:
        index: number in the device (even: the guest receives, odd: it transmits).
        call_fd: eventfd that interrupts the guest, as `Region.fd`; -1: the guest polls.
        log_used: guest-physical address of the used ring for the dirty log, -1: not logged.
        inflight: where its part of the in-flight memory begins there, -1: it has none.
        enabled: whether packets pass; of a transmit queue that is only started they are taken and dropped.
    """

    index: int
    size: int
    descriptors: int
    available: int
    used: int
    call_fd: int
    log_used: int = -1
    inflight: int = -1
    enabled: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Area:
    """Memory of a guest beside its own.

    Attributes:
        fd: the file, as `Region.fd`.
        size: bytes.
        offset: where it begins in the file.
    """

    fd: int
    size: int
    offset: int


@dataclasses.dataclass(frozen=True, slots=True)
class Begin:
    """The master's DPDK and tables are there: join them. It comes first, and once.

    Attributes:
        pci: addresses of the PCI devices that are attached.
    """

    pci: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Serve:
    """Serve this lane of a direction from now on, in the place of what the worker may know of it.

    Without a port, packets of the guest are taken and counted as dropped; without queues, those of the VF.
    `memory` names one state of the guest's memory table: lanes of the same relay and memory number share
    their mappings.

    Attributes:
        queues: the guest's that belong to the lane.
        log: the bitmap of written pages of a guest under migration (VHOST_USER_SET_LOG_BASE).
        inflight: where to note how far the queues are (VHOST_USER_SET_INFLIGHT_FD).
        lanes: how many the direction has; which of the VF's queues belong to this one says `worker.lanes`.
    """

    relay: int
    direction: int
    port: PortRef | None
    pool: str
    features: int
    memory: int
    regions: tuple[Region, ...] = ()
    queues: tuple[Queue, ...] = ()
    log: Area | None = None
    inflight: Area | None = None
    lane: int = 0
    lanes: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Release:
    """Stop serving this lane of a direction; unknown ones are no error."""

    relay: int
    direction: int
    lane: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Stop:
    """Release everything and exit."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request. `error` is empty when it was done."""

    error: str = ""


Message = Begin | Serve | Release | Stop | Reply

_KINDS: Final[dict[str, type[Any]]] = {c.__name__: c for c in (Begin, Serve, Release, Stop, Reply)}
_NESTED: Final[dict[str, type[Any]]] = {"port": PortRef, "log": Area, "inflight": Area}
_LISTS: Final[dict[str, type[Any]]] = {"regions": Region, "queues": Queue}


def encode(message: Message) -> bytes:
    """The datagram of a message, at most MAX_MESSAGE bytes.

    Raises:
        ValueError: it would be longer.
    """
    data = json.dumps({"kind": type(message).__name__, **dataclasses.asdict(message)}).encode()
    if len(data) > MAX_MESSAGE:
        raise ValueError(f"message of {len(data)} bytes, more than {MAX_MESSAGE}")
    return data


def decode(data: bytes) -> Message:
    """The message of a datagram made by `encode`; master and worker trust each other.

    Raises:
        ValueError: not such a datagram.
    """
    try:
        fields = json.loads(data)
        kind = _KINDS[fields.pop("kind")]
        for name, nested in _NESTED.items():
            if fields.get(name) is not None:
                fields[name] = nested(**fields[name])
        for name, nested in _LISTS.items():
            if name in fields:
                fields[name] = tuple(nested(**entry) for entry in fields[name])
        message: Message = kind(**fields)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a worker message: {error!r}") from error
    return message
