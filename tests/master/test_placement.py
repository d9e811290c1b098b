import numpy as np
import pytest

from vio4wd.master.placement import Placement
from vio4wd.sched.assign import PlacementError
from vio4wd.shm import layout


@pytest.fixture
def tables():
    made = np.zeros(1, layout.TABLES)[0]
    made["relays"]["vf_to_vm_slot"] = made["relays"]["vm_to_vf_slot"] = -1
    return made


def test_new_relays_spread_by_what_is_assigned(tables):
    placement = Placement((3, 5), tables, {}, same_numa=False)
    found = []
    for relay in range(4):
        slots = placement.slots_for(relay, [0, 1], -1, -1)
        tables["relays"][relay]["vf_to_vm_slot"], tables["relays"][relay]["vm_to_vf_slot"] = slots
        found += slots
    assert found.count(0) == found.count(1) == 4


def test_measured_load_decides(tables):
    placement = Placement((3, 5), tables, {}, same_numa=False)
    workers = tables["workers"]
    workers["total_cycles"][:2] = 1000
    workers["busy_cycles"][0] = 900
    placement.measure()
    assert placement.slots_for(1, [0, 1], -1, -1) == (1, 1)
    # Later the first is idle; what counts is the time since the last look.
    workers["total_cycles"][:2] = 2000
    workers["busy_cycles"][1] = 900
    placement.measure()
    assert placement.slots_for(1, [0, 1], -1, -1) == (0, 0)


def test_restarted_worker_has_no_load_yet(tables):
    placement = Placement((3, 5), tables, {}, same_numa=False)
    row = tables["workers"][0]
    row["total_cycles"], row["busy_cycles"] = 1000, 1000
    placement.measure()
    row["total_cycles"], row["busy_cycles"] = 10, 0
    placement.measure()
    assert placement.slots_for(1, [0, 1], -1, -1)[0] == 0


def test_pin_holds_while_its_workers_run(tables):
    placement = Placement((3, 5), tables, {1: (5, 3)}, same_numa=False)
    assert placement.slots_for(1, [0, 1], -1, -1) == (1, 0)
    assert placement.slots_for(1, [0], -1, -1) == (0, 0)
    assert placement.pinned_slot(1, layout.VF_TO_VM) == 1
    assert placement.pinned_slot(2, layout.VF_TO_VM) is None


def test_nobody_runs(tables):
    with pytest.raises(PlacementError, match="no worker"):
        Placement((3, 5), tables, {}, same_numa=False).slots_for(1, [], -1, -1)


def test_same_numa_wants_a_worker_beside_the_vf(tables):
    placement = Placement((0,), tables, {}, same_numa=True)
    assert placement.slots_for(1, [0], -1, 0) == (0, 0)
    with pytest.raises(PlacementError, match="NUMA node 7 of the VF"):
        placement.slots_for(1, [0], -1, 7)
