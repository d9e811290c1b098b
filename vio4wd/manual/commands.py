"""The installed commands, as the package's metadata lists them, and the parser of each."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import sys
from typing import Final

_DISTRIBUTION: Final = "vio4wd"


@dataclasses.dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        alias: name of the command that it is another name of, "": it is itself.
    """

    name: str
    parser: argparse.ArgumentParser
    alias: str = ""


def commands() -> list[Command]:
    """All commands, by name.

    The module of a command has its parser as `build_parser()`. What a parser calls itself is the command's
    true name; a command installed under another one is an alias.
    """
    found = []
    for entry in importlib.metadata.distribution(_DISTRIBUTION).entry_points:
        if entry.group != "console_scripts":
            continue
        entry.load()
        parser: argparse.ArgumentParser = sys.modules[entry.module].build_parser()
        alias = "" if parser.prog == entry.name else parser.prog
        found.append(Command(entry.name, parser, alias))
    return sorted(found, key=lambda command: command.name)
