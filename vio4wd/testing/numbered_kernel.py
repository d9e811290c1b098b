"""Guests that send numbered packets, take them when they come back, and miss none: the compiled part.

Each flow is a guest with one pair of rings (`numbered_rings`) behind a VF that sends everything
back. It has no more packets under way than its window, and posts a buffer again before it counts what
came in it. So no ring on the way is ever full, and a packet that does not come back was lost by somebody.
"""
# mypy: ignore-errors

import numpy as np

from vio4wd.kernels.compile import inner, kernel
from vio4wd.kernels.memory import (
    call4,
    cycles,
    load64,
    load64_acquire,
    store64,
)
from vio4wd.kernels.views import view_of
from vio4wd.testing.numbered_rings import BUFFER, RING, SIDE, next_used, offer, publish, side_at

#: Numbers whose arrival is remembered; far more than are ever under way.
MEMORY = 4096

FLOW = np.dtype(
    [
        # Written by the owner.
        ("mark", "i8"),  # tells this flow's packets from all others
        ("window", "i8"),  # most packets under way; 0: send nothing
        ("epoch", "i8"),  # another value: begin anew with `gap` and `slowest`
        ("patience", "i8"),  # cycles without an arrival after which packets under way are written off
        ("tx_buffers", "i8"),  # host addresses
        ("rx_buffers", "i8"),
        ("free", "i8"),  # of RING numbers: the buffers to offer next, from tx.posted on
        ("tx_out", "i8"),  # of RING numbers: 1 while the device has the buffer
        ("rx_out", "i8"),
        ("seen", "i8"),  # of MEMORY numbers: 1 + the last packet that came for the place
        ("tx", SIDE),
        ("rx", SIDE),
        # Written by the kernel.
        ("known_epoch", "i8"),
        ("next", "i8"),  # number of the next packet
        ("expected", "i8"),  # one more than the highest number that came
        ("written_off", "i8"),  # numbers below are not waited for
        ("arrived", "i8"),  # packets, each counted once
        ("duplicated", "i8"),
        ("reordered", "i8"),
        ("foreign", "i8"),  # of another flow, or of nobody
        ("damaged", "i8"),  # wrong length or content
        ("ring_faults", "i8"),  # used entries that no device may write
        ("write_offs", "i8"),
        ("last_arrival", "i8"),  # time stamp; also of the first packet sent when none was under way
        ("progress", "i8"),  # time stamp of that, or of the last write-off
        ("gap", "i8"),  # longest time between two arrivals, cycles
        ("slowest", "i8"),  # longest time from sending to arrival, cycles
    ]
)
_at = view_of(FLOW)
_SIZE = FLOW.itemsize
_WINDOW, _EPOCH, _TX, _RX = (FLOW.fields[name][1] for name in ("window", "epoch", "tx", "rx"))

#: Bytes of the virtio-net header before the frame.
_HEADER = 12
# Where in a frame there are ...
_MARK, _NUMBER, _STAMP = 20, 28, 36
_SHORTEST = 68
_LENGTHS = 128
#: Mixed into the number to make the last 8 bytes of a frame.
_SALT = 0x5A5A_3C3C_0F0F_6969
#: Both addresses, and the type for experiments (IEEE 802, 0x88B5).
_ETHERNET = (0x0052_0200_0000_0052, 0x0000_B588_0100_0000)

_SLEEP_US = 20


@inner
def _length(number: int) -> int:
    """Bytes of the frame with a number: 68 to 1084."""
    return _SHORTEST + 8 * ((number * 31) % _LENGTHS)


@inner
def _flag(flags: int, place: int) -> int:
    return load64(flags + 8 * place)


@inner
def _collect_sent(flow: int) -> None:
    """Take back the buffers that the device is done with."""
    f = _at(flow)
    while True:
        used = next_used(flow + _TX)
        if used < 0:
            return
        buffer = used & 0xFFFFFFFF
        if buffer >= RING or _flag(f.tx_out, buffer) == 0:
            f.ring_faults += 1
            return
        store64(f.tx_out + 8 * buffer, 0)
        store64(f.free + 8 * ((side_at(flow + _TX).position - 1) % RING), buffer)


@inner
def _send(flow: int) -> int:
    """Fill the window; returns the number of packets sent."""
    f = _at(flow)
    window = load64_acquire(flow + _WINDOW)
    waiting = f.next - max(f.expected, f.written_off)
    tx = side_at(flow + _TX)
    room = min(window - waiting, RING - (tx.posted - tx.position))
    if room <= 0:
        return 0
    now = cycles()
    if waiting == 0:
        f.last_arrival = now
        f.progress = now
    for _ in range(room):
        buffer = load64(f.free + 8 * (tx.posted % RING))
        number = f.next
        length = _length(number)
        frame = f.tx_buffers + BUFFER * buffer + _HEADER
        store64(frame, _ETHERNET[0])
        store64(frame + 8, _ETHERNET[1])
        store64(frame + _MARK, f.mark)
        store64(frame + _NUMBER, number)
        store64(frame + _STAMP, now)
        store64(frame + length - 8, number ^ _SALT)
        store64(f.tx_out + 8 * buffer, 1)
        f.next += 1
        offer(flow + _TX, buffer, _HEADER + length)
    publish(flow + _TX)
    return room


@inner
def _judge(flow: int, frame: int, length: int) -> None:
    """Find out what a frame that came is."""
    f = _at(flow)
    if length < _SHORTEST or load64(frame + _MARK) != f.mark:
        f.foreign += 1
        return
    number = load64(frame + _NUMBER)
    if number < 0 or number >= f.next:
        f.foreign += 1
        return
    if length != _length(number) or load64(frame + length - 8) != number ^ _SALT:
        f.damaged += 1
        return
    place = f.seen + 8 * (number % MEMORY)
    if load64(place) == number + 1:
        f.duplicated += 1
        return
    store64(place, number + 1)
    now = cycles()
    f.arrived += 1
    f.gap = max(f.gap, now - f.last_arrival)
    f.last_arrival = now
    f.progress = now
    f.slowest = max(f.slowest, now - load64(frame + _STAMP))
    if number < f.expected:
        f.reordered += 1
    else:
        f.expected = number + 1


@inner
def _receive(flow: int) -> int:
    """Take what came and post the buffers again; returns the number of packets."""
    f = _at(flow)
    n = 0
    while True:
        used = next_used(flow + _RX)
        if used < 0:
            break
        buffer, length = used & 0xFFFFFFFF, used >> 32
        if buffer >= RING or _flag(f.rx_out, buffer) == 0 or length > BUFFER:
            f.ring_faults += 1
            break
        store64(f.rx_out + 8 * buffer, 0)
        _judge(flow, f.rx_buffers + BUFFER * buffer + _HEADER, length - _HEADER)
        store64(f.rx_out + 8 * buffer, 1)
        offer(flow + _RX, buffer, BUFFER)
        n += 1
    if n > 0:
        publish(flow + _RX)
    return n


@kernel("void(int64)")
def post_all(flow: int) -> None:
    """Post all receive buffers; before `exchange`."""
    f = _at(flow)
    for buffer in range(RING):
        store64(f.rx_out + 8 * buffer, 1)
        offer(flow + _RX, buffer, BUFFER)
    publish(flow + _RX)


@inner
def _look_at_the_time(flow: int) -> None:
    """Begin a new epoch; do not wait for ever for packets that went down with a worker."""
    f = _at(flow)
    epoch = load64_acquire(flow + _EPOCH)
    if epoch != f.known_epoch:
        f.known_epoch = epoch
        f.gap = 0
        f.slowest = 0
    now = cycles()
    if f.next > max(f.expected, f.written_off) and now - f.progress > f.patience:
        f.written_off = f.next
        f.write_offs += 1
        f.progress = now


@kernel("void(int64, int64, int64, int64)")
def exchange(flows: int, n: int, stop: int, sleep: int) -> None:
    """Work until the number at `stop` is not 0.

    Args:
        flows: address of `n` records of FLOW.
        sleep: address of usleep(3).
    """
    while load64_acquire(stop) == 0:
        moved = 0
        for i in range(n):
            flow = flows + _SIZE * i
            _collect_sent(flow)
            moved += _receive(flow) + _send(flow)
            _look_at_the_time(flow)
        if moved == 0:
            call4(sleep, _SLEEP_US, 0, 0, 0)
