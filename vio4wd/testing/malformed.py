"""Broken descriptor chains: one function for each way in which a guest may lie to a device.

`offer` puts one on a ring. `FAULTS` says for each kind what it is, on which rings it can be made, and
why a backend should stop the ring for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Final

from vio4wd.shm import layout
from vio4wd.testing.packed_driver import PackedDriver
from vio4wd.testing.ring_driver import DESCRIPTOR_SIZE, INDIRECT, NEXT, WRITE, RingDriver, Segment
from vio4wd.testing.split_driver import SplitDriver

SPLIT: Final = frozenset({False})
PACKED: Final = frozenset({True})
BOTH: Final = SPLIT | PACKED

#: Bytes of each of the two segments behind the header's in the chain that is then broken.
BODY: Final = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """A way to break a chain.

    Attributes:
        name: the broken part and what is wrong with it.
        apply: offers a chain broken so, of three segments at first: header, BODY and BODY bytes.
        packed: the kinds of ring it can be made on (True: packed).
        errors: layout.RING_* of which a backend may name one.
        late: a receive queue may have no need to look so far into the chain.
        harmless: a transmit queue may go on, because nothing is read there or only the packet is dropped.
    """

    name: str
    apply: Callable[[RingDriver, tuple[Segment, ...]], None]
    packed: frozenset[bool]
    errors: frozenset[int]
    late: bool = False
    harmless: bool = False


def offer(ring: RingDriver, fault: Fault, *, writable: bool, header_size: int) -> None:
    """Add a chain with this fault to the ring; the device sees it after `publish`.

    Its memory is never given back: a guest that breaks a ring must reset it.

    Args:
        writable: the ring is a receive queue.
        header_size: bytes of the virtio-net header.

    Raises:
        RingFullError: fewer than three free descriptors.
    """
    lengths = (header_size, BODY, BODY)
    segments = tuple(Segment(ring.memory.allocate(length), length, writable) for length in lengths)
    fault.apply(ring, segments)


def _outside(ring: RingDriver) -> int:
    """A guest-physical address behind all regions."""
    return max(region.guest_end for region in ring.memory.regions) + (1 << 20)


def _last_byte(ring: RingDriver) -> int:
    """The address of the last byte that has nothing behind it."""
    return max(region.guest_end for region in ring.memory.regions) - 1


def _slots(ring: RingDriver, segments: tuple[Segment, ...]) -> list[int]:
    """The descriptors of the chain, added directly."""
    return ring.outstanding[ring.add(segments)].slots


def _flags(segments: tuple[Segment, ...]) -> int:
    return WRITE if segments[0].writable else 0


def _address(position: int, address: Callable[[RingDriver], int]) -> Callable[..., None]:
    def apply(ring: RingDriver, segments: tuple[Segment, ...]) -> None:
        ring.change(_slots(ring, segments)[position], address=address(ring))

    return apply


def _huge(ring: RingDriver, segments: tuple[Segment, ...]) -> None:
    """Of 4 GiB the first byte alone exists."""
    ring.change(_slots(ring, segments)[1], address=_last_byte(ring), length=0xFFFFFFFF)


def _wrapping(ring: RingDriver, segments: tuple[Segment, ...]) -> None:
    """Address + length is a small number modulo 2^64."""
    ring.change(_slots(ring, segments)[1], address=2**64 - 16)


def _direction(position: int) -> Callable[..., None]:
    def apply(ring: RingDriver, segments: tuple[Segment, ...]) -> None:
        wrong = [
            dataclasses.replace(segment, writable=segment.writable ^ (place == position))
            for place, segment in enumerate(segments)
        ]
        ring.add(wrong)

    return apply


def _short(by: int) -> Callable[..., None]:
    """A chain of one descriptor, `by` bytes shorter than the header."""

    def apply(ring: RingDriver, segments: tuple[Segment, ...]) -> None:
        ring.add([dataclasses.replace(segments[0], length=max(segments[0].length - by, 0))])

    return apply


def _next(target: Callable[[RingDriver, list[int]], int]) -> Callable[..., None]:
    """The last descriptor of the chain goes on."""

    def apply(ring: RingDriver, segments: tuple[Segment, ...]) -> None:
        slots = _slots(ring, segments)
        ring.change(slots[-1], flags=_flags(segments) | NEXT, next_slot=target(ring, slots))

    return apply


def _endless(ring: RingDriver, segments: tuple[Segment, ...]) -> None:
    """Every free descriptor of a packed ring has NEXT set; the chain runs into those before it."""
    slots = _slots(ring, segments[:1] + segments[1:2] * (ring.free - 1))
    ring.change(slots[-1], flags=_flags(segments) | NEXT)


def _head(ring: RingDriver, segments: tuple[Segment, ...]) -> None:
    assert isinstance(ring, SplitDriver)
    ring.add_head(ring.size)


def _jump(ring: RingDriver, segments: tuple[Segment, ...]) -> None:
    """The available index is more than a ring ahead."""
    assert isinstance(ring, SplitDriver)
    ring.skip_available(ring.size + 1)


def _indirect(ring: RingDriver, segments: tuple[Segment, ...]) -> tuple[int, int]:
    """The id and the descriptor of the chain, added with an indirect table."""
    buffer_id = ring.add(segments, indirect=True)
    return buffer_id, ring.outstanding[buffer_id].slots[0]


def _table(
    *,
    address: Callable[[RingDriver], int] | None = None,
    length: int | None = None,
    flags: int | None = None,
) -> Callable[..., None]:
    """The descriptor of an indirect table is wrong."""

    def apply(ring: RingDriver, segments: tuple[Segment, ...]) -> None:
        _, slot = _indirect(ring, segments)
        ring.change(slot, address=address(ring) if address else None, length=length, flags=flags)

    return apply


def _entry(field: str, value: Callable[[RingDriver, tuple[Segment, ...]], int]) -> Callable[..., None]:
    """The second entry of an indirect table is wrong."""

    def apply(ring: RingDriver, segments: tuple[Segment, ...]) -> None:
        buffer_id, _ = _indirect(ring, segments)
        ring.indirect_table(buffer_id)[field][1] = value(ring, segments)

    return apply


def _errors(*errors: int) -> frozenset[int]:
    return frozenset(errors)


_ADDRESS = _errors(layout.RING_BAD_ADDRESS)
_LOOP = _errors(layout.RING_CHAIN_TOO_LONG)
_NUMBER = _errors(layout.RING_BAD_HEAD)
_WAY = _errors(layout.RING_BAD_DIRECTION)
_SHORT = _errors(layout.RING_SHORT_CHAIN)
_TABLE = _errors(layout.RING_BAD_INDIRECT)

FAULTS: Final = (
    Fault("header outside memory", _address(0, _outside), BOTH, _ADDRESS, harmless=True),
    Fault("header at address 0", _address(0, lambda ring: 0), BOTH, _ADDRESS, harmless=True),
    Fault("header's end outside memory", _address(0, _last_byte), BOTH, _ADDRESS, harmless=True),
    Fault("header at 2^63", _address(0, lambda ring: 2**63), BOTH, _ADDRESS, harmless=True),
    Fault("body outside memory", _address(1, _outside), BOTH, _ADDRESS, late=True),
    Fault("body's end outside memory", _address(1, _last_byte), BOTH, _ADDRESS, late=True),
    Fault("last segment outside memory", _address(2, _outside), BOTH, _ADDRESS, late=True),
    Fault("body wraps around the address space", _wrapping, BOTH, _ADDRESS, late=True),
    Fault("body of 4 GiB", _huge, BOTH, _ADDRESS, late=True, harmless=True),
    Fault("header in the wrong direction", _direction(0), BOTH, _WAY),
    Fault("last segment in the wrong direction", _direction(2), BOTH, _WAY, late=True),
    Fault("empty chain", _short(1000), BOTH, _SHORT | _ADDRESS),
    Fault("chain a byte short of the header", _short(1), BOTH, _SHORT),
    Fault("loop to the first descriptor", _next(lambda ring, slots: slots[0]), SPLIT, _LOOP, late=True),
    Fault("loop of one descriptor", _next(lambda ring, slots: slots[-1]), SPLIT, _LOOP, late=True),
    Fault("next outside the table", _next(lambda ring, slots: ring.size), SPLIT, _NUMBER, late=True),
    Fault("next 65535", _next(lambda ring, slots: 65535), SPLIT, _NUMBER, late=True),
    Fault("chain without end", _endless, PACKED, _LOOP, late=True, harmless=True),
    Fault("head outside the table", _head, SPLIT, _errors(layout.RING_BAD_HEAD)),
    Fault("available index far ahead", _jump, SPLIT, _errors(layout.RING_BAD_AVAIL_INDEX)),
    Fault("indirect table outside memory", _table(address=_outside), BOTH, _ADDRESS),
    Fault("indirect table's end outside memory", _table(address=_last_byte), BOTH, _ADDRESS),
    Fault("indirect table wraps", _table(address=lambda ring: 2**64 - DESCRIPTOR_SIZE), BOTH, _ADDRESS),
    Fault("indirect table of 0 bytes", _table(length=0), BOTH, _TABLE),
    Fault("indirect table of 15 bytes", _table(length=15), BOTH, _TABLE),
    Fault("indirect table of 47 bytes", _table(length=47), BOTH, _TABLE),
    Fault("indirect table of 4 GiB", _table(length=0xFFFFFFF0), BOTH, _TABLE),
    Fault("indirect table and next descriptor", _table(flags=INDIRECT | NEXT), SPLIT, _TABLE, late=True),
    Fault(
        "indirect table in an indirect table",
        _entry("flags", lambda ring, segments: _flags(segments) | INDIRECT),
        SPLIT,
        _TABLE,
        late=True,
    ),
    Fault(
        "address outside memory in an indirect table",
        _entry("address", lambda ring, segments: _outside(ring)),
        BOTH,
        _ADDRESS,
        late=True,
    ),
    Fault(
        "wrong direction in an indirect table",
        _entry("flags", lambda ring, segments: _flags(segments) ^ WRITE),
        SPLIT,
        _WAY,
        late=True,
    ),
    Fault(
        "wrong direction in an indirect table of a packed ring",
        _entry("flags", lambda ring, segments: _flags(segments) ^ WRITE),
        PACKED,
        _WAY,
        late=True,
        harmless=True,
    ),
    Fault(
        "next outside an indirect table",
        _entry("next", lambda ring, segments: len(segments)),
        SPLIT,
        _TABLE,
        late=True,
    ),
    Fault("loop in an indirect table", _entry("next", lambda ring, segments: 0), SPLIT, _LOOP, late=True),
)


def faults(ring: RingDriver) -> tuple[Fault, ...]:
    """Those that can be made on this kind of ring."""
    return tuple(fault for fault in FAULTS if isinstance(ring, PackedDriver) in fault.packed)
