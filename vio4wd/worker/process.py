"""A worker's life: requests of the master in between, the kernels for the rest of the time.

The kernel returns when the doorbell rings or a time slice is over. Being back in Python is what makes
changes safe: no burst is under way, so directions come and go without a lock.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import select
import socket
from typing import Final

import numpy as np

from vio4wd.dpdk import functions
from vio4wd.dpdk.errors import DpdkError
from vio4wd.kernels.machine_code import load
from vio4wd.kernels.records import CONTEXT, SCRATCH_SIZE
from vio4wd.limits import MAX_LANES, MAX_RELAYS
from vio4wd.shm import layout
from vio4wd.shm.clock import cycles
from vio4wd.shm.segment import Segment, process_start_time
from vio4wd.worker.direction import Direction
from vio4wd.worker.guest import GuestMemory, GuestMemoryError
from vio4wd.worker.protocol import MAX_FDS, MAX_MESSAGE, Release, Reply, Serve, Stop, decode, encode

log = logging.getLogger(__name__)

#: Longest stay in the kernel, seconds.
TIME_SLICE: Final = 0.1
#: Longest sleep of a worker whose relays are silent, microseconds: a packet waits no longer than this. Each
#: costs some ten microseconds of CPU time in a virtual machine.
ADAPTIVE_SLEEP_US: Final = 500

_SCRATCH_ALIGNMENT = 4096


def _write_address() -> int:
    """Address of write(2) in this process."""
    return ctypes.cast(ctypes.CDLL(None).write, ctypes.c_void_p).value or 0


class Worker:
    """Serves directions in slot `slot` of the tables until the master says stop or goes away.

    Args:
        channel: connected to the master; owned from now on.
        adaptive: sleep when nothing moves, instead of polling on.
    """

    def __init__(self, segment: Segment, slot: int, channel: socket.socket, *, adaptive: bool) -> None:
        self._run = load("run")
        self._segment = segment
        self._channel = channel
        self._control = segment.tables["control"][slot]
        self._record = segment.tables["workers"][slot]
        self._directions: dict[tuple[int, int, int], Direction] = {}
        self._memories: dict[tuple[int, int], GuestMemory] = {}
        self._one = np.ones(1, np.int64)
        self._scratch = np.zeros(SCRATCH_SIZE + _SCRATCH_ALIGNMENT, np.uint8)
        self._order = np.zeros(2 * MAX_RELAYS * MAX_LANES, np.int64)
        self._contexts = np.zeros(1, CONTEXT)
        context = self._context = self._contexts[0]
        context["alloc"] = functions.ALLOC_BULK
        context["free"] = functions.FREE_BULK
        context["sleep"] = functions.SLEEP_US
        context["write"] = _write_address()
        context["one"] = self._one.ctypes.data
        context["scratch"] = -(-self._scratch.ctypes.data // _SCRATCH_ALIGNMENT) * _SCRATCH_ALIGNMENT
        context["worker"] = segment.field("workers", slot)
        context["doorbell"] = segment.field("control", slot, "doorbell")
        context["order"] = self._order.ctypes.data
        context["sleep_us"] = ADAPTIVE_SLEEP_US if adaptive else 0
        self._slice = int(int(segment.tables["header"]["tsc_hz"]) * TIME_SLICE)

    def announce(self, cpu: int, numa_node: int) -> None:
        """Write who we are into the tables; from now on the master sends requests."""
        record = self._record
        record["pid"] = os.getpid()
        record["start_time"] = process_start_time(os.getpid())
        record["cpu"] = cpu
        record["numa_node"] = numa_node
        record["heartbeat"] = cycles()
        record["state"] = layout.WORKER_RUNNING

    def serve(self) -> None:
        """Work until the master says stop or closes the channel."""
        self._channel.setblocking(False)
        while True:
            seen = int(self._control["doorbell"])
            if not self._answer_all():
                break
            if self._directions:
                self._run(int(self._contexts.ctypes.data), seen, cycles() + self._slice)
                self._check_memories()
            else:
                self._wait()
        for key in list(self._directions):
            self._release(key)
        self._record["state"] = layout.WORKER_STOPPED
        self._channel.close()

    def _wait(self) -> None:
        """Sleep until the master writes; a worker without directions costs nothing."""
        began = cycles()
        select.select([self._channel], [], [], 10 * TIME_SLICE)
        now = cycles()
        self._record["heartbeat"] = now
        self._record["total_cycles"] += now - began
        self._record["idle_cycles"] += now - began

    def _answer_all(self) -> bool:
        """Carry out what the master asked for; false: we are to end."""
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._channel, MAX_MESSAGE, MAX_FDS)
            except BlockingIOError:
                return True
            except ConnectionResetError:
                return False
            try:
                if not data:
                    return False  # the master is gone
                request = decode(data)
                error = self._carry_out(request, fds)
            finally:
                for fd in fds:
                    os.close(fd)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._channel.send(encode(Reply(error)))
            if isinstance(request, Stop):
                return False

    def _carry_out(self, request: object, fds: list[int]) -> str:
        """Do one request; the reason if it failed, with nothing changed then but the direction released."""
        match request:
            case Serve():
                self._release((request.relay, request.direction, request.lane))
                try:
                    self._serve(request, fds)
                except (GuestMemoryError, DpdkError, OSError) as error:
                    return str(error)
            case Release():
                self._release((request.relay, request.direction, request.lane))
            case Stop():
                for key in list(self._directions):
                    self._release(key)
        return ""

    def _serve(self, request: Serve, fds: list[int]) -> None:
        memory = None
        if request.queues:
            key = (request.relay, request.memory)
            memory = self._memories.get(key) or GuestMemory(request.regions, fds)
            memory.retain()  # for as long as it takes, in case the direction cannot be made
            self._memories[key] = memory
        try:
            direction = Direction(request, fds, memory, self._segment)
        finally:
            if memory is not None:
                memory.release()
            self._forget_memories()
        self._directions[direction.key] = direction
        self._renew_order()

    def _release(self, key: tuple[int, int, int]) -> None:
        direction = self._directions.pop(key, None)
        if direction is not None:
            self._renew_order()
            direction.close()
            self._forget_memories()

    def _forget_memories(self) -> None:
        for key, memory in list(self._memories.items()):
            if not memory.in_use:
                del self._memories[key]

    def _renew_order(self) -> None:
        """Give the kernels what there is to poll at present, all of it hot."""
        polled = [address for direction in self._directions.values() for address in direction.polled]
        self._order[: len(polled)] = polled
        self._context["n_items"] = len(polled)
        self._context["n_hot"] = len(polled)
        self._record["items"] = len(self._directions)

    def _check_memories(self) -> None:
        for memory in {id(m): m for m in self._memories.values() if m.gone}.values():
            for direction in self._directions.values():
                if direction.memory is memory:
                    log.error(
                        "relay %d: the guest's memory file was truncated; its rings are stopped",
                        direction.key[0],
                    )
                    direction.give_up_memory()
