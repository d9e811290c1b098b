"""How much there can be of everything: numbers that bound the configuration, requests and shared tables."""

from __future__ import annotations

from typing import Final

MAX_RELAYS: Final = 64
MAX_WORKERS: Final = 64
#: Of a guest's device.
MAX_QUEUE_PAIRS: Final = 32
MAX_QUEUES: Final = 2 * MAX_QUEUE_PAIRS
#: Pairs of queues of a VF that are used, a power of two (`vio4wd.worker.lanes`).
MAX_VF_QUEUES: Final = 8
#: Lanes of a direction: each has a queue of the VF at least.
MAX_LANES: Final = MAX_VF_QUEUES
#: Bytes of a unix socket's path, the final zero left out (`struct sockaddr_un`).
SOCKET_PATH_BYTES: Final = 107
