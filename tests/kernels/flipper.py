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
        palette: addresses, then second words of descriptors, of shape (2, n).
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
        elif kind < 7:
            store64(descriptors + 16 * slot + 8, palette[1, choice])
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
    """

    def __init__(self, driver, addresses, words):
        self._ring = np.array([*driver.host_addresses(), driver.size, driver.packed], np.int64)
        count = max(len(addresses), len(words))
        self._palette = np.array([np.resize(addresses, count), np.resize(words, count)], np.int64)
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
