"""A relay's port: from a device string to something that a worker can serve, and back.

Everything here blocks, from milliseconds to seconds, and must be called from one thread at a time. The
order matters: the device is probed in the master alone, configured and started; then a trial tells
whether workers can poll it. If so they learn of it now, when its queues exist; if not, the pump polls it
and the workers get two rings.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import logging
from collections.abc import Callable
from typing import Final

from vio4wd.dpdk import device as devices
from vio4wd.dpdk import eal, ethdev
from vio4wd.dpdk.errors import DpdkError
from vio4wd.dpdk.ethdev import Port, PortInfo, PortStats
from vio4wd.dpdk.mempool import HEADROOM, Pool
from vio4wd.dpdk.ring import Ring
from vio4wd.ports import names, netdev, pci
from vio4wd.ports.pump import Pump
from vio4wd.ports.trial import Trial
from vio4wd.worker.lanes import power_of_two
from vio4wd.worker.protocol import PortRef

_log = logging.getLogger(__name__)

#: Entries of each ring of a pumped port.
RING_SIZE: Final = 1024
#: mbufs that a relay needs at most: all queues of a port with `DESCRIPTORS`, both rings, and the caches
#: of the workers that serve its lanes; a pool is best 2^n - 1.
POOL_SIZE: Final = 8191
DESCRIPTORS: Final = 1024
#: Of a queue that is one of several.
FEWEST_DESCRIPTORS: Final = 256
#: Packets that may wait in a virtual device when it is detached.
DRAINED: Final = 4096

#: Drivers without RSS whose several queues are worth having: a net_ring's other end chooses the queue.
_SPREAD_BY_THE_OTHER_END: Final = frozenset({"net_ring"})

#: PCI addresses of the devices on vfio-pci that this process has, as EAL has them.
_on_vfio: Final[set[str]] = set()

CHECKSUM_OFFLOADS: Final = ethdev.TX_IPV4_CHECKSUM | ethdev.TX_UDP_CHECKSUM | ethdev.TX_TCP_CHECKSUM
TSO_OFFLOADS: Final = ethdev.TX_TCP_TSO | ethdev.TX_UDP_TSO
#: Offloads to a VF that workers may ask for.
TX_OFFLOADS: Final = CHECKSUM_OFFLOADS | TSO_OFFLOADS


class Loss(enum.Enum):
    """What of a port was unplugged, or is wanted back by the kernel."""

    NOTHING = enum.auto()
    MEMBER = enum.auto()  # of a bond, which goes on without it
    ALL = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class PortOptions:
    """What a port is wanted to do; it does as much of it as its driver can.

    Attributes:
        mtu: bytes of payload of the longest frame.
        checksum: take packets without checksums from the guest and have the VF fill them in.
        tso: take packets longer than the MTU from the guest and have the VF cut them (with checksum).
        descriptors: of each hardware queue; of several queues each has its share, but FEWEST_DESCRIPTORS.
        queues: pairs of queues at most, a power of two.
    """

    mtu: int = 1500
    checksum: bool = True
    tso: bool = False
    descriptors: int = DESCRIPTORS
    queues: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a port is attached.

    Attributes:
        relay: number of the relay, which names the rings of a pumped port.
        pool: where received packets come from.
        trial: None: the port is pumped without asking.
    """

    relay: int
    pool: Pool
    pump: Pump
    trial: Trial | None


def data_room(mtu: int) -> int:
    """Bytes of an mbuf's buffer, for `Pool.create`, in which a frame of that MTU fits in one piece.

    net_af_packet wants the frames of its own ring to fit too: round sizes leave room for those of 9216.
    """
    return HEADROOM + max(2048, -(-(mtu + ethdev.FRAME_OVERHEAD) // 1024) * 1024)


class AttachedPort:
    """A relay's started port. `detach` ends it, once no worker serves it.

    Attributes:
        device: what was attached: PCI address, device string or bond name.
        ref: what a worker needs to know.
        port_id: DPDK's number.
        pumped: whether the master's pump polls it.
        polled: the devices that workers poll themselves.
        numa_node: its NUMA node, -1: none.
        driver: its poll-mode driver's name.
        mtu: bytes of payload of the longest frame.
        rss: whether received packets carry a flow hash.
    """

    def __init__(
        self,
        device: str,
        ref: PortRef,
        port: Port,
        info: PortInfo,
        configured: ethdev.Configured,
        link: Callable[[], bool],
        gone: Callable[[], bool],
        resources: contextlib.ExitStack,
    ) -> None:
        self.device = device
        self.ref = ref
        self.port_id = port.port_id
        self.pumped = ref.kind == "rings"
        self.polled: tuple[str, ...] = () if self.pumped else (device,)
        self.numa_node = info.socket
        self.driver = info.driver
        self.mtu = configured.mtu
        self.rss = configured.rss
        self.mac = port.mac()
        self._port = port
        self._link = link
        self._gone = gone
        self._resources = resources

    def __repr__(self) -> str:
        return f"AttachedPort({self.device})"

    def link_up(self) -> bool:
        """Whether the link is up; False for a device that was unplugged."""
        return self._link()

    def loss(self) -> Loss:
        """What was taken away, or is to be: of ALL, detach the port, and of MEMBER, have it `shed`.

        A pumped bond lets go of a member here, by itself.
        """
        return Loss.ALL if self._gone() else Loss.NOTHING

    def shed(self) -> None:
        """Let go of the members of a bond that are taken away. No worker serves the port meanwhile."""

    def stats(self) -> PortStats:
        """The driver's counters.

        Raises:
            DpdkError: the port is gone.
        """
        return self._port.stats()

    def detach(self) -> None:
        """Stop the port, take back every packet, detach the device. No worker serves it any more.

        Raises:
            DpdkError: DPDK refused a step; the others were done all the same.
        """
        self._resources.close()


def link_up(port: Port, if_index: int) -> bool:
    """The link as the driver sees it, and as the kernel does where the port is one of its interfaces."""
    return port.link() and (not if_index or netdev.has_carrier(if_index))


def attach(
    device: str, relay: int, pool: Pool, pump: Pump, trial: Trial, options: PortOptions | None = None
) -> AttachedPort:
    """Attach a device to a relay and start it; packets come from `pool`.

    Args:
        device: PCI address or DPDK device string.
        relay: number of the relay, which names the rings of a pumped port.

    Raises:
        DeviceNameError: the string names no device.
        DpdkError: the device is missing, in use, on a kernel driver, or its driver refused.
    """
    name = names.parse(device)
    with contextlib.ExitStack() as stack:
        port = probe(name, stack)
        link = functools.partial(link_up, port, port.info().if_index)
        place = Place(relay, pool, pump, trial)
        return start(device, name.devargs, port, place, options or PortOptions(), stack, link)


def probe(name: names.DeviceName, stack: contextlib.ExitStack) -> Port:
    """The device's port, in this process alone; detached when the stack is closed.

    Raises:
        DpdkError: it cannot be had.
    """
    on_vfio = False
    if name.kind == "pci":
        pci.require_usable(name.name)
        on_vfio = pci.kernel_driver(name.name) == "vfio-pci"
        if on_vfio and not eal.has_vfio():
            raise DpdkError(
                f"{name.name} cannot be attached: when the daemon started there was no VFIO with an IOMMU; "
                "load vfio-pci and vfio_iommu_type1 and start it again"
            )
    found = devices.probe(name.devargs)
    stack.callback(_remove, name, found[0])
    if len(found) > 1:
        raise DpdkError(f"{name.name} has {len(found)} ports; a device with one is needed")
    if on_vfio:
        if not _on_vfio:
            devices.map_pages()
        _on_vfio.add(name.name)
    port = Port(found[0])
    if name.kind == "pci":
        port.watch_removal(name.name)
        stack.callback(port.unwatch_removal)
    return port


def _remove(name: names.DeviceName, port_id: int) -> None:
    devices.remove(port_id)
    _on_vfio.discard(name.name)


def start(
    device: str,
    devargs: str,
    port: Port,
    place: Place,
    options: PortOptions,
    stack: contextlib.ExitStack,
    link: Callable[[], bool],
    gone: Callable[[], bool] | None = None,
    between: Callable[[], None] | None = None,
) -> AttachedPort:
    """Configure and start a probed port, find out how it is polled, and take over the stack.

    Args:
        devargs: the device for DPDK.
        link: whether the link is up.
        gone: whether all of it was taken away, None: as the port says.
        between: for `Pump.add`.

    Raises:
        DpdkError: the driver refused.
    """
    info = port.info()
    maybe_direct = place.trial is not None and place.trial.may_be_direct(info)
    queues = _queues(info, options.queues) if maybe_direct else 1  # the pump polls one queue
    configured = configure(port, place.pool, options, queues)
    port.start()
    stack.callback(port.stop)
    stack.callback(port.drain, DRAINED)
    direct = place.trial is not None and place.trial.is_direct(port, info)
    if not direct and configured.queues > 1:
        port.stop()
        configured = configure(port, place.pool, options)
        port.start()
    offloads = configured.tx_offloads & TX_OFFLOADS
    if direct:
        devices.share(devargs)
        ref = PortRef("ethdev", port_id=port.port_id, tx_offloads=offloads, queues=configured.queues)
    else:
        rings = [_ring(f"relay{place.relay}_{way}", info.socket, stack) for way in ("rx", "tx")]
        lane = place.pump.add(port.port_id, rings[0], rings[1], between)
        stack.callback(place.pump.remove, lane)
        ref = PortRef("rings", rx=rings[0].name, tx=rings[1].name, tx_offloads=offloads)
    _log.info(
        "%s is port %d, driver %s, %s, queues: %d", device, port.port_id, info.driver, ref.kind, ref.queues
    )
    return AttachedPort(device, ref, port, info, configured, link, gone or port.gone, stack.pop_all())


def _queues(info: PortInfo, most: int) -> int:
    """Pairs of queues that are of use: a power of two, 1 where the driver does not spread flows over them."""
    if not info.rss_functions & ethdev.RSS_FUNCTIONS and info.driver not in _SPREAD_BY_THE_OTHER_END:
        return 1
    return power_of_two(min(info.max_rx_queues, info.max_tx_queues, most))


def configure(port: Port, pool: Pool, options: PortOptions, queues: int = 1) -> ethdev.Configured:
    """Configure a port for the options as far as its driver goes.

    Args:
        queues: pairs of queues, a power of two; half as many where the driver refuses (what a VF may have
            depends on its physical function), and so on.

    Raises:
        DpdkError: the driver refused.
    """
    info = port.info()
    limit = min(info.max_mtu, info.max_frame - ethdev.FRAME_MINIMUM) if info.max_frame else info.max_mtu
    mtu = min(options.mtu, limit)
    wanted = ethdev.TX_MULTI_SEGMENTS
    if options.checksum:
        wanted |= CHECKSUM_OFFLOADS
        if options.tso:
            wanted |= TSO_OFFLOADS
    fits = mtu + ethdev.FRAME_OVERHEAD <= pool.data_room - HEADROOM
    try:
        configured = port.configure(
            queues,
            options.descriptors if queues == 1 else max(options.descriptors // queues, FEWEST_DESCRIPTORS),
            pool,
            mtu=mtu,
            rx_offloads=ethdev.RX_CHECKSUM | (0 if fits else ethdev.RX_SCATTER),
            tx_offloads=wanted,
            rss=True,
        )
    except DpdkError as error:
        if queues == 1:
            raise
        _log.info("%s; trying with %d queues", error, queues // 2)
        return configure(port, pool, options, queues // 2)
    if info.if_index:
        # The interface's own MTU rules; drivers of such ports pass whatever it passes.
        return dataclasses.replace(configured, mtu=min(options.mtu, netdev.mtu(info.if_index) or mtu))
    return configured


def _ring(name: str, socket: int, stack: contextlib.ExitStack) -> Ring:
    """A ring that is drained and freed when the stack is closed."""
    ring = Ring.create(name, RING_SIZE, socket)

    def free() -> None:
        ring.repair()  # its worker may have been killed
        ring.drain()
        ring.free()

    stack.callback(free)
    return ring
