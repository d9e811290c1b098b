"""One direction of a relay as this worker serves it: a Serve message made into records for the kernels."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

import numpy as np

from vio4wd.dpdk import ethdev, functions
from vio4wd.dpdk.members import MemberTable
from vio4wd.dpdk.mempool import Pool
from vio4wd.dpdk.ring import Ring
from vio4wd.kernels.records import ITEM, VRING
from vio4wd.kernels.ring_set_up import set_up
from vio4wd.shm import layout
from vio4wd.shm.segment import Segment
from vio4wd.vhost.features import Virtio, header_size
from vio4wd.worker.guest import GuestMemory, Mapping
from vio4wd.worker.protocol import PortRef, Queue, Serve

_CHECKSUMS = ethdev.TX_IPV4_CHECKSUM | ethdev.TX_TCP_CHECKSUM | ethdev.TX_UDP_CHECKSUM


def _ring_sizes(queue: Queue, packed: bool) -> tuple[int, int, int]:
    """Bytes of the three parts of a ring (virtio 1.2 §2.7, §2.8.10)."""
    if packed:
        return 16 * queue.size, 4, 4
    return 16 * queue.size, 6 + 2 * queue.size, 6 + 8 * queue.size


class Direction:
    """Owns what a direction needs in this process: its records, interrupts, and a share of guest memory.

    Attributes:
        key: (relay, direction).
        item: record of records.ITEM; its address goes into the loop's order.
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
        self.key = (serve.relay, serve.direction)
        self.memory = None
        self._log: Mapping | None = None
        self._pool: Pool | None = None
        self._call_fds: list[int] = []
        self._items = np.zeros(1, ITEM)
        self.item = self._items[0]
        self._vrings = np.zeros(max(len(serve.queues), 1), VRING)
        self._segment = segment
        try:
            self._fill_item(serve)
            self._attach_port(serve.port)
            if memory is not None:
                self.memory = memory.retain()
                self._fill_rings(serve, fds, memory)
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> int:
        """Of the item."""
        return int(self._items.ctypes.data)

    @property
    def has_source(self) -> bool:
        """Whether there is anything to poll: a VF, or the guest's transmit queues."""
        source = "rx" if self.key[1] == layout.VF_TO_VM else "n_queues"
        return bool(self.item[source])

    def _fill_item(self, serve: Serve) -> None:
        item = self.item
        item["relay"] = serve.relay
        item["direction"] = serve.direction
        item["counters"] = self._segment.field("directions", serve.relay, serve.direction)
        if serve.pool:
            self._pool = Pool.lookup(serve.pool)
            item["pool"] = self._pool.address
        item["packed"] = bool(serve.features & Virtio.RING_PACKED)
        item["mergeable"] = bool(serve.features & Virtio.MRG_RXBUF)
        item["event_idx"] = bool(serve.features & Virtio.RING_EVENT_IDX)
        item["header_size"] = header_size(serve.features)
        item["guest_offloads"] = bool(serve.features & Virtio.CSUM)
        item["guest_checks"] = bool(serve.features & Virtio.GUEST_CSUM)
        item["queues"] = self._vrings.ctypes.data
        item["n_queues"] = len(serve.queues)

    def _attach_port(self, port: PortRef | None) -> None:
        if port is None:
            return
        if port.kind == "ethdev":
            receive = (functions.RX_BURST, port.port_id, 0)
            transmit = (functions.TX_BURST, port.port_id, 0)
        elif port.kind == "members":
            receive = (functions.MEMBERS_RX, MemberTable.lookup(port.rx).address, 0)
            transmit = (functions.MEMBERS_TX, MemberTable.lookup(port.tx).address, 0)
        else:
            receive = (functions.RING_DEQUEUE, Ring.lookup(port.rx).address, 0)
            transmit = (functions.RING_ENQUEUE, Ring.lookup(port.tx).address, 0)
        if port.kind == "ethdev" and port.tx_offloads:
            self.item["prepare"] = functions.TX_PREPARE
        self.item["vf_checksums"] = port.tx_offloads & _CHECKSUMS == _CHECKSUMS
        self.item["vf_segments"] = bool(port.tx_offloads & ethdev.TX_TCP_TSO)
        for name, values in (("rx", receive), ("tx", transmit)):
            for field, value in zip((name, f"{name}_a", f"{name}_b"), values, strict=True):
                self.item[field] = value

    def _fill_rings(self, serve: Serve, fds: Sequence[int], memory: GuestMemory) -> None:
        item = self.item
        item["regions"] = memory.regions.ctypes.data
        item["n_regions"] = len(memory.regions)
        for name in ("start", "end", "delta"):
            item[f"region_{name}"] = memory.regions[0][name]
        if serve.log is not None:
            self._log = Mapping(fds[serve.log.fd], serve.log.offset, serve.log.size)
            item["log"] = self._log.address
            item["log_size"] = serve.log.size
        packed = bool(item["packed"])
        for vring, queue in zip(self._vrings, serve.queues, strict=False):
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
            vring["call_fd"] = -1
            if queue.call_fd >= 0:
                self._call_fds.append(os.dup(fds[queue.call_fd]))
                vring["call_fd"] = self._call_fds[-1]
        set_up(self.address, self._vrings.ctypes.data, len(serve.queues))
        for fd in self._call_fds:
            # Who served the ring before may have died between giving buffers back and saying so.
            with contextlib.suppress(BlockingIOError):  # nobody has read it for 2^64 times
                os.eventfd_write(fd, 1)

    def give_up_memory(self) -> None:
        """Stop the rings: the guest's memory is gone (its file was truncated)."""
        for vring in self._vrings[: int(self.item["n_queues"])]:
            ring = self._segment.tables["rings"][self.key[0]][int(vring["index"])]
            ring["error"] = layout.RING_MEMORY_GONE
        self.item["n_queues"] = 0

    def close(self) -> None:
        """Give everything back; the kernels do not know the item any more."""
        if self.memory is not None:
            self.memory.release()
            self.memory = None
        if self._log is not None:
            self._log.close()
            self._log = None
        if self._pool is not None:
            self._pool.flush()  # what this core's cache holds would be missing elsewhere
            self._pool = None
        while self._call_fds:
            os.close(self._call_fds.pop())
