"""The state machine of one virtio device: messages in, replies out, the listener told in between.

Theory of operation. A message is handled in three steps: it is checked; if it touches what is being
served, the listener is suspended; then the state changes. The listener is resumed only when the
frontend has nothing more to say for now (`settle`), because frontends talk in volleys: some ten messages
a queue that leave a whole device set up. So a volley costs one interruption and not one a message.

What may never happen: the state changes under a listener that serves it; a file descriptor is left open
when its message fails; a message that fails has changed anything.
"""

from __future__ import annotations

import logging
from typing import Final

from vio4wd.vhost.errors import RefusedError, ViolationError
from vio4wd.vhost.fds import close_all
from vio4wd.vhost.features import Offer, Protocol
from vio4wd.vhost.inflight import check_step
from vio4wd.vhost.listener import Listener
from vio4wd.vhost.messages import Header, Reply, encode_reply
from vio4wd.vhost.payloads import Number, Payload, WithFile
from vio4wd.vhost.requests import Spec, Touches
from vio4wd.vhost.rings import Vring
from vio4wd.vhost.state import DeviceState

_log = logging.getLogger(__name__)

#: Refused requests after which a frontend is no longer believed to mean well.
_MAX_REFUSALS: Final = 64
#: Queues of a frontend that did not negotiate more: one pair.
_QUEUES_WITHOUT_MQ: Final = 2

#: Position of a packed ring that is new, with and without its upper half.
_NEW_PACKED: Final = (0x8000_8000, 0x8000)
#: Flag of a packed descriptor; in the first lap only the device sets it (virtio 1.3 §2.8.1).
_USED: Final = 0x8000

#: What of the state the listener serves; it must hear of it when this changes.
View = tuple[object, ...]


class Device:
    """A device from the frontend's arrival to its end.

    Attributes:
        name: of the relay, for log lines.
        offer: what the frontend may negotiate.
        listener: who serves the device.
        state: what the frontend has set up.
    """

    def __init__(self, name: str, offer: Offer, listener: Listener) -> None:
        self.name = name
        self.offer = offer
        self.listener = listener
        self.state = DeviceState()
        self._suspended = False
        self._served: View = ()
        self._queues_served: frozenset[int] = frozenset()
        self._faults_told = [""] * len(self.state.vrings)
        self._refusals = 0

    async def handle(self, header: Header, spec: Spec, data: bytes, fds: list[int]) -> Reply | None:
        """Do what a message says.

        Args:
            header, spec, data: the message, its entry in the table of requests, its payload.
            fds: descriptors that came with it; all of them are taken over, and the list is emptied.

        Returns:
            The reply, if it gets one.

        Raises:
            ViolationError: the connection must be closed.
        """
        try:
            reply = await self._handle(header, spec, data, fds)
        except RefusedError as refusal:
            self._refusals += 1
            if self._refusals > _MAX_REFUSALS:
                raise ViolationError(f"{_MAX_REFUSALS} requests were refused, the last: {refusal}") from None
            _log.warning("%s: %s refused: %s", self.name, header.name, refusal)
            reply = Number(1)
            return Reply(encode_reply(header.request, reply)) if header.need_reply else None
        finally:
            close_all(fds)
            fds.clear()
        if reply is None and header.need_reply:
            reply = Number(0)
        if isinstance(reply, WithFile):
            return Reply(encode_reply(header.request, reply.payload), reply.fd)
        return None if reply is None else Reply(encode_reply(header.request, reply))

    async def _handle(
        self, header: Header, spec: Spec, data: bytes, fds: list[int]
    ) -> Payload | WithFile | None:
        if not spec.min_fds <= len(fds) <= spec.max_fds:
            raise ViolationError(f"{header.name} with {len(fds)} descriptors")
        payload = spec.payload.unpack(data)
        _log.debug("%s: %s %s, %d descriptors", self.name, header.name, payload, len(fds))
        if spec.touches is Touches.RING:
            touched = self.queue(payload.index).index in self._queues_served  # type: ignore[attr-defined]
        else:
            touched = spec.touches is Touches.DEVICE and bool(self._queues_served)
        if touched and not self._suspended:
            await self._suspend()
        reply = await spec.handler(self, payload, fds)
        self.state.place_rings()
        return reply

    async def settle(self) -> None:
        """Have the device served as it is set up now: the frontend has nothing more to say for the moment."""
        self._tell_faults()
        view = self._view()
        if not self._suspended:
            if view == self._served:
                return
            if self._queues_served:
                await self._suspend()
        queues = self.state.started_queues()
        for vring in queues:
            if vring.base is not None:
                await self._set_position(vring, vring.base)
        await self.listener.resume(self.state)
        self._served = self._view()
        self._queues_served = frozenset(vring.index for vring in queues)
        self._suspended = False

    async def close(self) -> None:
        """End of the device: the listener serves it no longer, all descriptors are closed."""
        try:
            if self._queues_served and not self._suspended:
                await self._suspend()
        finally:
            self.state.close()
            self._queues_served = frozenset()
            await self.listener.disconnected()

    def queue(self, index: int) -> Vring:
        """The queue of this number.

        Raises:
            ViolationError: the frontend did not negotiate as many.
        """
        multiple = self.state.protocol_features & Protocol.MQ
        limit = 2 * self.offer.queue_pairs if multiple else _QUEUES_WITHOUT_MQ
        if index >= limit:
            raise ViolationError(f"queue {index} of {limit}")
        return self.state.vrings[index]

    async def stop(self, vring: Vring) -> int:
        """Stop a queue; the position it was left at, as GET_VRING_BASE encodes it."""
        if vring.base is None:
            vring.base = await self.listener.ring_position(vring.index, self.state.packed)
        self.forget_position(vring)
        vring.stop()
        return vring.base

    def forget_position(self, vring: Vring) -> None:
        """The frontend ends a queue in order: where it stood must not be found in the in-flight memory."""
        if vring.started and self.state.inflight is not None:
            self.state.inflight.forget(vring.index)

    async def _suspend(self) -> None:
        await self.listener.suspend()
        self._suspended = True

    async def _set_position(self, vring: Vring, base: int) -> None:
        """Hand the position that the frontend gave on to the listener.

        A backend that died, and whose place we take, may have left more behind than the frontend knows. So
        the used ring in guest memory has the last word for a split ring, and for a packed one what the
        backend noted, if the frontend kept it. What was taken from the ring but not given back is then
        taken again.
        """
        step = 0
        found = self._noted(vring) if self.state.packed else self._used_index(vring)
        if found is not None:
            place, step = found
            # Some frontends know only one half of a packed ring's position, the lower.
            if (place ^ base) & 0xFFFF:
                _log.info("%s: queue %d begins at %#x, not at %#x", self.name, vring.index, place, base)
                base = place
        await self.listener.set_ring_position(vring.index, base, self.state.packed, step)
        vring.base = None

    def _used_index(self, vring: Vring) -> tuple[int, int] | None:
        used = self.state.memory.read_u16(vring.used + 2)
        return None if used is None else (used, 0)

    def _noted(self, vring: Vring) -> tuple[int, int] | None:
        """What the backend before noted of a packed ring: position and step as `inflight.check_step`."""
        inflight = self.state.inflight
        step = inflight.step(vring.index, vring.size) if inflight is not None else None
        if step is None:
            self._doubt(vring)
            return None
        found = check_step(step, vring.size)
        if found is None:
            _log.warning("%s: queue %d: its in-flight memory makes no sense", self.name, vring.index)
        return found

    def _doubt(self, vring: Vring) -> None:
        """Tell if a packed ring is to begin at its start although it was in use."""
        ends = (vring.descriptors, vring.descriptors + 16 * (vring.size - 1))
        flags = [self.state.memory.read_u16(descriptor + 14) or 0 for descriptor in ends]
        if vring.base in _NEW_PACKED and any(one & _USED for one in flags):
            _log.warning(
                "%s: queue %d is to begin at its start, but its packed ring was in use; unless the backend"
                " before stopped right there, the guest must set its device up anew",
                *(self.name, vring.index),
            )

    def _tell_faults(self) -> None:
        faults = [vring.fault for vring in self.state.vrings]
        for queue, (fault, told) in enumerate(zip(faults, self._faults_told, strict=True)):
            if fault and fault != told:
                _log.warning("%s: queue %d is not served: %s", self.name, queue, fault)
        self._faults_told = faults

    def _view(self) -> View:
        state = self.state
        queues = tuple(
            (
                *(vring.index, vring.size, vring.descriptors, vring.available, vring.used),
                *(vring.log_used, vring.call_fd, vring.enabled),
            )
            for vring in state.started_queues()
        )
        served = (state.features, state.memory_number, state.log, state.inflight, queues)
        return served if queues else ()
