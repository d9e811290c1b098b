"""What requests mean for relays as they are."""

import errno

import pytest

from vio4wd.control.controller import ControlError
from vio4wd.control.decisions import Attached, add_changes, relay_for_socket, relay_of_socket, remove_changes

BOND = Attached(("a", "b"), "net_bonding0", 1)
RELAYS = {1: Attached(("x",)), 2: BOND, 5: Attached(("s",), socket="/s")}


def refused(code):
    return pytest.raises(ControlError, check=lambda error: error.code == code)


def test_adding_something_new():
    assert add_changes(RELAYS, 3, ("y",), None, 0, True)
    assert add_changes(RELAYS, 3, ("y", "z"), "net_bonding1", 0, False)


def test_members_may_be_given_in_any_order():
    assert not add_changes(RELAYS, 2, ("b", "a"), "net_bonding0", 1, True)
    assert remove_changes(RELAYS, 2, ("b", "a"), None, False)


@pytest.mark.parametrize(
    ("relay", "devices", "name", "mode"),
    [
        (1, ("y",), None, 0),
        (2, ("a",), None, 0),
        (2, ("a", "b"), "net_bonding0", 2),
        (2, ("a", "b"), "net_bonding1", 1),
        (2, ("a", "b", "c"), "net_bonding0", 1),
        (3, ("x",), None, 0),
        (3, ("a",), None, 0),
        (3, ("y", "z"), "net_bonding0", 1),
        (3, ("x", "z"), "net_bonding2", 1),
    ],
)
def test_conflicts(relay, devices, name, mode):
    with refused(errno.EBUSY):
        add_changes(RELAYS, relay, devices, name, mode, True)


def test_removing_what_is_not_there():
    for relay, devices, name in (
        (1, ("y",), None),
        (3, ("x",), None),
        (2, (), "net_bonding1"),
        (2, ("a",), None),
    ):
        assert not remove_changes(RELAYS, relay, devices, name, True)
        with refused(errno.ENOENT):
            remove_changes(RELAYS, relay, devices, name, False)


def test_a_bond_goes_by_its_name_with_or_without_members():
    assert remove_changes(RELAYS, 2, (), "net_bonding0", False)
    assert remove_changes(RELAYS, 2, ("a",), "net_bonding0", False)
    assert not remove_changes(RELAYS, 2, ("x",), "net_bonding0", True)


def test_sockets_take_the_first_free_relay():
    assert relay_for_socket(RELAYS, range(64), "/new", ("y",), None, 0, True) == 0
    assert relay_for_socket(RELAYS, [1, 2, 3], "/new", ("y",), None, 0, True) == 3
    with refused(errno.ENOSPC):
        relay_for_socket(RELAYS, [1, 2, 5], "/new", ("y",), None, 0, True)


def test_pairs_that_are_there_already():
    assert relay_for_socket(RELAYS, range(64), "/s", ("s",), None, 0, True) is None
    with refused(errno.EEXIST):
        relay_for_socket(RELAYS, range(64), "/s", ("s",), None, 0, False)
    for path, device in (("/s", "y"), ("/t", "s"), ("/t", "x")):
        with refused(errno.EBUSY):
            relay_for_socket(RELAYS, range(64), path, (device,), None, 0, True)


def test_pairs_to_remove():
    assert relay_of_socket(RELAYS, "/s", ("s",), None, False) == 5
    for path, device in (("/s", "y"), ("/t", "s")):
        assert relay_of_socket(RELAYS, path, (device,), None, True) is None
        with refused(errno.ENOENT):
            relay_of_socket(RELAYS, path, (device,), None, False)
