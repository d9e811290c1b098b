"""Compiles the extension module `vio4wd.dpdk._binding` against the DPDK that pkg-config finds.

API mode: the C compiler checks every declaration against DPDK's headers and lays out its structures.
Another DPDK than the system's is chosen as usual, with PKG_CONFIG_PATH (see `scripts/build-dpdk`).
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from cffi import FFI

HERE: Final = Path(__file__).resolve().parent
SYSTEM_LIBRARY_DIRS: Final = ("/usr/lib", "/lib")


def _pkg_config(*arguments: str) -> list[str]:
    """The words pkg-config answers about libdpdk.

    Raises:
        SystemExit: pkg-config or libdpdk is missing; the message says what to install.
    """
    try:
        answer = subprocess.run(
            ["pkg-config", *arguments, "libdpdk"], check=True, capture_output=True, text=True
        )
    except FileNotFoundError:
        raise SystemExit("vio4wd: pkg-config is missing: apt-get install pkg-config") from None
    except subprocess.CalledProcessError as error:
        raise SystemExit(
            "vio4wd: pkg-config finds no libdpdk (DPDK 21.11 to 24.11): apt-get install libdpdk-dev, "
            f"or point PKG_CONFIG_PATH at another DPDK. It said: {error.stderr.strip()}"
        ) from None
    return answer.stdout.split()


def _builder() -> FFI:
    """The description of the module: declarations, source and compiler options."""
    library_dir = _pkg_config("--variable=libdir")[0]
    link = [*_pkg_config("--libs"), f"-L{library_dir}", "-lrte_net_bond", "-lrte_bus_vdev"]
    if not library_dir.startswith(SYSTEM_LIBRARY_DIRS):
        # The old kind of path holds for the libraries' own needs as well. Otherwise those would be taken
        # from the system's DPDK, and EAL panics when it meets a library twice.
        link += ["-Wl,--disable-new-dtags", f"-Wl,-rpath,{library_dir}"]
    builder = FFI()
    builder.cdef((HERE / "declarations.h").read_text())
    builder.set_source(
        "vio4wd.dpdk._binding",
        '#include "binding.h"',
        include_dirs=[str(HERE)],
        # cffi's own wrappers leave their "self" unused; fopencookie and dladdr are GNU's.
        define_macros=[("_GNU_SOURCE", "1"), ("ALLOW_EXPERIMENTAL_API", "1")],
        extra_compile_args=["-O3", "-Wall", "-Wextra", "-Wno-unused-parameter", *_pkg_config("--cflags")],
        extra_link_args=link,
        depends=[str(header) for header in sorted(HERE.glob("*.h"))],
    )
    return builder


ffibuilder = _builder()
