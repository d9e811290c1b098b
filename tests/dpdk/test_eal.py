"""EAL: hugepage checks, refusals, and one initialisation a process."""

from pathlib import Path

import pytest

from vio4wd.dpdk import eal
from vio4wd.dpdk.errors import DpdkError
from vio4wd.testing.hugepages import mount_point
from vio4wd.testing.isolated import primary, run_isolated

MOUNTS = """\
proc /proc proc rw 0 0
nodev /dev/hugepages hugetlbfs rw,relatime,pagesize=2M 0 0
nodev /mnt/huge-1G hugetlbfs rw,pagesize=1024M 0 0
nodev /mnt/plain hugetlbfs rw 0 0
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    path = tmp_path / "mounts"
    path.write_text(MOUNTS)
    return path


def pages(folder: Path, size_kb: int, total: int, free: int, reserved: int = 0) -> Path:
    here = folder / f"hugepages-{size_kb}kB"
    here.mkdir(parents=True)
    for name, value in (("nr", total), ("free", free), ("resv", reserved)):
        (here / f"{name}_hugepages").write_text(f"{value}\n")
    return folder


@pytest.mark.parametrize(
    ("directory", "size"),
    [("/dev/hugepages", 2 << 20), ("/mnt/huge-1G", 1 << 30), ("/mnt/plain", 2 << 20), ("/proc", None)],
)
def test_page_size_is_that_of_the_mount(mounts: Path, directory: str, size: int | None):
    assert eal.hugetlbfs_page_size(directory, mounts) == size


def test_enough_hugepages_are_accepted(mounts: Path, tmp_path: Path):
    eal.require_hugepages("/dev/hugepages", 64, mounts=mounts, sysfs=pages(tmp_path / "s", 2048, 100, 32))


def test_too_few_hugepages_are_named_with_the_remedy(mounts: Path, tmp_path: Path):
    sysfs = pages(tmp_path / "s", 2048, 100, 40, reserved=10)
    with pytest.raises(DpdkError) as caught:
        eal.require_hugepages("/dev/hugepages", 64, mounts=mounts, sysfs=sysfs)
    assert str(caught.value) == (
        "32 hugepages of 2048 kB are needed, 30 of 100 are free: "
        f"echo 102 > {sysfs}/hugepages-2048kB/nr_hugepages"
    )


def test_a_missing_mount_is_named_with_the_remedy(mounts: Path):
    with pytest.raises(DpdkError, match="no hugetlbfs is mounted on /nowhere: mkdir -p /nowhere && mount"):
        eal.require_hugepages("/nowhere", 64, mounts=mounts)


def refused() -> str:
    with pytest.raises(DpdkError) as caught:
        eal.init(["--no-such-option"])
    return str(caught.value)


def test_a_refusal_says_what_dpdk_said():
    assert run_isolated(refused).startswith("DPDK's environment does not start: ")


def twice() -> str:
    with primary(), pytest.raises(DpdkError) as caught:
        eal.init([])
    return str(caught.value)


def test_eal_starts_once_in_a_process():
    assert "can be once only" in run_isolated(twice)


def version_and_clock() -> tuple[str, int]:
    with primary():
        return eal.version(), eal.tsc_hz()


def test_version_and_clock_are_known():
    version, hertz = run_isolated(version_and_clock)
    assert version.startswith("DPDK ")
    assert hertz > 100_000_000


def files_of_an_instance() -> list[str]:
    with primary() as prefix:
        pass
    return [prefix, *(path.name for path in mount_point().glob(f"{prefix}*"))]


def test_a_primary_leaves_no_hugepage_file():
    prefix, *left = run_isolated(files_of_an_instance)
    assert left == []
    assert not Path(f"/var/run/dpdk/{prefix}").exists()
