"""Cross-entropies as Keras has them: of probabilities, divided by their sum and clipped, or of logits."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from fastloss import _errors
from fastloss._catalogue import FLAG, UNIT, Distribution, Indices, Row
from fastloss._loss import Arguments, loss
from fastloss._plan import Operands, Runnable
from fastloss._rows import RowProblem, Style, style_of
from fastloss._softmax import check_distributions, checked_logits, class_axis
from fastloss.classification import SoftmaxProblem

__all__ = ["categorical_cross_entropy", "sparse_categorical_cross_entropy"]

_UNWEIGHTED = ("input", "target", "", "", "sample_weight")
#: No class goes by this number, so nothing is ignored.
_NONE_IGNORED = -(1 << 63)
#: Keras clips probabilities at this distance from 0 and 1.
_KERAS_EPSILON = 1e-7


class _Categorical:
    """The options of Keras's cross-entropies: of logits by the kernels of cross_entropy, of probabilities by rows."""

    plain_upstream = True
    promoting = ()

    def __init__(self, style: Style, from_logits: Any, smoothing: Any, ignored: Any, options: dict[str, Any]) -> None:
        name = self.name = style.name
        self.reduction, self.empty = options["reduction"], options["empty"]
        self.labels = style.labels
        self.has_statistics = self.from_logits = bool(FLAG.check(name, "from_logits", from_logits))
        self.smoothing = _errors.number(name, "label_smoothing", smoothing, 0.0, 1.0)
        axis = _errors.integer(name, "axis", options["axis"])
        self.ignored = None if ignored is None else _errors.integer(name, "ignore_class", ignored)
        if self.ignored is not None and not _NONE_IGNORED <= self.ignored < -_NONE_IGNORED:
            raise ValueError(_errors.wrong(name, "ignore_class", self.ignored, "a 64-bit integer"))
        ignore_index = _NONE_IGNORED if self.ignored is None else self.ignored
        self.problem: Any
        if self.from_logits:
            self.problem = SoftmaxProblem(
                name, ignore_index, self.reduction, self.smoothing, axis, 0.0, None, self.empty, False
            )
        else:
            self.problem = RowProblem(style, {**options, "ignore_index": ignore_index})

    def warning(self, operands: Operands) -> str | None:
        return None

    def loss_shape(self, operands: Operands) -> tuple[int, ...]:
        return self.problem.loss_shape((operands[0], operands[0], None, None, None))  # type: ignore[no-any-return]

    def _axis(self, shape: tuple[int, ...]) -> int:
        return class_axis(self.name, shape, self.problem.axis)

    def normalise(self, backend: Any, arrays: Operands) -> Operands:
        name = self.name
        x: Any
        t: Any
        x, t = (
            backend.convert(array, name, argument) for argument, array in zip(_UNWEIGHTED, arrays[:2], strict=False)
        )
        dtype = checked_logits(name, backend, x)
        shape = tuple(x.shape)
        axis = self._axis(shape)
        said = backend.dtype_name(t)
        if self.labels:
            if not backend.is_integer(t):
                raise TypeError(f"{name}: target has dtype {said}, expected an integer dtype (class indices)")
        else:
            if not (backend.is_floating(t) or backend.is_integer(t) or "bool" in said):
                raise TypeError(f"{name}: target has dtype {said}, expected a floating, integer or bool one")
            check_distributions(name, "one-hot, or class probabilities", t, shape, axis)
            t = backend.cast(t, dtype)
        return self.problem.normalise(backend, (x, t, *arrays[2:]))  # type: ignore[no-any-return]

    def build(
        self, backend: Any, operands: Operands, upstream: Any, flags: int, outs: tuple[Any, ...]
    ) -> Runnable | None:
        """The plan; None where memory needs more than two axes of positions."""
        shape = tuple(operands[0].shape)
        axis = self._axis(shape)
        problem = self.problem
        if not self.from_logits:
            problem = copy.copy(problem)
            numbers = (_KERAS_EPSILON, 1.0 - _KERAS_EPSILON, 1.0 - self.smoothing, self.smoothing / shape[axis])
            problem.numbers = numbers
        plan: Any = problem.build(backend, operands, upstream, flags, outs)
        if self.labels:
            for part in (plan, *(getattr(plan, stage, None) for stage in ("note", "fold", "write"))):
                if hasattr(part, "bad"):
                    part.bad = self._bad(shape[:axis] + shape[axis + 1 :], shape[axis])
        return plan  # type: ignore[no-any-return]

    def _bad(self, positions: tuple[int, ...], classes: int) -> Callable[[Operands, int], Exception]:
        def bad(operands: Operands, item: int) -> Exception:
            where = [int(i) for i in np.unravel_index(item, positions)] if positions else ""
            also = "" if self.ignored is None else f" or ignore_class ({self.ignored})"
            label = int(operands[1].reshape(-1)[item])
            return IndexError(f"{self.name}: target{where} is {label}, expected a class in [0, {classes}){also}")

        return bad


_DENSE_ROW = Row(
    "CategoricalCrossEntropyLoss",
    {"input": Distribution(), "target": Distribution()},
    {"from_logits": FLAG, "label_smoothing": UNIT},
    kinks="p = 1e-7 and 1 - 1e-7: the slope of log p is passed on",
    also=("Keras categorical crossentropy", "softmax cross-entropy with one-hot labels"),
    transcendental=True,
)


_SPARSE_ROW = Row(
    "SparseCategoricalCrossEntropyLoss",
    {"input": Distribution(), "target": Indices()},
    {"from_logits": FLAG},
    kinks="p = 1e-7 and 1 - 1e-7: the slope of log p is passed on",
    also=("Keras sparse categorical crossentropy",),
    transcendental=True,
)


def _dense(from_logits: Any, label_smoothing: Any, axis: Any, reduction: str, empty: str) -> _Categorical:
    options = {"axis": axis, "reduction": reduction, "empty": empty}
    return _Categorical(_DENSE, from_logits, label_smoothing, None, options)


def _sparse(from_logits: Any, ignore_class: Any, axis: Any, reduction: str, empty: str) -> _Categorical:
    options = {"axis": axis, "reduction": reduction, "empty": empty}
    return _Categorical(_SPARSE, from_logits, 0.0, ignore_class, options)


@loss(_dense, _DENSE_ROW, differentiable=("input", "target"), default=("input",), names=_UNWEIGHTED)
def categorical_cross_entropy(
    input: Any,
    target: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
    *,
    reduction: str = "mean",
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Cross-entropy of probabilities (or logits) and a one-hot or soft target, with Keras's meaning.

    .. math:: \ell_n = -\sum_c t_{nc} \log \min\left(\max\left(\frac{x_{nc}}{\sum_k x_{nk}},\, 10^{-7}\right),\,
        1 - 10^{-7}\right)

    or, with ``from_logits``, the same as :func:`cross_entropy`, which clips nothing. Label smoothing e replaces t by
    (1 - e) t + e / C. Keras's order of arguments is (y_true, y_pred): here, as everywhere, the prediction comes first.

    Args:
        input: numbers >= 0 (not checked), which are divided by their sum along ``axis``; or logits.
        target: t, one-hot or class probabilities, of the input's shape; integers and bools are allowed.
        from_logits: whether ``input`` holds logits.
        label_smoothing: e in [0, 1]: the share of the target that is spread evenly over all classes.
        axis: the class axis.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``, Keras's ``sum_over_batch_size``: divided by the number of
            positions.
        sample_weight: broadcastable to the unreduced loss, which it multiplies; the mean then divides by its sum
            (Keras: by the number of positions still; its ``mean_with_sample_weight`` is ours).
        empty: the mean over nothing: ``"nan"`` or ``"zero"``.

    Returns:
        The loss: a scalar, or an array of the input's shape without the class axis for ``"none"``. Gradients exist
        for ``input`` (the default; of the normalisation too) and ``target``. A clipped probability has none of its
        own; at the ends it has.

    Raises:
        ValueError: shapes that do not fit, an option out of range. TypeError: an unsuitable dtype.

    A row of zeros gives NaN, as in Keras. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> p = np.array([[0.05, 0.95, 0.0], [0.1, 0.8, 0.1]])
    >>> t = np.array([[0, 1, 0], [0, 0, 1]])
    >>> round(float(fl.categorical_cross_entropy(p, t)), 6)
    1.176939

    Source: meaning of ``keras.losses.CategoricalCrossentropy``.
    """
    return (input, target, None, None, sample_weight), (from_logits, label_smoothing, axis, reduction, empty)


@loss(_sparse, _SPARSE_ROW, refused={"target": "class indices have none"}, names=_UNWEIGHTED)
def sparse_categorical_cross_entropy(
    input: Any,
    target: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
    *,
    reduction: str = "mean",
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Cross-entropy of probabilities (or logits) and class indices, with Keras's meaning.

    .. math:: \ell_n = -\log \min\left(\max\left(\frac{x_{ny}}{\sum_k x_{nk}},\, 10^{-7}\right),\, 1 - 10^{-7}\right)

    or, with ``from_logits``, the same as :func:`cross_entropy`, which clips nothing. Keras's order of arguments is
    (y_true, y_pred): here, as everywhere, the prediction comes first.

    Args:
        input: numbers >= 0 (not checked), which are divided by their sum along ``axis``; or logits.
        target: class indices y of any integer dtype, of the input's shape without the class axis.
        from_logits: whether ``input`` holds logits.
        ignore_class: positions with this target contribute nothing; it may lie outside [0, C).
        axis: the class axis.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``, Keras's ``sum_over_batch_size``: divided by the number of
            positions that count.
        sample_weight: broadcastable to the unreduced loss, which it multiplies; the mean then divides by its sum
            (Keras: by the number of positions still; its ``mean_with_sample_weight`` is ours).
        empty: the mean over nothing: ``"nan"`` or ``"zero"``.

    Returns:
        The loss: a scalar, or an array of the input's shape without the class axis for ``"none"``. The gradient
        exists for ``input`` (of the normalisation too); it is 0 where the probability is clipped.

    Raises:
        IndexError: a class index outside [0, C) that is not ``ignore_class`` (Keras's backends clamp it, give NaN or
            raise). ValueError: shapes that do not fit, an option out of range. TypeError: an unsuitable dtype.

    A row of zeros gives NaN, as in Keras. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> p = np.array([[0.05, 0.95, 0.0], [0.1, 0.8, 0.1]])
    >>> round(float(fl.sparse_categorical_cross_entropy(p, np.array([1, 2]))), 6)
    1.176939

    Source: meaning of ``keras.losses.SparseCategoricalCrossentropy``.
    """
    return (input, target, None, None, sample_weight), (from_logits, ignore_class, axis, reduction, empty)


_DENSE = style_of(
    categorical_cross_entropy, "categorical", replace(_DENSE_ROW, parameters={}), _UNWEIGHTED, dense=(0, 1), later=True
)


_SPARSE = style_of(
    sparse_categorical_cross_entropy,
    "sparse_categorical",
    replace(_SPARSE_ROW, parameters={}),
    _UNWEIGHTED,
    labels=True,
)
