"""Reads `variable=value` files written for a shell, without running one.

The old start-up scripts sourced /etc/default/virtioforwarder, so the file may hold what bash makes of
plain assignments: comments, single and double quotes, backslashes, arrays `( a b )` over one or more
lines, `export` in front. Nothing is expanded or executed: `$` and backquotes that a shell would act on
are errors, for a value that silently differs from what the shell would have made is worse than none.
A value of several unquoted words is the words with a space between them, as systemd reads such files.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Final

_ASSIGNMENT: Final = re.compile(
    r"\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<plus>\+?)=(?P<rest>.*)"
)
#: Surely the beginning of a variable, and no element of an array such as `net_tap0=1`.
_VARIABLE: Final = re.compile(r"\s*(?:export\s+)?[A-Z][A-Z0-9_]*=")
_ACTIVE: Final = "$`"


@dataclasses.dataclass(frozen=True, slots=True)
class Assignment:
    """One variable of the file.

    Attributes:
        words: the elements of an array; otherwise the one value, or nothing where it is blank.
        is_array: whether it was written with parentheses.
        line: number of its first line, from 1.
    """

    name: str
    words: tuple[str, ...]
    is_array: bool
    line: int


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """A line that is no assignment."""

    line: int
    message: str


class _UnfinishedError(Exception):
    """A quote or an array goes on after the end of the text."""


def read_assignments(text: str) -> tuple[list[Assignment], list[Problem]]:
    """All assignments of a file in their order, and all lines that are none."""
    assignments: list[Assignment] = []
    problems: list[Problem] = []
    lines = text.splitlines()
    index = 0
    while index < len(lines):
        number = index + 1
        line = lines[index]
        index += 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line)
        if match is None:
            problems.append(Problem(number, f"{line.strip()!r} is not variable=value"))
            continue
        if match["plus"]:
            problems.append(Problem(number, "+= is not supported: write the whole value with ="))
            continue
        # What quotes or parentheses leave open goes on in the next lines, but not into the next
        # variable: the partner is missing then, and the rest of the file shall be read.
        value = match["rest"]
        while True:
            try:
                assignments.append(_assignment(match["name"], value, number))
            except _UnfinishedError as reason:
                if index < len(lines) and not _VARIABLE.match(lines[index]):
                    value += "\n" + lines[index]
                    index += 1
                    continue
                problems.append(Problem(number, str(reason)))
            except ValueError as error:
                problems.append(Problem(number, str(error)))
            break
    return assignments, problems


def _assignment(name: str, value: str, line: int) -> Assignment:
    stripped = value.lstrip()
    if not stripped.startswith("("):
        words, _ = _words(value, 0, closing="")
        return Assignment(name, (" ".join(words),) if words else (), False, line)
    words, end = _words(stripped, 1, closing=")")
    rest = stripped[end:].strip()
    if rest and not rest.startswith("#"):
        raise ValueError(f"{rest!r} after the closing parenthesis")
    return Assignment(name, tuple(words), True, line)


def _words(text: str, start: int, closing: str) -> tuple[list[str], int]:
    """The words from `start` up to `closing` (or the end), and where that was.

    Raises:
        _UnfinishedError: a quote or the array is not closed.
        ValueError: something that only a shell can evaluate.
    """
    words: list[str] = []
    word: list[str] | None = None  # None: between words
    index = start
    while index < len(text):
        char = text[index]
        if char.isspace() or (closing and char == closing):
            if word is not None:
                words.append("".join(word))
                word = None
            index += 1
            if char == closing:
                return words, index
        elif char == "#" and word is None:
            newline = text.find("\n", index)
            index = len(text) if newline < 0 else newline
        else:
            piece, index = _piece(text, index)
            word = [*(word or ()), piece]
    if closing:
        raise _UnfinishedError("the array has no closing parenthesis")
    if word is not None:
        words.append("".join(word))
    return words, index


def _piece(text: str, index: int) -> tuple[str, int]:
    """One quoted string, escaped character or plain character of a word, and the index after it."""
    char = text[index]
    if char == "\\":
        if index + 1 == len(text):
            raise _UnfinishedError("a backslash at the end of the file")
        escaped = text[index + 1]
        return ("" if escaped == "\n" else escaped), index + 2
    if char in _ACTIVE:
        raise ValueError(f"{char!r} would need a shell, and none is run: write the value itself")
    if char == "'":
        end = text.find("'", index + 1)
        if end < 0:
            raise _UnfinishedError("a ' without its partner")
        return text[index + 1 : end], end + 1
    if char == '"':
        return _double_quoted(text, index + 1)
    return char, index + 1


def _double_quoted(text: str, index: int) -> tuple[str, int]:
    piece: list[str] = []
    while index < len(text):
        char = text[index]
        if char == '"':
            return "".join(piece), index + 1
        if char in _ACTIVE:
            raise ValueError(f"{char!r} would need a shell, and none is run: write the value itself")
        if char == "\\" and index + 1 < len(text) and text[index + 1] in '"\\$`\n':
            index += 1
            char = "" if text[index] == "\n" else text[index]
        piece.append(char)
        index += 1
    raise _UnfinishedError('a " without its partner')
