"""Loops over the CPU's exp, log and relatives, for tests of what they give and of what LLVM makes of them."""

import math

import mpmath
import numpy as np
from numba import njit

from fastloss.kernels.math_cpu import MATH

DTYPES = ("float32", "float64")
UNARY = ("exp", "exp_nonpositive", "expm1", "log", "log1p", "sigmoid", "softplus", "log_sigmoid", "tanh")


def loop_over(function):
    @njit(error_model="numpy")
    def loop(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    return loop


def loop_over_pairs(function):
    @njit(error_model="numpy")
    def loop(x, y, out):
        for i in range(x.size):
            out[i] = function(x[i], y[i])

    return loop


#: For part of the line only, with tests of their own in test_math_of_softmax.py.
PARTIAL = ("exp_softmax", "log1p_unit", "log_probability", "log_complement", "log1p_positive")
LOOPS = {(dtype, name): loop_over(MATH[dtype][name]) for dtype in DTYPES for name in UNARY + PARTIAL}


def evaluate(dtype, name, x):
    x = np.asarray(x, dtype)
    out = np.empty_like(x)
    LOOPS[dtype, name](x, out)
    return out


def exact_error(value, exact, dtype):
    """Against an mpmath number; a sign of zero is left to the table of special values."""
    digits, least, top = {"float32": (24, -149, 128), "float64": (53, -1074, 1024)}[dtype]
    if math.isnan(value):
        return math.inf
    limit = mpmath.ldexp(1, top)
    value = mpmath.mpf(value) if math.isfinite(value) else limit * int(math.copysign(1, value))
    exact = min(max(exact, -limit), limit)
    exponent = mpmath.frexp(exact)[1] if exact else least
    return float(abs(value - exact) / mpmath.ldexp(1, max(exponent - digits, least)))
