"""vio4wd_core_scheduler: keeps the load of a running virtio-forwarder's workers even."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

from vio4wd.cli import arguments
from vio4wd.config import values
from vio4wd.config.control_table import CONTROL_OPTIONS
from vio4wd.config.errors import ConfigError
from vio4wd.config.file import read_file
from vio4wd.master import logs
from vio4wd.master.numa import node_of_cpu
from vio4wd.master.service_manager import ServiceManager
from vio4wd.sched.daemon_link import DaemonLink
from vio4wd.sched.scheduler import Policy, Scheduler

PROGRAM: Final = "vio4wd_core_scheduler"

#: This program's options, and the fields of Settings whose variables in the file mean the same.
_FIELDS: Final = {
    "stats_ep": "zmq_stats_ep",
    "sched_ep": "zmq_core_sched_ep",
    "poll_interval": "core_sched_poll_interval",
    "loglevel": "core_sched_log_level",
    "sensitivity": "core_sched_sensitivity",
    "global_numa_opt": "core_sched_global_numa_opt",
}
_OPTIONS: Final = {option.field: option for option in CONTROL_OPTIONS}

_EPILOG: Final = """\
The daemon must serve statistics and core scheduling (VIO4WD_CORE_SCHED_ENABLE=true, or --zmq-core-sched-ep).
It may be restarted at any time.

exit status: 0 stopped by a signal, 1 the file is wrong, 2 wrong usage
"""

_log = logging.getLogger(__name__)


def build_parser() -> argparse.ArgumentParser:
    """The parser; completion and man page are made from it too."""
    parser = arguments.parser(
        PROGRAM,
        "Moves relays between the worker CPUs of a running virtio-forwarder, so that their load is even.",
        _EPILOG,
    )
    parser.set_defaults(timeout=5.0)
    parser.add_argument("--config", metavar="FILE", type=Path, help="read variables from this file first")
    _add(parser, "stats_ep", "EP", values.endpoint, "endpoint of the daemon's statistics")
    _add(parser, "sched_ep", "EP", values.endpoint, "endpoint of the daemon's core scheduling")
    _add(parser, "poll_interval", "SECONDS", values.positive, "time from one decision to the next")
    _add(parser, "loglevel", "N", values.log_level, "log threshold, 0 (least) to 7 (most verbose)")
    _add(parser, "sensitivity", "X", values.positive, "by how much the variation of the loads must improve")
    parser.add_argument(
        "--global-numa-opt",
        action="store_const",
        const=True,
        help="serve relays on any NUMA node, not only on the one of their guest's memory",
    )
    return parser


def _add(
    parser: argparse.ArgumentParser, name: str, metavar: str, convert: Callable[[str], object], text: str
) -> None:
    option = _OPTIONS[_FIELDS[name]]
    parser.add_argument(
        "--" + name.replace("_", "-"),
        metavar=metavar,
        type=arguments.value(convert),
        help=f"{text} (default: {option.shipped})",
    )


def read_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options, with what they leave open taken from the file, and what that leaves from the defaults.

    Raises:
        ConfigError: the file cannot be read, or a variable of this program has no good value.
    """
    found = build_parser().parse_args(argv)
    contents = read_file(found.config) if found.config else None
    errors = list(contents.errors) if contents else []
    for name, field in _FIELDS.items():
        if getattr(found, name) is not None:
            continue
        option = _OPTIONS[field]
        given = contents.given.get(field) if contents else None
        value = option.default if option.default is not None else option.shipped
        try:
            setattr(found, name, option.convert(given.texts[-1]) if given else value)
        except ValueError as error:
            errors.append(f"{given.origin if given else name}: {error}")
    if errors:
        raise ConfigError(errors)
    return found


def _run(argv: Sequence[str] | None) -> int:
    try:
        options = read_options(argv)
    except ConfigError as error:
        for line in error.errors:
            print(f"{PROGRAM}: {line}", file=sys.stderr)
        return 1
    logs.set_up(options.loglevel, to_syslog=False)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    manager = ServiceManager()
    scheduler = Scheduler(
        DaemonLink(options.stats_ep, options.sched_ep, options.timeout),
        Policy(options.poll_interval, options.sensitivity, options.global_numa_opt),
        node_of_cpu,
        manager.sleep,
    )
    manager.ready(scheduler.status)
    try:
        while True:
            scheduler.interval()
            manager.status(scheduler.status)
            if manager.watchdog_interval:
                manager.alive()
    finally:
        manager.stopping()
        _log.info("stopped")


def _stop(number: int, frame: object) -> NoReturn:
    raise SystemExit(0)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    return arguments.run(PROGRAM, _run, argv)
