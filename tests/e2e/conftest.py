"""Fixtures of the end-to-end tests: a place for files, a wire, a daemon that must leave nothing behind."""

import shutil
import tempfile
from pathlib import Path

import pytest

from vio4wd.testing.daemon import Daemon, orderly
from vio4wd.testing.netns import Wire


@pytest.fixture(scope="module")
def place():
    """A directory with a short path (unix sockets allow some 100 bytes)."""
    directory = Path(tempfile.mkdtemp(prefix="v4w-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def wire():
    """A namespace behind a veth pair whose near end can be attached to a relay; guests have 10.1.0.2/24."""
    with Wire("10.1.0.1/24") as made:
        yield made


@pytest.fixture(scope="module")
def daemon(place, request):
    """A daemon with a worker on CPU 1.

    A module may name other CPUs in DAEMON_CPUS, VFs in DAEMON_STATIC and options in DAEMON_OPTIONS. In the
    end it must stop in order and leave nothing.
    """
    started = Daemon(
        place / "daemon",
        cpus=getattr(request.module, "DAEMON_CPUS", (1,)),
        static=getattr(request.module, "DAEMON_STATIC", ()),
        options=getattr(request.module, "DAEMON_OPTIONS", ()),
    )
    with orderly(started):
        yield started
