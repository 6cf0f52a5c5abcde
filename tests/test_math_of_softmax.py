"""Functions of part of the line: exp beside a 1, logarithms of probabilities. Errors as in test_math.py."""

import math

import mpmath
import numpy as np
import pytest
from math_loops import DTYPES, evaluate, exact_error
from numba import njit

from fastloss.kernels.math_cpu import MATH


def softmax_terms(dtype):
    """Arguments of exp_softmax from 0 down to where it gives 0, dense near both ends."""
    lowest = {"float32": -87.33, "float64": -708.39}[dtype]
    points = np.concatenate([-np.geomspace(1e-30, -lowest, 20_001), np.linspace(lowest, 0, 20_011)])
    return np.maximum(points.astype(dtype), np.dtype(dtype).type(lowest))


def test_exp_softmax_float32_bound():
    """As its docstring says: 1.8 units in the last place near 0, 4.7 at the other end; the line between is measured."""
    x = softmax_terms("float32")
    exact = np.exp(x.astype(np.float64))
    units = np.abs(evaluate("float32", "exp_softmax", x) - exact) / np.spacing(exact.astype(np.float32))
    assert (units <= 1.85 + np.abs(x) / 28).all(), units.max()


def test_exp_softmax_float64_bound():
    x = softmax_terms("float64")[::20]
    values = evaluate("float64", "exp_softmax", x)
    with mpmath.workprec(200):
        worst = max(exact_error(v, mpmath.exp(mpmath.mpf(a)), "float64") for v, a in zip(values, x, strict=True))
    assert worst <= 1.1


@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_exp_softmax_special_values(dtype):
    """Exact at 0, where the target's own class may stand; 0 for what is below the smallest normal number; NaN."""
    below = {"float32": -87.5, "float64": -709.0}[dtype]
    x = np.array([0.0, -0.0, below, -1e30, -np.inf, np.nan], dtype)
    np.testing.assert_array_equal(evaluate(dtype, "exp_softmax", x), np.array([1, 1, 0, 0, 0, np.nan], dtype))


def unit_points(dtype):
    """Numbers in (0, 1], and those next to 0 and to 1."""
    near_one = 1 - np.geomspace(np.finfo(dtype).epsneg, 0.5, 1_001)
    return np.concatenate([np.geomspace(1e-30, 1, 2_001), np.linspace(0, 1, 2_003)[1:], near_one]).astype(dtype)


def minus_log1p(a):
    return mpmath.log1p(-a)


def worst_error(dtype, values, points, exact):
    with mpmath.workprec(200):
        return max(
            exact_error(float(v), exact(mpmath.mpf(float(a))), dtype) for v, a in zip(values, points, strict=True)
        )


@pytest.mark.parametrize(
    ("name", "dtype", "exact", "bound"),
    (
        ("log1p_unit", "float32", mpmath.log1p, 1.15),
        ("log1p_unit", "float64", mpmath.log1p, 1.25),
        ("log1p_positive", "float32", mpmath.log1p, 1.0),
        ("log1p_positive", "float64", mpmath.log1p, 0.9),
        ("log_probability", "float32", mpmath.log, 0.9),
        ("log_probability", "float64", mpmath.log, 0.9),
        ("log_complement", "float32", minus_log1p, 1.0),
        ("log_complement", "float64", minus_log1p, 0.9),
    ),
)
def test_logarithms_of_the_unit_interval(name, dtype, exact, bound):
    e = unit_points(dtype)
    if name == "log_complement":
        e = e[e < 1]
    if name == "log1p_positive":
        e = np.concatenate([e, np.geomspace(1, 1e300 if dtype == "float64" else 1e38, 2_001).astype(dtype)])
    assert worst_error(dtype, evaluate(dtype, name, e), e, exact) <= bound


@pytest.mark.parametrize("dtype", DTYPES)
def test_ends_of_the_logarithms_of_probabilities(dtype):
    least, normal = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).tiny
    small = np.array([least, 3 * least, normal / 2, normal], dtype)
    assert worst_error(dtype, evaluate(dtype, "log_probability", small), small, mpmath.log) <= 0.9
    at_zero = evaluate(dtype, "log_probability", [0.0, -0.0])
    assert np.isfinite(at_zero).all()
    assert (at_zero < np.log(np.float64(least))).all()
    assert np.isnan(evaluate(dtype, "log_probability", [math.nan])).all()
    ends = evaluate(dtype, "log_complement", [0.0, -0.0, 1.0, math.nan])
    np.testing.assert_array_equal(ends, np.array([0.0, 0.0, -math.inf, math.nan], dtype))
    assert worst_error(dtype, evaluate(dtype, "log_complement", small), small, minus_log1p) <= 0.5
    ends = evaluate(dtype, "log1p_positive", [0.0, math.inf, math.nan])
    np.testing.assert_array_equal(ends, np.array([0.0, math.inf, math.nan], dtype))
    assert worst_error(dtype, evaluate(dtype, "log1p_positive", small), small, mpmath.log1p) <= 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_rest_takes_the_logarithm_of_either(dtype):
    log_rest = MATH[dtype]["log_rest"]

    @njit(error_model="numpy")
    def loop(x, rest, near, out):
        for i in range(x.size):
            out[i] = log_rest(x[i], rest[i], near[i])

    points = unit_points(dtype)
    other = np.ones_like(points)
    left, right = np.empty_like(points), np.empty_like(points)
    loop(points / 2, other, np.full(points.size, True), left)
    loop(other, points, np.full(points.size, False), right)
    assert worst_error(dtype, left, points / 2, minus_log1p) <= 1.0
    assert worst_error(dtype, right, points, mpmath.log) <= 0.9
    least = np.finfo(dtype).smallest_subnormal
    loop(other[:1], np.array([least], dtype), np.array([False]), right[:1])
    assert worst_error(dtype, right[:1], [least], mpmath.log) <= 0.9
