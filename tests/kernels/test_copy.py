"""Copies are exact: every byte of the range, none beside it."""

import numba
import numpy as np
import pytest

from vio4wd.kernels.copy import copy_bytes

LENGTHS = [*range(200), 255, 256, 257, 1023, 1500, 2047, 2048, 2049, 2050, 9000, 65549]


@numba.njit
def _copy(target, source, length):
    copy_bytes(target, source, length)


@pytest.mark.parametrize("shift", [0, 1, 7, 33])
def test_every_length(shift):
    source = np.random.default_rng(1).integers(0, 256, 70000, np.uint8)
    for length in LENGTHS:
        target = np.full(70000, 0xA5, np.uint8)
        _copy(target.ctypes.data + 100 + shift, source.ctypes.data + 200, length)
        expected = np.full(70000, 0xA5, np.uint8)
        expected[100 + shift : 100 + shift + length] = source[200 : 200 + length]
        assert np.array_equal(target, expected), length
