"""Numba kernels of fastloss, installed as ``fastloss.kernels``."""
