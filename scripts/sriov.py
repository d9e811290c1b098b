"""Runs the scenarios of tests/sriov inside an emulated machine with SR-IOV NICs; arguments are pytest's.

Progress is printed as it is made. What the machine, its kernel and the daemons have logged stays in
.build/sriov/run.
"""

from __future__ import annotations

import compileall
import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from vio4wd.testing import sriov_machine
from vio4wd.testing.qemu import GuestError
from vio4wd.testing.sriov_machine import SriovMachine

_DIRECTORY: Final = sriov_machine.BUILD / "run"
#: Seconds for all scenarios.
_TIMEOUT: Final = 3600.0
_PYTEST: Final = (
    "python -m pytest -p no:cacheprovider -p no:hypothesispytest --confcutdir=tests/sriov -o timeout=900 -v"
)


def _follow(path: Path, ended: threading.Event) -> None:
    """Print what is written to a file until `ended`, and all that is there then."""
    position = 0
    while True:
        last = ended.wait(0.5)
        if path.exists():
            with path.open("rb") as file:
                file.seek(position)
                data = file.read()
            position += len(data)
            sys.stdout.write(data.decode(errors="replace"))
            sys.stdout.flush()
        if last:
            return


def _prepare() -> None:
    """Compile what the machine runs, which takes it thirty times as long as the host."""
    for folder in ("vio4wd", "scripts"):
        compileall.compile_dir(sriov_machine.PROJECT / folder, quiet=2)
    subprocess.run(
        [str(Path(sys.executable).parent / "vio4wd-precompile"), "--quiet"],
        check=True,
        env={**os.environ, **sriov_machine.COMPILE},
    )


def _boot(directory: Path) -> SriovMachine:
    """A machine that takes commands. A boot that hangs is reported, and tried once more.

    Raises:
        GuestError: it hung again, or cannot boot at all.
    """
    machine = SriovMachine(directory)
    try:
        machine.start()
    except GuestError as error:
        if not machine.console.exists():
            raise  # there is no QEMU, or nothing to boot
        print(f"{error}\ntrying once more; the console of this one is in console.log.1", flush=True)
        machine.console.rename(machine.console.with_suffix(".log.1"))
        machine = SriovMachine(directory)
        machine.start()
    return machine


def _run(arguments: Sequence[str], directory: Path) -> int:
    """pytest's exit status in a new machine, or 1 when the machine did not do its part."""
    began = time.monotonic()
    print("booting the machine", flush=True)
    try:
        with contextlib.closing(_boot(directory)) as machine:
            print(f"it is up after {time.monotonic() - began:.0f} s", flush=True)
            ended = threading.Event()
            follower = threading.Thread(target=_follow, args=(machine.results / "output", ended))
            follower.start()
            try:
                return machine.run(f"{_PYTEST} {shlex.join(arguments)} >/mnt/output 2>&1", _TIMEOUT).status
            finally:
                ended.set()
                follower.join()
    except GuestError as error:
        print(error, file=sys.stderr)
        return 1


def main() -> int:
    """pytest's exit status, or 1 when the machine did not do its part.

    Scenarios that have not passed are tried once more, in a new machine: emulated processors and QEMU's
    vIOMMU have faults of their own (docs/sriov.md).
    """
    began = time.monotonic()
    shutil.rmtree(_DIRECTORY, ignore_errors=True)
    print("compiling the kernels for the emulated processor", flush=True)
    _prepare()
    first, second = _DIRECTORY / "first", _DIRECTORY / "second"
    status = _run(sys.argv[1:] or ["tests/sriov"], first)
    left = sriov_machine.scenarios_left(first / "results")
    if status != 0 and left:
        names = "\n".join(left)
        print(f"these have not passed, and are tried once more in a new machine:\n{names}", flush=True)
        status = _run(left, second)
        if status == 0:
            print(f"passed in the second machine only:\n{names}")
    print(f"{time.monotonic() - began:.0f} s in all; logs are in {_DIRECTORY}")
    return status


if __name__ == "__main__":
    sys.exit(main())
