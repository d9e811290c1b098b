"""What guests are offered at a relay's socket, by the daemon's options."""

import asyncio
import socket
import struct

import pytest
from relay_stage import Stage

from vio4wd.config.options import parse
from vio4wd.master.guest_sockets import GuestSockets
from vio4wd.vhost.features import Virtio
from vio4wd.vhost.messages import Request


async def offered(path, options):
    """The features that a frontend is offered, in server or client mode."""
    stage = Stage()
    settings = parse(["--cpus=1", *options])
    sockets = GuestSockets(settings, stage.tables, find_node=False)
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as own:
        own.setblocking(False)
        if settings.vhost_client:
            own.bind(str(path))
            own.listen()
        await sockets.open(stage.relay(), str(path))
        try:
            if settings.vhost_client:
                frontend, _ = await loop.sock_accept(own)
            else:
                await loop.sock_connect(own, str(path))
                frontend = own
            with frontend:
                await loop.sock_sendall(frontend, struct.pack("<III", Request.GET_FEATURES, 1, 0))
                *_, features = struct.unpack("<IIIQ", await loop.sock_recv(frontend, 20))
                return features
        finally:
            await sockets.close_all()


@pytest.mark.parametrize(
    ("options", "packed"), [([], True), (["--vhostuser-client"], False)], ids=["server", "client"]
)
def test_a_daemon_that_may_be_replaced_offers_no_packed_rings(tmp_path, options, packed):
    async def ask():
        return await asyncio.wait_for(offered(tmp_path / "s", options), 30)

    features = asyncio.run(ask())
    assert features & Virtio.VERSION_1
    assert bool(features & Virtio.RING_PACKED) == packed
