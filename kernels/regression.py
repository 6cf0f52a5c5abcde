"""Formulas of regression, of one element: see elementwise_cpu.py.

Where the loss is finite although x - t is not (x and t at opposite ends of the range), half the difference is taken:
x / 2 - t / 2 is exact but for denormal numbers.

LLVM fuses a product into a sum that is its only use, which depends on what else a loop asks of the formula. So a
product that value and slope share is written into sums as ``fma``: then all loops give the same bits.
"""

import numpy as np

from fastloss.kernels.build_cpu import Template, staged


@Template
def sign(d):
    """-1, 0 or 1, and NaN of NaN."""
    return select(fabs(d) > real(0.0), copysign(real(1.0), d), d)


@Template
def mse(x, t, z, q):
    """(x - t)^2"""
    d = x - t
    g = d + d
    return d * d, g, -g, real(0.0)


@Template
def l1(x, t, z, q):
    """|x - t|"""
    d = x - t
    g = sign(d)
    return fabs(d), g, -g, real(0.0)


@Template
def smooth_l1(x, t, z, q):
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2: l1 for beta = 0."""
    half = real(0.5)
    beta = q[0]
    d = x - t
    a = fabs(d)
    inside = a < beta
    r = d / beta
    g = select(inside, r, sign(d))
    return select(inside, half * d * r, a - half * beta), g, -g, real(0.0)


@Template
def huber(x, t, z, q):
    """d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2)."""
    half = real(0.5)
    delta = q[0]
    d = x - t
    a = fabs(d)
    # Beyond delta, half of |d| is what does not overflow before delta makes it small.
    h = fabs(x * half - t * half)
    outside = a > delta
    g = select(outside, copysign(delta, d), d)
    far = delta * (h - real(0.25) * delta)
    return select(outside, far + far, half * a * a), g, -g, real(0.0)


@Template
def _log_cosh_exponential(x, t, z, q):
    return expm1(-fabs(x - t))


@staged(_log_cosh_exponential)
def log_cosh(x, t, z, q):
    """log cosh d, from m = expm1(-|d|), so that exp(-|d|) = 1 + m.

    Near 0: log1p(cosh d - 1) with cosh d - 1 = m^2 / (2 (1 + m)), which keeps d^2 / 2. Elsewhere
    |d| - log 2 + log1p(exp(-2 |d|)). The slope is tanh d = -m (2 + m) / (1 + (1 + m)^2).
    """
    one = real(1.0)
    d = x - t
    a = fabs(d)
    m = q[5] if STAGED else _log_cosh_exponential(x, t, z, q)
    e = one + m
    square = e * e
    near = a < one
    r = log1p_unit(select(near, m * m / (e + e), square))
    g = copysign(m * (m + real(2.0)) / fma(e, e, one), d)
    return select(near, r, a - real(0.6931471805599453) + r), g, -g, real(0.0)


@Template
def quantile(x, t, z, q):
    """q |d| where x < t, (1 - q) |d| where x > t; q = (quantile, 1 - quantile)."""
    half, zero = real(0.5), real(0.0)
    d = x - t
    below = d < zero
    product = select(below, q[0], q[1]) * fabs(x * half - t * half)
    # At 0 the middle of the slopes, and NaN of NaN.
    g = select(below, -q[0], select(d > zero, q[1], d + half * (q[1] - q[0])))
    return product + product, g, -g, zero


@Template
def mape(x, t, z, q):
    """|x - t| / max(|t|, eps)"""
    a = fabs(t)
    m = at_least(a, q[0])
    s = sign(x - t)
    # Half the difference where it could overflow, and nothing can be lost.
    large = a > real(1.0)
    half = select(large, real(0.5), real(1.0))
    h = fabs(x * half - t * half) / m
    # Where |t| counts twice the slope is -s x / (t |t|): nothing is left of the terms that cancel.
    return select(large, h + h, h), s / m, select(a >= q[0], -s * (x / t) / m, -s / m), real(0.0)


@Template
def msle(x, t, z, q):
    """(log1p x - log1p t)^2, as the square of log1p(|x - t| / (1 + min(x, t))), which does not cancel."""
    zero, one = real(0.0), real(1.0)
    d = x - t
    low = at_most(x, t)
    y = one + low
    # One logarithm cannot see that both numbers are outside the domain.
    y = select(y < zero, real(np.nan), y)
    a = fabs(d)
    # a / y overflows where y is tiny and a huge: 2^54 less of it, and the 1 that is added does not count.
    huge = (a > real(2.0**103)) & (y < one)
    r = log1p_positive(select(huge, a * real(2.0**-54), a) / y)
    r = copysign(select(huge, r + real(54 * 0.6931471805599453), r), d)
    g = r + r
    return r * r, g / (one + x), -g / (one + t), zero
