"""virtioforwarder_monitor_load.py: the load of the worker CPUs as bars."""

from __future__ import annotations

import argparse
import io
import itertools
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from vio4wd.cli import arguments
from vio4wd.config import values
from vio4wd.config.control_table import CORE_SCHED_EP, STATS_EP
from vio4wd.control.client import ClientError
from vio4wd.inspection.figures import Symbols, bar, percent, symbols
from vio4wd.inspection.worker_table import load_style
from vio4wd.sched.balance import RelayLoad, variation
from vio4wd.sched.daemon_link import DaemonLink
from vio4wd.sched.loads import core_loads
from vio4wd.sched.meter import Meter

PROGRAM: Final = "virtioforwarder_monitor_load.py"

#: Columns at the right of a bar for the relays that a CPU serves.
_RELAYS: Final = 24
#: Seconds between two looks for a daemon that is not there.
_RETRY: Final = 1.0

_EPILOG: Final = """\
Ends with Ctrl-C. A daemon that measures its workers is shown as measured; the load of an older one is
estimated from the packets and bytes it forwards. Where core scheduling is not served, CPUs that serve
no relay are not shown.

exit status: 0 done, 1 no answer (the reason is on stderr), 2 wrong usage
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser; completion and man page are made from it too."""
    parser = arguments.parser(
        PROGRAM, "Draws the load of a running virtio-forwarder's worker CPUs as bars.", _EPILOG
    )
    parser.set_defaults(timeout=5.0)
    for name, endpoint, what in (
        ("stats", STATS_EP, "statistics"),
        ("sched", CORE_SCHED_EP, "core scheduling"),
    ):
        parser.add_argument(
            f"--{name}-ep",
            metavar="EP",
            type=arguments.value(values.endpoint),
            default=endpoint,
            help=f"endpoint of the daemon's {what} (default: %(default)s)",
        )
    parser.add_argument(
        "--poll-interval",
        metavar="SECONDS",
        type=arguments.value(values.positive),
        default=1.0,
        help="time over which load is measured (default: %(default)g)",
    )
    parser.add_argument(
        "--count",
        metavar="N",
        type=arguments.value(values.number_in(1, 10**9, "count")),
        help="end after so many measurements (default: with Ctrl-C)",
    )
    return parser


def bars(
    loads: Mapping[int, float], relays: Sequence[RelayLoad], width: int, drawn: Symbols, *, exact: bool
) -> RenderableType:
    """A line for each CPU, and one that sums up.

    Args:
        loads: share of each CPU, 0..1.
        width: columns there are.
        exact: the loads were measured, not estimated.
    """
    served = {cpu: sorted({entry.relay for entry in relays if cpu in entry.cpus}) for cpu in loads}
    cells = max(width - len("CPU 0000 || 100%  ") - _RELAYS, 8)
    lines = [
        Text.assemble(
            f"CPU {cpu:>4} |",
            (bar(load, cells, drawn), load_style(load)),
            f"| {percent(min(load, 1.0)):>4}  {_listed(served[cpu])}",
            no_wrap=True,
        )
        for cpu, load in loads.items()
    ]
    how = "measured" if exact else "estimated"
    mean = sum(loads.values()) / len(loads) if loads else 0.0
    summary = f"{how}, mean {percent(mean)}, variation {variation(loads.values()):.2f}"
    return Group(*lines, Text(summary if loads else "no CPU serves a relay", style="dim"))


def _listed(relays: Sequence[int]) -> str:
    """`relays 0 1 2`, cut to its room as `relays 0 1 and 7 more`."""
    if not relays:
        return ""
    text = "relay " if len(relays) == 1 else "relays "
    whole = text + " ".join(map(str, relays))
    if len(whole) <= _RELAYS:
        return whole
    kept = 0
    while len(text + " ".join(map(str, relays[: kept + 1]))) <= _RELAYS - len(" and 63 more"):
        kept += 1
    return f"{text}{' '.join(map(str, relays[:kept]))} and {len(relays) - kept} more"


def _frames(link: DaemonLink, meter: Meter, console: Console) -> Iterator[RenderableType]:
    """What to show, an interval each. A daemon that was there once is waited for when it goes away.

    Raises:
        ClientError: it is not there at first.
    """
    drawn = symbols(console.encoding)
    seen = False
    while True:
        try:
            relays = meter.measure()
        except ClientError as error:
            if not seen:
                raise
            yield Text(f"{error}; waiting")
            time.sleep(_RETRY)
            continue
        seen = True
        loads = core_loads(relays, _cores(link))
        yield bars(loads, relays, console.width, drawn, exact=meter.exact)


def _cores(link: DaemonLink) -> list[int]:
    """CPUs of the workers, as far as the daemon tells: it serves core scheduling only when told to."""
    try:
        return link.cores()
    except ClientError:
        return []


def _run(argv: Sequence[str] | None) -> int:
    options = build_parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without UTF-8 shows "?" for what it lacks
    link = DaemonLink(options.stats_ep, options.sched_ep, options.timeout)
    console = Console(highlight=False)
    frames = itertools.islice(_frames(link, Meter(link, options.poll_interval), console), options.count)
    try:
        if console.is_terminal:
            with Live(console=console, auto_refresh=False) as live:
                for frame in frames:
                    live.update(frame, refresh=True)
        else:
            for frame in frames:
                console.print(frame)
    except KeyboardInterrupt:
        pass  # the usual end
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    return arguments.run(PROGRAM, _run, argv)
