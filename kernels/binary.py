"""Formulas of binary classification, of one element: see elementwise_cpu.py."""

from fastloss.kernels.build_cpu import Template


@Template
def bce_with_logits(x, t, p, q):
    """p t softplus(-x) + (1 - t) softplus(x), with t smoothed to s = (1 - e) t + e / 2.

    With e = exp(-|x|): softplus(x) = max(x, 0) + log1p(e), and of sigmoid(x), sigmoid(-x) the larger is 1 / (1 + e)
    and the smaller e / (1 + e). So both logarithms and both probabilities keep their relative accuracy however large
    x is, and for 0 <= t <= 1 nothing cancels. A logarithm whose factor is 0 is dropped by a select: an infinite x on
    the side of the target costs 0, not 0 * inf.
    """
    zero, one = real(0.0), real(1.0)
    a, b = q[0], q[1]
    s = t * a + b
    r = one - s
    e = exp_nonpositive(-fabs(x))
    log_term = log1p_unit(e)
    large = one / (one + e)
    small = e * large
    positive = maximum(x, zero) + log_term
    negative = maximum(-x, zero) + log_term
    right = x >= zero
    up = select(right, large, small)
    down = select(right, small, large)
    ps = p * s
    loss = select(ps == zero, zero, ps * negative) + select(r == zero, zero, r * positive)
    return loss, r * up - ps * down, a * (p * negative - positive), zero


@Template
def bce(x, t, p, q):
    """-(s log x + (1 - s) log(1 - x)) with logarithms clamped at -100 as PyTorch does, and s = (1 - e) t + e / 2."""
    floor = real(-100.0)
    one = real(1.0)
    a, b = q[0], q[1]
    s = t * a + b
    log_x = maximum(log(x), floor)
    log_y = maximum(log1p(-x), floor)
    dx = (x - s) / maximum((one - x) * x, real(1e-12))
    return -(s * log_x + (one - s) * log_y), dx, a * (log_y - log_x), real(0.0)
