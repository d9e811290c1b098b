"""Live migration of a Linux guest between two QEMUs of this machine.

    target = LinuxGuest([nic], directory, arguments=INCOMING)
    target.start(wait=False)
    moved = migrate(source, target, directory / "migration.sock")
    source.close()

Both need the same NICs but for their backends. Their memory can be compared when the target was started
with `PAUSED` as well: neither runs then.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vio4wd.testing.linux_guest import LinuxGuest
from vio4wd.testing.qemu import GuestError

#: Arguments of a QEMU that a guest will move to.
INCOMING = ("-incoming", "defer")
#: ... and that leaves the guest stopped until it is told "cont".
PAUSED = ("-S",)

#: Bytes a second at which memory is sent the first time, when something is to happen before the end; a
#: second passes until then.
_FIRST_ROUND = 64 << 20
#: ... and while it happens: what the guest has dirtied meanwhile (`_BUSY_MB`) takes longer than that.
_HELD = 256 << 10
_UNLIMITED = 1 << 40
#: MiB of its memory that the guest writes to over and over, so that there is always a next round.
_BUSY_MB = 8


@dataclasses.dataclass(frozen=True)
class Migration:
    """How a migration went, as the source's QEMU tells.

    Attributes:
        downtime_ms: the guest stood still for so long.
        total_ms: from the command to the end.
        transferred: bytes of guest memory sent.
        rounds: how often the dirty log was read.
    """

    downtime_ms: int
    total_ms: int
    transferred: int
    rounds: int

    def __str__(self) -> str:
        size = f"{self.transferred / 1e6:.0f} MB in {self.rounds} rounds"
        return f"downtime {self.downtime_ms} ms, {self.total_ms} ms in all, {size}"


def migrate(
    source: LinuxGuest,
    target: LinuxGuest,
    channel: Path,
    timeout: float = 60.0,
    *,
    meanwhile: Callable[[], None] | None = None,
) -> Migration:
    """Move the guest; the source's QEMU is left as it was when the guest stopped.

    Args:
        channel: path for a unix socket between the two.
        meanwhile: called when all memory has been sent once, and what was dirtied since is being sent; the
            migration does not end before it returns.

    Raises:
        GuestError: it failed or took longer than `timeout` seconds.
    """
    channel.unlink(missing_ok=True)
    target.qmp().command("migrate-incoming", uri=f"unix:{channel}")
    if meanwhile is not None:
        _keep_busy(source)
        _aim(source, bandwidth=_FIRST_ROUND, downtime_ms=1)
    source.qmp().command("migrate", uri=f"unix:{channel}")
    if meanwhile is not None:
        _wait_second_round(source, timeout)
        _aim(source, bandwidth=_HELD, downtime_ms=1)
        meanwhile()
        _aim(source, bandwidth=_UNLIMITED, downtime_ms=2000)
    sent = _finished(source, timeout)
    _finished(target, timeout)
    ram = sent["ram"]
    return Migration(
        int(sent["downtime"]), int(sent["total-time"]), int(ram["transferred"]), int(ram["dirty-sync-count"])
    )


def _keep_busy(guest: LinuxGuest) -> None:
    size = f"bs=1M count={_BUSY_MB}"
    guest.check(f"yes | dd of=/text iflag=fullblock {size} 2>/dev/null")
    guest.check(f"while :; do dd if=/text of=/busy conv=notrunc {size}; done </dev/null >/dev/null 2>&1 &")


def _aim(source: LinuxGuest, *, bandwidth: int, downtime_ms: int) -> None:
    source.qmp().command("migrate-set-parameters", max_bandwidth=bandwidth, downtime_limit=downtime_ms)


def _wait_second_round(source: LinuxGuest, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        info = source.qmp().command("query-migrate")
        status = info.get("status", "none")
        if status == "active" and int(info["ram"]["dirty-sync-count"]) > 1:
            return
        if status not in ("setup", "active") or time.monotonic() > deadline:
            raise GuestError(f"the migration is {status} where its second round was waited for")
        time.sleep(0.01)


def _finished(guest: LinuxGuest, timeout: float) -> dict[str, Any]:
    deadline = time.monotonic() + timeout
    while True:
        info = guest.qmp().command("query-migrate")
        status = info.get("status", "none")
        if status == "completed":
            return info
        if status in ("failed", "cancelled"):
            raise GuestError(f"the migration {status}: {info.get('error-desc', 'QEMU does not say why')}")
        if time.monotonic() > deadline:
            raise GuestError(f"the migration is {status} after {timeout:.0f} s")
        time.sleep(0.02)


def memory_digest(guest: LinuxGuest, file: Path, size: int) -> str:
    """SHA-256 of the first `size` bytes of a stopped guest's memory.

    Args:
        file: for QEMU to write them to; it is removed.
    """
    try:
        guest.qmp().command("pmemsave", val=0, size=size, filename=str(file))
        with file.open("rb") as dump:
            return hashlib.file_digest(dump, "sha256").hexdigest()
    finally:
        file.unlink(missing_ok=True)
