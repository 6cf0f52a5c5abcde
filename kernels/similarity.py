"""Formulas of similarity losses: see rows_cpu.py (and elementwise_cpu.py for triplet_from_distances)."""

import numpy as np

from fastloss.kernels.build_cpu import Template
from fastloss.kernels.regression import sign


@Template
def root_factors(c):
    # c as a product of two numbers of like size: 1 / distance may leave the range of float32, its root does not.
    root = sqrt(fabs(c))
    return copysign(root, c), root


# Cosine: sums of x t, x^2 and t^2.


@Template
def cosine_embedding_sums(x, t, z, y, m, q):
    a, b = np.float64(x), np.float64(t)
    return a * b, a * a, b * b


@Template
def cosine_embedding_finish(s, o, m, y, k, q):
    """1 - cos for y = 1, max(cos - margin, 0) for y = -1, 0 for others; d cos / d x = t / n - x cos / (x.x + e)."""
    zero, one = real(0.0), real(1.0)
    epsilon = real(9.999999960041972e-13)  # PyTorch's 1e-12, which is a float32 there
    xx, tt = s[1] + epsilon, s[2] + epsilon
    n = one / (sqrt(xx) * sqrt(tt))
    cosine = s[0] * n
    over = cosine - q[0]
    loss = select(y == one, one - cosine, select(y == -one, maximum(over, zero), zero))
    h = select(y == one, -one, select((y == -one) & (over >= zero), one, zero))
    return loss, h * n, -h * cosine / xx, -h * cosine / tt, zero


@Template
def cosine_embedding_slopes(x, t, z, y, m, c, q):
    return c[0] * t + c[1] * x, c[0] * x + c[2] * t, real(0.0)


@Template
def triplet_from_distances(x, t, z, q):
    """max(x - t + margin, 0) for distances x to the positive and t to the negative."""
    zero, one = real(0.0), real(1.0)
    over = q[0] + x - t
    h = select(over >= zero, one, zero)
    return maximum(over, zero), h, -h, zero


# Triplets. NORM is 2, 1, 0 for infinity or -1 for any other p; q is (margin, eps, p).


@Template
def _power(d, top, p):
    # (|d| / top)^p, at most 1 where anything is finite
    zero, one, infinity = real(0.0), real(1.0), real(np.inf)
    return select(top == zero, zero, pow(fabs(d) / select(top == infinity, one, top), p))


@Template
def triplet_margin_tops(x, t, z, y, q):
    zero = real(0.0)
    eps = q[1]
    return fabs(x - t + eps), fabs(x - z + eps), fabs(t - z + eps) if SWAP else zero


@Template
def triplet_margin_sums(x, t, z, y, m, q):
    zero, one = real(0.0), real(1.0)
    eps = q[1]
    a, b = x - t + eps, x - z + eps
    c = t - z + eps if SWAP else zero
    if NORM == 2:
        u, v, w = np.float64(a), np.float64(b), np.float64(c)
        return u * u, v * v, w * w
    if NORM == 1:
        return np.float64(fabs(a)), np.float64(fabs(b)), np.float64(fabs(c))
    if NORM == 0:  # how many attain the maximum
        tie_a = select(fabs(a) == m[0], one, zero)
        tie_b = select(fabs(b) == m[1], one, zero)
        return np.float64(tie_a), np.float64(tie_b), np.float64(select(fabs(c) == m[2], one, zero))
    return np.float64(_power(a, m[0], q[2])), np.float64(_power(b, m[1], q[2])), np.float64(_power(c, m[2], q[2]))


@Template
def _distance(s, m, q):
    if NORM == 2:
        return sqrt(s)
    if NORM == 1:
        return s
    if NORM == 0:
        return m
    return m * pow(s, real(1.0) / q[2])


@Template
def _coefficient(distance, s):
    # What the slopes multiply by: 1 / distance, 1, or 1 / (how many attain the maximum)
    zero, one = real(0.0), real(1.0)
    if NORM == 1:
        return one
    if NORM == 0:
        return one / s
    return select(distance == zero, zero, one / distance)


@Template
def triplet_margin_finish(s, o, m, y, k, q):
    zero, half, one = real(0.0), real(0.5), real(1.0)
    near, far = _distance(s[0], m[0], q), _distance(s[1], m[1], q)
    by_far, by_swap = one, zero
    nearest = far
    swapped = zero
    if SWAP:
        swapped = _distance(s[2], m[2], q)
        nearest = minimum(far, swapped)
        by_far = select(far == swapped, half, select(far < swapped, one, zero))
        by_swap = one - by_far
    over = q[0] + near - nearest
    h = select(over >= zero, one, zero)
    hinge = maximum(over, zero)
    c0, c1, c2 = _coefficient(near, s[0]), _coefficient(far, s[1]), _coefficient(swapped, s[2])
    if NORM == -1:  # what is raised to a power is the coefficient alone
        return hinge, h * c0, h * c1, h * c2, by_far
    return hinge, h * c0, -h * by_far * c1, -h * by_swap * c2, zero


@Template
def _direction(d, top, c, q):
    # d distance / d d, times what c holds besides 1 / distance.
    zero = real(0.0)
    if NORM == 2:
        return d * c
    if NORM == 1:
        return sign(d) * c
    if NORM == 0:
        return select((fabs(d) == top) | (d != d), sign(d) * c, zero)
    # c is h / distance: sign(d) (|d| / distance)^(p - 1)
    nothing = (d == zero) | ((c == zero) & (fabs(d) < real(np.inf)))
    return select(nothing, zero, sign(d) * pow(fabs(d * c), q[2] - real(1.0)))


@Template
def triplet_margin_slopes(x, t, z, y, m, c, q):
    eps = q[1]
    a = _direction(x - t + eps, m[0], c[0], q)
    b = _direction(x - z + eps, m[1], c[1], q)
    e = _direction(t - z + eps, m[2], c[2], q) if SWAP else real(0.0)
    if NORM == -1:
        b, e = -c[3] * b, (c[3] - real(1.0)) * e
    return a + b, e - a, -b - e


# Cosine similarity: q is (eps,).


@Template
def cosine_similarity_sums(x, t, z, y, m, q):
    a, b = np.float64(x), np.float64(t)
    return a * b, a * a, b * b


@Template
def cosine_similarity_finish(s, o, m, y, k, q):
    """1 - x.t / (max(|x|, e) max(|t|, e)); the clamp is no part of the derivative, as in PyTorch, but |x| is."""
    zero, one = real(0.0), real(1.0)
    norm_x, norm_t = sqrt(s[1]), sqrt(s[2])
    over_x, over_t = one / maximum(norm_x, q[0]), one / maximum(norm_t, q[0])
    n = over_x * over_t
    cosine = s[0] * n
    return (
        one - cosine,
        -n,
        select(norm_x == zero, zero, cosine * over_x / norm_x),
        select(norm_t == zero, zero, cosine * over_t / norm_t),
        zero,
    )


@Template
def cosine_similarity_slopes(x, t, z, y, m, c, q):
    return c[0] * t + c[1] * x, c[0] * x + c[2] * t, real(0.0)


# Contrastive: the sum of (x - t)^2; q is (margin,).


@Template
def contrastive_sums(x, t, z, y, m, q):
    d = np.float64(x) - np.float64(t)
    return (d * d,)


@Template
def contrastive_finish(s, o, m, y, k, q):
    zero, one = real(0.0), real(1.0)
    d = sqrt(s[0])
    gap = maximum(q[0] - d, zero)
    loss = select(y == zero, zero, y * s[0]) + select(y == one, zero, (one - y) * gap * gap)
    # 2 y (x - t) - 2 (1 - y) gap (x - t) / d
    apart = select((d == zero) | (y == one), zero, (y - one) * gap / d)
    c0, c1 = root_factors(real(2.0) * (y + apart))
    return loss, c0, c1, zero, zero


@Template
def contrastive_slopes(x, t, z, y, m, c, q):
    g = (x - t) * c[1] * c[0]
    return g, -g, real(0.0)
