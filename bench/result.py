"""The result of a run: the machine, the settings and all windows, as JSON (whole) and CSV (windows)."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.figures import Window

_FORMAT: Final = 1


class ResultError(Exception):
    """A file holds no result; the message names it."""


@dataclasses.dataclass
class Result:
    """One run.

    Attributes:
        machine: what it ran on, by name of the property.
        settings: how it ran, likewise.
        windows: in the order they were measured.
    """

    machine: Mapping[str, str]
    settings: Mapping[str, str]
    windows: list[Window] = dataclasses.field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write JSON; a reader sees the old file or the new one, never a part."""
        document = {"format": _FORMAT, **dataclasses.asdict(self)}
        fresh = path.with_suffix(path.suffix + ".new")
        fresh.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        fresh.replace(path)

    def save_csv(self, path: Path) -> None:
        """Write one line for each window; further figures have columns of their own."""
        names = list(dict.fromkeys(name for window in self.windows for name in window.extra))
        with path.open("w", newline="") as output:
            writer = csv.writer(output)
            writer.writerow([*_COLUMNS, *names])
            for window in self.windows:
                fixed = [getattr(window, column) for column in _COLUMNS]
                writer.writerow([*fixed, *(window.extra.get(name, "") for name in names)])


_COLUMNS: Final = ("scenario", "case", "backend", "placement", "value", "unit", "before", "after")


def merged(results: Sequence[Result]) -> Result:
    """Several runs as one, in their order; what differs in machine or settings is told of each."""
    return Result(
        _together([result.machine for result in results]),
        _together([result.settings for result in results]),
        [window for result in results for window in result.windows],
    )


def _together(properties: Sequence[Mapping[str, str]]) -> dict[str, str]:
    names = dict.fromkeys(name for one in properties for name in one)
    return {name: "; ".join(dict.fromkeys(one[name] for one in properties if name in one)) for name in names}


def load(path: Path) -> Result:
    """The result in a JSON file.

    Raises:
        ResultError: it cannot be read, or is none.
    """
    try:
        document: Any = json.loads(path.read_text())
        if document["format"] != _FORMAT:
            raise ResultError(f"{path}: format {document['format']} is not known, {_FORMAT} is")
        windows = [Window(**window) for window in document["windows"]]
        return Result(dict(document["machine"]), dict(document["settings"]), windows)
    except OSError as error:
        raise ResultError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ResultError(f"{path}: not the JSON file of a run ({error})") from None
