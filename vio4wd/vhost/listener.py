"""Who serves a device: the interface between the vhost-user state machine and the relay."""

from __future__ import annotations

from typing import Protocol

from vio4wd.vhost.state import DeviceState


class Listener(Protocol):
    """Told of everything that matters to the data path; the relay in the master implements it.

    The calls for one device never overlap. Their order is

        connected  { [suspend]  { ring_position | set_ring_position }  resume }  [suspend]  disconnected

    where `suspend` comes first whenever something is in use that is about to change. From `suspend` to
    `resume` (or `disconnected`) the state changes: nothing of the device may be served, not by another
    task of the listener's either. Between `resume` and `suspend` the state does not change.
    """

    async def connected(self, peer: str) -> None:
        """A frontend is there; `peer` says who, such as "pid 4711 (qemu-system-x86)"."""

    async def suspend(self) -> None:
        """Return when no worker touches this device any more. May be called when none does."""

    async def resume(self, state: DeviceState) -> None:
        """Serve the device as `state` says from now on, also when there is no ready queue (any more).

        The file descriptors in it stay the device's: pass duplicates on (SCM_RIGHTS makes them).
        """

    async def ring_position(self, queue: int, packed: bool) -> int:
        """Where the queue was left, as GET_VRING_BASE encodes it. Only while the queue is not served."""

    async def set_ring_position(self, queue: int, base: int, packed: bool, step: int = 0) -> None:
        """Begin the queue here (encoded as in SET_VRING_BASE). Only just before `resume`.

        The listener keeps positions until they are set again or the frontend is gone.

        Args:
            step: of a packed queue: the last of a backend that died, which may not have been finished; it
                leads to `base` (`layout.RING.step`). 0: none.
        """

    async def announce(self, frame: bytes) -> None:
        """Send this Ethernet frame (a RARP) to the VF: the guest has just arrived here by migration."""

    async def disconnected(self) -> None:
        """The frontend is gone and with it memory and rings; `suspend` was called before if need was."""
