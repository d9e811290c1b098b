"""Servers and clients: socket files, their owners, successors, and attempts to connect."""

import os
import socket
import stat
import subprocess
import sys

import pytest
from vhost_support import OFFER, RecordingListener

from vio4wd.testing.frontend import Frontend
from vio4wd.testing.wait import wait_for
from vio4wd.vhost import socket_path
from vio4wd.vhost.errors import SocketError
from vio4wd.vhost.features import offer
from vio4wd.vhost.messages import Request
from vio4wd.vhost.payloads import Number
from vio4wd.vhost.server import VhostServer
from vio4wd.vhost.socket_path import Access


def serves(frontend):
    return frontend.ask(Request.GET_FEATURES, Number).value == OFFER.features


def start(loop, path, access=None, listener=None):
    server = VhostServer("relay 1", path, listener or RecordingListener(), OFFER, access)
    loop.run(server.start())
    return server


def test_file_is_made_with_its_mode_and_removed(loop, tmp_path):
    path = tmp_path / "s.sock"
    for mode in (0o600, 0o666):
        server = start(loop, path, Access(os.getuid(), os.getgid(), mode))
        assert stat.S_IMODE(path.stat().st_mode) == mode
        loop.run(server.close())
        assert not path.exists()


def test_owner_that_cannot_be_set(loop, tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(socket_path.os, "chown", refuse)
    with pytest.raises(SocketError, match=r"s\.sock cannot be made: Operation not permitted"):
        start(loop, tmp_path / "s.sock")
    assert list(tmp_path.iterdir()) == []


def test_server_can_be_started_again(loop, server):
    for _ in range(3):
        loop.run(server.close())
        loop.run(server.start())
        with Frontend(server.path) as frontend:
            assert serves(frontend)


def test_stale_socket_is_replaced(loop, tmp_path):
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(path))
        dead.listen()
    server = start(loop, path)
    with Frontend(path) as frontend:
        assert serves(frontend)
    loop.run(server.close())


def test_socket_of_a_killed_process_is_replaced(loop, tmp_path):
    path = tmp_path / "s.sock"
    code = f"import socket, time; s = socket.socket(socket.AF_UNIX); s.bind({os.fspath(path)!r}); s.listen()"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}; print(flush=True); time.sleep(600)"], stdout=-1
    )
    try:
        process.stdout.readline()
        with pytest.raises(SocketError, match="in use by another process"):
            start(loop, path)
        assert path.is_socket()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    server = start(loop, path)
    loop.run(server.close())


def test_live_socket_is_left_alone(loop, server):
    with pytest.raises(SocketError, match="in use by another process: stop it"):
        start(loop, server.path)
    with Frontend(server.path) as frontend:
        assert serves(frontend)


@pytest.mark.parametrize("make", [lambda path: path.write_text("precious"), lambda path: path.mkdir()])
def test_what_is_no_socket_is_left_alone(loop, tmp_path, make):
    path = tmp_path / "s.sock"
    make(path)
    with pytest.raises(SocketError, match="is not a socket: remove it"):
        start(loop, path)
    assert path.exists()


def test_successor_of_a_socket_file_is_not_removed(loop, tmp_path):
    path = tmp_path / "s.sock"
    server = start(loop, path)
    path.unlink()
    path.write_text("somebody else's")
    loop.run(server.close())
    assert path.read_text() == "somebody else's"


@pytest.mark.parametrize(
    ("name", "text"), [("x" * 100, "longer than 107 bytes"), ("no/s.sock", "there is no directory")]
)
def test_paths_that_cannot_be(loop, tmp_path, name, text):
    with pytest.raises(SocketError, match=text):
        start(loop, tmp_path / name)


def test_frontend_may_come_by_a_symbolic_link(server, tmp_path):
    link = tmp_path / "vm.sock"
    link.symlink_to(server.path)
    with Frontend(link) as frontend:
        assert serves(frontend)


def test_second_frontend_waits_for_the_end_of_the_first(server, listener):
    with Frontend(server.path) as first, Frontend(server.path) as second:
        assert serves(first)
        second.send(Request.GET_FEATURES)
        assert serves(first)
        first.close()
        assert second.receive(Number).value == OFFER.features


def test_new_offer_holds_for_the_next_frontend(server):
    with Frontend(server.path) as frontend:
        assert serves(frontend)
        server.offer = offer(mergeable=False, mtu=1500)
        assert serves(frontend)
    with Frontend(server.path) as frontend:
        assert frontend.ask(Request.GET_FEATURES, Number).value == server.offer.features


def test_close_under_a_frontend(loop, server, listener, memory):
    with Frontend(server.path) as frontend:
        frontend.negotiate()
        frontend.share(memory)
        frontend.start_queue(memory, 0)
        wait_for(lambda: listener.ready == [0], "the queue")
        loop.run(server.close())
        assert listener.calls == ["connected", "resume", "suspend", "disconnected"]
        assert frontend.hung_up()


def test_close_under_a_frontend_that_does_not_read(loop, server):
    with Frontend(server.path) as frontend:
        frontend.fill()
        loop.run(server.close())


def test_client_comes_back_whatever_happens(client, tmp_path, listener, memory):
    path = tmp_path / "s.sock"
    for round_number in range(3):
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(os.fspath(path))
            listening.listen()
            listening.settimeout(60)
            for _ in range(2):
                with Frontend(listening.accept()[0]) as frontend:
                    frontend.negotiate()
                    frontend.share(memory)
                    frontend.start_queue(memory, 0)
                    wait_for(lambda: listener.ready == [0], f"the queue in round {round_number}")
        path.unlink()
        wait_for(lambda: not listener.is_connected, "the end")


def test_client_waits_longer_and_longer(client, tmp_path):
    """A frontend that hangs up at once is not asked again at once, but is still asked."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fspath(tmp_path / "s.sock"))
        listening.listen()
        listening.settimeout(60)
        for _ in range(4):
            listening.accept()[0].close()


def test_client_is_closed_while_it_waits_and_while_it_serves(loop, client, tmp_path):
    loop.run(client.close())
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fspath(tmp_path / "s.sock"))
        listening.listen()
        listening.settimeout(60)
        loop.run(client.start())
        with Frontend(listening.accept()[0]) as frontend:
            assert serves(frontend)
            assert client.peer.startswith(f"pid {os.getpid()}")
            loop.run(client.close())
            assert frontend.hung_up()
            assert client.peer == ""


def test_client_says_once_why_it_waits(loop, client, caplog, tmp_path):
    caplog.set_level("INFO")
    (tmp_path / "s.sock").write_text("")
    wait_for(lambda: "Connection refused" in caplog.text, "the reason")
    loop.run(client.close())
    assert caplog.text.count("Connection refused") == 1


def test_client_path_is_checked(loop, client, tmp_path):
    loop.run(client.close())
    client.path = tmp_path / "no" / "s.sock"
    with pytest.raises(SocketError, match="there is no directory"):
        loop.run(client.start())
