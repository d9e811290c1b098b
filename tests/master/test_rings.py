import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vio4wd.master import rings
from vio4wd.shm import layout


@given(st.integers(0, 2**32 - 1))
def test_split_base_is_sixteen_bits(base):
    position = rings.decode_base(base, packed=False)
    assert position.last_avail == position.used == base & 0xFFFF
    assert rings.encode_base(position, packed=False) == base & 0xFFFF


@given(st.integers(0, 2**15 - 1), st.integers(0, 1))
def test_packed_base_carries_wrap_counters(index, wrap):
    half = index | wrap << 15
    position = rings.decode_base(half, packed=True)
    assert position == rings.Position(index, index, wrap, wrap)
    assert rings.encode_base(position, packed=True) == half << 16 | half


@pytest.mark.parametrize("base", [0x8000, 0x80008000])
def test_new_packed_ring_of_either_kind_of_frontend(base):
    assert rings.decode_base(base, packed=True) == rings.Position(0, 0, 1, 1)


def test_writing_a_position_forgives_an_error():
    tables = np.zeros(1, layout.TABLES)[0]
    ring = tables["rings"][5][3]
    ring["error"] = layout.RING_BAD_HEAD
    ring["error_detail"] = 9999
    rings.write_position(tables, 5, 3, rings.Position(7, 7, 0, 0))
    assert rings.read_position(tables, 5, 3) == rings.Position(7, 7, 0, 0)
    assert ring["error"] == layout.RING_OK
    assert ring["signalled"] == -1
    assert ring["step"] == 0
    rings.write_position(tables, 5, 3, rings.Position(7, 7, 0, 0), step=99)
    assert ring["step"] == 99
