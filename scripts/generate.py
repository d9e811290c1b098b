"""Writes the files that are made from others: protobuf code, the shipped configuration, its manual.

Run it after a change of vio4wd/control/proto/virtioforwarder.proto or vio4wd/config/table.py, with the
packages of the "test" extra installed; the tests fail while a file is out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path

from grpc_tools import protoc

from vio4wd.config.document import default_file, manual

_ROOT = Path(__file__).resolve().parent.parent
_PROTO = _ROOT / "vio4wd/control/proto"


def main() -> int:
    """Returns the exit code of the protobuf compiler."""
    (_ROOT / "conf/virtioforwarder").write_text(default_file())
    (_ROOT / "docs/configuration.md").write_text(manual())
    arguments = [f"-I{_PROTO}", f"--python_out={_PROTO}", f"--pyi_out={_PROTO}", "virtioforwarder.proto"]
    return int(protoc.main(["protoc", *arguments]))


if __name__ == "__main__":
    sys.exit(main())
