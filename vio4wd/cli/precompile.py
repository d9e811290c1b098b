"""`vio4wd-precompile`: compile all kernels into the cache, so that workers start at once."""

from __future__ import annotations

import argparse
import importlib
import sys
import time

#: Modules with compiled entry points, and what they are for.
_MODULES = {
    "vio4wd.kernels.relay_loop": "forwarding",
    "vio4wd.kernels.ring_set_up": "ring set-up",
    "vio4wd.kernels.pump": "pump of ports that only the master can poll",
}


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="vio4wd-precompile", description=__doc__)
    options.add_argument("-q", "--quiet", action="store_true", help="say nothing when all goes well")
    return options


def main() -> int:
    """Compile one kernel after the other: numba's cache must not be filled by several processes at once."""
    options = parser().parse_args()
    from vio4wd.kernels.compile import cache_folder

    for name, purpose in _MODULES.items():
        began = time.monotonic()
        importlib.import_module(name)
        if not options.quiet:
            print(f"{purpose}: {time.monotonic() - began:.1f} s")
    if not options.quiet:
        print(f"compiled kernels are in {cache_folder()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
