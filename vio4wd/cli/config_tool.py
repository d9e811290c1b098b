"""virtioforwarder_config.py: which CPUs serve which relay."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from vio4wd.cli import arguments
from vio4wd.config import values
from vio4wd.config.control_table import CONFIG_EP
from vio4wd.control.client import ask
from vio4wd.control.proto.virtioforwarder_pb2 import ConfigRequest, ConfigResponse, RelayCPU

PROGRAM: Final = "virtioforwarder_config.py"


def add_config_ep(parser: argparse.ArgumentParser) -> None:
    """The option that names the endpoint."""
    parser.add_argument(
        "--config-ep",
        metavar="EP",
        type=arguments.value(values.endpoint),
        default=CONFIG_EP,
        help="endpoint of the daemon's configuration (default: %(default)s)",
    )


def print_map(program: str, endpoint: str, timeout: float) -> int:
    """Ask for the map and print a line for each relay or lane; returns the exit status.

    Raises:
        ClientError: no answer.
    """
    response = ask(endpoint, ConfigRequest(), ConfigResponse, timeout)
    if response.status != ConfigResponse.OK:
        print(f"{program}: refused: {ConfigResponse.Status.Name(response.status)}", file=sys.stderr)
        return 1
    divided = {entry.relay_number for entry in response.lane_cpu_map}
    whole = [entry for entry in response.relay_cpu_map if entry.relay_number not in divided]
    for entry in sorted((*whole, *response.lane_cpu_map), key=lambda entry: (entry.relay_number, entry.lane)):
        print(map_line(entry))
    return 0


def map_line(entry: RelayCPU) -> str:
    """As in `relay 1: vf_to_vm on CPU 2, vm_to_vf on CPU 3`, or `relay 1 lane 0: ...`."""
    vf_to_vm, vm_to_vf = (
        "no CPU" if cpu < 0 else f"CPU {cpu}" for cpu in (entry.vf2virtio_cpu, entry.virtio2vf_cpu)
    )
    lane = f" lane {entry.lane}" if entry.HasField("lane") else ""
    return f"relay {entry.relay_number}{lane}: vf_to_vm on {vf_to_vm}, vm_to_vf on {vm_to_vf}"


def build_parser() -> argparse.ArgumentParser:
    """The parser; completion and man page are made from it too."""
    parser = arguments.parser(
        PROGRAM, "Prints which worker CPUs serve the relays of a running virtio-forwarder."
    )
    add_config_ep(parser)
    return parser


def _run(argv: Sequence[str] | None) -> int:
    options = build_parser().parse_args(argv)
    return print_map(PROGRAM, options.config_ep, options.timeout)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    return arguments.run(PROGRAM, _run, argv)
