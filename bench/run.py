"""How a run is done: its options, and windows of one backend after the other on the same cores."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.backends import Backend
from bench.child import MeasureError
from bench.figures import Window, complete
from bench.guest import Guest, Traffic, idle_guests
from bench.placement import ProbeError, round_trip
from bench.setup import VF_TO_VM, Setup
from vio4wd.testing.daemon import DaemonError
from vio4wd.testing.testpmd import TestpmdError

#: What may go wrong with a program that is measured.
FAILURES: Final = (DaemonError, TestpmdError, ProbeError, MeasureError, TimeoutError)


@dataclasses.dataclass(frozen=True)
class Run:
    """The options of a run, for the scenarios.

    Attributes:
        worker_cpu: the CPU of whoever moves packets, and of nothing else.
        guest_cpu: the CPU of all else.
        seconds: length of a window.
        windows: wanted of each case and backend, in one placement.
        quick: few cases, one window of each, whatever the placement.
        backends: ours and those it is compared with.
        directory: for sockets and logs; a short path.
        only: words that a case's name must contain.
        say: tells the person at the terminal what is being done.
        failures: what could not be measured, and why.
    """

    worker_cpu: int
    guest_cpu: int
    seconds: float
    windows: int
    quick: bool
    backends: Sequence[Backend]
    directory: Path
    only: Sequence[str]
    say: Callable[[str], None]
    failures: list[str] = dataclasses.field(default_factory=list)

    def wants(self, case: str) -> bool:
        """Whether a case is asked for."""
        return all(word in case for word in self.only)

    def probe(self) -> float:
        """Round trip of a cache line between the two CPUs, ns."""
        return round_trip((self.guest_cpu, self.worker_cpu))

    def new_directory(self) -> Path:
        """A fresh one for a backend and its guest."""
        for number in itertools.count():
            path = self.directory / str(number)
            if not path.exists():
                path.mkdir()
                return path
        raise AssertionError("unreachable")

    def rounds(
        self, backends: Sequence[Backend], measure: Callable[[Backend], Iterable[Window]]
    ) -> Iterator[Window]:
        """Measure with one backend after the other, every second time in reverse order.

        As often as windows are wanted, and up to twice as often where the placement changed under way. A
        backend that fails is left out from then on.
        """
        found: list[Window] = []
        working = list(backends)
        for number in range(self.windows if self.quick else 2 * self.windows):
            for backend in working if number % 2 == 0 else working[::-1]:
                try:
                    for window in measure(backend):
                        found.append(window)
                        yield window
                except FAILURES as error:
                    self.failures.append(f"{backend.name}: {error}")
                    self.say(f"{backend.name} failed: {error}")
                    working = [other for other in working if other is not backend]
            names = [backend.name for backend in working]
            if number + 1 >= self.windows and complete(found, names, self.windows):
                break


@contextlib.contextmanager
def guest_on(run: Run, backend: Backend, setup: Setup) -> Iterator[Guest]:
    """A backend with a guest (and idle ones), for the time of a `with` block."""
    directory = run.new_directory()
    with (
        backend.serve(setup, directory / "backend") as served,
        idle_guests(served.idle_sockets, directory, run.guest_cpu),
        Guest(setup, served, directory / "guest", run.guest_cpu) as guest,
    ):
        yield guest


def forwarding(run: Run, scenario: str, setups: Iterable[tuple[str, Setup]]) -> Iterator[Window]:
    """Windows of all setups, given with the names of their cases, in all directions and by all backends."""
    for name, setup in setups:
        backends = [backend for backend in run.backends if backend.can(setup)]
        if _cases(run, scenario, name, setup) and backends:
            yield from run.rounds(backends, functools.partial(windows, run, scenario, name, setup))


def windows(run: Run, scenario: str, name: str, setup: Setup, backend: Backend) -> Iterator[Window]:
    """One window of a setup for each direction that is asked for, by one backend."""
    cases = _cases(run, scenario, name, setup)
    if not cases:
        return
    run.say(f"{scenario}: {name}, {backend.name}")
    with guest_on(run, backend, setup) as guest:
        for direction, case in cases.items():
            with guest.busy(direction):
                before = run.probe()
                traffic = guest.measure(direction, run.seconds)
                after = run.probe()
            extra = _extra(direction, traffic)
            yield Window(scenario, case, backend.name, traffic.mpps, "Mpps", before, after, extra)


def _cases(run: Run, scenario: str, name: str, setup: Setup) -> dict[str, str]:
    """Names of the cases that are asked for, by direction."""
    cases = {direction: f"{name}, {direction}" for direction in setup.directions}
    return {direction: case for direction, case in cases.items() if run.wants(f"{scenario} {case}")}


def _extra(direction: str, traffic: Traffic) -> dict[str, float]:
    extra = {} if direction == VF_TO_VM else {"guest drop": traffic.guest_drop}
    if direction == VF_TO_VM and traffic.vf_drop is not None:
        extra["VF drop"] = traffic.vf_drop
    if traffic.cycles is not None:
        extra["cycles"] = traffic.cycles
    return extra
