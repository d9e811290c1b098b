"""Guest memory: addresses, guards, allocation."""

import ctypes

import pytest

from vio4wd.testing.guest_memory import GUARD, PATTERN, POISON, GuestMemory, OutOfBoundsError

TWO_ADJACENT = ((0x1000, 0x1000), (0x2000, 0x800))


def _poke(address: int, value: int) -> None:
    ctypes.c_uint8.from_address(address).value = value


def test_host_addresses_differ_and_lead_to_the_same_bytes():
    memory = GuestMemory(TWO_ADJACENT)
    memory.write(0x1010, b"abc")
    assert memory.host(0x1010) != 0x1010
    assert ctypes.string_at(memory.host(0x1010), 3) == b"abc"
    assert memory.host(0x1010) % 64 == 0x1010 % 64
    assert memory.table().tolist() == [[r.guest_address, r.size, r.host_address] for r in memory.regions]


def test_reading_and_writing_cross_adjacent_regions():
    memory = GuestMemory(TWO_ADJACENT)
    memory.write(0x1FFE, b"1234")
    assert memory.read(0x1FFE, 4) == b"1234"
    assert memory.view(0x2000, 2).tobytes() == b"34"
    memory.check()
    with pytest.raises(ValueError, match="in one region"):
        memory.view(0x1FFE, 4)
    with pytest.raises(ValueError, match="nothing at 0x2800"):
        memory.read(0x27FF, 2)


@pytest.mark.parametrize("offset", [-GUARD, -1, 0x800, 0x800 + GUARD - 1])
def test_a_write_beside_a_region_is_found(offset):
    memory = GuestMemory(TWO_ADJACENT)
    memory.check()
    _poke(memory.host(0x2000) + offset, 0)
    with pytest.raises(OutOfBoundsError, match=f"{0x2000 + offset:#x}"):
        memory.check()


@pytest.mark.parametrize("offset", [-1, 10])
def test_a_write_beside_an_allocation_is_found(offset):
    memory = GuestMemory()
    address = memory.allocate(10)
    assert memory.read(address, 10) == bytes([POISON]) * 10
    memory.write(address, b"0123456789")
    memory.check()
    memory.write(address + offset, b"x")
    with pytest.raises(OutOfBoundsError):
        memory.check()
    with pytest.raises(OutOfBoundsError):
        memory.release(address)
    memory.write(address + offset, bytes([PATTERN]))
    memory.release(address)


def test_released_memory_is_used_again():
    memory = GuestMemory([(0, 0x1000)])
    for _ in range(100):
        taken = [memory.allocate(size, align) for size, align in ((100, 1), (0, 64), (1000, 16), (33, 2))]
        assert [address % align for address, align in zip(taken, (1, 64, 16, 2), strict=True)] == [0] * 4
        for address in taken[::2] + taken[1::2]:
            memory.release(address)
    memory.release(memory.allocate(0x1000 - 128))
    with pytest.raises(MemoryError, match="no 4000 bytes"):
        memory.allocate(4000)


def test_claims_are_exact_and_exclusive():
    memory = GuestMemory(TWO_ADJACENT)
    assert memory.claim(0x1F00, 0x200) == 0x1F00
    with pytest.raises(MemoryError, match="in use"):
        memory.claim(0x20FF, 1)
    memory.claim(0x2100, 1)
    with pytest.raises(ValueError, match="nothing at"):
        memory.claim(0x27FF, 2)
    memory.release(0x1F00)
    assert memory.allocate(0x100, region=1) >= 0x2000
    with pytest.raises(KeyError):
        memory.release(0x1F00)
