"""Ports (DPDK's ethdev): capabilities, configuration, start and stop, counters."""

from __future__ import annotations

import dataclasses
from typing import Final

from vio4wd.dpdk._binding import ffi, lib
from vio4wd.dpdk.errors import DpdkError, mark_log, reason
from vio4wd.dpdk.mempool import Pool

RX_CHECKSUM: Final = int(
    lib.RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | lib.RTE_ETH_RX_OFFLOAD_UDP_CKSUM | lib.RTE_ETH_RX_OFFLOAD_TCP_CKSUM
)
RX_SCATTER: Final = int(lib.RTE_ETH_RX_OFFLOAD_SCATTER)
RX_RSS_HASH: Final = int(lib.RTE_ETH_RX_OFFLOAD_RSS_HASH)
TX_IPV4_CHECKSUM: Final = int(lib.RTE_ETH_TX_OFFLOAD_IPV4_CKSUM)
TX_UDP_CHECKSUM: Final = int(lib.RTE_ETH_TX_OFFLOAD_UDP_CKSUM)
TX_TCP_CHECKSUM: Final = int(lib.RTE_ETH_TX_OFFLOAD_TCP_CKSUM)
TX_TCP_TSO: Final = int(lib.RTE_ETH_TX_OFFLOAD_TCP_TSO)
TX_UDP_TSO: Final = int(lib.RTE_ETH_TX_OFFLOAD_UDP_TSO)
TX_MULTI_SEGMENTS: Final = int(lib.RTE_ETH_TX_OFFLOAD_MULTI_SEGS)
#: Flow hash over addresses and ports: what `kernels.flow_hash` takes for a flow.
RSS_FUNCTIONS: Final = int(
    lib.RTE_ETH_RSS_IP | lib.RTE_ETH_RSS_TCP | lib.RTE_ETH_RSS_UDP | lib.RTE_ETH_RSS_SCTP
)

#: A frame is longer than its payload by Ethernet header, two VLAN tags and checksum, bytes.
FRAME_OVERHEAD: Final = 14 + 4 + 4 + 4
#: ... and without tags, as drivers count when they state the longest frame.
FRAME_MINIMUM: Final = 14 + 4

_BURST: Final = 32


@dataclasses.dataclass(frozen=True, slots=True)
class PortInfo:
    """What a port is and can do.

    Attributes:
        device: name on its bus: PCI address or vdev name.
        bus: "pci", "vdev", ...
        driver: name of the poll-mode driver.
        socket: NUMA node, -1: none.
        if_index: network interface of the kernel behind it, 0: none.
        min_mtu, max_mtu: bytes; max_mtu is 65535 where the driver does not say.
        max_frame: bytes of the longest frame, the Ethernet header and its checksum included.
        rx_offloads, tx_offloads: capabilities, RTE_ETH_RX_OFFLOAD_*, RTE_ETH_TX_OFFLOAD_*.
        rss_functions: flow types it can hash, RTE_ETH_RSS_*.
    """

    device: str
    bus: str
    driver: str
    socket: int
    if_index: int
    min_mtu: int
    max_mtu: int
    max_frame: int
    max_rx_queues: int
    max_tx_queues: int
    rx_offloads: int
    tx_offloads: int
    rss_functions: int


@dataclasses.dataclass(frozen=True, slots=True)
class PortStats:
    """A port's own counters since its start, as its driver keeps them (struct rte_eth_stats)."""

    rx_packets: int
    tx_packets: int
    rx_bytes: int
    tx_bytes: int
    rx_missed: int
    rx_errors: int
    tx_errors: int
    rx_no_mbuf: int


@dataclasses.dataclass(frozen=True, slots=True)
class Configured:
    """What `Port.configure` agreed on with the driver; descriptors as it adjusted them.

    Attributes:
        queues: pairs of queues.
        rss: received packets carry a flow hash.
        rss_functions: flow types that are hashed, RTE_ETH_RSS_*; 0: none.
    """

    queues: int
    rx_descriptors: int
    tx_descriptors: int
    rx_offloads: int
    tx_offloads: int
    rss: bool
    rss_functions: int
    mtu: int


class Port:
    """One ethdev port. It owns nothing: `device.probe` and `device.remove` bring and take it."""

    def __init__(self, port_id: int) -> None:
        self.port_id = port_id
        self._queues = 1

    def __repr__(self) -> str:
        return f"Port({self.port_id})"

    def exists(self) -> bool:
        """Whether there is such a port."""
        return bool(lib.rte_eth_dev_is_valid_port(self.port_id))

    def watch_removal(self, device: str) -> None:
        """Have `gone` tell also when the kernel wants the port's device back.

        Raises:
            DpdkError: DPDK refused.
        """
        mark_log()
        self._check(lib.vio_removal_watch(self.port_id, device.encode()), "cannot be watched")

    def unwatch_removal(self) -> None:
        """Watch it no more; before its device is detached."""
        lib.vio_removal_unwatch(self.port_id)

    def gone(self) -> bool:
        """Whether the hardware was unplugged, or the kernel waits to take it: the port must be detached."""
        return bool(lib.vio_removal_wanted(self.port_id) or lib.rte_eth_dev_is_removed(self.port_id))

    def info(self) -> PortInfo:
        """Identity and capabilities.

        Raises:
            DpdkError: no such port.
        """
        found = ffi.new("struct vio_port_info *")
        self._check(lib.vio_port_get_info(self.port_id, found), "cannot say what it is")
        return PortInfo(
            device=ffi.string(found.device).decode(),
            bus=ffi.string(found.bus).decode(),
            driver=ffi.string(found.driver).decode(),
            socket=found.socket,
            if_index=found.if_index,
            min_mtu=found.min_mtu,
            max_mtu=found.max_mtu,
            max_frame=found.max_rx_pktlen,
            max_rx_queues=found.max_rx_queues,
            max_tx_queues=found.max_tx_queues,
            rx_offloads=found.rx_offloads,
            tx_offloads=found.tx_offloads,
            rss_functions=found.rss_functions,
        )

    def configure(
        self,
        queues: int,
        descriptors: int,
        pool: Pool,
        *,
        mtu: int,
        rx_offloads: int = 0,
        tx_offloads: int = 0,
        rss: bool = False,
        socket: int | None = None,
    ) -> Configured:
        """Configure the stopped port and its queues. Offloads that it cannot do are left out.

        Args:
            queues: pairs of a receive and a transmit queue. Where the port can (RSS), it spreads the flows
                that it receives over several.
            descriptors: of each queue; the driver may round it.
            pool: where its receive queues take mbufs from.
            mtu: bytes of payload of the longest frame.
            rss: have received packets carry a flow hash, where the port can.
            socket: NUMA node of its rings, None: the port's.

        Raises:
            DpdkError: the driver refused; the text names the step.
        """
        info = self.info()
        functions = info.rss_functions & RSS_FUNCTIONS
        rss = rss and bool(info.rx_offloads & RX_RSS_HASH) and bool(functions)
        request = ffi.new("struct vio_port_request *")
        request.rx_queues = request.tx_queues = queues
        request.rx_descriptors = request.tx_descriptors = descriptors
        request.mtu = mtu
        request.rx_offloads = (rx_offloads | (RX_RSS_HASH if rss else 0)) & info.rx_offloads
        request.tx_offloads = tx_offloads & info.tx_offloads
        request.rss_functions = functions if rss or queues > 1 else 0
        request.socket = info.socket if socket is None else socket
        request.pool = pool.pointer
        step = ffi.new("char const **")
        mark_log()
        status = lib.vio_port_configure(self.port_id, request, step)
        if status < 0:
            failed = ffi.string(step[0]).decode()
            raise DpdkError(f"port {self.port_id} ({info.device}): {failed} failed: {reason(status)}")
        self._queues = queues
        return Configured(
            queues=queues,
            rx_descriptors=request.rx_descriptors,
            tx_descriptors=request.tx_descriptors,
            rx_offloads=request.rx_offloads,
            tx_offloads=request.tx_offloads,
            rss=rss,
            rss_functions=request.rss_functions,
            mtu=mtu,
        )

    def start(self) -> None:
        """Start the configured port, promiscuous where it may be: a VM's addresses are the VM's business.

        Raises:
            DpdkError: the driver refused.
        """
        mark_log()
        self._check(lib.rte_eth_dev_start(self.port_id), "does not start")
        # A VF may be denied both (ENOTSUP, EPERM of the PF); it then receives what its PF lets through.
        lib.rte_eth_promiscuous_enable(self.port_id)
        lib.rte_eth_allmulticast_enable(self.port_id)

    def stop(self) -> None:
        """Stop the port; a stopped one stays so, and one that is gone needs no stop.

        Raises:
            DpdkError: the driver refused.
        """
        if not self.exists():
            return
        mark_log()
        self._check(lib.rte_eth_dev_stop(self.port_id), "does not stop")

    def drain(self, limit: int) -> int:
        """Receive and free what waits, some `limit` packets a queue at most, while nobody else polls it.

        Virtual devices forget packets that wait in them when they are closed, and with them their mbufs.
        Only the Port that configured it knows of several queues.
        """
        return sum(self._drain(queue, limit) for queue in range(self._queues))

    def _drain(self, queue: int, limit: int) -> int:
        packets = ffi.new("struct rte_mbuf *[]", _BURST)
        address = int(ffi.cast("uintptr_t", packets))
        drained = 0
        while (
            self.exists()
            and drained < limit
            and (n := lib.vio_rx_burst(self.port_id, queue, address, _BURST))
        ):
            lib.vio_free_bulk(0, 0, address, n)
            drained += n
        return drained

    def let_send(self) -> None:
        """Have the driver send what it has of its own, in the thread that sends on queue 0."""
        lib.vio_tx_burst(self.port_id, 0, 0, 0)

    def link(self) -> bool:
        """Whether the link is up; False for a port that is gone."""
        speed = ffi.new("uint32_t *")
        return bool(lib.vio_port_link(self.port_id, speed) == 1)

    def stats(self) -> PortStats:
        """The driver's counters.

        Raises:
            DpdkError: no such port.
        """
        found = ffi.new("struct rte_eth_stats *")
        self._check(lib.rte_eth_stats_get(self.port_id, found), "has no counters")
        return PortStats(
            rx_packets=found.ipackets,
            tx_packets=found.opackets,
            rx_bytes=found.ibytes,
            tx_bytes=found.obytes,
            rx_missed=found.imissed,
            rx_errors=found.ierrors,
            tx_errors=found.oerrors,
            rx_no_mbuf=found.rx_nombuf,
        )

    def mac(self) -> str:
        """The MAC address, "52:54:00:12:34:56".

        Raises:
            DpdkError: no such port.
        """
        found = ffi.new("struct rte_ether_addr *")
        self._check(lib.rte_eth_macaddr_get(self.port_id, found), "has no MAC address")
        return ":".join(f"{byte:02x}" for byte in found.addr_bytes)

    def set_mac(self, address: str) -> bool:
        """Change the MAC address, "52:54:00:12:34:56"; False: the driver, or the VF's PF, does not let it.

        That of a port that is gone cannot be changed either.
        """
        if not self.exists():
            return False
        wanted = ffi.new("struct rte_ether_addr *")
        wanted.addr_bytes = bytes.fromhex(address.replace(":", ""))
        return bool(lib.rte_eth_dev_default_mac_addr_set(self.port_id, wanted) == 0)

    def mtu(self) -> int:
        """The MTU in force, bytes.

        Raises:
            DpdkError: no such port.
        """
        found = ffi.new("uint16_t *")
        self._check(lib.rte_eth_dev_get_mtu(self.port_id, found), "has no MTU")
        return int(found[0])

    def burst_origin(self, *, transmit: bool) -> tuple[str, int] | None:
        """Library and offset of the function that this process receives (or sends) with; None: none."""
        library = ffi.new("char[]", 256)
        offset = ffi.new("uint64_t *")
        if lib.vio_burst_origin(self.port_id, transmit, library, 256, offset) < 0:
            return None
        return ffi.string(library).decode(), int(offset[0])

    def _check(self, status: int, what: str) -> None:
        if status < 0:
            raise DpdkError(f"port {self.port_id} {what}: {reason(status)}")
