"""Memory by address: the only place where a kernel touches bytes.

Kernels take addresses, not arrays, so that one machine-code version serves every layout, every array library
and read-only memory alike. ``LOADS[dtype](address, i)`` reads element ``i`` as the type the arithmetic runs in
(float32 for the 16-bit types), ``STORES[dtype](address, i, value)`` rounds once, to nearest even, and writes it.
Alignment is not assumed: on every processor we know an unaligned vector move of aligned data costs the same.
"""

import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastloss.kernels.compiler_cpu import helper
from fastloss.kernels.intrinsics_cpu import EXTREMES

min, max = EXTREMES["min"], EXTREMES["max"]

LINE = 64  # bytes of a cache line

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_HALF, _FLOAT, _DOUBLE = ir.HalfType(), ir.FloatType(), ir.DoubleType()


def _element(builder, address, index, ir_type):
    # inttoptr once on the base, then gep: the loop vectoriser follows this form, not address arithmetic.
    return builder.gep(builder.inttoptr(address, ir_type.as_pointer()), [index])


def set_scope(builder, instruction, scope):
    """Say that memory of ``scope`` never overlaps memory of the other scopes.

    Addresses carry no such knowledge, and without it every loop that stores begins with overlap checks, and no
    running maximum stays in a register. "input" is what the caller gave to read (and copies of it made by gathers),
    "output" what a kernel writes for the caller, who is kept from letting the two overlap, "tile" a kernel's own
    buffers, "sum" numbers in such buffers that a loop adds to while it writes to others. An access without a scope may
    overlap anything.
    """
    if scope is None:
        return
    module = builder.module
    domain = module.add_metadata(["fastloss"])
    scopes = {name: module.add_metadata([f"fastloss {name}", domain]) for name in ("input", "output", "tile", "sum")}
    instruction.set_metadata("alias.scope", module.add_metadata([scopes[scope]]))
    instruction.set_metadata("noalias", module.add_metadata([node for name, node in scopes.items() if name != scope]))


def loaded(builder, address, index, ir_type, scope, count=None):
    """A number from memory of ``scope``, or a vector of ``count`` of them."""
    place = _element(builder, address, index, ir_type)
    if count is not None:
        place = builder.bitcast(place, ir.VectorType(ir_type, count).as_pointer())
    value = builder.load(place, align=1)
    set_scope(builder, value, scope)
    if scope == "input":
        # Given by the caller, so never undefined: else LLVM guards against it inside of a running maximum, which then
        # stays scalar.
        value.set_metadata("noundef", builder.module.add_metadata([]))
    return value


def _loader(scope, ir_type, numba_type, widen=None):
    @intrinsic
    def load(typingctx, address, index):
        def codegen(context, builder, signature, args):
            value = loaded(builder, *args, ir_type, scope)
            return widen(builder, value) if widen else value

        return numba_type(types.intp, types.intp), codegen

    return load


def _storer(scope, ir_type, numba_type, narrow=None):
    @intrinsic
    def store(typingctx, address, index, value):
        def codegen(context, builder, signature, args):
            target = _element(builder, args[0], args[1], ir_type)
            value = narrow(builder, args[2]) if narrow else args[2]
            set_scope(builder, builder.store(value, target, align=1), scope)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, numba_type), codegen

    return store


# Conversions between memory and registers, of one value or of a vector.


def _like(value, scalar):
    """``scalar`` as the type of as many values as ``value`` has."""
    return ir.VectorType(scalar, value.type.count) if isinstance(value.type, ir.VectorType) else scalar


def _constant(value, number):
    kind = _like(value, _I32)
    return ir.Constant(kind, [ir.Constant(_I32, number)] * kind.count if isinstance(kind, ir.VectorType) else number)


def _same(builder, value):
    return value


def _widen_bfloat16(builder, bits):
    wide = builder.zext(bits, _like(bits, _I32))
    return builder.bitcast(builder.shl(wide, _constant(bits, 16)), _like(bits, _FLOAT))


def _narrow_bfloat16(builder, value):
    # Round to nearest even on the integer: add 0x7fff plus the lowest kept bit; a carry into the exponent is right.
    # A NaN must not be rounded (it could become infinity): keep its upper half and set the quiet bit.
    bits = builder.bitcast(value, _like(value, _I32))
    upper = builder.lshr(bits, _constant(value, 16))
    bias = builder.add(builder.and_(upper, _constant(value, 1)), _constant(value, 0x7FFF))
    rounded = builder.lshr(builder.add(bits, bias), _constant(value, 16))
    quiet = builder.or_(upper, _constant(value, 0x40))
    is_nan = builder.fcmp_unordered("uno", value, value)
    return builder.trunc(builder.select(is_nan, quiet, rounded), _like(value, _I16))


def _widen_float16(builder, value):
    return builder.fpext(value, _like(value, _FLOAT))


def _narrow_float16(builder, value):
    return builder.fptrunc(value, _like(value, _HALF))


#: dtype: (type in memory, type in registers, widening, narrowing)
STORAGE = {
    "float32": (_FLOAT, types.float32, _same, _same),
    "float64": (_DOUBLE, types.float64, _same, _same),
    "float16": (_HALF, types.float32, _widen_float16, _narrow_float16),
    "bfloat16": (_I16, types.float32, _widen_bfloat16, _narrow_bfloat16),
    "int64": (_I64, types.int64, _same, _same),
    "int32": (_I32, types.int32, _same, _same),
}


def _loaders(scope):
    return {dtype: _loader(scope, *storage[:3]) for dtype, storage in STORAGE.items()}


def _storers(scope):
    return {dtype: _storer(scope, *storage[:2], storage[3]) for dtype, storage in STORAGE.items()}


LOADS, STORES = _loaders("input"), _storers("output")
#: For copies of input into a buffer that ``LOADS`` reads again.
GATHERS = _storers("input")
TILE_LOADS, TILE_STORES = _loaders("tile"), _storers("tile")
#: For what a kernel wrote to an output and goes on with.
OUTPUT_LOADS = _loaders("output")
SUM_LOADS, SUM_STORES = _loaders("sum"), _storers("sum")
ITEMSIZE = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
#: The type the arithmetic of a storage dtype runs in.
COMPUTE = {"float64": "float64", "float32": "float32", "float16": "float32", "bfloat16": "float32"}


def _copier(ir_type):
    @intrinsic
    def copy(typingctx, destination, i, source, j):
        def codegen(context, builder, signature, args):
            value = builder.load(_element(builder, args[2], args[3], ir_type), align=1)
            set_scope(builder, value, "input")
            store = builder.store(value, _element(builder, args[0], args[1], ir_type), align=1)
            set_scope(builder, store, "tile")
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp, types.intp), codegen

    return copy


copy_2, copy_4, copy_8 = _copier(_I16), _copier(_I32), _copier(_I64)


def _accumulator(numba_type):
    @intrinsic
    def accumulate(typingctx, total, term):
        """total + term, where the order of the terms does not matter: what lets a sum be vectorised."""

        def codegen(context, builder, signature, args):
            return builder.fadd(*args, flags=("reassoc", "nsz", "contract"))

        return numba_type(numba_type, numba_type), codegen

    return accumulate


ACCUMULATE = {"float32": _accumulator(types.float32), "float64": _accumulator(types.float64)}

load_index = LOADS["int64"]
load_int, store_int = _loader(None, *STORAGE["int64"][:2]), _storer(None, *STORAGE["int64"][:2])
load_byte = _loader("tile", _I8, types.int64, lambda builder, value: builder.zext(value, _I64))
store_byte = _storer("tile", _I8, types.int64, lambda builder, value: builder.trunc(value, _I8))
load_double, store_double = _loader(None, *STORAGE["float64"][:2]), _storer(None, *STORAGE["float64"][:2])


def _prefetcher(to_write):
    @intrinsic
    def prefetch(typingctx, address):
        """Bring a cache line to the second-level cache; no address is wrong."""

        def codegen(context, builder, signature, args):
            pointer, number = _I8.as_pointer(), _I32
            function = builder.module.declare_intrinsic(
                "llvm.prefetch.p0", (), ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
            )
            builder.call(function, [builder.inttoptr(args[0], pointer), *map(number, (to_write, 2, 1))])
            return context.get_dummy_value()

        return types.void(types.intp), codegen

    return prefetch


prefetch, prefetch_to_write = _prefetcher(0), _prefetcher(1)


@intrinsic
def unforeseen(typingctx, number):
    """A number of which LLVM does not know how it changes from turn to turn: it would keep each sum with it apart."""

    def codegen(context, builder, signature, args):
        return builder.asm(ir.FunctionType(_I64, [_I64]), "", "=r,0", args, side_effect=False)

    return types.intp(types.intp), codegen


def _ahead(fetch):
    @helper(())
    def ahead(address, size):
        for byte in range(0, size, 64):
            fetch(address + byte)

    return ahead


#: Ask for ``size`` bytes that will be read, or written, a little later.
ask_for, ask_for_writing = _ahead(prefetch), _ahead(prefetch_to_write)


@intrinsic
def not_before(typingctx, i, first):
    """i >= first, of numbers below 2**31: as int32, of which a vector holds as many as of float32."""

    def codegen(context, builder, signature, args):
        return builder.icmp_signed(">=", *(builder.trunc(arg, _I32) for arg in args))

    return types.boolean(types.intp, types.intp), codegen


@intrinsic
def stack_buffer(typingctx, size):
    """The address of ``size`` bytes (a literal) on the stack of the calling function, aligned to a cache line."""
    if not isinstance(size, types.IntegerLiteral):
        return None
    count = size.literal_value

    def codegen(context, builder, signature, args):
        # alloca_once also zeroes the memory where it stands, once a call of the kernel.
        with builder.goto_entry_block():
            buffer = builder.alloca(ir.ArrayType(_I8, count))
            buffer.align = 64
        return builder.ptrtoint(buffer, _I64)

    return types.intp(size), codegen


def _libc(name, result, argument):
    @intrinsic
    def call(typingctx, value):
        def codegen(context, builder, signature, args):
            function_type = ir.FunctionType(ir.VoidType() if result is types.void else _I64, [_I64])
            function = cgutils.get_or_insert_function(builder.module, function_type, name)
            returned = builder.call(function, args)
            return context.get_dummy_value() if result is types.void else returned

        return result(argument), codegen

    return call


#: malloc (0 where there is no memory) and free, for the few buffers too large for a stack.
allocate, release = _libc("malloc", types.intp, types.intp), _libc("free", types.void, types.intp)


def _pointer(builder, address):
    return builder.inttoptr(address, _I64.as_pointer())


@intrinsic
def atomic_load(typingctx, address):
    def codegen(context, builder, signature, args):
        return builder.load_atomic(_pointer(builder, args[0]), "seq_cst", 8)

    return types.int64(types.intp), codegen


@intrinsic
def atomic_store(typingctx, address, value):
    def codegen(context, builder, signature, args):
        builder.store_atomic(args[1], _pointer(builder, args[0]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.intp, types.int64), codegen


@intrinsic
def atomic_add(typingctx, address, value):
    """Add and return the value before."""

    def codegen(context, builder, signature, args):
        return builder.atomic_rmw("add", _pointer(builder, args[0]), args[1], "seq_cst")

    return types.int64(types.intp, types.int64), codegen


@intrinsic
def atomic_replace(typingctx, address, expected, value):
    """Write ``value`` where ``expected`` stands; whether it stood there."""

    def codegen(context, builder, signature, args):
        pair = builder.cmpxchg(_pointer(builder, args[0]), args[1], args[2], "seq_cst", "seq_cst")
        return builder.extract_value(pair, 1)

    return types.boolean(types.intp, types.int64, types.int64), codegen


def _x86_only(name):
    @intrinsic
    def call(typingctx):
        is_x86 = platform.machine() in ("x86_64", "AMD64")

        def codegen(context, builder, signature, args):
            if is_x86:
                function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), []), name)
                builder.call(function, [])
            return context.get_dummy_value()

        return types.void(), codegen

    return call


#: Tell the core that this is a spin loop; let others see what was written past the caches before what comes next.
cpu_pause, _write_fence = _x86_only("llvm.x86.sse2.pause"), _x86_only("llvm.x86.sse.sfence")


@intrinsic
def _clear_line(typingctx, address):
    # Zeros past the caches, to a whole cache line.
    def codegen(context, builder, signature, args):
        line = ir.VectorType(_I8, LINE)
        store = builder.store(ir.Constant(line, None), builder.inttoptr(args[0], line.as_pointer()), align=LINE)
        store.set_metadata("nontemporal", builder.module.add_metadata([_I32(1)]))
        return context.get_dummy_value()

    return types.void(types.intp), codegen


_clear_byte = _storer(None, _I8, types.int64, lambda builder, value: builder.trunc(value, _I8))


@helper(())
def clear(address, size):
    """Write zeros that nobody reads soon, past the caches: 31 GB/s, where ``memset`` of rows of 4 KB reaches 12.

    (Two threads on Sapphire Rapids; a line that is written as usual is read before.)
    """
    end = address + size
    first = min((address + (LINE - 1)) & -LINE, end)
    last = max(end & -LINE, first)
    for byte in range(address, first):
        _clear_byte(byte, 0, 0)
    for line in range(first, last, LINE):
        _clear_line(line)
    for byte in range(last, end):
        _clear_byte(byte, 0, 0)
    _write_fence()


def _caller(arguments):
    """An intrinsic that calls the C function at an address with that many int64 arguments; its result is ignored."""
    function_type = ir.FunctionType(ir.VoidType(), [_I64] * arguments)

    def codegen(context, builder, signature, args):
        builder.call(builder.inttoptr(args[0], function_type.as_pointer()), args[1:])
        return context.get_dummy_value()

    return codegen


@intrinsic
def call_0(typingctx, function):
    return types.void(types.intp), _caller(0)


@intrinsic
def call_1(typingctx, function, a):
    return types.void(types.intp, types.intp), _caller(1)


@intrinsic
def call_2(typingctx, function, a, b):
    return types.void(types.intp, types.intp, types.intp), _caller(2)


@intrinsic
def call_3(typingctx, function, a, b, c):
    return types.void(types.intp, types.intp, types.intp, types.intp), _caller(3)


@intrinsic
def call_4(typingctx, function, a, b, c, d):
    return types.void(types.intp, types.intp, types.intp, types.intp, types.intp), _caller(4)


@intrinsic
def call_returning(typingctx, function, a):
    """The int64 that a C function of one argument returns."""

    def codegen(context, builder, signature, args):
        function_type = ir.FunctionType(_I64, [_I64])
        return builder.call(builder.inttoptr(args[0], function_type.as_pointer()), args[1:])

    return types.intp(types.intp, types.intp), codegen


@intrinsic
def call_returning_int(typingctx, function, a, b, c):
    """The C ``int`` that a function of three arguments, or of fewer, returns."""

    def codegen(context, builder, signature, args):
        function_type = ir.FunctionType(ir.IntType(32), [_I64] * 3)
        found = builder.call(builder.inttoptr(args[0], function_type.as_pointer()), args[1:])
        return builder.sext(found, _I64)

    return types.intp(types.intp, types.intp, types.intp, types.intp), codegen


@intrinsic
def call_kernel(typingctx, function, phase, low, high, arguments, partial):
    """Run the kernel at ``function`` over the items ``low <= i < high``: see ``launch_cpu``."""
    return types.void(types.intp, types.intp, types.intp, types.intp, types.intp, types.intp), _caller(5)
