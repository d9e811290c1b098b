"""The search for an even mapping."""

from hypothesis import given
from hypothesis import strategies as st

from vio4wd.sched.search import improve


def busy(assignment, loads, cpus):
    found = dict.fromkeys(cpus, 0.0)
    for direction, cpu in assignment.items():
        found[cpu] += loads[direction]
    return found


def test_a_heavy_direction_is_left_alone_with_its_cpu():
    directions = [(relay, 0) for relay in range(5)]
    loads = dict.fromkeys(directions, 0.05) | {(0, 0): 0.6}
    found = improve(dict.fromkeys(directions, 1), directions, [1, 2], loads)
    assert found[0, 0] == 2  # one move instead of four
    assert [found[direction] for direction in directions[1:]] == [1, 1, 1, 1]


def test_an_exchange_where_no_move_helps():
    loads = {(0, 0): 0.5, (1, 0): 0.3, (2, 0): 0.2, (3, 0): 0.2}
    present = {(0, 0): 1, (1, 0): 1, (2, 0): 2, (3, 0): 2}
    found = improve(present, present, [1, 2], loads)
    assert sorted(busy(found, loads, [1, 2]).values()) == [0.5, 0.7]


def test_what_may_not_move_stays():
    loads = {(0, 0): 0.5, (1, 0): 0.5}
    present = {(0, 0): 1, (1, 0): 1}
    assert improve(present, [], [1, 2], loads) == present
    assert improve(present, [(1, 0)], [1, 2], loads) == {(0, 0): 1, (1, 0): 2}


def test_unknown_loads_stay():
    present = {(0, 0): 1, (1, 0): 1}
    assert improve(present, present, [1, 2], {}) == present


@given(
    st.dictionaries(
        st.tuples(st.integers(0, 63), st.integers(0, 1)),
        st.tuples(st.floats(0, 1), st.integers(0, 7)),
        max_size=40,
    ),
    st.integers(1, 8),
)
def test_it_never_gets_worse_and_ends(directions, count):
    cpus = list(range(count))
    loads = {direction: load for direction, (load, _) in directions.items()}
    present = {direction: cpu % count for direction, (_, cpu) in directions.items()}
    found = improve(present, present, cpus, loads)
    assert found.keys() == present.keys()
    assert set(found.values()) <= set(cpus)
    before, after = busy(present, loads, cpus).values(), busy(found, loads, cpus).values()
    assert max(after) <= max(before) + 1e-9
    assert sum(load**2 for load in after) <= sum(load**2 for load in before) + 1e-9
    assert improve(found, found, cpus, loads) == found  # nothing is left to do
