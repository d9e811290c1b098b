"""Protobuf by hand: messages built and read from field numbers and wire types alone.

Nothing here is shared with the server, so a wrong number in its .proto file shows up in the tests.
"""

from __future__ import annotations

import struct


def varint(number: int) -> bytes:
    """A number as protobuf writes it; negative ones as 64-bit two's complement."""
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, value: int | str | bytes) -> bytes:
    """A field: a number as varint, text and bytes (of a nested message too) with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def message(*fields: tuple[int, int | str | bytes]) -> bytes:
    """A message of (number, value) pairs."""
    return b"".join(field(number, value) for number, value in fields)


def pci(domain: int, bus: int, slot: int, function: int) -> bytes:
    """PortControlRequest.PciAddress."""
    return message((1, domain), (2, bus), (3, slot), (4, function))


def read(data: bytes) -> dict[int, list[int | bytes | float]]:
    """The fields of a message: numbers, bytes, and floats, by field number in their order.

    Raises:
        ValueError: it is malformed.
    """
    fields: dict[int, list[int | bytes | float]] = {}
    index = 0
    while index < len(data):
        key, index = _read_varint(data, index)
        number, kind = key >> 3, key & 7
        value: int | bytes | float
        if kind == 0:
            value, index = _read_varint(data, index)
        elif kind == 2:
            size, index = _read_varint(data, index)
            if index + size > len(data):
                raise ValueError("a field goes beyond the message")
            value, index = data[index : index + size], index + size
        elif kind == 5:
            (value,) = struct.unpack_from("<f", data, index)
            index += 4
        else:
            raise ValueError(f"wire type {kind} of field {number}")
        fields.setdefault(number, []).append(value)
    return fields


def _read_varint(data: bytes, index: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if index == len(data) or shift > 63:
            raise ValueError("a number without end")
        number |= (data[index] & 0x7F) << shift
        index += 1
        if data[index - 1] < 0x80:
            return number, index
        shift += 7


def signed(number: int) -> int:
    """An int32 field's value as it was meant."""
    return number - (1 << 64) if number >> 63 else number
