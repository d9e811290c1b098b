"""A switch: a Linux bridge in a namespace of its own, with veth pairs whose near ends stand in for VFs.

It learns on which port an address is, as the switches between hosts do, so traffic follows a guest only
when the guest is announced where it has moved to.
"""

from __future__ import annotations

from pyroute2 import IPRoute

from vio4wd.testing.namespace import Namespace
from vio4wd.testing.netns import join, peer, remove
from vio4wd.testing.wait import wait_for

_BRIDGE = "bridge0"


class Switch(Namespace):
    """A bridge with an address of its own, until `close`.

    Args:
        address: IPv4 address of the bridge, e.g. "10.1.0.1/24".

    Attributes:
        address: the bridge's, without its prefix.
    """

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address, prefix = address.split("/")
        self._interfaces: list[str] = []
        try:
            with IPRoute(netns=self.namespace) as routes:
                routes.link("add", ifname=_BRIDGE, kind="bridge")
                index = routes.link_lookup(ifname=_BRIDGE)[0]
                routes.addr("add", index=index, address=self.address, prefixlen=int(prefix))
                routes.link("set", index=index, state="up")
        except BaseException:
            self.close()
            raise

    def port(self) -> str:
        """A new port: the name of an interface of this machine that leads to it."""
        number = len(self._interfaces)
        interface = f"vf{self.namespace.removeprefix('vio4wd-')}-{number}"[:13]
        self._interfaces.append(interface)
        far_end = join(interface)
        with IPRoute() as routes:
            routes.link("set", index=routes.link_lookup(ifname=far_end)[0], net_ns_fd=self.namespace)
        self.plug(far_end)
        return interface

    def plug(self, interface: str) -> None:
        """Make an interface of the namespace, which may be about to appear, a port.

        Raises:
            TimeoutError: there is none.
        """
        with IPRoute(netns=self.namespace) as routes:
            found = wait_for(lambda: routes.link_lookup(ifname=interface), f"the interface {interface}")
            bridge = routes.link_lookup(ifname=_BRIDGE)[0]
            routes.link("set", index=found[0], master=bridge, state="up")

    def set_link(self, interface: str, *, up: bool) -> None:
        """Pull the cable of a port, or plug it in again."""
        with IPRoute(netns=self.namespace) as routes:
            index = routes.link_lookup(ifname=peer(interface))[0]
            routes.link("set", index=index, state="up" if up else "down")

    def close(self) -> None:
        """Remove the ports, the bridge and the namespace."""
        for interface in self._interfaces:
            remove(interface)
        super().close()
