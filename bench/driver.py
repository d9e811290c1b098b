"""A guest driver for measurements: it offers the same buffers over and over, at next to no cost.

Split rings need only a new available index; of a packed ring the descriptors are written anew. The
buffers never change, so all figures are those of warm caches and of one core alone.
"""

from __future__ import annotations

import numpy as np

from bench.rounds import rounds
from vio4wd.kernels.records import CONTEXT, ITEM, REGION, SCRATCH_SIZE, VRING
from vio4wd.limits import MAX_LANES
from vio4wd.shm import layout

_GUEST_BASE = 0x1_0000_0000
_WRITE = 2


class Bed:
    """One queue of a guest and the item that serves it.

    Args:
        length: bytes of each packet.
        functions: addresses (rx, rx argument, tx, tx argument, pool, alloc, free, write).
        buffers: buffers of 2 KiB that each packet takes, VF->VM with mergeable buffers; 1: it fits one.
    """

    def __init__(
        self,
        direction: int,
        *,
        packed: bool,
        length: int,
        functions: tuple[int, ...],
        size: int = 256,
        header_size: int = 12,
        mergeable: bool = False,
        buffers: int = 1,
    ) -> None:
        rx, rx_a, tx, tx_a, pool, alloc, free, write = functions
        stride = 2048 if length < 2000 or buffers > 1 else 16384
        room = 65536
        self._memory = np.zeros(room + size * stride + 4096, np.uint8)
        host = -(-self._memory.ctypes.data // 4096) * 4096
        delta = host - _GUEST_BASE
        self._tables = np.zeros(1, layout.TABLES)
        self._regions = np.zeros(1, REGION)
        self._regions[0] = (_GUEST_BASE, _GUEST_BASE + room + size * stride, delta)
        start = host - self._memory.ctypes.data
        descriptors = self._memory[start : start + 16 * size].view(np.int64).reshape(size, 2)
        available = self._memory[start + 32768 : start + 32768 + 4 + 2 * size].view(np.uint16)
        available[0] = 1  # no interrupts
        available[2:] = np.arange(size)
        descriptors[:, 0] = _GUEST_BASE + room + stride * np.arange(size)
        flags = _WRITE if direction == layout.VF_TO_VM else 0
        capacity = stride if flags else header_size + length
        descriptors[:, 1] = capacity | flags << 32
        self._driver = np.zeros(8, np.int64)
        self._driver[:7] = (host, host + 32768, size, direction, capacity | flags << 48, 0, 1)
        if packed:
            descriptors[:, 1] = 0
            available[0], available[1] = 0, 1  # RING_EVENT_FLAGS_DISABLE
        ring = self._tables["rings"][0, 0, 0]
        ring["avail_wrap"] = ring["used_wrap"] = 1
        ring["signalled"] = -1
        base = self._tables.ctypes.data
        rings, directions = (layout.TABLES.fields[name][1] for name in ("rings", "directions"))  # type: ignore[index]
        self._vring = np.zeros(1, VRING)
        self._vring[0]["descriptors"] = host
        self._vring[0]["available"] = host + 32768
        self._vring[0]["used"] = host + 49152
        self._vring[0]["size"] = size
        self._vring[0]["ring"] = base + rings
        self._vring[0]["call_fd"] = self._vring[0]["log_used"] = -1
        self._item = np.zeros(1, ITEM)
        item = self._item[0]
        item["direction"] = direction
        item["rx"], item["rx_a"], item["tx"], item["tx_a"], item["pool"] = rx, rx_a, tx, tx_a, pool
        item["packed"], item["mergeable"], item["header_size"] = packed, mergeable, header_size
        item["queues"], item["n_queues"] = self._vring.ctypes.data, 1
        item["regions"], item["n_regions"] = self._regions.ctypes.data, 1
        item["region_start"], item["region_end"], item["region_delta"] = self._regions[0]
        item["counters"] = base + directions + direction * MAX_LANES * layout.DIRECTION.itemsize
        self._scratch = np.zeros(SCRATCH_SIZE + 4096, np.uint8)
        self._context = np.zeros(1, CONTEXT)
        context = self._context[0]
        context["alloc"], context["free"], context["write"] = alloc, free, write
        context["scratch"] = -(-self._scratch.ctypes.data // 4096) * 4096
        self._packed = int(packed)
        self._buffers = buffers
        self.counters = self._tables["directions"][0, 0, direction, 0]
        self.ring = ring

    def arguments(self, burst: int, count: int) -> tuple[int, ...]:
        """What `rounds` takes for `count` bursts of `burst` packets; for who wants to call it himself."""
        addresses = (self._context, self._item, self._driver)
        context, item, driver = (int(array.ctypes.data) for array in addresses)
        return context, item, driver, self._packed, burst * self._buffers, count

    def run(self, burst: int, count: int) -> int:
        """Cycles of `count` bursts of `burst` packets.

        Raises:
            RuntimeError: the counters say that other things happened than packets that moved.
        """
        before = self._moved()
        spent = int(rounds(*self.arguments(burst, count)))
        moved = self._moved() - before
        if moved != burst * count or self.ring["error"]:
            raise RuntimeError(f"{moved} of {burst * count} packets moved, ring error {self.ring['error']}")
        return spent

    def _moved(self) -> int:
        return int(self.counters["packets_out"]) + int(self.counters["dropped_full"])
