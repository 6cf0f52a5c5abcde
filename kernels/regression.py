"""Formulas of regression: (loss, d loss / d x, d loss / d t) of one element."""

from fastloss.kernels.build_cpu import Template


@Template
def mse(x, t, p, a, b):
    """(x - t)^2"""
    d = x - t
    g = d + d
    return d * d, g, -g
