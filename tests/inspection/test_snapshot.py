"""Snapshots and rates over tables that no process writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vio4wd.inspection import rates as rates_module
from vio4wd.inspection import snapshot
from vio4wd.inspection.rates import percentile, rates
from vio4wd.limits import MAX_RELAYS
from vio4wd.shm import layout

HZ = 2_000_000_000  # of the tables in conftest.py


def test_names_and_owners(tables):
    taken = snapshot.take(tables)
    assert [worker.cpu for worker in taken.workers] == [2, 5]
    assert taken.workers[1].directions == ((3, layout.VF_TO_VM, 0),)
    assert taken.workers[0].directions == ((3, layout.VM_TO_VF, 0),)
    assert taken.workers[0].longest is None
    assert taken.master_pid == 4711
    assert len(taken.relays) == MAX_RELAYS
    relay = taken.relays[3]
    assert relay.active
    assert (relay.vf_to_vm.cpu, relay.vm_to_vf.cpu) == (5, 2)
    assert (relay.device, relay.socket, relay.peer) == ("0000:05:08.1", "/tmp/virtio-forwarder3.sock", "")
    assert [queue.index for queue in relay.queues] == [0]
    assert relay.queues[0].size == 256
    assert not relay.queues[0].failed
    idle = taken.relays[4]
    assert not idle.in_use
    assert idle.vf_state == "DPDK_UNINIT"
    assert idle.vf_to_vm.cpu is None


def test_record_and_array_are_the_same(tables):
    assert snapshot.take(tables[0]) == snapshot.take(tables)


def test_a_snapshot_stays_as_it_was(tables):
    before = snapshot.take(tables)
    tables[0]["directions"][3, 0, 0]["packets_in"] = 10
    assert before.relays[3].vf_to_vm.packets_in == 0
    assert snapshot.take(tables).relays[3].vf_to_vm.packets_in == 10


def test_unknown_states_are_named_not_hidden(tables):
    tables[0]["relays"][3]["vf_state"] = 9
    tables[0]["workers"][0]["state"] = -1
    tables[0]["rings"][3, 1]["error"] = 99
    taken = snapshot.take(tables)
    assert taken.relays[3].vf_state == "unknown (9)"
    assert taken.workers[0].state == "unknown (-1)"
    assert taken.relays[3].queues[1].error == "unknown (99)"
    assert taken.relays[3].queues[1].failed


def test_heartbeat_age(tables):
    tables[0]["workers"][0]["heartbeat"] = 5 * HZ
    taken = snapshot.take(tables, cycles=7 * HZ)
    assert taken.heartbeat_age(taken.workers[0]) == 2.0
    assert taken.heartbeat_age(taken.workers[1]) is None
    # A worker may have written after the clock was read.
    early = snapshot.take(tables, cycles=4 * HZ)
    assert early.heartbeat_age(early.workers[0]) == 0.0


def test_rates(tables):
    before = snapshot.take(tables)
    direction = tables[0]["directions"][3, 0, 0]
    direction["packets_in"] = 3000
    direction["bytes_in"] = 192_000
    direction["packets_out"] = 2900
    direction["dropped_full"] = 100
    direction["bursts"] = 100
    direction["busy_cycles"] = HZ // 2
    worker = tables[0]["workers"][1]
    worker["busy_cycles"] = HZ // 2
    worker["idle_cycles"] = HZ
    worker["packets"] = 3000
    worker["bursts"] = 100
    result = rates(before, snapshot.take(tables), 2.0)
    relay = result.relays[3].vf_to_vm
    assert relay.packets_in == 1500
    assert relay.bytes_in == 96_000
    assert relay.dropped == 50
    assert relay.load == 0.25
    assert relay.packets_per_burst == 30
    assert relay.cycles_per_packet == HZ / 2 / 3000
    assert relay.latency is None
    busy = result.workers[1]
    assert (busy.busy, busy.idle, busy.packets) == (0.25, 0.5, 1500)
    assert result.workers[0].packets_per_burst is None


def test_counters_that_start_again_give_no_negative_rates(tables):
    tables[0]["directions"][3, 0, 0]["packets_in"] = 1000
    tables[0]["directions"][3, 0, 0]["latency_histogram"][5] = 7
    tables[0]["workers"][0]["pid"] = 10
    tables[0]["workers"][0]["packets"] = 50
    before = snapshot.take(tables)
    tables[0]["directions"][3, 0, 0]["packets_in"] = 10
    tables[0]["directions"][3, 0, 0]["latency_histogram"][5] = 2
    tables[0]["workers"][0]["pid"] = 11
    tables[0]["workers"][0]["packets"] = 60
    result = rates(before, snapshot.take(tables), 1.0)
    assert result.relays[3].vf_to_vm.packets_in == 10
    assert result.relays[3].vf_to_vm.latency.samples == 2
    assert result.workers[0].packets == 60  # another process: all of it is new


def test_lanes_add_up_and_stand_on_their_own(tables):
    relay = tables[0]["relays"][3]
    relay["lanes"] = 2
    relay["vf_to_vm_slot"][:2] = (1, 0)
    relay["vm_to_vf_slot"][:2] = (0, -1)
    tables[0]["queues"]["ready"][3, [0, 2]] = 1
    tables[0]["queues"]["lane"][3, [0, 2]] = (0, 1)
    tables[0]["rings"]["depth"][3, [0, 2]] = (5, 6)
    before = snapshot.take(tables)
    lanes = tables[0]["directions"][3, layout.VF_TO_VM]
    lanes["packets_in"][:3] = (100, 20, 4)  # the third is a lane that there was before
    lanes["busy_cycles"][:2] = (HZ, HZ // 2)
    lanes["latency_histogram"][:2, 7] = 1
    after = snapshot.take(tables)
    direction = after.relays[3].vf_to_vm
    assert (direction.packets_in, direction.latency_histogram[7], direction.cpu) == (124, 2, 5)
    assert [(lane.packets_in, lane.cpu) for lane in direction.lanes] == [(100, 5), (20, 2)]
    assert [lane.cpu for lane in after.relays[3].vm_to_vf.lanes] == [2, None]
    assert after.workers[0].directions == ((3, 0, 1), (3, 1, 0))
    assert [after.relays[3].depth(0, lane) for lane in (0, 1, None)] == [5, 6, 11]
    found = rates(before, after, 1.0).relays[3].vf_to_vm
    assert (found.packets_in, found.load, [lane.load for lane in found.lanes]) == (124, 1.5, [1.0, 0.5])
    tables[0]["relays"][3]["lanes"] = 1
    fewer = snapshot.take(tables)
    assert fewer.relays[3].vf_to_vm.lanes == ()
    assert rates(fewer, after, 1.0).relays[3].vf_to_vm.lanes[1].packets_in == 0  # not known
    assert rates(after, fewer, 1.0).relays[3].vf_to_vm.packets_in == 0


def test_no_interval_no_rates(tables):
    taken = snapshot.take(tables)
    with pytest.raises(ValueError, match="0 seconds"):
        rates(taken, taken, 0)


def test_latency_of_an_interval(tables):
    histogram = tables[0]["directions"][3, 1, 0]["latency_histogram"]
    histogram[30] = 1000  # before the interval
    before = snapshot.take(tables)
    histogram[10] += 99
    histogram[20] += 1
    found = rates(before, snapshot.take(tables), 1.0).relays[3].vm_to_vf.latency
    assert found.samples == 100
    assert 1024 <= found.median * HZ < 2048
    assert found.worst * HZ == 2**21
    everything = rates_module.latency(None, snapshot.take(tables).relays[3].vm_to_vf, before)
    assert everything.samples == 1100


@given(st.lists(st.integers(1, 2**31), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_percentiles_are_good_to_a_factor_of_two(values, share):
    histogram = [0] * 32
    for value in values:
        histogram[value.bit_length() - 1] += 1
    exact = sorted(values)[max(-(-int(share * len(values) * 1e9) // 10**9) - 1, 0)]
    assert exact / 2 <= percentile(histogram, share) <= exact * 2


def test_empty_histogram():
    assert percentile([0] * 32, 0.5) == 0.0
