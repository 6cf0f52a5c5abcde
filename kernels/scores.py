"""Formulas of margin losses over classes, of class scores and an index: see rows_cpu.py."""

import numpy as np

from fastloss.kernels.binary import bce_with_logits
from fastloss.kernels.build_cpu import Template

# The class of the label is among those that are added up, with the margin itself, and is taken away at the end.


@Template
def _violation(x, y, margin):
    # margin + x - y; equal scores, infinite ones too, differ by 0.
    return margin + select(x == y, real(0.0), x - y)


@Template
def multi_margin_sums(x, t, z, y, m, q):
    zero, one = real(0.0), real(1.0)
    v = _violation(x, y, q[0])
    h = maximum(v, zero)
    return (h, select(v > zero, one, zero)) if P == 1 else (h * h, h)


@Template
def multi_margin_finish(s, o, m, y, k, q):
    zero, one, two = real(0.0), real(1.0), real(2.0)
    h = maximum(q[0], zero)
    h = select(h == real(np.inf), zero, h)  # beside others that are infinite, too
    share = one / k
    if P == 1:
        own = select(q[0] > zero, one, zero)
        return (s[0] - h) * share, share, zero, zero, zero, (own - s[1]) * share
    return (s[0] - h * h) * share, two * share, zero, zero, zero, two * (h - s[1]) * share


@Template
def multi_margin_slopes(x, t, z, y, m, c, q):
    zero = real(0.0)
    v = _violation(x, y, q[0])
    g = select(v > zero, c[0], zero) if P == 1 else maximum(v, zero) * c[0]
    return g, zero, zero


@Template
def crammer_singer_tops(x, t, z, y, q):
    # x, or -inf where it is y. Not as select(x == y, -inf, x): LLVM moves the condition around the running maximum,
    # which then stays scalar and takes ten times as long.
    zero = real(0.0)
    return minimum(x, select(x == y, real(-np.inf), real(np.inf))), zero, zero


@Template
def crammer_singer_sums(x, t, z, y, m, q):
    zero, one = real(0.0), real(1.0)
    return select(x == y, one, zero), select(x == m[0], one, zero)


@Template
def crammer_singer_finish(s, o, m, y, k, q):
    """max(0, margin + wrong - y); wrong is y itself if another class has it. All that attain it share its slope."""
    zero, one = real(0.0), real(1.0)
    tied = (s[0] >= real(2.0)) & (y >= m[0])
    wrong = select(tied, y, m[0])
    v = select(k == one, zero, _violation(wrong, y, q[0]))
    h = select(v > zero, one, zero)
    share = h / select(tied, s[0] - one, s[1])
    return maximum(v, zero), select(h == zero, zero, share), wrong, zero, zero, -h


@Template
def crammer_singer_slopes(x, t, z, y, m, c, q):
    zero = real(0.0)
    return select(x == c[1], c[0], zero), zero, zero


@Template
def multilabel_soft_margin_sums(x, t, z, y, m, q):
    zero, one = real(0.0), real(1.0)
    loss = bce_with_logits(x, t, one, (one, zero))[0]
    return (select(z == zero, zero, z * loss),)


@Template
def multilabel_soft_margin_finish(s, o, m, y, k, q):
    zero = real(0.0)
    share = real(1.0) / k
    return s[0] * share, share, zero, zero, zero


@Template
def multilabel_soft_margin_slopes(x, t, z, y, m, c, q):
    zero, one = real(0.0), real(1.0)
    score = bce_with_logits(x, t, one, (one, zero))
    factor = z * c[0]
    return select(z == zero, zero, score[1] * factor), select(z == zero, zero, score[2] * factor), zero


@Template
def zero_one(x, t, z, q):
    """Whether the sign of x is not that of t; 0 has none."""
    zero, one = real(0.0), real(1.0)
    right = ((x > zero) & (t > zero)) | ((x < zero) & (t < zero))
    return select(right, zero, select((x == x) & (t == t), one, x + t)), zero, zero, zero
