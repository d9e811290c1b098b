"""Every feature bit of virtio, virtio-net and vhost-user: its name, whether we have it, and why.

One table for each kind. The offers are computed from them, and so is the table in the documentation
(`scripts/generate_docs.py`), so that neither can go stale.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Final


class Virtio(enum.IntFlag):
    """Device feature bits (virtio 1.3 §5.1.3 and §6, and those reserved for vhost), as masks."""

    CSUM = 1 << 0
    GUEST_CSUM = 1 << 1
    CTRL_GUEST_OFFLOADS = 1 << 2
    MTU = 1 << 3
    MAC = 1 << 5
    GSO = 1 << 6
    GUEST_TSO4 = 1 << 7
    GUEST_TSO6 = 1 << 8
    GUEST_ECN = 1 << 9
    GUEST_UFO = 1 << 10
    HOST_TSO4 = 1 << 11
    HOST_TSO6 = 1 << 12
    HOST_ECN = 1 << 13
    HOST_UFO = 1 << 14
    MRG_RXBUF = 1 << 15
    STATUS = 1 << 16
    CTRL_VQ = 1 << 17
    CTRL_RX = 1 << 18
    CTRL_VLAN = 1 << 19
    CTRL_RX_EXTRA = 1 << 20
    GUEST_ANNOUNCE = 1 << 21
    MQ = 1 << 22
    CTRL_MAC_ADDR = 1 << 23
    NOTIFY_ON_EMPTY = 1 << 24
    LOG_ALL = 1 << 26
    ANY_LAYOUT = 1 << 27
    RING_INDIRECT_DESC = 1 << 28
    RING_EVENT_IDX = 1 << 29
    PROTOCOL_FEATURES = 1 << 30
    VERSION_1 = 1 << 32
    ACCESS_PLATFORM = 1 << 33
    RING_PACKED = 1 << 34
    IN_ORDER = 1 << 35
    ORDER_PLATFORM = 1 << 36
    SR_IOV = 1 << 37
    NOTIFICATION_DATA = 1 << 38
    NOTIF_CONFIG_DATA = 1 << 39
    RING_RESET = 1 << 40
    ADMIN_VQ = 1 << 41
    DEVICE_STATS = 1 << 50
    HASH_TUNNEL = 1 << 51
    VQ_NOTF_COAL = 1 << 52
    NOTF_COAL = 1 << 53
    GUEST_USO4 = 1 << 54
    GUEST_USO6 = 1 << 55
    HOST_USO = 1 << 56
    HASH_REPORT = 1 << 57
    GUEST_HDRLEN = 1 << 59
    RSS = 1 << 60
    RSC_EXT = 1 << 61
    STANDBY = 1 << 62
    SPEED_DUPLEX = 1 << 63


def header_size(features: int) -> int:
    """Bytes of the virtio-net header before each packet, with these features taken (virtio 1.3 §5.1.6.1)."""
    return 12 if features & (Virtio.VERSION_1 | Virtio.MRG_RXBUF) else 10


class Protocol(enum.IntFlag):
    """vhost-user protocol feature bits ("Protocol features" of the specification), as masks."""

    MQ = 1 << 0
    LOG_SHMFD = 1 << 1
    RARP = 1 << 2
    REPLY_ACK = 1 << 3
    NET_MTU = 1 << 4
    BACKEND_REQ = 1 << 5
    CROSS_ENDIAN = 1 << 6
    CRYPTO_SESSION = 1 << 7
    PAGEFAULT = 1 << 8
    CONFIG = 1 << 9
    BACKEND_SEND_FD = 1 << 10
    HOST_NOTIFIER = 1 << 11
    INFLIGHT_SHMFD = 1 << 12
    RESET_DEVICE = 1 << 13
    INBAND_NOTIFICATIONS = 1 << 14
    CONFIGURE_MEM_SLOTS = 1 << 15
    STATUS = 1 << 16
    XEN_MMAP = 1 << 17
    SHARED_OBJECT = 1 << 18
    DEVICE_STATE = 1 << 19
    GET_VRING_BASE_INFLIGHT = 1 << 20
    SHMEM = 1 << 21


class Support(enum.Enum):
    """Whether we have a feature; the value stands in the documentation."""

    YES = "yes"
    SWITCHED = "when enabled"
    NO = "no"


@dataclasses.dataclass(frozen=True, slots=True)
class Feature:
    """One feature bit.

    Attributes:
        flag: its mask.
        support: whether it is offered.
        why: what it gives, what enables it, or why it is left out; a line for the documentation.
    """

    flag: Virtio | Protocol
    support: Support
    why: str

    @property
    def bit(self) -> int:
        """The number of the bit."""
        return self.flag.bit_length() - 1

    @property
    def name(self) -> str:
        """As the specifications spell it."""
        name = self.flag.name or ""
        if isinstance(self.flag, Protocol):
            return f"VHOST_USER_PROTOCOL_F_{name}"
        if self.flag is Virtio.LOG_ALL:
            return f"VHOST_F_{name}"
        if self.flag is Virtio.PROTOCOL_FEATURES:
            return f"VHOST_USER_F_{name}"
        if self.flag in Virtio.RING_INDIRECT_DESC | Virtio.RING_EVENT_IDX:
            return f"VIRTIO_RING_F_{name.removeprefix('RING_')}"
        # Bits 24 to 41 belong to virtio as a whole, the others to the kind of device.
        return f"VIRTIO_F_{name}" if 24 <= self.bit <= 41 else f"VIRTIO_NET_F_{name}"


_YES: Final = Support.YES
_SWITCHED: Final = Support.SWITCHED
_NO: Final = Support.NO
_OFFLOAD: Final = "an offload: offered with `--enable-tso`"
_CONTROL: Final = "the control queue is served by the frontend; offered so that old frontends let it pass"
_RSS: Final = "steering among the guest's queues is the relay's own, by flow"
_NOTHING_TO_ASK: Final = "nothing to ask for: no IOTLB, no registers, no configuration space of ours"
_POST_COPY: Final = "post-copy: a page not yet there would stop a worker and all relays on its CPU"
_COAL: Final = "the data path polls; it interrupts the guest at most once a burst"

VIRTIO_FEATURES: Final = (
    Feature(Virtio.CSUM, _SWITCHED, _OFFLOAD),
    Feature(Virtio.GUEST_CSUM, _SWITCHED, _OFFLOAD),
    Feature(Virtio.CTRL_GUEST_OFFLOADS, _NO, "the frontend does not tell the backend of such a change"),
    Feature(Virtio.MTU, _SWITCHED, "tells the guest the VF's MTU; offered once a VF gives one"),
    Feature(Virtio.MAC, _NO, "the frontend's own: it chooses the guest's address"),
    Feature(Virtio.GSO, _NO, "replaced by the HOST_ bits in virtio 1.0"),
    Feature(Virtio.GUEST_TSO4, _SWITCHED, _OFFLOAD),
    Feature(Virtio.GUEST_TSO6, _SWITCHED, _OFFLOAD),
    Feature(Virtio.GUEST_ECN, _SWITCHED, _OFFLOAD),
    Feature(Virtio.GUEST_UFO, _SWITCHED, _OFFLOAD),
    Feature(Virtio.HOST_TSO4, _SWITCHED, _OFFLOAD),
    Feature(Virtio.HOST_TSO6, _SWITCHED, _OFFLOAD),
    Feature(Virtio.HOST_ECN, _SWITCHED, _OFFLOAD),
    Feature(Virtio.HOST_UFO, _SWITCHED, _OFFLOAD),
    Feature(Virtio.MRG_RXBUF, _SWITCHED, "packets larger than a buffer; offered with `--enable-mrgbuf`"),
    Feature(Virtio.STATUS, _YES, "the frontend shows its connection to us as the link"),
    Feature(Virtio.CTRL_VQ, _YES, _CONTROL),
    Feature(Virtio.CTRL_RX, _YES, _CONTROL),
    Feature(Virtio.CTRL_VLAN, _NO, "the VF filters, not the relay"),
    Feature(Virtio.CTRL_RX_EXTRA, _NO, "the VF filters, not the relay"),
    Feature(Virtio.GUEST_ANNOUNCE, _YES, "the guest announces itself after a migration"),
    Feature(Virtio.MQ, _YES, "up to 32 queue pairs"),
    Feature(Virtio.CTRL_MAC_ADDR, _NO, "the VF's address is set on the host"),
    Feature(Virtio.NOTIFY_ON_EMPTY, _NO, "an interrupt that no driver in use asks for"),
    Feature(Virtio.LOG_ALL, _YES, "the log of written pages, for live migration"),
    Feature(Virtio.ANY_LAYOUT, _YES, "header and packet may share a descriptor"),
    Feature(Virtio.RING_INDIRECT_DESC, _YES, "descriptor chains in tables of their own"),
    Feature(Virtio.RING_EVENT_IDX, _YES, "interrupts at a place the guest names"),
    Feature(Virtio.PROTOCOL_FEATURES, _YES, "vhost-user's own features can be negotiated"),
    Feature(Virtio.VERSION_1, _YES, "virtio 1.x; a guest without it is a legacy guest, served too"),
    Feature(Virtio.ACCESS_PLATFORM, _NO, "an IOTLB would put a look-up on each buffer of the packet path"),
    Feature(Virtio.RING_PACKED, _YES, "packed virtqueues; not in client mode, where daemons are replaced"),
    Feature(Virtio.IN_ORDER, _YES, "buffers are used in the order they come"),
    Feature(Virtio.ORDER_PLATFORM, _NO, "for devices that are hardware"),
    Feature(Virtio.SR_IOV, _NO, "the transport's"),
    Feature(Virtio.NOTIFICATION_DATA, _NO, "the data path polls: it needs no notifications"),
    Feature(Virtio.NOTIF_CONFIG_DATA, _NO, "the transport's"),
    Feature(Virtio.RING_RESET, _NO, "vhost-user has no message to reset one queue"),
    Feature(Virtio.ADMIN_VQ, _NO, "the transport's"),
    Feature(Virtio.DEVICE_STATS, _NO, "statistics are the host's: virtioforwarder_stats.py"),
    Feature(Virtio.HASH_TUNNEL, _NO, _RSS),
    Feature(Virtio.VQ_NOTF_COAL, _NO, _COAL),
    Feature(Virtio.NOTF_COAL, _NO, _COAL),
    Feature(Virtio.GUEST_USO4, _NO, "DPDK 22.11 has no such segmentation"),
    Feature(Virtio.GUEST_USO6, _NO, "DPDK 22.11 has no such segmentation"),
    Feature(Virtio.HOST_USO, _NO, "DPDK 22.11 has no such segmentation"),
    Feature(Virtio.HASH_REPORT, _NO, _RSS),
    Feature(Virtio.GUEST_HDRLEN, _NO, "the header length is found in the packet"),
    Feature(Virtio.RSS, _NO, _RSS),
    Feature(Virtio.RSC_EXT, _NO, "no coalescing of segments is done"),
    Feature(Virtio.STANDBY, _NO, "the frontend's own (net_failover)"),
    Feature(Virtio.SPEED_DUPLEX, _NO, "the frontend's own: it fills the configuration space"),
)

PROTOCOL_FEATURES: Final = (
    Feature(Protocol.MQ, _YES, "up to 32 queue pairs"),
    Feature(Protocol.LOG_SHMFD, _YES, "the log of written pages lies in shared memory"),
    Feature(Protocol.RARP, _YES, "announces guests that cannot do so themselves after a migration"),
    Feature(Protocol.REPLY_ACK, _YES, "a request can be answered with its outcome"),
    Feature(Protocol.NET_MTU, _SWITCHED, "the frontend tells the guest's MTU; goes with VIRTIO_NET_F_MTU"),
    Feature(Protocol.BACKEND_REQ, _NO, _NOTHING_TO_ASK),
    Feature(Protocol.CROSS_ENDIAN, _NO, "guests of the host's byte order only"),
    Feature(Protocol.CRYPTO_SESSION, _NO, "for crypto devices"),
    Feature(Protocol.PAGEFAULT, _NO, _POST_COPY),
    Feature(Protocol.CONFIG, _NO, "the frontend keeps a network device's configuration space"),
    Feature(Protocol.BACKEND_SEND_FD, _NO, "there is nothing to send"),
    Feature(Protocol.HOST_NOTIFIER, _NO, "for devices that are hardware"),
    Feature(Protocol.INFLIGHT_SHMFD, _YES, "the frontend keeps where its rings stand, should we be killed"),
    Feature(Protocol.RESET_DEVICE, _YES, "the guest was reset"),
    Feature(Protocol.INBAND_NOTIFICATIONS, _NO, "for simulations; the data path polls"),
    Feature(Protocol.CONFIGURE_MEM_SLOTS, _YES, "memory can be added and removed, up to 32 regions"),
    Feature(Protocol.STATUS, _YES, "the device status reaches us: queues run only for a driver that is up"),
    Feature(Protocol.XEN_MMAP, _NO, "for Xen"),
    Feature(Protocol.SHARED_OBJECT, _NO, "for devices that share dma-bufs"),
    Feature(Protocol.DEVICE_STATE, _NO, "a relay has no state but its ring positions, which travel anyway"),
    Feature(Protocol.GET_VRING_BASE_INFLIGHT, _NO, "nothing is in flight when a queue stops"),
    Feature(Protocol.SHMEM, _NO, "for devices with shared memory regions"),
)

OFFLOADS: Final = (
    Virtio.CSUM
    | Virtio.GUEST_CSUM
    | Virtio.GUEST_TSO4
    | Virtio.GUEST_TSO6
    | Virtio.GUEST_ECN
    | Virtio.GUEST_UFO
    | Virtio.HOST_TSO4
    | Virtio.HOST_TSO6
    | Virtio.HOST_ECN
    | Virtio.HOST_UFO
)

#: Smallest MTU a network device may have in bytes (virtio 1.3 §5.1.4.1).
MIN_MTU: Final = 68
#: Largest MTU in bytes without and with `--enable-jumbo`.
ETHERNET_MTU: Final = 1500
JUMBO_MTU: Final = 9216


def _always(features: tuple[Feature, ...]) -> int:
    return sum(int(feature.flag) for feature in features if feature.support is _YES)


@dataclasses.dataclass(frozen=True, slots=True)
class Offer:
    """What a frontend may negotiate with us.

    Attributes:
        features: device feature bits (masks of `Virtio`).
        protocol_features: vhost-user protocol feature bits (masks of `Protocol`).
        queue_pairs: most pairs of queues.
        max_mtu: largest MTU in bytes that a frontend may set.
    """

    features: int
    protocol_features: int
    queue_pairs: int = 32
    max_mtu: int = ETHERNET_MTU


def offer(
    *,
    mergeable: bool,
    tso: bool = False,
    jumbo: bool = False,
    mtu: int = 0,
    packed: bool = True,
    queue_pairs: int = 32,
) -> Offer:
    """What to offer when these things are switched on.

    Args:
        mergeable: a packet may be spread over several receive buffers (`--enable-mrgbuf`).
        tso: checksum and segmentation offloads (`--enable-tso`).
        jumbo: packets of more than 1500 bytes (`--enable-jumbo`).
        mtu: the VF's MTU in bytes, 0: not known, so the guest is told none.
        packed: packed virtqueues.
        queue_pairs: most pairs of queues, 1 to 32.
    """
    max_mtu = JUMBO_MTU if jumbo else ETHERNET_MTU
    features = _always(VIRTIO_FEATURES)
    protocol_features = _always(PROTOCOL_FEATURES)
    if mergeable:
        features |= Virtio.MRG_RXBUF
    if tso:
        features |= OFFLOADS
    if mtu >= MIN_MTU:
        features |= Virtio.MTU
        protocol_features |= Protocol.NET_MTU
        max_mtu = min(max_mtu, mtu)
    if not packed:
        features &= ~int(Virtio.RING_PACKED)
    # Plain numbers: `~` of an IntFlag leaves out the bits that have no name.
    return Offer(int(features), int(protocol_features), queue_pairs, max_mtu)


def names(features: int, kind: type[Virtio] | type[Protocol] = Virtio) -> str:
    """The bits by name for a log line; unknown ones by number."""
    known = {flag.bit_length() - 1: flag.name or "" for flag in kind}
    bits = (bit for bit in range(64) if features >> bit & 1)
    return " ".join(known.get(bit, f"bit {bit}") for bit in bits) or "none"
