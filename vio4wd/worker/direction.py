"""A lane of a relay's direction as this worker serves it: a Serve message made into records for the kernels.

The kernels know items: one queue of the VF, and the guest's queues that go with it. A lane has an item for
each of its queues of the VF. Those that receive share the lane's queues of the guest, which is safe: the
worker runs one burst after the other.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

import numpy as np

from vio4wd.dpdk import ethdev
from vio4wd.dpdk.mempool import Pool
from vio4wd.kernels.machine_code import load
from vio4wd.kernels.records import ITEM, VRING
from vio4wd.shm import layout
from vio4wd.shm.segment import Segment
from vio4wd.vhost.features import Virtio, header_size
from vio4wd.worker.guest import GuestMemory, Mapping
from vio4wd.worker.lanes import vf_queue_of, vf_queues_of
from vio4wd.worker.port_calls import port_calls
from vio4wd.worker.protocol import Area, PortRef, Queue, Serve

_CHECKSUMS = ethdev.TX_IPV4_CHECKSUM | ethdev.TX_TCP_CHECKSUM | ethdev.TX_UDP_CHECKSUM


def _ring_sizes(queue: Queue, packed: bool) -> tuple[int, int, int]:
    """Bytes of the three parts of a ring (virtio 1.2 §2.7, §2.8.10)."""
    if packed:
        return 16 * queue.size, 4, 4
    return 16 * queue.size, 6 + 2 * queue.size, 6 + 8 * queue.size


def _shares(serve: Serve) -> list[tuple[int, tuple[Queue, ...]]]:
    """The lane's queues of the VF that have anything to do, each with the guest's queues that go with it."""
    of_vf = 1 if serve.port is None else serve.port.queues
    own = vf_queues_of(serve.lane, serve.lanes, of_vf)
    if serve.direction == layout.VF_TO_VM:
        return [(number, serve.queues) for number in own]
    sent = {number: [q for q in serve.queues if vf_queue_of(q.index // 2, of_vf) == number] for number in own}
    return [(number, tuple(queues)) for number, queues in sent.items() if queues]


class Direction:
    """Owns what a lane needs in this process: its records, interrupts, and a share of guest memory.

    Attributes:
        key: (relay, direction, lane).
        memory: the guest's, None without queues.
    """

    def __init__(
        self, serve: Serve, fds: Sequence[int], memory: GuestMemory | None, segment: Segment
    ) -> None:
        """Make the records.

        Args:
            fds: the message's file descriptors; they stay the caller's, what is kept is duplicated.

        Raises:
            GuestMemoryError: a ring or the log cannot be reached.
            DpdkError: the pool or a ring of the port does not exist.
        """
        self.key = (serve.relay, serve.direction, serve.lane)
        self.memory = None
        self._areas: list[Mapping] = []
        self._pool: Pool | None = None
        self._call_fds: list[int] = []
        self._segment = segment
        shares = _shares(serve)
        self._items = np.zeros(len(shares), ITEM)
        shared = serve.direction == layout.VF_TO_VM
        queues = serve.queues if shared else tuple(queue for _, own in shares for queue in own)
        self._vrings = np.zeros(len(queues), VRING)
        first = 0
        for item, (vf_queue, own) in zip(self._items, shares, strict=True):
            item["rx_b"] = item["tx_b"] = vf_queue
            item["queues"] = self._vrings.ctypes.data + first * VRING.itemsize
            item["n_queues"] = len(own)
            first += 0 if shared else len(own)
        try:
            self._fill_items(serve)
            if serve.port is not None:
                self._attach_port(serve.port)
            if memory is not None:
                self.memory = memory.retain()
                self._fill_rings(serve, queues, fds, memory)
        except BaseException:
            self.close()
            raise

    @property
    def polled(self) -> list[int]:
        """Addresses of the items that have anything to poll: a VF, or the guest's transmit queues."""
        source = "rx" if self.key[1] == layout.VF_TO_VM else "n_queues"
        first = int(self._items.ctypes.data)
        return [first + i * ITEM.itemsize for i, item in enumerate(self._items) if item[source]]

    def _fill_items(self, serve: Serve) -> None:
        item = self._items
        item["relay"] = serve.relay
        item["direction"] = serve.direction
        item["counters"] = self._segment.field("directions", *self.key)
        if serve.pool:
            self._pool = Pool.lookup(serve.pool)
            item["pool"] = self._pool.address
        item["packed"] = bool(serve.features & Virtio.RING_PACKED)
        item["mergeable"] = bool(serve.features & Virtio.MRG_RXBUF)
        item["event_idx"] = bool(serve.features & Virtio.RING_EVENT_IDX)
        item["header_size"] = header_size(serve.features)
        item["guest_offloads"] = bool(serve.features & Virtio.CSUM)
        item["guest_checks"] = bool(serve.features & Virtio.GUEST_CSUM)

    def _attach_port(self, port: PortRef) -> None:
        item = self._items
        calls = port_calls(port)
        item["rx"], item["rx_a"] = calls.receive, calls.receive_from
        item["tx"], item["tx_a"] = calls.transmit, calls.transmit_to
        item["prepare"] = calls.prepare
        item["vf_checksums"] = port.tx_offloads & _CHECKSUMS == _CHECKSUMS
        item["vf_segments"] = bool(port.tx_offloads & ethdev.TX_TCP_TSO)

    def _fill_rings(
        self, serve: Serve, queues: Sequence[Queue], fds: Sequence[int], memory: GuestMemory
    ) -> None:
        item = self._items
        item["regions"] = memory.regions.ctypes.data
        item["n_regions"] = len(memory.regions)
        for name in ("start", "end", "delta"):
            item[f"region_{name}"] = memory.regions[0][name]
        if serve.log is not None:
            item["log"] = self._map(serve.log, fds)
            item["log_size"] = serve.log.size
        inflight = 0 if serve.inflight is None else self._map(serve.inflight, fds)
        packed = bool(serve.features & Virtio.RING_PACKED)
        for vring, queue in zip(self._vrings, queues, strict=True):
            sizes = _ring_sizes(queue, packed)
            addresses = (queue.descriptors, queue.available, queue.used)
            for name, address, size in zip(
                ("descriptors", "available", "used"), addresses, sizes, strict=True
            ):
                vring[name] = memory.host_address(address, size)
            vring["size"] = queue.size
            vring["index"] = queue.index
            vring["drain"] = not queue.enabled
            vring["ring"] = self._segment.field("rings", serve.relay, queue.index)
            vring["log_used"] = -1
            if serve.log is not None:
                # A packed ring is written where it is read; its used entries need no address of their own.
                vring["log_used"] = queue.descriptors if packed else queue.log_used
            vring["inflight"] = inflight + queue.inflight if inflight and queue.inflight >= 0 else 0
            vring["call_fd"] = -1
            if queue.call_fd >= 0:
                self._call_fds.append(os.dup(fds[queue.call_fd]))
                vring["call_fd"] = self._call_fds[-1]
        load("set_up")(self._items.ctypes.data, self._vrings.ctypes.data, len(queues))
        for fd in self._call_fds:
            # Who served the ring before may have died between giving buffers back and saying so.
            with contextlib.suppress(BlockingIOError):  # nobody has read it for 2^64 times
                os.eventfd_write(fd, 1)

    def _map(self, area: Area, fds: Sequence[int]) -> int:
        """Map memory beside the guest's; its address."""
        self._areas.append(Mapping(fds[area.fd], area.offset, area.size))
        return self._areas[-1].address

    def give_up_memory(self) -> None:
        """Stop the rings: the guest's memory is gone (its file was truncated)."""
        for vring in self._vrings:
            ring = self._segment.tables["rings"][self.key[0]][int(vring["index"])]
            ring["error"] = layout.RING_MEMORY_GONE
        self._items["n_queues"] = 0

    def close(self) -> None:
        """Give everything back; the kernels do not know the items any more."""
        if self.memory is not None:
            self.memory.release()
            self.memory = None
        while self._areas:
            self._areas.pop().close()
        if self._pool is not None:
            self._pool.flush()  # what this core's cache holds would be missing elsewhere
            self._pool = None
        while self._call_fds:
            os.close(self._call_fds.pop())
