"""Frames of IP and TCP or UDP, made and checked from their definitions."""

import dataclasses
import struct


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@dataclasses.dataclass(frozen=True)
class Frame:
    """Ethernet, VLAN tags, IPv4 or IPv6, TCP or UDP, and a payload."""

    version: int = 4
    protocol: int = 6
    payload: bytes = b""
    tags: int = 0
    ip_options: int = 0  # words, IPv4
    tcp_options: int = 0  # words
    flags: int = 0x10
    sequence: int = 0x12345678
    identification: int = 0xFFFE

    @property
    def network(self) -> int:
        return 14 + 4 * self.tags

    @property
    def transport(self) -> int:
        return self.network + (20 + 4 * self.ip_options if self.version == 4 else 40)

    @property
    def checksum_at(self) -> int:
        return 16 if self.protocol == 6 else 6

    @property
    def header(self) -> int:
        """Bytes before the payload."""
        return self.transport + (20 + 4 * self.tcp_options if self.protocol == 6 else 8)

    def build(self, *, partial: bool) -> bytes:
        """The frame; `partial`: with the pseudo header's sum for a checksum (virtio 1.2 §5.1.6.2)."""
        length = self.header - self.transport + len(self.payload)
        if self.protocol == 6:
            words = (5 + self.tcp_options) << 12 | self.flags
            layer4 = struct.pack("!HHIIHHHH", 1000, 80, self.sequence, 7, words, 0xFFFF, 0, 0)
            layer4 += bytes(range(1, 1 + 4 * self.tcp_options))
        else:
            layer4 = struct.pack("!HHHH", 1000, 53, length & 0xFFFF, 0)
        layer4 += self.payload
        pseudo = checksum(self._pseudo_header(length)) ^ 0xFFFF
        at = self.checksum_at
        layer4 = layer4[:at] + struct.pack("!H", pseudo) + layer4[at + 2 :]
        if not partial:
            value = checksum(layer4)
            value = 0xFFFF if value == 0 and self.protocol == 17 else value
            layer4 = layer4[:at] + struct.pack("!H", value) + layer4[at + 2 :]
        tags = struct.pack("!HH", 0x8100, 5) * self.tags
        kind = struct.pack("!H", 0x0800 if self.version == 4 else 0x86DD)
        return bytes.fromhex("020000000001020000000002") + tags + kind + self._ip_header(length) + layer4

    def _addresses(self) -> bytes:
        return bytes([10, 0, 0, 1, 10, 0, 0, 2]) if self.version == 4 else bytes(range(32))

    def _pseudo_header(self, length: int) -> bytes:
        if self.version == 4:
            return self._addresses() + struct.pack("!BBH", 0, self.protocol, length & 0xFFFF)
        return self._addresses() + struct.pack("!IHBB", length, 0, 0, self.protocol)

    def _ip_header(self, length: int) -> bytes:
        if self.version == 6:
            return struct.pack("!IHBB", 6 << 28, length & 0xFFFF, self.protocol, 64) + self._addresses()
        size = 20 + 4 * self.ip_options
        fields = (
            0x40 + size // 4,
            0,
            (size + length) & 0xFFFF,
            self.identification,
            0x4000,
            64,
            self.protocol,
        )
        options = bytes(4 * self.ip_options)
        start = struct.pack("!BBHHHBB", *fields)
        value = checksum(start + b"\0\0" + self._addresses() + options)
        return start + struct.pack("!H", value) + self._addresses() + options

    def pieces(self, size: int) -> list[bytes]:
        """The frames that a large TCP frame becomes when it is cut into payloads of `size` bytes."""
        frames = []
        starts = range(0, len(self.payload), size)
        for index, start in enumerate(starts):
            flags = self.flags
            if index < len(starts) - 1:
                flags &= ~0x09  # FIN, PSH
            if index > 0:
                flags &= ~0x80  # CWR
            piece = dataclasses.replace(
                self,
                payload=self.payload[start : start + size],
                sequence=(self.sequence + start) % 2**32,
                identification=(self.identification + index) % 2**16,
                flags=flags,
            )
            frames.append(piece.build(partial=False))
        return frames

    def fragments(self, size: int, identification: bytes = b"") -> list[bytes]:
        """The fragments that a large UDP frame becomes, each with at most `size` bytes behind the IP header.

        Args:
            identification: the 4 bytes of the IPv6 fragment headers.
        """
        whole = self.build(partial=False)
        link, ip, data = whole[: self.network], whole[self.network : self.transport], whole[self.transport :]
        frames = []
        for offset in range(0, len(data), size):
            part = data[offset : offset + size]
            more = offset + size < len(data)
            if self.version == 4:
                length = struct.pack("!H", len(ip) + len(part))
                place = struct.pack("!H", offset // 8 + 0x2000 * more)
                header = ip[:2] + length + ip[4:6] + place + ip[8:10] + b"\0\0" + ip[12:]
                header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
            else:
                header = ip[:4] + struct.pack("!HB", 8 + len(part), 44) + ip[7:]
                header += struct.pack("!BBH", 17, 0, offset + more) + identification
            frames.append(link + header + part)
        return frames
