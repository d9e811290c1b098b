"""The statistics service, with messages built from field numbers alone."""

import time

import pytest
from raw_messages import field, message, read

from vio4wd.shm import layout

OK, EBADR, E2BIG = 0, 400, 413
# StatsRequest
RELAY, INCLUDE_INACTIVE, DELAY = 1, 2, 3


def relays(response):
    """The relays of a response by their number."""
    fields = read(response)
    assert fields[1] == [OK]
    states = [read(state) for state in fields.get(2, [])]
    return {state[1][0]: state for state in states}


@pytest.fixture
def busy(daemon):
    """Relay 3 forwards, relay 5 has a VF only."""
    record = daemon.tables[0]
    relay = record["relays"][3]
    relay["vf_state"], relay["vm_state"] = layout.VF_READY, layout.VM_READY
    relay["vf_to_vm_slot"], relay["vm_to_vf_slot"] = 0, 1
    relay["numa_node"] = 1
    relay["device"], relay["socket"], relay["peer"] = (
        b"0000:05:08.1",
        b"/tmp/virtio-forwarder3.sock",
        b"pid 4711",
    )
    names = [
        f"{name}{unit}"
        for name in ("dropped_full", "dropped_unconnected", "dropped_invalid")
        for unit in ("", "_bytes")
    ]
    names = ["packets_in", "bytes_in", "packets_out", "bytes_out", *names]
    for direction in (0, 1):
        for number, name in enumerate(names):
            record["directions"][3, direction, 0][name] = (direction + 1) * 10**12 + number
    record["relays"][5]["vf_state"] = layout.VF_ADDED
    record["relays"][5]["numa_node"] = -1
    return record


def test_an_empty_request_asks_for_all_relays(daemon):
    states = relays(daemon.ask("stats", b""))
    assert sorted(states) == list(range(64))
    assert states[0] == {
        1: [0],
        2: [0],
        5: [message((1, "NONE"))],
        7: [states[0][7][0]],
        8: [states[0][8][0]],
        9: [0],
    }


def test_a_relay_in_full(daemon, busy):
    state = relays(daemon.ask("stats", b""))[3]
    assert state[2] == [1]
    assert state[3] == [b"pid 4711"]
    assert read(state[4][0]) == {1: [1], 2: [2]}
    assert read(state[5][0]) == {1: [b"/tmp/virtio-forwarder3.sock"]}
    assert read(state[6][0]) == {1: [b"0000:05:08.1"]}
    assert state[9] == [1]
    for number, name in ((7, b"DPDK_READY"), (8, b"VIRTIO_READY")):
        direction = read(state[number][0])
        base = (number - 6) * 10**12
        assert direction == {
            1: [1],
            2: [name],
            **{counter: [base + counter - 3] for counter in range(3, 11)},
            **{rate: [0.0] for rate in range(11, 15)},
            100: [base + 8],
            101: [base + 9],
        }


def test_lanes_of_a_relay(daemon, busy):
    relay = busy["relays"][3]
    relay["lanes"] = 2
    relay["vf_to_vm_slot"][:2], relay["vm_to_vf_slot"][:2] = (0, 1), (1, -1)
    busy["directions"][3, 0, 1]["packets_in"] = 7
    state = relays(daemon.ask("stats", b""))[3]
    assert read(state[7][0])[3] == [10**12 + 7]  # the sum
    assert read(state[4][0]) == {1: [1], 2: [2]}
    lanes = [read(lane) for lane in state[100]]
    assert [read(lane[1][0]) for lane in lanes] == [{1: [1], 2: [2]}, {1: [2]}]
    state = relays(daemon.ask("stats", message((RELAY, 3), (DELAY, 1))))[3]
    assert [read(lane).keys() for lane in state[100]] == [{1, 2, 3}] * 2  # with loads


def test_half_a_relay_is_not_active(daemon, busy):
    state = relays(daemon.ask("stats", b""))[5]
    assert (state[2], state[9]) == ([0], [0])
    assert 4 not in state
    assert read(state[7][0])[2] == [b"DPDK_ADDED"]
    assert read(state[7][0])[1] == [0]


def test_inactive_relays_can_be_left_out(daemon, busy):
    assert list(relays(daemon.ask("stats", message((INCLUDE_INACTIVE, 0))))) == [3]
    assert len(relays(daemon.ask("stats", message((INCLUDE_INACTIVE, 1))))) == 64


@pytest.mark.parametrize(
    "request_frame",
    [
        field(RELAY, b"\x03\x05\x40\xff\xff\xff\xff\x0f"),  # packed: 3, 5, 64, 2^32-1
        message((RELAY, 3), (RELAY, 5), (RELAY, 64), (RELAY, 3)),  # an old client does not pack
    ],
)
def test_relays_asked_for_by_number(daemon, request_frame):
    assert sorted(relays(daemon.ask("stats", request_frame))) == [3, 5]


def test_numbers_that_are_no_relay_give_an_empty_answer(daemon):
    assert relays(daemon.ask("stats", message((RELAY, 64)))) == {}


def test_rates_are_measured_over_the_delay(daemon, busy, loop_thread):
    with daemon.client("stats") as client:
        client.send(message((RELAY, 3), (DELAY, 2000)))
        end = time.monotonic() + 60
        packets = busy["directions"][3, 0, 0]
        while not client.poll(0):
            assert time.monotonic() < end
            packets["packets_in"] += 1000
            packets["bytes_in"] += 64000
            time.sleep(0.01)
        state = relays(client.recv())[3]
    rates = read(state[7][0])
    assert rates[11][0] > 0
    assert rates[12][0] == pytest.approx(64 * rates[11][0])
    assert read(state[8][0])[11] == [0.0]


def test_a_delay_beyond_all_patience_is_refused(daemon):
    for delay in (60_001, 0xFFFFFFFF):
        assert read(daemon.ask("stats", message((DELAY, delay)))) == {1: [E2BIG]}


@pytest.mark.parametrize("frame", [b"\xff", b"\x0a\x05\x01", field(RELAY, b"\xff")[:-1], b"\x18"])
def test_garbage(daemon, frame):
    assert read(daemon.ask("stats", frame)) == {1: [EBADR]}


def test_a_request_that_is_too_large(daemon):
    assert read(daemon.ask("stats", field(RELAY, b"\x01" * 70000))) == {1: [E2BIG]}
