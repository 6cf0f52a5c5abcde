"""Formulas of binary classification: (loss, d loss / d x, d loss / d t) of one element."""

from fastloss.kernels.build_cpu import Template


@Template
def bce_with_logits(x, t, p, a, b):
    """p t softplus(-x) + (1 - t) softplus(x), with t smoothed to s = a t + b.

    With e = exp(-|x|): softplus(x) = max(x, 0) + log1p(e), and of sigmoid(x), sigmoid(-x) the larger is 1 / (1 + e)
    and the smaller e / (1 + e). So both logarithms and both probabilities keep their relative accuracy however large
    x is, and for 0 <= t <= 1 nothing cancels. A logarithm whose factor is 0 is dropped by a select: an infinite x on
    the side of the target costs 0, not 0 * inf.
    """
    zero, one = real(0.0), real(1.0)
    s = t * a + b
    r = one - s
    e = exp_nonpositive(-fabs(x))
    log_term = log1p_unit(e)
    large = one / (one + e)
    small = e * large
    positive = maximum(x, zero) + log_term
    negative = maximum(-x, zero) + log_term
    right = x >= zero
    q = large if right else small
    m = small if right else large
    ps = p * s
    loss = (zero if ps == zero else ps * negative) + (zero if r == zero else r * positive)
    return loss, r * q - ps * m, a * (p * negative - positive)


@Template
def bce(x, t, p, a, b):
    """-(t log x + (1 - t) log(1 - x)), logarithms clamped at -100 as PyTorch does, with t smoothed to s = a t + b."""
    floor = real(-100.0)
    one = real(1.0)
    s = t * a + b
    log_x = maximum(log(x), floor)
    log_y = maximum(log1p(-x), floor)
    dx = (x - s) / maximum((one - x) * x, real(1e-12))
    return -(s * log_x + (one - s) * log_y), dx, a * (log_y - log_x)
