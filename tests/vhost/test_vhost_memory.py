"""Guest memory: what is accepted, and how addresses are translated."""

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vhost_support import open_fds

from vio4wd.vhost.errors import RefusedError, ViolationError
from vio4wd.vhost.memory import MAX_REGIONS, MemoryTable, check_file
from vio4wd.vhost.payloads import Region

PAGE = 4096
USER = 0x7F00_0000_0000


@pytest.fixture
def file():
    """A memfd of 16 pages."""
    fd = os.memfd_create("test")
    os.truncate(fd, 16 * PAGE)
    yield fd
    os.close(fd)


@pytest.fixture
def table():
    before = open_fds()
    table = MemoryTable()
    yield table
    table.close()
    assert open_fds() == before


def add(table, region, file):
    fd = os.dup(file)
    try:
        table.add(region, fd)
    except BaseException:
        os.close(fd)
        raise


def test_two_adjacent_regions_are_two(table, file):
    add(table, Region(0, 4 * PAGE, USER, 0), file)
    add(table, Region(4 * PAGE, 4 * PAGE, USER + 4 * PAGE, 4 * PAGE), file)
    assert table.guest_address(USER, 4 * PAGE) == 0
    assert table.guest_address(USER + 4 * PAGE, 4 * PAGE) == 4 * PAGE
    assert table.guest_address(USER + 4 * PAGE - 8, 16) is None


@given(
    start=st.integers(-3 * PAGE, 12 * PAGE) | st.integers(0, 2**64 - 1),
    length=st.integers(0, 12 * PAGE) | st.integers(0, 2**64),
)
def test_translation_covers_each_byte(start, length):
    file = os.memfd_create("test")
    os.truncate(file, 8 * PAGE)
    table = MemoryTable()
    table.add(Region(PAGE, 8 * PAGE, USER, 0), file)
    try:
        user = USER + start
        inside = start >= 0 and start + length <= 8 * PAGE
        assert table.guest_address(user, length) == (PAGE + start if inside else None)
    finally:
        table.close()


@pytest.mark.parametrize(
    "region",
    [
        Region(0, 0, USER, 0),
        Region(1, PAGE, USER, 0),
        Region(0, PAGE + 1, USER, 0),
        Region(0, PAGE, USER + 1, 0),
        Region(0, PAGE, USER, 1),
        Region(0, 17 * PAGE, USER, 0),
        Region(0, PAGE, USER, 16 * PAGE),
        Region(0, PAGE, USER, 2**64 - PAGE),
        Region(0, 2**64 - PAGE, USER, 2 * PAGE),
        Region(2**64 - PAGE, PAGE, USER, 0),
        Region(2**63 - PAGE, 2 * PAGE, USER, 0),
        Region(0, PAGE, 2**64 - PAGE, 0),
    ],
)
def test_malformed_regions(table, file, region):
    number = table.number
    with pytest.raises(ViolationError):
        add(table, region, file)
    with pytest.raises(ViolationError):
        table.replace([(region, file)])
    assert table.regions == ()
    assert table.number == number


@pytest.mark.parametrize("guest", [0, PAGE, 2 * PAGE, 3 * PAGE])
def test_overlap(table, file, guest):
    add(table, Region(PAGE, 3 * PAGE, USER, 0), file)
    size = 2 * PAGE
    with pytest.raises(ViolationError, match="overlap"):
        add(table, Region(guest, size, USER + (1 << 40), 0), file)
    assert len(table.regions) == 1


def test_something_that_is_no_file(table):
    fd = os.eventfd(0)
    try:
        with pytest.raises(ViolationError, match="not a file"):
            table.add(Region(0, PAGE, USER, 0), fd)
    finally:
        os.close(fd)


def test_full_table(table, file):
    for i in range(MAX_REGIONS):
        add(table, Region(2 * i * PAGE, PAGE, USER + i * PAGE, 0), file)
    with pytest.raises(RefusedError, match="more than 32"):
        add(table, Region(2 * MAX_REGIONS * PAGE, PAGE, USER, 0), file)


def test_removal_goes_by_addresses_and_size(table, file):
    add(table, Region(0, PAGE, USER, 0), file)
    for other in (Region(PAGE, PAGE, USER, 0), Region(0, 2 * PAGE, USER, 0), Region(0, PAGE, USER + PAGE, 0)):
        with pytest.raises(RefusedError, match="no memory region"):
            table.remove(other)
    number = table.number
    table.remove(Region(0, PAGE, USER, 12345))
    assert table.regions == ()
    assert table.number != number


def test_numbers_are_never_used_twice(table, file):
    numbers = [table.number]
    for _ in range(10):
        table.replace([(Region(0, PAGE, USER, 0), os.dup(file))])
        numbers.append(table.number)
        numbers.append(MemoryTable().number)
    assert len(set(numbers)) == len(numbers)


def test_regions_are_in_the_order_of_guest_addresses(table, file):
    for guest in (5, 1, 3):
        add(table, Region(guest * PAGE, PAGE, USER, 0), file)
    assert [region.guest_address // PAGE for region in table.regions] == [1, 3, 5]


def test_reading_through_the_file(table, file):
    add(table, Region(PAGE, 2 * PAGE, USER, 3 * PAGE), file)
    os.pwrite(file, struct.pack("<H", 0xBEEF), 5 * PAGE - 2)
    assert table.read_u16(3 * PAGE - 2) == 0xBEEF
    assert table.read_u16(3 * PAGE - 1) is None
    assert table.read_u16(0) is None
    os.truncate(file, PAGE)
    assert table.read_u16(3 * PAGE - 2) is None


def test_file_size(file):
    check_file(file, 0, 16 * PAGE, "it")
    with pytest.raises(ViolationError, match="it: ends at 0x10001 in a file of 0x10000 bytes"):
        check_file(file, 1, 16 * PAGE, "it")
