"""The link from a vhost-user device to its relay: what the device tells becomes the relay's guest."""

from __future__ import annotations

import logging
import re

from vio4wd.master import numa, rings
from vio4wd.master.guest import Guest
from vio4wd.master.relay import Relay
from vio4wd.master.service import RelayError
from vio4wd.shm import layout
from vio4wd.vhost.state import DeviceState
from vio4wd.worker.protocol import Area, Queue, Region

_log = logging.getLogger(__name__)

_PID = re.compile(r"pid (\d+)")


class GuestListener:
    """Listens to one device (`vhost.listener.Listener`).

    Args:
        relay: whose guest the device is.
        find_node: look for the NUMA node of guest memory; off where there is only one.
    """

    def __init__(self, relay: Relay, tables: layout.Tables, *, find_node: bool) -> None:
        self._relay = relay
        self._tables = tables
        self._row = tables["relays"][relay.number]
        self._find_node = find_node
        self._pid = 0

    async def connected(self, peer: str) -> None:
        """A frontend is there."""
        match = _PID.search(peer)
        self._pid = int(match[1]) if match else 0
        self._row["peer"] = peer.encode()[:64]
        self._row["guest_connections"] += 1

    async def suspend(self) -> None:
        """Nobody touches the device when this returns."""
        await self._relay.guest_suspend()

    async def resume(self, state: DeviceState) -> None:
        """Serve the device. One whose memory no worker can map is logged and left alone until it changes."""
        guest = as_guest(state)
        node = self._node(guest)
        try:
            await self._relay.guest_resume(guest, node)
        except RelayError as error:
            _log.error("relay %d: the guest is not served: %s", self._relay.number, error)

    async def ring_position(self, queue: int, packed: bool) -> int:
        """Where the queue was left."""
        position = rings.read_position(self._tables, self._relay.number, queue)
        return rings.encode_base(position, packed=packed)

    async def set_ring_position(self, queue: int, base: int, packed: bool, step: int = 0) -> None:
        """Where the queue begins."""
        position = rings.decode_base(base, packed=packed)
        rings.write_position(self._tables, self._relay.number, queue, position, step)

    async def announce(self, frame: bytes) -> None:
        """Send the frame to the VF."""
        await self._relay.announce(frame)

    async def disconnected(self) -> None:
        """The frontend is gone."""
        self._pid = 0
        self._row["peer"] = b""
        await self._relay.guest_gone()

    def _node(self, guest: Guest) -> int:
        if not self._find_node or not self._pid:
            return -1
        node = numa.node_of_files(self._pid, numa.file_keys(region.fd for region in guest.regions))
        return -1 if node is None else node


def as_guest(state: DeviceState) -> Guest:
    """The view of a device that a relay serves: its memory and the queues that are started."""
    log = state.log if state.logging else None
    inflight = state.inflight
    return Guest(
        features=int(state.features),
        memory=state.memory_number,
        regions=tuple(
            Region(region.guest_address, region.size, region.mmap_offset, region.fd)
            for region in state.regions
        ),
        queues=tuple(
            Queue(
                queue.index,
                queue.size,
                queue.descriptors,
                queue.available,
                queue.used,
                queue.call_fd,
                queue.log_used,
                inflight.part(queue.index, queue.size, packed=state.packed) if inflight else -1,
                queue.enabled,
            )
            for queue in state.started_queues()
        ),
        log=None if log is None else Area(log.fd, log.size, log.offset),
        inflight=None if inflight is None else Area(inflight.fd, inflight.size, inflight.offset),
    )
