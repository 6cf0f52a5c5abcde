"""Losses of regression."""

from __future__ import annotations

from typing import Any

from fastloss._catalogue import REAL, Row
from fastloss._elementwise import elementwise
from fastloss._loss import Arguments

__all__ = ["mse_loss"]


@elementwise(
    "mse",
    Row(
        "MSELoss",
        {"input": REAL, "target": REAL},
        denominator="weights",
        also=("squared error", "L2 norm", "quadratic loss"),
    ),
)
def mse_loss(
    input: Any,
    target: Any,
    *,
    reduction: str = "mean",
    weight: Any = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Squared error, element by element.

    .. math:: \ell_i = w_i (x_i - y_i)^2

    Args:
        input: predictions x, of any shape.
        target: y, of the same shape (other shapes broadcast, with a warning as in PyTorch).
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements, or by the sum of the
            weights where there are weights (as in PyTorch).
        weight: w, broadcastable to the loss.
        sample_weight: multiplies ``weight``; the mean divides by the sum of the products.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an unknown reduction. TypeError: a dtype that is not floating.

    Infinities and NaN propagate; the square overflows to infinity past 1.8e19 in float32.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0

    Source: Gauss (1809); meaning and defaults of ``torch.nn.functional.mse_loss``.
    """
    return ((input, target, None, weight, sample_weight), (reduction, empty))
