"""`vio4wd-precompile`: compile all kernels into the cache, so that workers start at once."""

from __future__ import annotations

import argparse
import sys
import time

from vio4wd.config.version import VersionAction

#: What the compiled kernels are for.
_PURPOSES = {
    "run": "forwarding",
    "set_up": "ring set-up",
    "run_pump": "pump of ports that only the master can poll",
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
    from vio4wd.kernels.machine_code import cache_folder, machine_code

    for name, purpose in _PURPOSES.items():
        began = time.monotonic()
        machine_code(name)
        if not options.quiet:
            print(f"{purpose}: {time.monotonic() - began:.1f} s")
    if not options.quiet:
        print(f"compiled kernels are in {cache_folder()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
