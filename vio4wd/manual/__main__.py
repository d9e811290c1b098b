"""Writes man pages and completion scripts: `python -m vio4wd.manual DIRECTORY`."""

from __future__ import annotations

import argparse
import importlib.metadata
from pathlib import Path
from typing import Final

from vio4wd.manual import completion, daemon, variables
from vio4wd.manual.commands import commands
from vio4wd.manual.page import SECTION, alias_page, page

#: Sections that a parser has no words for, by command.
_MORE: Final = {daemon.NAME: daemon.SECTIONS}


def documents() -> dict[str, str]:
    """All files by their names below a prefix's share/."""
    version = importlib.metadata.version("vio4wd")
    every = commands()
    names = [f"{command.name}({SECTION})" for command in every if not command.alias]
    manual = f"{variables.NAME}({variables.SECTION})"
    found = {
        f"man/man{variables.SECTION}/{variables.NAME}.{variables.SECTION}": variables.page(version, names)
    }
    for command in every:
        if command.alias:
            text = alias_page(command.alias)
        else:
            text = page(command.parser, version, [*names, manual], _MORE.get(command.name))
        found[f"man/man{SECTION}/{command.name}.{SECTION}"] = text
        found[f"bash-completion/completions/{command.name}"] = completion.script(command.parser, command.name)
    return found


def main() -> None:
    """Write all files."""
    parser = argparse.ArgumentParser(prog="python -m vio4wd.manual", description=__doc__)
    parser.add_argument("directory", type=Path, help="where man/ and bash-completion/ are made")
    directory = parser.parse_args().directory
    for name, text in documents().items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
