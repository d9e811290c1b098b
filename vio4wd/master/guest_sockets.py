"""The vhost-user sockets of the relays: one each from the start, or as they are asked for."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import socket
from collections.abc import Callable

from vio4wd.config.options import Settings
from vio4wd.master.guest_listener import GuestListener
from vio4wd.master.relay import Relay
from vio4wd.shm import layout
from vio4wd.vhost.client import VhostClient
from vio4wd.vhost.connected import VhostConnected
from vio4wd.vhost.endpoint import Endpoint
from vio4wd.vhost.errors import SocketError
from vio4wd.vhost.features import Offer, offer
from vio4wd.vhost.server import VhostServer
from vio4wd.vhost.socket_path import Access


class GuestSockets:
    """Owns servers, or in client mode clients.

    Args:
        settings: where, whose, and what guests are offered.
        find_node: look for the NUMA node of guest memory.
    """

    def __init__(self, settings: Settings, tables: layout.Tables, *, find_node: bool) -> None:
        self._settings = settings
        self._tables = tables
        self._find_node = find_node
        self._access = Access(_uid(settings.vhost_username), _gid(settings.vhost_groupname))
        self._open: dict[int, Endpoint] = {}
        self._dynamic: dict[int, str] = {}

    async def open(self, relay: Relay, path: str, *, dynamic: bool = False) -> None:
        """Serve the relay's guest at this path.

        Args:
            dynamic: the operator chose the path.

        Raises:
            SocketError: the socket cannot be made.
        """
        listener = GuestListener(relay, self._tables, find_node=self._find_node)
        name = f"relay {relay.number}"
        made: VhostServer | VhostClient
        if self._settings.vhost_client:
            made = VhostClient(name, path, listener, self._offer(relay))
        else:
            made = VhostServer(name, path, listener, self._offer(relay), self._access)
        await made.start()
        self._open[relay.number] = made
        if dynamic:
            self._dynamic[relay.number] = path
        self._tables["relays"][relay.number]["socket"] = path.encode()

    async def adopt(self, relay: Relay, fd: int, ended: Callable[[], None]) -> None:
        """Serve the relay's guest on a socket that is open.

        Args:
            fd: listening, or connected to the frontend; taken over.
            ended: called when a frontend that was connected leaves.

        Raises:
            SocketError: it is no unix stream socket.
        """
        sock = socket.socket(fileno=fd)
        if (sock.family, sock.type) != (socket.AF_UNIX, socket.SOCK_STREAM):
            sock.close()
            raise SocketError(f"descriptor {fd} is no unix stream socket")
        sock.setblocking(False)
        listener = GuestListener(relay, self._tables, find_node=self._find_node)
        name = f"relay {relay.number}"
        made: VhostServer | VhostConnected
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            path = os.fsdecode(sock.getsockname()) or f"fd:{fd}"
            made = VhostServer(name, path, listener, self._offer(relay))
            await made.start(sock)
        else:
            made = VhostConnected(name, sock, listener, self._offer(relay), ended)
            await made.start()
        self._open[relay.number] = made
        self._tables["relays"][relay.number]["socket"] = os.fsencode(made.path)

    async def close(self, number: int) -> None:
        """Disconnect the relay's guest and remove the socket; none there is no error."""
        made = self._open.pop(number, None)
        self._dynamic.pop(number, None)
        if made is not None:
            await made.close()
            self._tables["relays"][number]["socket"] = b""

    async def close_all(self) -> None:
        """Disconnect all guests and remove all sockets."""
        await asyncio.gather(*(self.close(number) for number in list(self._open)))

    def port_changed(self, relay: Relay) -> None:
        """The relay has got or lost its VF: the next guest is told the MTU that holds now."""
        made = self._open.get(relay.number)
        if made is not None:
            made.offer = self._offer(relay)

    def dynamic_path(self, number: int) -> str | None:
        """The path that the operator chose for the relay, None: it has none."""
        return self._dynamic.get(number)

    def relay_at(self, path: str) -> int | None:
        """Number of the relay whose socket this is, symbolic links followed; None: none."""
        wanted = os.path.realpath(path)
        for number, made in self._open.items():
            if os.path.realpath(made.path) == wanted:
                return number
        return None

    def _offer(self, relay: Relay) -> Offer:
        settings = self._settings
        return offer(
            mergeable=settings.enable_mrgbuf,
            tso=settings.enable_tso,
            jumbo=settings.enable_jumbo,
            mtu=0 if relay.port is None else relay.port.mtu,
            # A daemon that takes over from another reads where a split ring stands in guest memory. Of a
            # packed ring QEMU does not know it either, and goes on with the position from the VM's start.
            packed=not settings.vhost_client,
        )


def _uid(name: str | None) -> int:
    if name is None:
        return -1
    return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid


def _gid(name: str | None) -> int:
    if name is None:
        return -1
    return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
