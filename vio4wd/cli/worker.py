"""`vio4wd-worker`: one core's packet mover. The master starts it; nobody else has reason to."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from vio4wd.config.version import VersionAction
from vio4wd.dpdk import eal, guard
from vio4wd.dpdk.errors import DpdkError
from vio4wd.shm import segment
from vio4wd.worker.protocol import MAX_MESSAGE, Begin, Reply, decode, encode

_RTE_LOG_NOTICE = 6
_RTE_LOG_INFO = 7


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
    parser.add_argument("--nice", type=int, help="priority, as nice(1) counts it (default: the master's)")
    parser.add_argument("--log-level", default="INFO", help="least severity that is logged")
    return parser


def _numa_node(cpu: int) -> int:
    """NUMA node of a CPU, 0 where the system tells none."""
    nodes = sorted(Path(f"/sys/devices/system/cpu/cpu{cpu}").glob("node*"))
    return int(nodes[0].name.removeprefix("node")) if nodes else 0


def _eal_arguments(options: argparse.Namespace, pci: Sequence[str]) -> list[str]:
    """EAL's options; what it tells about the machine the master has logged already."""
    level = _RTE_LOG_INFO if options.log_level == "DEBUG" else _RTE_LOG_NOTICE
    lcore = options.slot + 1  # 0 is the master's
    secondary = eal.secondary_arguments(options.instance, lcore, options.cpu, pci=pci)
    return [*secondary, f"--log-level={level}"]


def main() -> int:
    """Run a worker. Returns 1 if it could not start; a worker that served exits with 0 by itself."""
    options = build_parser().parse_args()
    logging.basicConfig(
        level=options.log_level,
        stream=sys.stderr,
        format=f"worker cpu{options.cpu}: %(levelname)s %(message)s",
    )
    logging.getLogger("numba").setLevel(logging.WARNING)  # as in the master, see `master.logs`
    # The master decides when we end; a terminal's Ctrl-C goes to it alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.sched_setaffinity(0, {options.cpu})
    if options.nice is not None:
        os.setpriority(os.PRIO_PROCESS, 0, options.nice)
    channel = socket.socket(fileno=options.channel_fd)
    channel.set_inheritable(False)
    # After the CPU was chosen, and while the master starts DPDK.
    from vio4wd.worker.process import Worker

    data = channel.recv(MAX_MESSAGE)
    begin = decode(data) if data else None
    if not isinstance(begin, Begin):
        return 0  # the master changed its mind, or is gone
    try:
        eal.init(_eal_arguments(options, begin.pci))
        guard.install()
        tables = segment.attach(options.instance)
    except (DpdkError, segment.SegmentError) as error:
        logging.error("%s", error)
        return 1
    worker = Worker(tables, options.slot, channel, adaptive=options.idle == "adaptive")
    worker.announce(options.cpu, _numa_node(options.cpu))
    channel.send(encode(Reply()))
    worker.serve()
    logging.shutdown()
    # The master waits for us, and there is nothing left to tidy up: the interpreter may take its time for it.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
