"""Formulas of penalties on parameters, of one element: see elementwise_cpu.py."""

from fastloss.kernels.build_cpu import Template
from fastloss.kernels.regression import sign


@Template
def l1(x, t, z, q):
    """strength |x|"""
    return q[0] * fabs(x), q[0] * sign(x), real(0.0), real(0.0)


@Template
def l2(x, t, z, q):
    """strength x^2"""
    g = q[0] * x
    return g * x, g + g, real(0.0), real(0.0)


@Template
def elastic_net(x, t, z, q):
    """strength (ratio |x| + (1 - ratio) x^2 / 2)"""
    linear = q[0] * q[1]
    square = q[0] * (real(1.0) - q[1]) * x
    size = fabs(x)
    return linear * size + square * (real(0.5) * x), linear * sign(x) + square, real(0.0), real(0.0)
