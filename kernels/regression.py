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


@Template
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
    r = log1p(select(huge, a * real(2.0**-54), a) / y)
    r = copysign(select(huge, r + real(54 * 0.6931471805599453), r), d)
    g = r + r
    return r * r, g / (one + x), -g / (one + t), zero


@Template
def charbonnier(x, t, z, q):
    """sqrt(d^2 + eps^2), as the larger of the two times sqrt(1 + (ratio)^2): no square overflows."""
    one = real(1.0)
    eps = q[0]
    d = x - t
    a = fabs(d)
    far = a > eps
    larger = select(far, a, eps)
    r = select(far, eps, a) / larger
    root = sqrt(one + r * r)
    g = copysign(select(far, one, r) / root, d)
    return larger * root, g, -g, real(0.0)


@Template
def cauchy(x, t, z, q):
    """log(1 + u) with u = (d / c)^2 / 2 = 2 h^2, h = d / (2 c); q = (1 / c, 2^-10 / c).

    Far out u overflows, and h where c is small: 2 log(h / 2^10) + 21 log 2.
    """
    one, half = real(1.0), real(0.5)
    d = x * half - t * half
    h = d * q[0]
    u = real(2.0) * h * h
    far = fabs(h) > real(2.0**60)
    r = log1p(select(far, fabs(d) * q[1], u))
    g = select(far, one, (h + h) * q[0]) / select(far, d, fma(h + h, h, one))
    return select(far, r + r + real(21 * 0.6931471805599453), r), g, -g, real(0.0)


@Template
def welsch(x, t, z, q):
    """1 - exp(-u) with u = (d / c)^2 / 2; q = 1 / c."""
    zero = real(0.0)
    d = (x - t) * q[0]
    u = real(0.5) * d * d
    e = exp_nonpositive(-u)
    g = select(e == zero, zero, e * d) * q[0]
    return -expm1(-u), g, -g, zero


@Template
def geman_mcclure(x, t, z, q):
    """2 u / (1 + u) with u = h^2, h = d / (2 c); q = 1 / c. Beyond 1 in 1 / u: no square overflows."""
    one, two, half = real(1.0), real(2.0), real(0.5)
    h = (x * half - t * half) * q[0]
    far = fabs(h) > one
    r = select(far, one / h, h)
    u = r * r
    inverse = one / fma(r, r, one)
    value = two * inverse
    g = select(far, r * u, r) * (value * inverse) * q[0]
    return select(far, value, value * u), g, -g, real(0.0)
