"""virtioforwarder_core_pinner.py: move relays to other CPUs by hand."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from vio4wd.cli import arguments
from vio4wd.cli.config_tool import add_config_ep, print_map
from vio4wd.config import values
from vio4wd.config.control_table import CORE_SCHED_EP
from vio4wd.control.client import ask
from vio4wd.control.proto.virtioforwarder_pb2 import CoreSchedRequest, CoreSchedResponse, RelayCPU

PROGRAM: Final = "virtioforwarder_core_pinner.py"

_EPILOG: Final = """\
Without --virtio-cpu the present map is printed. vio4wd_core_scheduler may move relays again at any time.

examples:
  %(prog)s
  %(prog)s --virtio-cpu=1:2,3 --virtio-cpu=5:2
  %(prog)s --virtio-cpu=1:2,3,4,5

exit status: 0 done, 1 refused or no answer (the reason is on stderr), 2 wrong usage
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser; completion and man page are made from it too."""
    parser = arguments.parser(
        PROGRAM, "Moves relays of a running virtio-forwarder to other worker CPUs.", _EPILOG
    )
    parser.add_argument(
        "--virtio-cpu",
        metavar="RN:Ci[,Cj]...",
        action="append",
        type=arguments.value(values.pins),
        default=[],
        help="serve relay RN with CPU Ci, or VF to virtio with Ci and virtio to VF with Cj (repeatable); "
        "further pairs of CPUs are for its further lanes, where its VF has several queues",
    )
    parser.add_argument(
        "--sched-ep",
        metavar="EP",
        type=arguments.value(values.endpoint),
        default=CORE_SCHED_EP,
        help="endpoint of the daemon's core scheduling (default: %(default)s)",
    )
    add_config_ep(parser)
    return parser


def _lanes(cpus: tuple[int, ...]) -> Iterator[tuple[int | None, tuple[int, int]]]:
    """Lanes, None: all of them, with their CPUs."""
    if len(cpus) == 2:
        yield None, (cpus[0], cpus[1])
    else:
        yield from enumerate(zip(cpus[::2], cpus[1::2], strict=True))


def _run(argv: Sequence[str] | None) -> int:
    options = build_parser().parse_args(argv)
    moves = [
        RelayCPU(relay_number=relay, vf2virtio_cpu=vf_to_vm, virtio2vf_cpu=vm_to_vf, lane=lane)
        for pins in options.virtio_cpu
        for relay, cpus in pins
        for lane, (vf_to_vm, vm_to_vf) in _lanes(cpus)
    ]
    if not moves:
        return print_map(PROGRAM, options.config_ep, options.timeout)
    request = CoreSchedRequest(op=CoreSchedRequest.UPDATE, relay_cpu_map=moves)
    response = ask(options.sched_ep, request, CoreSchedResponse, options.timeout)
    if response.status != CoreSchedResponse.OK:
        reason = response.error_code_source or "refused"
        print(f"{PROGRAM}: {reason} (error {response.error_code})", file=sys.stderr)
        return 1
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    return arguments.run(PROGRAM, _run, argv)
