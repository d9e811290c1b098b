"""What a daemon of this instance leaves on the machine, and its removal.

Called with the pid file's lock held: whatever carries the instance's name then belongs to nobody, be
it from a master that was killed (at start) or from this one (at the end).
"""

from __future__ import annotations

import contextlib
import glob
import os
import pathlib
import shutil
import signal
import time

from vio4wd.master import eal_files
from vio4wd.shm import segment


def remove_all(instance: str, huge_dir: str) -> list[str]:
    """Kill orphaned workers; remove the shared memory, EAL's runtime directory and the hugepage files.

    Returns:
        What was there, for the log.
    """
    found = [f"worker process {pid}" for pid in kill_orphans(instance)]
    if pathlib.Path("/dev/shm", instance).exists():
        segment.remove(instance)
        found.append(f"shared memory /{instance}")
    return found + remove_eal_files(instance, huge_dir)


def remove_eal_files(instance: str, huge_dir: str) -> list[str]:
    """Remove EAL's runtime directory and the hugepage files of the instance; says what was there."""
    found = []
    runtime = eal_files.runtime_directory(instance)
    if runtime.is_dir():
        shutil.rmtree(runtime, ignore_errors=True)
        found.append(str(runtime))
    pages = list(pathlib.Path(huge_dir).glob(f"{glob.escape(instance)}map_*"))
    for page in pages:
        with contextlib.suppress(FileNotFoundError):
            page.unlink()
    if pages:
        found.append(f"{len(pages)} hugepage files in {huge_dir}")
    return found


def kill_orphans(instance: str) -> list[int]:
    """Kill the workers that the instance's tables name and wait until they are gone.

    A worker notices the end of its master by itself, but not before its time slice is over; until
    then it would go on with packet memory that the next master believes to be its own.

    Returns:
        Their process ids.
    """
    try:
        tables = segment.attach(instance, readonly=True)
    except segment.SegmentError:
        return []
    try:
        named = [(int(w["pid"]), int(w["start_time"])) for w in tables.tables["workers"]]
    finally:
        tables.close()
    orphans = [
        (pid, started) for pid, started in named if pid > 0 and segment.process_start_time(pid) == started
    ]
    for pid, _ in orphans:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 2
    for pid, started in orphans:
        while (
            segment.process_start_time(pid) == started and time.monotonic() < deadline and not _is_zombie(pid)
        ):
            time.sleep(0.01)
    return [pid for pid, _ in orphans]


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True
