"""virtioforwarder(5): the configuration file, from the table of options."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from vio4wd.config.option import Group, Option, Shape
from vio4wd.config.table import OPTIONS
from vio4wd.manual import roff

NAME: Final = "virtioforwarder"
SECTION: Final = 5

_DESCRIPTION: Final = (
    "vio4wd-master and vio4wd_core_scheduler read the file that --config names; their systemd units name "
    "/etc/default/virtioforwarder. Options on the command line win over it.",
    "A line is a comment that begins with #, or an assignment variable=value. Quotes and arrays ( a b ) are "
    "understood as a shell does; nothing is expanded or run. A blank value means the same as none.",
    "Unknown variables and wrong values are reported with file and line, all at once: "
    "vio4wd-master --config FILE --check-config. SIGHUP has the daemon read the file again; variables marked "
    "as live take effect then, others at its next start.",
)


def page(version: str, see_also: Iterable[str]) -> str:
    """The page."""
    parts = [
        roff.title(NAME, SECTION, version),
        roff.heading("NAME"),
        f"{NAME} \\- configuration of virtio\\-forwarder\n",
        roff.heading("DESCRIPTION"),
        *(roff.paragraph(text) for text in _DESCRIPTION),
        roff.heading("VARIABLES"),
    ]
    for group in Group:
        options = [option for option in OPTIONS if option.group is group and option.variables]
        if options:
            parts += [roff.subheading(group.value), *map(_item, options)]
    parts += [
        roff.heading("FILES"),
        roff.item(roff.italic("/etc/default/virtioforwarder"), "the usual place"),
    ]
    parts += [roff.heading("SEE ALSO"), roff.paragraph(", ".join(sorted(see_also)))]
    return "".join(parts)


def _item(option: Option) -> str:
    lines = [option.help, f"Values: {option.valid}."]
    if option.shape is not Shape.SWITCH and option.default not in (None, (), False):
        lines.append(f"Default: {option.default}.")
    if option.flags:
        lines.append(f"The same as {option.flags[-1]}.")
    if option.live:
        lines.append("Live.")
    return roff.item(", ".join(map(roff.bold, option.variables)), "\n".join(lines))
