"""Relays with several lanes, from the statistics to the moves."""

import pytest

from vio4wd.control.proto.virtioforwarder_pb2 import StatsResponse
from vio4wd.sched.loads import core_loads, relay_loads
from vio4wd.sched.scheduler import Policy, Scheduler

LANES = 4
LOAD = 0.2  # of either direction of a lane


class Daemon:
    """What a scheduler sees of relay 3, whose lanes all begin on CPU 1, and of relay 5 with one on CPU 2."""

    def __init__(self):
        self.where = {(3, lane): (1, 1) for lane in range(LANES)} | {(5, None): (2, 2)}
        self.moves = []

    def cores(self):
        return [1, 2]

    def measure(self, seconds):
        lanes = [self.where[3, lane] for lane in range(LANES)]
        return [self._state(3, lanes, LOAD), self._state(5, [self.where[5, None]], 0.02)]

    def move(self, relay, cpus, lane=None):
        self.moves.append((relay, lane))
        self.where[relay, lane] = cpus

    def _state(self, relay, cpus, load):
        state = StatsResponse.RelayState(id=relay, active=True, socket_id=0)
        state.cpu.vf_to_vm, state.cpu.vm_to_vf = cpus[0]
        state.vf_to_vm.load = state.vm_to_vf.load = load * len(cpus)
        for first, second in cpus if len(cpus) > 1 else []:
            lane = state.lane.add(vf_to_vm_load=load, vm_to_vf_load=load)
            lane.cpu.vf_to_vm, lane.cpu.vm_to_vf = first, second
        return state


def test_each_lane_has_its_own_load():
    loads = relay_loads(Daemon().measure(1))
    assert [(entry.relay, entry.lane) for entry in loads] == [(3, 0), (3, 1), (3, 2), (3, 3), (5, None)]
    assert core_loads(loads) == pytest.approx({1: 2 * LANES * LOAD, 2: 0.04})


def test_a_lane_that_nobody_serves_is_left_out():
    (state, _) = Daemon().measure(1)
    state.lane[1].cpu.ClearField("vm_to_vf")
    assert [entry.lane for entry in relay_loads([state])] == [0, 2, 3]


def test_lanes_are_moved_each_on_its_own(caplog):
    daemon = Daemon()
    scheduler = Scheduler(daemon, Policy(), lambda cpu: 0, lambda seconds: None)
    with caplog.at_level("INFO"):
        for _ in range(3):
            scheduler.interval()
    assert (3, None) not in daemon.moves
    assert "relay 3 lane " in caplog.text
    loads = core_loads(relay_loads(daemon.measure(1)), [1, 2])
    assert abs(loads[1] - loads[2]) < 0.25
    for _ in range(50):
        before = list(daemon.moves)
        scheduler.interval()
        assert daemon.moves == before
