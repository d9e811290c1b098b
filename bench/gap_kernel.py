"""How long a counter stood still."""
# mypy: ignore-errors

from vio4wd.kernels.compile import kernel
from vio4wd.kernels.memory import call4, cycles, load64


@kernel("int64(int64, int64, int64, int64)")
def longest_gap(counter, sleep, microseconds, duration):
    """The most cycles in which the number at `counter` did not change, within `duration` cycles.

    Args:
        sleep: address of usleep(3), called with `microseconds` from one look to the next.
    """
    began = cycles()
    value = load64(counter)
    changed = began
    longest = 0
    while True:
        call4(sleep, microseconds, 0, 0, 0)
        now = cycles()
        fresh = load64(counter)
        if fresh != value or now - began > duration:
            longest = max(longest, now - changed)
            value = fresh
            changed = now
        if now - began > duration:
            return longest
