"""Few combinations of settings that together hold every pair of values: most faults need no more than two."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

Combination = tuple[object, ...]


def pairs(combination: Combination) -> set[tuple[int, object, int, object]]:
    """Each pair of values with the positions they stand at."""
    return {
        (first, one, second, other)
        for (first, one), (second, other) in itertools.combinations(enumerate(combination), 2)
    }


def covering(valid: Sequence[Combination]) -> list[Combination]:
    """Some of the combinations that hold all pairs found in any of them.

    Always the same ones: the next is that which adds the most pairs, the first of several.

    Args:
        valid: all combinations that are allowed, each of the same length.
    """
    missing = set().union(*map(pairs, valid))
    chosen = []
    while missing:
        best = max(valid, key=lambda combination: len(missing & pairs(combination)))
        missing -= pairs(best)
        chosen.append(best)
    return chosen
