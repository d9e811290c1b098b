"""What the tests of both directions share: guest memory with many borders, and a look at what is left."""

from vio4wd.testing.guest_memory import GuestMemory

BASE = 0x1_0000_0000
MAIN = 0x80000  # bytes of the first region
PIECE = 0x8000  # bytes of each of the small ones behind it
PIECES = 8
#: First addresses of regions that follow another one at once.
BORDERS = [BASE + MAIN + piece * PIECE for piece in range(PIECES)]

#: First address and bytes of a region with nothing on either side.
LAST = (0x40_0000_0000, 0x10000)


def bordered_memory() -> GuestMemory:
    """One large region, small ones right behind it, one far away; known to the host in another order."""
    small = [(border, PIECE) for border in reversed(BORDERS)]
    return GuestMemory([(BASE, MAIN), *small, LAST])


def across(memory, border, offset, call):
    """`call(at=...)` with its first segment `offset` bytes before a border, or anywhere if that is taken."""
    try:
        return call(at=[border - offset])
    except MemoryError:
        return call(at=[])


def check_all_is_back(guest, pool, worker):
    """No byte written out of bounds, no ring broken, no mbuf lost."""
    guest.check()
    pool.check()
    worker.check()
    assert worker.rings["error"].tolist() == [0] * len(worker.rings)
    assert pool.available == pool.size
