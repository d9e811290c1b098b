"""Completion for bash, made by shtab."""

from __future__ import annotations

import argparse
from typing import Final

import shtab

#: What is completed as a file, by the name of the value.
_FILES: Final = {"FILE": shtab.FILE, "P": shtab.FILE, "DIR": shtab.DIRECTORY}


def script(parser: argparse.ArgumentParser, name: str) -> str:
    """A script for a command under one of its names."""
    for action in parser._actions:
        if isinstance(action.metavar, str) and action.metavar in _FILES:
            action.complete = _FILES[action.metavar]  # type: ignore[attr-defined]
    parser.prog = name
    return str(shtab.complete(parser, "bash"))
