"""Losses of binary and multi-label classification."""

from __future__ import annotations

from typing import Any

from fastloss._catalogue import REAL, UNIT, Row
from fastloss._elementwise import elementwise
from fastloss._loss import Arguments

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits"]


@elementwise(
    "bce",
    Row("BCELoss", {"input": UNIT, "target": UNIT}, also=("log loss", "binary cross-entropy"), transcendental=True),
    shapes="same",
    checked={"input": True, "target": True},
)
def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    ignore_index: float | None = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Cross-entropy of probabilities of a binary event.

    .. math:: \ell_i = -w_i \left(y_i \log x_i + (1 - y_i) \log(1 - x_i)\right)

    Logarithms are clamped at -100 and the gradient is :math:`w (x - y) / \max(x (1 - x), 10^{-12})`, as in PyTorch.
    :func:`binary_cross_entropy_with_logits` is more exact: prefer it where logits are at hand.

    Args:
        input: probabilities x in [0, 1], of any shape.
        target: y in [0, 1], of the same shape; integers and bools are allowed.
        weight: w, broadcastable to the input.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements that count, whatever
            ``weight`` is (as in PyTorch).
        label_smoothing: e in [0, 1]: y becomes (1 - e) y + e / 2.
        ignore_index: elements whose target equals this contribute nothing, to the mean's denominator either.
        sample_weight: broadcastable to the input; multiplies ``weight``, and the mean then divides by the sum of the
            products.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: an input or target outside [0, 1] or NaN, shapes that differ, an option out of range. TypeError: a
            dtype that is not floating. NotImplementedError: a gradient for a weight.

    >>> import numpy as np, fastloss as fl
    >>> round(float(fl.binary_cross_entropy(np.array([0.5, 0.25]), np.array([1.0, 0.0]))), 6)
    0.490415

    Source: Good (1952), Rational Decisions; meaning of ``torch.nn.functional.binary_cross_entropy``.
    """
    return ((input, target, None, weight, sample_weight), (reduction, label_smoothing, ignore_index, empty))


@elementwise(
    "bce_with_logits",
    Row("BCEWithLogitsLoss", {"input": REAL, "target": UNIT}, also=("sigmoid cross-entropy",), transcendental=True),
    names=("input", "target", "pos_weight", "weight", "sample_weight"),
    shapes="same",
)
def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    reduction: str = "mean",
    pos_weight: Any = None,
    label_smoothing: float = 0.0,
    ignore_index: float | None = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Cross-entropy of a binary event from logits, without overflow or cancellation.

    .. math:: \ell_i = w_i \left(p\, y_i \log(1 + e^{-x_i}) + (1 - y_i) \log(1 + e^{x_i})\right)

    Args:
        input: logits x, of any shape.
        target: y, usually in [0, 1] (not checked), of the same shape; integers and bools are allowed.
        weight: w, broadcastable to the input.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements that count, whatever
            ``weight`` is (as in PyTorch).
        pos_weight: p, the weight of the positive part, broadcastable to the input (one for each class, usually).
        label_smoothing: e in [0, 1]: y becomes (1 - e) y + e / 2.
        ignore_index: elements whose target equals this contribute nothing, to the mean's denominator either.
        sample_weight: broadcastable to the input; multiplies ``weight``, and the mean then divides by the sum of the
            products.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that differ, an option out of range. TypeError: a dtype that is not floating.
        NotImplementedError: a gradient for a weight.

    An infinite logit on the side of its target costs 0 (PyTorch: NaN), on the other side infinity. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.binary_cross_entropy_with_logits(np.array([0.0, np.inf]), np.array([0.0, 1.0]), reduction="sum"))
    0.6931471805599453

    Source: meaning of ``torch.nn.functional.binary_cross_entropy_with_logits``.
    """
    return ((input, target, pos_weight, weight, sample_weight), (reduction, label_smoothing, ignore_index, empty))
