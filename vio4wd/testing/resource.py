"""What is used in a `with` block and closed at its end."""

from __future__ import annotations

import abc
from types import TracebackType
from typing import Self


class Resource(abc.ABC):
    """Something that somebody has to close."""

    @abc.abstractmethod
    def close(self) -> None:
        """Give back what it holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
