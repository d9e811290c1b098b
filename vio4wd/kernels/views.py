"""What kernels see behind an address.

`item_at(address).relay` reads a field, `item_at(address).relay = 1` writes it; a view costs nothing.
"""

import numba
from numba import types
from numba.core.extending import intrinsic

from vio4wd.dpdk.mbuf import MBUF
from vio4wd.kernels.records import CONTEXT, ITEM, REGION, VRING
from vio4wd.shm import layout


def view_of(dtype):
    """An intrinsic that takes an address for a record of the dtype."""
    record = numba.from_dtype(dtype)

    @intrinsic
    def at(typingctx, address):
        def generate(context, builder, signature, args):
            return builder.inttoptr(args[0], context.get_value_type(record))

        return record(types.int64), generate

    return at


item_at = view_of(ITEM)
vring_at = view_of(VRING)
region_at = view_of(REGION)
context_at = view_of(CONTEXT)
mbuf_at = view_of(MBUF)
ring_at = view_of(layout.RING)
worker_at = view_of(layout.WORKER)
counters_at = view_of(layout.DIRECTION)
