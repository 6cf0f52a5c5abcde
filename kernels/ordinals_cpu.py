"""Integers in the order of the floats, and what else their bits tell.

The largest of many costs a look at NaN for each as floats (``llvm.maxnum``), whose last steps moreover go one by one;
of integers it takes a third of the time. A NaN is the largest of all, or if its sign is set the least.
"""

from types import SimpleNamespace

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastloss.kernels.intrinsics_cpu import llvm_function
from fastloss.kernels.memory_cpu import COMPUTE, ITEMSIZE, STORAGE, loaded


def _integers(width):
    return SimpleNamespace(ir=ir.IntType(width), type=types.Integer.from_bitwidth(width))


def _turn(builder, bits):
    # Negative floats count downwards: all bits but the sign are turned round. And back, by the same.
    width = bits.type.width
    sign = builder.ashr(bits, ir.Constant(bits.type, width - 1))
    return builder.xor(bits, builder.and_(sign, ir.Constant(bits.type, 2 ** (width - 1) - 1)))


def _of_extremes(builder, larger, smaller):
    # Bits are integers in the order of floats, but that negative ones count downwards.
    return builder.select(builder.icmp_signed("<", larger, ir.Constant(larger.type, 0)), smaller, larger)


def of_registers(real):
    """``ordinal(x)`` and ``from_ordinal`` back; ``later`` and ``earlier`` of two, or of bits as they are, of which the
    latest and the earliest together are the largest number ``from_extremes``; ``is_other(d)`` than 0, as -0 is; and
    ``count_other(count, d)``, which adds 1 for such d to a count that began with ``none()``: with operations of
    integers, for adding under a mask takes the place of what the exponentials around it wait for (in a loop of C 6.1
    cycles a vector in place of 5.0).
    """
    width = _integers(real.bitwidth)
    bits, number = width.ir, width.type

    @intrinsic
    def ordinal(typingctx, x):
        def codegen(context, builder, signature, args):
            return _turn(builder, builder.bitcast(args[0], bits))

        return number(real), codegen

    @intrinsic
    def from_ordinal(typingctx, k):
        def codegen(context, builder, signature, args):
            return builder.bitcast(_turn(builder, args[0]), STORAGE[real.name][0])

        return real(number), codegen

    @intrinsic
    def from_extremes(typingctx, larger, smaller):
        def codegen(context, builder, signature, args):
            return builder.bitcast(_of_extremes(builder, *args), STORAGE[real.name][0])

        return real(number, number), codegen

    @intrinsic
    def none(typingctx):
        return number(), lambda context, builder, signature, args: ir.Constant(bits, 0)

    @intrinsic
    def count_other(typingctx, count, d):
        def codegen(context, builder, signature, args):
            later = builder.module.declare_intrinsic("llvm.smax", [bits], ir.FunctionType(bits, [bits] * 2))
            return builder.sub(args[0], builder.call(later, [builder.bitcast(args[1], bits), ir.Constant(bits, -1)]))

        return number(number, real), codegen

    @intrinsic
    def is_other(typingctx, d):
        def codegen(context, builder, signature, args):
            return builder.icmp_signed("!=", builder.bitcast(args[0], bits), ir.Constant(bits, 0))

        return types.boolean(real), codegen

    return SimpleNamespace(
        ordinal=ordinal,
        from_ordinal=from_ordinal,
        from_extremes=from_extremes,
        later=llvm_function("smax", 2, width),
        earlier=llvm_function("smin", 2, width),
        is_other=is_other,
        none=none,
        count_other=count_other,
    )


def of_memory(dtype):
    """The largest of numbers as they are stored, so that 16-bit ones need no widening and twice as many fit a register.

    By the ``larger`` and the ``smaller`` of all bits, which take less than turning negative ones round. ``load`` gives
    bits, ``least`` those of -infinity, and ``largest`` of both extremes the ordinal, of the arithmetic's type.

    The ``outermost`` of bits is the largest of numbers >= 0: unsigned, their bits are in their order, and those of
    negative numbers, of -0 too, and of NaN come after them. So where it is not ``beyond`` a limit, all are in
    [0, limit].
    """
    width = _integers(8 * ITEMSIZE[dtype])
    bits, number = width.ir, width.type
    stored, real, widened, narrowed = STORAGE[dtype]
    wide = _integers(real.bitwidth)

    @intrinsic
    def load_bits(typingctx, address, index):
        def codegen(context, builder, signature, args):
            return loaded(builder, *args, bits, "input")

        return number(types.intp, types.intp), codegen

    @intrinsic
    def least(typingctx):
        def codegen(context, builder, signature, args):
            return ir.Constant(bits, LEAST[dtype])

        return number(), codegen

    @intrinsic
    def largest(typingctx, larger, smaller):
        def codegen(context, builder, signature, args):
            found = _of_extremes(builder, *args)
            found = widened(builder, found if stored == bits else builder.bitcast(found, stored))
            return _turn(builder, builder.bitcast(found, wide.ir))

        return wide.type(number, number), codegen

    @intrinsic
    def beyond(typingctx, found, limit):
        def codegen(context, builder, signature, args):
            return builder.icmp_unsigned(">", args[0], builder.bitcast(narrowed(builder, args[1]), bits))

        return types.boolean(number, real), codegen

    return SimpleNamespace(
        load=load_bits,
        outermost=llvm_function("umax", 2, width),
        beyond=beyond,
        larger=llvm_function("smax", 2, width),
        smaller=llvm_function("smin", 2, width),
        least=least,
        largest=largest,
    )


#: The bits of -infinity.
LEAST = {"float64": 0xFFF << 52, "float32": 0x1FF << 23, "float16": 0x3F << 10, "bfloat16": 0x1FF << 7}
MEMORY = {dtype: of_memory(dtype) for dtype in COMPUTE}
