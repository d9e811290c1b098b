"""vio4wd-inspect: what each worker and each relay of a running daemon does, from its shared memory alone."""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Final

from rich.console import Console

from vio4wd.config.instance import DEFAULT_PID_PATH, instance_name
from vio4wd.config.version import VersionAction
from vio4wd.inspection.document import document
from vio4wd.inspection.figures import symbols
from vio4wd.inspection.source import Source, SourceError, pick
from vio4wd.inspection.view import view
from vio4wd.inspection.watch import watch
from vio4wd.shm import segment

PROGRAM: Final = "vio4wd-inspect"


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns 0, or 1 when there is no daemon to inspect."""
    options = build_parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # leaves the full screen on its way out
    try:
        _run(options, Source(_instance(options)))
    except SourceError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # The reader (a pager, `head`) has seen enough; what is buffered must not fail at exit again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser; completion and man page are made from it too."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Shows what each worker and each relay of a running virtio-forwarder does.",
        epilog="exit status: 0 done, 1 no daemon to inspect (the reason is on stderr), 2 wrong usage",
    )
    parser.add_argument("--version", action=VersionAction)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--pid-path", metavar="DIR", help="the daemon started with this --pid-path")
    which.add_argument(
        "--instance", type=_name, metavar="NAME", help="the daemon of this name, as /dev/shm shows it"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document (with --watch: one a line)")
    parser.add_argument("--watch", action="store_true", help="full screen, until q is pressed")
    parser.add_argument("--all", action="store_true", help="unused relays too")
    parser.add_argument(
        "--interval",
        type=_positive,
        default=1.0,
        metavar="SECONDS",
        help="time over which rates are measured (default 1)",
    )
    return parser


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.01 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0.01 to 3600")
    return value


def _name(text: str) -> str:
    if not text or "/" in text or text.startswith("."):
        raise argparse.ArgumentTypeError(f"{text!r} is no name in /dev/shm")
    return text


def _instance(options: argparse.Namespace) -> str:
    if options.instance:
        return str(options.instance)
    if options.pid_path:
        return instance_name(options.pid_path)
    return pick(instance_name(DEFAULT_PID_PATH), segment.instances())


def _run(options: argparse.Namespace, source: Source) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without UTF-8 shows "?" for what it lacks
    console = Console(highlight=False)
    drawn = symbols(console.encoding)
    if options.watch and not options.json:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise SourceError("--watch needs a terminal; add --json for a program, or leave --watch away")
        watch(source, options.interval, console, drawn, sys.stdin.fileno(), unused=options.all)
        return
    source.sample()
    while True:
        time.sleep(options.interval)
        snapshot, rates = source.sample()
        if rates is None:
            continue  # the daemon was restarted meanwhile
        if options.json:
            print(json.dumps(document(snapshot, rates, unused=options.all)), flush=True)
        else:
            console.print(
                view(
                    snapshot,
                    rates,
                    instance=source.instance,
                    width=console.width,
                    drawn=drawn,
                    unused=options.all,
                )
            )
        if not options.watch:
            return
