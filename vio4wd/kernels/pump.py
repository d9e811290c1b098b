"""Moves packets between ports that only the master can poll and the rings that workers poll.

A lane is one such port with its two rings. Nothing is dropped here for want of room: packets are
received only when the ring has room for a burst, and what the driver does not take stays with the lane
and goes first next time. So a full queue is felt, and counted, where it is for a direct port: in the
driver towards the VF, at the worker towards the VM.
"""

from vio4wd.kernels.compile import entry, inner
from vio4wd.kernels.memory import call4, cycles, load64_acquire
from vio4wd.kernels.pump_records import LANE, PUMP
from vio4wd.kernels.records import BURST
from vio4wd.kernels.views import view_of

_DOORBELL = PUMP.fields["doorbell"][1]

lane_at = view_of(LANE)
pump_at = view_of(PUMP)

#: Rounds in a row without a packet after which the pump sleeps.
_DROWSY_AFTER = 64
#: First sleep, microseconds; it doubles from one to the next.
_FIRST_SLEEP = 8


@inner
def _receive(pump, lane):
    """One burst from the port into its ring. Returns the number of packets."""
    pu = pump_at(pump)
    la = lane_at(lane)
    # Vector drivers receive nothing when asked for less than a few packets: a whole burst or none.
    if call4(pu.room, la.rx_ring, 0, 0, 0) < BURST:
        return 0
    n = call4(pu.rx, la.port, 0, pu.scratch, BURST)
    if n > 0:
        call4(pu.enqueue, la.rx_ring, 0, pu.scratch, n)
        la.rx_packets += n
    return n


@inner
def _transmit(pump, lane):
    """One burst from the ring to the port. Returns the number of packets that the driver took."""
    pu = pump_at(pump)
    la = lane_at(lane)
    if la.first == la.end:
        la.first = 0
        la.end = call4(pu.dequeue, la.tx_ring, 0, la.packets, BURST)
        if la.end == 0:
            return 0
    ready = call4(pu.prepare, la.port, 0, la.packets + 8 * la.first, la.end - la.first)
    sent = call4(pu.tx, la.port, 0, la.packets + 8 * la.first, ready)
    la.first += sent
    la.tx_packets += sent
    if sent == ready and la.first < la.end:  # the driver can never send the next one
        call4(pu.free, 0, 0, la.packets + 8 * la.first, 1)
        la.first += 1
        la.refused += 1
    return sent


@entry
def run_pump(pump, seen, until):
    """Serve all lanes until the doorbell differs from `seen` or the time stamp counter reaches `until`."""
    pu = pump_at(pump)
    doorbell = pump + _DOORBELL
    silent = 0
    nap = _FIRST_SLEEP
    while cycles() < until:
        moved = 0
        for i in range(pu.n_lanes):
            lane = load64_acquire(pu.lanes + 8 * i)
            moved += _receive(pump, lane)
            moved += _transmit(pump, lane)
        if load64_acquire(doorbell) != seen:
            break
        if moved > 0:
            silent = 0
            nap = _FIRST_SLEEP
            continue
        silent += 1
        if silent > _DROWSY_AFTER and pu.sleep_us > 0:
            call4(pu.sleep, nap, 0, 0, 0)
            nap = min(2 * nap, pu.sleep_us)
