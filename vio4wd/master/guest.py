"""A connected guest as the relay knows it: a fixed view of what its frontend has set up.

A view is taken when the vhost-user device resumes and dropped before anything of it changes. The file
descriptors in it belong to the device; they are valid as long as the view is.
"""

from __future__ import annotations

import dataclasses

from vio4wd.shm import layout
from vio4wd.vhost.features import Virtio, header_size
from vio4wd.worker import lanes, protocol

#: (direction, lane) of a relay.
Part = tuple[int, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Guest:
    """One state of a guest's device; the descriptors in its parts are those of this process.

    Attributes:
        features: mask of the feature bits (`Virtio`) that the guest acknowledged.
        memory: number of the state of its memory table, unique within the relay.
        queues: those that are started, by index.
        log: the dirty log.
        inflight: where to note how far the queues are.
    """

    features: int
    memory: int
    regions: tuple[protocol.Region, ...]
    queues: tuple[protocol.Queue, ...]
    log: protocol.Area | None = None
    inflight: protocol.Area | None = None

    @property
    def receive_queues(self) -> tuple[protocol.Queue, ...]:
        """Those the guest receives on, the even ones, as far as they are enabled: others take no packets."""
        return tuple(queue for queue in self.queues if queue.index % 2 == 0 and queue.enabled)

    def of_lane(self, direction: int, lane: int, of: int) -> tuple[protocol.Queue, ...]:
        """The queues that a lane serves, `of` so many that the direction has (`worker.lanes`).

        Among those that the guest transmits on, the odd ones, are some that are started but not enabled: what
        comes there is to be taken and dropped ("Ring states" of the vhost-user specification).
        """
        if direction == layout.VF_TO_VM:
            return self.receive_queues[lane::of]
        return tuple(queue for queue in self.queues if queue.index % 2 and queue.index // 2 % of == lane)


def lanes_for(port: protocol.PortRef | None, guest: Guest | None) -> int:
    """Lanes of each direction between a VF and a guest."""
    if port is None or guest is None:
        return 1
    return lanes.lanes(port.queues, len(guest.receive_queues))


def serve_message(
    relay: int,
    part: Part,
    of: int,
    port: protocol.PortRef | None,
    pool: str,
    guest: Guest | None,
) -> tuple[protocol.Serve, list[int]] | None:
    """The request that has a worker serve a lane, and its descriptors; None: there is nothing to serve.

    A lane is served when its source is there, even if its destination is not: the packets are then taken
    and counted as dropped, so that neither a VF's queue nor a guest's clogs up.

    Args:
        of: lanes of the direction.
    """
    direction, lane = part
    queues = guest.of_lane(direction, lane, of) if guest is not None else ()
    if (port is None) if direction == layout.VF_TO_VM else (not queues):
        return None
    message = protocol.Serve(relay, direction, port, pool, 0, 0, lane=lane, lanes=of)
    if guest is None or not queues:
        return message, []
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
    log, inflight = (
        None if area is None else dataclasses.replace(area, fd=place(area.fd))
        for area in (guest.log, guest.inflight)
    )
    message = dataclasses.replace(
        message,
        features=guest.features,
        memory=guest.memory,
        regions=regions,
        queues=served,
        log=log,
        inflight=inflight,
    )
    return message, fds


def publish(tables: layout.Tables, relay: int, guest: Guest | None, of: int) -> None:
    """Write what the tables of relays and queues say about a relay's guest; while no worker serves it.

    Args:
        of: lanes of each direction.
    """
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
    for direction in (layout.VF_TO_VM, layout.VM_TO_VF):
        for lane in range(of):
            for queue in guest.of_lane(direction, lane, of):
                rows[queue.index]["lane"] = lane
