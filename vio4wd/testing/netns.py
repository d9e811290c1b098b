"""A network namespace of one's own, joined to this machine by a veth pair: the wire beyond a VF.

The host's end of the pair stands in for the VF (DPDK's net_af_packet drives it), the other end lies in the
namespace and has an address. IP fragments do not pass net_af_packet whole: the driver has the kernel put
them together (PACKET_FANOUT_FLAG_DEFRAG) and cuts the result at its frame size.
"""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pyroute2 import IPRoute, netns
from pyroute2.ethtool import Ethtool

_numbers = itertools.count()


class Wire:
    """A namespace and the veth pair that leads into it, until `close`.

    Args:
        address: IPv4 address of the end in the namespace, e.g. "10.1.0.1/24".
        mtu: bytes.

    Attributes:
        interface: the end on this machine, for `net_af_packet0,iface=<interface>`.
        namespace: name of the namespace.
        inner: the interface in the namespace.
    """

    def __init__(self, address: str, *, mtu: int = 1500) -> None:
        self.namespace = f"vio4wd-{os.getpid()}-{next(_numbers)}"
        self.interface = f"vf{self.namespace.removeprefix('vio4wd-')}"[:15]
        self.inner = "wire0"
        self.address = address.split("/")[0]
        netns.create(self.namespace)
        try:
            self.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6")
            self._join(mtu)
            self._configure(address)
        except BaseException:
            self.close()
            raise

    def _join(self, mtu: int) -> None:
        peer = f"{self.interface[:13]}-p"
        with IPRoute() as routes:
            routes.link("add", ifname=self.interface, kind="veth", mtu=mtu, peer={"ifname": peer, "mtu": mtu})
            # A VF's packets are complete: no checksum or segmentation is left to a receiver. The settings
            # stay when the interface moves to the namespace.
            ethtool = Ethtool()
            try:
                for offload in (
                    "tx-checksumming",
                    "tcp-segmentation-offload",
                    "generic-segmentation-offload",
                ):
                    ethtool.set_offload_flag(peer, offload, 0)
            finally:
                ethtool.close()
            # No router solicitations on the machine's end: tests count packets.
            Path(f"/proc/sys/net/ipv6/conf/{self.interface}/disable_ipv6").write_text("1")
            routes.link("set", index=routes.link_lookup(ifname=self.interface)[0], state="up")
            index = routes.link_lookup(ifname=peer)[0]
            routes.link("set", index=index, ifname=self.inner)
            routes.link("set", index=index, net_ns_fd=self.namespace)

    def _configure(self, address: str) -> None:
        host, prefix = address.split("/")
        with IPRoute(netns=self.namespace) as routes:
            index = routes.link_lookup(ifname=self.inner)[0]
            routes.addr("add", index=index, address=host, prefixlen=int(prefix))
            routes.link("set", index=index, state="up")
            routes.link("set", index=routes.link_lookup(ifname="lo")[0], state="up")

    def run(self, *command: str, timeout: float = 60.0) -> str:
        """The output of a command that is run in the namespace and must succeed.

        Raises:
            subprocess.CalledProcessError: it did not succeed.
            subprocess.TimeoutExpired: it took longer than `timeout` seconds.
        """
        result = subprocess.run(
            self.prefix(command), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
        )
        if result.returncode:
            raise subprocess.CalledProcessError(result.returncode, command, result.stdout, result.stderr)
        return result.stdout

    def prefix(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` in the namespace."""
        return ["nsenter", f"--net=/run/netns/{self.namespace}", "--", *command]

    def socket(
        self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, protocol: int = 0
    ) -> socket.socket:
        """A socket in the namespace; where it is used does not matter afterwards."""
        made: list[socket.socket] = []

        def make() -> None:
            netns.setns(self.namespace)
            made.append(socket.socket(family, kind, protocol))

        # Only the thread that asks moves to the namespace, so it is one of its own.
        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if not made:
            raise OSError(f"no socket in the namespace {self.namespace}")
        return made[0]

    def close(self) -> None:
        """Remove the pair and the namespace."""
        with IPRoute() as routes:
            for index in routes.link_lookup(ifname=self.interface):
                routes.link("delete", index=index)
        if self.namespace in netns.listnetns():
            netns.remove(self.namespace)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
