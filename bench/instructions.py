"""`python -m bench instructions`: instructions per packet of each kernel, against committed figures.

Instructions do not depend on the machine's mood, as cycles do. They are counted by valgrind's callgrind
on code compiled for a plain processor that valgrind knows (x86-64-v3, so AVX2 but no AVX-512), which is
the same everywhere. Only the measuring loop counts: the difference of two runs of different length.
The loop also offers buffers, and stands in for VF and pool; that is some five instructions a packet.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import llvmlite
import numba
from rich.console import Console
from rich.table import Table

from bench import callgrind, counted

ROOT: Final = Path(__file__).resolve().parent.parent
#: The committed figures.
BASELINE: Final = Path(__file__).with_name("instructions.json")
#: A change by more than this share is reported ...
TOLERANCE: Final = 0.03
#: ... and by more than this one where another compiler made the committed figures.
OTHER_COMPILER: Final = 0.15

_PROCESSOR: Final = "x86-64-v3"
_CACHE: Final = ROOT / ".build/counted"
_PATIENCE: Final = 600.0  # seconds


class CountError(Exception):
    """Instructions cannot be counted; the message says what to do."""


@dataclasses.dataclass(frozen=True)
class Figures:
    """Instructions per packet (per poll, if it finds nothing) by case, and the compiler of the code."""

    compiler: str
    instructions: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Difference:
    """A case whose figure is not the committed one; None: the case is only in the other set."""

    case: str
    committed: float | None
    counted: float | None

    def __str__(self) -> str:
        if self.committed is None:
            return f"{self.case}: {self.counted:.1f} instructions, nothing is committed"
        if self.counted is None:
            return f"{self.case}: is not counted any more"
        figures = f"{self.counted:.1f} instructions, committed {self.committed:.1f}"
        return f"{self.case}: {figures} ({100 * (self.counted / self.committed - 1):+.1f} %)"


def compiler() -> str:
    """Who makes the kernels' code."""
    return f"numba {numba.__version__}, llvmlite {llvmlite.__version__}"


def count() -> Figures:
    """Count now; takes some 20 seconds, twice as long when the kernels are new.

    Raises:
        CountError: there is no valgrind, or a run fails.
    """
    if shutil.which("valgrind") is None:
        raise CountError("valgrind is not installed: run scripts/setup")
    program = [sys.executable, "-m", "bench.counted"]
    _run(program)
    with tempfile.TemporaryDirectory(prefix="counted-") as place:
        files = Path(place, "out")
        options = ["--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={files}"]
        _run(["valgrind", *options, *program])
        counts = callgrind.counts(files.parent, files.name)
    return Figures(compiler(), per_packet(counts))


def per_packet(counts: Mapping[str, int]) -> dict[str, float]:
    """Instructions per packet of each case, from those of its two runs.

    Raises:
        CountError: a run is missing.
    """
    try:
        return {
            case.name: round((counts[f"{case.name}/2"] - counts[f"{case.name}/1"]) / case.counted, 2)
            for case in counted.cases()
        }
    except KeyError as error:
        raise CountError(f"callgrind wrote nothing about {error}") from None


def load(path: Path = BASELINE) -> Figures:
    """Committed figures."""
    document = json.loads(path.read_text())
    return Figures(document["compiler"], document["instructions"])


def save(figures: Figures, path: Path = BASELINE) -> None:
    """Make these the committed figures."""
    path.write_text(json.dumps(dataclasses.asdict(figures), indent=2) + "\n")


def compare(committed: Figures, now: Figures) -> list[Difference]:
    """The cases that changed by more than the tolerance, either way: less is to be committed too."""
    allowed = TOLERANCE if committed.compiler == now.compiler else OTHER_COMPILER
    found = []
    for case in dict.fromkeys([*committed.instructions, *now.instructions]):
        before, after = committed.instructions.get(case), now.instructions.get(case)
        if before is None or after is None or abs(after - before) > allowed * before:
            found.append(Difference(case, before, after))
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 1: figures differ or cannot be taken."""
    parser = argparse.ArgumentParser(prog="python -m bench instructions", description=__doc__)
    parser.add_argument("--update", action="store_true", help="make the figures of now the committed ones")
    options = parser.parse_args(argv)
    try:
        now = count()
    except CountError as error:
        print(error, file=sys.stderr)
        return 1
    committed = load() if BASELINE.exists() else Figures(now.compiler, {})
    Console().print(_table(committed, now))
    if options.update:
        save(now)
        return 0
    differences = compare(committed, now)
    for difference in differences:
        print(difference, file=sys.stderr)
    if differences:
        print("If this is wanted: python -m bench instructions --update", file=sys.stderr)
    return 1 if differences else 0


def _table(committed: Figures, now: Figures) -> Table:
    table = Table("case", title=f"instructions per packet ({now.compiler})")
    for column in ("committed", "now", "change"):
        table.add_column(column, justify="right")
    for case, after in now.instructions.items():
        before = committed.instructions.get(case)
        change = "" if before is None else f"{100 * (after / before - 1):+.1f} %"
        table.add_row(case, "" if before is None else f"{before:.1f}", f"{after:.1f}", change)
    return table


def _run(command: Sequence[str]) -> None:
    settings = {
        "VIO4WD_CACHE_DIR": str(_CACHE),
        "NUMBA_CPU_NAME": _PROCESSOR,
        "NUMBA_CPU_FEATURES": "",  # those of that processor, not those of this one
        "PYTHONHASHSEED": "0",
    }
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise CountError(f"{' '.join(command)} took longer than {_PATIENCE:.0f} s") from None
    if done.returncode != 0:
        raise CountError(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
