"""The table of all vhost-user messages: what each carries, touches and needs, and who handles it.

The codec, the state machine and the documentation (`scripts/generate_docs.py`) are derived from it.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from vio4wd.vhost import memory_requests, negotiation, ring_requests
from vio4wd.vhost.errors import ViolationError
from vio4wd.vhost.features import Protocol
from vio4wd.vhost.messages import MAX_FDS, Header, Request
from vio4wd.vhost.payloads import (
    InflightArea,
    LogArea,
    Nothing,
    Number,
    Payload,
    Regions,
    SingleRegion,
    VringAddress,
    VringFile,
    VringState,
    WithFile,
)

if TYPE_CHECKING:
    from vio4wd.vhost.device import Device

#: Does what a message says to the device. It takes the descriptors it keeps out of the list and returns
#: the reply of messages that have one. When it raises, nothing has changed.
Handler = Callable[["Device", Any, list[int]], Awaitable[Payload | WithFile | None]]


class Touches(enum.Enum):
    """What must not be served while a message is handled."""

    NOTHING = enum.auto()
    RING = enum.auto()  # the queue that the payload's `index` names
    DEVICE = enum.auto()


_NONE: Final = Protocol(0)


@dataclasses.dataclass(frozen=True, slots=True)
class Spec:
    """One message that is supported.

    Attributes:
        payload: what it carries.
        handler: does it.
        touches: what is suspended for it.
        needs: the protocol feature without which it is not allowed.
        min_fds, max_fds: how many file descriptors come beside it.
    """

    payload: type[Payload]
    handler: Handler
    touches: Touches = Touches.NOTHING
    needs: Protocol = _NONE
    min_fds: int = 0
    max_fds: int = 0


_RING: Final = Touches.RING
_DEVICE: Final = Touches.DEVICE
_SLOTS: Final = Protocol.CONFIGURE_MEM_SLOTS
_R: Final = Request
_n = negotiation
_m = memory_requests
_q = ring_requests

REQUESTS: Final[dict[Request, Spec]] = {
    _R.GET_FEATURES: Spec(Nothing, _n.get_features),
    _R.SET_FEATURES: Spec(Number, _n.set_features, _DEVICE),
    _R.SET_OWNER: Spec(Nothing, _n.set_owner),
    _R.RESET_OWNER: Spec(Nothing, _n.reset_owner, _DEVICE),
    _R.SET_MEM_TABLE: Spec(Regions, _m.set_mem_table, _DEVICE, max_fds=MAX_FDS),
    _R.SET_LOG_BASE: Spec(LogArea, _m.set_log_base, _DEVICE, Protocol.LOG_SHMFD, 1, 1),
    _R.SET_LOG_FD: Spec(Nothing, _m.set_log_fd, min_fds=1, max_fds=1),
    _R.SET_VRING_NUM: Spec(VringState, _q.set_vring_num, _RING),
    _R.SET_VRING_ADDR: Spec(VringAddress, _q.set_vring_addr, _RING),
    _R.SET_VRING_BASE: Spec(VringState, _q.set_vring_base, _RING),
    _R.GET_VRING_BASE: Spec(VringState, _q.get_vring_base, _RING),
    _R.SET_VRING_KICK: Spec(VringFile, _q.set_vring_kick, _RING, max_fds=1),
    _R.SET_VRING_CALL: Spec(VringFile, _q.set_vring_call, _RING, max_fds=1),
    _R.SET_VRING_ERR: Spec(VringFile, _q.set_vring_err, _RING, max_fds=1),
    _R.GET_PROTOCOL_FEATURES: Spec(Nothing, _n.get_protocol_features),
    _R.SET_PROTOCOL_FEATURES: Spec(Number, _n.set_protocol_features, _DEVICE),
    _R.GET_QUEUE_NUM: Spec(Nothing, _n.get_queue_num, needs=Protocol.MQ),
    _R.SET_VRING_ENABLE: Spec(VringState, _q.set_vring_enable, _RING),
    _R.SEND_RARP: Spec(Number, _n.send_rarp, needs=Protocol.RARP),
    _R.NET_SET_MTU: Spec(Number, _n.net_set_mtu, needs=Protocol.NET_MTU),
    _R.GET_INFLIGHT_FD: Spec(InflightArea, _m.get_inflight_fd, needs=Protocol.INFLIGHT_SHMFD),
    _R.SET_INFLIGHT_FD: Spec(InflightArea, _m.set_inflight_fd, _DEVICE, Protocol.INFLIGHT_SHMFD, 1, 1),
    _R.RESET_DEVICE: Spec(Nothing, _n.reset_device, _DEVICE, Protocol.RESET_DEVICE),
    _R.GET_MAX_MEM_SLOTS: Spec(Nothing, _m.get_max_mem_slots, needs=_SLOTS),
    _R.ADD_MEM_REG: Spec(SingleRegion, _m.add_mem_reg, _DEVICE, _SLOTS, 1, 1),
    _R.REM_MEM_REG: Spec(SingleRegion, _m.rem_mem_reg, _DEVICE, _SLOTS, 0, 1),
    _R.SET_STATUS: Spec(Number, _n.set_status, _DEVICE, Protocol.STATUS),
    _R.GET_STATUS: Spec(Nothing, _n.get_status, needs=Protocol.STATUS),
}

#: Messages that are left out: the protocol feature they belong to, which is not offered, or the reason.
LEFT_OUT: Final[dict[Request, Protocol | str]] = {
    _R.SET_BACKEND_REQ_FD: Protocol.BACKEND_REQ,
    _R.IOTLB_MSG: "VIRTIO_F_ACCESS_PLATFORM is not offered",
    _R.SET_VRING_ENDIAN: Protocol.CROSS_ENDIAN,
    _R.GET_CONFIG: Protocol.CONFIG,
    _R.SET_CONFIG: Protocol.CONFIG,
    _R.CREATE_CRYPTO_SESSION: Protocol.CRYPTO_SESSION,
    _R.CLOSE_CRYPTO_SESSION: Protocol.CRYPTO_SESSION,
    _R.POSTCOPY_ADVISE: Protocol.PAGEFAULT,
    _R.POSTCOPY_LISTEN: Protocol.PAGEFAULT,
    _R.POSTCOPY_END: Protocol.PAGEFAULT,
    _R.GPU_SET_SOCKET: "for graphics devices",
    _R.VRING_KICK: Protocol.INBAND_NOTIFICATIONS,
    _R.GET_SHARED_OBJECT: Protocol.SHARED_OBJECT,
    _R.SET_DEVICE_STATE_FD: Protocol.DEVICE_STATE,
    _R.CHECK_DEVICE_STATE: Protocol.DEVICE_STATE,
    _R.GET_SHMEM_CONFIG: Protocol.SHMEM,
}


def find(header: Header, offered: int) -> Spec:
    """The entry of a message whose header has just come; the payload may follow.

    Args:
        header: of the message.
        offered: protocol features that we offer.

    Raises:
        ViolationError: the message is not known or not allowed, or its size is not one of its sizes.
    """
    try:
        spec = REQUESTS.get(Request(header.request))
    except ValueError:
        spec = None
    if spec is None or spec.needs & ~offered:
        raise ViolationError(f"{header.name} is not supported")
    if header.size not in spec.payload.SIZES:
        raise ViolationError(f"{header.name} with a payload of {header.size} bytes")
    return spec
