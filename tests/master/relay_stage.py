"""A cast for relays without DPDK and processes: it keeps the real rules and notes what it did."""

import asyncio
import itertools

import numpy as np

from vio4wd.dpdk.errors import DpdkError
from vio4wd.master.guest import Guest
from vio4wd.master.placement import Placement
from vio4wd.master.relay import Relay
from vio4wd.master.worker_handle import WorkerGoneError, WorkerRefusedError
from vio4wd.shm import layout
from vio4wd.worker import protocol

VF_TO_VM, VM_TO_VF = layout.VF_TO_VM, layout.VM_TO_VF


class FakePort:
    def __init__(self, device, pool, queues):
        self.device = device.name
        self.pool = pool
        self.ref = protocol.PortRef("ethdev", 5, queues=queues)
        self.port_id = 5
        self.pumped = False
        self.numa_node = 0
        self.mtu = 1500


class FakePool:
    size = 1023

    def __init__(self, name):
        self.name = name


class FakeHardware:
    """Refuses to free a pool that a port or worker uses, as real memory would not."""

    def __init__(self, stage):
        self._stage = stage
        self._numbers = itertools.count()
        self.pools, self.ports, self.sent = {}, [], []
        self.fail = ""
        self.queues = 1  # of the VFs that are attached from now on

    def node_of(self, device):
        return 0

    async def make_pool(self, relay, node):
        pool = FakePool(f"pool{relay}_{next(self._numbers)}")
        self.pools[pool.name] = pool
        return pool, max(node, 0)

    async def free_pool(self, pool):
        await asyncio.sleep(0)
        assert not [port for port in self.ports if port.pool is pool]
        assert pool.name not in self._stage.pools_in_use()
        del self.pools[pool.name]

    async def open_port(self, device, relay, pool):
        await asyncio.sleep(0)
        if self.fail:
            raise DpdkError(self.fail)
        port = FakePort(device, pool, self.queues)
        self.ports.append(port)
        return port

    async def close_port(self, port):
        await asyncio.sleep(0)
        assert port.ref not in self._stage.ports_in_use()
        self.ports.remove(port)

    async def send(self, port, pool, frame):
        assert not [serve for serve in self._stage.serves() if serve.direction == VM_TO_VF]
        self.sent.append(frame)
        return True


class FakeWorker:
    def __init__(self):
        self.serves = {}
        self.alive = True
        self.refusal = ""
        self.hangs = False

    async def request(self, message, fds=()):
        await asyncio.sleep(0)
        if self.hangs:
            self.alive = False
        if not self.alive:
            self.serves.clear()
            raise WorkerGoneError("gone")
        key = message.relay, message.direction, message.lane
        self.serves.pop(key, None)
        if isinstance(message, protocol.Serve):
            if self.refusal:
                raise WorkerRefusedError(self.refusal)
            self.serves[key] = message


class Stage:
    """Workers on CPUs 11, 12, ...; relays on demand. `check()` holds whenever nothing is under way.

    `nodes`: NUMA node of each CPU, all on 0 where it says nothing; devices are on 0.
    """

    def __init__(self, cpus=(11, 12), pins=None, nodes=None):
        nodes = nodes or dict.fromkeys(cpus, 0)
        self.tables = np.zeros(1, layout.TABLES)[0]
        for column in (*layout.SLOT_COLUMNS, "port_id"):
            self.tables["relays"][column] = -1
        self.workers = [FakeWorker() for _ in cpus]
        self.hardware = FakeHardware(self)
        self.placement = Placement(
            cpus, self.tables, pins or {}, same_numa=False, node_of_cpu=nodes.__getitem__
        )
        self.relays = []

    def relay(self, number=1):
        relay = Relay(number, self.tables, self, self.hardware, self.placement)
        self.relays.append(relay)
        return relay

    def get(self, slot):
        return self.workers[slot] if slot >= 0 and self.workers[slot].alive else None

    def running_slots(self):
        return [slot for slot in range(len(self.workers)) if self.workers[slot].alive]

    async def kill(self, slot):
        self.workers[slot].alive = False
        self.workers[slot].serves.clear()
        for relay in self.relays:
            await relay.worker_lost(slot)

    async def restart(self, slot):
        self.workers[slot] = FakeWorker()
        for relay in self.relays:
            await relay.worker_running(slot)

    def serves(self):
        return [serve for worker in self.workers if worker.alive for serve in worker.serves.values()]

    def pools_in_use(self):
        return {serve.pool for serve in self.serves()}

    def ports_in_use(self):
        return [serve.port for serve in self.serves() if serve.port]

    def lanes(self, relay):
        """Slots that serve (VF->VM, VM->VF) of each lane of a relay, None: nobody."""
        found = [[None, None] for _ in relay.slots]
        for slot, worker in enumerate(self.workers):
            for number, direction, lane in worker.serves:
                if number == relay.number:
                    assert found[lane][direction] is None, "served twice"
                    found[lane][direction] = slot
        return [tuple(pair) for pair in found]

    def owners(self, relay):
        """The same of a relay with one lane."""
        (pair,) = self.lanes(relay)
        return pair

    def serve(self, relay, direction, lane=0):
        return self.workers[self.lanes(relay)[lane][direction]].serves[relay.number, direction, lane]

    def check(self):
        for relay in self.relays:
            row = self.tables["relays"][relay.number]
            assert row["lanes"] == len(relay.slots)
            touched = []
            for lane, (slots, owners) in enumerate(zip(relay.slots, self.lanes(relay), strict=True)):
                for direction, column in enumerate(layout.SLOT_COLUMNS):
                    assert row[column][lane] == slots[direction]
                    if owners[direction] is None:
                        continue
                    assert owners[direction] == slots[direction]
                    serve = self.serve(relay, direction, lane)
                    assert relay.pool is not None
                    assert serve.pool == relay.pool.name
                    assert serve.port == (relay.port.ref if relay.port else None)
                    assert serve.lanes == len(relay.slots)
                    touched += [queue.index for queue in serve.queues]
            assert len(set(touched)) == len(touched), "a queue of the guest with two owners"
            for column in layout.SLOT_COLUMNS:
                assert (row[column][len(relay.slots) :] == -1).all()
        assert {port.pool.name for port in self.hardware.ports} <= set(self.hardware.pools)


def guest(memory=1, pairs=1, features=1 << 32):
    queues = tuple(
        protocol.Queue(n, 256, 0x1000 * n, 0x1000 * n + 0x400, 0x1000 * n + 0x800, call_fd=100 + n)
        for n in range(2 * pairs)
    )
    return Guest(features, memory, (protocol.Region(0, 1 << 20, 0, 50),), queues)
