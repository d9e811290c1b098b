"""Hypothesis strategies for virtqueues: guests, buffers, packets, and positions about to wrap around."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Final

from hypothesis import strategies as st

from vio4wd.testing.guest_memory import GuestMemory
from vio4wd.testing.mock_guest import HEADER, LEGACY_HEADER, MockGuest

ETHERNET_HEADER: Final = 14


def numbered_packet(number: int, length: int) -> bytes:
    """A packet whose bytes tell it from all others and show where they stand in it.

    Args:
        number: 0 to 2^32 - 1, in its first four bytes as far as they fit.
        length: bytes.
    """
    pattern = bytes((number * 7 + place) % 251 for place in range(251))
    body = pattern * (length // 251 + 1)
    return (number.to_bytes(4, "big") + body)[:length]


@dataclasses.dataclass(frozen=True, slots=True)
class GuestOptions:
    """The arguments of a MockGuest, in a form that Hypothesis prints well."""

    packed: bool
    size: int
    header_size: int
    mergeable: bool
    event_index: bool
    in_order: bool
    start: int

    def build(self, memory: GuestMemory | None = None) -> MockGuest:
        """A new guest."""
        return MockGuest(
            memory,
            packed=self.packed,
            size=self.size,
            header_size=self.header_size,
            mergeable=self.mergeable,
            event_index=self.event_index,
            in_order=self.in_order,
            start=self.start,
        )


def starts(packed: bool, size: int) -> st.SearchStrategy[int]:
    """First positions of a ring: 0, anywhere, and a few entries before the index or a lap ends."""
    if packed:
        near_end = st.integers(max(0, 2 * size - 5), 2 * size - 1) | st.integers(max(0, size - 5), size - 1)
        return st.just(0) | near_end | st.integers(0, 2 * size - 1)
    return st.just(0) | st.integers(65530, 65535) | st.integers(0, 65535)


@st.composite
def guest_options(
    draw: st.DrawFn,
    *,
    packed: bool | None = None,
    mergeable: bool | None = None,
    sizes: tuple[int, ...] = (4, 8, 32, 256),
) -> GuestOptions:
    """Guests as they may be negotiated.

    Args:
        packed, mergeable: fixed if not None.
        sizes: of the rings; those of packed rings may be any other number as well.
    """
    packed = draw(st.booleans()) if packed is None else packed
    size = draw(st.sampled_from(sizes))
    if packed and draw(st.booleans()):
        size -= draw(st.integers(0, size // 4))
    mergeable = draw(st.booleans()) if mergeable is None else mergeable
    # Packed rings are for modern devices only, and those always have the long header.
    short = not packed and not mergeable and draw(st.booleans())
    return GuestOptions(
        packed=packed,
        size=size,
        header_size=LEGACY_HEADER if short else HEADER,
        mergeable=mergeable,
        event_index=draw(st.booleans()),
        in_order=draw(st.booleans()),
        start=draw(starts(packed, size)),
    )


def packet_lengths(most: int = 1518) -> st.SearchStrategy[int]:
    """Bytes of an Ethernet frame, often near a limit or a vector's length."""
    edges = [n for n in (14, 15, 60, 64, 65, 127, 128, 1500, 1514, 1518, 2048, 9014, most) if n <= most]
    return st.sampled_from(edges) | st.integers(ETHERNET_HEADER, most)


@st.composite
def layouts(draw: st.DrawFn, total: int, most_segments: int = 4) -> tuple[int, ...]:
    """Lengths of at least 1 byte that cut `total` bytes into 1 to `most_segments` segments."""
    cuts = draw(st.sets(st.integers(1, max(total - 1, 1)), max_size=min(most_segments, total) - 1))
    bounds = [0, *sorted(cut for cut in cuts if cut < total), total]
    return tuple(after - before for before, after in itertools.pairwise(bounds))


@dataclasses.dataclass(frozen=True, slots=True)
class Buffer:
    """How a buffer of `sum(lengths)` bytes is described to the device."""

    lengths: tuple[int, ...]
    indirect: bool
    direct: int

    @property
    def descriptors(self) -> int:
        """Descriptors of the ring that it takes."""
        return self.direct + 1 if self.indirect else len(self.lengths)


@st.composite
def buffers(draw: st.DrawFn, total: int, *, packed: bool, most_segments: int = 4) -> Buffer:
    """Buffers of `total` bytes: cut anywhere, indirect or not, on split rings a mixture as well."""
    lengths = draw(layouts(total, most_segments))
    indirect = draw(st.booleans())
    mixed = indirect and not packed
    direct = draw(st.integers(0, len(lengths) - 1)) if mixed else 0
    return Buffer(lengths, indirect, direct)
