"""A connected guest as the relay knows it: a fixed view of what its frontend has set up.

A view is taken when the vhost-user device resumes and dropped before anything of it changes. The file
descriptors in it belong to the device; they are valid as long as the view is.
"""

from __future__ import annotations

import dataclasses

from vio4wd.shm import layout
from vio4wd.vhost.features import Virtio, header_size
from vio4wd.worker import protocol


@dataclasses.dataclass(frozen=True, slots=True)
class Guest:
    """One state of a guest's device; the descriptors in its parts are those of this process.

    Attributes:
        features: mask of the feature bits (`Virtio`) that the guest acknowledged.
        memory: number of the state of its memory table, unique within the relay.
        queues: those that are started, by index.
    """

    features: int
    memory: int
    regions: tuple[protocol.Region, ...]
    queues: tuple[protocol.Queue, ...]
    log: protocol.DirtyLog | None = None

    def of_direction(self, direction: int) -> tuple[protocol.Queue, ...]:
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
    fds: list[int] = []

    def place(fd: int) -> int:
        """Put a descriptor beside the message; where it stands there."""
        fds.append(fd)
        return len(fds) - 1

    regions = tuple(dataclasses.replace(region, fd=place(region.fd)) for region in guest.regions)
    served = tuple(
        dataclasses.replace(queue, call_fd=place(queue.call_fd) if queue.call_fd >= 0 else -1)
        for queue in queues
    )
    log = dataclasses.replace(guest.log, fd=place(guest.log.fd)) if guest.log is not None else None
    message = protocol.Serve(relay, direction, port, pool, guest.features, guest.memory, regions, served, log)
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
    packed = int(bool(guest.features & Virtio.RING_PACKED))
    event_idx = int(bool(guest.features & Virtio.RING_EVENT_IDX))
    for queue in guest.queues:
        row = rows[queue.index]
        row["size"] = queue.size
        row["packed"] = packed
        row["event_idx"] = event_idx
        row["header_size"] = header_size(guest.features)
        row["ready"] = int(queue.enabled)
