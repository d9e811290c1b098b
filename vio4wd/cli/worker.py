"""`vio4wd-worker`: one core's packet mover. The master starts it; nobody else has reason to."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from vio4wd.config.version import VersionAction
from vio4wd.dpdk import eal, guard
from vio4wd.dpdk.errors import DpdkError


def build_parser() -> argparse.ArgumentParser:
    """The parser; completion and man page are made from it too."""
    parser = argparse.ArgumentParser(
        prog="vio4wd-worker", description="Forwards packets on one CPU. It is started by vio4wd-master."
    )
    parser.add_argument("--version", action=VersionAction)
    parser.add_argument("--slot", type=int, required=True, help="row of the worker table")
    parser.add_argument("--cpu", type=int, required=True, help="CPU to run on")
    parser.add_argument("--instance", required=True, help="name of the daemon's shared memory")
    parser.add_argument(
        "--channel-fd", type=int, required=True, help="socket that the master holds the other end of"
    )
    parser.add_argument(
        "--idle", choices=("poll", "adaptive"), default="poll", help="what to do when nothing moves"
    )
    parser.add_argument("--log-level", default="INFO", help="least severity that is logged")
    parser.add_argument("--pci", action="append", default=[], help="PCI device that is attached already")
    return parser


def _numa_node(cpu: int) -> int:
    """NUMA node of a CPU, 0 where the system tells none."""
    nodes = sorted(Path(f"/sys/devices/system/cpu/cpu{cpu}").glob("node*"))
    return int(nodes[0].name.removeprefix("node")) if nodes else 0


def main() -> int:
    """Run a worker; the exit status is 0 when the master ended it, 1 if it could not start."""
    options = build_parser().parse_args()
    logging.basicConfig(
        level=options.log_level,
        stream=sys.stderr,
        format=f"worker cpu{options.cpu}: %(levelname)s %(message)s",
    )
    # The master decides when we end; a terminal's Ctrl-C goes to it alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.sched_setaffinity(0, {options.cpu})
    channel = socket.socket(fileno=options.channel_fd)
    channel.set_inheritable(False)
    try:
        eal.init(eal.secondary_arguments(options.instance, options.slot + 1, options.cpu, pci=options.pci))
        guard.install()
    except DpdkError as error:
        logging.error("%s", error)
        return 1
    # Only now: EAL must find the addresses of the master's hugepages free.
    from vio4wd.shm import segment
    from vio4wd.worker.process import Worker

    try:
        tables = segment.attach(options.instance)
    except segment.SegmentError as error:
        logging.error("%s", error)
        return 1
    worker = Worker(tables, options.slot, channel, adaptive=options.idle == "adaptive")
    worker.announce(options.cpu, _numa_node(options.cpu))
    worker.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
