"""Port control by OVSDB: what interfaces wish for is what is attached.

`external_ids:virtio_forwarder=N` on an interface asks for its device on relay N. The wishes as they are are
compared with what this monitor attached, whatever happened in between: rows that came, changed or went,
keys that were removed, a server that was away. What cannot be done is logged once and tried again with the
next change and every few seconds, for a network device may still come and a relay become free.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

from vio4wd.control.controller import ControlError, Controller
from vio4wd.control.netdev import NetdevError, resolve
from vio4wd.control.ovsdb_idl import KEYS, Credentials, InterfaceFollower
from vio4wd.limits import MAX_RELAYS

_log = logging.getLogger(__name__)

#: Seconds after which wishes that could not be granted are tried again.
RETRY: Final = 5.0


class OvsdbMonitor:
    """Follows a server from `start` to `close`, in the event loop that starts it."""

    def __init__(
        self,
        controller: Controller,
        remote: str,
        credentials: Credentials | None = None,
        root: Path = Path("/"),
    ) -> None:
        """`remote` as in `InterfaceFollower`; `root`: where /sys is."""
        self._controller = controller
        self._remote = remote
        self._credentials = credentials
        self._root = root
        self._wishes: dict[str, str] | None = None  # None: never heard from the server
        self._attached: dict[str, tuple[str, int]] = {}  # interface -> device and relay
        self._complaints: dict[str, str] = {}  # interface -> what was logged last
        self._heard = asyncio.Event()
        self._follower: InterfaceFollower | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to follow; the server need not be there yet."""
        loop = asyncio.get_running_loop()

        def changed(wishes: dict[str, str]) -> None:
            loop.call_soon_threadsafe(self._hear, wishes)

        self._follower = InterfaceFollower(self._remote, self._credentials, changed)
        self._task = asyncio.create_task(self._reconcile_for_ever(), name="ovsdb")
        self._follower.start()

    async def close(self) -> None:
        """Follow no more. What was attached stays so."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._follower is not None:
            await asyncio.to_thread(self._follower.stop)
            self._follower = None

    def _hear(self, wishes: dict[str, str]) -> None:
        self._wishes = wishes
        self._heard.set()

    async def _reconcile_for_ever(self) -> None:
        while True:
            try:
                async with asyncio.timeout(RETRY if self._complaints else None):
                    await self._heard.wait()
            except TimeoutError:
                pass
            self._heard.clear()
            try:
                await self._reconcile()
            except Exception:
                _log.exception("OVSDB: fault while following the interfaces")
                await asyncio.sleep(RETRY)
                self._heard.set()

    async def _reconcile(self) -> None:
        """Detach what is not wished for, then attach what is: an interface may take the place of another."""
        wishes = self._wishes or {}
        for interface, (device, relay) in list(self._attached.items()):
            if _relay(wishes.get(interface)) != relay:
                await self._detach(interface, device, relay)
        for interface in self._complaints.keys() - wishes.keys() - self._attached.keys():
            del self._complaints[interface]
        for interface, wish in sorted(wishes.items()):
            if interface not in self._attached:
                await self._attach(interface, wish)

    async def _attach(self, interface: str, wish: str) -> None:
        relay = _relay(wish)
        if relay is None:
            self._complain(interface, f"{KEYS[0]}={wish!r} is no relay: relays are 0 to {MAX_RELAYS - 1}")
            return
        try:
            device = resolve(interface, self._root).device
            await self._controller.add((device,), relay, True, None, 0)
        except NetdevError as error:
            self._complain(interface, str(error))
        except ControlError as error:
            self._complain(interface, error.message)
        else:
            self._attached[interface] = (device, relay)
            self._complaints.pop(interface, None)
            _log.info("OVSDB: interface %s: %s is attached to relay %d", interface, device, relay)

    async def _detach(self, interface: str, device: str, relay: int) -> None:
        try:
            await self._controller.remove((device,), relay, True, None)
        except ControlError as error:
            self._complain(interface, error.message)
        else:
            del self._attached[interface]
            self._complaints.pop(interface, None)
            _log.info("OVSDB: interface %s: %s is detached from relay %d", interface, device, relay)

    def _complain(self, interface: str, message: str) -> None:
        if self._complaints.get(interface) != message:
            _log.error("OVSDB: interface %s: %s", interface, message)
        self._complaints[interface] = message


def _relay(wish: str | None) -> int | None:
    """The relay that an interface's words name, None: none."""
    if wish is None or not (wish.isascii() and wish.isdigit() and len(wish) <= 4):
        return None
    return int(wish) if int(wish) < MAX_RELAYS else None
