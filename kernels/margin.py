"""Formulas of losses of a margin y x, of one element: see elementwise_cpu.py.

A slope at a kink is that of the side where the loss is not 0, as of PyTorch's ``clamp_min``: a perceptron that starts
at weights of 0 would learn nothing otherwise. A NaN goes into the loss, and its slope there is 0, as there.
"""

from fastloss.kernels.build_cpu import Template, staged


@Template
def hinge(x, t, z, q):
    """max(0, margin - t x)"""
    zero = real(0.0)
    u = q[0] - t * x
    wrong = u >= zero
    return maximum(u, zero), select(wrong, -t, zero), select(wrong, -x, zero), zero


@Template
def squared_hinge(x, t, z, q):
    """max(0, margin - t x)^2"""
    zero = real(0.0)
    u = maximum(q[0] - t * x, zero)
    twice = -(u + u)
    return u * u, twice * t, select(u == zero, zero, twice * x), zero


@Template
def perceptron(x, t, z, q):
    """max(0, -t x)"""
    zero = real(0.0)
    u = -(t * x)
    wrong = u >= zero
    return maximum(u, zero), select(wrong, -t, zero), select(wrong, -x, zero), zero


@Template
def hinge_embedding(x, t, z, q):
    """x where t is 1, max(0, margin - x) where it is -1; the sum of both for other t, as PyTorch has it."""
    zero, one = real(0.0), real(1.0)
    u = q[0] - x
    far = select(t != one, maximum(u, zero), zero)
    near = select(t != -one, x, zero)
    slope = select((t != one) & (u >= zero), -one, zero) + select(t != -one, one, zero)
    return near + far, slope, zero, zero


@Template
def _logistic_exponential(x, t, z, q):
    y = t + (t - real(1.0)) if TARGETS == "binary" else t
    return exp_nonpositive(-fabs(y * x))


@staged(_logistic_exponential)
def logistic(x, t, z, q):
    """log(1 + exp(-y x)), with y = t or 2 t - 1, and (1 - e / 2) of it and e / 2 of that of -y under smoothing.

    With e = exp(-|m|), m = y x: log(1 + exp(-m)) = max(-m, 0) + log1p(e), and of the probabilities of y and of -y the
    larger is 1 / (1 + e) and the smaller e / (1 + e): nothing overflows or cancels.
    """
    zero, one, two = real(0.0), real(1.0), real(2.0)
    y, inner = t, one
    if TARGETS == "binary":
        y, inner = t + (t - one), two
    m = y * x
    e = q[5] if STAGED else _logistic_exponential(x, t, z, q)
    log_term = log1p_unit(e)
    large = one / (one + e)
    small = e * large
    b = q[1]
    a = one - b
    right = m >= zero
    loss = a * (maximum(-m, zero) + log_term) + select(b == zero, zero, b * (maximum(m, zero) + log_term))
    slope = b * select(right, large, small) - a * select(right, small, large)
    return loss, slope * y, select(slope == zero, zero, slope * x) * inner, zero


@Template
def _soft_margin_exponential(x, t, z, q):
    return exp_nonpositive(-fabs(t * x))


@staged(_soft_margin_exponential, slopes_too=False)
def soft_margin(x, t, z, q):
    """log(1 + exp(-t x))"""
    zero, one = real(0.0), real(1.0)
    m = t * x
    e = q[5] if STAGED else _soft_margin_exponential(x, t, z, q)
    large = one / (one + e)
    slope = -select(m >= zero, e * large, large)
    return maximum(-m, zero) + log1p_unit(e), slope * t, select(slope == zero, zero, slope * x), zero


@Template
def exponential(x, t, z, q):
    """exp(-t x)"""
    zero = real(0.0)
    loss = exp(-(t * x))
    return loss, -t * loss, select(loss == zero, zero, -x * loss), zero


@Template
def margin_ranking(x, t, z, q):
    """max(0, margin - z (x - t))"""
    zero = real(0.0)
    d = x - t
    u = q[0] - z * d
    wrong = u >= zero
    return maximum(u, zero), select(wrong, -z, zero), select(wrong, z, zero), select(wrong, -d, zero)
