"""Where a new direction goes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vio4wd.sched.assign import Candidate, PlacementError, choose


def test_idle_workers_fill_evenly():
    counts = {1: 0, 2: 0, 5: 0}
    for _ in range(60):
        counts[choose([Candidate(cpu, assigned=count) for cpu, count in counts.items()])] += 1
    assert set(counts.values()) == {20}


def test_lanes_of_a_direction_keep_apart():
    assert choose([Candidate(1, assigned=1, siblings=1), Candidate(2, assigned=5)]) == 2
    assert choose([Candidate(1, siblings=1), Candidate(2, load=0.8)]) == 1  # but not at any price


def test_load_goes_before_the_number_of_directions():
    assert choose([Candidate(1, load=0.9, assigned=1), Candidate(2, load=0.1, assigned=9)]) == 2


def test_loads_that_hardly_differ_are_alike():
    assert choose([Candidate(1, load=0.01, assigned=4), Candidate(2, load=0.04, assigned=0)]) == 2


def test_the_guests_node_goes_first():
    workers = [Candidate(1, numa_node=0), Candidate(2, numa_node=1, load=0.8, assigned=7)]
    assert choose(workers, numa_node=1) == 2
    assert choose(workers, numa_node=-1) == 1
    assert choose(workers, numa_node=5) == 1  # no worker there: better a far one than none


def test_no_worker():
    with pytest.raises(PlacementError, match="no worker is running"):
        choose([])


@given(
    st.lists(
        st.builds(
            Candidate,
            cpu=st.integers(0, 300),
            numa_node=st.integers(-1, 2),
            load=st.floats(0, 1),
            assigned=st.integers(0, 128),
        ),
        min_size=1,
        unique_by=lambda worker: worker.cpu,
    ),
    st.integers(-1, 2),
)
def test_nobody_clearly_less_busy_is_passed_over(workers, node):
    chosen = next(worker for worker in workers if worker.cpu == choose(workers, node))
    if node >= 0 and any(worker.numa_node == node for worker in workers):
        assert chosen.numa_node == node
        workers = [worker for worker in workers if worker.numa_node == node]
    assert chosen.load <= min(worker.load for worker in workers) + 0.1
