"""Settings of all tests."""

import shutil
import tempfile
from pathlib import Path

import hypothesis
import pytest


def pytest_addoption(parser):
    parser.addoption(
        "--migrations", type=int, default=4, metavar="N", help="live migrations in a row, back and forth (4)"
    )


# The same examples in each run, and no limit on the time of one: a loaded machine fails no test.
hypothesis.settings.register_profile("vio4wd", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("vio4wd")


@pytest.fixture
def directory():
    """A directory with a short path: unix sockets allow some 100 bytes."""
    made = Path(tempfile.mkdtemp(prefix="vio-"))
    yield made
    shutil.rmtree(made)
