"""SIGHUP's work, with a controller that only notes what it was asked."""

import asyncio
import dataclasses
import logging

import numpy as np
import pytest

from vio4wd.config.errors import ConfigError
from vio4wd.config.options import Settings
from vio4wd.control.controller import ControlError
from vio4wd.master.placement import Placement
from vio4wd.master.reload import Reloader
from vio4wd.shm import layout

BEFORE = Settings(cpus=(1, 2), pins={1: (1, 1), 2: (2, 2)}, static_vfs=(("0000:01:00.1", 1),))


class Notes:
    def __init__(self):
        self.asked = []
        self.fail = False

    async def pin(self, relay, pairs):
        self.asked.append(("pin", relay, *pairs))
        if self.fail:
            raise ControlError(5, "core scheduling", "that worker does not run")

    async def add(self, devices, relay, conditional, name, mode):
        self.asked.append(("add", *devices, relay))

    async def remove(self, devices, relay, conditional, name):
        self.asked.append(("remove", *devices, relay))


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def placement():
    return Placement((1, 2), np.zeros(1, layout.TABLES)[0], BEFORE.pins, same_numa=False)


@pytest.fixture(autouse=True)
def _log(caplog):
    root = logging.getLogger()
    before = root.level
    caplog.set_level(logging.INFO)
    yield
    root.setLevel(before)


def reload(notes, placement, **changes):
    def read():
        return dataclasses.replace(BEFORE, **changes)

    asyncio.run(Reloader(BEFORE, read, notes, placement).reload())


def test_pins_and_static_vfs_are_followed(notes, placement):
    reload(notes, placement, pins={1: (1, 2, 2, 1), 3: (2, 2)}, static_vfs=(("0000:01:00.2", 2),))
    assert notes.asked == [
        ("pin", 1, (1, 2), (2, 1)),
        ("pin", 3, (2, 2)),
        ("remove", "0000:01:00.1", 1),
        ("add", "0000:01:00.2", 2),
    ]
    assert 2 not in placement.pins


def test_log_level_changes(notes, placement, caplog):
    reload(notes, placement, loglevel=7)
    assert logging.getLogger().level == logging.DEBUG
    assert "log level is now 7" in caplog.text


def test_what_needs_a_restart_is_named(notes, placement, caplog):
    reload(notes, placement, cpus=(1, 2, 3), enable_jumbo=True)
    assert "a changed --cpus or VIRTIOFWD_CPU_MASK takes effect only after a restart" in caplog.text
    assert "--enable-jumbo" in caplog.text
    assert notes.asked == []


def test_failed_move_is_reported_and_the_rest_goes_on(notes, placement, caplog):
    notes.fail = True
    reload(notes, placement, pins={1: (2, 2), 2: (1, 1)})
    assert len(notes.asked) == 2
    assert "that worker does not run" in caplog.text


def test_broken_file_changes_nothing(notes, placement, caplog):
    def read():
        raise ConfigError(["virtioforwarder:3: VIRTIOFWD_CPU: there is no such variable"])

    asyncio.run(Reloader(BEFORE, read, notes, placement).reload())
    assert "virtioforwarder:3" in caplog.text
    assert "stays as it was" in caplog.text
    assert notes.asked == []


def test_unchanged_file_says_so(notes, placement, caplog):
    reload(notes, placement)
    assert "has not changed" in caplog.text
