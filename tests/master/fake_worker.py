"""A worker process without DPDK, started by the tests of the worker handle.

It serves the real channel and writes the real tables; what it does beyond that is told by the CPU
number: 1 is well-behaved, 2 never answers, 3 refuses, 4 dies at the first request, 5 ends at once,
6 has no heartbeat.
"""

import argparse
import os
import socket
import time

from vio4wd.shm import layout, segment
from vio4wd.worker import protocol


def main():
    parser = argparse.ArgumentParser()
    for name in ("slot", "cpu", "channel-fd", "nice"):
        parser.add_argument(f"--{name}", type=int)
    for name in ("instance", "idle", "log-level"):
        parser.add_argument(f"--{name}")
    options = parser.parse_args()
    if options.cpu == 5:
        raise SystemExit("cannot start")
    channel = socket.socket(fileno=options.channel_fd)
    assert isinstance(protocol.decode(channel.recv(protocol.MAX_MESSAGE)), protocol.Begin)
    tables = segment.attach(options.instance)
    row = tables.tables["workers"][options.slot]
    row["pid"] = os.getpid()
    row["start_time"] = segment.process_start_time(os.getpid())
    row["cpu"] = options.cpu
    row["state"] = layout.WORKER_RUNNING
    channel.send(protocol.encode(protocol.Reply()))
    channel.settimeout(0.02)
    while True:
        if options.cpu != 6:
            row["heartbeat"] = time.monotonic_ns()
        try:
            data, fds, _, _ = socket.recv_fds(channel, protocol.MAX_MESSAGE, protocol.MAX_FDS)
        except TimeoutError:
            continue
        for fd in fds:
            os.write(fd, b"seen")
            os.close(fd)
        if not data:
            return
        message = protocol.decode(data)
        if options.cpu == 2:
            time.sleep(3600)
        if options.cpu == 4:
            os._exit(7)
        channel.send(protocol.encode(protocol.Reply("no room" if options.cpu == 3 else "")))
        if isinstance(message, protocol.Stop):
            return


if __name__ == "__main__":
    main()
