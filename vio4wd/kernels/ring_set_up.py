"""What a device tells the driver when it begins to serve its rings."""

from vio4wd.kernels.compile import entry
from vio4wd.kernels.packed_ring import start_packed
from vio4wd.kernels.records import VRING
from vio4wd.kernels.split_ring import start_split
from vio4wd.kernels.views import item_at

_VRING_SIZE = VRING.itemsize


@entry
def set_up(item, vrings, n):
    """Turn the guest's kicks off in `n` rings: a worker polls them."""
    for i in range(n):
        if item_at(item).packed:
            start_packed(item, vrings + i * _VRING_SIZE)
        else:
            start_split(item, vrings + i * _VRING_SIZE)
