"""Keras's cross-entropies of numbers >= 0 that are divided by their sum and clipped: see rows_cpu.py.

``q`` is (1e-7, 1 - 1e-7, kept, spread).
"""

from fastloss.kernels.build_cpu import Template


@Template
def _clipped(p, q):
    return at_most(at_least(p, q[0]), q[1])


@Template
def categorical_sums(x, t, z, y, m, q):
    return (x,)


@Template
def categorical_middle(s, o, q):
    return 1.0 / s[0], 0.0, 0.0


@Template
def categorical_later(x, t, z, y, m, g, q):
    zero = real(0.0)
    p = x * g[0]
    clipped = _clipped(p, q)
    mass = t * q[2] + q[3]
    return -mass * log_probability(clipped), select(p == clipped, mass, zero)


@Template
def categorical_finish(s, o, m, y, k, q):
    inverse = real(1.0) / s[0]
    return s[2], s[3] * inverse, inverse, real(0.0), real(0.0)


@Template
def categorical_slopes(x, t, z, y, m, c, q):
    """d/dx_j of -sum m_c log(x_c / S) over the classes that are not clipped: (sum m_c) / S - m_j / x_j."""
    zero = real(0.0)
    p = x * c[1]
    clipped = _clipped(p, q)
    mass = t * q[2] + q[3]
    return c[0] - select((p == clipped) & (mass != zero), mass / x, zero), -q[2] * log_probability(clipped), zero


@Template
def sparse_categorical_sums(x, t, z, y, m, q):
    return (x,)


@Template
def sparse_categorical_finish(s, o, m, y, k, q):
    zero, one = real(0.0), real(1.0)
    p = y / s[0]
    clipped = _clipped(p, q)
    inside = p == clipped
    slope = select(inside, one / s[0], zero)
    return -log_probability(clipped), slope, zero, zero, zero, select(inside, (y - s[0]) / (s[0] * y), zero)


@Template
def sparse_categorical_slopes(x, t, z, y, m, c, q):
    return c[0], real(0.0), real(0.0)
