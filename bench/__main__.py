"""`python -m bench`: see `python -m bench --help`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from bench import command, instructions, report

_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "report": report.main,
    "instructions": instructions.main,
}


def main(argv: Sequence[str]) -> int:
    """One of the commands if it is named first, else a run; the exit status."""
    if argv and argv[0] in _COMMANDS:
        return _COMMANDS[argv[0]](argv[1:])
    return command.main(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
