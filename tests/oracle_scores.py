"""Losses over classes, one row at a time in mpmath, from their definitions.

A formula takes the numbers of a row (logits or scores, and a target) and returns the loss. Nothing here knows a
derivative: slopes are central differences in 100 digits, exact to far more than any dtype has, so the oracle shares no
formula with the kernels. -inf is a mask: its probability is 0 and its slope is 0.
"""

import mpmath
import numpy as np
from elements import number, wide
from oracles import WIDE

DIGITS = 100
STEP = mpmath.mpf(10) ** -30
INF = mpmath.inf


def softmax(x):
    """(log p, p, 1 - p) of each class: 1 - p from the others, so that it keeps its digits."""
    top = max(x)
    e = [mpmath.exp(a - top) if a > -INF else mpmath.mpf(0) for a in x]
    total = mpmath.fsum(e)
    rest = [mpmath.fsum(e[:c] + e[c + 1 :]) / total for c in range(len(x))]
    p = [a / total for a in e]
    logs = [mpmath.log1p(-r) if r < 0.5 else (mpmath.log(a) if a else -INF) for a, r in zip(p, rest, strict=True)]
    return logs, p, rest


def times(a, b):
    return mpmath.mpf(0) if a == 0 else a * b


def smoothed(t, e):
    return [(1 - e) * a + e / len(t) for a in t]


def cross_entropy(x, t):
    return mpmath.fsum(times(a, -log) for a, log in zip(t, softmax(x)[0], strict=True))


def focal_loss(x, t, gamma=2.0, alpha=None, label_smoothing=0.0):
    a = alpha if isinstance(alpha, list) else [1 if alpha is None else alpha] * len(x)
    parts = zip(smoothed(t, mpmath.mpf(label_smoothing)), a, *softmax(x), strict=True)
    return mpmath.fsum(times(m * mpmath.mpf(f), rest**gamma * -log) for m, f, log, p, rest in parts)


def poly_cross_entropy(x, t, epsilon=1.0, label_smoothing=0.0):
    parts = zip(smoothed(t, mpmath.mpf(label_smoothing)), *softmax(x), strict=True)
    return mpmath.fsum(times(m, -log + epsilon * rest) for m, log, p, rest in parts)


def generalized_cross_entropy(x, t, q=0.7, label_smoothing=0.0):
    parts = zip(smoothed(t, mpmath.mpf(label_smoothing)), *softmax(x), strict=True)
    return mpmath.fsum(times(m, -mpmath.expm1(q * log) / q) for m, log, p, rest in parts)


def categorical_cross_entropy(x, t, label_smoothing=0.0):
    total = mpmath.fsum(x)
    low = mpmath.mpf(1e-7)
    clipped = [min(max(a / total, low), 1 - low) for a in x]
    return mpmath.fsum(
        -m * mpmath.log(p) for m, p in zip(smoothed(t, mpmath.mpf(label_smoothing)), clipped, strict=True)
    )


def entropy_loss(x, t=None):
    logs, p, _ = softmax(x)
    return mpmath.fsum(times(a, -log) for a, log in zip(p, logs, strict=True))


def entropy_of_probabilities(x, t=None):
    return mpmath.fsum(times(a, -mpmath.log(a) if a else 0) for a in x)


def kl_div_with_logits(x, t, temperature=1.0):
    """x: the student's logits, t: the teacher's."""
    temperature = mpmath.mpf(temperature)
    student = softmax([a / temperature for a in x])[0]
    logs, p, _ = softmax([a / temperature for a in t])
    return temperature**2 * mpmath.fsum(times(a, m - n) for a, m, n in zip(p, logs, student, strict=True))


def multi_margin_loss(x, t, p=1, margin=1.0):
    (y,) = (c for c, a in enumerate(t) if a)
    wrong = [c for c in range(len(x)) if c != y]
    return mpmath.fsum(max(mpmath.mpf(margin) - x[y] + x[c], 0) ** p for c in wrong) / len(x)


def crammer_singer_loss(x, t, margin=1.0):
    (y,) = (c for c, a in enumerate(t) if a)
    return max(mpmath.mpf(margin) + max(a for c, a in enumerate(x) if c != y) - x[y], 0)


def row(formula, x, t, wrt="x", digits=DIGITS, **options):
    """(value, gradient) of one row, as long doubles; where t is an index, it is made one-hot."""
    with mpmath.workdps(digits):
        x = [number(a) for a in x]
        if t is not None:
            t = [mpmath.mpf(c == t) for c in range(len(x))] if isinstance(t, int) else [number(a) for a in t]
        value = formula(x, t, **options)
        slopes = []
        for c in range(len(x)):
            if (x if wrt == "x" else t)[c] == -INF:
                slopes.append(WIDE(0))
                continue

            def moved(step, c=c):
                a, b = list(x), None if t is None else list(t)
                (a if wrt == "x" else b)[c] += step
                return formula(a, b, **options)

            slopes.append(wide((moved(STEP) - moved(-STEP)) / (2 * STEP)))
        return wide(value), np.array(slopes, WIDE)


def rows(formula, x, t, wrt="x", **options):
    """Values and gradients of many rows: x of shape (N, C), t alike, or N indices, or None."""
    results = []
    for n, own in enumerate(x):
        target = None if t is None else int(t[n]) if np.ndim(t) == 1 else t[n]
        results.append(row(formula, own, target, wrt, **options))
    return np.array([v for v, _ in results], WIDE), np.array([g for _, g in results], WIDE)
