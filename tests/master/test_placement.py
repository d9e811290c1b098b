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


def place(placement, tables, relay, running=(0, 1), near=-1, vf_node=-1, lanes=1):
    """Slots of (VF->VM, VM->VF) of each lane, chosen and noted one after the other as a relay does."""
    row = tables["relays"][relay]
    for direction, column in enumerate(layout.SLOT_COLUMNS):
        for lane in range(lanes):
            part = direction, lane
            row[column][lane] = placement.slot_for(relay, part, list(running), near, vf_node)
    pairs = [tuple(int(row[column][lane]) for column in layout.SLOT_COLUMNS) for lane in range(lanes)]
    for column in layout.SLOT_COLUMNS:
        row[column] = -1
    return pairs


def test_new_relays_spread_by_what_is_assigned(tables):
    placement = Placement((3, 5), tables, {}, same_numa=False)
    found = []
    for relay in range(4):
        (slots,) = place(placement, tables, relay)
        tables["relays"][relay]["vf_to_vm_slot"][0], tables["relays"][relay]["vm_to_vf_slot"][0] = slots
        found += slots
    assert found.count(0) == found.count(1) == 4


@pytest.mark.parametrize("lanes", [2, 4])
def test_lanes_of_a_direction_spread(tables, lanes):
    placement = Placement((3, 5), tables, {}, same_numa=False)
    pairs = place(placement, tables, 1, lanes=lanes)
    for direction in (layout.VF_TO_VM, layout.VM_TO_VF):
        assert sorted(pair[direction] for pair in pairs) == sorted([0, 1] * (lanes // 2))


def test_a_lane_that_comes_later_goes_to_the_other_worker(tables):
    placement = Placement((3, 5), tables, {}, same_numa=False)
    row = tables["relays"][1]
    row["vf_to_vm_slot"][0], row["vm_to_vf_slot"][0] = 0, 1
    assert placement.slot_for(1, (layout.VF_TO_VM, 1), [0, 1], -1, -1) == 1
    assert placement.slot_for(1, (layout.VM_TO_VF, 1), [0, 1], -1, -1) == 0


def test_measured_load_decides(tables):
    placement = Placement((3, 5), tables, {}, same_numa=False)
    workers = tables["workers"]
    workers["total_cycles"][:2] = 1000
    workers["busy_cycles"][0] = 900
    placement.measure()
    assert place(placement, tables, 1) == [(1, 1)]
    # Later the first is idle; what counts is the time since the last look.
    workers["total_cycles"][:2] = 2000
    workers["busy_cycles"][1] = 900
    placement.measure()
    assert place(placement, tables, 1) == [(0, 0)]


def test_restarted_worker_has_no_load_yet(tables):
    placement = Placement((3, 5), tables, {}, same_numa=False)
    row = tables["workers"][0]
    row["total_cycles"], row["busy_cycles"] = 1000, 1000
    placement.measure()
    row["total_cycles"], row["busy_cycles"] = 10, 0
    placement.measure()
    assert place(placement, tables, 1)[0][0] == 0


def test_pin_holds_while_its_worker_runs(tables):
    placement = Placement((3, 5), tables, {1: (5, 3)}, same_numa=False)
    assert place(placement, tables, 1) == [(1, 0)]
    assert place(placement, tables, 1, lanes=2) == [(1, 0), (1, 0)]
    assert place(placement, tables, 1, running=[0]) == [(0, 0)]
    assert placement.pinned_slot(1, (layout.VF_TO_VM, 0)) == 1
    assert placement.pinned_slot(2, (layout.VF_TO_VM, 0)) is None


def test_pins_of_lanes_repeat(tables):
    placement = Placement((3, 5), tables, {}, same_numa=False)
    placement.pins[1] = ((3, 5), (5, 3))
    assert place(placement, tables, 1, lanes=4) == [(0, 1), (1, 0), (0, 1), (1, 0)]


def test_nobody_runs(tables):
    with pytest.raises(PlacementError, match="no worker"):
        place(Placement((3, 5), tables, {}, same_numa=False), tables, 1, running=[])


def test_same_numa_wants_a_worker_beside_the_vf(tables):
    placement = Placement((0,), tables, {}, same_numa=True)
    assert place(placement, tables, 1, running=[0], vf_node=0) == [(0, 0)]
    with pytest.raises(PlacementError, match="NUMA node 7 of the VF"):
        place(placement, tables, 1, running=[0], vf_node=7)
