"""Filling an empty cache: numba's is not made for several processes that compile the same at once."""

import contextlib
import fcntl

from vio4wd.kernels.compile import cache_folder


@contextlib.contextmanager
def one_at_a_time():
    """Around the import of kernels: wait for others who compile; once the cache is warm nobody waits.

    Where the cache cannot be written every process compiles for itself, and nobody waits either.
    """
    warm = cache_folder() / "warm"
    with contextlib.ExitStack() as stack:
        if not warm.exists():
            with contextlib.suppress(OSError):
                warm.parent.mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context((warm.parent / "lock").open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield
        with contextlib.suppress(OSError):
            warm.touch()
