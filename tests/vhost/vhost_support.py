"""What the tests of this package share: a listener that checks the rules, and device set-up with bytes."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from vio4wd.testing.frontend import Memory
from vio4wd.vhost.device import Device
from vio4wd.vhost.features import Offer, Protocol, Virtio, offer
from vio4wd.vhost.messages import HEADER_SIZE, Header, Request, decode_reply, encode_request
from vio4wd.vhost.payloads import Nothing, Number, Payload, Regions, VringFile, VringState
from vio4wd.vhost.requests import find
from vio4wd.vhost.rings import parts
from vio4wd.vhost.state import DeviceState

T = TypeVar("T")

OFFER = offer(mergeable=True, mtu=1500)
FEATURES = int(Virtio.VERSION_1 | Virtio.PROTOCOL_FEATURES)
PACKED = FEATURES | int(Virtio.RING_PACKED)


def open_fds() -> int:
    """How many file descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def number(reply):
    """The 64-bit number of a reply."""
    _, size = decode_reply(reply[:HEADER_SIZE])
    assert size == len(reply) - HEADER_SIZE == 8
    return Number.unpack(reply[HEADER_SIZE:]).value


def state_number(reply):
    return VringState.unpack(reply[HEADER_SIZE:])


def calls(peer):
    """What the listener was told since the last time."""
    told, peer.listener.calls = peer.listener.calls, []
    return told


class RecordingListener:
    """Records what it is told and asserts what the `Listener` interface promises.

    Attributes:
        calls: names of the calls in their order.
        ready: numbers of the queues it serves.
        positions: by queue, as set; tests move them on as a worker would.
        steps: by queue, as set with the positions.
        state: as of the last resume.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.ready: list[int] = []
        self.started: list[int] = []
        self.positions: dict[int, int] = {}
        self.steps: dict[int, int] = {}
        self.frames: list[bytes] = []
        self.state: DeviceState | None = None
        self.peer = ""
        self.is_connected = False
        self.is_suspended = False

    async def connected(self, peer: str) -> None:
        assert not self.is_connected
        self.is_connected = True
        self.is_suspended = False
        self.peer = peer
        self.calls.append("connected")

    async def suspend(self) -> None:
        assert self.is_connected
        assert not self.is_suspended
        assert self.started, "there was nothing to suspend"
        self.is_suspended = True
        self.ready = []
        self.started = []
        self.calls.append("suspend")

    async def resume(self, state: DeviceState) -> None:
        assert self.is_connected
        assert self.is_suspended or not self.started
        self.is_suspended = False
        self.state = state
        self.started = [vring.index for vring in state.started_queues()]
        self.ready = [vring.index for vring in state.started_queues() if vring.enabled]
        self.calls.append("resume")
        check_state(state)
        assert set(self.started) <= set(self.positions)

    async def ring_position(self, queue: int, packed: bool) -> int:
        assert queue not in self.started
        return self.positions[queue]

    async def set_ring_position(self, queue: int, base: int, packed: bool, step: int = 0) -> None:
        assert self.is_suspended or not self.started
        assert packed or not step
        self.positions[queue] = base
        self.steps[queue] = step

    async def announce(self, frame: bytes) -> None:
        self.frames.append(frame)

    async def disconnected(self) -> None:
        assert self.is_connected
        assert not self.started
        self.is_connected = False
        self.positions = {}
        self.calls.append("disconnected")


def check_state(state: DeviceState) -> None:
    """Assert that all that a worker would use is there and lies in guest memory."""
    ends = [(region.guest_address, region.guest_address + region.size) for region in state.regions]
    for region in state.regions:
        assert region.mmap_offset + region.size <= os.fstat(region.fd).st_size
    for vring in state.started_queues():
        assert vring.size > 0
        areas = (vring.descriptors, vring.available, vring.used)
        for part, address in zip(parts(vring.size, packed=state.packed), areas, strict=True):
            assert any(start <= address and address + part.length <= end for start, end in ends)
        for fd in (vring.kick_fd, vring.call_fd, vring.err_fd):
            assert fd == -1 or os.fstat(fd)
    if state.log is not None:
        assert state.log.offset + state.log.size <= os.fstat(state.log.fd).st_size


class Peer:
    """A device with its listener, spoken to in bytes, without a socket."""

    def __init__(self, what: Offer = OFFER) -> None:
        self.listener = RecordingListener()
        self.device = Device("relay 1", what, self.listener)
        self.memory = Memory()
        self.file = -1

    def close_file(self) -> None:
        """Close the descriptor that came beside the last reply that had one (`file`)."""
        if self.file >= 0:
            os.close(self.file)
        self.file = -1

    @property
    def state(self) -> DeviceState:
        return self.device.state

    async def tell(
        self,
        request: Request,
        payload: Payload | None = None,
        fds: tuple[int, ...] = (),
        *,
        need_reply: bool = False,
    ) -> bytes | None:
        """Handle one message; the descriptors are duplicated, as the kernel does it. The reply's bytes."""
        data = encode_request(request, payload or Nothing(), need_reply=need_reply)
        header = Header.unpack(data[:HEADER_SIZE])
        spec = find(header, self.device.offer.protocol_features)
        reply = await self.device.handle(header, spec, data[HEADER_SIZE:], [os.dup(fd) for fd in fds])
        if reply is None:
            return None
        if reply.fd >= 0:
            self.close_file()
            self.file = reply.fd
        return reply.data

    async def share(self, memory: Memory | None = None) -> None:
        memory = memory or self.memory
        await self.tell(Request.SET_MEM_TABLE, Regions((memory.region,)), (memory.fd,))

    async def negotiate(self, features: int = FEATURES, protocol: int = int(Protocol.MQ)) -> None:
        await self.tell(Request.SET_PROTOCOL_FEATURES, Number(protocol))
        await self.tell(Request.SET_FEATURES, Number(features))
        await self.share()

    async def start_queue(
        self, index: int, size: int = 256, *, base: int = 0, packed: bool = False, enable: bool = True
    ) -> None:
        await self.tell(Request.SET_VRING_NUM, VringState(index, size))
        await self.tell(Request.SET_VRING_BASE, VringState(index, base))
        await self.tell(Request.SET_VRING_ADDR, self.memory.ring(index, size, packed=packed))
        fd = os.eventfd(0)
        try:
            await self.tell(Request.SET_VRING_CALL, VringFile(index, no_fd=False), (fd,))
            await self.tell(Request.SET_VRING_KICK, VringFile(index, no_fd=False), (fd,))
        finally:
            os.close(fd)
        if enable:
            await self.tell(Request.SET_VRING_ENABLE, VringState(index, 1))


def with_device(test: Callable[[Peer], Coroutine[Any, Any, None]], what: Offer = OFFER) -> Peer:
    """Run a test against a fresh device and see that nothing is left open behind it."""
    before = open_fds()
    peer = Peer(what)

    async def run() -> None:
        await peer.listener.connected("a test")
        try:
            await test(peer)
        finally:
            await peer.device.close()
            peer.memory.close()
            peer.close_file()

    # Asyncio keeps descriptors of its own while it runs.
    asyncio.run(run())
    assert open_fds() == before
    return peer


class LoopThread:
    """An event loop in a thread, for backends that blocking frontends of a test talk to."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something there and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
