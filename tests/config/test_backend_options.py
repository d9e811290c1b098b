"""Starting as a backend program for one guest: --socket-path and --fd."""

import os
import socket
from pathlib import Path

import pytest

from vio4wd.config.errors import ConfigError
from vio4wd.config.options import parse


def errors(*options):
    with pytest.raises(ConfigError) as caught:
        parse(["--cpus=1", *options], range(4))
    return caught.value.errors


def test_a_backend_program_stays_in_the_foreground():
    settings = parse(["--cpus=1", "--socket-path=/run/vm/net.sock"], range(4))
    assert settings.backend_socket == Path("/run/vm/net.sock")
    assert (settings.daemon, settings.log_syslog) == (False, False)
    assert parse(["--cpus=1", "--socket-path=/x", "--nodaemon=log_syslog"], range(4)).log_syslog
    with socket.socket(socket.AF_UNIX) as sock:
        settings = parse(["--cpus=1", f"--fd={sock.fileno()}"], range(4))
        assert (settings.backend_fd, settings.daemon) == (sock.fileno(), False)


def test_what_excludes_each_other():
    with socket.socket(socket.AF_UNIX) as sock:
        fd = f"--fd={sock.fileno()}"
        assert errors(fd, "--socket-path=/x") == ("--fd and --socket-path exclude each other",)
        assert errors(fd, "-i") == ("--fd and --vhostuser-client exclude each other",)
    assert errors("--socket-path=/x", "-d")[-1] == "--socket-path and --dynamic-sockets exclude each other"


def test_what_is_no_socket():
    reader, writer = os.pipe()
    try:
        assert errors(f"--fd={reader}") == (f"--fd: {reader} is no open socket",)
    finally:
        os.close(reader)
        os.close(writer)
    assert errors(f"--fd={reader}") == (f"--fd: {reader} is no open socket",)
    assert "is not a number" in errors("--fd=three")[0]
    assert "is not an absolute path" in errors("--socket-path=x")[0]
