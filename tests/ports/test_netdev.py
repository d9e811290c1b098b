"""Links and MTUs as the kernel knows them."""

import socket

from vio4wd.ports import netdev
from vio4wd.testing.netns import Wire
from vio4wd.testing.wait import wait_for


def test_an_interface_has_carrier_and_mtu():
    with Wire("10.77.0.1/24", mtu=4000) as wire:
        index = socket.if_nametoindex(wire.interface)
        assert netdev.mtu(index) == 4000
        # The kernel passes a change on to the other end when it comes round to it.
        wait_for(lambda: netdev.has_carrier(index), "carrier")
        wire.run("ip", "link", "set", wire.inner, "down")
        wait_for(lambda: not netdev.has_carrier(index), "the loss of carrier")
        wire.run("ip", "link", "set", wire.inner, "up")
        wait_for(lambda: netdev.has_carrier(index), "carrier again")
    assert not netdev.has_carrier(index)
    assert netdev.mtu(index) == 0
