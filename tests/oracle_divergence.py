"""Oracles of the divergences, of one element in mpmath: see elements.py."""

import mpmath
from elements import oracle


def probability(log_p):
    return mpmath.exp(log_p) if log_p > -(10**6) else mpmath.mpf(0)


def both(x, t, log_target):
    """(p, log p, q, log q)."""
    if log_target:
        return probability(x), x, probability(t), t
    t = max(t, mpmath.mpf(0))  # the difference at 0 looks to both sides
    return probability(x), x, t, mpmath.log(t) if t else -mpmath.inf


def times(p, log):
    return p * log if p else mpmath.mpf(0)


def kl_slopes(x, t, z, *, log_target):
    """The terms of the slope by q or log q cancel."""
    _, log_p, q, log_q = both(x, t, log_target)
    size = abs(log_p) + abs(log_q) + 1 if q else 0
    return q, size * q if log_target else size


@oracle(magnitude=kl_slopes)
def kl_div(x, t, z, *, log_target):
    _, log_p, q, log_q = both(x, t, log_target)
    value = times(q, log_q - log_p)
    return value, max(abs(value), abs(times(q, log_q)) + abs(times(q, log_p)))


def js_slopes(x, t, z, *, log_target):
    """log p - log q is as exact as log q, where q is given."""
    p, log_p, q, log_q = both(x, t, log_target)
    if not p or not q:
        return 0, 0
    m = mpmath.log((p + q) / 2)
    rounded = 0 if log_target else abs(log_q)
    return p * (abs(log_p - m) + rounded) / 2, (q if log_target else 1) * (abs(log_q - m) + rounded) / 2


@oracle(magnitude=js_slopes)
def js_div(x, t, z, *, log_target):
    p, log_p, q, log_q = both(x, t, log_target)
    m = (p + q) / 2
    if not m or log_p == log_q:
        return mpmath.mpf(0)
    value = (times(p, log_p - mpmath.log(m)) + times(q, log_q - mpmath.log(m))) / 2
    # It grows with the square of log p - log q, of which log q is rounded where q is given.
    return value, value if log_target or not q else value * (1 + 2 * abs(log_q) / abs(log_p - log_q))


@oracle()
def tv_div(x, t, z, *, log_target):
    p, q = probability(x), probability(t) if log_target else t
    value = abs(p - q) / 2
    # From two logarithms, and near 1, the difference keeps its accuracy.
    return value, value if log_target or p > 0.75 else (p + q) / 2
