"""`vio4wd-precompile`: compile all kernels into the cache, so that workers start at once."""

from __future__ import annotations

import argparse
import importlib
import sys
import time

from vio4wd.config.version import VersionAction

#: Modules with compiled entry points, and what they are for.
_MODULES = {
    "vio4wd.kernels.relay_loop": "forwarding",
    "vio4wd.kernels.ring_set_up": "ring set-up",
    "vio4wd.kernels.pump": "pump of ports that only the master can poll",
}


def build_parser() -> argparse.ArgumentParser:
    """The parser; completion and man page are made from it too."""
    parser = argparse.ArgumentParser(
        prog="vio4wd-precompile",
        description="Compiles virtio-forwarder's kernels into the cache, so that its workers start at once.",
    )
    parser.add_argument("--version", action=VersionAction)
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing when all goes well")
    return parser


def main() -> int:
    """Compile one kernel after the other."""
    options = build_parser().parse_args()
    from vio4wd.kernels.cold_cache import one_at_a_time
    from vio4wd.kernels.compile import cache_folder

    with one_at_a_time():
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
