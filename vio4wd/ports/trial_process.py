"""The secondary process of `trial`: polls a port as a worker would and prints "direct", or "pumped" and why.

Run as `python -m vio4wd.ports.trial_process`. It may crash; that is an answer too.
"""

from __future__ import annotations

import argparse
import sys
import threading
from typing import Final

from vio4wd.dpdk import eal
from vio4wd.dpdk.errors import DpdkError
from vio4wd.dpdk.ethdev import Port

#: Packets received at most; they are lost, on a port that no worker serves yet.
_POLLS: Final = 64


def _examine(port: Port, libraries: list[str]) -> str:
    """ "direct", or why not. `libraries`: where the primary's functions are, receiving and sending."""
    if not port.exists():
        return "pumped: a secondary process does not see them"
    for library, transmit in zip(libraries, (False, True), strict=True):
        origin = port.burst_origin(transmit=transmit)
        if origin is None or origin[0] != library:
            what = "send" if transmit else "receive"
            return f"pumped: the driver does not {what} in secondary processes"
    # On a thread of ours, which has no lcore, so that no mbuf stays in an lcore's cache.
    poller = threading.Thread(target=port.drain, args=(_POLLS,))
    poller.start()
    poller.join()
    return "direct"


def main() -> int:
    """Exit status 0: the answer is on standard output; 1: the reason why there is none on standard error."""
    options = argparse.ArgumentParser()
    options.add_argument("--prefix", required=True)
    options.add_argument("--lcore", type=int, required=True)
    options.add_argument("--cpu", type=int, required=True)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--library", action="append", default=[])
    options.add_argument("--pci", action="append", default=[])
    chosen = options.parse_args()
    try:
        eal.init(eal.secondary_arguments(chosen.prefix, chosen.lcore, chosen.cpu, pci=chosen.pci))
        verdict = _examine(Port(chosen.port), chosen.library)
        eal.cleanup()
    except DpdkError as error:
        print(error, file=sys.stderr)
        return 1
    print(verdict)
    return 0


if __name__ == "__main__":
    sys.exit(main())
