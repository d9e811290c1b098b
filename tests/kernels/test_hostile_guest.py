"""A guest that changes descriptors and indices while bursts run: nothing but its own ring suffers."""

import numpy as np
import pytest
from flipper import Flipper
from frames import Frame

from vio4wd.shm.layout import RING_ERROR_NAMES, VF_TO_VM, VM_TO_VF
from vio4wd.testing.guest_memory import GuestMemory
from vio4wd.testing.mock_guest import MockGuest, NetHeader
from vio4wd.testing.mock_pool import MockPool, MockPort
from vio4wd.testing.mock_worker import MockWorker
from vio4wd.testing.ring_driver import AVAIL, INDIRECT, NEXT, USED, WRITE
from vio4wd.testing.strategies import numbered_packet

BASE, SIZE = 0x100000, 0x40000
SECOND = (BASE + SIZE + 0x100000, 0x2000)
#: Bursts of a test, and mbufs of its pool.
BURSTS = 4000
MBUFS = 256

DIRECTIONS = pytest.mark.parametrize("direction", [VF_TO_VM, VM_TO_VF], ids=["vf_to_vm", "vm_to_vf"])
RINGS = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])


def _addresses(buffers):
    """Where descriptors point to: mostly to the buffers, to the ends of both regions, to nowhere."""
    ends = [BASE, BASE + SIZE - 1, BASE + SIZE - 64, SECOND[0], sum(SECOND) - 20, BASE + SIZE]
    nowhere = [0, 0xFFF, sum(SECOND), 2**63 - 1, -(2**63), -16, -1]
    return buffers * 8 + ends * 2 + nowhere


def _words(size, direction, packed):
    """Second words of descriptors: lengths, flags, and a next descriptor (split) or an id (packed)."""
    way = WRITE if direction == VF_TO_VM else 0
    generator = np.random.default_rng(7)
    words = []
    for length in [12, 13, 26, 60, 72, 1000, 2060, 4096, 65535] * 6 + [0, 11, 1 << 20, 2**32 - 1]:
        for flags in [way] * 6 + [way | NEXT] * 2 + [way | INDIRECT, way ^ WRITE, INDIRECT | NEXT]:
            number = int(generator.integers(0, size + (generator.random() < 0.02)))
            if packed:
                flags |= int(generator.choice([AVAIL, AVAIL, USED, AVAIL | USED, 0]))
                words.append(length | number << 32 | flags << 48)
            else:
                words.append(length | flags << 32 | number << 48)
    order = generator.permutation(len(words))
    return [int(np.uint64(words[place]).astype(np.int64)) for place in order]


def _contents():
    """Network headers, the beginnings of frames, and nonsense, in 64-bit numbers."""
    frame = Frame(payload=bytes(8))
    data = b""
    for gso_size in (0, 8, 500):
        kind = 1 if gso_size else 0
        header = NetHeader(1, kind, 54, gso_size, frame.transport, frame.checksum_at)
        data += header.pack(12) + frame.build(partial=True)[:52]
    words = np.frombuffer(data, np.int64).tolist()
    return [0] * len(words) + words + [-1, 0x6B6B6B6B6B6B6B6B]


@DIRECTIONS
@RINGS
@pytest.mark.parametrize("mergeable", [False, True], ids=["single", "mergeable"])
def test_changes_under_way_harm_nobody(direction, packed, mergeable):
    memory = GuestMemory([(BASE, SIZE), SECOND])
    guest = MockGuest(memory, packed=packed, size=64, mergeable=mergeable)
    ring = guest.receive_ring if direction == VF_TO_VM else guest.transmit_ring
    pool = MockPool(MBUFS)
    port = MockPort(pool)
    buffers = [memory.allocate(2060) for _ in range(16)]
    # One of them looks like an indirect table as well.
    table = memory.view(buffers[0], 2048).view(np.uint64).reshape(-1, 2)
    table[:, 0] = buffers[1]
    table[:, 1] = np.array(_words(64, direction, packed)[: len(table)], np.int64).view(np.uint64)
    offloads = {"guest_offloads": 1, "guest_checks": 1}
    worker = MockWorker(direction, [guest], pool, port, offloads=offloads)
    hosts = [memory.host(buffer) for buffer in buffers]
    words = _words(64, direction, packed)
    moved, errors = 0, set()
    with Flipper(ring, _addresses(buffers), words, hosts, _contents()) as flipper:
        for burst in range(BURSTS):
            if direction == VF_TO_VM:
                for number in range(burst % 4):
                    port.feed(pool.packet(numbered_packet(number, (60, 1514, 5000)[number])))
            taken = worker.run()
            moved += taken
            errors.add(int(worker.rings[0]["error"]))
            if worker.rings[0]["error"] or not taken:
                worker.rings["error"] = 0
                flipper.wait(200)
            for packet in port.sent():
                assert 14 <= len(packet.data) <= 65535 + 18
    assert moved > BURSTS // 20
    assert len(errors) > 3, [RING_ERROR_NAMES[error] for error in errors]
    memory.check_guards()
    pool.check()
    worker.check()
    assert pool.available == MBUFS
