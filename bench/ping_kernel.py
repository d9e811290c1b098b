"""Two cores throw a cache line at each other."""
# mypy: ignore-errors

from vio4wd.kernels.compile import kernel
from vio4wd.kernels.memory import cycles, load64, store64


@kernel("int64(int64, int64, int64, int64)")
def bounce(line, first, count, patience):
    """Write every second number from `first` (1 or 2) on, after the other side wrote the one before.

    Args:
        line: address of a number that is 0 at the beginning.
        count: numbers to write.
        patience: cycles to wait for the other side, each time.

    Returns:
        The numbers written; fewer than `count`: the other side was not there.
    """
    for done in range(count):
        number = first + 2 * done
        limit = cycles() + patience
        while load64(line) != number - 1:
            if cycles() > limit:
                return done
        store64(line, number)
    return count
