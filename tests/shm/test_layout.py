"""The tables' promise to kernels and readers: nobody shares a cache line, nothing is unsigned."""

import numpy as np
import pytest

from vio4wd.shm import layout

BLOCKS = ("HEADER", "CONTROL", "WORKER", "RELAY", "QUEUE", "RING", "DIRECTION")


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_fill_whole_cache_lines(name):
    assert getattr(layout, name).itemsize % layout.CACHE_LINE == 0


@pytest.mark.parametrize("name", layout.TABLES.names)
def test_tables_begin_on_a_cache_line(name):
    assert layout.TABLES.fields[name][1] % layout.CACHE_LINE == 0


@pytest.mark.parametrize("name", BLOCKS)
def test_numbers_are_signed_and_aligned(name):
    block = getattr(layout, name)
    for dtype, offset in block.fields.values():
        assert dtype.base.kind in "iS"
        if dtype.base.kind == "i":
            assert offset % dtype.base.itemsize == 0


def test_every_ring_error_has_a_name():
    codes = [
        value for name, value in vars(layout).items() if name.startswith("RING_") and isinstance(value, int)
    ]
    assert sorted(codes) == list(range(len(layout.RING_ERROR_NAMES)))


def test_a_block_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        layout._block([("a", "i8", 17)], layout.CACHE_LINE)


def test_the_segment_is_small_enough_to_lock():
    assert np.zeros(1, layout.TABLES).nbytes < 2 << 20
