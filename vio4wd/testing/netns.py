"""A network namespace of one's own, joined to this machine by a veth pair: the wire beyond a VF.

The host's end of the pair stands in for the VF (DPDK's net_af_packet drives it), the other end lies in the
namespace and has an address. IP fragments do not pass net_af_packet whole: the driver has the kernel put
them together (PACKET_FANOUT_FLAG_DEFRAG) and cuts the result at its frame size.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.ethtool import Ethtool

from vio4wd.testing.namespace import Namespace


def peer(interface: str) -> str:
    """Name of the far end of a pair that `join` made."""
    return f"{interface[:13]}-p"


def join(interface: str, mtu: int = 1500) -> str:
    """Make a veth pair whose one end can stand in for a VF.

    Args:
        interface: name of that end, which is set up.

    Returns:
        The name of the far end, which is still on this machine.
    """
    far_end = peer(interface)
    with IPRoute() as routes:
        routes.link("add", ifname=interface, kind="veth", mtu=mtu, peer={"ifname": far_end, "mtu": mtu})
        # A VF's packets are complete: no checksum or segmentation is left to a receiver. The settings
        # stay when the interface moves to a namespace.
        ethtool = Ethtool()
        try:
            for offload in (
                "tx-checksumming",
                "tcp-segmentation-offload",
                "generic-segmentation-offload",
            ):
                ethtool.set_offload_flag(far_end, offload, 0)
        finally:
            ethtool.close()
        # No router solicitations on the machine's end: tests count packets.
        Path(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6").write_text("1")
        routes.link("set", index=routes.link_lookup(ifname=interface)[0], state="up")
    return far_end


@contextlib.contextmanager
def pairs(count: int) -> Iterator[list[tuple[str, str]]]:
    """veth pairs of this machine, set up: the names of both ends of each."""
    near = [f"pair{os.getpid()}-{number}" for number in range(count)]
    try:
        ends = []
        for interface in near:
            far = join(interface)
            with IPRoute() as routes:
                routes.link("set", index=routes.link_lookup(ifname=far)[0], state="up")
            ends.append((interface, far))
        yield ends
    finally:
        for interface in near:
            remove(interface)


def remove(interface: str) -> None:
    """Remove an interface, where there is one, and with it the pair it is of."""
    with IPRoute() as routes:
        for index in routes.link_lookup(ifname=interface):
            routes.link("delete", index=index)


class Wire(Namespace):
    """A namespace and the veth pair that leads into it, until `close`.

    Args:
        address: IPv4 address of the end in the namespace, e.g. "10.1.0.1/24".
        mtu: bytes.

    Attributes:
        interface: the end on this machine, for `net_af_packet0,iface=<interface>`.
        inner: the interface in the namespace.
    """

    def __init__(self, address: str, *, mtu: int = 1500) -> None:
        super().__init__()
        self.interface = f"vf{self.namespace.removeprefix('vio4wd-')}"[:15]
        self.inner = "wire0"
        self.address = address.split("/")[0]
        try:
            self.take(join(self.interface, mtu), address, name=self.inner)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the pair and the namespace."""
        remove(self.interface)
        super().close()
