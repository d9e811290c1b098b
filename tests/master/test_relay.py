"""The relay's state machine with a cast (`relay_stage.py`)."""

import asyncio
import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relay_stage import VF_TO_VM, VM_TO_VF, Stage, guest

from vio4wd.dpdk.errors import DpdkError
from vio4wd.master.guest import Guest, lanes_for, serve_message
from vio4wd.master.roles import Device
from vio4wd.master.service import RelayError
from vio4wd.master.worker_handle import WorkerRefusedError
from vio4wd.shm import layout
from vio4wd.worker import protocol

VF = Device("net_null0,size=64")


def play(scenario):
    """Run a scenario written as a coroutine function without arguments."""
    asyncio.run(scenario())


def test_both_sides_are_served_whatever_comes_first():
    @play
    async def scenario():
        for vf_first in (True, False):
            stage = Stage()
            relay = stage.relay()
            steps = [lambda relay=relay: relay.attach(VF), lambda relay=relay: relay.guest_resume(guest())]
            for step in steps if vf_first else reversed(steps):
                await step()
            stage.check()
            assert None not in stage.owners(relay)
            assert [len(stage.serve(relay, d).queues) for d in (VF_TO_VM, VM_TO_VF)] == [1, 1]
            row = stage.tables["relays"][1]
            assert (row["vf_state"], row["vm_state"]) == (layout.VF_READY, layout.VM_READY)
            assert row["device"] == b"net_null0,size=64"


def test_pool_and_workers_are_near_the_guest():
    @play
    async def scenario():
        stage = Stage(nodes={11: 0, 12: 1})
        relay = stage.relay()
        await relay.attach(VF)
        assert (relay.slots, stage.tables["relays"][1]["numa_node"]) == (((0, 0),), 0)  # near the device
        await relay.guest_resume(guest(), 1)
        assert (relay.slots, stage.tables["relays"][1]["numa_node"]) == (((1, 1),), 1)
        await relay.guest_resume(guest(memory=2), -1)  # cannot be told: stays
        assert (relay.slots, stage.tables["relays"][1]["numa_node"]) == (((1, 1),), 1)
        stage.check()


def test_a_pin_outranks_the_guests_node():
    @play
    async def scenario():
        stage = Stage(nodes={11: 0, 12: 1}, pins={1: (11, 12)})
        relay = stage.relay()
        await relay.attach(VF)
        await relay.guest_resume(guest(), 1)
        assert (relay.slots, stage.tables["relays"][1]["numa_node"]) == (((0, 1),), 1)
        stage.check()


def test_a_side_alone_is_drained():
    @play
    async def scenario():
        stage = Stage()
        relay = stage.relay()
        await relay.attach(VF)
        assert stage.owners(relay)[VM_TO_VF] is None
        assert stage.serve(relay, VF_TO_VM).queues == ()
        await relay.guest_resume(guest())
        await relay.detach()
        assert stage.owners(relay)[VF_TO_VM] is None
        assert stage.serve(relay, VM_TO_VF).port is None
        await relay.guest_gone()
        assert stage.owners(relay) == (None, None)
        assert relay.slots == ((-1, -1),)
        assert not stage.hardware.pools


def test_second_device_is_refused_and_a_failed_one_leaves_nothing():
    @play
    async def scenario():
        stage = Stage()
        relay = stage.relay()
        stage.hardware.fail = "no such device"
        with pytest.raises(DpdkError, match="no such device"):
            await relay.attach(VF)
        assert relay.device is None
        assert not stage.hardware.pools
        stage.hardware.fail = ""
        await relay.attach(VF)
        with pytest.raises(RelayError, match="net_null0,size=64 attached already"):
            await relay.attach(Device("net_null1"))
        await relay.detach()
        with pytest.raises(RelayError, match="no device"):
            await relay.detach()


def test_device_that_workers_cannot_serve_is_refused():
    @play
    async def scenario():
        stage = Stage()
        for worker in stage.workers:
            worker.refusal = "no such port"
        relay = stage.relay()
        with pytest.raises(RelayError, match="no such port"):
            await relay.attach(VF)
        assert relay.device is None
        assert not stage.hardware.ports


def test_guest_whose_memory_cannot_be_mapped_is_refused_and_the_vf_goes_on():
    @play
    async def scenario():
        stage = Stage(cpus=[11])
        relay = stage.relay()
        await relay.attach(VF)

        async def refuse_guests(message, fds=()):
            await honest(message, fds)
            if isinstance(message, protocol.Serve) and message.queues:
                worker.serves.clear()
                raise cast_refusal

        worker = stage.workers[0]
        honest, cast_refusal = worker.request, WorkerRefusedError("the file has 0 bytes")
        worker.request = refuse_guests
        with pytest.raises(RelayError, match="the file has 0 bytes"):
            await relay.guest_resume(guest())
        assert stage.serve(relay, VF_TO_VM).queues == ()
        assert stage.tables["relays"][1]["vm_state"] == layout.VM_UNINIT


def test_suspended_guest_is_touched_by_nobody():
    @play
    async def scenario():
        stage = Stage()
        relay = stage.relay()
        await relay.attach(VF)
        await relay.guest_resume(guest())
        await relay.guest_suspend()
        assert stage.owners(relay) == (None, None)
        assert not stage.tables["queues"][1]["ready"].any()
        await relay.guest_resume(guest(memory=2, pairs=3))
        assert stage.serve(relay, VM_TO_VF).memory == 2
        assert [queue.index for queue in stage.serve(relay, VM_TO_VF).queues] == [1, 3, 5]
        assert stage.tables["queues"][1]["ready"].sum() == 6


def test_stuck_worker_does_not_hold_up_a_suspension():
    @play
    async def scenario():
        stage = Stage(cpus=[11])
        relay = stage.relay()
        await relay.attach(VF)
        await relay.guest_resume(guest())
        stage.workers[0].hangs = True
        await relay.guest_suspend()
        assert stage.owners(relay) == (None, None)


def test_move_changes_the_owner_and_keeps_what_is_served():
    @play
    async def scenario():
        stage = Stage(pins={1: (11, 11)})
        relay = stage.relay()
        await relay.attach(VF)
        await relay.guest_resume(guest())
        before = stage.serve(relay, VM_TO_VF)
        await relay.move((VM_TO_VF, 0), 1)
        assert stage.owners(relay) == (0, 1)
        assert stage.serve(relay, VM_TO_VF) == before
        stage.check()


@pytest.mark.parametrize("how", ["dead", "stuck", "refuses"])
def test_failed_move_leaves_things_as_they_were(how):
    @play
    async def scenario():
        stage = Stage(pins={1: (11, 11)})
        relay = stage.relay()
        await relay.attach(VF)
        await relay.guest_resume(guest())
        stage.workers[1].alive = how != "dead"
        stage.workers[1].hangs = how == "stuck"
        stage.workers[1].refusal = "no" if how == "refuses" else ""
        with pytest.raises(RelayError, match="stays where it is"):
            await relay.move((VF_TO_VM, 0), 1)
        assert stage.owners(relay) == (0, 0)
        stage.check()


def test_dead_worker_is_replaced_by_another_with_a_new_pool():
    @play
    async def scenario():
        stage = Stage(pins={1: (11, 11)})
        relay = stage.relay()
        await relay.attach(VF)
        await relay.guest_resume(guest())
        old = relay.pool.name
        await stage.kill(0)
        assert stage.owners(relay) == (1, 1)
        assert old not in stage.hardware.pools
        stage.check()
        await stage.restart(0)
        assert stage.owners(relay) == (0, 0), "a pinned relay returns to its CPU"
        stage.check()


def test_only_worker_comes_back():
    @play
    async def scenario():
        stage = Stage(cpus=[11])
        relay = stage.relay()
        await relay.attach(VF)
        await relay.guest_resume(guest())
        await stage.kill(0)
        assert stage.owners(relay) == (None, None)
        assert relay.slots == ((-1, -1),)
        await stage.restart(0)
        assert stage.owners(relay) == (0, 0)
        stage.check()


def test_device_that_does_not_come_back_is_reported_and_can_be_added_again(caplog):
    @play
    async def scenario():
        stage = Stage()
        relay = stage.relay()
        await relay.attach(VF)
        stage.hardware.fail = "unplugged"
        await stage.kill(relay.slots[0][VF_TO_VM])
        assert "relay 1 has lost its VF" in caplog.text
        assert relay.port is None
        await relay.detach()
        stage.hardware.fail = ""
        await relay.attach(VF)
        stage.check()


@pytest.mark.parametrize(
    ("queues", "pairs", "lanes"), [(1, 4, 1), (2, 1, 1), (2, 2, 2), (2, 32, 2), (4, 3, 2), (8, 5, 4)]
)
def test_lanes_are_as_many_as_both_sides_have_queues_for(queues, pairs, lanes):
    @play
    async def scenario():
        stage = Stage()
        stage.hardware.queues = queues
        relay = stage.relay()
        await relay.attach(VF)
        assert len(relay.slots) == 1
        await relay.guest_resume(guest(pairs=pairs))
        assert len(relay.slots) == lanes
        stage.check()
        for direction in (VF_TO_VM, VM_TO_VF):
            served = [
                [queue.index for queue in stage.serve(relay, direction, n).queues] for n in range(lanes)
            ]
            assert all(served)
            assert sorted(itertools.chain(*served)) == list(range(direction, 2 * pairs, 2))
            workers = {pair[direction] for pair in stage.lanes(relay)}
            assert len(workers) == min(lanes, 2)
        await relay.guest_gone()
        assert len(relay.slots) == 1
        stage.check()


def test_lanes_follow_the_queues_that_the_guest_enables():
    @play
    async def scenario():
        stage = Stage()
        stage.hardware.queues = 2
        relay = stage.relay()
        await relay.attach(VF)
        state = guest(pairs=2)
        half = tuple(dataclasses.replace(queue, enabled=queue.index < 2) for queue in state.queues)
        for queues, lanes in ((state.queues, 2), (half, 1), (state.queues, 2)):
            await relay.guest_suspend()
            await relay.guest_resume(dataclasses.replace(state, queues=queues))
            assert len(relay.slots) == lanes
            stage.check()
        await relay.guest_suspend()
        await relay.guest_resume(dataclasses.replace(state, queues=half))
        # What is started but not enabled is taken and dropped, by the only lane.
        assert [queue.index for queue in stage.serve(relay, VM_TO_VF).queues] == [1, 3]
        assert [queue.index for queue in stage.serve(relay, VF_TO_VM).queues] == [0]


def test_a_lane_moves_alone_and_all_go_on_when_a_worker_dies():
    @play
    async def scenario():
        stage = Stage()
        stage.hardware.queues = 2
        relay = stage.relay()
        await relay.attach(VF)
        await relay.guest_resume(guest(pairs=2))
        assert stage.lanes(relay) == [(0, 1), (1, 0)]
        await relay.move((VF_TO_VM, 1), 0)
        assert stage.lanes(relay) == [(0, 1), (0, 0)]
        await relay.move((VF_TO_VM, 5), 0)  # there is none any more
        stage.check()
        await stage.kill(1)
        assert stage.lanes(relay) == [(0, 0), (0, 0)]
        stage.check()


STEPS = st.lists(
    st.sampled_from(
        ["attach", "detach", "resume", "suspend", "gone", "kill0", "kill1", "start", "move", "hang"]
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(STEPS, st.sampled_from([1, 2, 4]))
def test_any_history_keeps_one_owner_and_one_pool(history, queues):
    @play
    async def scenario():
        stage = Stage()
        stage.hardware.queues = queues
        relay = stage.relay()
        for number, step in enumerate(history):
            try:
                if step == "attach":
                    await relay.attach(VF)
                elif step == "detach":
                    await relay.detach()
                elif step == "resume":
                    await relay.guest_suspend()
                    await relay.guest_resume(guest(memory=number, pairs=number % 5))
                elif step == "suspend":
                    await relay.guest_suspend()
                elif step == "gone":
                    await relay.guest_gone()
                elif step in ("kill0", "kill1"):
                    await stage.kill(int(step[-1]))
                elif step == "move":
                    await relay.move((number % 2, number // 4 % 4), number // 2 % 2)
                elif step == "hang":
                    stage.workers[number % 2].hangs = True
                else:
                    for slot in (0, 1):
                        if not stage.workers[slot].alive:
                            await stage.kill(slot)  # what the supervision does first
                            await stage.restart(slot)
            except RelayError:
                pass
            stage.check()
        for slot in (0, 1):
            await stage.kill(slot)
            await stage.restart(slot)
        stage.check()
        for owners in stage.lanes(relay):
            assert (owners[VF_TO_VM] is not None) == (relay.port is not None)


@given(st.integers(0, 9), st.sampled_from([1, 2, 4, 8]), st.booleans(), st.booleans())
def test_descriptors_of_a_message_are_counted_from_its_own_list(pairs, queues, with_port, logged):
    state = guest(pairs=pairs)
    if logged:
        state = Guest(state.features, 1, state.regions, state.queues, protocol.Area(99, 4096, 0))
    port = protocol.PortRef("ethdev", 1, queues=queues) if with_port else None
    lanes = lanes_for(port, state)
    for direction, lane in itertools.product((VF_TO_VM, VM_TO_VF), range(lanes)):
        built = serve_message(1, (direction, lane), lanes, port, "pool", state)
        if built is None:
            assert not with_port if direction == VF_TO_VM else pairs == 0
            continue
        message, fds = built
        assert protocol.decode(protocol.encode(message)) == message
        assert [fds[queue.call_fd] for queue in message.queues] == [
            queue.call_fd for queue in state.of_lane(direction, lane, lanes)
        ]
        assert [fds[region.fd] for region in message.regions] == ([50] if message.queues else [])
        if message.log:
            assert fds[message.log.fd] == 99
