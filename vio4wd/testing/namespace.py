"""A network namespace of one's own: another machine as far as its network is concerned."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import threading
from collections.abc import Sequence

from pyroute2 import IPRoute, netns

from vio4wd.testing.resource import Resource
from vio4wd.testing.wait import wait_for

_numbers = itertools.count()


class Namespace(Resource):
    """A namespace without IPv6, whose packets are then those that a test sends, until `close`.

    Attributes:
        namespace: its name.
    """

    def __init__(self) -> None:
        self.namespace = f"vio4wd-{os.getpid()}-{next(_numbers)}"
        netns.create(self.namespace)
        try:
            self.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6")
        except BaseException:
            netns.remove(self.namespace)
            raise

    def take(self, interface: str, address: str, *, name: str | None = None) -> None:
        """Move an interface of this machine here, give it an IPv4 address ("10.1.0.1/24") and set it up.

        An interface of hardware returns to the machine a moment after the namespace is closed; it is waited
        for here.

        Args:
            name: its name here, None: the same.
        """
        host, prefix = address.split("/")
        with IPRoute() as routes:
            wait_for(lambda: routes.link_lookup(ifname=interface), f"the interface {interface}")
            index = routes.link_lookup(ifname=interface)[0]
            if name is not None:
                routes.link("set", index=index, ifname=name)
            routes.link("set", index=index, net_ns_fd=self.namespace)
        with IPRoute(netns=self.namespace) as routes:
            index = routes.link_lookup(ifname=name or interface)[0]
            routes.addr("add", index=index, address=host, prefixlen=int(prefix))
            routes.link("set", index=index, state="up")
            routes.link("set", index=routes.link_lookup(ifname="lo")[0], state="up")

    def add_ipv6(self, interface: str, address: str) -> None:
        """Let an interface speak IPv6 and give it an address ("fd00::1/64")."""
        settings = f"/proc/sys/net/ipv6/conf/{interface}"
        # Nobody else has the address: there is no need to ask around first.
        self.run("sh", "-c", f"echo 0 >{settings}/accept_dad; echo 0 >{settings}/disable_ipv6")
        self.run("ip", "address", "add", address, "dev", interface)

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
        """Remove it."""
        if self.namespace in netns.listnetns():
            netns.remove(self.namespace)
