"""The command line that DPDK's environment abstraction layer is started with, and where it keeps files."""

from __future__ import annotations

import os
import pathlib
import re

#: A PCI address that cannot exist (bus 255 of the last domain). An allow list with it keeps EAL from
#: taking devices at start, while devices can still be attached later; --no-pci would forbid that too.
_NO_DEVICE = "ffff:ff:1f.7"

#: Syslog levels (0 emergency .. 7 debug) to RTE_LOG_* (1 .. 8). EAL's "info" is chatter about memory
#: and buses which our operator did not ask for, so our info is its notice.
_LOG_LEVELS = (1, 2, 3, 4, 5, 6, 6, 8)

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def eal_log_level(loglevel: int) -> int:
    """RTE_LOG_* number for a syslog level 0..7."""
    return _LOG_LEVELS[loglevel]


def primary_arguments(
    *, instance: str, cpu: int, huge_dir: str, loglevel: int, vfio_vf_token: str | None = None
) -> list[str]:
    """Arguments of rte_eal_init for the primary process.

    Args:
        instance: names the runtime directory and the hugepage files.
        cpu: the master CPU.
        huge_dir: mount point of hugetlbfs.
        loglevel: 0..7 as for syslog.
        vfio_vf_token: UUID that vfio-pci asks for when the physical function is also in user space.

    Raises:
        ValueError: the token is no UUID.
    """
    arguments = [
        "vio4wd-master",
        "-l",
        str(cpu),
        "--proc-type=primary",
        f"--file-prefix={instance}",
        f"--huge-dir={huge_dir}",
        f"--allow={_NO_DEVICE}",
        f"--log-level={eal_log_level(loglevel)}",
        "--no-telemetry",
    ]
    if vfio_vf_token:
        if not _UUID.fullmatch(vfio_vf_token):
            raise ValueError(f"the VFIO VF token must be a UUID, not {vfio_vf_token!r}")
        arguments.append(f"--vfio-vf-token={vfio_vf_token}")
    return arguments


def runtime_directory(instance: str) -> pathlib.Path:
    """Where EAL keeps the sockets and files that its processes share (eal_create_runtime_dir)."""
    base = os.environ.get("RUNTIME_DIRECTORY")
    if base is None:
        base = "/var/run" if os.getuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "/tmp")
    return pathlib.Path(base) / "dpdk" / instance
