"""Scenario latency: how long packets take through the forwarder and back, at shares of its highest rate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.backends import Backend
from bench.child import MeasureError, json_of
from bench.figures import Window
from bench.run import Run
from bench.setup import BOTH, Setup

_LOADS: Final = (10, 50, 90)
#: A loop behind the forwarder sends each packet back at once.
_SETUP: Final = Setup(None, directions=(BOTH,))
_SIZE: Final = 64
_PATIENCE: Final = 60.0  # seconds, beyond those of measuring


def latency(run: Run) -> Iterator[Window]:
    """Guest, forwarder, a loop in place of the VF, forwarder, guest: twice through the forwarder."""
    loads = (50,) if run.quick else _LOADS
    cases = {load: f"{_SIZE} B split at {load} % of the highest rate" for load in loads}
    cases = {load: case for load, case in cases.items() if run.wants(f"latency {case}")}
    if not cases:
        return

    def measure(backend: Backend) -> Iterator[Window]:
        run.say(f"latency: {backend.name}")
        directory = run.new_directory()
        with backend.serve(_SETUP, directory / "backend") as served:
            phases = _phases(run, served.socket, list(cases))
        for phase in phases:
            if phase["load"] not in cases:
                continue
            if "99" not in phase["percentiles"]:
                raise MeasureError(f"no packet came back at {phase['load']} % of the highest rate")
            microseconds = {f"p{name}": ns / 1000 for name, ns in phase["percentiles"].items()}
            yield Window(
                "latency",
                cases[phase["load"]],
                backend.name,
                microseconds.pop("p99"),
                "µs (p99)",
                phase["before"],
                phase["after"],
                {**microseconds, "Mpps": phase["mpps"], "packet drop": phase["lost"]},
            )

    yield from run.rounds(run.backends, measure)


def _phases(run: Run, socket: Path, loads: list[int]) -> list[dict[str, Any]]:
    arguments = [
        *(f"--socket={socket}", f"--size={_SIZE}", f"--seconds={run.seconds}"),
        *(f"--cpu={run.guest_cpu}", f"--worker-cpu={run.worker_cpu}"),
        *("--loads", *map(str, loads)),
    ]
    phases: list[dict[str, Any]] = json_of(
        "bench.latency_guest", arguments, _PATIENCE + (2 + len(loads)) * run.seconds
    )
    return phases
