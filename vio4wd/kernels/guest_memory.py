"""From guest-physical to host addresses, and the dirty log.

Theory of operation: the guest may name any address. Every range is looked up as a whole: its first
and its last byte must lie in the same region, with no wrap-around. Lengths are below 2^32 and
addresses of 2^63 and more arrive as negative numbers (`memory`), so that no sum here overflows. The
region used last is tried first: guests rarely have more than one that holds packets.
"""

from vio4wd.kernels.compile import inline, inner
from vio4wd.kernels.copy import copy_bytes
from vio4wd.kernels.memory import or8
from vio4wd.kernels.records import REGION
from vio4wd.kernels.views import item_at, region_at

_REGION_SIZE = REGION.itemsize
_PAGE_BITS = 12  # of the dirty log: VHOST_LOG_PAGE is 4096 whatever the guest's page size


@inner
def find_region(item, address):
    """Make the region that holds a guest-physical address the item's current one; false: there is none."""
    it = item_at(item)
    for i in range(it.n_regions):
        region = region_at(it.regions + i * _REGION_SIZE)
        if region.start <= address < region.end:
            it.region_start = region.start
            it.region_end = region.end
            it.region_delta = region.delta
            return True
    return False


@inline
def translate(item, address, length):
    """Host address of `length` bytes at a guest-physical address; 0: not wholly inside one region."""
    it = item_at(item)
    if address < it.region_start or address >= it.region_end:
        if not find_region(item, address):
            return 0
    if length > it.region_end - address:
        return 0
    return address + it.region_delta


@inner
def reach(item, address, length):
    """How many of `length` bytes at a guest-physical address lie in its region; 0: in none.

    The region is the item's current one afterwards.
    """
    it = item_at(item)
    if address < it.region_start or address >= it.region_end:
        if not find_region(item, address):
            return 0
    return min(length, it.region_end - address)


@inner
def read_guest(item, target, address, length):
    """Copy from guest memory, over region boundaries where need be; false: part of it is in no region."""
    while length > 0:
        part = reach(item, address, length)
        if part == 0:
            return False
        copy_bytes(target, address + item_at(item).region_delta, part)
        target += part
        address += part
        length -= part
    return True


@inner
def write_guest(item, address, source, length):
    """Copy to guest memory likewise, and log it; false: part of it is in no region."""
    it = item_at(item)
    while length > 0:
        part = reach(item, address, length)
        if part == 0:
            return False
        copy_bytes(address + it.region_delta, source, part)
        if it.log != 0:
            log_write(item, address, part)
        source += part
        address += part
        length -= part
    return True


@inner
def log_write(item, address, length):
    """Mark the pages of a range in the dirty bitmap (VHOST_USER_SET_LOG_BASE), as far as it reaches."""
    it = item_at(item)
    if length <= 0:
        return
    page = address >> _PAGE_BITS
    last = (address + length - 1) >> _PAGE_BITS
    while page <= last:
        if (page >> 3) < it.log_size:
            or8(it.log + (page >> 3), 1 << (page & 7))
        page += 1
