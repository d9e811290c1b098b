"""The `--version` that all commands have."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any


class VersionAction(argparse.Action):
    """Prints "PROGRAM VERSION" and exits; the installed package is asked only then."""

    def __init__(self, option_strings: Sequence[str], dest: str, **_: Any) -> None:  # noqa: ANN401
        super().__init__(
            option_strings, dest, nargs=0, default=argparse.SUPPRESS, help="print the version and exit"
        )

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:  # noqa: ANN401
        import importlib.metadata  # which takes longer to load than most commands take to run

        try:
            version = importlib.metadata.version("vio4wd")
        except importlib.metadata.PackageNotFoundError:
            version = "(not installed)"
        print(parser.prog, version)
        parser.exit()
