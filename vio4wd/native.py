"""Functions in machine code that is made or loaded while the program runs, by LLVM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm


def target_machine(**options: Any) -> llvm.TargetMachine:  # noqa: ANN401  (those of llvmlite)
    """What makes code for this kind of processor; options are those of `Target.create_target_machine`."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(**options)


def function(name: str, kind: Any, *, source: str = "", code: bytes = b"") -> Callable[..., int]:  # noqa: ANN401
    """A function that Python can call; the interpreter lock is free meanwhile.

    Args:
        kind: made by `ctypes.CFUNCTYPE`.
        source: LLVM's text of the module that has it, or
        code: the object file.
    """
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(source), target_machine(jit=True))
    if code:
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    callable_ = kind(engine.get_function_address(name))
    callable_.engine = engine  # it owns the code and must live on
    return callable_  # type: ignore[no-any-return]
