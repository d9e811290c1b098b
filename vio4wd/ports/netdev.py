"""The kernel's network interface behind a port: some drivers know neither its link nor its MTU."""

from __future__ import annotations

import fcntl
import socket
import struct
from typing import Final

# ioctls on an interface's name, struct ifreq (netdevice(7)).
_SIOCGIFFLAGS: Final = 0x8913
_SIOCGIFMTU: Final = 0x8921
_IFF_UP: Final = 0x1
_IFF_RUNNING: Final = 0x40
_IFREQ: Final = struct.Struct("16s24x")


def _ask(if_index: int, request: int) -> bytes:
    """The answer to an interface ioctl, the bytes behind the name.

    Raises:
        OSError: the interface is gone.
    """
    name = socket.if_indextoname(if_index).encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as anything:
        return fcntl.ioctl(anything, request, _IFREQ.pack(name))[16:]


def has_carrier(if_index: int) -> bool:
    """Whether the interface is up and its link is; False when it is gone."""
    try:
        (flags,) = struct.unpack_from("h", _ask(if_index, _SIOCGIFFLAGS))
    except OSError:
        return False
    return int(flags) & _IFF_UP != 0 and int(flags) & _IFF_RUNNING != 0


def mtu(if_index: int) -> int:
    """The interface's MTU, bytes; 0 when it is gone."""
    try:
        (size,) = struct.unpack_from("i", _ask(if_index, _SIOCGIFMTU))
    except OSError:
        return 0
    return int(size)
