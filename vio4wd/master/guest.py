"""A connected guest as the relay knows it: a fixed view of what its frontend has set up.

A view is taken when the vhost-user device resumes and dropped before anything of it changes. The file
descriptors in it belong to the device; they are valid as long as the view is.
"""

from __future__ import annotations

import dataclasses

from vio4wd.shm import layout
from vio4wd.worker import protocol

VIRTIO_F_VERSION_1 = 32
VIRTIO_F_RING_EVENT_IDX = 29
VIRTIO_F_RING_PACKED = 34
VIRTIO_NET_F_MRG_RXBUF = 15


@dataclasses.dataclass(frozen=True, slots=True)
class GuestRegion:
    """A range of guest memory; `protocol.Region` with a descriptor of this process."""

    guest_address: int
    size: int
    mmap_offset: int
    fd: int


@dataclasses.dataclass(frozen=True, slots=True)
class GuestQueue:
    """A queue that may be served; `protocol.Queue` with a descriptor of this process (-1: none)."""

    index: int
    size: int
    descriptors: int
    available: int
    used: int
    call_fd: int
    log_used: int = -1
    enabled: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class GuestLog:
    """The dirty log; `protocol.DirtyLog` with a descriptor of this process."""

    fd: int
    size: int
    offset: int


@dataclasses.dataclass(frozen=True, slots=True)
class Guest:
    """One state of a guest's device.

    Attributes:
        memory: number of the state of its memory table, unique within the relay.
        queues: those that are started, by index.
    """

    features: int
    memory: int
    regions: tuple[GuestRegion, ...]
    queues: tuple[GuestQueue, ...]
    log: GuestLog | None = None

    def has(self, feature: int) -> bool:
        """Whether the guest acknowledged a feature bit."""
        return bool(self.features >> feature & 1)

    @property
    def packed(self) -> bool:
        return self.has(VIRTIO_F_RING_PACKED)

    @property
    def header_size(self) -> int:
        """Bytes of the virtio-net header (virtio 1.2 §5.1.6); a plain legacy one lacks num_buffers."""
        return 12 if self.has(VIRTIO_F_VERSION_1) or self.has(VIRTIO_NET_F_MRG_RXBUF) else 10

    def of_direction(self, direction: int) -> tuple[GuestQueue, ...]:
        """The queues to serve in a direction: the guest receives on even ones and transmits on odd ones.

        A queue that is started but not enabled takes no packets; what the guest transmits on it is to be
        taken and dropped ("Ring states" of the vhost-user specification).
        """
        return tuple(
            queue
            for queue in self.queues
            if queue.index % 2 == direction and (queue.enabled or direction == layout.VM_TO_VF)
        )


def serve_message(
    relay: int,
    direction: int,
    port: protocol.PortRef | None,
    pool: str,
    guest: Guest | None,
) -> tuple[protocol.Serve, list[int]] | None:
    """The request that has a worker serve a direction, and its descriptors; None: there is nothing to serve.

    A direction is served when its source is there, even if its destination is not: the packets are then
    taken and counted as dropped, so that neither a VF's queue nor a guest's clogs up.
    """
    queues = guest.of_direction(direction) if guest is not None else ()
    if (port is None) if direction == layout.VF_TO_VM else (not queues):
        return None
    if guest is None or not queues:
        return protocol.Serve(relay, direction, port, pool, 0, 0), []
    fds = [region.fd for region in guest.regions]
    regions = tuple(
        protocol.Region(region.guest_address, region.size, region.mmap_offset, fd=index)
        for index, region in enumerate(guest.regions)
    )
    served = []
    for queue in queues:
        call = -1
        if queue.call_fd >= 0:
            call = len(fds)
            fds.append(queue.call_fd)
        served.append(protocol.Queue(**{**dataclasses.asdict(queue), "call_fd": call}))
    log = None
    if guest.log is not None:
        log = protocol.DirtyLog(fd=len(fds), size=guest.log.size, offset=guest.log.offset)
        fds.append(guest.log.fd)
    message = protocol.Serve(
        relay, direction, port, pool, guest.features, guest.memory, regions, tuple(served), log
    )
    return message, fds


def publish(tables: layout.Tables, relay: int, guest: Guest | None) -> None:
    """Write what the tables of relays and queues say about a relay's guest; while no worker serves it."""
    relay_row = tables["relays"][relay]
    relay_row["vm_state"] = layout.VM_UNINIT if guest is None else layout.VM_READY
    relay_row["features"] = 0 if guest is None else guest.features
    enabled = [] if guest is None else [queue for queue in guest.queues if queue.enabled]
    relay_row["queue_pairs"] = max((queue.index // 2 + 1 for queue in enabled), default=0)
    rows = tables["queues"][relay]
    rows["ready"] = 0
    if guest is None:
        return
    for queue in guest.queues:
        row = rows[queue.index]
        row["size"] = queue.size
        row["packed"] = int(guest.packed)
        row["event_idx"] = int(guest.has(VIRTIO_F_RING_EVENT_IDX))
        row["header_size"] = guest.header_size
        row["ready"] = int(queue.enabled)
