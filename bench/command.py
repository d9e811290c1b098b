"""`python -m bench`: measure, show, and keep what came of it."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from bench import backends, machine, plots, table
from bench.figures import Window, rows
from bench.result import Result
from bench.run import Run
from bench.scenarios.endpoints import endpoints
from bench.scenarios.forwarding import pvp, queues, relays, sizes
from bench.scenarios.kernels import kernels
from bench.scenarios.latency import latency
from bench.scenarios.moves import moves
from bench.scenarios.startup import startup

SCENARIOS: Final[Mapping[str, Callable[[Run], Iterator[Window]]]] = {
    "pvp": pvp,
    "sizes": sizes,
    "queues": queues,
    "relays": relays,
    "latency": latency,
    "moves": moves,
    "endpoints": endpoints,
    "startup": startup,
    "kernels": kernels,
}

_EPILOG: Final = """\
scenarios (all of them if none is named):
{scenarios}

commands with options of their own:
  report RESULT.json...  write docs/benchmarks.md and its pictures
  instructions           instructions per packet of each kernel, against committed figures

Nothing else should run on the machine. An interrupted run keeps what it has measured.
exit status: 0 all was measured, 1 something failed (see stderr), 2 wrong usage
"""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    about = {name: (scenario.__doc__ or "").splitlines()[0] for name, scenario in SCENARIOS.items()}
    lines = [f"  {name:<10}{text}" for name, text in about.items()]
    options = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures VIO4WD and others on the same cores.",
        epilog=_EPILOG.format(scenarios="\n".join(lines)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("scenarios", nargs="*", metavar="scenario", help="what to measure")
    options.add_argument("--quick", action="store_true", help="a look at everything in less than 3 minutes")
    options.add_argument("--windows", type=int, help="windows of each case (default: 5; --quick: 1)")
    options.add_argument("--seconds", type=float, help="length of a window (default: 2; --quick: 0.5)")
    options.add_argument(
        "--only", action="append", default=[], help="cases whose names contain this (repeatable)"
    )
    options.add_argument("--worker-cpu", type=int, default=1, help="for who moves packets (default: 1)")
    options.add_argument("--guest-cpu", type=int, default=0, help="for all else (default: 0)")
    options.add_argument("--no-testpmd", action="store_true", help="do not compare with dpdk-testpmd")
    options.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="compare with this program too; {socket}, {vf}, {cpu}, {queues}, {directory} are filled in",
    )
    options.add_argument(
        "--out", type=Path, default=Path(".build/bench"), help="directory for result.json, .csv and plots"
    )
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    options = parser()
    given = options.parse_args(argv)
    unknown = [name for name in given.scenarios if name not in SCENARIOS]
    if unknown:
        options.error(f"there is no scenario {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    problem = _problem(given)
    if problem:
        options.error(problem)
    console = Console(stderr=True, highlight=False)
    result = Result(machine.describe(), _settings(given))
    given.out.mkdir(parents=True, exist_ok=True)
    os.sched_setaffinity(0, {given.guest_cpu})
    # Whoever ends us, children and their files go first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="v4b-") as place:
        run = _run(given, Path(place), console)
        try:
            for window in _windows(run, given.scenarios or list(SCENARIOS)):
                result.windows.append(window)
                result.save(given.out / "result.json")
        except KeyboardInterrupt:
            run.failures.append("interrupted")
    result.save_csv(given.out / "result.csv")
    plots.draw(rows(result.windows), given.out)
    # A file is wide enough; a terminal is as wide as it is.
    table.show(result.windows, Console(width=None if sys.stdout.isatty() else 160))
    console.print(f"{given.out}: result.json, result.csv, plots")
    for failure in run.failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if run.failures else 0


def _windows(run: Run, scenarios: Sequence[str]) -> Iterator[Window]:
    for name in scenarios:
        yield from SCENARIOS[name](run)


def _problem(given: argparse.Namespace) -> str | None:
    """What is wrong with options, or missing on this machine."""
    cpus = os.sched_getaffinity(0)
    for cpu in (given.worker_cpu, given.guest_cpu):
        if cpu not in cpus:
            return f"CPU {cpu} is not there, or not for us: {', '.join(map(str, sorted(cpus)))} are"
    if given.worker_cpu == given.guest_cpu:
        return "--worker-cpu and --guest-cpu must differ"
    if given.windows is not None and given.windows < 1:
        return "--windows must be 1 at least"
    if given.seconds is not None and not given.seconds > 0:
        return "--seconds must be more than 0"
    if shutil.which("dpdk-testpmd") is None:
        return "dpdk-testpmd is not installed, which is the guest: run scripts/setup"
    if os.geteuid() != 0:
        return "run as root: hugepages need it"
    for text in given.peer:
        try:
            backends.parse_command(text, given.worker_cpu)
        except ValueError as error:
            return f"--peer: {error}"
    return None


def _settings(given: argparse.Namespace) -> dict[str, str]:
    """How the run is done, for the report."""
    windows = _default(given.windows, given.quick, 1, 5)
    seconds = _default(given.seconds, given.quick, 0.5, 2)
    found = {
        "scenarios": f"{', '.join(given.scenarios) or 'all'}{' (--quick)' if given.quick else ''}",
        "windows": f"{windows:g} of {seconds:g} s for each case",
        "worker's CPU": str(given.worker_cpu),
        "CPU of guest and all else": str(given.guest_cpu),
        "day": time.strftime("%Y-%m-%d"),
    }
    if given.only:
        found["cases"] = f"those with {' and '.join(given.only)}"
    return found


def _default(value: float | None, quick: bool, if_quick: float, otherwise: float) -> float:
    if value is not None:
        return value
    return if_quick if quick else otherwise


def _run(given: argparse.Namespace, place: Path, console: Console) -> Run:
    peers: list[backends.Backend] = []
    if not given.no_testpmd:
        peers.append(backends.TestpmdVhost(given.worker_cpu, given.guest_cpu))
    peers += [backends.parse_command(text, given.worker_cpu) for text in given.peer]
    began = time.monotonic()
    return Run(
        worker_cpu=given.worker_cpu,
        guest_cpu=given.guest_cpu,
        seconds=_default(given.seconds, given.quick, 0.5, 2),
        windows=int(_default(given.windows, given.quick, 1, 5)),
        quick=given.quick,
        backends=[backends.Vio4wd(given.worker_cpu, given.guest_cpu), *peers],
        directory=place,
        only=given.only,
        say=lambda text: console.print(f"{time.monotonic() - began:5.0f} s  {text}"),
    )
