"""The limit of open files.

Each queue of a guest takes up to three descriptors (kick, call, error), each region of its memory one, here
and in its workers: 64 guests with 32 queue pairs need some 14,000, where the limit may be 1,024.
"""

from __future__ import annotations

import logging
import resource
from typing import Final

_log = logging.getLogger(__name__)

#: Enough for all relays with all queues, several times over.
WANTED: Final = 65536
#: What they need.
NEEDED: Final = 16384


def raise_limit(wanted: int = WANTED, needed: int = NEEDED) -> int:
    """Raise this process's limit, and that of the workers to come, as far as the system allows.

    Returns:
        The limit now; one that was higher before stays. Less than `needed` is logged.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = ((wanted, max(hard, wanted)), (min(wanted, hard), hard))  # the first needs CAP_SYS_RESOURCE
    for limit in limits if soft < wanted else ():
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        except (OSError, ValueError):
            continue
        soft = limit[0]
        break
    if soft < needed:
        _log.warning(
            "at most %d files can be open, which may not do for many guests with many queues: "
            "raise it to %d (LimitNOFILE= in the unit, or ulimit -n)",
            soft,
            wanted,
        )
    return soft
