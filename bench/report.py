"""`python -m bench report`: docs/benchmarks.md and its pictures from the JSON files of runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from bench import plots, words
from bench.figures import Row, rows, thrown_away
from bench.result import Result, ResultError, load, merged

_DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
_NAME: Final = "benchmarks"

_HEAD: Final = """\
# Benchmarks

Made by `python -m bench report` from a run of `python -m bench`. Do not edit it.

## How it was measured

One core moves the packets and does nothing else; guest, master and all other processes share another one.
The guest is `dpdk-testpmd` with DPDK's virtio driver (`net_virtio_user`, 256 entries a ring). Those
compared are started one after the other on the same cores, in turns, again for each window. `testpmd` is
`dpdk-testpmd` with `net_vhost` in io mode.

Virtual CPUs do not stay where they are: at times two of them share a cache, at times not, and all that
crosses cores changes with it, up to two and a half times. So the round trip of a cache line between the two
cores is measured before and after each window. *near* is below 200 ns, *far* 300 ns and more, *between* the
rest. Windows in which it changed are thrown away ({lost} of {all}), and only figures of one placement are
compared.

A figure is the median of its windows, with `[lowest-highest]` and the number of windows. *by testpmd* is
our median by testpmd's. *guest drop* is the share of its packets that the guest could not send: where it is
small, the guest is the limit and the ratio says little about the forwarder. *VF drop* is the share of the
VF's packets that found no buffer in the guest: where it is large, the guest is the limit again. *cycles* are
those of the forwarder's core for each packet, in the bursts that had any: its own cost, whoever is the limit.
"""


def document(result: Result, pictures: Mapping[str, str], notes: str = "") -> str:
    """The text of the report.

    Args:
        pictures: address of the picture of each scenario, from the report's place.
        notes: text for its end.
    """
    head = _HEAD.format(lost=thrown_away(result.windows), all=len(result.windows))
    parts = [
        head,
        _list("The machine", result.machine),
        _list("The run", result.settings),
        *(
            _scenario(list(group), pictures.get(scenario))
            for scenario, group in groupby(rows(result.windows), key=lambda row: row.scenario)
        ),
    ]
    if notes:
        parts.append(f"## Notes\n\n{notes.strip()}\n")
    return "\n".join(parts)


def write(result: Result, docs: Path = _DOCS, notes: str = "") -> Path:
    """Write report and pictures below `docs`; the report's path."""
    files = plots.draw(rows(result.windows), docs / _NAME)
    pictures = {scenario: path.relative_to(docs).as_posix() for scenario, path in files.items()}
    report = docs / f"{_NAME}.md"
    report.write_text(document(result, pictures, notes))
    return report


def _list(title: str, properties: Mapping[str, str]) -> str:
    return f"## {title}\n\n" + _table(["", ""], ([name, value] for name, value in properties.items()))


def _scenario(members: Sequence[Row], picture: str | None) -> str:
    scenario = members[0].scenario
    text = f"## {words.title(members[0])}\n\n{words.ABOUT[scenario]}\n\n"
    text += _table(words.columns(members), (words.cells(row, members) for row in members))
    return text + (f"\n![{scenario}]({picture})\n" if picture else "")


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rules = ["---"] * min(2, len(heads)) + ["--:"] * (len(heads) - 2)
    return "".join(f"| {' | '.join(line)} |\n" for line in (heads, rules, *lines))


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench report", description=__doc__)
    parser.add_argument(
        "results", type=Path, nargs="+", metavar="RESULT.json", help="a run's, in the order of the report"
    )
    parser.add_argument("--docs", type=Path, default=_DOCS, help="where to write (default: this tree's docs)")
    parser.add_argument("--notes", type=Path, help="Markdown file that becomes the report's end")
    options = parser.parse_args(argv)
    try:
        result = merged([load(path) for path in options.results])
        notes = options.notes.read_text() if options.notes else ""
        print(write(result, options.docs, notes))
    except (ResultError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
