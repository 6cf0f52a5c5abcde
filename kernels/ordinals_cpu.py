"""Integers in the order of the floats.

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


def of_registers(real):
    """``ordinal(x)`` and ``from_ordinal`` back; ``later`` and ``earlier`` of two."""
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

    return ordinal, from_ordinal, llvm_function("smax", 2, width), llvm_function("smin", 2, width)


def of_memory(dtype):
    """The same of numbers as they are stored, so that 16-bit ones need no widening and twice as many fit a register:
    ``load_ordinal``, ``later`` of two such, the ``least``, and the ``widen``ed ordinal of the arithmetic's type.
    """
    width = _integers(8 * ITEMSIZE[dtype])
    bits, number = width.ir, width.type
    stored, real, widened, _ = STORAGE[dtype]
    wide = _integers(real.bitwidth)

    @intrinsic
    def load_ordinal(typingctx, address, index):
        def codegen(context, builder, signature, args):
            return _turn(builder, loaded(builder, *args, bits, "input"))

        return number(types.intp, types.intp), codegen

    @intrinsic
    def least(typingctx):
        def codegen(context, builder, signature, args):
            return ir.Constant(bits, -(2 ** (bits.width - 1)))

        return number(), codegen

    @intrinsic
    def widen(typingctx, k):
        def codegen(context, builder, signature, args):
            if bits == wide.ir:
                return args[0]
            found = _turn(builder, args[0])
            found = widened(builder, found if stored == bits else builder.bitcast(found, stored))
            return _turn(builder, builder.bitcast(found, wide.ir))

        return wide.type(number), codegen

    return SimpleNamespace(load=load_ordinal, later=llvm_function("smax", 2, width), least=least, widen=widen)


MEMORY = {dtype: of_memory(dtype) for dtype in COMPUTE}
