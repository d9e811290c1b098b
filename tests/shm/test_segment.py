"""Segments: made once, seen by others, recognised and removed when their master is dead."""

import os
import pathlib
import signal
import subprocess
import sys
import uuid

import pytest

from vio4wd.shm import layout, segment


@pytest.fixture
def name():
    unique = f"vio4wd-test-{uuid.uuid4().hex[:8]}"
    yield unique
    segment.remove(unique)


def test_readers_see_what_the_master_writes(name):
    master = segment.create(name, tsc_hz=3_000_000_000)
    reader = segment.attach(name, readonly=True)
    master.tables["relays"][3]["port_id"] = 7
    assert reader.tables["relays"][3]["port_id"] == 7
    assert reader.tables["header"]["tsc_hz"] == 3_000_000_000
    with pytest.raises(ValueError, match="read-only"):
        reader.tables["relays"][3]["port_id"] = 8
    reader.close()
    master.close()


def test_fields_are_found_by_address(name):
    master = segment.create(name, tsc_hz=1)
    view = master.tables["rings"][5]
    assert master.field("rings", 5, 2) == view.ctypes.data + 2 * layout.RING.itemsize
    assert master.field("rings", 5, 2, "used") == master.field("rings", 5, 2) + layout.RING.fields["used"][1]
    del view
    master.close()


def test_unused_slots_are_marked(name):
    master = segment.create(name, tsc_hz=1)
    assert (master.tables["control"]["cpu"] == -1).all()
    assert (master.tables["relays"]["port_id"] == -1).all()
    assert (master.tables["rings"]["signalled"] == -1).all()
    master.close()


def test_a_living_master_keeps_its_segment(name):
    first = segment.create(name, tsc_hz=1)
    with pytest.raises(segment.SegmentError, match=f"pid {os.getpid()}"):
        segment.create(name, tsc_hz=1)
    assert name in segment.instances()
    first.close()


def test_a_dead_masters_segment_is_replaced(name):
    code = (
        "import sys, time; from vio4wd.shm import segment; "
        "segment.create(sys.argv[1], 1); print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, name], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "up\n"
        assert segment.owner(name) == child.pid
        child.send_signal(signal.SIGKILL)
    assert segment.owner(name) == 0
    assert name not in segment.instances()
    again = segment.create(name, tsc_hz=1)
    assert segment.owner(name) == os.getpid()
    again.close()


def test_a_recycled_process_id_is_not_taken_for_the_master(name):
    master = segment.create(name, tsc_hz=1)
    master.tables["header"]["master_start_time"] -= 1
    assert segment.owner(name) == 0
    assert segment.remove_stale(name)
    master.close()


def test_no_daemon_is_one_clear_line(name):
    with pytest.raises(segment.SegmentError, match="no daemon of the name"):
        segment.attach(name)


def test_another_versions_segment_is_refused(name):
    master = segment.create(name, tsc_hz=1)
    master.tables["header"]["version"] += 1
    with pytest.raises(segment.SegmentError, match="another version"):
        segment.attach(name, readonly=True)
    master.close()


def test_closing_leaves_no_mapping(name):
    def mappings():
        return sum(name in line for line in pathlib.Path("/proc/self/maps").read_text().splitlines())

    for _ in range(3):
        segment.create(name, tsc_hz=1).close()
        segment.attach(name).close()
        segment.remove(name)
    assert mappings() == 0
