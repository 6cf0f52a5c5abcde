"""Losses of regression that reduce before they are losses: the root of a mean."""

from __future__ import annotations

import math
from typing import Any

from fastloss._catalogue import NON_NEGATIVE, REAL, Row, Values
from fastloss._loss import Arguments
from fastloss._rows import rowwise

__all__ = ["rmse_loss"]


@rowwise(
    "rmse",
    Row(
        "RMSELoss",
        {"input": REAL, "target": REAL},
        {"eps": NON_NEGATIVE, "empty": Values(("nan", "zero"))},
        kinks="x = y everywhere with eps = 0: the slope is taken as 0",
        also=("root mean squared error", "RMS error"),
    ),
    names=("input", "target", "weight", "", "sample_weight"),
    dense=("input", "target", "weight"),
    wide=True,
    sums=2,
    numbers=lambda eps, empty: (eps, 0.0 if empty == "zero" else math.nan),
    differentiable=("input", "target"),
    default=("input",),
)
def rmse_loss(
    input: Any,
    target: Any,
    eps: float = 0.0,
    axis: int | None = None,
    *,
    reduction: str = "mean",
    weight: Any = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Root of the mean squared error, over all elements or along one axis.

    .. math:: \ell = \sqrt{\frac{\sum_i w_i (x_i - y_i)^2}{\sum_i w_i} + \epsilon}

    The root is taken before the reduction: with an ``axis``, ``"mean"`` is the mean of the roots.

    Args:
        input: predictions x, of any shape.
        target: y; shapes broadcast with each other.
        eps: added under the root, which keeps the slope finite near 0.
        axis: that of the mean; None takes all elements together and gives one number.
        reduction: of the roots: ``"none"``, ``"sum"`` or ``"mean"``.
        weight: w of the elements, under the root; broadcasts with the input.
        sample_weight: of the roots; the mean then divides by the sum of the weights.
        empty: the mean over no root, and the root of a mean over no element: ``"nan"``, or ``"zero"``.

    Returns:
        The loss: a scalar, or for ``"none"`` an array of the input's shape without ``axis``. Gradients exist for
        ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an axis or option out of range. TypeError: a dtype that is not
        floating. NotImplementedError: a gradient for a weight.

    Where all errors are 0 and ``eps`` is 0 the gradient is 0, a subgradient. Squares are added up in float64.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.rmse_loss(np.array([1.0, 2.0]), np.array([2.0, 9.0])))
    5.0

    Source: ``sklearn.metrics.root_mean_squared_error`` without an axis; ``torch.sqrt`` of ``mse_loss`` + eps.
    """
    return ((input, target, weight, None, sample_weight), (eps, axis, reduction, empty))
