"""Numbers that bound the configuration; a test holds them to those of the shared tables."""

from __future__ import annotations

from typing import Final

RELAYS: Final = 64
WORKERS: Final = 64
#: Pairs of queues of a VF that are used.
VF_QUEUES: Final = 8
#: Bytes of a unix socket's path, the final zero left out (`struct sockaddr_un`).
SOCKET_PATH_BYTES: Final = 107
