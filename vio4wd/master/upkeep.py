"""What the master does every second: load, link, driver counters, free mbufs, and rings that have stopped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from vio4wd.dpdk.errors import DpdkError
from vio4wd.master.devices import DeviceThread
from vio4wd.master.placement import Placement
from vio4wd.master.relay import Relay
from vio4wd.master.roles import Device
from vio4wd.ports.attach import Loss
from vio4wd.shm import layout

_log = logging.getLogger(__name__)

INTERVAL: Final = 1.0


class Upkeep:
    """Writes the parts of the relay table that nobody tells the master about.

    Args:
        lost: called for a relay whose device was unplugged, or is wanted back by the kernel.
    """

    def __init__(
        self,
        tables: layout.Tables,
        relays: Sequence[Relay],
        placement: Placement,
        devices: DeviceThread,
        lost: Callable[[int, Device], Awaitable[None]],
    ) -> None:
        self._tables = tables
        self._relays = relays
        self._placement = placement
        self._devices = devices
        self._lost = lost
        self._errors: set[tuple[int, int]] = set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            self._placement.measure()
            self._report_rings()
            for relay in self._relays:
                if relay.port is not None and not relay.lock.locked():
                    async with relay.lock:
                        device = relay.device
                        loss = await self._read_port(relay)
                    if loss is Loss.ALL and device is not None:
                        await self._lost(relay.number, device)
                    if loss is Loss.MEMBER:
                        await self._shed(relay)

    async def _shed(self, relay: Relay) -> None:
        try:
            await relay.shed()
        except DpdkError as error:
            _log.warning("relay %d: %s", relay.number, error)

    async def _read_port(self, relay: Relay) -> Loss:
        """What of the port was taken away; its figures are read if that is nothing."""
        port, pool = relay.port, relay.pool
        if port is None or pool is None:
            return Loss.NOTHING
        row = self._tables["relays"][relay.number]
        was_up = bool(row["link_up"])
        try:
            loss = await self._devices.run(port.loss)
            if loss is not Loss.NOTHING:
                return loss
            counters = await self._devices.run(port.stats)
            up = await self._devices.run(port.link_up)
        except DpdkError as error:
            _log.warning("relay %d: %s", relay.number, error)
            return Loss.NOTHING
        row["link_up"] = int(up)
        row["port_imissed"] = counters.rx_missed
        row["port_ierrors"] = counters.rx_errors
        row["port_oerrors"] = counters.tx_errors
        row["pool_free"] = await self._devices.run(pool.available)
        if up != was_up:
            _log.info("relay %d: link of %s is %s", relay.number, port.device, "up" if up else "down")
        return Loss.NOTHING

    def _report_rings(self) -> None:
        """Name each ring once that a worker has stopped."""
        errors = self._tables["rings"]["error"]
        present = {(int(relay), int(queue)) for relay, queue in zip(*errors.nonzero(), strict=True)}
        for relay, queue in sorted(present - self._errors):
            ring = self._tables["rings"][relay][queue]
            _log.error(
                "relay %d: queue %d of the guest is stopped: %s (%d)",
                relay,
                queue,
                layout.RING_ERROR_NAMES[int(ring["error"])],
                int(ring["error_detail"]),
            )
        self._errors = present
