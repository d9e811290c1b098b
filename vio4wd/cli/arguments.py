"""What the commands that talk to the daemon have in common."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from vio4wd.config import values
from vio4wd.config.version import VersionAction
from vio4wd.control.client import ClientError

T = TypeVar("T")

#: Seconds that a command waits for an answer; a slow device takes a few to attach.
TIMEOUT = 30.0


def parser(program: str, description: str, epilog: str | None = None) -> argparse.ArgumentParser:
    """A parser with --version and --timeout."""
    made = argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action=VersionAction)
    made.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=value(values.positive),
        default=TIMEOUT,
        help="wait so long for the daemon's answer (default: %(default)g)",
    )
    return made


def value(convert: Callable[[str], T]) -> Callable[[str], T]:
    """A converter of `vio4wd.config.values` for argparse, which shows its message."""

    def converted(text: str) -> T:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted


def run(program: str, command: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None) -> int:
    """Run a command; what it cannot do becomes one line on stderr and exit code 1."""
    try:
        status = command(argv)
        sys.stdout.flush()
        return status
    except ClientError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of the output has seen enough, as in `... | head`; Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
