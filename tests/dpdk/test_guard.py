"""Memory that vanishes under a process: survived where it is guarded, fatal elsewhere."""

import ctypes
import mmap
import os
import signal

import pytest

from vio4wd.testing.hugepages import mount_point
from vio4wd.testing.isolated import run_isolated

PAGE = 4096


def address_of(mapping: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(mapping))


def truncated() -> None:
    from vio4wd.dpdk import guard

    guard.install()
    guard.install()  # twice is once
    fd = os.memfd_create("guest")
    os.ftruncate(fd, 4 * PAGE)
    kept, lost = mmap.mmap(fd, 4 * PAGE), mmap.mmap(fd, 4 * PAGE)
    kept[0] = lost[PAGE] = 7
    slots = [guard.add(address_of(mapping), 4 * PAGE) for mapping in (kept, lost)]
    assert not any(guard.tripped(slot) for slot in slots)
    os.ftruncate(fd, PAGE)
    assert lost[PAGE] == 0  # a zero page in its place
    lost[PAGE] = 9
    assert lost[PAGE] == 9
    assert lost[0] == 7  # the page that is still there
    assert [guard.tripped(slot) for slot in slots] == [False, True]
    guard.remove(slots[1])
    again = guard.add(address_of(lost), 4 * PAGE)
    assert again == slots[1]
    assert not guard.tripped(again)


def test_a_truncated_file_costs_a_flag():
    run_isolated(truncated)


def truncated_hugepages() -> None:
    from vio4wd.dpdk import guard

    huge = 2 << 20
    guard.install()
    path = mount_point() / f"vio4wd-test-{os.getpid()}"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        os.ftruncate(fd, 2 * huge)
        mapping = mmap.mmap(fd, 2 * huge)
        slot = guard.add(address_of(mapping), 2 * huge)
        os.ftruncate(fd, huge)
        assert mapping[huge + 5 * PAGE] == 0
        assert guard.tripped(slot)
        mapping[0] = 1  # the other page is still of the file
    finally:
        path.unlink()


def test_hugepages_are_replaced_whole():
    run_isolated(truncated_hugepages)


@pytest.mark.parametrize("how", ["fault", "kill"])
def test_any_other_bus_error_is_fatal(how: str):
    with pytest.raises(AssertionError, match=f"exit status -{signal.SIGBUS}"):
        run_isolated(unguarded, how)


def unguarded(how: str) -> None:
    from vio4wd.dpdk import guard

    guard.install()
    fd = os.memfd_create("other")
    os.ftruncate(fd, PAGE)
    mapping = mmap.mmap(fd, PAGE)
    guard.remove(guard.add(address_of(mapping), PAGE))
    os.ftruncate(fd, 0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGBUS)
    mapping[0] = 1


def full() -> None:
    from vio4wd.dpdk import guard
    from vio4wd.dpdk.errors import DpdkError

    slots = [guard.add(PAGE, PAGE) for _ in range(8192)]  # 64 relays, 2 directions, 32 regions, twice
    with pytest.raises(DpdkError, match="too many guarded mappings"):
        guard.add(PAGE, PAGE)
    for slot in slots:
        guard.remove(slot)
    assert guard.add(PAGE, PAGE) == slots[0]


def test_slots_are_reused():
    run_isolated(full)
