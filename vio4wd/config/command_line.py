"""The command line of vio4wd-master: only its grammar, derived from the table; values stay text."""

from __future__ import annotations

import argparse
import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from vio4wd.config.given import Given
from vio4wd.config.option import Option, Shape
from vio4wd.config.table import OPTIONS
from vio4wd.config.version import VersionAction

_PROGRAM: Final = "vio4wd-master"


@dataclasses.dataclass(frozen=True, slots=True)
class CommandLine:
    """What the arguments say, by field of Settings."""

    given: dict[str, Given]
    errors: list[str]
    config_file: Path | None
    check_config: bool


class _UsageError(Exception):
    pass


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Instead of exiting: the caller reports all errors together."""
        raise _UsageError(message)


@functools.cache
def _typed_in() -> Path:
    """The directory of the first call: a daemon goes to / before it reads its file again."""
    return Path.cwd()


def build_parser() -> argparse.ArgumentParser:
    """The parser; completion and man page are made from it too."""
    parser = _Parser(
        prog=_PROGRAM,
        description="Forwards packets between SR-IOV virtual functions and the virtio-net devices of virtual "
        "machines: the master process, which starts a worker process on each CPU given.",
        epilog="Options win over the configuration file. See also: vio4wd-inspect.",
    )
    parser.add_argument("-v", "--version", action=VersionAction)
    parser.add_argument("--config", metavar="FILE", help="read variables from this file first")
    parser.add_argument(
        "--print-capabilities",
        action="store_true",
        help="print as JSON what kind of backend this is, and exit",
    )
    parser.add_argument("--check-config", action="store_true", help="say what is wrong with it, and exit")
    groups: dict[str, Any] = {}
    for option in OPTIONS:
        if option.flags:
            title = option.group.value
            if title not in groups:
                groups[title] = parser.add_argument_group(title)
            groups[title].add_argument(*option.flags, **_arguments(option))
    return parser


def _arguments(option: Option) -> dict[str, Any]:
    arguments: dict[str, Any] = {"dest": option.field, "help": option.help.replace("%", "%%")}
    match option.shape:
        case Shape.VALUE:
            arguments.update(metavar=option.metavar)
        case Shape.OPTIONAL:
            arguments.update(metavar=option.metavar, nargs="?", const=option.bare)
        case Shape.LIST:
            arguments.update(metavar=option.metavar, action="append")
        case Shape.SWITCH:
            arguments.update(action="store_const", const="true")
    return arguments


def _utf8(text: str) -> bool:
    """Whether an argument was; Python keeps bytes that are not as surrogates."""
    return text.encode(errors="ignore").decode() == text


def read_command_line(argv: Sequence[str]) -> CommandLine:
    """Sort the arguments; nothing is raised, what is wrong is in `errors`."""
    try:
        found, unknown = build_parser().parse_known_args(argv)
    except _UsageError as error:
        return CommandLine({}, [f"{error} (see {_PROGRAM} --help)"], None, False)
    given: dict[str, Given] = {}
    errors = [f"{argument}: no such option (see {_PROGRAM} --help)" for argument in unknown]
    for option in OPTIONS:
        value = getattr(found, option.field, None)
        if option.flags and value is not None:
            texts = tuple(value) if isinstance(value, list) else (value,)
            given[option.field] = Given(texts, option.flags[-1])
            errors += [f"{option.flags[-1]}: {text!r} is not UTF-8 text" for text in texts if not _utf8(text)]
    return CommandLine(
        given, errors, None if found.config is None else _typed_in() / found.config, found.check_config
    )
