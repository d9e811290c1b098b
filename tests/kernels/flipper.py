"""A guest that changes its rings while the device reads them: a thread of compiled code, without the GIL."""

import threading
import time

import numba
import numpy as np

from vio4wd.kernels.memory import load16, load64_acquire, store16, store64

_MULTIPLIER = 0x2545F4914F6CDD1D


@numba.njit("void(int64[::1], int64[:, ::1], int64)", nogil=True)  # compiled when imported
def _flip(ring, palette, shared):
    """Write random entries of the palette to random descriptors until it is told to stop.

    Args:
        ring: descriptors, available, used (host addresses), size, and 1 if packed.
        palette: addresses, second words of descriptors, host addresses of buffers, and what their first
            32 bytes are made of: shape (4, n).
        shared: address of two 64-bit numbers: not 0 to stop, and the writes up to now.
    """
    descriptors, available, used, size, packed = ring[0], ring[1], ring[2], ring[3], ring[4]
    state = np.int64(88172645463325252)
    flips = 0
    while load64_acquire(shared) == 0:
        state ^= state << 13
        state ^= (state >> 7) & 0x1FFFFFFFFFFFFFF
        state ^= state << 17
        slot = (state >> 8 & 0xFFFF) % size
        choice = (state >> 24 & 0xFFFF) % palette.shape[1]
        kind = state >> 40 & 7
        if kind < 2:
            store64(descriptors + 16 * slot, palette[0, choice])
        elif kind < 6:
            store64(descriptors + 16 * slot + 8, palette[1, choice])
        elif kind == 6:
            other = (state >> 44 & 0x3FFF) % palette.shape[1]
            store64(palette[2, choice] + 8 * (state & 3), palette[3, other])
        elif packed == 0:
            # As many as the ring holds are available, now and then one more.
            most = size + 1 if state >> 44 & 63 == 0 else size
            store16(available + 4 + 2 * slot, choice % (size + 1))
            store16(available + 2, load16(used + 2) + (state >> 50 & 0xFFF) % (most + 1))
        flips += 1
        store64(shared + 8, flips)


class Flipper:
    """Flips while its `with` lasts.

    Args:
        driver: of the ring.
        addresses, words: (length | flags and next or id) what descriptors may hold.
        buffers: host addresses.
        contents: 64-bit numbers that are written to buffers.
    """

    def __init__(self, driver, addresses, words, buffers, contents):
        self._ring = np.array([*driver.host_addresses(), driver.size, driver.packed], np.int64)
        rows = (addresses, words, buffers, contents)
        count = max(map(len, rows))
        self._palette = np.array([np.resize(row, count) for row in rows], np.int64)
        self._shared = np.zeros(2, np.int64)
        arguments = (self._ring, self._palette, self._shared.ctypes.data)
        self._thread = threading.Thread(target=_flip, args=arguments)

    def wait(self, flips):
        """Wait for so many writes more; a busy machine may have stopped the thread for a while."""
        enough = self._shared[1] + flips
        while self._shared[1] < enough:
            time.sleep(0)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._shared[0] = 1
        self._thread.join()
