"""What was written for an option, and where: so that each error can name its place."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Given:
    """Texts as the operator wrote them.

    Attributes:
        texts: one, or several for a list; none stands for a variable left blank.
        origin: "FILE:LINE: VARIABLE" or the option's flag.
    """

    texts: tuple[str, ...]
    origin: str
