"""virtioforwarder_stats.py: counters and rates of the relays."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from google.protobuf import text_format
from google.protobuf.message import Message

from vio4wd.cli import arguments
from vio4wd.config import values
from vio4wd.config.control_table import STATS_EP
from vio4wd.control.client import ask
from vio4wd.control.proto.virtioforwarder_pb2 import StatsRequest, StatsResponse

PROGRAM: Final = "virtioforwarder_stats.py"

#: The messages of counters and rates, whose lines carry the CPU that serves the direction.
_DIRECTIONS: Final = ("vf_to_vm", "vm_to_vf")
#: Stands for the CPU where no worker serves the direction.
_NO_CPU: Final = -1


def build_parser() -> argparse.ArgumentParser:
    """The parser; completion and man page are made from it too."""
    parser = arguments.parser(PROGRAM, "Prints the statistics of a running virtio-forwarder's relays.")
    parser.add_argument(
        "relay", nargs="*", type=arguments.value(values.relay), help="relays to print (default: all)"
    )
    parser.add_argument(
        "--stats-ep",
        metavar="EP",
        type=arguments.value(values.endpoint),
        default=STATS_EP,
        help="endpoint of the daemon (default: %(default)s)",
    )
    parser.add_argument("--include-inactive", action="store_true", help="relays without a VF or guest, too")
    parser.add_argument(
        "--delay",
        metavar="MS",
        type=arguments.value(values.number_in(0, 60000, "delay")),
        default=200,
        help="measure rates over so many milliseconds, 0: no rates (default: %(default)d)",
    )
    parser.add_argument(
        "--output-format",
        choices=("flat", "protobuf"),
        default="flat",
        help="flat: a line for each value; protobuf: the response as protobuf's text (default: %(default)s)",
    )
    parser.add_argument(
        "-z", "--suppress-zero", action="store_true", help="leave out counters and rates that are 0 (flat)"
    )
    return parser


def flat_lines(state: StatsResponse.RelayState, suppress_zero: bool) -> Iterator[str]:
    """A relay's values as `relay_1.vf_to_vm.cpu_2.pkts_rx_from_vf=10`, in the order of the protocol.

    Those of its lanes, where it has several, as `relay_1.lane_0.cpu.vf_to_vm=2`.
    """
    prefix = f"relay_{state.id}"
    for field, value in state.ListFields():
        if field.name == "lane":
            for number, lane in enumerate(state.lane):
                yield from _lines(f"{prefix}.lane_{number}", lane)
            continue
        if not isinstance(value, Message):
            yield f"{prefix}.{field.name}={value}"
            continue
        place = f"{prefix}.{field.name}"
        counts = field.name in _DIRECTIONS
        if counts:
            cpu = getattr(state.cpu, field.name) if state.cpu.HasField(field.name) else _NO_CPU
            place += f".cpu_{cpu}"
        for inner, number in value.ListFields():
            if counts and suppress_zero and not isinstance(number, bool | str) and not number:
                continue
            yield f"{place}.{inner.name}={_text(number)}"


def _lines(prefix: str, message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        if isinstance(value, Message):
            yield from _lines(f"{prefix}.{field.name}", value)
        else:
            yield f"{prefix}.{field.name}={_text(value)}"


def _text(value: object) -> str:
    """Rates with a digit behind the point, anything else as it is."""
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _run(argv: Sequence[str] | None) -> int:
    options = build_parser().parse_args(argv)
    request = StatsRequest(
        relay=options.relay, include_inactive=options.include_inactive, delay=options.delay
    )
    timeout = options.timeout + options.delay / 1000
    response = ask(options.stats_ep, request, StatsResponse, timeout)
    if response.status != StatsResponse.OK:
        reason = StatsResponse.Status.Name(response.status)
        print(f"{PROGRAM}: refused: {reason} ({response.status})", file=sys.stderr)
        return 1
    if options.output_format == "protobuf":
        print(text_format.MessageToString(response), end="")
        return 0
    for state in response.relay:
        for line in flat_lines(state, options.suppress_zero):
            print(line)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    return arguments.run(PROGRAM, _run, argv)
