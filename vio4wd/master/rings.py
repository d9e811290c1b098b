"""A relay's virtqueues in the shared tables, while no worker touches them.

The vhost-user messages SET_VRING_BASE and GET_VRING_BASE carry a ring's position in one number: for a
split ring the next available entry, for a packed ring both positions with their wrap counters
("Vring state" of the vhost-user specification).
"""

from __future__ import annotations

import dataclasses

from vio4wd.shm import layout

_INDEX = 0x7FFF
_WRAP = 0x8000


@dataclasses.dataclass(frozen=True, slots=True)
class Position:
    """Where a ring stands; the fields of `layout.RING` of the same names."""

    last_avail: int
    used: int
    avail_wrap: int = 1
    used_wrap: int = 1


def decode_base(base: int, *, packed: bool) -> Position:
    """Position for the number of SET_VRING_BASE.

    Everything taken from a ring is also given back before the ring stops, so both positions are the
    same. Frontends that know only the first of a packed ring leave the upper half zero; it is not read.
    """
    if not packed:
        return Position(base & 0xFFFF, base & 0xFFFF)
    wrap = int(bool(base & _WRAP))
    return Position(base & _INDEX, base & _INDEX, wrap, wrap)


def encode_base(position: Position, *, packed: bool) -> int:
    """The number that answers GET_VRING_BASE."""
    if not packed:
        return position.last_avail & 0xFFFF
    avail = position.last_avail & _INDEX | (_WRAP if position.avail_wrap else 0)
    used = position.used & _INDEX | (_WRAP if position.used_wrap else 0)
    return used << 16 | avail


def read_position(tables: layout.Tables, relay: int, queue: int) -> Position:
    """Where the last worker left the ring."""
    ring = tables["rings"][relay][queue]
    return Position(
        int(ring["last_avail"]), int(ring["used"]), int(ring["avail_wrap"]), int(ring["used_wrap"])
    )


def write_position(tables: layout.Tables, relay: int, queue: int, position: Position, step: int = 0) -> None:
    """Set where the next worker begins; an error that stopped the ring is forgiven.

    Args:
        step: which led there, if it may not have been finished (`layout.RING.step`).
    """
    ring = tables["rings"][relay][queue]
    for name, value in dataclasses.asdict(position).items():
        ring[name] = value
    ring["signalled"] = -1
    ring["step"] = step
    ring["error"] = layout.RING_OK
    ring["error_detail"] = 0
