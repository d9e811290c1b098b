"""What a device tells the driver when it begins to serve its rings."""

from vio4wd.kernels.compile import kernel
from vio4wd.kernels.packed_ring import start_packed
from vio4wd.kernels.records import VRING, item_at
from vio4wd.kernels.split_ring import start_split

_VRING_SIZE = VRING.itemsize


@kernel("void(int64, int64, int64)")
def set_up(item, vrings, n):
    """Turn the guest's kicks off in `n` rings: a worker polls them."""
    for i in range(n):
        if item_at(item).packed:
            start_packed(item, vrings + i * _VRING_SIZE)
        else:
            start_split(item, vrings + i * _VRING_SIZE)
