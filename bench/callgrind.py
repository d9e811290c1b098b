"""What a program can ask of the callgrind that runs it, and how to read what it counted.

A request is a sequence of instructions that does nothing on a processor and that valgrind recognises
(valgrind's manual, "The Client Request mechanism"): here as inline assembly for x86-64, as the header
valgrind.h has it for C.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Final

import llvmlite.binding as llvm

_MODULE: Final = """
define i64 @request(i64 %block) {
  %answer = call i64 asm sideeffect
    "rolq $$3, %rdi; rolq $$13, %rdi; rolq $$61, %rdi; rolq $$51, %rdi; xchgq %rbx, %rbx",
    "={rdx},{rax},0,~{memory},~{cc},~{rdi}"(i64 %block, i64 0)
  ret i64 %answer
}
"""

_BASE: Final = ord("C") << 24 | ord("T") << 16
_ZERO_STATS: Final = _BASE + 1
_DUMP_STATS_AT: Final = _BASE + 3
_START_INSTRUMENTATION: Final = _BASE + 4
_STOP_INSTRUMENTATION: Final = _BASE + 5


def start() -> None:
    """Begin to count; the program must have been started with --instr-atstart=no."""
    _ask(_START_INSTRUMENTATION)


def stop() -> None:
    """Count no more."""
    _ask(_STOP_INSTRUMENTATION)


def zero() -> None:
    """Forget what was counted so far."""
    _ask(_ZERO_STATS)


def dump(name: str) -> None:
    """Write what was counted since `zero` to a file of its own, and begin at 0 again."""
    text = ctypes.create_string_buffer(name.encode())
    _ask(_DUMP_STATS_AT, ctypes.addressof(text))


def counts(directory: Path, prefix: str) -> dict[str, int]:
    """Instructions by name, of all dumps whose files begin with `prefix` (--callgrind-out-file).

    Raises:
        ValueError: a file is none of callgrind's.
    """
    found = {}
    for path in directory.glob(f"{prefix}.*"):
        lines = path.read_text(errors="replace").splitlines()
        requests = [line for line in lines if line.startswith("desc: Trigger: Client Request: ")]
        totals = [int(line.split()[1]) for line in lines if line.startswith(("summary:", "totals:"))]
        if not totals:
            raise ValueError(f"{path} is not a file of callgrind")
        if requests:
            found[requests[0].rpartition(": ")[2]] = totals[0]
    return found


def _ask(request: int, argument: int = 0) -> None:
    _function()((ctypes.c_uint64 * 6)(request, argument))


@functools.cache
def _function() -> Callable[[ctypes.Array[ctypes.c_uint64]], int]:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(_MODULE), machine)
    engine.finalize_object()
    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(engine.get_function_address("request"))

    def ask(block: ctypes.Array[ctypes.c_uint64], engine: llvm.ExecutionEngine = engine) -> int:
        return int(function(ctypes.addressof(block)))  # the engine owns the code and must live on

    return ask
