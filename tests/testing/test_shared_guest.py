"""Guest memory in a file: what its owner and a backend with the file see of each other."""

import os

import pytest

from vio4wd.testing.guest_memory import OutOfBoundsError
from vio4wd.testing.mock_guest import MockGuest
from vio4wd.testing.shared_guest import SharedMemory


@pytest.fixture
def memory():
    made = SharedMemory(1 << 20)
    yield made
    made.close()


def test_a_backend_sees_what_the_guest_writes(memory):
    address = memory.allocate(5)
    memory.write(address, b"hello")
    offset = memory.region.mmap_offset + address - memory.region.guest_address
    assert os.pread(memory.fd, 5, offset) == b"hello"


def test_the_guest_sees_what_a_backend_writes(memory):
    address = memory.allocate(5)
    offset = memory.region.mmap_offset + address - memory.region.guest_address
    os.pwrite(memory.fd, b"hello", offset)
    assert memory.read(address, 5) == b"hello"
    memory.check()
    os.pwrite(memory.fd, b"hello", offset + 1)
    with pytest.raises(OutOfBoundsError, match="behind the 5 ones"):
        memory.check()


def test_a_write_before_the_region_is_found(memory):
    os.pwrite(memory.fd, b"!", memory.region.mmap_offset - 1)
    with pytest.raises(OutOfBoundsError, match="before the region"):
        memory.check()


def test_rings_lie_in_the_file(memory):
    guest = MockGuest(memory, size=64)
    guest.send(bytes(60))
    guest.publish()
    available = guest.transmit_ring.available - memory.region.guest_address + memory.region.mmap_offset
    assert os.pread(memory.fd, 4, available) == b"\0\0\1\0"  # flags, index
