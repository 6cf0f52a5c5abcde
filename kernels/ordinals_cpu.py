"""Integers in the order of the floats, and what else their bits tell.

The largest of many costs a look at NaN for each as floats (``llvm.maxnum``), whose last steps moreover go one by one;
of integers it takes a third of the time. A NaN is the largest of all, or if its sign is set the least. Only of numbers
side by side in memory, where a NaN comes back in the sum that follows, are float32 and float64 compared as they are.
"""

from types import SimpleNamespace

from llvmlite import ir
from numba import types
from numba.core import cgutils
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


#: Elements are worked on in groups of this many: four vectors of float32 of the widest registers.
GROUP = 64


def _halves(builder, numbers):
    # The two halves of a vector.
    half = numbers.type.count // 2
    undefined, kind = ir.Constant(numbers.type, ir.Undefined), ir.VectorType(ir.IntType(32), half)
    return [
        builder.shuffle_vector(numbers, undefined, ir.Constant(kind, list(range(first, first + half))))
        for first in (0, half)
    ]


def _float_extremes(builder, found, new):
    # A NaN is never larger, but may be forgotten: it comes back in the sum of the exponentials.
    return [builder.select(builder.fcmp_ordered(">", found[0], new[0]), found[0], new[0])]


def _bit_extremes(builder, found, new):
    return [
        builder.select(builder.icmp_signed(order, mine, its), mine, its)
        for order, mine, its in zip("><", found, new, strict=True)
    ]


def of_memory(dtype):
    """The largest of numbers as they are stored: ``largest(address, n)``, the ordinal of the largest of n >= GROUP.

    Sixteen bits are compared as such, which needs no widening and holds twice as many in a register: by the larger and
    the smaller of all, which takes less than turning negative ones round.

    ``load`` gives bits, the ``outermost`` of which is the largest of numbers >= 0: unsigned, their bits are in their
    order, and those of negative numbers, of -0 too, and of NaN come after them. So where it is not ``beyond`` a limit,
    all are in [0, limit].
    """
    width = _integers(8 * ITEMSIZE[dtype])
    bits, number = width.ir, width.type
    stored, real, widened, narrowed = STORAGE[dtype]
    wide = _integers(real.bitwidth)
    is_float = COMPUTE[dtype] == dtype

    @intrinsic
    def load_bits(typingctx, address, index):
        def codegen(context, builder, signature, args):
            return loaded(builder, *args, bits, "input")

        return number(types.intp, types.intp), codegen

    @intrinsic
    def largest(typingctx, address, n):
        # In vectors from the start: as a loop over floats LLVM would have to be told that there is no NaN among them.
        element = stored if is_float else bits
        extremes = _float_extremes if is_float else _bit_extremes

        def codegen(context, builder, signature, args):
            address, n = args

            def group_at(index):
                return loaded(builder, address, index, element, "input", GROUP)

            last = group_at(builder.sub(n, ir.Constant(n.type, GROUP)))
            slots = [cgutils.alloca_once_value(builder, last) for _ in range(1 if is_float else 2)]
            begin, step = ir.Constant(n.type, 0), ir.Constant(n.type, GROUP)
            end = builder.mul(builder.sdiv(n, step), step)
            with cgutils.for_range_slice(builder, begin, end, step, inc=True) as (index, _):
                new = group_at(index)
                found = extremes(builder, [builder.load(slot) for slot in slots], [new, new])
                for slot, one in zip(slots, found, strict=True):
                    builder.store(one, slot)
            found = [builder.load(slot) for slot in slots]
            while found[0].type.count > 1:
                halves = [_halves(builder, one) for one in found]
                found = extremes(builder, *([half[i] for half in halves] for i in range(2)))
            found = [builder.extract_element(one, ir.Constant(ir.IntType(32), 0)) for one in found]
            if not is_float:
                found = [_of_extremes(builder, *found)]
                found = [widened(builder, found[0] if stored == bits else builder.bitcast(found[0], stored))]
            return _turn(builder, builder.bitcast(found[0], wide.ir))

        return wide.type(types.intp, types.intp), codegen

    @intrinsic
    def beyond(typingctx, found, limit):
        def codegen(context, builder, signature, args):
            return builder.icmp_unsigned(">", args[0], builder.bitcast(narrowed(builder, args[1]), bits))

        return types.boolean(number, real), codegen

    return SimpleNamespace(
        load=load_bits,
        largest=largest,
        outermost=llvm_function("umax", 2, width),
        beyond=beyond,
    )


MEMORY = {dtype: of_memory(dtype) for dtype in COMPUTE}
