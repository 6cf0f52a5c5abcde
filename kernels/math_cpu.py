"""Branch-free exp, log and their relatives for the CPU, which LLVM inlines and vectorises.

Numba calls libm for ``math.exp``, one element at a time. The functions here are straight lines of fused multiply-adds,
bit operations and selects, so that a loop that calls them becomes full-width vector code on every target of LLVM.

``MATH[dtype][name]`` is the function ``name`` for ``dtype`` ("float32" or "float64"). All are called from jitted code.
Both widths come from one source, ``_functions``, and differ in constants, polynomials and the reduction of the
logarithm only.

How it stays right inside fast-math callers: each function is jitted on its own (``forceinline`` is LLVM's inlining,
which keeps the instructions' own flags; Numba's ``inline="always"`` would give them the caller's ``reassoc``, which
deletes the rounding trick and the compensated sums below). The accuracy does not lean on ``contract`` either: where a
product must not be rounded, ``llvm.fma`` says so.

Error bounds are in units in the last place of the result (ulp) and rounded up from the largest found, which
``tests/test_math.py`` guards: float32 over all 2**32 inputs, float64 on every binade and random points against mpmath.

Polynomials are minimax (Remez exchange at 200 bits, weighted for the relative error of the function they serve), their
coefficients rounded to the type. The error quoted next to each is that of the polynomial before rounding.
"""

import math
from types import SimpleNamespace

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastloss.kernels import ordinals_cpu
from fastloss.kernels.compiler_cpu import helper
from fastloss.kernels.intrinsics_cpu import llvm_function

#: Said here, because a function that says nothing takes the flags of whatever is being compiled when it is first
#: needed, and keeps them: results would depend on which kernel came first. No nsz: log_sigmoid(inf) is -0.
FASTMATH = frozenset({"contract"})

# expm1(r) = r + r**2 * EXP(r) on |r| <= log(2)/2.
# log1p(f) = f + f**2 * LOG(f) on sqrt(1/2) - 1 <= f <= sqrt(2) - 1 (float32).
# log((1+s)/(1-s)) = 2*s + s*z*LOG(z), z = s**2, on |s| <= (sqrt(2)-1)/(sqrt(2)+1) (float64): half the terms for one
# division. LOG_UNIT is the same for 0 <= f <= 1, or 0 <= s <= 1/3.
_FLOAT32 = SimpleNamespace(
    numpy=np.float32,
    type=types.float32,
    ir=ir.FloatType(),
    int=ir.IntType(32),
    mantissa_bits=23,
    bias=127,
    exp=(  # relative error 2**-31.9
        0.5000000044163327,
        0.1666666637045738,
        0.041666360914983026,
        0.008333389370225385,
        0.0013940627224095935,
        0.00019845877191211763,
    ),
    log=(  # relative error 2**-27.8
        -0.49999988345108864,
        0.3333332569200878,
        -0.2500158309400597,
        0.20001974088830551,
        -0.1660907923597259,
        0.14181819354775566,
        -0.13243011238039804,
        0.12904483618316107,
        -0.07621781955213862,
    ),
    log_unit=(  # relative error 2**-32.4; the first five refitted after rounding the ones before
        -0.5,
        0.3333328068256378,
        -0.24998259544372559,
        0.1997712403535843,
        -0.16503338203664858,
        0.1356277411552657,
        -0.10363130959074815,
        0.06671871528552752,
        -0.03209657845827033,
        0.009856849973180776,
        -0.0014163075709441903,
    ),
    # exp overflows at 88.73 and is below half the smallest denormal from -103.98 on.
    exp_min=-104.0,
    exp_max=89.0,
    expm1_min=-20.0,  # expm1 is -1 below
    tanh_max=10.0,  # tanh is 1 above
    # log(2) in two parts, the first short enough that its product with an exponent is exact.
    ln2_high=float.fromhex("0x1.62e4p-1"),
    ln2_low=float.fromhex("0x1.7f7d1cf79abcap-20"),
    tiny=2.0**-30,  # below, expm1(x), log1p(x) and tanh(x) round to x
)
_FLOAT64 = SimpleNamespace(
    numpy=np.float64,
    type=types.float64,
    ir=ir.DoubleType(),
    int=ir.IntType(64),
    mantissa_bits=52,
    bias=1023,
    exp=(  # relative error 2**-61.7
        0.5,
        0.16666666666666677,
        0.04166666666666651,
        0.008333333333321691,
        0.0013888888888962364,
        0.00019841269885966404,
        2.4801587172551817e-05,
        2.7557244373703323e-06,
        2.7557402632098956e-07,
        2.5108979051576806e-08,
        2.087533302787229e-09,
    ),
    log=(  # relative error 2**-59.4
        0.6666666666666734,
        0.3999999999941465,
        0.2857142874239567,
        0.2222219857227877,
        0.18183564377151848,
        0.15314049150672376,
        0.1479596463094102,
    ),
    log_unit=(  # relative error 2**-59.4
        0.6666666666666631,
        0.40000000000157254,
        0.2857142854785252,
        0.22222223969826968,
        0.18181743921176766,
        0.15386560010346917,
        0.1330097235132877,
        0.12106096658746959,
        0.08340053521579063,
        0.17018668519897753,
    ),
    exp_min=-746.0,
    exp_max=710.0,
    expm1_min=-45.0,
    tanh_max=22.0,
    ln2_high=float.fromhex("0x1.62e42fefap-1"),
    ln2_low=float.fromhex("0x1.cf79abc9e3b3ap-40"),
    tiny=2.0**-60,
)


def _select(width):
    """``a if condition else b`` without a branch."""

    @intrinsic
    def select(typingctx, condition, a, b):
        def codegen(context, builder, signature, args):
            return builder.select(*args)

        return width.type(types.boolean, width.type, width.type), codegen

    return select


def _not_below(width):
    """x >= low, or x is NaN: what is kept is named, not what is left out, for the machine masks an addition so."""

    @intrinsic
    def not_below(typingctx, x, low):
        def codegen(context, builder, signature, args):
            return builder.fcmp_unordered(">=", *args)

        return types.boolean(width.type, width.type), codegen

    return not_below


def _bound(name, sign, width):
    """``at_least(x, low)`` or ``at_most(x, high)``: x, the bound where it is beyond; a NaN x stays one.

    One instruction, where ``maximum`` and ``minimum`` see to a NaN in the bound too; of a constant they know better.
    """

    def typer(typingctx, x, bound):
        def codegen(context, builder, signature, args):
            x, bound = args
            # Without nsz LLVM turns the comparison round, and then cannot turn it back.
            return builder.select(builder.fcmp_ordered(sign, bound, x, flags=["nsz"]), bound, x, flags=["nsz"])

        return width.type(width.type, width.type), codegen

    typer.__name__ = typer.__qualname__ = f"{name}_{width.type}"
    return intrinsic(typer)


def _polynomial(coefficients, width, chains=2):
    """``polynomial(x, x**chains)`` in fused multiply-adds; ``coefficients`` start at the constant.

    One chain is Horner's rule. Two, of the even and of the odd terms, halve its latency at no extra operation where
    x * x is needed anyway, but cancel where terms of alternating signs are not small.
    """

    @intrinsic
    def polynomial(typingctx, x, step):
        def codegen(context, builder, signature, args):
            x, step = args
            constants = [ir.Constant(width.ir, float(width.numpy(c))) for c in coefficients]
            sums = []
            for first in range(chains):
                terms = constants[first::chains]
                value = terms[-1]
                for c in terms[-2::-1]:
                    value = builder.fma(value, step, c)
                sums.append(value)
            return sums[0] if chains == 1 else builder.fma(sums[1], x, sums[0])

        return width.type(width.type, width.type), codegen

    return polynomial


def _two_powers(width):
    """``two_powers(t)`` is (2**h, 2**(n - h)), h = n // 2 rounded down, for t = ROUND + 2 * bias + n.

    Both are normal numbers for every n with p * 2**n in the range of the type, denormals included.
    """

    @intrinsic
    def two_powers(typingctx, t):
        def codegen(context, builder, signature, args):
            # The shift to the exponent's place pushes the bits of ROUND out at the top.
            shift = ir.Constant(width.int, width.mantissa_bits)
            n = builder.bitcast(args[0], width.int)
            half = builder.lshr(n, ir.Constant(width.int, 1))
            powers = [builder.bitcast(builder.shl(k, shift), width.ir) for k in (half, builder.sub(n, half))]
            return cgutils.pack_array(builder, powers)

        return types.UniTuple(width.type, 2)(width.type), codegen

    return two_powers


def _power(width):
    """``power(t)`` is 2**n for t = ROUND + bias + n where that is a normal number."""

    @intrinsic
    def power(typingctx, t):
        def codegen(context, builder, signature, args):
            bits = builder.shl(builder.bitcast(args[0], width.int), ir.Constant(width.int, width.mantissa_bits))
            return builder.bitcast(bits, width.ir)

        return width.type(width.type), codegen

    return power


def _split(width):
    """``split(x)`` is (k, m, q) with x = m * 2**k, m in [sqrt(1/2), sqrt(2)) and q = 4 * 2**-k, for normal x > 0."""
    root = {32: 0x3F3504F3, 64: 0x3FE6A09E667F3BCD}[width.int.width]

    @intrinsic
    def split(typingctx, x):
        def codegen(context, builder, signature, args):
            def constant(bits):
                return ir.Constant(width.int, bits)

            shift = constant(width.mantissa_bits)
            bits = builder.add(
                builder.bitcast(args[0], width.int), constant((width.bias << width.mantissa_bits) - root)
            )
            biased = builder.lshr(bits, shift)
            # k + bias as the low bits of 2**mantissa_bits: no conversion from integer, which AVX2 lacks for 64 bits.
            exponent = constant((width.bias + width.mantissa_bits) << width.mantissa_bits)
            k = builder.fsub(
                builder.bitcast(builder.or_(biased, exponent), width.ir),
                ir.Constant(width.ir, float(2**width.mantissa_bits + width.bias)),
            )
            m = builder.add(builder.and_(bits, constant((1 << width.mantissa_bits) - 1)), constant(root))
            q = builder.sub(constant((2 * width.bias + 2) << width.mantissa_bits), builder.shl(biased, shift))
            return cgutils.pack_array(builder, [k, builder.bitcast(m, width.ir), builder.bitcast(q, width.ir)])

        return types.UniTuple(width.type, 3)(width.type), codegen

    return split


def _functions(width):
    T = width.numpy
    ZERO, QUARTER, HALF, ONE, TWO = T(0.0), T(0.25), T(0.5), T(1.0), T(2.0)
    NOTHING = T(-0.0)  # what an addition of is no operation
    INF, NAN, TINY = T(math.inf), T(math.nan), T(width.tiny)
    NORMAL_MIN = np.finfo(T).tiny
    DENORMAL_SCALE, DENORMAL_SHIFT = T(2.0 ** (width.mantissa_bits + 1)), T(width.mantissa_bits + 1)
    # Adding ROUND rounds to an integer, which the low bits of the sum then hold. With the bias of the exponent added
    # in, a shift turns them into a power of two. The integer needs no conversion and a NaN no special case.
    ROUND = 1.5 * 2.0**width.mantissa_bits
    LIFT = (width.bias + 1) // 2
    ROUND_TWO, ROUND_LIFTED = T(ROUND + 2 * width.bias), T(ROUND + width.bias + LIFT)
    ROUND_HALF, UNLIFT = T(ROUND + width.bias - 1), T(2.0**-LIFT)
    ROUND_PLAIN, FLUSH_MIN = T(ROUND + width.bias), T(math.log(float(NORMAL_MIN)) + 1e-4)
    SOFTMAX_1, SOFTMAX_2, SOFTMAX_3, SOFTMAX_4, SOFTMAX_5 = (
        T(c)
        for c in (
            0.9999997053903616,
            0.4999914602447855,
            0.16667640101976525,
            0.04189840713144187,
            0.008290235559876381,
        )
    )
    LN2 = T(math.log(2))
    LOG2_E = T(1 / math.log(2))
    LN2_HIGH, LN2_LOW = T(width.ln2_high), T(width.ln2_low)
    EXP_MIN, EXP_MAX, EXPM1_MIN, TANH_MAX = T(width.exp_min), T(width.exp_max), T(width.expm1_min), T(width.tanh_max)
    SINGLE = width is _FLOAT32

    fma, fabs, copysign = (
        llvm_function("fma", 3, width),
        llvm_function("fabs", 1, width),
        llvm_function("copysign", 2, width),
    )
    select, power, two_powers, split = _select(width), _power(width), _two_powers(width), _split(width)
    not_below = _not_below(width)
    bits = ordinals_cpu.of_registers(width.type)
    ordinal, is_other = bits.ordinal, bits.is_other
    exp_polynomial = _polynomial(width.exp, width)
    log_polynomial = _polynomial(width.log, width, chains=1)
    unit_polynomial = _polynomial(width.log_unit, width, chains=1)

    jit = helper(FASTMATH)

    @jit
    def rank(x):
        """ordinal(x), of which any NaN is the largest."""
        return ordinal(select(x == x, x, NAN))

    @jit
    def reduced(x, n):
        """expm1(x - n * log(2))."""
        r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, x))
        square = r * r
        return fma(square, exp_polynomial(r, square), r)

    @jit
    def exp(x):
        """exp(x): 1.05 ulp (float32), 1.1 ulp (float64).

        x = n * log(2) + r with |r| <= log(2) / 2; exp(x) = 2**n * (1 + expm1(r)). Of the errors, the last sum has 0.5,
        expm1(r) with |r| <= 0.35 and the rounding of r have the rest.
        """
        x = T(x)
        x = select(x < EXP_MIN, EXP_MIN, x)
        x = select(x > EXP_MAX, EXP_MAX, x)
        t = fma(x, LOG2_E, ROUND_TWO)
        first, second = two_powers(t)
        return (ONE + reduced(x, t - ROUND_TWO)) * first * second

    @jit
    def exp_nonpositive(x):
        """exp(x) for x <= 0 or NaN (right up to x = 40), in fewer operations: 1.05 ulp (float32), 1.1 ulp (float64).

        2**n is made as 2**(n + LIFT), a normal number down to the smallest n, times the constant 2**-LIFT.
        """
        x = T(x)
        x = select(x < EXP_MIN, EXP_MIN, x)
        t = fma(x, LOG2_E, ROUND_LIFTED)
        return (ONE + reduced(x, t - ROUND_LIFTED)) * power(t) * UNLIFT

    @jit
    def exp_reached(x):
        """exp(x) for FLUSH_MIN <= x <= 0."""
        t = fma(x, LOG2_E, ROUND_PLAIN)
        n = t - ROUND_PLAIN
        if SINGLE:
            r = fma(n, -LN2, x)
            p = fma(r, SOFTMAX_5, SOFTMAX_4)
            p = fma(r, p, SOFTMAX_3)
            p = fma(r, p, SOFTMAX_2)
            p = fma(r, p, SOFTMAX_1)
            p = fma(r, p, ONE)
        else:
            p = ONE + reduced(x, n)
        return p * power(t)

    @jit
    def exp_softmax(x):
        """exp(x) for x <= 0 or NaN, 0 below the smallest normal number; exact at 0. For terms beside a 1.

        4.7 ulp (float32: 1.8 near 0, one more for each 30 of |x|, from the shorter reduction), 1.1 ulp (float64).
        A softmax rounds x - max to |x| 2**-24 before it comes here, which is more: so float32 takes log(2) in one part
        and a polynomial of degree 5 with a relative error of 2**-23.4, and needs 11 operations instead of 17.
        """
        x = T(x)
        return select(not_below(x, FLUSH_MIN), exp_reached(x), ZERO)

    @jit
    def exp_beside(x):
        """exp_softmax(x), but 0 at 0: the largest is not beside itself. One mask, which an addition takes for free."""
        x = T(x)
        return select(not_below(x, FLUSH_MIN) & is_other(x), exp_reached(x), ZERO)

    @jit
    def half_expm1(x):
        """expm1(x) / 2 as an unevaluated sum of two numbers; halved because 2**n itself can overflow.

        With s = 2**n / 2 and a = s - 1/2, it is (a + s * r) + s * (expm1(r) - r). The first sum cancels near
        x = log(2) / 2, so its error and that of r are kept (a is 0 or the larger term: Fast2Sum).
        """
        t = fma(x, LOG2_E, ROUND_HALF)
        n = t - ROUND_HALF
        exact = fma(n, -LN2_HIGH, x)
        r = fma(n, -LN2_LOW, exact)
        r_low = fma(n, -LN2_LOW, exact - r)
        square = r * r
        s = power(t)
        a = s - HALF
        high = fma(s, r, a)
        low = fma(s, r, a - high)
        return high, fma(s, fma(square, exp_polynomial(r, square), r_low), low)

    @jit
    def expm1(x):
        """exp(x) - 1: 1.1 ulp (float32), 1.2 ulp (float64). Small x go back as they are, for denormals and -0."""
        x = T(x)
        y = select(x < EXPM1_MIN, EXPM1_MIN, x)
        y = select(y > EXP_MAX, EXP_MAX, y)
        high, low = half_expm1(y)
        half = high + low
        return select(fabs(x) < TINY, x, half + half)

    @jit
    def log1p_tail(f, c):
        """log1p(f) - f + c on [sqrt(1/2) - 1, sqrt(2) - 1] for a small c."""
        if SINGLE:
            square = f * f
            return fma(square, log_polynomial(f, f), c)
        s = f / (TWO + f)
        z = s * s
        half_square = HALF * f * f
        return fma(s, fma(z, log_polynomial(z, z), half_square), c - half_square)

    @jit
    def log_joined(k, f, g):
        """k * log(2) + log1p(f + g), g a rounding error of f; the error of k * log(2) + f is kept (Fast2Sum)."""
        a = k * LN2_HIGH
        high = a + f
        low = f - (high - a) + g
        return high + log1p_tail(f, fma(k, LN2_LOW, low))

    @jit
    def log(x):
        """log(x): 0.9 ulp (float32 and float64).

        x = 2**k * (1 + f), f exact.
        """
        x = T(x)
        denormal = x < NORMAL_MIN
        k, m, _ = split(select(denormal, x * DENORMAL_SCALE, x))
        k = select(denormal, k - DENORMAL_SHIFT, k)
        r = log_joined(k, m - ONE, NOTHING)
        r = select(x < INF, r, x)
        return select(x > ZERO, r, select(x == ZERO, -INF, NAN))

    @jit
    def log_probability(x):
        """log(x) for 0 < x <= 1 or NaN: 0.9 ulp. Of 0 and -0 it is below that of the least number."""
        x = T(x)
        k, m, _ = split(fma(x, DENORMAL_SCALE, ZERO))
        return log_joined(k - DENORMAL_SHIFT, m - ONE, x - x)  # a NaN has left no trace in k and m

    @jit
    def log_complement(x):
        """log(1 - x) for 0 <= x <= 1 or NaN: 1.0 ulp (float32), 0.9 ulp (float64). As log1p, with no other case."""
        x = T(x)
        u = ONE - x
        k, _, q = split(u)
        p = q * QUARTER  # 2**-k, a normal number here
        b = p - ONE
        f = fma(-x, p, b)
        return select(u == ZERO, -INF, log_joined(k, f, fma(-x, p, b - f)))

    @jit
    def log_rest(x, rest, near):
        """log(1 - x) where ``near``, else log(rest), both arguments of the logarithm in (0, 1]: 1.0 ulp.

        In one logarithm where two would be taken. Scaled, so that a denormal rest is none.
        """
        k, _, q = split(select(near, ONE - x, rest) * DENORMAL_SCALE)
        p = q * QUARTER
        y = select(near, -x, rest) * DENORMAL_SCALE
        b = select(near, fma(p, DENORMAL_SCALE, -ONE), -ONE)
        f = fma(y, p, b)
        return log_joined(k - DENORMAL_SHIFT, f, fma(y, p, b - f))

    @jit
    def log1p_split(x, u):
        """log1p(x) where u = 1 + x is positive and finite; a tiny x loses its last bits."""
        k, _, q = split(u)
        # f, and its rounding error; q = 4 * 2**-k is a normal number up to the largest u, where 2**-k is not.
        quarter = QUARTER * x
        b = fma(q, QUARTER, -ONE)
        f = fma(quarter, q, b)
        return log_joined(k, f, fma(quarter, q, b - f))

    @jit
    def log1p(x):
        """log(1 + x): 1.0 ulp (float32), 0.9 ulp (float64).

        As log, but f = 2**-k * (1 + x) - 1 comes from x itself: the rounded 1 + x only chooses k.
        """
        x = T(x)
        u = ONE + x
        r = log1p_split(x, u)
        r = select(x < INF, r, x)
        r = select(u > ZERO, r, select(u == ZERO, -INF, NAN))
        return select(fabs(x) < TINY, x, r)

    @jit
    def log1p_positive(x):
        """log(1 + x) for x >= 0 or NaN: 1.0 ulp (float32), 0.9 ulp (float64); of a denormal 2 ulp."""
        x = T(x)
        return select(x < INF, log1p_split(x, ONE + x), x)

    @jit
    def log1p_unit(e):
        """log1p(e) for 0 <= e <= 1: 1.15 ulp (float32), 1.25 ulp (float64)."""
        if SINGLE:
            square = e * e
            return fma(square, unit_polynomial(e, e), e)
        s = e / (TWO + e)
        z = s * s
        half_square = HALF * e * e
        return e + fma(s, fma(z, unit_polynomial(z, z), half_square), -half_square)

    @jit
    def sigmoid(x):
        """1 / (1 + exp(-x)): 1.5 ulp (float32 and float64), most of it that of exp.

        From e = exp(-|x|), which LLVM computes once where softplus of the same x is taken too.
        """
        x = T(x)
        e = exp_nonpositive(-fabs(x))
        d = ONE + e
        y = ONE / d
        numerator = select(x < ZERO, e, ONE)
        q = numerator * y
        # One Newton step on the quotient, with the part of 1 + e that d lost.
        residual = fma(-q, e - (d - ONE), fma(-q, d, numerator))
        return fma(residual, y, q)

    @jit
    def softplus(x):
        """log(1 + exp(x)): 1.85 ulp (float32), 1.9 ulp (float64), as max(x, 0) + log1p(exp(-|x|))."""
        x = T(x)
        return select(x > ZERO, x, ZERO) + log1p_unit(exp_nonpositive(-fabs(x)))

    @jit
    def log_sigmoid(x):
        """log(1 / (1 + exp(-x))): 1.85 ulp (float32), 1.9 ulp (float64)."""
        return -softplus(-T(x))

    @jit
    def tanh(x):
        """tanh(x): 0.9 ulp (float32), 1.0 ulp (float64).

        tanh(|x|) = h / (1 + h) for h = expm1(2 * |x|) / 2, both carried in two parts; one Newton step on the quotient.
        """
        x = T(x)
        a = fabs(x)
        high, low = half_expm1(select(a > TANH_MAX, TANH_MAX, a) * TWO)
        h = high + low
        h_low = low - (h - high)
        d = ONE + h
        d_low = select(h > ONE, ONE, h) - (d - select(h > ONE, h, ONE)) + h_low
        y = ONE / d
        q = h * y
        residual = fma(-q, d, h) + fma(-q, d_low, h_low)
        return select(a < TINY, x, copysign(fma(residual, y, q), x))

    return {
        "exp": exp,
        "exp_nonpositive": exp_nonpositive,
        "exp_softmax": exp_softmax,
        "exp_beside": exp_beside,
        "expm1": expm1,
        "log": log,
        "log_probability": log_probability,
        "log_complement": log_complement,
        "log_rest": log_rest,
        "log1p": log1p,
        "log1p_positive": log1p_positive,
        "log1p_unit": log1p_unit,
        "sigmoid": sigmoid,
        "softplus": softplus,
        "log_sigmoid": log_sigmoid,
        "tanh": tanh,
        "fma": fma,
        "select": select,
        "fabs": fabs,
        "copysign": copysign,
        **vars(bits),
        "rank": rank,
        "sqrt": llvm_function("sqrt", 1, width),
        "maximum": llvm_function("maximum", 2, width),
        "minimum": llvm_function("minimum", 2, width),
        "maxnum": llvm_function("maxnum", 2, width),
        "at_least": _bound("at_least", ">", width),
        "at_most": _bound("at_most", "<", width),
    }


def _powers(exp, log):
    """pow for float32, from exp and log of float64, and for float64."""
    rint, copysign, select = (
        llvm_function("rint", 1, _FLOAT64),
        llvm_function("copysign", 2, _FLOAT64),
        _select(_FLOAT64),
    )

    @helper(FASTMATH)
    def pow32(x, y):
        """x**y with C's special values: 0.51 ulp, through float64.

        |y * log(x)| < 104 wherever the result is neither 0 nor inf: its error in float64, and exp's, are 2**-21 ulp.
        Infinite, zero and NaN bases and powers come right by themselves, but for those selected at the end.
        """
        x, y = np.float64(x), np.float64(y)
        a = abs(x)
        r = exp(y * log(a))
        integer = rint(y) == y
        odd = integer & (rint(y * 0.5) != y * 0.5)
        r = select((a == 1.0) & (y == y), 1.0, r)
        r = select(odd, copysign(r, x), r)
        r = select((x < 0.0) & (a < np.inf) & (not integer), np.nan, r)
        r = select((x == 1.0) | (y == 0.0), 1.0, r)
        return np.float32(r)

    @helper(FASTMATH)
    def pow64(x, y):
        """x**y by the C library: a call an element, for exp(y * log(x)) would need log in twice the precision."""
        return np.float64(x) ** np.float64(y)

    return pow32, pow64


MATH = {"float32": _functions(_FLOAT32), "float64": _functions(_FLOAT64)}
MATH["float32"]["pow"], MATH["float64"]["pow"] = _powers(MATH["float64"]["exp"], MATH["float64"]["log"])
