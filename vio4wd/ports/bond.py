"""Several devices as one port: polled by the workers (`direct_bond`), or DPDK's bonding device on the pump.

The workers do it where they can poll every member and the mode needs no protocol. What follows is about
the other bonds.

The bond owns its members: they are probed, given to it, and start and stop with it. Drivers of kernel
interfaces such as net_af_packet always report their link as up, so the bond would send into a dead one
for ever. The pump's thread looks at the interfaces themselves, between two bursts, and takes a member
whose interface lost its carrier out of the bond until it is back. (Stopping the member would tell the
bond as well, but only 10 ms later, and it may poll a member once more after it gave it up.) The last
active member is left alone: a bond without members cannot start again.

In mode 4 the bond speaks with its partner (LACP) when it is told to send, be it nothing, ten times a second
at least; the pump's thread does that, too.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Sequence
from typing import Final

from vio4wd.dpdk import bonding
from vio4wd.dpdk import device as devices
from vio4wd.dpdk.errors import DpdkError
from vio4wd.dpdk.ethdev import Port
from vio4wd.dpdk.mempool import Pool
from vio4wd.ports import names, netdev
from vio4wd.ports.attach import AttachedPort, Place, PortOptions, link_up, probe, start
from vio4wd.ports.direct_bond import SHARING, Probed, attach_direct
from vio4wd.ports.pump import Pump
from vio4wd.ports.trial import Trial

_log = logging.getLogger(__name__)

#: The mode whose bond has frames of its own to send.
_LACP: Final = 4


class _Member:
    """One device of a bond.

    Args:
        bond: its port.

    Attributes:
        if_index: the kernel's interface behind it, 0: none.
        joined: whether the bond has it now.
    """

    def __init__(self, probed: Probed, bond: int) -> None:
        self.device = probed.device
        self.port = probed.port
        self.if_index = probed.port.info().if_index
        self.joined = False
        self.resources = probed.resources
        self._bond = bond

    def join(self) -> None:
        """Become a member of the bond.

        Raises:
            DpdkError: DPDK refused.
        """
        bonding.add_member(self._bond, self.port.port_id)
        self.joined = True

    def leave(self) -> None:
        """Be one no more.

        Raises:
            DpdkError: DPDK refused.
        """
        if self.joined:
            self.joined = False
            bonding.remove_member(self._bond, self.port.port_id)

    def link_up(self) -> bool:
        return link_up(self.port, self.if_index)


class _Watch:
    """Keeps members without carrier out of a bond.

    Args:
        speaks: whether the bond has frames of its own to send.
    """

    def __init__(self, name: str, bond: Port, members: Sequence[_Member], *, speaks: bool) -> None:
        self._name = name
        self._bond = bond
        self._speaks = speaks
        self._members = [member for member in members if member.if_index]

    def look(self) -> None:
        """Called by the pump's thread while no port is polled."""
        if self._speaks:
            self._bond.let_send()
        for member in self._members:
            up = netdev.has_carrier(member.if_index)
            try:
                if up and not member.joined:
                    member.join()
                    _log.info("%s: the link of %s is back", self._name, member.device)
                elif not up and member.joined and self._others_active(member):
                    member.leave()
                    _log.warning("%s: the link of %s is down", self._name, member.device)
            except DpdkError as error:
                _log.error("%s: %s", self._name, error)

    def forget(self, member: _Member) -> None:
        """Watch a member no more; called like `look`."""
        self._members = [other for other in self._members if other is not member]

    def _others_active(self, member: _Member) -> bool:
        """Whether the bond uses another member than this one."""
        return any(port != member.port.port_id for port in bonding.active_members(self._bond.port_id))


def attach_bond(
    name: str,
    members: Sequence[str],
    mode: int,
    relay: int,
    pool: Pool,
    pump: Pump,
    trial: Trial,
    options: PortOptions | None = None,
) -> AttachedPort:
    """Attach devices as one port. The first is the primary and gives the bond its MAC address.

    Args:
        name: of the bond, begins with "net_bonding".
        members: 2 to 8 PCI addresses or DPDK device strings.
        mode: 0 to 6, see `dpdk.bonding.MODES`.
        relay: number of the relay, which names the rings or the table of members.

    Raises:
        DeviceNameError: the bond's or a member's name.
        DpdkError: number of members, mode, or a device that is missing or refused.
    """
    names.check_bond(name)
    if mode not in bonding.MODES:
        raise DpdkError(f"{name}: there is no bonding mode {mode} (0 to {max(bonding.MODES)})")
    if not 2 <= len(members) <= bonding.MAX_MEMBERS:
        raise DpdkError(f"{name}: a bond has 2 to {bonding.MAX_MEMBERS} members, not {len(members)}")
    parsed = [names.parse(member) for member in members]
    options = options or PortOptions()
    with contextlib.ExitStack() as stack:
        # Closed in the reverse order: the members leave the bond, it goes, they go.
        probed = []
        for member in parsed:
            resources = stack.enter_context(contextlib.ExitStack())
            probed.append(Probed(member, probe(member, resources), resources))
        if mode in SHARING:
            direct = attach_direct(name, probed, mode, Place(relay, pool, pump, trial), options, stack)
            if direct is not None:
                return direct
        return _attach_pumped(name, probed, mode, Place(relay, pool, pump, None), options, stack)


def _attach_pumped(
    name: str,
    probed: Sequence[Probed],
    mode: int,
    place: Place,
    options: PortOptions,
    stack: contextlib.ExitStack,
) -> AttachedPort:
    """DPDK's bonding device over probed members; it takes over the stack."""
    port = Port(bonding.create(name, mode, probed[0].port.info().socket))
    stack.callback(devices.remove, port.port_id, close_first=True)
    found = [_Member(member, port.port_id) for member in probed]
    for entry in found:
        entry.join()
        stack.callback(entry.leave)
    watch = _Watch(name, port, found, speaks=mode == _LACP)

    def link() -> bool:
        return any(entry.link_up() for entry in found)

    def gone() -> bool:
        leaving = [entry for entry in found if entry.port.gone()]
        if len(leaving) == len(found):
            return True
        for entry in leaving:
            found.remove(entry)
            place.pump.paused(functools.partial(_take_out, watch, entry))
            entry.resources.close()
            _log.warning("%s goes on without %s, which is taken away", name, entry.device)
        return False

    return start(name, name, port, place, options, stack, link, gone, watch.look)


def _take_out(watch: _Watch, member: _Member) -> None:
    """Called by the pump's thread: the bond and the watch know the member no more."""
    watch.forget(member)
    member.leave()
