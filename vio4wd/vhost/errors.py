"""What can go wrong with a frontend or its socket; each message is one line for the log."""

from __future__ import annotations


class VhostError(Exception):
    """Base of the errors of this package."""


class ViolationError(VhostError):
    """The frontend broke the protocol: its connection is closed."""


class RefusedError(VhostError):
    """A proper request that cannot be met: the frontend is told when it asked to be, nothing changes."""


class SocketError(VhostError):
    """The relay's socket cannot be made or used: says where, why, and what to do."""
