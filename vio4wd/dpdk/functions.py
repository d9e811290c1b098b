"""Addresses of the C functions that kernels call, all with the signature

    uint64_t f(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n)

They differ from process to process and are passed to kernels at run time, so that compiled kernels that are
kept on disk hold in each. `bursts.h` and `members.h` say what each does.
"""

from __future__ import annotations

from typing import Final

from vio4wd.dpdk._binding import ffi, lib


def _address(name: str) -> int:
    return int(ffi.cast("uintptr_t", ffi.addressof(lib, name)))


#: (port, queue): packets received.
RX_BURST: Final = _address("vio_rx_burst")
#: (port, queue): packets that the driver took.
TX_BURST: Final = _address("vio_tx_burst")
#: (port, queue): packets, from the first on, that TX_BURST may be given; needed for those with TX_* flags.
TX_PREPARE: Final = _address("vio_tx_prepare")
#: (table of members, queue): packets received from one of them.
MEMBERS_RX: Final = _address("vio_members_rx")
#: (table of members, queue): packets that they took, prepared on the way. All may have changed places.
MEMBERS_TX: Final = _address("vio_members_tx")
#: (ring, 0): packets taken.
RING_DEQUEUE: Final = _address("vio_ring_dequeue")
#: (ring, 0): packets put.
RING_ENQUEUE: Final = _address("vio_ring_enqueue")
#: (ring, 0, 0, 0): packets that can be put.
RING_ROOM: Final = _address("vio_ring_room")
#: (pool, 0): n, or 0 when there are fewer; raw mbufs.
ALLOC_BULK: Final = _address("vio_alloc_bulk")
#: (0, 0): packets, chains included, go back to their pools.
FREE_BULK: Final = _address("vio_free_bulk")
#: (microseconds, 0, 0, 0).
SLEEP_US: Final = _address("vio_sleep_us")
