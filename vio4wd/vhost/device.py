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
from vio4wd.vhost.listener import Listener
from vio4wd.vhost.messages import Header, encode_reply
from vio4wd.vhost.payloads import Number, Payload
from vio4wd.vhost.requests import Spec, Touches
from vio4wd.vhost.rings import Vring
from vio4wd.vhost.state import DeviceState

_log = logging.getLogger(__name__)

#: Refused requests after which a frontend is no longer believed to mean well.
_MAX_REFUSALS: Final = 64
#: Queues of a frontend that did not negotiate more: one pair.
_QUEUES_WITHOUT_MQ: Final = 2

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

    async def handle(self, header: Header, spec: Spec, data: bytes, fds: list[int]) -> bytes | None:
        """Do what a message says.

        Args:
            header, spec, data: the message, its entry in the table of requests, its payload.
            fds: descriptors that came with it; all of them are taken over, and the list is emptied.

        Returns:
            The bytes of the reply, if it gets one.

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
            return encode_reply(header.request, reply) if header.need_reply else None
        finally:
            close_all(fds)
            fds.clear()
        if reply is None and header.need_reply:
            reply = Number(0)
        return None if reply is None else encode_reply(header.request, reply)

    async def _handle(self, header: Header, spec: Spec, data: bytes, fds: list[int]) -> Payload | None:
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
        vring.stop()
        return vring.base

    async def _suspend(self) -> None:
        await self.listener.suspend()
        self._suspended = True

    async def _set_position(self, vring: Vring, base: int) -> None:
        """Hand the position that the frontend gave on to the listener.

        For a split ring the used ring in guest memory has the last word: a backend that died, and whose
        place we take, may have left more behind than the frontend knows. What was taken from the ring but
        not given back is then taken again.
        """
        if not self.state.packed:
            used = self.state.memory.read_u16(vring.used + 2)
            if used is not None and used != base & 0xFFFF:
                _log.info(
                    "%s: queue %d begins at %d, where its used ring stands, not at %d",
                    *(self.name, vring.index, used, base),
                )
                base = used
        await self.listener.set_ring_position(vring.index, base, self.state.packed)
        vring.base = None

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
        return (state.features, state.memory_number, state.log, queues) if queues else ()
