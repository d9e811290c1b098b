"""The one exception of this package."""

from __future__ import annotations


class BindingError(Exception):
    """A device is not bound; one line: which one, why, what to do."""
