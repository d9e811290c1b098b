"""How queues are divided among lanes."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vio4wd.worker import lanes

powers = st.sampled_from([1, 2, 4, 8])


@pytest.mark.parametrize(("most", "power"), [(-1, 1), (0, 1), (1, 1), (2, 2), (3, 2), (4, 4), (31, 16)])
def test_powers_of_two(most, power):
    assert lanes.power_of_two(most) == power


@pytest.mark.parametrize(("workers", "queues"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (64, 8)])
def test_queues_that_workers_can_use(workers, queues):
    assert lanes.worthwhile(workers) == queues


@given(powers, st.integers(0, 32))
def test_every_lane_has_queues_on_both_sides(vf_queues, receive_queues):
    count = lanes.lanes(vf_queues, receive_queues)
    assert 1 <= count <= max(receive_queues, 1)
    owned = [list(lanes.vf_queues_of(lane, count, vf_queues)) for lane in range(count)]
    assert all(owned)
    assert sorted(itertools.chain(*owned)) == list(range(vf_queues))


@given(powers, st.integers(0, 32), st.integers(0, 31))
def test_what_a_pair_sends_stays_in_its_lane_and_on_one_queue_of_the_vf(vf_queues, receive_queues, pair):
    count = lanes.lanes(vf_queues, receive_queues)
    queue = lanes.vf_queue_of(pair, vf_queues)
    assert queue in lanes.vf_queues_of(pair % count, count, vf_queues)
