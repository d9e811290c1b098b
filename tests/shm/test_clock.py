"""The time stamp counter as the tools read it."""

import time

from vio4wd.shm.clock import cycles


def test_it_advances_with_time():
    first = cycles()
    time.sleep(0.01)
    assert cycles() > first > 0
