"""Several direct ports as one, forwarded by the workers themselves: bonds of the modes without a protocol.

The workers poll the members through a table (`dpdk.members`), one burst of one member after the other, and
send to those that the mode says. A watch of our own tells them, some milliseconds after it happened, which
members have a link. DPDK's bonding device has no part in it, because it moves nothing in workers.

What each mode means is what it means to DPDK's device, so that nobody need know how a bond is polled:
active-backup sends to one member and hears that one only, and stays with it until it loses its link; the
others send to every member with a link, in turn, by the packet's two Ethernet addresses or to all, and hear
all. Members have the MAC address of the first, where their VFs may change theirs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
from collections.abc import Sequence
from typing import Final

from vio4wd.dpdk import device as devices
from vio4wd.dpdk.ethdev import Configured, Port, PortStats
from vio4wd.dpdk.members import MemberTable, Sharing
from vio4wd.ports.attach import DRAINED, TX_OFFLOADS, AttachedPort, Loss, Place, PortOptions, configure
from vio4wd.ports.names import DeviceName
from vio4wd.worker.protocol import PortRef

_log = logging.getLogger(__name__)

ACTIVE_BACKUP: Final = 1
#: Modes that workers forward themselves, and how their packets are shared out.
SHARING: Final = {
    0: Sharing.IN_TURN,
    ACTIVE_BACKUP: Sharing.IN_TURN,  # among the one that is active
    2: Sharing.BY_ADDRESS,
    3: Sharing.COPIES,
}
#: Seconds between two looks at the links.
PERIOD: Final = 0.02


@dataclasses.dataclass(frozen=True, slots=True)
class Probed:
    """A device that is to be a member.

    Attributes:
        resources: closed to let go of it.
    """

    name: DeviceName
    port: Port
    resources: contextlib.ExitStack

    @property
    def device(self) -> str:
        """PCI address or name of the virtual device."""
        return self.name.name


class Watch:
    """A thread that keeps a bond's table in step with its members' links.

    Args:
        name: of the bond.
        backup: whether one member is used at a time.
    """

    def __init__(self, name: str, table: MemberTable, members: Sequence[Probed], *, backup: bool) -> None:
        self._name = name
        self._table = table
        self._members = list(members)
        self._backup = backup
        self._up: set[str] = set()
        self._current = ""
        self._lock = threading.Lock()  # members and table change together
        self._end = threading.Event()
        self._look()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def up(self) -> bool:
        """Whether a member has a link."""
        return bool(self._up)

    def remove(self, member: Probed) -> None:
        """Go on without a member; nobody polls the table meanwhile."""
        with self._lock:
            self._members.remove(member)
            self._up.discard(member.device)
            self._table.set_ports([other.port.port_id for other in self._members])
            self._publish()

    def close(self) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(PERIOD):
            with self._lock:
                self._look()

    def _look(self) -> None:
        up = {member.device for member in self._members if member.port.link()}
        if up == self._up:
            return
        for device in sorted(up - self._up):
            _log.info("%s: the link of %s is up", self._name, device)
        for device in sorted(self._up - up):
            _log.warning("%s: the link of %s is down", self._name, device)
        self._up = up
        self._publish()

    def _publish(self) -> None:
        """Tell the workers, with the lock held or before the thread runs."""
        devices_by_number = [member.device for member in self._members]
        usable = self._up
        if self._backup:
            if self._current not in self._up:
                self._current = next((device for device in devices_by_number if device in self._up), "")
            usable = {self._current}
        active = [number for number, device in enumerate(devices_by_number) if device in usable]
        self._table.use(active=active, heard=active if self._backup else range(len(devices_by_number)))


class DirectBond(AttachedPort):
    """A relay's port that is several, all polled by the workers."""

    def __init__(
        self,
        name: str,
        table: MemberTable,
        members: Sequence[Probed],
        configured: Configured,
        watch: Watch,
        resources: contextlib.ExitStack,
    ) -> None:
        offloads = configured.tx_offloads & TX_OFFLOADS
        ref = PortRef("members", rx=table.name, tx=table.name, tx_offloads=offloads)
        port = members[0].port
        super().__init__(name, ref, port, port.info(), configured, watch.up, port.gone, resources)
        self._members = list(members)
        self._watch = watch
        self.polled = tuple(member.device for member in members)

    def loss(self) -> Loss:
        """What was taken away, or is to be."""
        leaving = len(self._leaving())
        if not leaving:
            return Loss.NOTHING
        return Loss.ALL if leaving == len(self._members) else Loss.MEMBER

    def shed(self) -> None:
        """Let go of the members that are taken away. No worker serves the port meanwhile."""
        for member in self._leaving():
            self._members.remove(member)
            self.polled = tuple(other.device for other in self._members)
            self._watch.remove(member)
            member.resources.close()
            _log.warning("%s goes on without %s, which is taken away", self.device, member.device)

    def stats(self) -> PortStats:
        """The sums of the members' counters."""
        each = [dataclasses.astuple(member.port.stats()) for member in self._members]
        return PortStats(*map(sum, zip(*each, strict=True)))

    def _leaving(self) -> list[Probed]:
        return [member for member in self._members if member.port.gone()]


def attach_direct(
    name: str,
    members: Sequence[Probed],
    mode: int,
    place: Place,
    options: PortOptions,
    stack: contextlib.ExitStack,
) -> DirectBond | None:
    """A bond for the workers, which takes over the stack; None: they cannot poll every member.

    Args:
        mode: one of SHARING.

    Raises:
        DpdkError: a driver refused.
    """
    configured = _start(members, place, options)
    if configured is None:
        return None
    _take_address(members)
    for member in members:
        devices.share(member.name.devargs)
    socket = members[0].port.info().socket
    ports = [member.port.port_id for member in members]
    table = MemberTable.create(f"relay{place.relay}_members", ports, SHARING[mode], socket)
    stack.callback(table.free)
    watch = Watch(name, table, members, backup=mode == ACTIVE_BACKUP)
    stack.callback(watch.close)
    _log.info("%s is ports %s, which workers poll", name, ", ".join(map(str, ports)))
    return DirectBond(name, table, members, configured, watch, stack.pop_all())


def _start(members: Sequence[Probed], place: Place, options: PortOptions) -> Configured | None:
    """Start all members; what they all can do, or None: workers cannot poll them all, and all are stopped."""
    agreed = None
    with contextlib.ExitStack() as stack:
        started = []
        for member in members:
            configured = configure(member.port, place.pool, options)
            member.port.start()
            running = stack.enter_context(contextlib.ExitStack())
            running.callback(member.port.stop)
            running.callback(member.port.drain, DRAINED)
            started.append(running)
            if place.trial is None or not place.trial.is_direct(member.port, member.port.info()):
                return None
            agreed = configured if agreed is None else _agree(agreed, configured)
        for member, running in zip(members, started, strict=True):
            member.resources.push(running.pop_all())
    return agreed


def _agree(one: Configured, other: Configured) -> Configured:
    """What two members both can do."""
    return dataclasses.replace(
        one,
        tx_offloads=one.tx_offloads & other.tx_offloads,
        rss=one.rss and other.rss,
        rss_functions=one.rss_functions & other.rss_functions,
        mtu=min(one.mtu, other.mtu),
    )


def _take_address(members: Sequence[Probed]) -> None:
    """Give all the first one's MAC address, as long as they are members; who may not change keeps its own."""
    address = members[0].port.mac()
    for member in members[1:]:
        own = member.port.mac()
        if member.port.set_mac(address):
            member.resources.callback(member.port.set_mac, own)
        else:
            _log.info("%s keeps its MAC address %s", member.device, own)
