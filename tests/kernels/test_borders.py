"""Buffers at the borders of regions: up to the last byte, over a border, a byte too far."""

import pytest
from rig import BORDERS, LAST, bordered_memory, check_all_is_back

from vio4wd.shm.layout import RING_BAD_ADDRESS, RING_OK, VF_TO_VM, VM_TO_VF
from vio4wd.testing.mock_guest import MockGuest
from vio4wd.testing.mock_pool import MockPool, MockPort
from vio4wd.testing.mock_worker import MockWorker
from vio4wd.testing.ring_driver import Segment
from vio4wd.testing.strategies import numbered_packet

RINGS = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
DIRECTIONS = pytest.mark.parametrize("direction", [VF_TO_VM, VM_TO_VF], ids=["vf_to_vm", "vm_to_vf"])
INDIRECT = pytest.mark.parametrize("indirect", [False, True], ids=["direct", "indirect"])
LAYOUTS = pytest.mark.parametrize("layout", [(), (12,), (40,)], ids=["one", "header", "middle"])
PACKET = numbered_packet(7, 100)
TOTAL = 112


class Rig:
    def __init__(self, direction, packed):
        self.direction = direction
        self.guest = MockGuest(bordered_memory(), packed=packed, size=8)
        self.pool = MockPool(64)
        self.port = MockPort(self.pool)
        self.worker = MockWorker(direction, [self.guest], self.pool, self.port)
        receives = direction == VF_TO_VM
        self.ring = self.guest.receive_ring if receives else self.guest.transmit_ring

    def offer(self, layout, at, indirect):
        if self.direction == VF_TO_VM:
            rest = TOTAL - sum(layout)
            self.guest.post([*layout, rest], at=at, indirect=indirect)
        else:
            self.guest.send(PACKET, layout=layout, at=at, indirect=indirect)

    def move(self):
        """What has arrived."""
        self.guest.publish()
        if self.direction == VF_TO_VM:
            self.port.feed(self.pool.packet(PACKET))
        self.worker.run()
        self.guest.sent()
        return [packet.data for packet in (*self.guest.received(), *self.port.sent())]


@DIRECTIONS
@RINGS
@INDIRECT
@LAYOUTS
def test_every_offset_over_a_border(direction, packed, indirect, layout):
    rig = Rig(direction, packed)
    for offset in range(TOTAL + 2):
        # All segments follow each other, the whole begins `offset` bytes before the border.
        at = [BORDERS[3] - offset]
        for length in layout:
            at.append(at[-1] + length)
        rig.offer(layout, at, indirect)
        assert rig.move() == [PACKET], offset
    check_all_is_back(rig.guest, rig.pool, rig.worker)


@DIRECTIONS
@RINGS
@INDIRECT
@LAYOUTS
@pytest.mark.parametrize("beyond", [0, 1, 2, 64])
def test_the_end_of_memory(direction, packed, indirect, layout, beyond):
    rig = Rig(direction, packed)
    address = sum(LAST) - TOTAL + beyond
    segments = []
    for length in (*layout, TOTAL - sum(layout)):
        segments.append(Segment(address, length, direction == VF_TO_VM))
        address += length
    if direction == VM_TO_VF:
        data = bytes(12) + PACKET
        rig.guest.memory.write(segments[0].address, data[: TOTAL - beyond])
    buffer_id = rig.ring.add(segments, indirect)
    rig.ring.publish()
    if direction == VF_TO_VM:
        rig.port.feed(rig.pool.packet(PACKET))
    rig.worker.run()
    assert rig.worker.rings[0]["error"] == (RING_BAD_ADDRESS if beyond else RING_OK)
    used = rig.ring.collect()
    assert [entry.id for entry in used] == ([] if beyond else [buffer_id])
    assert len(rig.port.sent()) == (direction == VM_TO_VF and not beyond)
    if direction == VF_TO_VM and not beyond:
        assert rig.guest.memory.read(segments[0].address, TOTAL)[12:] == PACKET
    rig.worker.rings["error"] = 0
    check_all_is_back(rig.guest, rig.pool, rig.worker)


@DIRECTIONS
@RINGS
@pytest.mark.parametrize("before", range(0, 49, 16))
def test_an_indirect_table_over_a_border(direction, packed, before):
    rig = Rig(direction, packed)
    memory = rig.guest.memory
    rig.offer((12, 30), [], indirect=True)
    (buffer,) = rig.ring.outstanding.values()
    table = memory.claim(BORDERS[3] - before, 48)
    memory.write(table, memory.read(buffer.indirect_table, 48))
    rig.ring.change(buffer.slots[0], address=table)
    assert rig.move() == [PACKET]
    check_all_is_back(rig.guest, rig.pool, rig.worker)
