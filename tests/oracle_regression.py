"""Formulas of the regression losses, of one element, in mpmath: see elements.py.

Where terms cancel the formula returns the sum of their sizes too; ``magnitude`` does so for the gradients.
"""

import functools

import mpmath
from elements import oracle
from mpmath import mpf

HALF = mpf(1) / 2


def deep(formula):
    """With digits enough for a difference of values that are a constant and the square of a float64 denormal."""

    @functools.wraps(formula)
    def wide(*arguments, **parameters):
        with mpmath.workdps(1500):
            return formula(*arguments, **parameters)

    return wide


def both(size):
    """The same magnitude for the gradients by input and target."""

    def magnitude(x, t, z, **parameters):
        value = size(x, t, **parameters)
        return value, value

    return magnitude


@oracle(denominator="weights")
def l1_loss(x, t, z):
    return abs(x - t)


@oracle()
def smooth_l1_loss(x, t, z, *, beta):
    d = abs(x - t)
    return d * d / (2 * beta) if d < beta else d - beta / 2


@oracle()
def huber_loss(x, t, z, *, delta):
    d = abs(x - t)
    return d * d / 2 if d <= delta else delta * (d - delta / 2)


@oracle()
def log_cosh_loss(x, t, z):
    d = abs(x - t)
    if d > 1000:
        return d - mpmath.log(2)
    return mpmath.log1p(2 * mpmath.sinh(d / 2) ** 2)


@oracle()
def quantile_loss(x, t, z, *, quantile):
    return max(quantile * (t - x), (quantile - 1) * (t - x))


def _log(x):
    return mpmath.log(x) if x > 0 else mpf("-inf") if x == 0 else mpf("nan")


def _times_log(t, x):
    return mpf(0) if t == 0 else t * _log(x)


def _stirling(t):
    return t * mpmath.log(t) - t + mpmath.log(2 * mpmath.pi * t) / 2


def _poisson_slopes(x, t, z, *, log_input, full, eps):
    by_target = abs(x) if log_input else abs(_log(x + eps))
    if full and t > 1:
        by_target += abs(mpmath.log(t)) + 1 / t
    if not log_input:
        by_target += 1  # the rounding of x + eps
    return (mpmath.exp(x) + t if log_input else 1 + t / (x + eps)), by_target


@oracle(magnitude=_poisson_slopes)
def poisson_nll_loss(x, t, z, *, log_input, full, eps):
    large, product = (mpmath.exp(x), t * x) if log_input else (x, _times_log(t, x + eps))
    value, size = large - product, abs(large) + abs(product) + (0 if log_input else t)
    if full and t > 1:
        value, size = value + _stirling(t), size + t * (mpmath.log(t) + 1) + mpmath.log(t)
    return value, size


@oracle(
    names=("input", "target", "var"),
    magnitude=lambda x, t, v, *, full, eps: (*[abs(x - t) / max(v, eps)] * 2, _var_slope(x, t, max(v, eps))),
)
def gaussian_nll_loss(x, t, v, *, full, eps):
    # Below eps the slope by the variance is not this formula's: its own test has it.
    v = max(v, eps)
    logarithm, square = mpmath.log(v) / 2, (x - t) ** 2 / v / 2
    constant = mpmath.log(2 * mpmath.pi) / 2 if full else mpf(0)
    return logarithm + square + constant, abs(logarithm) + square + constant


def _var_slope(x, t, v):
    return (1 / v + ((x - t) / v) ** 2) / 2


def _gamma_slopes(x, t, z, *, log_input):
    if log_input:
        p = mpf(0) if t == 0 else t * mpmath.exp(-x)
        return 1 + p, mpmath.exp(-x)
    return abs(x - t) / x**2, 1 / x


@oracle(magnitude=_gamma_slopes)
def gamma_nll_loss(x, t, z, *, log_input):
    if log_input:
        p = mpf(0) if t == 0 else t * mpmath.exp(-x)
        return x + p, abs(x) + p
    return _log(x) + t / x, abs(_log(x)) + t / x


def _power(x, exponent):
    return mpf(0) if x == 0 and exponent > 0 else mpmath.power(x, exponent)


def tweedie_terms(x, t, power, log_input):
    """The terms of the loss."""
    if log_input:
        if power == 0:
            return ((mpmath.exp(x) - t) ** 2 / 2,)
        if power == 1:
            return mpmath.exp(x), -t * x
        if power == 2:
            return x, t * mpmath.exp(-x)
        return mpmath.exp((2 - power) * x) / (2 - power), -t * mpmath.exp((1 - power) * x) / (1 - power)
    if power == 0:
        return ((x - t) ** 2 / 2,)
    if power == 1:
        return (mpf(0) if t == 0 else t * mpmath.log(t / x)), x - t
    if power == 2:
        return mpmath.log(x / t), (t - x) / x
    best = _power(t, 2 - power) / ((1 - power) * (2 - power)) if t > 0 else mpf(0)
    return _power(x, 2 - power) / (2 - power), -t * _power(x, 1 - power) / (1 - power), best


def _tweedie_slopes(x, t, z, *, power, log_input):
    if log_input:
        by_target = (
            mpmath.exp(x) + abs(t)
            if power == 0
            else abs(x)
            if power == 1
            else mpmath.exp((1 - power) * x) / abs(1 - power)
        )
        if power == 0:
            return mpmath.exp(x) * (mpmath.exp(x) + abs(t)), by_target
        return mpmath.exp((2 - power) * x) + t * mpmath.exp((1 - power) * x), by_target
    if power in (0, 1, 2):  # as exact as x - t and the logarithm of a ratio are
        return mpf(0), mpf(0)
    return mpf(0), (_power(x, 1 - power) + (_power(t, 1 - power) if t > 0 else mpf(0))) / abs(1 - power)


@oracle(magnitude=_tweedie_slopes)
def tweedie_loss(x, t, z, *, power, log_input):
    terms = tweedie_terms(x, t, power, log_input)
    if log_input and power == 0:  # (e - t)^2 / 2 is twice as wrong as e - t, relative to itself
        return terms[0], abs(mpmath.exp(x) - t) * (mpmath.exp(x) + abs(t))
    if not log_input and t > 0:  # exact relative to itself, however much of the terms cancels
        loss = mpf(0) if x == t else sum(terms)
        return loss, loss
    return sum(terms), sum(abs(term) for term in terms)


@oracle()
@deep
def mape_loss(x, t, z, *, eps):
    return abs(x - t) / max(abs(t), eps)


@oracle()
def msle_loss(x, t, z):
    return (mpmath.log1p(x) - mpmath.log1p(t)) ** 2


@oracle()
@deep
def charbonnier_loss(x, t, z, *, eps):
    return mpmath.sqrt((x - t) ** 2 + eps**2)


@oracle()
def cauchy_loss(x, t, z, *, scale):
    return mpmath.log1p(HALF * ((x - t) / scale) ** 2)


def _welsch_slope(x, t, *, scale):
    # A rounding of d moves exp(-(d / c)^2 / 2) by (d / c)^2 times as much.
    u = (x - t) / scale
    return (1 + u * u) * abs(u) / scale * mpmath.exp(-HALF * u * u)


@oracle(magnitude=both(_welsch_slope))
@deep
def welsch_loss(x, t, z, *, scale):
    u = HALF * ((x - t) / scale) ** 2
    return -mpmath.expm1(-u) if u < 10**6 else mpf(1)


@oracle()
def geman_mcclure_loss(x, t, z, *, scale):
    u = ((x - t) / scale) ** 2
    return 2 * u / (u + 4)
