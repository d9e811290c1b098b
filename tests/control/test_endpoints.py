"""The endpoints themselves: strange clients, many clients, and their socket files."""

import errno
import socket
import stat
import subprocess
import sys
import time

import pytest
import zmq
import zmq.asyncio
from raw_messages import message, pci, read

from vio4wd.control import endpoints
from vio4wd.control.endpoints import Endpoint
from vio4wd.control.ipc import EndpointInUseError, clear_the_way, somebody_listens
from vio4wd.control.relay_cpus import Config

ADD = message((1, 0), (2, pci(0, 5, 8, 1)), (3, 1))
OK = {4: [1]}
SLOW_STATS = message((3, 60_000))


def test_a_message_of_several_frames_is_one_error(daemon):
    with daemon.client("port_control") as client:
        client.send_multipart([ADD, ADD])
        response = read(client.recv())
        assert response[4] == [0]
        assert b"2 frames" in response[6][0]
        client.send(ADD)
        assert read(client.recv()) == OK


def test_a_dealer_is_answered_in_its_own_way(daemon):
    with daemon.client("port_control", zmq.DEALER) as client:
        client.send_multipart([b"", ADD])
        empty, response = client.recv_multipart()
        assert (empty, read(response)) == (b"", OK)
        client.send(ADD)
        (response,) = client.recv_multipart()
        assert read(response) == OK
        client.send_multipart([b"one", b"two", b"three"])
        (response,) = client.recv_multipart()
        assert read(response)[4] == [0]
        client.send(b"")
        empty, response = client.recv_multipart()
        assert (empty, read(response)[4]) == (b"", [0])


def test_requests_through_a_proxy_find_their_way_back(daemon):
    """A chain of routing ids, as a ROUTER in between would add, is kept."""
    with daemon.client("config", zmq.DEALER) as client:
        client.send_multipart([b"hop1", b"hop2", b"", b""])
        assert client.recv_multipart() == [b"hop1", b"hop2", b"", message((1, 0))]


def test_clients_that_vanish_after_their_request(daemon):
    for _ in range(50):
        client = daemon.client("stats")
        client.send(SLOW_STATS)
        client.close(linger=100)
    for _ in range(50):
        client = daemon.client("port_control")
        client.send(ADD)
        client.close()
    assert read(daemon.ask("port_control", ADD)) == OK
    assert read(daemon.ask("stats", b""))[1] == [0]


def test_bytes_that_are_no_zeromq(daemon):
    path = daemon.address("port_control").removeprefix("ipc://")
    for data in (b"", b"GET / HTTP/1.0\r\n\r\n", b"\xff" * 4096, bytes(64)):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(data)
    assert read(daemon.ask("port_control", ADD)) == OK


def test_a_flood_of_garbage_is_answered_and_does_no_harm(daemon):
    with daemon.client("port_control", zmq.DEALER) as flood:
        for number in range(2000):
            flood.send_multipart([b"", b"\xff" * (number % 50)])
        assert read(daemon.ask("port_control", ADD)) == OK
        for _ in range(2000):
            _, response = flood.recv_multipart()
            assert read(response)[4] == [0]


def test_a_slow_request_holds_up_nobody(daemon):
    with daemon.client("stats") as slow, daemon.client("stats") as quick:
        slow.send(SLOW_STATS)
        for _ in range(20):
            quick.send(b"")
            assert read(quick.recv())[1] == [0]
            assert read(daemon.ask("port_control", ADD)) == OK
        assert not slow.poll(0)


def test_too_many_requests_at_once_are_refused(daemon, monkeypatch):
    monkeypatch.setattr(endpoints, "MAX_PENDING", 3)
    daemon.thread.call(daemon.controller.gate.clear)
    with daemon.client("port_control", zmq.DEALER) as client:
        for _ in range(5):
            client.send_multipart([b"", ADD])
        refused = [read(client.recv_multipart()[1]) for _ in range(2)]
        assert [response[5] for response in refused] == [[errno.EAGAIN]] * 2
        daemon.thread.call(daemon.controller.gate.set)
        assert [read(client.recv_multipart()[1]) for _ in range(3)] == [OK] * 3


def test_port_changes_are_made_one_by_one_while_questions_are_answered(daemon, wait_until):
    daemon.thread.call(daemon.controller.gate.clear)
    clients = [daemon.client("port_control") for _ in range(8)]
    for number, client in enumerate(clients):
        client.send(message((1, 0), (100, f"net_null{number}"), (3, number)))
    wait_until(lambda: daemon.controller.changing == 1, "the first change")
    query = read(daemon.ask("port_control", message((1, 4), (7, "/none"))))
    assert query[4] == [0]
    daemon.thread.call(daemon.controller.gate.set)
    for client in clients:
        assert read(client.recv()) == OK
        client.close()
    assert daemon.controller.most_changing == 1
    assert len(daemon.controller.attached) == 8


def test_a_fault_in_a_service_is_an_answer(daemon, monkeypatch, caplog):
    def broken():
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(daemon.controller, "eal_cores", broken)
    response = read(daemon.ask("core_sched", message((1, 1))))
    assert response[4] == [0]
    assert b"fault in the daemon" in response[6][0]
    assert "on purpose" in caplog.text
    monkeypatch.undo()
    assert read(daemon.ask("core_sched", message((1, 1))))[4] == [1]


def test_socket_files_are_for_owner_and_group(daemon, tmp_path):
    for path in (tmp_path / "zmq").iterdir():
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_closing_leaves_nothing(start_daemon, tmp_path):
    daemon = start_daemon()
    assert (tmp_path / "zmq").is_dir()
    daemon.close()
    daemon.close()
    assert not (tmp_path / "zmq").exists()


@pytest.fixture
def open_endpoint(loop_thread):
    """Opens an endpoint; closes all at the end."""
    context = zmq.asyncio.Context()
    opened = []

    def open_at(address):
        endpoint = Endpoint(context, address, Config(None))
        opened.append(endpoint)
        loop_thread.run(endpoint.open())
        return endpoint

    yield open_at
    for endpoint in opened:
        loop_thread.run(endpoint.close())
    loop_thread.call(context.term)


def leave_a_stale_socket(path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()


def test_the_socket_of_a_dead_process_is_replaced(open_endpoint, tmp_path):
    path = tmp_path / "ep"
    leave_a_stale_socket(path)
    assert not somebody_listens(path)
    open_endpoint(f"ipc://{path}")
    assert somebody_listens(path)


def test_the_endpoint_of_a_live_process_is_left_alone(open_endpoint, tmp_path):
    path = tmp_path / "ep"
    program = (
        "import sys, zmq; s = zmq.Context().socket(zmq.REP); s.bind(sys.argv[1]);"
        "print('bound', flush=True); s.send(s.recv())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, f"ipc://{path}"], stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout.readline() == "bound\n"
            inode = path.stat().st_ino
            with pytest.raises(EndpointInUseError, match="another process serves"):
                open_endpoint(f"ipc://{path}")
            assert path.stat().st_ino == inode
            with zmq.Context() as context, context.socket(zmq.REQ) as client:
                client.connect(f"ipc://{path}")
                client.send(b"still there")
                assert client.recv() == b"still there"
        finally:
            other.kill()
    open_endpoint(f"ipc://{path}")


def test_our_own_live_endpoint_is_refused_a_second_time(open_endpoint, tmp_path):
    open_endpoint(f"ipc://{tmp_path}/ep")
    with pytest.raises(EndpointInUseError):
        open_endpoint(f"ipc://{tmp_path}/ep")


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_what_is_no_socket_is_never_removed(tmp_path, kind):
    path = tmp_path / "ep"
    if kind == "file":
        path.write_text("precious")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EndpointInUseError, match="is no socket"):
        clear_the_way(path)
    assert path.exists() or path.is_symlink()


def test_an_endpoint_that_cannot_be_bound_is_named(open_endpoint):
    for address in ("tcp://192.0.2.1:5555", "tcp://nonsense"):
        with pytest.raises(OSError, match=address):
            open_endpoint(address)


def test_tcp(open_endpoint):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    endpoint = open_endpoint(f"tcp://127.0.0.1:{port}")
    with zmq.Context() as context, context.socket(zmq.REQ) as client:
        client.connect(endpoint.address)
        client.send(b"\xff")
        assert read(client.recv()) == {1: [400]}


def test_garbage_is_logged_once_a_second_at_most(daemon, caplog):
    start = time.monotonic()
    with daemon.client("port_control") as client:
        for _ in range(200):
            client.send(b"\xff")
            client.recv()
    seconds = time.monotonic() - start
    assert 1 <= caplog.text.count("no valid request") <= seconds + 1
