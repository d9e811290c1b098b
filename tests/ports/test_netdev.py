"""Links and MTUs as the kernel knows them."""

import socket

from vio4wd.ports import netdev
from vio4wd.testing.netns import Wire


def test_an_interface_has_carrier_and_mtu():
    with Wire("10.77.0.1/24", mtu=4000) as wire:
        index = socket.if_nametoindex(wire.interface)
        assert netdev.mtu(index) == 4000
        assert netdev.has_carrier(index)
        wire.run("ip", "link", "set", wire.inner, "down")
        assert not netdev.has_carrier(index)
        wire.run("ip", "link", "set", wire.inner, "up")
        assert netdev.has_carrier(index)
    assert not netdev.has_carrier(index)
    assert netdev.mtu(index) == 0
