"""The one exception of this package."""

from __future__ import annotations

from collections.abc import Iterable


class ConfigError(Exception):
    """Everything that is wrong with the command line and the configuration file.

    Attributes:
        errors: one line for each, saying where, what and what to do.
    """

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors))
