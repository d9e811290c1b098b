"""The frame that tells switches where a guest is that has just been migrated (RFC 903)."""

from __future__ import annotations

import struct
from typing import Final

_ETHERTYPE: Final = 0x8035
_BROADCAST: Final = b"\xff" * 6
# Hardware type Ethernet, protocol IPv4 and their address lengths, operation "request reverse".
_HEAD: Final = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 3)
_NO_ADDRESS: Final = bytes(4)
_MIN_FRAME: Final = 60


def frame(mac: bytes) -> bytes:
    """A broadcast RARP request from and about the 6-byte MAC address: 60 bytes, without checksum."""
    ethernet = _BROADCAST + mac + struct.pack(">H", _ETHERTYPE)
    return (ethernet + _HEAD + (mac + _NO_ADDRESS) * 2).ljust(_MIN_FRAME, b"\0")
