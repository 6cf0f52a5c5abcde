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
def exp_less_line(z):
    """(exp(z) - 1 - z) / z^2 of |z| < 2"""
    one = real(1.0)
    s = one
    for k in range(24, 2, -1):
        s = fma(s, z * (one / real(k)), one)
    return real(0.5) * s


@Template
def poisson_deviance(x, t, z, q):
    """t log(t / x) + x - t: both cancel near t = x, where it is t (exp(u) - 1 - u) with u = log(x / t)."""
    zero = real(0.0)
    log_r = log_ratio(t, x)
    d = x - t
    loss = select(t == zero, zero, t * log_r) + d
    near = fabs(log_r) < real(1.0)
    loss = select(near, t * log_r * log_r * exp_less_line(select(near, -log_r, zero)), loss)
    return loss, d / x, log_r, zero


@Template
def gamma_deviance(x, t, z, q):
    """t / x - 1 - log(t / x), which is exp(u) - 1 - u with u = log(t / x)"""
    zero = real(0.0)
    u = log_ratio(t, x)
    d = x - t
    near = fabs(u) < real(1.0)
    loss = select(near, u * u * exp_less_line(select(near, u, zero)), -(u + d / x))
    by_target = -d / maximum(x, t) / minimum(x, t)
    return loss, d / x / x, by_target, zero


@Template
def tweedie_identity(x, t, z, q):
    """x^a / a - t x^b / b + t^a / (a b) with a = 2 - p, b = 1 - p, each in two parts.

    These terms cancel where x is near t, and everywhere where a or b is small. With u = log(x / t) and a = b + 1 it is
    t^a (expm1(a u) / a - expm1(b u) / b), or t^a u^2 (a f(a u) - b f(b u)) with f(z) = (exp(z) - 1 - z) / z^2.
    """
    zero, one, two, infinite = real(0.0), real(1.0), real(2.0), real(np.inf)
    # pow reads exponents in float64, whatever the base. Half of each, twice: powers overflow where the loss does not.
    wide_a, wide_b = np.float64(q[0]) + np.float64(q[1]), np.float64(q[2]) + np.float64(q[3])
    x_a, x_b, t_a, t_b = pow(x, 0.5 * wide_a), pow(x, 0.5 * wide_b), pow(t, 0.5 * wide_a), pow(t, 0.5 * wide_b)
    a, b = q[0] + q[1], q[2] + q[3]
    upper, lower = x_a * (x_a / a), select(t == zero, zero, (t * x_b) * (x_b / b))
    u = -log_ratio(t, x)
    au, bu = a * u, b * u
    small_a, small_b = fabs(au) < two, fabs(bu) < two
    grown_a, grown_b = expm1(au) / a, expm1(bu) / b
    first = select(small_a, t_a * (t_a * grown_a), upper - t_a * (t_a / a))
    second = select(small_b, t_a * (t_a * grown_b), lower - t_a * (t_a / b))
    loss = first - second
    # Where terms of both signs overflow the loss does, for it is positive.
    loss = select((loss == loss) | (u != u) | (x < zero), loss, infinite)
    near = small_a & small_b & (fabs(u) < one)
    bend = a * exp_less_line(select(near, au, zero)) - b * exp_less_line(select(near, bu, zero))
    loss = select(near, (t_a * u) * (t_a * u) * bend, loss)
    loss = select(t > zero, select(u == zero, zero, loss), upper - lower)
    slope = (x - t) / x
    power = pow(x, wide_b)
    by_input = select(power < infinite, power * slope, select(slope == zero, slope, x_b * slope * x_b))
    more, less = t_b * (t_b / b), x_b * (x_b / b)
    by_target = select((fabs(more) == infinite) & (fabs(less) == infinite), -u * infinite, more - less)
    by_target = select(small_b, -t_b * (t_b * grown_b), by_target)
    by_target = select(t > zero, select(u == zero, zero, by_target), select(t < zero, zero, more) - less)
    return loss, by_input, by_target, zero
