"""Oracles of the binary losses beyond cross-entropy, of one element in mpmath: see elements.py."""

import mpmath
from elements import oracle
from oracle_margin import positive, softplus


def sigmoid(x):
    if abs(x) > 10**6:
        return mpmath.mpf(1) if x > 0 else mpmath.mpf(0)
    return 1 / (1 + mpmath.exp(-x))


def focal_slopes(x, t, z, *, alpha, gamma, label_smoothing):
    """The size of the terms of the slopes, which cancel for targets between 0 and 1."""
    e = mpmath.mpf(label_smoothing)
    y = (1 - e) * t + e / 2
    p, rest = sigmoid(x), sigmoid(-x)
    miss = p * (1 - y) + rest * y
    weight = alpha * y + (1 - alpha) * (1 - y) if alpha >= 0 else mpmath.mpf(1)
    entropy = y * softplus(-x) + (1 - y) * softplus(x)
    factor = miss**gamma
    less = gamma * miss ** (gamma - 1) * entropy if miss else mpmath.mpf(0)
    tilt = abs(2 * alpha - 1) if alpha >= 0 else 0
    seen = abs(x) * mpmath.mpf(10) ** -70  # of the third power of a target of 0, by a difference
    return (
        weight * (factor * (p * (1 - y) + rest * y) + less * p * rest * abs(1 - 2 * y)),
        (1 - e) * (weight * (factor * abs(x) + less * abs(1 - 2 * p)) + tilt * factor * entropy) + seen,
    )


def asymmetric_slopes(x, t, z, *, gamma_neg, gamma_pos, clip, label_smoothing):
    """The same, and p - clip, which is rounded to the last place of p."""
    e = mpmath.mpf(label_smoothing)
    t = (1 - e) * t + e / 2
    p, rest = sigmoid(x), sigmoid(-x)
    m = positive(p - clip)
    rise = rest**gamma_pos * (rest + gamma_pos * p * softplus(-x))
    fall = mpmath.mpf(0)
    if m:
        negative = softplus(x) if clip == 0 else -mpmath.log1p(-m)
        share = rest / (rest + clip) if rest + clip else mpmath.mpf(1)
        fall = p * (gamma_neg * m ** (gamma_neg - 1) * negative * rest + m**gamma_neg * share)
        fall *= 1 + gamma_neg * (p / m - 1)
    value = asymmetric_loss.formula(
        x, mpmath.mpf(0), z, gamma_neg=gamma_neg, gamma_pos=gamma_pos, clip=clip, label_smoothing=0
    )[1]
    return t * rise + (1 - t) * fall, rest**gamma_pos * softplus(-x) + value


@oracle(magnitude=focal_slopes)
def sigmoid_focal_loss(x, t, z, *, alpha, gamma, label_smoothing):
    e = mpmath.mpf(label_smoothing)
    y = (1 - e) * t + e / 2
    miss = sigmoid(x) * (1 - y) + sigmoid(-x) * y  # 1 - p_t
    weight = alpha * y + (1 - alpha) * (1 - y) if alpha >= 0 else 1
    return weight * miss**gamma * (y * softplus(-x) + (1 - y) * softplus(x))


@oracle(magnitude=asymmetric_slopes)
def asymmetric_loss(x, t, z, *, gamma_neg, gamma_pos, clip, label_smoothing):
    e = mpmath.mpf(label_smoothing)
    t = (1 - e) * t + e / 2
    p = sigmoid(x)
    m = positive(p - clip)
    negative = softplus(x) if clip == 0 else -mpmath.log1p(-m)
    rise, fall = t * sigmoid(-x) ** gamma_pos * softplus(-x), (1 - t) * m**gamma_neg * negative
    return rise + fall, rise + (fall * (1 + gamma_neg * (p / m - 1)) if m else 0)


@oracle(names=("input", "", ""))
def self_information(x, t, z):
    return -mpmath.log(x)
