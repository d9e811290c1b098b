"""Scenario kernels: cycles per packet of each kernel, on one core and without other processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.child import json_of
from bench.figures import OURS, Window
from bench.run import FAILURES, Run

_SCENARIO: Final = "kernels"
_PATIENCE: Final = 300.0  # seconds; new kernels are compiled first


def kernels(run: Run) -> Iterator[Window]:
    """Bursts of several lengths, both directions, both kinds of rings."""
    run.say(_SCENARIO)
    arguments = [f"--cpu={run.worker_cpu}", f"--repetitions={run.windows}"]
    try:
        found: dict[str, list[float]] = json_of("bench.kernel_cycles", arguments, _PATIENCE)
    except FAILURES as error:
        run.failures.append(f"{_SCENARIO}: {error}")
        return
    for case, figures in found.items():
        if run.wants(f"{_SCENARIO} {case}"):
            for cycles in figures:
                yield Window(_SCENARIO, case, OURS, cycles, "cycles/packet")
