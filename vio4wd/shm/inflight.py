"""The memory in which vhost-user keeps what a backend has in hand ("Inflight I/O tracking"), as we use it.

The frontend holds the memory, so that it outlives us. It has a part for each virtqueue; a part begins with a
header and goes on with an entry for each descriptor. The entries are for backends that give chains back in
another order than they came. We never do: the position of the ring says all, so the header is all we write.
"""

from __future__ import annotations

from typing import Final

#: Bytes of a part's header, and of each entry.
SPLIT_HEADER: Final = 16
SPLIT_ENTRY: Final = 16
PACKED_HEADER: Final = 32
PACKED_ENTRY: Final = 32
#: Parts begin at multiples of this many bytes.
ALIGNMENT: Final = 64

# Where in the header what stands; numbers of 16 bits where nothing else is said.
#: 1; 0: nobody has begun to use the part.
VERSION_AT: Final = 8
#: Entries of the ring.
SIZE_AT: Final = 10
#: Split: the used index.
USED_AT: Final = 14
#: Packed, 48 of 64 bits: used index, its old value; used wrap counter, its old value (8 bits each). That is
#: how `layout.RING.step` has it.
STEP_AT: Final = 16


def part_size(queue_size: int, *, packed: bool) -> int:
    """Bytes of each queue's part, for rings of so many entries."""
    size = PACKED_HEADER + PACKED_ENTRY * queue_size if packed else SPLIT_HEADER + SPLIT_ENTRY * queue_size
    return -(-size // ALIGNMENT) * ALIGNMENT
