"""Kernels as machine code: compiled once, kept on disk, loaded without the compiler.

Compiling them takes half a minute, and numba alone takes most of a second to import; the object files it
leaves behind are loaded in milliseconds by LLVM's run-time linker. So the daemon's processes start without
numba, unless there is no file yet.

A file must never be older than any kernel, a table's layout or an mbuf's, or a worker would run old code
on new data. So they live in a folder named after a digest of all that they are made from.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import hashlib
import importlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import llvmlite.binding as llvm

from vio4wd import native
from vio4wd.dpdk import mbuf
from vio4wd.shm import layout

log = logging.getLogger(__name__)

#: The kernels that Python calls, and the modules they are in.
ENTRIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "run": "vio4wd.kernels.relay_loop",
        "set_up": "vio4wd.kernels.ring_set_up",
        "run_pump": "vio4wd.kernels.pump",
    }
)

_DIGEST_SIZE = 32
# Compiled functions return a status; their arguments are where a result and a raised exception would go
# (kernels have neither), then the function's own: numba's calling convention.
_PROTOTYPE = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64
)


def processor() -> tuple[str, str]:
    """LLVM's name and features of the processor that kernels are compiled for.

    This machine's, or what numba's variables NUMBA_CPU_NAME and NUMBA_CPU_FEATURES say.
    """
    name = os.environ.get("NUMBA_CPU_NAME")
    if name:
        return name, os.environ.get("NUMBA_CPU_FEATURES", "")
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


@functools.cache
def cache_folder() -> Path:
    """Where compiled kernels are kept: $VIO4WD_CACHE_DIR, else /var/cache (root) or the user's cache."""
    chosen = os.environ.get("VIO4WD_CACHE_DIR")
    if chosen:
        base = Path(chosen)
    elif os.geteuid() == 0:
        base = Path("/var/cache/vio4wd")
    else:
        base = Path.home() / ".cache/vio4wd"
    return base / f"kernels-{_digest()}"


def _digest() -> str:
    """Hexadecimal digest of everything compiled code depends on."""
    from importlib import metadata  # takes 20 ms to import, and not every process that loads this file asks

    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    versions = [metadata.version(name) for name in ("numba", "llvmlite")]
    digest.update(repr((versions, processor())).encode())
    digest.update(repr((layout.TABLES.descr, mbuf.MBUF.fields, mbuf.HEADROOM)).encode())
    return digest.hexdigest()[:16]


def machine_code(name: str) -> bytes:
    """The object file of an entry, from the cache or else compiled now.

    Several processes that find the cache empty compile one after the other, so that each but the first finds
    the file. Where none can be kept each compiles for itself.
    """
    path = cache_folder() / f"{name}.o"
    if kept := _read(path):
        return kept
    with _alone(path.parent):
        if kept := _read(path):
            return kept
        compiler = importlib.import_module("vio4wd.kernels.compile")  # not sooner: it imports numba
        code: bytes = compiler.object_file(name, getattr(importlib.import_module(ENTRIES[name]), name))
        try:
            _write(path, code)
        except OSError as error:
            log.warning("compiled kernels cannot be kept, each start compiles them anew: %s", error)
        return code


def _read(path: Path) -> bytes:
    """The object file that was written to a path; empty if there is none, or not the whole of it."""
    try:
        content = path.read_bytes()
    except OSError:
        return b""
    code, digest = content[:-_DIGEST_SIZE], content[-_DIGEST_SIZE:]
    return code if hashlib.sha256(code).digest() == digest else b""


def _write(path: Path, code: bytes) -> None:
    """Keep an object file, with its digest behind it: LLVM would crash on one that a full disk cut short."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_bytes(code + hashlib.sha256(code).digest())
    unfinished.rename(path)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait for others who compile into the folder."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((folder / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@functools.cache
def load(name: str) -> Callable[[int, int, int], None]:
    """An entry, ready to be called with its three numbers; other Python threads run meanwhile."""
    function = native.function(name, _PROTOTYPE, code=machine_code(name))
    nowhere = ctypes.create_string_buffer(8)

    def entry(a: int, b: int, c: int) -> None:
        function(nowhere, nowhere, a, b, c)

    return entry
