"""`vio4wd-master` (also `virtio-forwarder`): the daemon."""

from __future__ import annotations

import logging
import os
import sys

from vio4wd.config.command_line import build_parser
from vio4wd.config.options import ConfigError, parse

__all__ = ["build_parser", "main"]


def main() -> int:
    """Run the daemon; the exit status is 0 after a clean end, 1 if it could not start, 2 for wrong usage."""
    arguments = sys.argv[1:]
    if "--print-capabilities" in arguments:  # whatever else is there (QEMU's conventions for backends)
        print('{"type": "net"}')
        return 0
    try:
        settings = parse(arguments)
    except ConfigError as error:
        for line in error.errors:
            print(f"vio4wd-master: {line}", file=sys.stderr)
        return 2
    if settings.check_config:
        for warning in settings.warnings:
            print(f"vio4wd-master: {warning}", file=sys.stderr)
        print("the configuration is fine")
        return 0
    # Only now, so that a mistyped option is answered at once.
    from vio4wd.master.daemon import run

    status = run(settings, lambda: parse(arguments))
    # All is closed. Taking the interpreter apart would only add half a second to each stop.
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
