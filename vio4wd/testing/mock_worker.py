"""A worker without a process: one direction of one relay, served by the real kernels.

worker = MockWorker(VM_TO_VF, [guest], pool, port)
guest.send(frame)
guest.publish()
worker.run()
port.sent()
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from vio4wd.kernels.machine_code import load
from vio4wd.kernels.records import CONTEXT, ITEM, REGION, SCRATCH_SIZE, VRING
from vio4wd.shm import layout
from vio4wd.shm.inflight import PACKED_HEADER
from vio4wd.testing.guest_memory import GUARD, PATTERN, OutOfBoundsError
from vio4wd.testing.mock_guest import MockGuest
from vio4wd.testing.mock_pool import ALLOC_BULK, FREE_BULK, RX_BURST, TX_BURST, MockPool, MockPort
from vio4wd.testing.resource import Resource

_run = load("run")
_set_up = load("set_up")


def _address(name: str) -> int:
    """Of a function of the C library."""
    return int(ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value or 0)


class MockWorker(Resource):
    """What kernels work on, for one direction. close() it, or use it in a `with`.

    Args:
        direction: layout.VF_TO_VM or layout.VM_TO_VF.
        guests: one for each queue, of the same options and the same memory; none: no guest is connected.
        port: the VF; None (VM->VF only): there is none.
        offloads: fields of records.ITEM that say who may ask for and who can do what.
        interrupts: give each queue an eventfd.
        log_size: bytes of a dirty bitmap, 0: nothing is logged.
        tracked: the guests' frontend keeps in-flight memory.

    Attributes:
        rings: records of layout.RING, one a queue.
        counters: the record of layout.DIRECTION.
        log: the dirty bitmap.
        inflight: for each queue the header of its part of the in-flight memory, as bytes (`shm.inflight`).
    """

    def __init__(
        self,
        direction: int,
        guests: Sequence[MockGuest],
        pool: MockPool,
        port: MockPort | None,
        *,
        offloads: Mapping[str, int] = MappingProxyType({}),
        interrupts: bool = False,
        log_size: int = 0,
        tracked: bool = False,
    ) -> None:
        self.rings = np.zeros(len(guests), layout.RING)
        self.counters = np.zeros(1, layout.DIRECTION)[0]
        self._log_block = _guarded(log_size)
        self.log = self._log_block[:log_size]
        self.inflight = np.zeros((len(guests), PACKED_HEADER), np.uint8)
        self._guests = guests  # whose memory the records point to
        self._eventfds = [os.eventfd(0, os.EFD_NONBLOCK) for _ in guests] if interrupts else []
        self._one = np.ones(1, np.int64)
        self._scratch = _guarded(SCRATCH_SIZE)
        self._worker = np.zeros(1, layout.WORKER)
        self._doorbell = np.zeros(1, np.int64)
        self._vrings = np.zeros(len(guests), VRING)
        for index, guest in enumerate(guests):
            self._set_up_queue(index, guest, direction)
            if tracked:
                self._vrings[index]["inflight"] = self.inflight[index].ctypes.data
        self._regions = _regions(guests[0]) if guests else np.zeros(0, REGION)
        self._item = np.zeros(1, ITEM)
        self._order = np.array([self._item.ctypes.data], np.int64)
        self._context = np.zeros(1, CONTEXT)
        self._set_up_item(direction, guests, pool, port)
        _fill(self._item[0], **offloads)
        _fill(
            self._context[0],
            alloc=ALLOC_BULK,
            free=FREE_BULK,
            write=_address("write"),
            sleep=_address("usleep"),
            one=self._one.ctypes.data,
            scratch=self._scratch.ctypes.data,
            worker=self._worker.ctypes.data,
            doorbell=self._doorbell.ctypes.data,
            order=self._order.ctypes.data,
            n_items=1,
            n_hot=1,
        )

    def run(self, rounds: int = 1) -> int:
        """Let the worker poll so many times; returns the packets and chains it took."""
        before = int(self._worker[0]["packets"])
        for _ in range(rounds):
            _run(self._context.ctypes.data, 0, 0)
        return int(self._worker[0]["packets"]) - before

    def adopt(self, others: Sequence[MockWorker]) -> None:
        """Serve their directions as well; they must not run any more."""
        workers = [self, *others]
        self._others = workers  # whose memory the records point to
        self._order = np.array([worker._item.ctypes.data for worker in workers], np.int64)
        _fill(
            self._context[0], order=self._order.ctypes.data, n_items=len(workers), n_hot=len(workers), cold=0
        )

    def account(self) -> np.void:
        """The worker's record of layout.WORKER."""
        record: np.void = self._worker[0]
        return record

    def may_sleep(self, longest: int) -> None:
        """Let the worker sleep for up to so many microseconds when nothing moves; 0: never."""
        self._context[0]["sleep_us"] = longest

    def drain(self, queue: int = 0) -> None:
        """Treat a queue as started but disabled from now on."""
        self._vrings[queue]["drain"] = 1

    def set_up(self) -> None:
        """Tell the guests that their rings are served, as a worker does that takes a direction over."""
        _set_up(self._item.ctypes.data, self._vrings.ctypes.data, int(self._item[0]["n_queues"]))

    def run_until_stopped(self) -> None:
        """Poll until another thread calls `stop`, without the GIL."""
        _run(self._context.ctypes.data, 0, 2**62)

    def stop(self) -> None:
        """End `run_until_stopped`."""
        self._doorbell[0] = 1

    def interrupts(self, queue: int = 0) -> int:
        """Interrupts of a queue since the last call."""
        try:
            return os.eventfd_read(self._eventfds[queue])
        except BlockingIOError:
            return 0

    def check(self) -> None:
        """Raise OutOfBoundsError if kernels wrote behind their working space or the dirty bitmap."""
        for name, block in (("working space", self._scratch), ("dirty bitmap", self._log_block)):
            if (block[-GUARD:] != PATTERN).any():
                raise OutOfBoundsError(f"bytes behind the {name} were overwritten")

    def close(self) -> None:
        """Close the eventfds."""
        while self._eventfds:
            os.close(self._eventfds.pop())

    def _set_up_queue(self, index: int, guest: MockGuest, direction: int) -> None:
        driver = guest.receive_ring if direction == layout.VF_TO_VM else guest.transmit_ring
        start = driver.start
        _fill(
            self.rings[index],
            last_avail=start.last_avail,
            used=start.used,
            avail_wrap=start.avail_wrap,
            used_wrap=start.used_wrap,
            signalled=-1,
        )
        descriptors, available, used = driver.host_addresses()
        _fill(
            self._vrings[index],
            descriptors=descriptors,
            available=available,
            used=used,
            size=driver.size,
            ring=self.rings.ctypes.data + index * layout.RING.itemsize,
            call_fd=self._eventfds[index] if self._eventfds else -1,
            log_used=_log_used(driver.packed, driver.descriptors, driver.used) if len(self.log) else -1,
            index=2 * index + direction,
        )

    def _set_up_item(
        self, direction: int, guests: Sequence[MockGuest], pool: MockPool, port: MockPort | None
    ) -> None:
        _fill(
            self._item[0],
            direction=direction,
            rx=RX_BURST if port else 0,
            rx_a=port.address if port else 0,
            tx=TX_BURST if port else 0,
            tx_a=port.address if port else 0,
            pool=pool.address,
            queues=self._vrings.ctypes.data,
            n_queues=len(guests),
            regions=self._regions.ctypes.data,
            n_regions=len(self._regions),
            log=self.log.ctypes.data if len(self.log) else 0,
            log_size=len(self.log),
            counters=self.counters.__array_interface__["data"][0],
        )
        if guests:
            driver = guests[0].receive_ring
            _fill(
                self._item[0],
                packed=int(driver.packed),
                mergeable=int(guests[0].mergeable),
                event_idx=int(driver.event_index),
                header_size=guests[0].header_size,
            )


def _guarded(size: int) -> npt.NDArray[np.uint8]:
    """An array of `size` zeros and a guard."""
    block = np.zeros(size + GUARD, np.uint8)
    block[size:] = PATTERN
    return block


def _log_used(packed: bool, descriptors: int, used: int) -> int:
    """Where the device writes used entries."""
    return descriptors if packed else used


def _regions(guest: MockGuest) -> npt.NDArray[np.void]:
    rows = [
        (region.guest_address, region.guest_end, region.host_address - region.guest_address)
        for region in guest.memory.regions
    ]
    return np.array(rows, REGION)


def _fill(record: np.void, **values: int) -> None:
    for name, value in values.items():
        record[name] = value
