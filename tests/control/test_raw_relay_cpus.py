"""The services for relays and CPUs, with messages built from field numbers alone."""

import copy
import errno

import pytest
from raw_messages import field, message, read, signed

from vio4wd.control.decisions import Attached

UPDATE, GET_EAL_CORES = 0, 1
ERROR, OK = 0, 1


def relay_cpu(relay, vf_to_vm, vm_to_vf, lane=None):
    entry = message((1, relay), (2, vf_to_vm), (3, vm_to_vf))
    return entry if lane is None else entry + field(100, lane)


@pytest.fixture
def relays(daemon):
    """Relays 1 and 4 are in use."""
    controller = daemon.controller
    controller.attached = {1: Attached(("net_null0",)), 4: Attached(("net_null1",))}
    controller.cpus = {4: [(2, -1)], 1: [(1, 2)]}
    return controller


def test_config_tells_the_cpus_of_relays_in_use(daemon, relays):
    fields = read(daemon.ask("config", b""))
    assert fields[1] == [0]
    entries = [{number: signed(value) for number, (value,) in read(entry).items()} for entry in fields[5]]
    assert entries == [{1: 1, 2: 1, 3: 2}, {1: 4, 2: 2, 3: -1}]


def test_config_tells_of_lanes_where_there_are_several(daemon, relays):
    relays.cpus[4] = [(2, 1), (1, 2)]
    fields = read(daemon.ask("config", b""))
    maps = {
        number: [{key: signed(value) for key, (value,) in read(entry).items()} for entry in fields[number]]
        for number in (5, 100)
    }
    assert maps[5] == [{1: 1, 2: 1, 3: 2}, {1: 4, 2: 2, 3: 1}]
    assert maps[100] == [{1: 4, 2: 2, 3: 1, 100: 0}, {1: 4, 2: 1, 3: 2, 100: 1}]


def test_a_lane_moves_alone_and_a_relay_with_all_of_its_lanes(daemon, relays):
    relays.cpus[4] = [(2, 1), (1, 2)]
    frame = message((1, UPDATE), (2, relay_cpu(4, 2, -1, lane=1)), (2, relay_cpu(4, -1, 2, lane=0)))
    assert read(daemon.ask("core_sched", frame)) == {4: [OK]}
    assert relays.cpus[4] == [(2, 2), (2, 2)]
    assert read(daemon.ask("core_sched", message((1, UPDATE), (2, relay_cpu(4, 1, -1))))) == {4: [OK]}
    assert relays.cpus[4] == [(1, 2), (1, 2)]


def test_config_without_relays(daemon):
    assert read(daemon.ask("config", b"")) == {1: [0]}
    assert read(daemon.ask("config", message((7, "unknown fields are ignored")))) == {1: [0]}


def test_config_garbage(daemon):
    assert read(daemon.ask("config", b"\xff")) == {1: [400]}
    assert read(daemon.ask("config", field(1, bytes(70000)))) == {1: [400]}


def test_eal_cores(daemon):
    fields = read(daemon.ask("core_sched", message((1, GET_EAL_CORES))))
    assert fields == {4: [OK], 7: [1, 2]}


def test_moves(daemon, relays):
    frame = message((1, UPDATE), (2, relay_cpu(1, 2, 2)), (2, relay_cpu(4, -1, 1)))
    assert read(daemon.ask("core_sched", frame)) == {4: [OK]}
    assert relays.cpus == {1: [(2, 2)], 4: [(2, 1)]}


def test_no_moves_are_no_error(daemon):
    assert read(daemon.ask("core_sched", message((1, UPDATE)))) == {4: [OK]}


@pytest.mark.parametrize(
    ("entries", "code", "words"),
    [
        ([relay_cpu(64, 1, 1)], errno.EINVAL, b"no relay 64"),
        ([relay_cpu(-1, 1, 1)], errno.EINVAL, b"no relay -1"),
        ([relay_cpu(1, 0, 1)], errno.EINVAL, b"CPU 0 has no worker"),
        ([relay_cpu(1, 1, 3)], errno.EINVAL, b"CPU 3 has no worker: the workers' are 1,2"),
        ([relay_cpu(1, -2, 1)], errno.EINVAL, b"CPU -2"),
        ([relay_cpu(1, 2, 2), relay_cpu(1, 1, 1)], errno.EINVAL, b"more than once"),
        ([relay_cpu(1, 2, 2, lane=0), relay_cpu(1, 1, 1, lane=0)], errno.EINVAL, b"more than once"),
        ([relay_cpu(1, 2, 2, lane=0), relay_cpu(1, 1, 1)], errno.EINVAL, b"more than once"),
        ([relay_cpu(4, 1, 1), relay_cpu(1, 99, 1)], errno.EINVAL, b"CPU 99"),
        ([relay_cpu(2, 1, 1)], errno.ENOENT, b"relay 2 is not in use"),
        ([message((1, 1), (2, 1))], errno.EBADMSG, b"no valid request"),
    ],
)
def test_moves_that_cannot_be(daemon, relays, entries, code, words):
    before = copy.deepcopy(relays.cpus)
    fields = read(daemon.ask("core_sched", message((1, UPDATE), *((2, entry) for entry in entries))))
    assert fields[4] == [ERROR]
    assert fields[5] == [code]
    assert words in fields[6][0]
    assert relays.cpus == before


@pytest.mark.parametrize("frame", [b"", b"\xff", message((1, 2)), message((2, relay_cpu(1, 1, 1)))])
def test_garbage(daemon, frame):
    fields = read(daemon.ask("core_sched", frame))
    assert (fields[4], fields[5]) == ([ERROR], [errno.EBADMSG])


def test_a_request_that_is_too_large(daemon):
    fields = read(daemon.ask("core_sched", message((1, UPDATE), (9, bytes(70000)))))
    assert (fields[4], fields[5]) == ([ERROR], [errno.EMSGSIZE])
