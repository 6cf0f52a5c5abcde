"""The CPU's exp, log and relatives: accuracy over the whole range, and special values.

An error is |result - exact| in units in the last place of the exact value: 0.5 is correct rounding. Overflow is in the
same measure, with inf standing for 2**128 (float32) or 2**1024 (float64).
"""

import math

import mpmath
import numpy as np
import pytest
from math_loops import DTYPES, UNARY, evaluate, exact_error, loop_over, loop_over_pairs
from numba import njit

from fastloss.kernels.math_cpu import MATH

POW = {dtype: loop_over_pairs(MATH[dtype]["pow"]) for dtype in DTYPES}

# The worst error found, rounded up: over all inputs for float32, so that the room is for rounding only; over some
# 100,000 random points a function for float64, so that a tenth is left for points not met.
BOUND = {
    "float32": {
        "exp": 1.05,
        "exp_nonpositive": 1.05,
        "expm1": 1.1,
        "log": 0.9,
        "log1p": 1.0,
        "sigmoid": 1.5,
        "softplus": 1.85,
        "log_sigmoid": 1.85,
        "tanh": 0.9,
        "pow": 0.51,  # float64 arithmetic rounded once
    },
    "float64": {
        "exp": 1.1,
        "exp_nonpositive": 1.1,
        "expm1": 1.2,
        "log": 0.9,
        "log1p": 0.9,
        "sigmoid": 1.5,
        "softplus": 1.9,
        "log_sigmoid": 1.9,
        "tanh": 1.0,
        "pow": 1.0,  # what C libraries promise
    },
}


def evaluate_pow(dtype, x, y):
    x, y = np.asarray(x, dtype), np.asarray(y, dtype)
    out = np.empty_like(x)
    POW[dtype](x, y, out)
    return out


# The unit in the last place of float32 for a float64 with these bits of exponent.
FLOAT32_UNIT = 2.0 ** np.maximum(np.arange(2048) - 1023 - 23, -149)


@njit(error_model="numpy")
def worst_float32_error(result, reference):
    """The largest error in ulp and its index; inf where one is NaN and the other is not, or the signs differ."""
    exponents = reference.view(np.uint64)
    worst, where = -1.0, -1
    for i in range(result.size):
        value, exact = np.float64(result[i]), reference[i]
        if math.isnan(value) or math.isnan(exact):
            error = 0.0 if math.isnan(value) and math.isnan(exact) else np.inf
        elif math.copysign(1.0, value) != math.copysign(1.0, exact):
            error = np.inf
        else:
            unit = FLOAT32_UNIT[min((exponents[i] >> np.uint64(52)) & np.uint64(2047), np.uint64(1023 + 128))]
            error = abs(min(abs(value), 2.0**128) - min(abs(exact), 2.0**128)) / unit
        if error > worst:
            worst, where = error, i
    return worst, where


# Their own rounding, a few units in the last place of float64, is 2**-27 units in the last place of float32.
FLOAT64_REFERENCE = {
    "exp": np.exp,
    "exp_nonpositive": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": lambda x: np.where(x < 0, np.exp(-np.abs(x)), 1.0) / (1.0 + np.exp(-np.abs(x))),
    "softplus": lambda x: np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x))),
    "log_sigmoid": lambda x: -(np.maximum(-x, 0.0) + np.log1p(np.exp(-np.abs(x)))),
}


def exact_softplus(x):
    return max(x, mpmath.mpf(0)) + mpmath.log1p(mpmath.exp(-min(abs(x), 2000)))


# Beyond +-2000 exp has overflowed or underflowed in every type; mpmath would carry its exponent in full.
MPMATH = {
    "exp": lambda x: mpmath.exp(min(max(x, -2000), 2000)),
    "expm1": lambda x: mpmath.expm1(min(max(x, -2000), 2000)),
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "tanh": lambda x: mpmath.tanh(min(max(x, -2000), 2000)),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(min(max(-x, -2000), 2000))),
    "softplus": exact_softplus,
    "log_sigmoid": lambda x: -exact_softplus(-x),
}
MPMATH["exp_nonpositive"] = MPMATH["exp"]


def around(points, dtype, steps=4):
    """The numbers next to each point, on both sides."""
    found = []
    for point in points:
        below = above = np.asarray(point, dtype)[()]
        found.append(above)
        for _ in range(steps):
            below, above = np.nextafter(below, -np.inf, dtype=dtype), np.nextafter(above, np.inf, dtype=dtype)
            found += [below, above]
    return np.array(found, dtype)


def float64_grid(name, seed=0):
    random = np.random.default_rng(seed)
    exponents = np.arange(-1074, 1024)
    binades = np.ldexp(random.uniform(1, 2, exponents.size), exponents)
    binades = np.concatenate([binades, -binades[::2], np.ldexp(1.0, exponents[::7])])
    # exp overflows at 709.78, its result is denormal from -708.4 on and 0 from -745.13 on; 1 + exp(-x) is 1 from 36.7.
    thresholds = [
        709.782712893384,
        -708.3964185322641,
        -745.1332191019412,
        36.7368,
        -36.7368,
        37.43,
        -37.43,
        18.7,
        -18.7,
    ]
    # The range reduction changes at odd multiples of log(2) / 2, for tanh of half that.
    switches = (np.arange(-41, 41) + 0.5) * math.log(2)
    # The logarithm changes its exponent at sqrt(1/2) times powers of two.
    roots = math.sqrt(0.5) * 2.0 ** np.arange(-4, 5)
    special = around(
        [0.0, 1.0, -1.0, 2.0, 0.5, *thresholds, *switches, *switches / 2, *roots, *(roots - 1)], "float64", 2
    )
    uniform = np.concatenate(
        [random.uniform(-1, 2, 1500), random.uniform(-40, 40, 1500), random.uniform(-750, 712, 500)]
    )
    near_one = 1 + np.ldexp(random.uniform(-1, 1, 300), -random.integers(0, 53, 300))
    x = np.concatenate([binades, special, uniform, near_one, near_one - 1, -near_one])
    if name == "log":
        return x[x > 0]
    if name == "log1p":
        return x[x > -1]
    return x[x <= 0] if name == "exp_nonpositive" else x


@pytest.mark.parametrize("name", UNARY)
def test_float64_matches_mpmath(name):
    x = float64_grid(name)
    values = evaluate("float64", name, x)
    with mpmath.workprec(200):
        errors = [
            exact_error(v, MPMATH[name](mpmath.mpf(p)), "float64")
            for p, v in zip(x.tolist(), values.tolist(), strict=True)
        ]
    worst = int(np.argmax(errors))
    assert errors[worst] <= BOUND["float64"][name], f"{name}({x[worst].hex()}) is off by {errors[worst]} ulp"


def check_float32(name, bits):
    x = bits.view(np.float32)
    if name == "exp_nonpositive":
        x = x[~(x > 0)]
    with np.errstate(all="ignore"):
        reference = FLOAT64_REFERENCE[name](x.astype(np.float64))
    worst, where = worst_float32_error(evaluate("float32", name, x), reference)
    assert worst <= BOUND["float32"][name], f"{name}({float(x[where]).hex()}) is off by {worst} ulp"
    return worst


@pytest.mark.parametrize("name", UNARY)
def test_float32_sample(name):
    # 997 is odd and prime: the sample meets every exponent and, over them, every low bit.
    check_float32(name, np.arange(0, 2**32, 997, dtype=np.uint32))


@pytest.mark.parametrize("name", UNARY)
def test_float32_near_switches(name):
    points = np.concatenate([float64_grid(name)[-5000:], [88.72284, -87.33655, -103.97208, 16.6355, 9.01, 1.0, 0.0]])
    check_float32(name, around(points[np.abs(points) < 3e38], "float32", 1).view(np.uint32))


@pytest.mark.slow
@pytest.mark.parametrize("name", UNARY)
def test_float32_everywhere(name):
    worst = 0.0
    for start in range(0, 2**32, 2**20):
        bits = (np.arange(2**20, dtype=np.uint64) + np.uint64(start)).astype(np.uint32)
        worst = max(worst, check_float32(name, bits))
    print(f"{name} float32: {worst:.3f} ulp")


@pytest.mark.parametrize("name", UNARY)
def test_float64_reference_is_good_enough_for_float32(name):
    # 2**-40 is 2**-16 units in the last place of float32, far below the second digit of the bounds.
    random = np.random.default_rng(1)
    x = np.concatenate(
        [random.uniform(-80, 80, 300), np.ldexp(random.uniform(-2, 2, 300), -random.integers(0, 120, 300))]
    )
    x = np.abs(x) if name.startswith("log") and name != "log_sigmoid" else x
    with mpmath.workprec(200):
        for point, value in zip(x.tolist(), FLOAT64_REFERENCE[name](x).tolist(), strict=True):
            exact = MPMATH[name](mpmath.mpf(point))
            assert abs(mpmath.mpf(value) / exact - 1) < 2.0**-40, point


INF, NAN = math.inf, math.nan
LOG2 = math.log(2)
SPECIAL = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (1e30, INF), (-1e30, 0.0)],
    "exp_nonpositive": [(0.0, 1.0), (-0.0, 1.0), (-INF, 0.0), (-1e30, 0.0)],
    "expm1": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -1.0), (1e30, INF), (-1e30, -1.0)],
    "log": [(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (INF, INF), (-INF, NAN), (-1.0, NAN), (-1e-30, NAN)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (-1.0, -INF), (INF, INF), (-INF, NAN), (-1.5, NAN), (-1e30, NAN)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0), (1e30, 1.0), (-1e30, 0.0)],
    "softplus": [(0.0, LOG2), (-0.0, LOG2), (INF, INF), (-INF, 0.0), (1e30, 1e30), (-1e30, 0.0)],
    "log_sigmoid": [(0.0, -LOG2), (-0.0, -LOG2), (INF, -0.0), (-INF, -INF), (1e30, -0.0), (-1e30, -1e30)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (1e30, 1.0), (-1e30, -1.0)],
}


def assert_same(actual, expected, what):
    """Equal values, equal signs of zero, NaN where NaN is expected."""
    for a, e, w in zip(actual.tolist(), expected.tolist(), what, strict=True):
        assert (math.isnan(a) and math.isnan(e)) or (a == e and math.copysign(1, a) == math.copysign(1, e)), (w, a, e)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_special_values(dtype, name):
    # Both signs of NaN, and one whose payload is in the bits that the exponent arithmetic shifts.
    payload = np.array([0x7FC12345], np.uint32).view(np.float32).astype(dtype)[0]
    table = [*SPECIAL[name], (NAN, NAN), (-NAN, NAN), (payload, NAN)]
    x, expected = (np.array(column, dtype) for column in zip(*table, strict=True))
    # Vector body and remainder of the loop are compiled apart: the table fills both.
    x, expected = np.tile(x, 37), np.tile(expected, 37)
    assert_same(evaluate(dtype, name, x), expected, x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_overflow_and_underflow_are_gradual(dtype):
    info = np.finfo(dtype)
    largest, least = math.log(float(info.max)), math.log(float(info.smallest_subnormal))
    x = [np.nextafter(np.dtype(dtype).type(largest), 0), largest + 0.001, least + 0.01, least - 0.71]
    exp = evaluate(dtype, "exp", x)
    assert np.isfinite(exp[0]) and exp[0] > info.max / 1.001
    assert exp[1] == np.inf
    assert exp[2] == info.smallest_subnormal
    assert exp[3] == 0
    for name in ("exp_nonpositive", "sigmoid", "softplus"):
        assert evaluate(dtype, name, x)[2] == info.smallest_subnormal, name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["expm1", "log1p", "tanh"])
def test_denormals_pass_through(dtype, name):
    least = float(np.finfo(dtype).smallest_subnormal)
    x = np.array([least, -least, 3 * least, 12345 * least, -12345 * least], dtype)
    assert_same(evaluate(dtype, name, x), x, x)


def c99_pow_table():
    """The cases that C's Annex F lists for pow, and ordinary ones around them."""
    table = [(x, 0.0, 1.0) for x in (0.0, -0.0, 1.0, -2.5, INF, -INF, NAN)]
    table += [(x, -0.0, 1.0) for x in (0.0, -0.0, 1.0, -2.5, INF, -INF, NAN)]
    table += [(1.0, y, 1.0) for y in (3.0, -2.5, INF, -INF, NAN)]
    table += [(-1.0, INF, 1.0), (-1.0, -INF, 1.0), (-1.0, 3.0, -1.0), (-1.0, 2.0**24, 1.0), (-1.0, 2.0**24 - 1, -1.0)]
    table += [(0.0, -3.0, INF), (-0.0, -3.0, -INF), (0.0, -2.0, INF), (-0.0, -2.0, INF), (-0.0, -2.5, INF)]
    table += [(0.0, -INF, INF), (-0.0, -INF, INF), (0.0, INF, 0.0), (-0.0, INF, 0.0)]
    table += [(0.0, 3.0, 0.0), (-0.0, 3.0, -0.0), (-0.0, 2.0, 0.0), (-0.0, 2.5, 0.0)]
    table += [
        (-2.0, 2.5, NAN),
        (-2.0, 0.5, NAN),
        (-0.5, -0.5, NAN),
        (-2.0, 3.0, -8.0),
        (-2.0, 2.0, 4.0),
        (-2.0, -3.0, -0.125),
    ]
    table += [(0.5, -INF, INF), (-0.5, -INF, INF), (0.5, INF, 0.0), (-0.5, INF, 0.0)]
    table += [(2.0, -INF, 0.0), (-2.0, -INF, 0.0), (2.0, INF, INF), (-2.0, INF, INF)]
    table += [
        (-INF, -3.0, -0.0),
        (-INF, -2.0, 0.0),
        (-INF, -2.5, 0.0),
        (-INF, 3.0, -INF),
        (-INF, 2.0, INF),
        (-INF, 2.5, INF),
    ]
    table += [(INF, -2.5, 0.0), (INF, 2.5, INF), (INF, -INF, 0.0), (-INF, INF, INF)]
    table += [(NAN, 2.0, NAN), (2.0, NAN, NAN), (-1.0, NAN, NAN), (0.0, NAN, NAN), (INF, NAN, NAN), (NAN, INF, NAN)]
    return table


@pytest.mark.parametrize("dtype", DTYPES)
def test_pow_special_values(dtype):
    x, y, expected = (np.tile(np.array(column, dtype), 37) for column in zip(*c99_pow_table(), strict=True))
    assert_same(evaluate_pow(dtype, x, y), expected, list(zip(x, y, strict=True)))


def pow_grid(dtype, size, seed):
    """Positive bases of every exponent with powers that keep the result in range, just out of it, and near 1."""
    random = np.random.default_rng(seed)
    info = np.finfo(dtype)
    low, high = math.log2(float(info.smallest_subnormal)), float(info.maxexp)
    x = 2.0 ** random.uniform(low, high * 0.999, size)
    near = size // 3
    x[:near] = 1 + np.ldexp(random.uniform(-0.5, 0.5, near), -random.integers(0, info.nmant, near))
    x = x.astype(dtype)
    x[x == 1] = 2
    y = (random.uniform(low - 2, high + 1, size) / np.log2(x.astype(np.float64))).astype(dtype)
    y[::3] = random.uniform(-4, 4, y[::3].size)
    y[::7] = np.rint(y[::7])
    return x, y


@pytest.mark.parametrize(("dtype", "size"), [("float32", 6000), ("float64", 1500)])
def test_pow_matches_mpmath(dtype, size):
    x, y = pow_grid(dtype, size, 0)
    values = evaluate_pow(dtype, x, y)
    with mpmath.workprec(250):
        errors = [
            exact_error(v, mpmath.power(mpmath.mpf(a), mpmath.mpf(b)), dtype)
            for a, b, v in zip(x.tolist(), y.tolist(), values.tolist(), strict=True)
        ]
    worst = int(np.argmax(errors))
    assert errors[worst] <= BOUND[dtype]["pow"], f"pow({x[worst]!r}, {y[worst]!r}) is off by {errors[worst]} ulp"


def test_pow_float32_many():
    x, y = pow_grid("float32", 2_000_000, 1)
    with np.errstate(all="ignore"):
        reference = np.power(x.astype(np.float64), y.astype(np.float64))
    worst, where = worst_float32_error(evaluate_pow("float32", x, y), reference)
    assert worst <= BOUND["float32"]["pow"], f"pow({x[where]!r}, {y[where]!r}) is off by {worst} ulp"


@pytest.mark.parametrize("dtype", DTYPES)
def test_fast_math_of_the_caller_changes_no_bit(dtype):
    # The functions' compensated sums and rounding trick are deleted by reassoc where it reaches them.
    x = np.concatenate([np.linspace(-100, 88, 20001), np.linspace(-1, 1, 20001)]).astype(dtype)
    for name in UNARY:
        function = MATH[dtype][name]

        @njit(error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp", "afn"})
        def loop(x, out, function=function):
            for i in range(x.size):
                out[i] = function(x[i])

        points = -np.abs(x) if name == "exp_nonpositive" else x
        out = np.empty_like(points)
        loop(points, out)
        expected = evaluate(dtype, name, points)
        assert ((out == expected) | (np.isnan(out) & np.isnan(expected))).all(), name


def test_intrinsics():
    table = {
        "maximum": [(1, 2, 2), (NAN, 1, NAN), (1, NAN, NAN), (-0.0, 0.0, 0.0), (-INF, 3, 3)],
        "minimum": [(1, 2, 1), (NAN, 1, NAN), (1, NAN, NAN), (0.0, -0.0, -0.0), (INF, 3, 3)],
        "maxnum": [(1, 2, 2), (NAN, 1, 1), (1, NAN, 1), (NAN, NAN, NAN)],
        "at_least": [(1, 2, 2), (2, 1, 2), (NAN, 1, NAN), (-INF, 3, 3)],
        "at_most": [(1, 2, 1), (2, 1, 1), (NAN, 1, NAN), (INF, 3, 3)],
        "copysign": [(2, -0.0, -2), (-2, 1, 2), (0.0, -1, -0.0)],
    }
    for dtype in DTYPES:
        for name, rows in table.items():
            loop = loop_over_pairs(MATH[dtype][name])
            x, y, expected = (np.array(column, dtype) for column in zip(*rows, strict=True))
            out = np.empty_like(x)
            loop(x, y, out)
            assert_same(out, expected, rows)
        for name, x, expected in (("sqrt", 2.25, 1.5), ("fabs", -0.0, 0.0)):
            out = np.empty(1, dtype)
            loop_over(MATH[dtype][name])(np.array([x], dtype), out)
            assert_same(out, np.array([expected], dtype), [name])


@pytest.mark.parametrize("dtype", DTYPES)
def test_ordinals_are_in_the_order_of_the_floats(dtype):
    maths = MATH[dtype]
    ordinal, from_ordinal, rank = maths["ordinal"], maths["from_ordinal"], maths["rank"]
    earlier, later = maths["earlier"], maths["later"]

    @njit
    def both(x, y):
        return ordinal(x), rank(x), from_ordinal(ordinal(x)), later(ordinal(x), ordinal(y)), earlier(rank(x), rank(y))

    tiny = np.finfo(dtype).smallest_subnormal
    numbers = np.array([-INF, -1e30, -1, -tiny, -0.0, 0.0, tiny, 1, 1e30, INF, NAN], dtype)
    found = [both(x, y) for x, y in zip(numbers, numbers[::-1], strict=True)]
    ordinals = [row[0] for row in found]
    assert ordinals == sorted(set(ordinals))
    assert [row[1] for row in found] == ordinals
    assert_same(np.array([row[2] for row in found]), numbers, numbers)
    assert [row[3] for row in found] == [max(pair) for pair in zip(ordinals, ordinals[::-1], strict=True)]
    assert [row[4] for row in found] == [min(pair) for pair in zip(ordinals, ordinals[::-1], strict=True)]
    # A NaN of the other sign is the least, but for ``rank``.
    negative = np.copysign(numbers[-1:], -1)[0]
    assert both(negative, negative)[0] < ordinals[0]
    assert both(negative, negative)[1] == ordinals[-1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_fma_rounds_once_and_converts_its_arguments(dtype):
    fma = MATH[dtype]["fma"]

    @njit
    def residual(x):
        return fma(x, x, -x * x)

    @njit
    def with_literals(x):
        return fma(x, 2, 1.0)

    x = np.dtype(dtype).type(1 + np.finfo(dtype).eps)
    assert residual(x) == np.finfo(dtype).eps ** 2
    with_literals(x)
    (signature,) = with_literals.nopython_signatures
    assert str(signature.return_type) == dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_function_takes_its_flags_from_who_compiles_it_first(dtype):
    """Numba hands the caller's flags down to whoever says none: signs of zeros depended on the order of calls."""
    jitted = [function for function in MATH[dtype].values() if hasattr(function, "targetoptions")]
    assert len(jitted) > 8
    assert all(function.targetoptions["fastmath"] == {"contract"} for function in jitted)
