"""Formulas of losses of a softmax, and of probabilities: see rows_cpu.py.

``SCORE(log_p, p, rest, q)`` is the loss of one class of probability p = exp(-log_p), with rest = 1 - p from what the
other classes sum to, and minus p times its derivative. From those two numbers, phi and h, come all losses of the form
sum of m_c phi(p_c) over the classes, where the mass m_c is a class weight times the share of the target:

    d loss / d x_j = p_j sum_c m_c h_c - m_j h_j

The share is (1 - e) t + e / C, label smoothing e included; t is one class (HAS_Y) or a distribution. The class of an
index is worked out once a row, in float64; only smoothed and soft targets (SPREAD) need a look at all classes.
"""

import numpy as np

from fastloss.kernels.binary import whole_power
from fastloss.kernels.build_cpu import Template
from fastloss.kernels.math_cpu import MATH

log1p_wide = MATH["float64"]["log1p"]

# Numbers of a launch: the loss's own, 1 - e, e / C, and a factor of everything.
OWN, KEPT, SPREAD_EVENLY, FACTOR = range(4)


@Template
def focal(log_p, p, rest, q):
    """(1 - p)^gamma (-log p); GAMMA is the exponent where it is small and whole, else -1."""
    zero, one = real(0.0), real(1.0)
    power = whole_power(rest, GAMMA) if GAMMA >= 0 else pow(rest, q[OWN])
    # gamma p log(p) (1 - p)^(gamma - 1), where -log p / (1 - p) goes to 1 as p does.
    ratio = select(rest == zero, one, log_p / rest)
    bend = select(p == zero, zero, q[OWN] * p * ratio)
    return select(power == zero, zero, power * log_p), power * (one + bend)


@Template
def poly(log_p, p, rest, q):
    """-log p + epsilon (1 - p)"""
    return log_p + q[OWN] * rest, real(1.0) + q[OWN] * p


@Template
def generalized(log_p, p, rest, q):
    """(1 - p^q) / q"""
    return -expm1(-q[OWN] * log_p) / q[OWN], exp_nonpositive(-q[OWN] * log_p)


@Template
def _score(d, others, log_sum, inverse, q):
    # The two numbers of the class at distance d from the largest.
    one = real(1.0)
    e = exp_softmax(d)
    rest = select(d == real(0.0), others, one + (others - e)) * inverse
    return SCORE(log_sum - d, e * inverse, rest, q)


@Template
def _mass(t, z, q):
    # Of an index, the part that smoothing spreads.
    share = q[SPREAD_EVENLY] if HAS_Y else t * q[KEPT] + q[SPREAD_EVENLY]
    return share * z


@Template
def scores_sums(x, t, z, y, m, q):
    return (real(0.0),)


@Template
def scores_middle(s, o, q):
    return o, log1p_wide(o), 1.0 / (1.0 + o)


@Template
def scores_later(x, t, z, y, m, g, q):
    zero = real(0.0)
    score = _score(x, g[0], g[1], g[2], q)
    mass = _mass(t, z, q)
    return select(mass == zero, zero, mass * score[0]), mass * score[1]


@Template
def scores_finish(s, o, m, y, k, q):
    zero, one = real(0.0), real(1.0)
    others, log_sum, inverse = o[0], log1p(o[0]), one / (one + o[0])
    loss = slope = own = zero
    if SPREAD:
        loss, slope = s[2], s[3]
    if HAS_Y:
        # The label's own slope as -h (1 - p), so that a confident row keeps it.
        e = exp_softmax(y)
        score = _score(y, others, log_sum, inverse, q)
        rest = select(y == zero, others, one + (others - e)) * inverse
        if SPREAD:
            own = e * inverse * slope - q[SPREAD_EVENLY] * score[1]
            loss = loss + select(q[KEPT] == zero, zero, q[KEPT] * score[0])
        else:
            loss = score[0]
        own = q[FACTOR] * (own - q[KEPT] * score[1] * rest)
        slope = slope + q[KEPT] * score[1]
    result = q[FACTOR] * loss, q[FACTOR] * slope * inverse, log_sum, others, inverse
    return (*result, own) if HAS_Y else result


@Template
def scores_slopes(x, t, z, y, m, c, q):
    zero = real(0.0)
    by_x = exp_softmax(x) * c[0]
    by_t = zero
    if SPREAD:
        score = _score(x, c[2], c[1], c[3], q)
        by_x -= q[FACTOR] * _mass(t, z, q) * score[1]
        by_t = select(z == zero, zero, q[KEPT] * q[FACTOR] * z * score[0])
    return by_x, by_t, zero


# Entropy.


@Template
def entropy_sums(x, t, z, y, m, q):
    zero = real(0.0)
    e = exp_softmax(x)
    return (select(e == zero, zero, e * x),)


@Template
def entropy_finish(s, o, m, y, k, q):
    """With d = x - max and its mean under p: H = log sum exp(d) - mean d, a sum of two numbers >= 0."""
    zero, one = real(0.0), real(1.0)
    inverse = one / (one + o[0])
    mean = s[0] * inverse
    return log1p(o[0]) - mean, inverse, mean, zero, zero


@Template
def entropy_slopes(x, t, z, y, m, c, q):
    zero = real(0.0)
    e = exp_softmax(x)
    return select(e == zero, zero, e * c[0] * (c[1] - x)), zero, zero


@Template
def entropy_of_probabilities_sums(x, t, z, y, m, q):
    zero = real(0.0)
    return (select(x == zero, zero, -x * log(x)),)


@Template
def entropy_of_probabilities_finish(s, o, m, y, k, q):
    zero = real(0.0)
    return s[0], zero, zero, zero, zero


@Template
def entropy_of_probabilities_slopes(x, t, z, y, m, c, q):
    zero = real(0.0)
    return select(x == zero, zero, real(-1.0) - log(x)), zero, zero


# Kullback-Leibler divergence of two softmaxes: q is (1 / temperature, temperature).


@Template
def kl_with_logits_tops(x, t, z, y, q):
    return x, t, real(0.0)


@Template
def _apart(x, t, m, q):
    # log p - log q but for a constant of the row; the difference first: that of near logits is exact.
    return ((t - x) - (m[1] - m[0])) * q[0]


@Template
def _bend(d):
    # (expm1(d) - d) / d where _is_near
    r = real(1 / 720) + d * (real(1 / 5040) + d * real(1 / 40320))
    return d * (real(0.5) + d * (real(1 / 6) + d * (real(1 / 24) + d * (real(1 / 120) + d * r))))


@Template
def _is_near(apart):
    return fabs(apart) < (real(0.03125) if REALSIZE == 8 else real(0.5))


@Template
def kl_with_logits_sums(x, t, z, y, m, q):
    """Of a = exp(x) and b = exp(t), where t - x is called apart: b, a, b (exp(-apart) - 1 + apart) and b apart."""
    zero = real(0.0)
    a, b = exp_softmax((x - m[0]) * q[0]), exp_softmax((t - m[1]) * q[0])
    apart = _apart(x, t, m, q)
    first = select(b == zero, zero, b * apart)
    return b, a, select(_is_near(apart), -first * _bend(-apart), a - b + first), first


@Template
def kl_with_logits_finish(s, o, m, y, k, q):
    """log(sum a / sum b) + mean, where mean is that of apart under b.

    Where the two are near each other, so are -log(sum a / sum b) and mean, and their difference is of second order.
    With x = sum (a - b) / sum b it is written as (log(1 + x) - x) + (x + mean), both of second order: the second is
    what the third sum adds up.
    """
    zero, half, one = real(0.0), real(0.5), real(1.0)
    inverse = one / s[0]
    mean = s[3] * inverse
    near = (fabs(s[1] - s[0]) <= half * s[0]) & (mean < real(np.inf))
    bend = s[2] * inverse
    x = select(near, bend - mean, zero)
    series = one / real(9.0) - x * (one / real(10.0) - x / real(11.0))
    series = one / real(6.0) - x * (one / real(7.0) - x * (one / real(8.0) - x * series))
    series = half - x * (one / real(3.0) - x * (one / real(4.0) - x * (one / real(5.0) - x * series)))
    second = select(fabs(x) < real(0.015625), -x * x * series, log1p(x) - x)
    loss = select(near, second + bend, log(s[1] * inverse) + mean)
    # Times the square of the temperature; the slopes lose one of its factors. a / sum a - b / sum b is written as
    # (a - b) / sum b + a (1 / sum a - 1 / sum b) where the sums are near each other, so that equal logits give 0.
    by_a = select(near, -x, one) / s[1]
    return q[1] * q[1] * maximum(loss, zero), q[1] * by_a, q[1] * inverse, mean, select(near, one, zero)


@Template
def kl_with_logits_slopes(x, t, z, y, m, c, q):
    zero = real(0.0)
    a, b = exp_softmax((x - m[0]) * q[0]), exp_softmax((t - m[1]) * q[0])
    apart = _apart(x, t, m, q)
    # a - b, where x is near t as b expm1(x - t): its relative error does not grow as they approach.
    difference = select(_is_near(apart), -b * apart * (real(1.0) + _bend(-apart)), a - b)
    less = select(c[3] == zero, -b, difference)
    return a * c[0] + less * c[1], select(b == zero, zero, b * c[1] * (apart - c[2])), zero
