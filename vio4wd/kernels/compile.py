"""How kernels are compiled: two decorators, and where compiled code is kept.

numba's own cache looks at the source file of one function only; ours must change when any kernel, a
table's layout or an mbuf offset does, or a worker would run old code on new data. So the cache lives
in a folder named after a digest of all of them.
"""

import functools
import hashlib
import os
import pathlib

import llvmlite
import numba

from vio4wd.dpdk import mbuf
from vio4wd.shm import layout

_OPTIONS = {"nogil": True, "error_model": "numpy", "boundscheck": False}


def _digest() -> str:
    """Hexadecimal digest of everything compiled code depends on."""
    digest = hashlib.sha256()
    here = pathlib.Path(__file__).parent
    for source in sorted(here.glob("*.py")):
        digest.update(source.read_bytes())
    versions = (numba.__version__, llvmlite.__version__, numba.config.CPU_NAME)
    digest.update(repr((versions, layout.TABLES.descr, mbuf.MBUF.fields, mbuf.HEADROOM)).encode())
    return digest.hexdigest()[:16]


def cache_folder() -> pathlib.Path:
    """Where compiled kernels are kept: $VIO4WD_CACHE_DIR, else /var/cache (root) or the user's cache."""
    chosen = os.environ.get("VIO4WD_CACHE_DIR")
    if chosen:
        base = pathlib.Path(chosen)
    elif os.geteuid() == 0:
        base = pathlib.Path("/var/cache/vio4wd")
    else:
        base = pathlib.Path.home() / ".cache/vio4wd"
    return base / f"kernels-{_digest()}"


numba.config.CACHE_DIR = str(cache_folder())

#: A function other kernels call. It is compiled into its caller, never on its own.
inner = functools.partial(numba.njit, **_OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True)
#: The same, and always copied into its caller: for a few lines that run for each packet.
inline = functools.partial(numba.njit, **_OPTIONS, forceinline=True)


def kernel(signature):
    """Decorator of a function that Python calls: compiled when imported, kept on disk."""
    return numba.njit(signature, cache=True, **_OPTIONS)
