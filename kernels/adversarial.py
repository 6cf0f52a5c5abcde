"""Formulas of the parts of adversarial losses, of one output of a discriminator: see elementwise_cpu.py.

``real_*`` and ``fake_*`` are what a discriminator pays for a real and a fake sample, ``trick_*`` what a generator pays
for a fake. ``x`` is a logit, or a probability where not FROM_LOGITS; q[0] is the label of a real sample, 1 or less.
"""

import numpy as np

from fastloss.kernels.binary import bce, bce_with_logits
from fastloss.kernels.build_cpu import Template


@Template
def entropy(x, label):
    """(cross-entropy, slope) of an output and the constant label."""
    zero, one = real(0.0), real(1.0)
    if FROM_LOGITS:
        result = bce_with_logits(x, label, one, (one, zero))
    else:
        result = bce(select((x >= zero) & (x <= one), x, real(np.nan)), label, one, (one, zero))
    return result[0], result[1]


@Template
def real_non_saturating(x, t, z, q):
    loss, slope = entropy(x, q[0])
    return loss, slope, real(0.0), real(0.0)


@Template
def fake_non_saturating(x, t, z, q):
    loss, slope = entropy(x, real(0.0))
    return loss, slope, real(0.0), real(0.0)


@Template
def trick_non_saturating(x, t, z, q):
    loss, slope = entropy(x, real(1.0))
    return loss, slope, real(0.0), real(0.0)


@Template
def trick_minimax(x, t, z, q):
    loss, slope = entropy(x, real(0.0))
    return -loss, -slope, real(0.0), real(0.0)


@Template
def real_least_squares(x, t, z, q):
    d = x - q[0]
    return d * d, d + d, real(0.0), real(0.0)


@Template
def fake_least_squares(x, t, z, q):
    return x * x, x + x, real(0.0), real(0.0)


@Template
def trick_least_squares(x, t, z, q):
    d = x - real(1.0)
    return d * d, d + d, real(0.0), real(0.0)


@Template
def real_hinge(x, t, z, q):
    zero, one = real(0.0), real(1.0)
    u = one - x
    return maximum(u, zero), select(u >= zero, -one, zero), zero, zero


@Template
def fake_hinge(x, t, z, q):
    zero, one = real(0.0), real(1.0)
    u = one + x
    return maximum(u, zero), select(u >= zero, one, zero), zero, zero


@Template
def real_wasserstein(x, t, z, q):
    return -x, real(-1.0), real(0.0), real(0.0)


@Template
def fake_wasserstein(x, t, z, q):
    return x, real(1.0), real(0.0), real(0.0)


@Template
def pair_relativistic(x, t, z, q):
    """Cross-entropy of the logit x - t: that x is the real one of the two."""
    result = bce_with_logits(x - t, q[0], real(1.0), (real(1.0), real(0.0)))
    return result[0], result[1], -result[1], real(0.0)


# The discriminator of minimax is that of non_saturating: only the generator's aim differs.
real_minimax = real_non_saturating
fake_minimax = fake_non_saturating


@Template
def trick_hinge(x, t, z, q):
    return -x, real(-1.0), real(0.0), real(0.0)


trick_wasserstein = trick_hinge
