"""Guest memory in a worker: mapped once, given back, and not deadly when its file is truncated."""

import ctypes
import mmap
import os
import pathlib

import pytest

from vio4wd.dpdk import guard
from vio4wd.worker.guest import GuestMemory, GuestMemoryError
from vio4wd.worker.protocol import Region

MIB = 1 << 20


@pytest.fixture
def memory_file():
    fd = os.memfd_create("guest")
    os.ftruncate(fd, 2 * MIB)
    yield fd
    os.close(fd)


def mappings() -> int:
    return sum("memfd:guest" in line for line in pathlib.Path("/proc/self/maps").read_text().splitlines())


def test_addresses_of_regions(memory_file):
    os.pwrite(memory_file, b"low", 0)
    os.pwrite(memory_file, b"high", MIB + 16)
    regions = (Region(0, MIB, 0, 0), Region(1 << 32, MIB, MIB, 0))
    memory = GuestMemory(regions, [memory_file]).retain()
    assert ctypes.string_at(memory.host_address(0, 3), 3) == b"low"
    assert ctypes.string_at(memory.host_address((1 << 32) + 16, 4), 4) == b"high"
    memory.release()


@pytest.mark.parametrize(("address", "size"), [(MIB - 1, 2), (MIB, 1), (-1, 1), (1 << 63, 1), (0, MIB + 1)])
def test_a_range_outside_is_refused(memory_file, address, size):
    memory = GuestMemory((Region(0, MIB, 0, 0),), [memory_file]).retain()
    with pytest.raises(GuestMemoryError, match="no memory region"):
        memory.host_address(address, size)
    memory.release()


def test_the_last_user_unmaps(memory_file):
    before = mappings()
    memory = GuestMemory((Region(0, MIB, 0, 0),), [memory_file]).retain()
    memory.retain()
    assert mappings() == before + 1
    memory.release()
    assert memory.in_use
    assert mappings() == before + 1
    memory.release()
    assert not memory.in_use
    assert mappings() == before


def test_a_file_that_is_too_short_maps_nothing(memory_file):
    before = mappings()
    with pytest.raises(GuestMemoryError, match="are needed"):
        GuestMemory((Region(0, MIB, 0, 0), Region(MIB, 2 * MIB, MIB, 0)), [memory_file])
    assert mappings() == before


def test_truncation_under_our_hands_is_survived(memory_file):
    # In a child: the handler of SIGBUS stays in a process once it is installed.
    pid = os.fork()
    if pid == 0:
        guard.install()
        memory = GuestMemory((Region(0, 2 * MIB, 0, 0),), [memory_file]).retain()
        os.ftruncate(memory_file, mmap.PAGESIZE)
        value = ctypes.string_at(memory.host_address(MIB, 1), 1)
        os._exit(0 if memory.gone and value == b"\0" else 1)
    assert os.waitpid(pid, 0)[1] == 0
