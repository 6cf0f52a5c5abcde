"""Losses of classification over a class axis."""

from __future__ import annotations

import math
from typing import Any

from fastloss import _errors, _softmax
from fastloss._catalogue import POSITIVE, REAL, UNIT, Distribution, Indices, Row
from fastloss._loss import Arguments, loss
from fastloss._plan import Operands, Runnable

__all__ = ["cross_entropy", "nll_loss"]

_INT64 = 1 << 63


class SoftmaxProblem:
    """The options of cross_entropy or nll_loss."""

    plain_upstream = True
    promoting = (1,)

    def __init__(
        self,
        name: str,
        ignore_index: Any,
        reduction: str,
        label_smoothing: float,
        axis: int | None,
        z_loss: float,
        softcap: float | None,
        empty: str,
        log_probabilities: bool,
    ) -> None:
        _errors.check_reduction(name, reduction)
        _errors.check_choice(name, "empty", empty, ("nan", "zero"))
        self.name = name
        self.reduction = reduction
        self.empty = empty
        self.has_statistics = not log_probabilities
        self.axis = None if axis is None else _errors.integer(name, "axis", axis)
        ignored = _errors.integer(name, "ignore_index", ignore_index)
        if not -_INT64 <= ignored < _INT64:
            raise ValueError(f"{name}: ignore_index is {ignored}, expected a 64-bit integer")
        self.settings = {
            "ignore_index": ignored,
            "label_smoothing": _errors.number(name, "label_smoothing", label_smoothing, 0.0, 1.0),
            "z_loss": _errors.number(name, "z_loss", z_loss, -math.inf, math.inf),
            "softcap": None if softcap is None else _errors.number(name, "softcap", softcap, 0.0, math.inf),
            "empty": empty,
            "log_probabilities": log_probabilities,
        }
        if softcap is not None and not 0.0 < float(softcap) < math.inf:
            raise ValueError(f"{name}: softcap is {softcap!r}, expected a finite number above 0")

    def normalise(self, backend: Any, arrays: Operands) -> Operands:
        return _softmax.normalise(
            self.name,
            backend,
            arrays,
            axis=self.axis,
            probabilities_allowed=not self.settings["log_probabilities"],
        )

    def loss_shape(self, operands: Operands) -> tuple[int, ...]:
        shape = tuple(operands[0].shape)
        axis = _softmax.class_axis(self.name, shape, self.axis)
        return shape[:axis] + shape[axis + 1 :]

    def warning(self, operands: Operands) -> str | None:
        return None

    def build(
        self, backend: Any, operands: Operands, upstream: Any, flags: int, outs: tuple[Any, ...]
    ) -> Runnable | None:
        return _softmax.build(
            self.name,
            backend,
            operands,
            upstream,
            flags,
            outs,
            axis=self.axis,
            reduction=self.reduction,
            **self.settings,  # type: ignore[arg-type]
        )


def _cross_entropy(
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
    axis: int | None,
    z_loss: float,
    softcap: float | None,
    empty: str,
) -> SoftmaxProblem:
    return SoftmaxProblem(
        "cross_entropy", ignore_index, reduction, label_smoothing, axis, z_loss, softcap, empty, False
    )


def _nll(ignore_index: int, reduction: str, axis: int | None, empty: str) -> SoftmaxProblem:
    return SoftmaxProblem("nll_loss", ignore_index, reduction, 0.0, axis, 0.0, None, empty, True)


@loss(
    _cross_entropy,
    Row(
        "CrossEntropyLoss",
        {"input": REAL, "target": Indices()},
        {"label_smoothing": UNIT, "softcap": POSITIVE, "z_loss": REAL},
        denominator="class weights",
        also=("softmax cross-entropy", "log loss"),
        transcendental=True,
    ),
    differentiable=("input", "target"),
    default=("input",),
)
def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    axis: int | None = None,
    sample_weight: Any = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
    empty: str = "nan",
) -> Arguments:
    r"""Cross-entropy of a softmax over logits, for class indices or class probabilities.

    .. math::
        \ell_n = \sum_c w_c\, t_{nc} \left(\mathrm{lse}_n - x_{nc}\right) + z\, \mathrm{lse}_n^2, \qquad
        \mathrm{lse}_n = \log \sum_c e^{x_{nc}}

    where t is one-hot for class indices, and label smoothing e replaces it by (1 - e) t + e / C.

    Takes the place of ``torch.nn.functional.cross_entropy``. NumPy arrays, and lists of floats, give a NumPy
    scalar; torch tensors give a tensor with ``grad_fn`` where one of them requires grad.

    Args:
        input: logits x of shape ``(C)``, ``(N, C)`` or ``(N, C, d1, ...)``.
        target: class indices of any integer dtype, of the input's shape without the class axis; or class
            probabilities of a floating dtype and the input's shape.
        weight: w, of shape ``(C)``.
        ignore_index: positions with this target contribute nothing whatever their logits hold; it may lie outside
            [0, C). It has no meaning for probabilities.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: with class indices divided by the sum of the class weights
            of the positions that count, with probabilities by their number (as in PyTorch).
        label_smoothing: e in [0, 1]: the share of the target that is spread evenly over all classes.
        axis: the class axis; by default 1, or 0 for an input of one dimension.
        sample_weight: broadcastable to the unreduced loss, which it multiplies; the mean then divides by the sum of
            the products of weights (of the sample weights alone for probabilities).
        z_loss: z, the coefficient of the squared log-sum-exp, added for each position that counts; not multiplied by
            class weights.
        softcap: k > 0 replaces x by k tanh(x / k) before anything else.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array of the input's shape without the class axis for ``"none"``. Gradients exist
        for ``input`` (the default) and for a ``target`` of probabilities.

    Raises:
        IndexError: a class index outside [0, C) that is not ``ignore_index``. ValueError: shapes that do not fit, an
            option out of range. TypeError: an unsuitable dtype. NotImplementedError: a gradient for a weight.

    A logit of -inf has probability 0 and a zero gradient where its target is 0, and 0 times its infinite
    log-probability is 0 (PyTorch: NaN with class probabilities). A logit of +inf, or a row of -inf, gives NaN. A loss
    is accurate relative to itself down to the smallest normal number, below which probabilities count as 0.

    >>> import numpy as np, fastloss as fl
    >>> x = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    >>> round(float(fl.cross_entropy(x, np.array([0, 2]))), 6)
    0.753109
    >>> value, grad = fl.cross_entropy.value_and_grad(x, np.array([0, 2]))
    >>> grad.round(3).tolist()
    [[-0.167, 0.122, 0.045], [0.167, 0.167, -0.333]]

    Source: meaning of ``torch.nn.functional.cross_entropy``; label smoothing: Szegedy et al. (2016),
    arXiv:1512.00567; z-loss: Chowdhery et al. (2022), PaLM, arXiv:2204.02311.
    """
    return (
        (input, target, None, weight, sample_weight),
        (ignore_index, reduction, label_smoothing, axis, z_loss, softcap, empty),
    )


@loss(
    _nll,
    Row(
        "NLLLoss",
        {"input": Distribution(log=True), "target": Indices()},
        denominator="class weights",
        also=("negative log-likelihood",),
    ),
    refused={"target": "the targets are class indices"},
)
def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    axis: int | None = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Negative log-likelihood of class indices, given log-probabilities.

    .. math:: \ell_n = -w_{y_n} x_{n y_n}

    Args:
        input: log-probabilities x of shape ``(C)``, ``(N, C)`` or ``(N, C, d1, ...)``.
        target: class indices y of any integer dtype, of the input's shape without the class axis.
        weight: w, of shape ``(C)``.
        ignore_index: positions with this target contribute nothing; it may lie outside [0, C).
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the sum of the class weights of the positions that
            count (as in PyTorch).
        axis: the class axis; by default 1, or 0 for an input of one dimension.
        sample_weight: broadcastable to the unreduced loss, which it multiplies; the mean then divides by the sum of
            the products of weights.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array of the input's shape without the class axis for ``"none"``. The gradient
        exists for ``input``.

    Raises:
        IndexError: a class index outside [0, C) that is not ``ignore_index``. ValueError: shapes that do not fit.
        TypeError: an unsuitable dtype. NotImplementedError: a gradient for a weight.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.nll_loss(np.log(np.array([[0.5, 0.5], [0.25, 0.75]])), np.array([0, 0]), reduction="sum"))
    2.0794415416798357

    Source: meaning of ``torch.nn.functional.nll_loss``.
    """
    return ((input, target, None, weight, sample_weight), (ignore_index, reduction, axis, empty))
