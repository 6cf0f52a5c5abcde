"""Formulas of negative log-likelihoods, of one element: see elementwise_cpu.py; and regression.py on ``fma``."""

import numpy as np

from fastloss.kernels.build_cpu import Template, filling


@Template
def poisson(x, t, z, q):
    """exp(x) - t x, or x - t log(x + eps); FULL adds t log t - t + log(2 pi t) / 2 where t > 1, most of it to x."""
    zero, one, infinite = real(0.0), real(1.0), real(np.inf)
    rate, log_rate = x, x
    if LOG_INPUT:
        rate = exp(x)
    else:
        log_rate = log(x + q[0])
    factor, dt, loss = log_rate, -log_rate, rate
    if FULL:
        log_t = log(t)
        large = t > one
        factor = select(large, log_rate - (log_t - one), log_rate)
        dt = select(large, log_t - log_rate + real(0.5) / t, dt)
        loss += select(large, real(0.5) * log_t + real(0.9189385332046727), zero)
    product = select((t == zero) & (fabs(factor) == infinite), zero, t * factor)
    if LOG_INPUT:
        # Where exp overflows it outgrows the product and t, whatever those are: no inf - inf.
        most = select(rate == infinite, real(1e30), infinite)
        return loss - at_most(product, most), rate - at_most(t, most), dt, zero
    return loss - product, one - select(t == zero, zero, t / (x + q[0])), dt, zero


@Template
def gaussian(x, t, v, q):
    """(log v + d^2 / v) / 2 with v clamped at eps, where its slope is that of the formula at eps, as PyTorch's."""
    half = real(0.5)
    v = at_least(v, q[0])
    h = x * half - t * half
    g = h / (half * v)
    loss = fma(h, g, half * log(v))
    if FULL:
        loss += real(0.9189385332046727)
    return loss, g, -g, half * (real(1.0) / v - g * g)


@Template
def gamma(x, t, z, q):
    """x + t exp(-x), or log x + t / x."""
    zero, one, half = real(0.0), real(1.0), real(0.5)
    if LOG_INPUT:
        # Half the exponent twice: exp(-x) may overflow, or lose its digits, where t exp(-x) does not.
        e = select(t == zero, zero, exp(-half * x))
        return fma(t * e, e, x), fma(-t * e, e, one), exp(-x), zero
    y = one / x
    return log(x) + t / x, (x - t) / x / x, y, zero


@Template
def exact_power(x, high, low):
    """(y, r) with exp(high x + low x) = exp(y) (1 + r): the digits that the product loses are digits of the result."""
    power = high + low
    rest = low - (power - high)
    y = power * x
    r = fma(power, x, -y) + rest * x
    return y, select(fabs(y) < real(1000.0), r, real(0.0))


@filling
def tweedie(x, t, z, q):
    """exp(a x) / a - t exp(b x) / b with a = 2 - p, b = 1 - p, each in two parts; BETWEEN: 1 < p < 2."""
    zero, one, half, infinite = real(0.0), real(1.0), real(0.5), real(np.inf)
    a, b = q[0] + q[1], q[2] + q[3]
    y, rest = exact_power(x, q[0], q[1])
    factor, correction = exp(y), one + rest
    upper = factor * correction
    y, rest = exact_power(x, q[2], q[3])
    # t exp(b x) may be an ordinary number where exp(b x) is none.
    root = exp(half * y) * (one + half * rest)
    square = root * root
    inner = (square > real(1e-30)) & (square < real(1e30))
    first, second = select(inner, t, t * root), select(inner, square, root)
    lower = select(t == zero, zero, first * (second / b))
    loss, dx = upper / a - lower, fma(factor, correction, -select(t == zero, zero, first * second))
    if not BETWEEN:
        # Both may overflow: what is left of inf - inf has the sign of the other factor.
        shrink = exp(-half * x)
        ratio = t * shrink * shrink
        both = (upper == infinite) & (fabs(lower) == infinite)
        loss = select(both, upper * (one / a - ratio / b), loss)
        dx = select(both, upper * (one - ratio), dx)
    return loss, dx, -exp(y) * (one + rest) / b, zero


@Template
def tweedie_squared(x, t, z, q):
    """(exp(x) - t)^2 / 2"""
    e = fabs(exp(x))  # not to be fused into what follows
    d = e - t
    # A denormal exp has no digits left, which a huge target would show.
    root = exp(real(0.5) * x)
    return real(0.5) * d * d, select(e < real(1e-30), root * d * root, e * d), -d, real(0.0)


@Template
def half_squared(x, t, z, q):
    """(x - t)^2 / 2"""
    d = x - t
    return real(0.5) * d * d, d, -d, real(0.0)


@Template
def log_ratio(t, x):
    """log(t / x), exact relative to itself near t = x, where the quotient overflows, and where it is 0."""
    two = real(2.0)
    r = t / x
    near = (t < two * x) & (x < two * t)
    far = (r > real(2.0**100)) | (r < real(2.0**-100))
    return select(far, log(t) - log(x), select(near, log1p((t - x) / x), log(r)))


@Template
def poisson_deviance(x, t, z, q):
    """t log(t / x) + x - t"""
    zero = real(0.0)
    log_r = log_ratio(t, x)
    d = x - t
    return select(t == zero, zero, t * log_r) + d, d / x, log_r, zero


@Template
def gamma_deviance(x, t, z, q):
    """t / x - 1 - log(t / x)"""
    d = x - t
    by_target = -d / maximum(x, t) / minimum(x, t)
    return -(log_ratio(t, x) + d / x), d / x / x, by_target, real(0.0)


@Template
def tweedie_identity(x, t, z, q):
    """x^a / a - t x^b / b + t^a / (a b) with a = 2 - p, b = 1 - p, each in two parts; BETWEEN: 1 < p < 2."""
    zero = real(0.0)
    # pow reads exponents in float64, whatever the base.
    wide_a, wide_b = np.float64(q[0]) + np.float64(q[1]), np.float64(q[2]) + np.float64(q[3])
    a, b = q[0] + q[1], q[2] + q[3]
    slope = (x - t) / x
    if BETWEEN:
        power = pow(x, wide_b)
        upper, lower, dx = power * x, power * t, power * slope
    else:  # the other power may overflow where this one does not
        upper = pow(x, wide_a)
        power, lower, dx = upper / x, upper * (t / x), upper * slope / x
    best = select(t > zero, pow(t, wide_a) / (a * b), zero)
    return upper / a - lower / b + best, dx, (select(t < zero, zero, pow(t, wide_b)) - power) / b, zero
