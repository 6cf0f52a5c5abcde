"""Formulas of regression over rows: see rows_cpu.py."""

import numpy as np

from fastloss.kernels.build_cpu import Template
from fastloss.kernels.rows_cpu import select_wide
from fastloss.kernels.similarity import root_factors

# Root of the mean squared error: sums of w (x - t)^2 and w; q is (eps,).


@Template
def rmse_sums(x, t, z, y, m, q):
    d = np.float64(x) - np.float64(t)
    w = np.float64(z)
    return select_wide(w == 0.0, 0.0, w * d * d), w


@Template
def rmse_finish(s, o, m, y, k, q):
    zero, one = real(0.0), real(1.0)
    root = select(k == zero, q[1], sqrt(s[0] / s[1] + q[0]))
    c0, c1 = root_factors(select(root == zero, zero, one / (root * s[1])))
    return root, c0, c1, zero, zero


@Template
def rmse_slopes(x, t, z, y, m, c, q):
    g = select(z == real(0.0), real(0.0), (x - t) * c[1] * c[0] * z)
    return g, -g, real(0.0)
