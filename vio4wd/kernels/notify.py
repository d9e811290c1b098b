"""Interrupts to the guest: only when it asked for one, once a burst.

The used entries must be visible before we read whether the guest wants an interrupt, or both sides
may wait for each other; hence the fence (virtio 1.2 §2.7.10, §2.8.10).
"""

from vio4wd.kernels.compile import inner
from vio4wd.kernels.memory import call4, fence, load16, load32
from vio4wd.kernels.views import context_at, item_at, ring_at, vring_at

_NO_INTERRUPT = 1  # VIRTQ_AVAIL_F_NO_INTERRUPT
_EVENT_DISABLE = 1  # packed: RING_EVENT_FLAGS_DISABLE
_EVENT_DESCRIPTOR = 2  # packed: RING_EVENT_FLAGS_DESC


@inner
def _interrupt(context, vring):
    ctx = context_at(context)
    v = vring_at(vring)
    if v.call_fd >= 0:
        call4(ctx.write, v.call_fd, ctx.one, 8, 0)
        ring_at(v.ring).interrupts += 1


@inner
def notify_split(context, item, vring):
    """Interrupt the guest if it wants to know of the used entries up to now (virtio 1.2 §2.7.7)."""
    v = vring_at(vring)
    r = ring_at(v.ring)
    fence()
    if item_at(item).event_idx == 0:
        if load16(v.available) & _NO_INTERRUPT == 0:
            _interrupt(context, vring)
        return
    before = r.signalled
    r.signalled = r.used
    event = load16(v.available + 4 + 2 * v.size)  # used_event
    if before < 0 or ((r.used - event - 1) & 0xFFFF) < ((r.used - before) & 0xFFFF):
        _interrupt(context, vring)


@inner
def notify_packed(context, item, vring, before, wrap_before):
    """Likewise for a packed ring whose used position was `before` when the burst began (§2.8.10)."""
    v = vring_at(vring)
    r = ring_at(v.ring)
    fence()
    event = load32(v.available)  # struct pvirtq_event_suppress: desc (offset, wrap), flags
    flags = event >> 16 & 3
    if flags == _EVENT_DISABLE:
        return
    if flags == _EVENT_DESCRIPTOR:
        # Positions on a line: the wrap before ours is one ring length behind.
        now = r.used
        old = before if wrap_before == r.used_wrap else before - v.size
        wanted = event & 0x7FFF
        if (event >> 15 & 1) != r.used_wrap:
            wanted -= v.size
        if not old <= wanted < now:
            return
    _interrupt(context, vring)
