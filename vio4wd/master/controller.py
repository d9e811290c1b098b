"""What operators can ask of the running master, whichever way they ask (`control.controller.Controller`).

The decisions are those of `control.decisions`; here they are carried out on relays and sockets, and what
goes wrong is put into errno numbers and one line of text.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import logging
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence

from vio4wd.control import decisions
from vio4wd.control.controller import ControlError
from vio4wd.control.decisions import Attached
from vio4wd.dpdk.errors import DpdkError
from vio4wd.master.guest import Part
from vio4wd.master.guest_sockets import GuestSockets
from vio4wd.master.placement import Placement
from vio4wd.master.relay import Relay
from vio4wd.master.roles import Device
from vio4wd.master.service import DIRECTIONS, RelayError
from vio4wd.ports.names import DeviceNameError
from vio4wd.vhost.errors import SocketError

_log = logging.getLogger(__name__)

_SCHEDULING = "core scheduling"


class MasterController:
    """Carries out requests. Changes of ports are made one at a time; moves may come in between."""

    def __init__(self, relays: Sequence[Relay], sockets: GuestSockets, placement: Placement) -> None:
        self._relays = relays
        self._sockets = sockets
        self._placement = placement
        self._changing = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def idle(self) -> AsyncIterator[None]:
        """Entered when no change is under way; until it is left none begins."""
        async with self._changing:
            yield

    def attached(self) -> dict[int, Attached]:
        """What each relay has; relays without a device are missing."""
        found = {}
        for relay in self._relays:
            device = relay.device
            if device is not None:
                socket = self._sockets.dynamic_path(relay.number)
                if device.members:
                    found[relay.number] = Attached(device.members, device.name, device.mode, socket)
                else:
                    found[relay.number] = Attached((device.name,), socket=socket)
        return found

    async def add(
        self, devices: Sequence[str], relay: int, conditional: bool, name: str | None, mode: int
    ) -> None:
        """Attach a device, or a bond of several, to a relay."""
        async with self._changing:
            if decisions.add_changes(self.attached(), relay, devices, name, mode, conditional):
                await self._attach(relay, _device(devices, name, mode))

    async def remove(self, devices: Sequence[str], relay: int, conditional: bool, name: str | None) -> None:
        """Detach the device or bond from a relay."""
        async with self._changing:
            if decisions.remove_changes(self.attached(), relay, devices, name, conditional):
                await self._detach(relay)

    async def lost(self, relay: int, device: Device) -> None:
        """Let go of a device that was unplugged or is wanted back by the kernel, if still attached."""
        async with self._changing:
            if self._relays[relay].device is not device:
                return
            _log.warning(
                "relay %d: %s is taken away (unplugged, or its physical function was told to have no VFs)",
                relay,
                device.name,
            )
            try:
                await self._detach(relay)
            except ControlError as error:
                _log.error("relay %d: %s", relay, error)

    async def add_sock(
        self, devices: Sequence[str], path: str, conditional: bool, name: str | None, mode: int
    ) -> None:
        """Attach to a free relay and serve its guest at `path`; both or neither."""
        async with self._changing:
            relay = decisions.relay_for_socket(
                self.attached(), range(len(self._relays)), path, devices, name, mode, conditional
            )
            if relay is None:
                return
            await self._attach(relay, _device(devices, name, mode))
            try:
                await self._sockets.open(self._relays[relay], path, dynamic=True)
            except SocketError as error:
                await self._detach(relay)
                raise ControlError(errno.EADDRINUSE, decisions.SOURCE, str(error)) from None

    async def remove_sock(
        self, devices: Sequence[str], path: str, conditional: bool, name: str | None
    ) -> None:
        """Close the socket, which disconnects its guest, and detach the device."""
        async with self._changing:
            relay = decisions.relay_of_socket(self.attached(), path, devices, name, conditional)
            if relay is not None:
                await self._sockets.close(relay)
                await self._detach(relay)

    def query_pci(self, path: str) -> str:
        """The device of the relay whose socket is `path`."""
        relay = self._sockets.relay_at(path)
        if relay is None:
            raise ControlError(errno.ENOENT, decisions.SOURCE, f"{path} is no socket of a relay")
        device = self._relays[relay].device
        if device is None:
            raise ControlError(errno.ENOENT, decisions.SOURCE, f"relay {relay} ({path}) has no device")
        return device.name

    def relay_cpu_map(self) -> Mapping[int, tuple[tuple[int, int], ...]]:
        """CPUs of each relay in use, lane by lane."""
        return {
            relay.number: self._cpus(relay)
            for relay in self._relays
            if relay.device is not None or relay.slots != ((-1, -1),)
        }

    def eal_cores(self) -> Sequence[int]:
        """CPUs of the workers."""
        return self._placement.cpus

    async def move(self, relay: int, vf_to_vm_cpu: int, vm_to_vf_cpu: int, lane: int | None = None) -> None:
        """Serve a relay, or one lane of it, with these CPUs from now on, -1: as before. All moves or nothing.

        A relay that nobody uses yet is pinned.
        """
        served = self._relays[relay]
        wanted = (vf_to_vm_cpu, vm_to_vf_cpu)
        slots = [-1 if cpu < 0 else self._slot(cpu) for cpu in wanted]
        before = served.slots
        if lane is not None and not 0 <= lane < len(before):
            raise ControlError(
                errno.EINVAL, _SCHEDULING, f"relay {relay} has no lane {lane}: it has {len(before)}"
            )
        lanes = range(len(before)) if lane is None else (lane,)
        moved: list[Part] = []
        try:
            for part in itertools.product(DIRECTIONS, lanes):
                direction, number = part
                if before[number][direction] >= 0 and slots[direction] >= 0:
                    await served.move(part, slots[direction])
                    moved.append(part)
        except RelayError as error:
            for direction, number in moved:
                with contextlib.suppress(RelayError):  # its old worker has died since: it stays
                    await served.move((direction, number), before[number][direction])
            raise ControlError(errno.EIO, _SCHEDULING, str(error)) from None
        self._pin(relay, lanes, wanted)

    async def pin(self, relay: int, pairs: tuple[tuple[int, int], ...]) -> None:
        """Serve a relay's lanes with these CPUs from now on; lanes beyond begin again with the first pair.

        Raises:
            ControlError: a worker does not serve; the lanes before are moved.
        """
        for lane in range(len(self._relays[relay].slots)):
            await self.move(relay, *pairs[lane % len(pairs)], lane=lane)
        self._placement.pins[relay] = pairs

    def _pin(self, relay: int, lanes: Collection[int], wanted: tuple[int, int]) -> None:
        """From now on these lanes belong to these CPUs; where one is -1, and the rest, to where they are."""
        pairs = []
        for lane, present in enumerate(self._cpus(self._relays[relay])):
            first, second = (
                new if new >= 0 and lane in lanes else old for new, old in zip(wanted, present, strict=True)
            )
            if max(first, second) < 0:
                return
            pairs.append((first if first >= 0 else second, second if second >= 0 else first))
        self._placement.pins[relay] = tuple(pairs)

    def _cpus(self, relay: Relay) -> tuple[tuple[int, int], ...]:
        cpus = (*self._placement.cpus, -1)
        return tuple((cpus[first], cpus[second]) for first, second in relay.slots)

    def _slot(self, cpu: int) -> int:
        try:
            return self._placement.cpus.index(cpu)
        except ValueError:
            workers = ",".join(map(str, self._placement.cpus))
            raise ControlError(
                errno.EINVAL, _SCHEDULING, f"CPU {cpu} has no worker; the worker CPUs are {workers}"
            ) from None

    async def _attach(self, relay: int, device: Device) -> None:
        with _told():
            await self._relays[relay].attach(device)
        self._sockets.port_changed(self._relays[relay])

    async def _detach(self, relay: int) -> None:
        with _told():
            await self._relays[relay].detach()
        self._sockets.port_changed(self._relays[relay])


def _device(devices: Sequence[str], name: str | None, mode: int) -> Device:
    if name is None:
        return Device(devices[0])
    return Device(name, tuple(devices), mode)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Errors of relays and devices as those of a request."""
    try:
        yield
    except RelayError as error:
        raise ControlError(errno.EBUSY, decisions.SOURCE, str(error)) from None
    except DeviceNameError as error:
        raise ControlError(errno.EINVAL, decisions.SOURCE, str(error)) from None
    except DpdkError as error:
        raise ControlError(errno.ENODEV, decisions.SOURCE, str(error)) from None
