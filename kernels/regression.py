"""Formulas of regression, of one element: see elementwise_cpu.py."""

from fastloss.kernels.build_cpu import Template


@Template
def mse(x, t, z, q):
    """(x - t)^2"""
    d = x - t
    g = d + d
    return d * d, g, -g, real(0.0)
