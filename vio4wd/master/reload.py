"""SIGHUP: the configuration is read again; what can change at run time does, what cannot is named."""

from __future__ import annotations

import logging
from collections.abc import Callable

from vio4wd.config.options import ConfigError, Settings, changed
from vio4wd.control.controller import ControlError
from vio4wd.master import logs
from vio4wd.master.controller import MasterController
from vio4wd.master.placement import Placement, pairs_of

_log = logging.getLogger(__name__)


class Reloader:
    """Follows changes of the configuration.

    Args:
        settings: what the daemon runs with.
        read: reads the command line and the file anew.
    """

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        controller: MasterController,
        placement: Placement,
    ) -> None:
        self._settings = settings
        self._read = read
        self._controller = controller
        self._placement = placement

    async def reload(self) -> None:
        """Never raises for what is in the file: a daemon that runs goes on with what it has."""
        before = self._settings
        try:
            after = self._read()
        except ConfigError as error:
            for line in error.errors:
                _log.error("%s", line)
            _log.error("the configuration stays as it was")
            return
        self._settings = after
        options = changed(before, after)
        for option in options:
            if not option.live:
                _log.warning(
                    "a changed %s takes effect only after a restart", _name(option.flags, option.variables)
                )
        fields = {option.field for option in options if option.live}
        if "loglevel" in fields:
            logs.set_level(after.loglevel)
            _log.info("log level is now %d", after.loglevel)
        if "pins" in fields:
            await self._follow_pins(before, after)
        if "static_vfs" in fields:
            await self._follow_static_vfs(before, after)
        if not options:
            _log.info("the configuration has not changed")

    async def _follow_pins(self, before: Settings, after: Settings) -> None:
        for relay in before.pins.keys() - after.pins.keys():
            self._placement.pins.pop(relay, None)
            _log.info("relay %d is not pinned any more; it stays where it is", relay)
        for relay, cpus in after.pins.items():
            if before.pins.get(relay) == cpus:
                continue
            try:
                await self._controller.pin(relay, pairs_of(cpus))
                _log.info("relay %d is pinned to CPUs %s", relay, ",".join(map(str, cpus)))
            except ControlError as error:
                _log.error("%s", error)

    async def _follow_static_vfs(self, before: Settings, after: Settings) -> None:
        gone = [entry for entry in before.static_vfs if entry not in after.static_vfs]
        new = [entry for entry in after.static_vfs if entry not in before.static_vfs]
        for device, relay in gone:
            try:
                await self._controller.remove([device], relay, True, None)
            except ControlError as error:
                _log.error("%s", error)
        for device, relay in new:
            try:
                await self._controller.add([device], relay, True, None, 0)
            except ControlError as error:
                _log.error("%s", error)


def _name(flags: tuple[str, ...], variables: tuple[str, ...]) -> str:
    return " or ".join((*flags[-1:], *variables[:1]))
