"""The combinations chosen hold all pairs and are few."""

import itertools

from vio4wd.testing.pairwise import covering, pairs


def test_pairs_of_one_combination():
    assert pairs(("a", True, 3)) == {(0, "a", 1, True), (0, "a", 2, 3), (1, True, 2, 3)}


def test_every_pair_is_covered_by_a_few():
    valid = list(itertools.product((1, 2, 4), *[(False, True)] * 6))
    chosen = covering(valid)
    assert set().union(*map(pairs, chosen)) == set().union(*map(pairs, valid))
    assert len(chosen) <= 12
    assert chosen == covering(valid)


def test_what_is_not_allowed_is_not_chosen():
    valid = [each for each in itertools.product((1, 2, 3), repeat=3) if each[0] != each[1]]
    chosen = covering(valid)
    assert all(each in valid for each in chosen)
    covered = set().union(*map(pairs, chosen))
    assert (0, 1, 1, 1) not in covered
    assert (0, 1, 1, 2) in covered


def test_nothing_allowed_nothing_chosen():
    assert covering([]) == []
