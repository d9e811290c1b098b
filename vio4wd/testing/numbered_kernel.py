"""Guests that send numbered packets, take them when they come back, and miss none: the compiled part.

Each flow is a guest with one pair of split rings (virtio 1.2 §2.7) behind a VF that sends everything
back. It has no more packets under way than its window, and posts a buffer again before it counts what
came in it. So no ring on the way is ever full, and a packet that does not come back was lost by somebody.
"""
# mypy: ignore-errors

import numpy as np

from vio4wd.kernels.compile import inner, kernel
from vio4wd.kernels.memory import (
    call4,
    cycles,
    load16_acquire,
    load32,
    load64,
    load64_acquire,
    store16,
    store16_release,
    store32,
    store64,
)
from vio4wd.kernels.records import view_of

#: Entries of each ring, and bytes of each buffer.
RING = 256
BUFFER = 2048
#: Numbers whose arrival is remembered; far more than are ever under way.
MEMORY = 4096

FLOW = np.dtype(
    [
        # Written by the owner.
        ("mark", "i8"),  # tells this flow's packets from all others
        ("window", "i8"),  # most packets under way; 0: send nothing
        ("epoch", "i8"),  # another value: begin anew with `gap` and `slowest`
        ("patience", "i8"),  # cycles without an arrival after which packets under way are written off
        ("tx_descriptors", "i8"),  # host addresses
        ("tx_available", "i8"),
        ("tx_used", "i8"),
        ("tx_buffers", "i8"),
        ("rx_available", "i8"),
        ("rx_used", "i8"),
        ("rx_buffers", "i8"),
        ("free", "i8"),  # of RING numbers: descriptors not in use, from `taken` to `given`
        ("tx_out", "i8"),  # of RING numbers: 1 while the device has the descriptor
        ("rx_out", "i8"),
        ("seen", "i8"),  # of MEMORY numbers: 1 + the last packet that came for the place
        # Written by the kernel.
        ("known_epoch", "i8"),
        ("taken", "i8"),
        ("given", "i8"),
        ("tx_position", "i8"),  # used entries read
        ("rx_position", "i8"),
        ("rx_posted", "i8"),  # buffers posted
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
_WINDOW, _EPOCH = (FLOW.fields[name][1] for name in ("window", "epoch"))

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
    """Take back the descriptors that the device is done with."""
    f = _at(flow)
    end = load16_acquire(f.tx_used + 2)
    while f.tx_position & 0xFFFF != end:
        descriptor = load32(f.tx_used + 4 + 8 * (f.tx_position % RING))
        f.tx_position += 1
        if descriptor >= RING or _flag(f.tx_out, descriptor) == 0:
            f.ring_faults += 1
            return
        store64(f.tx_out + 8 * descriptor, 0)
        store64(f.free + 8 * (f.given % RING), descriptor)
        f.given += 1


@inner
def _send(flow: int) -> int:
    """Fill the window; returns the number of packets sent."""
    f = _at(flow)
    window = load64_acquire(flow + _WINDOW)
    waiting = f.next - max(f.expected, f.written_off)
    room = min(window - waiting, f.given - f.taken)
    if room <= 0:
        return 0
    now = cycles()
    if waiting == 0:
        f.last_arrival = now
        f.progress = now
    for _ in range(room):
        descriptor = load64(f.free + 8 * (f.taken % RING))
        number = f.next
        length = _length(number)
        frame = f.tx_buffers + BUFFER * descriptor + _HEADER
        store64(frame, _ETHERNET[0])
        store64(frame + 8, _ETHERNET[1])
        store64(frame + _MARK, f.mark)
        store64(frame + _NUMBER, number)
        store64(frame + _STAMP, now)
        store64(frame + length - 8, number ^ _SALT)
        store32(f.tx_descriptors + 16 * descriptor + 8, _HEADER + length)
        store64(f.tx_out + 8 * descriptor, 1)
        store16(f.tx_available + 4 + 2 * (f.taken % RING), descriptor)
        f.taken += 1
        f.next += 1
    store16_release(f.tx_available + 2, f.taken & 0xFFFF)
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
    end = load16_acquire(f.rx_used + 2)
    n = 0
    while f.rx_position & 0xFFFF != end:
        entry = f.rx_used + 4 + 8 * (f.rx_position % RING)
        descriptor, length = load32(entry), load32(entry + 4)
        f.rx_position += 1
        if descriptor >= RING or _flag(f.rx_out, descriptor) == 0 or length > BUFFER:
            f.ring_faults += 1
            break
        store64(f.rx_out + 8 * descriptor, 0)
        _judge(flow, f.rx_buffers + BUFFER * descriptor + _HEADER, length - _HEADER)
        _post(flow, descriptor)
        n += 1
    if n > 0:
        store16_release(f.rx_available + 2, f.rx_posted & 0xFFFF)
    return n


@inner
def _post(flow: int, descriptor: int) -> None:
    f = _at(flow)
    store64(f.rx_out + 8 * descriptor, 1)
    store16(f.rx_available + 4 + 2 * (f.rx_posted % RING), descriptor)
    f.rx_posted += 1


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
