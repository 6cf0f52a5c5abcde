"""Fused loss functions: value and gradient in one pass."""

__version__ = "0.1.0"
