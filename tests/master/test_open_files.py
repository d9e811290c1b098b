"""Raising the limit of open files, each case in a process of its own."""

import subprocess
import sys

import pytest

_SCRIPT = """
import logging, resource, sys
from vio4wd.master.open_files import raise_limit
logging.basicConfig(format="%(message)s", stream=sys.stdout)
print(raise_limit(4096, 3000), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def with_limits(limits: str) -> list[str]:
    """What the script prints under these limits ("soft:hard"), when it may not go beyond the hard one."""
    may_not = ["setpriv", "--bounding-set=-sys_resource", "--"]
    command = [*may_not, "prlimit", f"--nofile={limits}", sys.executable, "-c", _SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("limits", "after"),
    [("1024:8192", "4096 4096 8192"), ("256:4096", "4096 4096 4096"), ("5000:8192", "5000 5000 8192")],
)
def test_a_low_limit_is_raised_and_a_high_one_stays(limits, after):
    assert with_limits(limits) == [after]


def test_without_privileges_it_goes_as_far_as_it_may_and_says_so():
    warning, figures = with_limits("256:2048")
    assert figures == "2048 2048 2048"
    assert "at most 2048 files can be open" in warning
    assert "LimitNOFILE" in warning
