"""The life of a worker: poll what moves on every round, what is silent now and then, sleep when all is.

The items (directions of relays) stand in one array of addresses, the hot ones first. An item that
moved nothing in many polls becomes cold. The cold ones are looked at in turn: whenever the hot ones moved
nothing, and otherwise so seldom that each has its turn in time. So 64 idle relays cost the one that works
almost nothing, and none waits long. When nothing is hot every item is looked at, and after a while of
that the worker sleeps, if it may, for longer and longer up to a bound.
"""

from vio4wd.kernels.compile import entry, inner
from vio4wd.kernels.memory import call4, cycles, load64, load64_acquire, log2_floor, pause, store64
from vio4wd.kernels.vf_to_vm import burst_vf_to_vm
from vio4wd.kernels.views import context_at, counters_at, item_at, worker_at
from vio4wd.kernels.vm_to_vf import burst_vm_to_vf
from vio4wd.shm.layout import DIRECTION, VF_TO_VM

_HISTOGRAM = DIRECTION.fields["latency_histogram"][1]
_BUCKETS = DIRECTION.fields["latency_histogram"][0].shape[0]
#: Polls in a row without a packet after which an item is cold.
_COLD_AFTER = 512
#: Cycles in which every cold item has its turn while hot ones are busy,
_COLD_ROUND = 1_300_000
#: but at least these between two looks. One costs some 500, for an item's records are seldom in the nearest
#: cache. The 126 cold items of 64 relays, of which one is busy, are all looked at within 2.5 million.
_COLD_EVERY = 20_000
#: Rounds in a row without a packet after which the worker sleeps.
_DROWSY_AFTER = 4096
#: First sleep, microseconds; it doubles from one to the next.
_FIRST_SLEEP = 8


@inner
def _account(context, item, n, spent):
    """Book a burst that moved `n` packets in `spent` cycles: the time of its packets in our hands."""
    worker = worker_at(context_at(context).worker)
    it = item_at(item)
    counters = counters_at(it.counters)
    counters.bursts += 1
    counters.busy_cycles += spent
    counters.latency_samples += 1
    bucket = it.counters + _HISTOGRAM + 8 * min(log2_floor(max(spent, 1)), _BUCKETS - 1)
    store64(bucket, load64(bucket) + 1)
    worker.bursts += 1
    worker.packets += n
    worker.busy_cycles += spent
    if spent > worker.longest_cycles:
        worker.longest_cycles = spent
        worker.longest_relay = it.relay
        worker.longest_direction = it.direction
        worker.longest_packets = n


@inner
def _poll(context, item, since):
    """Run one burst of an item and book it. `since`: the time now. Returns the number of packets."""
    it = item_at(item)
    if it.direction == VF_TO_VM:
        n = burst_vf_to_vm(context, item)
    else:
        n = burst_vm_to_vf(context, item)
    counters_at(it.counters).polls += 1
    if n == 0:
        it.silent += 1
    else:
        it.silent = 0
        _account(context, item, n, cycles() - since)
    return n


@inner
def _swap(order, i, j):
    item = load64(order + 8 * i)
    store64(order + 8 * i, load64(order + 8 * j))
    store64(order + 8 * j, item)


@inner
def _poll_hot(context):
    """One round over the hot items; returns the packets moved."""
    ctx = context_at(context)
    moved = 0
    i = 0
    while i < ctx.n_hot:
        item = load64(ctx.order + 8 * i)
        moved += _poll(context, item, cycles())
        if item_at(item).silent > _COLD_AFTER:
            ctx.n_hot -= 1
            _swap(ctx.order, i, ctx.n_hot)
        else:
            i += 1
    return moved


@inner
def _poll_cold(context):
    """Look at the next cold item, at all of them when none is hot; returns the packets moved."""
    ctx = context_at(context)
    cold = ctx.n_items - ctx.n_hot
    rounds = cold if ctx.n_hot == 0 else min(cold, 1)
    moved = 0
    for _ in range(rounds):
        if ctx.cold < ctx.n_hot or ctx.cold >= ctx.n_items:
            ctx.cold = ctx.n_hot
        n = _poll(context, load64(ctx.order + 8 * ctx.cold), cycles())
        if n > 0:
            _swap(ctx.order, ctx.cold, ctx.n_hot)
            ctx.n_hot += 1
            moved += n
        ctx.cold += 1
    return moved


@entry
def run(context, seen, deadline):
    """Serve the items until the doorbell differs from `seen` or the time stamp counter passes `deadline`."""
    ctx = context_at(context)
    worker = worker_at(ctx.worker)
    began = cycles()
    now = began
    look = 0
    while True:
        moved = _poll_hot(context)
        if moved == 0 or now >= look:
            moved += _poll_cold(context)
            look = now + max(_COLD_EVERY, _COLD_ROUND // max(ctx.n_items - ctx.n_hot, 1))
        now = cycles()
        worker.loops += 1
        worker.heartbeat = now
        if load64_acquire(ctx.doorbell) != seen or now > deadline:
            break
        if moved > 0:
            ctx.silent = 0
            ctx.nap_us = 0
            continue
        ctx.silent += 1
        if ctx.silent < _DROWSY_AFTER or ctx.sleep_us == 0:
            pause()
            continue
        ctx.nap_us = min(max(2 * ctx.nap_us, _FIRST_SLEEP), ctx.sleep_us)
        call4(ctx.sleep, ctx.nap_us, 0, 0, 0)
        worker.sleeps += 1
        worker.idle_cycles += cycles() - now
    worker.total_cycles += cycles() - began
