"""DPDK's environment: hugepages, the process's role, and its lifetime.

EAL can be initialised once in a process and must come first: a secondary maps the hugepages at the
primary's addresses, and whatever was loaded before may sit there already. Hence nothing here imports
numpy or numba.

What multi-process costs: hugepages that stay files while in use (no `--no-huge`, no `--huge-unlink`), and
a file prefix per instance. PCI devices are taken one by one at run time: an allow-list that names an
address no machine has keeps EAL from taking every device it finds, where `--no-pci` would also hide those
that are attached later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from vio4wd.dpdk._binding import ffi, lib
from vio4wd.dpdk.errors import DpdkError, mark_log, reason

#: A PCI address that cannot exist (the highest function of the highest bus of the highest domain).
NO_PCI_DEVICE: Final = "ffff:ff:1f.7"

_MIB: Final = 1 << 20
#: EAL keeps pointers into its argument vector.
_arguments: list[Any] = []


def init(args: Sequence[str]) -> None:
    """Initialise EAL with these options (no program name).

    Raises:
        DpdkError: EAL refused; it was initialised before.
    """
    if _arguments:
        raise DpdkError("EAL was initialised in this process before; it can be once only")
    words = [ffi.new("char[]", word.encode()) for word in ("vio4wd", *args)]
    vector = ffi.new("char *[]", [*words, ffi.NULL])
    _arguments.extend([*words, vector])
    if lib.vio_log_open() < 0:
        raise DpdkError("no memory for DPDK's log")
    mark_log()
    if lib.rte_eal_init(len(words), vector) < 0:
        raise DpdkError(f"DPDK's environment does not start: {reason(lib.vio_errno())}")
    lib.vio_free_services()


def cleanup() -> None:
    """Release the hugepages of this process; DPDK cannot be used afterwards.

    Raises:
        DpdkError: EAL refused.
    """
    mark_log()
    status = lib.rte_eal_cleanup()
    if status < 0:
        raise DpdkError(f"DPDK's environment does not stop: {reason(status)}")


def version() -> str:
    """The release in use, e.g. "DPDK 22.11.11"."""
    return str(ffi.string(lib.rte_version()).decode())


def tsc_hz() -> int:
    """Cycles a second of the time stamp counter, as EAL measured."""
    return int(lib.rte_get_tsc_hz())


def has_vfio() -> bool:
    """Whether EAL found VFIO with an IOMMU when it was initialised; it does not look again."""
    return bool(lib.rte_vfio_is_enabled(b"vfio"))


def primary_arguments(
    prefix: str, cpu: int, huge_dir: str, *, memory_mib: int = 0, token: str = "", extra: Iterable[str] = ()
) -> list[str]:
    """EAL options of a master.

    Args:
        prefix: names the instance's hugepage files and run-time directory.
        cpu: the CPU its thread runs on, lcore 0 for EAL.
        huge_dir: mount point of the hugetlbfs.
        memory_mib: memory to take at once; 0: it is taken as it is needed.
        token: VFIO VF token (a UUID), empty: none.
        extra: options behind these.
    """
    options = [
        f"--lcores=0@{cpu}",
        "--proc-type=primary",
        f"--file-prefix={prefix}",
        f"--huge-dir={huge_dir}",
        f"--allow={NO_PCI_DEVICE}",
        "--no-telemetry",
    ]
    if memory_mib:
        options.append(f"--socket-mem={memory_mib}")
    if token:
        options.append(f"--vfio-vf-token={token}")
    return [*options, *extra]


def secondary_arguments(prefix: str, lcore: int, cpu: int, *, pci: Iterable[str] = ()) -> list[str]:
    """EAL options of a worker.

    Args:
        prefix: the primary's.
        lcore: EAL's name for the thread, 1..127 and the worker's own: packet pools keep a cache for each.
        cpu: the CPU it runs on.
        pci: addresses of the PCI devices that are attached already.
    """
    allowed = list(pci) or [NO_PCI_DEVICE]
    return [
        f"--lcores={lcore}@{cpu}",
        "--proc-type=secondary",
        f"--file-prefix={prefix}",
        "--no-telemetry",
        *(f"--allow={address}" for address in allowed),
    ]


def hugetlbfs_page_size(directory: str, mounts: Path = Path("/proc/self/mounts")) -> int | None:
    """Bytes of a page of the hugetlbfs mounted there, None where none is."""
    wanted = str(Path(directory).resolve())
    found = None
    for line in mounts.read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind != "hugetlbfs" or where != wanted:
            continue
        found = 2 * _MIB
        for option in options.split(","):
            name, _, value = option.partition("=")
            if name == "pagesize":
                factor = {"K": 1 << 10, "M": _MIB, "G": 1 << 30}[value[-1]]
                found = int(value[:-1]) * factor
    return found


def require_hugepages(
    directory: str,
    mib: int,
    *,
    mounts: Path = Path("/proc/self/mounts"),
    sysfs: Path = Path("/sys/kernel/mm/hugepages"),
) -> None:
    """Check that hugepages can be had before EAL fails less readably.

    Args:
        directory: mount point of a hugetlbfs.
        mib: memory that must be free, MiB.

    Raises:
        DpdkError: nothing is mounted there or too few pages are free; the text has the command that helps.
    """
    page = hugetlbfs_page_size(directory, mounts)
    if page is None:
        raise DpdkError(
            f"no hugetlbfs is mounted on {directory}: "
            f"mkdir -p {directory} && mount -t hugetlbfs nodev {directory}"
        )
    folder = sysfs / f"hugepages-{page >> 10}kB"
    free = int((folder / "free_hugepages").read_text())
    reserved = int((folder / "resv_hugepages").read_text())
    total = int((folder / "nr_hugepages").read_text())
    needed = -(-mib * _MIB // page)
    usable = free - reserved
    if usable < needed:
        raise DpdkError(
            f"{needed} hugepages of {page >> 10} kB are needed, {usable} of {total} are free: "
            f"echo {total + needed - usable} > {folder}/nr_hugepages"
        )
