"""Oracles of the losses of a margin, of one element in mpmath: see elements.py."""

import mpmath
from elements import oracle


def positive(x):
    return x if x > 0 else mpmath.mpf(0)


def softplus(x):
    """log(1 + exp(x)), in a few hundred digits more where x is large."""
    if abs(x) > 10**6:
        return positive(x)
    return mpmath.log1p(mpmath.exp(-abs(x))) + positive(x)


@oracle()
def hinge_loss(x, t, z, *, margin):
    return positive(margin - t * x)


@oracle()
def squared_hinge_loss(x, t, z, *, margin):
    return positive(margin - t * x) ** 2


@oracle()
def perceptron_loss(x, t, z):
    return positive(-t * x)


@oracle()
def hinge_embedding_loss(x, t, z, *, margin):
    return x if t == 1 else positive(margin - x)


@oracle()
def soft_margin_loss(x, t, z):
    return softplus(-t * x)


@oracle()
def logistic_loss(x, t, z, *, targets, label_smoothing):
    m = (2 * t - 1 if targets == "binary" else t) * x
    e = mpmath.mpf(label_smoothing) / 2
    return (1 - e) * softplus(-m) + e * softplus(m)


@oracle()
def exponential_loss(x, t, z):
    if abs(x) > 10**6:  # beyond every range, and mpmath would not come back from it
        return mpmath.mpf(0) if t * x > 0 else -t * x * mpmath.mpf(2) ** 10000
    return mpmath.exp(-t * x)


@oracle(names=("input1", "input2", "target"))
def margin_ranking_loss(x, t, z, *, margin):
    value = positive(margin - z * (x - t))
    return value, margin + abs(x) + abs(t) if value else value
