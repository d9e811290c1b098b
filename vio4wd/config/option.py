"""What a row of the table of options is."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from typing import Any, Final

#: What may be written for a switch in the file.
SWITCH_VALUES: Final = "blank, false, no, 0: off; anything else: on"


class Shape(enum.Enum):
    """How an option stands on the command line."""

    VALUE = "needs a value"
    OPTIONAL = "may stand without a value, then it means `Option.bare`"
    SWITCH = "takes no value and turns something on"
    LIST = "needs a value and may be repeated; arrays in the file"


class Group(enum.Enum):
    """Chapters of the manual and of the shipped file, in their order."""

    CPUS = "CPUs"
    PROCESS = "The process and its log"
    MEMORY = "Memory"
    GUESTS = "Guests (vhost-user)"
    PORTS = "Ports"
    CONTROL = "Control"
    SCHEDULER = "Core scheduler"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One row.

    Attributes:
        field: name of the field of Settings.
        flags: on the command line, short one first; none: only in the file.
        variables: in the file, the preferred spelling first; none: only on the command line.
        convert: from text to value; for a LIST from one element to a tuple of them.
        bare: text that an OPTIONAL flag without a value stands for.
        default: the field's value when nothing is given.
        shipped: what the shipped file assigns; blank: nothing.
        metavar: the value's name in --help.
        valid: what may be written, for the manual.
        help: what it does, one or two sentences.
        live: a changed file takes effect with SIGHUP.
    """

    field: str
    group: Group
    flags: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    shape: Shape = Shape.VALUE
    convert: Callable[[str], Any]
    bare: str = ""
    default: Any = None
    shipped: str = ""
    metavar: str = ""
    valid: str
    help: str
    live: bool = False
