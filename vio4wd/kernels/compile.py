"""How kernels are compiled: decorators for kernels, and the object files of those that Python calls."""

import functools

import llvmlite.binding as llvm
import numba

from vio4wd import native
from vio4wd.kernels.machine_code import cache_folder, processor

_OPTIONS = {"nogil": True, "error_model": "numpy", "boundscheck": False}
_ENTRY = "void(int64, int64, int64)"

numba.config.CACHE_DIR = str(cache_folder())

#: A function other kernels call. It is compiled into its caller, never on its own.
inner = functools.partial(numba.njit, **_OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True)
#: The same, and always copied into its caller: for a few lines that run for each packet.
inline = functools.partial(numba.njit, **_OPTIONS, forceinline=True)
#: A function of three numbers that the daemon calls, see `machine_code.load`.
entry = inner


def kernel(signature):
    """Decorator of a function that tests and benchmarks call: compiled when imported, kept on disk."""
    return numba.njit(signature, cache=True, **_OPTIONS)


def object_file(name, function):
    """Compile an entry and all it calls into an object file, with one symbol for others: `name`."""
    function.compile(_ENTRY)
    module = llvm.parse_assembly(function.inspect_llvm(function.signatures[0]))
    (symbol,) = (f for f in module.functions if not f.is_declaration and f.linkage is llvm.Linkage.external)
    symbol.name = name
    cpu, features = processor()
    machine = native.target_machine(cpu=cpu, features=features, opt=3, codemodel="jitdefault", jit=True)
    return machine.emit_object(module)
