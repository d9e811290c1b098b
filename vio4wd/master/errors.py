"""What can keep the master from starting or from doing what it was asked."""

from __future__ import annotations


class MasterError(Exception):
    """One line for the operator: what failed, where, and what to do."""
