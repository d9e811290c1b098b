"""A guest that sends packets at a chosen rate, gets them back, and notes how long some of them took."""
# mypy: ignore-errors

from vio4wd.dpdk.mbuf import HEADROOM
from vio4wd.kernels.compile import inner, kernel
from vio4wd.kernels.memory import call4, cycles, load64, store64
from vio4wd.kernels.views import mbuf_at

#: Packets sent at once, and received at once, at most.
BURST = 32

# The link: 64-bit numbers, what the loop works with ...
RX, TX, ALLOC, FREE = range(4)  # functions
PORT, POOL = 4, 5
PACKETS = 6  # address of BURST mbuf pointers
SAMPLES, ROOM = 7, 8  # address of an array for times in cycles, and its entries
# ... and what came of it.
TAKEN = 9  # entries of the array in use
SENT, REFUSED, RECEIVED = 10, 11, 12  # packets; those refused did not fit the ring
LINK_SIZE = 13

#: Where a packet holds the time it was sent, behind the Ethernet header; 0: it is not timed.
_STAMP = 16
_ETHERNET = 0x0000_0008_0100_0000  # bytes 8 to 15: the source's end, IPv4


@inner
def _get(link, field):
    return load64(link + 8 * field)


@inner
def _add(link, field, n):
    store64(link + 8 * field, load64(link + 8 * field) + n)


@inner
def _send(link, n, size, every):
    """Send `n` packets, every so many of them with the time."""
    packets = _get(link, PACKETS)
    if call4(_get(link, ALLOC), _get(link, POOL), 0, packets, n) != n:
        return
    sent = _get(link, SENT)
    now = cycles()
    for i in range(n):
        mb = mbuf_at(load64(packets + 8 * i))
        mb.data_off = HEADROOM
        mb.ol_flags = 0
        mb.pkt_len = size
        mb.data_len = size
        start = mb.buf_addr + HEADROOM
        store64(start, 0)
        store64(start + 8, _ETHERNET)
        store64(start + _STAMP, now if (sent + i) % every == 0 else 0)
    _add(link, SENT, n)
    done = call4(_get(link, TX), _get(link, PORT), 0, packets, n)
    if done < n:
        call4(_get(link, FREE), 0, 0, packets + 8 * done, n - done)
        _add(link, REFUSED, n - done)


@inner
def _receive(link):
    """Take what came back."""
    packets = _get(link, PACKETS)
    n = call4(_get(link, RX), _get(link, PORT), 0, packets, BURST)
    if n == 0:
        return
    now = cycles()
    for i in range(n):
        mb = mbuf_at(load64(packets + 8 * i))
        sent = load64(mb.buf_addr + mb.data_off + _STAMP)
        taken = _get(link, TAKEN)
        if sent != 0 and taken < _get(link, ROOM):
            store64(_get(link, SAMPLES) + 8 * taken, now - sent)
            _add(link, TAKEN, 1)
    call4(_get(link, FREE), 0, 0, packets, n)
    _add(link, RECEIVED, n)


@kernel("void(int64, int64, int64, int64, int64, int64)")
def exchange(link, size, gap, every, duration, drain):
    """Send and receive for `duration` cycles, then receive only for `drain` cycles.

    Args:
        link: address of the link.
        size: bytes of each packet.
        gap: cycles from one packet to the next; 0: as fast as the ring takes them.
        every: one of so many packets is timed.
    """
    began = cycles()
    issued = 0
    while True:
        since = cycles() - began
        if since > duration + drain:
            break
        if since < duration:
            due = BURST if gap == 0 else min(BURST, since // gap - issued)
            if due > 0:
                issued += due
                _send(link, due, size, every)
        _receive(link)
