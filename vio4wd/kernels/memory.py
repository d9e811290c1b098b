"""Machine operations for kernels: loads, stores, fences, copies and calls on addresses.

All values are int64. Loads shorter than that are zero-extended, so that a length or an index never
turns negative; a 64-bit guest value of 2^63 and more does, and fails the first bounds check.

Loads and stores of guest and shared memory are *monotonic* atomics: the compiler may neither repeat
them (the guest may change the value in between), nor hoist them out of a polling loop. On x86 they
cost nothing. The x86 memory model makes acquire and release free as well; only `fence` (needed
between our store and a load of what the peer stores) is an instruction.
"""

from llvmlite import ir
from numba import types
from numba.core.extending import intrinsic

_I64 = ir.IntType(64)
_I32 = ir.IntType(32)
_VOID = ir.VoidType()


def _pointer(builder, address, kind):
    return builder.inttoptr(address, kind.as_pointer())


def _make_load(bits, ordering, doc):
    def load(typingctx, address):
        def generate(context, builder, signature, args):
            kind = ir.IntType(bits)
            value = builder.load_atomic(_pointer(builder, args[0], kind), ordering, bits // 8)
            return value if bits == 64 else builder.zext(value, _I64)

        return types.int64(types.int64), generate

    load.__doc__ = doc
    return intrinsic(load)


def _make_store(bits, ordering, doc):
    def store(typingctx, address, value):
        def generate(context, builder, signature, args):
            kind = ir.IntType(bits)
            value = args[1] if bits == 64 else builder.trunc(args[1], kind)
            builder.store_atomic(value, _pointer(builder, args[0], kind), ordering, bits // 8)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    store.__doc__ = doc
    return intrinsic(store)


@intrinsic
def peek32(typingctx, address):
    """The 32-bit number at an address in memory of our own, where loads may be merged and vectorised."""

    def generate(context, builder, signature, args):
        return builder.zext(builder.load(_pointer(builder, args[0], _I32), align=1), _I64)

    return types.int64(types.int64), generate


load8 = _make_load(8, "monotonic", "The byte at an address.")
load16 = _make_load(16, "monotonic", "The 16-bit number at an address.")
load32 = _make_load(32, "monotonic", "The 32-bit number at an address.")
load64 = _make_load(64, "monotonic", "The 64-bit number at an address.")
load16_acquire = _make_load(16, "acquire", "As load16; later loads see what the peer wrote before it.")
load64_acquire = _make_load(64, "acquire", "As load64; later loads see what the peer wrote before it.")
store8 = _make_store(8, "monotonic", "Write the low byte of a value.")
store16 = _make_store(16, "monotonic", "Write the low 16 bits of a value.")
store32 = _make_store(32, "monotonic", "Write the low 32 bits of a value.")
store64 = _make_store(64, "monotonic", "Write a value of 64 bits.")
store16_release = _make_store(16, "release", "As store16; who reads it sees all earlier stores.")
store64_release = _make_store(64, "release", "As store64; who reads it sees all earlier stores.")


def _make_vector_copy(size, doc):
    def copy(typingctx, target, source):
        def generate(context, builder, signature, args):
            kind = ir.VectorType(ir.IntType(8), size)
            value = builder.load(_pointer(builder, args[1], kind), align=1)
            builder.store(value, _pointer(builder, args[0], kind), align=1)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    copy.__doc__ = doc
    return intrinsic(copy)


copy8 = _make_vector_copy(8, "Copy 8 bytes from the second address to the first.")
copy16 = _make_vector_copy(16, "Copy 16 bytes.")
copy32 = _make_vector_copy(32, "Copy 32 bytes.")


@intrinsic
def copy64(typingctx, target, source):
    """Copy 64 bytes; both halves are loaded before the first is stored."""

    def generate(context, builder, signature, args):
        kind = ir.VectorType(ir.IntType(8), 32)
        halves = [(a, builder.add(a, ir.Constant(_I64, 32))) for a in args]
        values = [builder.load(_pointer(builder, address, kind), align=1) for address in halves[1]]
        for value, address in zip(values, halves[0], strict=True):
            builder.store(value, _pointer(builder, address, kind), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def memcpy(typingctx, target, source, length):
    """Copy `length` bytes between ranges that do not overlap (the C library's memcpy)."""

    def generate(context, builder, signature, args):
        byte = ir.IntType(8).as_pointer()
        function = builder.module.declare_intrinsic("llvm.memcpy", [byte, byte, _I64])
        target, source = (builder.inttoptr(a, byte) for a in args[:2])
        builder.call(function, [target, source, args[2], ir.Constant(ir.IntType(1), 0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def fence(typingctx):
    """Full memory fence: earlier stores are visible before later loads are made."""

    def generate(context, builder, signature, args):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


def _make_prefetch(for_writing, doc):
    def prefetch(typingctx, address):
        def generate(context, builder, signature, args):
            byte = ir.IntType(8).as_pointer()
            function = builder.module.declare_intrinsic(
                "llvm.prefetch", [byte], ir.FunctionType(_VOID, [byte, _I32, _I32, _I32])
            )
            flags = [ir.Constant(_I32, n) for n in (for_writing, 3, 1)]
            builder.call(function, [builder.inttoptr(args[0], byte), *flags])
            return context.get_dummy_value()

        return types.void(types.int64), generate

    prefetch.__doc__ = doc
    return intrinsic(prefetch)


prefetch = _make_prefetch(0, "Ask for the cache line at an address, to be read soon.")
prefetch_write = _make_prefetch(1, "Ask for the cache line at an address, to be written soon.")


@intrinsic
def call4(typingctx, function, a, b, c, d):
    """Call the C function `uint64_t f(uint64_t, uint64_t, uint64_t, uint64_t)` at an address."""

    def generate(context, builder, signature, args):
        kind = ir.FunctionType(_I64, [_I64] * 4)
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])

    return types.int64(*[types.int64] * 5), generate


@intrinsic
def cycles(typingctx):
    """The time stamp counter."""

    def generate(context, builder, signature, args):
        kind = ir.FunctionType(_I64, [])
        return builder.call(builder.module.declare_intrinsic("llvm.readcyclecounter", [], kind), [])

    return types.int64(), generate


@intrinsic
def log2_floor(typingctx, value):
    """The number of the highest bit that is set in a value > 0."""

    def generate(context, builder, signature, args):
        kind = ir.FunctionType(_I64, [_I64, ir.IntType(1)])
        function = builder.module.declare_intrinsic("llvm.ctlz", [_I64], kind)
        zeros = builder.call(function, [args[0], ir.Constant(ir.IntType(1), 1)])
        return builder.sub(ir.Constant(_I64, 63), zeros)

    return types.int64(types.int64), generate


@intrinsic
def pause(typingctx):
    """Tell the processor that this is a polling loop (x86 PAUSE)."""

    def generate(context, builder, signature, args):
        kind = ir.FunctionType(_VOID, [])
        builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", [], kind), [])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def or8(typingctx, address, bits):
    """Set bits of the byte at an address, atomically among all processes, after all writes before it."""

    def generate(context, builder, signature, args):
        byte = ir.IntType(8)
        builder.atomic_rmw("or", _pointer(builder, args[0], byte), builder.trunc(args[1], byte), "release")
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate
