"""Numbers and headers of vhost-user messages; bytes only ("Message Specification")."""

from __future__ import annotations

import dataclasses
import enum
import struct
from typing import Final, Self

from vio4wd.vhost.errors import ViolationError
from vio4wd.vhost.payloads import Payload

#: Bytes of a header.
HEADER_SIZE: Final = 12
#: Most file descriptors beside one message: a file for each memory region of a table.
MAX_FDS: Final = 8

_VERSION: Final = 1
_VERSION_MASK: Final = 3
_REPLY: Final = 4
_NEED_REPLY: Final = 8


class Request(enum.IntEnum):
    """What a frontend asks for ("Front-end message types")."""

    GET_FEATURES = 1
    SET_FEATURES = 2
    SET_OWNER = 3
    RESET_OWNER = 4
    SET_MEM_TABLE = 5
    SET_LOG_BASE = 6
    SET_LOG_FD = 7
    SET_VRING_NUM = 8
    SET_VRING_ADDR = 9
    SET_VRING_BASE = 10
    GET_VRING_BASE = 11
    SET_VRING_KICK = 12
    SET_VRING_CALL = 13
    SET_VRING_ERR = 14
    GET_PROTOCOL_FEATURES = 15
    SET_PROTOCOL_FEATURES = 16
    GET_QUEUE_NUM = 17
    SET_VRING_ENABLE = 18
    SEND_RARP = 19
    NET_SET_MTU = 20
    SET_BACKEND_REQ_FD = 21
    IOTLB_MSG = 22
    SET_VRING_ENDIAN = 23
    GET_CONFIG = 24
    SET_CONFIG = 25
    CREATE_CRYPTO_SESSION = 26
    CLOSE_CRYPTO_SESSION = 27
    POSTCOPY_ADVISE = 28
    POSTCOPY_LISTEN = 29
    POSTCOPY_END = 30
    GET_INFLIGHT_FD = 31
    SET_INFLIGHT_FD = 32
    GPU_SET_SOCKET = 33
    RESET_DEVICE = 34
    VRING_KICK = 35
    GET_MAX_MEM_SLOTS = 36
    ADD_MEM_REG = 37
    REM_MEM_REG = 38
    SET_STATUS = 39
    GET_STATUS = 40
    GET_SHARED_OBJECT = 41
    SET_DEVICE_STATE_FD = 42
    CHECK_DEVICE_STATE = 43
    GET_SHMEM_CONFIG = 44


class BackendRequest(enum.IntEnum):
    """What a backend may ask for ("Back-end message types"); we do not (`Protocol.BACKEND_REQ`)."""

    IOTLB_MSG = 1
    CONFIG_CHANGE_MSG = 2
    VRING_HOST_NOTIFIER_MSG = 3
    VRING_CALL = 4
    VRING_ERR = 5
    SHARED_OBJECT_ADD = 6
    SHARED_OBJECT_REMOVE = 7
    SHARED_OBJECT_LOOKUP = 8
    SHMEM_MAP = 9
    SHMEM_UNMAP = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """The 12 bytes before a payload.

    Attributes:
        request: number of the message, which need not be known.
        size: bytes of the payload.
        need_reply: the frontend wants to know the outcome.
    """

    request: int
    size: int
    need_reply: bool = False

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """The header of a request.

        Raises:
            ViolationError: not a header of a request in the version we speak.
        """
        request, flags, size = _FORMAT.unpack(data)
        if flags & _VERSION_MASK != _VERSION or flags & _REPLY:
            raise ViolationError(f"not a vhost-user request of version 1: flags {flags:#x}")
        return cls(request, size, bool(flags & _NEED_REPLY))

    @property
    def name(self) -> str:
        """The message's name for log lines."""
        try:
            return Request(self.request).name
        except ValueError:
            return f"request {self.request}"


_FORMAT: Final = struct.Struct("=III")


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """Our answer as it is to be sent.

    Attributes:
        data: its bytes.
        fd: the descriptor that goes beside them, for the sender to close; -1: none.
    """

    data: bytes
    fd: int = -1


def encode_reply(request: int, payload: Payload) -> bytes:
    """The bytes of our answer to a request."""
    data = payload.pack()
    return _FORMAT.pack(request, _VERSION | _REPLY, len(data)) + data


def encode_request(request: int, payload: Payload, *, need_reply: bool = False) -> bytes:
    """The bytes of a frontend's request."""
    data = payload.pack()
    flags = _VERSION | (_NEED_REPLY if need_reply else 0)
    return _FORMAT.pack(request, flags, len(data)) + data


def decode_reply(data: bytes) -> tuple[int, int]:
    """Request number and payload size of the header of a reply, as a frontend reads it.

    Raises:
        ViolationError: not the header of a reply.
    """
    request, flags, size = _FORMAT.unpack(data)
    if flags != _VERSION | _REPLY:
        raise ViolationError(f"not a vhost-user reply of version 1: flags {flags:#x}")
    return request, size
