"""The shared memory segment of one daemon: created by the master, mapped by workers and tools.

A segment outlives a master that was killed. Whoever finds one can tell: the header carries the
master's process id and the start time of that process, so that a recycled id is not taken for it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pathlib
import time

import numpy as np
import posix_ipc
import psutil

from vio4wd.shm import layout

_FOLDER = pathlib.Path("/dev/shm")


class SegmentError(Exception):
    """A segment cannot be created or attached; the text says which one, why, and what to do."""


class Segment:
    """A mapping of the tables. `tables` is the record of `layout.TABLES`; close() unmaps it.

    Attributes:
        name: of the daemon's instance (without the slash of POSIX names).
        tables: the record; writing through a read-only mapping raises ValueError.
        address: of the first byte in this process, 0 for a read-only mapping.
    """

    def __init__(self, name: str, fd: int, *, writable: bool) -> None:
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        try:
            self._map = mmap.mmap(fd, layout.TABLES.itemsize, access=access)
        finally:
            os.close(fd)
        self.name = name
        self._array = np.frombuffer(self._map, dtype=layout.TABLES)
        self.tables = self._array[0]
        self.address = self._array.ctypes.data if writable else 0

    def close(self) -> None:
        """Unmap. The caller holds no view of the tables any more, or the mapping stays until it goes."""
        del self.tables, self._array
        # A view that somebody still holds keeps the mapping alive; it goes with the view.
        with contextlib.suppress(BufferError):
            self._map.close()

    def field(self, *path: str | int) -> int:
        """Address of a part of the tables, e.g. field("directions", 3, 0) for relay 3, VF->VM.

        Args:
            path: field names and indices, outermost first.
        """
        dtype, offset = layout.TABLES, 0
        for step in path:
            if isinstance(step, str):
                assert dtype.fields is not None
                dtype, start = dtype.fields[step][:2]
                offset += start
            else:
                assert dtype.subdtype is not None
                element, shape = dtype.subdtype
                offset += step * (dtype.itemsize // shape[0])
                dtype = np.dtype((element, shape[1:])) if len(shape) > 1 else element
        return self.address + offset


def process_start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot (field 22 of /proc/PID/stat); 0: it is gone."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[19])


def create(name: str, tsc_hz: int) -> Segment:
    """Create the segment of this process's daemon, all zero but the header. A dead master's is replaced.

    Raises:
        SegmentError: another living master owns it.
    """
    remove_stale(name)
    try:
        memory = posix_ipc.SharedMemory(f"/{name}", posix_ipc.O_CREX, mode=0o640, size=layout.TABLES.itemsize)
    except posix_ipc.ExistentialError:
        raise SegmentError(f"shared memory /{name} belongs to a running master (pid {owner(name)})") from None
    segment = Segment(name, memory.fd, writable=True)
    header = segment.tables["header"]
    header["version"] = layout.LAYOUT_VERSION
    header["master_pid"] = os.getpid()
    header["master_start_time"] = process_start_time(os.getpid())
    header["tsc_hz"] = tsc_hz
    header["created_ns"] = time.time_ns()
    segment.tables["control"]["cpu"] = -1
    segment.tables["workers"]["longest_relay"] = -1
    for column in (*layout.SLOT_COLUMNS, "port_id"):
        segment.tables["relays"][column] = -1
    segment.tables["relays"]["lanes"] = 1
    segment.tables["rings"]["signalled"] = -1
    header["magic"] = layout.MAGIC  # last: from now on the segment is valid
    return segment


def attach(name: str, *, readonly: bool = False) -> Segment:
    """Map the segment of a daemon.

    Raises:
        SegmentError: there is none, or its layout is another version's.
    """
    flags = os.O_RDONLY if readonly else os.O_RDWR
    try:
        fd = os.open(_FOLDER / name, flags | os.O_CLOEXEC)
    except FileNotFoundError:
        raise SegmentError(f"no daemon of the name {name} is running (no shared memory /{name})") from None
    except PermissionError:
        raise SegmentError(f"no permission to open shared memory /{name}; try as root") from None
    if os.fstat(fd).st_size != layout.TABLES.itemsize:
        os.close(fd)
        raise SegmentError(f"shared memory /{name} is of another version of this program")
    segment = Segment(name, fd, writable=not readonly)
    header = segment.tables["header"]
    if header["magic"] != layout.MAGIC or header["version"] != layout.LAYOUT_VERSION:
        segment.close()
        raise SegmentError(f"shared memory /{name} is of another version of this program")
    return segment


def owner(name: str) -> int:
    """Process id of the living master that owns a segment, 0 if there is no segment or its master is dead."""
    try:
        segment = attach(name, readonly=True)
    except SegmentError:
        return 0
    pid = int(segment.tables["header"]["master_pid"])
    started = int(segment.tables["header"]["master_start_time"])
    segment.close()
    return pid if psutil.pid_exists(pid) and process_start_time(pid) == started else 0


def remove(name: str) -> None:
    """Remove a segment's name; who has it mapped keeps it. None there is no error."""
    with contextlib.suppress(posix_ipc.ExistentialError):
        posix_ipc.unlink_shared_memory(f"/{name}")


def remove_stale(name: str) -> bool:
    """Remove a segment whose master is dead; true if there was one."""
    if not (_FOLDER / name).exists() or owner(name):
        return False
    remove(name)
    return True


def instances() -> list[str]:
    """Names of the segments on this machine whose master lives, sorted."""
    names = sorted(path.name for path in _FOLDER.glob("vio4wd*") if path.is_file())
    return [name for name in names if owner(name)]
