"""The configuration file, usually /etc/default/virtioforwarder: which variable is which option."""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path
from typing import Final

from vio4wd.config.given import Given
from vio4wd.config.option import Option, Shape
from vio4wd.config.shellfile import Assignment, read_assignments
from vio4wd.config.table import OPTIONS

#: A file of variables is a few KiB; more is another file.
MAX_BYTES: Final = 1 << 18

_BY_VARIABLE: Final[dict[str, Option]] = {name: option for option in OPTIONS for name in option.variables}


@dataclasses.dataclass(frozen=True, slots=True)
class FileContents:
    """What a file says, by field of Settings; variables left blank are not in it."""

    given: dict[str, Given]
    errors: list[str]
    warnings: list[str]


def read_file(path: Path) -> FileContents:
    """Read the file; nothing is raised, what is wrong is in `errors`, each with file and line."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        return FileContents({}, [f"{path}: cannot be read: {error.strerror}"], [])
    if len(data) > MAX_BYTES:
        return FileContents({}, [f"{path}: larger than {MAX_BYTES} bytes, so not a file of variables"], [])
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return FileContents({}, [f"{path}:{line}: is not UTF-8 text"], [])
    assignments, problems = read_assignments(text)
    contents = FileContents({}, [f"{path}:{problem.line}: {problem.message}" for problem in problems], [])
    first: dict[str, Assignment] = {}
    for assignment in assignments:
        _take(path, assignment, contents, first)
    return contents


def _take(path: Path, assignment: Assignment, contents: FileContents, first: dict[str, Assignment]) -> None:
    origin = f"{path}:{assignment.line}: {assignment.name}"
    option = _BY_VARIABLE.get(assignment.name)
    if option is None:
        close = difflib.get_close_matches(assignment.name, _BY_VARIABLE, n=1)
        contents.errors.append(f"{origin}: no such variable" + (f", is {close[0]} meant?" if close else ""))
        return
    if assignment.is_array and option.shape is not Shape.LIST and len(assignment.words) > 1:
        contents.errors.append(f"{origin}: takes one value, not {len(assignment.words)}")
        return
    texts = tuple(word for word in assignment.words if word.strip())
    if option.shape is Shape.LIST and not assignment.is_array:
        texts = tuple(word for text in texts for word in _elements(option, text))
    earlier = first.setdefault(option.field, assignment)
    if earlier is not assignment:
        # The two spellings of the OVSDB variable may both be there, one of them blank.
        if earlier.name == assignment.name:
            contents.warnings.append(f"{origin}: replaces the value of line {earlier.line}")
        elif texts and option.field in contents.given and contents.given[option.field].texts != texts:
            contents.errors.append(
                f"{origin}: differs from {earlier.name} in line {earlier.line}, which means the same"
            )
            return
        elif not texts:
            return
    contents.given.pop(option.field, None)
    if texts:
        contents.given[option.field] = Given(texts, origin)


def _elements(option: Option, text: str) -> tuple[str, ...]:
    """A list written without parentheses: several static VFs may stand in one value, separated by blanks."""
    return tuple(text.split()) if option.field == "static_vfs" else (text,)
