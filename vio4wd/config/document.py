"""The shipped configuration file and its manual, made from the table; `scripts/generate.py` stores both."""

from __future__ import annotations

import textwrap
from pathlib import PurePath

from vio4wd.config.option import Group, Option, Shape
from vio4wd.config.table import OPTIONS

_FILE_HEAD = """\
# Configuration of virtio-forwarder (VIO4WD) and vio4wd_core_scheduler, usually /etc/default/virtioforwarder.
#
# One variable=value in a line; lists may be arrays: ( a b ). No shell reads this file: nothing is expanded.
# A blank value means the same as no value. To check it: vio4wd-master --config FILE --check-config
"""

_MANUAL_HEAD = """\
# Configuration

<!-- Written by scripts/generate.py from vio4wd/config/table.py. -->

`vio4wd-master` takes options on its command line, and variables from the file that `--config FILE` names (the
systemd unit names `/etc/default/virtioforwarder`). Options win over the file. With `--check-config` it only
says what is wrong, each with file and line, and exits with 0 or 2.

The file is one `variable=value` a line, with `#` comments, quotes, and bash arrays `( a b )` for lists. It is
parsed, not run: `$` and backquotes outside single quotes are errors. A blank value means the same as none. A
variable that is not in these tables is an error.

SIGHUP reads the file again; options marked *live* take effect, others that changed are named in the log and
wait for a restart.

ZeroMQ port control, the OVSDB monitor and the command file exclude each other, for each would undo what
another does: the daemon refuses to start with two of them.
"""


def default_file() -> str:
    """The text of conf/virtioforwarder: every variable with its description and its shipped value."""
    blocks = [_FILE_HEAD]
    for group, options in _grouped():
        rows = [option for option in options if option.variables]
        if rows:
            blocks.append(f"\n# ---- {group.value} " + "-" * (100 - len(group.value)) + "\n")
            blocks += [_assignment(option) for option in rows]
    return "".join(blocks)


def _assignment(option: Option) -> str:
    lines = textwrap.wrap(option.help, 98)
    lines += textwrap.wrap(f"Values: {option.valid}.", 98)
    if len(option.variables) > 1:
        lines.append(f"Another spelling: {', '.join(option.variables[1:])}.")
    value = "()" if option.shape is Shape.LIST else option.shipped
    return "\n" + "".join(f"# {line}\n" for line in lines) + f"{option.variables[0]}={value}\n"


def manual() -> str:
    """The text of docs/configuration.md."""
    blocks = [_MANUAL_HEAD]
    for group, options in _grouped():
        blocks.append(f"\n## {group.value}\n\n| option | variable | values | default |\n|---|---|---|---|\n")
        blocks += [_row(option) for option in options]
        blocks.append("\n")
        blocks += [f"* {_title(option)}: {option.help}{' *(live)*' * option.live}\n" for option in options]
    return "".join(blocks)


def _grouped() -> list[tuple[Group, list[Option]]]:
    return [(group, [option for option in OPTIONS if option.group is group]) for group in Group]


def _title(option: Option) -> str:
    return f"`{option.flags[-1]}`" if option.flags else f"`{option.variables[0]}`"


def _row(option: Option) -> str:
    flags = ", ".join(f"`{flag}`" for flag in option.flags)
    if option.metavar:
        flags += f" `[{option.metavar}]`" if option.shape is Shape.OPTIONAL else f" `{option.metavar}`"
    variables = ", ".join(f"`{name}`" for name in option.variables)
    return (
        f"| {flags or '-'} | {variables or '-'} | {option.valid.replace('|', '/')} | {_default(option)} |\n"
    )


def _default(option: Option) -> str:
    """The default in the manual's words; what the option alone stands for goes with it."""
    match option.default:
        case bool() | None | ():
            default = "off" if option.default is False else "-"
        case PurePath() | str() | int() | float():
            default = f"`{option.default}`"
    return f"{default}; without value: `{option.bare}`" if option.bare else default
