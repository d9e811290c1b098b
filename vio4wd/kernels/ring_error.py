"""Stopping a virtqueue whose driver broke the rules; the master reads the reason and logs it."""

from vio4wd.kernels.compile import inner
from vio4wd.kernels.views import ring_at, vring_at


@inner
def fail(vring, reason, detail):
    """Stop a ring until it is set up anew; `reason` is one of layout.RING_*, `detail` the offending value."""
    r = ring_at(vring_at(vring).ring)
    r.error_detail = detail
    r.error = reason
