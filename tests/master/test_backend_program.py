"""The daemon as a backend program for one guest, started the way QEMU's conventions say."""

import signal
import socket
import subprocess

import pytest

from vio4wd.testing.daemon import Daemon
from vio4wd.testing.frontend import Frontend
from vio4wd.testing.wait import wait_for
from vio4wd.vhost.features import Virtio
from vio4wd.vhost.messages import Request
from vio4wd.vhost.payloads import Number

NULL = "net_null0"


def serves(frontend):
    return bool(frontend.ask(Request.GET_FEATURES, Number).value & Virtio.VERSION_1)


def test_one_socket_where_it_was_asked_for(directory):
    path = directory / "vm.sock"
    with Daemon(directory, static=[f"{NULL}=0"], options=[f"--socket-path={path}"]) as daemon:
        assert not any(daemon.socket(relay).exists() for relay in range(64))
        assert daemon.snapshot().relays[0].socket == str(path)
        with Frontend(path) as frontend:
            assert serves(frontend)
        assert daemon.stop() == 0
        assert not path.exists()
        assert daemon.leftovers() == []


@pytest.mark.parametrize("ends", ["the frontend", "a signal"])
def test_a_connected_socket_lives_as_long_as_both_sides(directory, ends):
    daemon = Daemon(directory, static=[f"{NULL}=0"])
    ours, theirs = socket.socketpair()
    command = [argument for argument in daemon.command() if argument != "--nodaemon"]
    with theirs:
        number = theirs.fileno()
        process = subprocess.Popen([*command, f"--fd={number}"], pass_fds=[number], stderr=subprocess.PIPE)
    try:
        with Frontend(ours) as frontend:
            # What it may negotiate includes the MTU of its VF, though it asked before there was one.
            assert frontend.ask(Request.GET_FEATURES, Number).value & Virtio.MTU
            assert daemon.snapshot().relays[0].socket == f"fd:{number}"
            if ends == "a signal":
                process.send_signal(signal.SIGTERM)
                assert frontend.hung_up()
        _, log = process.communicate(timeout=60)
        assert process.returncode == 0, log
        wait_for(lambda: not daemon.leftovers(), "everything to be gone")
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        daemon.close()
