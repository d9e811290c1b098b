"""Where QEMU and the guest's files are (made by scripts/setup-guest), and whether KVM can run guests here.

An openable /dev/kvm is no proof: on some virtual machines a guest then hangs in early boot. So KVM is
tried once with a guest, and the verdict is kept until this machine reboots.
"""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

from vio4wd.testing.process import ChildProcess
from vio4wd.testing.wait import wait_for

BUILD = Path(__file__).resolve().parents[2] / ".build"
KERNEL = BUILD / "guest" / "vmlinux"
INITRAMFS = BUILD / "guest" / "initramfs"

_QEMU = BUILD / "qemu"
_PROGRAM = _QEMU / "usr/bin/qemu-system-x86_64"
#: Seconds that a guest under KVM may take to its init process; a working one needs less than two.
_KVM_TRIAL = 10.0


class GuestError(Exception):
    """A guest could not be started or did not do what it was told."""


def environment() -> dict[str, str]:
    """The environment that QEMU needs to find its libraries."""
    libraries = [_QEMU / "usr/lib/x86_64-linux-gnu", _QEMU / "lib/x86_64-linux-gnu"]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, libraries))}


def command(
    accelerator: str, kernel: Path = KERNEL, initramfs: Path = INITRAMFS, options: str = ""
) -> list[str]:
    """QEMU's program and the arguments that every guest has; `accelerator` is "kvm" or "tcg".

    Args:
        options: for the kernel, beside those of every guest.

    Raises:
        GuestError: a file is not there.
    """
    for path in (_PROGRAM, kernel, initramfs):
        if not path.exists():
            script = "setup-guest" if path in (_PROGRAM, KERNEL, INITRAMFS) else "setup-sriov"
            raise GuestError(f"{path} is missing: run scripts/{script}")
    firmware = [_QEMU / "usr/share/qemu", _QEMU / "usr/share/seabios", _QEMU / "usr/lib/ipxe/qemu"]
    return [
        str(_PROGRAM),
        *(argument for path in firmware for argument in ("-L", str(path))),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-accel", "kvm" if accelerator == "kvm" else "tcg,thread=multi"),
        *(("-cpu", "host") if accelerator == "kvm" else ()),
        *("-kernel", str(kernel), "-initrd", str(initramfs)),
        *("-append", f"console=ttyS0 panic=-1 loglevel=4 random.trust_cpu=on {options}".rstrip()),
    ]


@functools.cache
def accelerator() -> str:
    """The accelerator that runs guests on this machine: "kvm" or "tcg" (software emulation)."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    verdict = BUILD / "guest" / f"accelerator-{boot}"
    if not verdict.exists():
        verdict.write_text("kvm" if _kvm_works() else "tcg")
    return verdict.read_text()


def _kvm_works() -> bool:
    with tempfile.TemporaryDirectory() as directory:
        console = Path(directory, "console")
        agent = Path(directory, "agent")
        console.touch()
        arguments = [
            *command("kvm"),
            *("-machine", "q35", "-m", "192", "-serial", f"file:{console}", "-serial", f"file:{agent}"),
        ]
        with ChildProcess(arguments, Path(directory, "log"), environment=environment()) as trial:
            try:
                wait_for(
                    lambda: not trial.running() or (agent.exists() and b"ready" in agent.read_bytes()),
                    "a guest under KVM",
                    _KVM_TRIAL,
                )
            except TimeoutError:
                return False
            return trial.running()
