"""Margin losses over classes, and losses of several labels at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastloss import _errors
from fastloss._arrays import COMPUTE
from fastloss._catalogue import REAL, SIGN, UNIT, Indices, Row, Values
from fastloss._elementwise import elementwise
from fastloss._layout import memory_order, size_of
from fastloss._loss import Arguments, loss
from fastloss._plan import BLOCK_ELEMENTS, Operands, Output, Plan, block_size, extents
from fastloss._rows import rowwise
from fastloss._softmax import class_axis, geometry
from fastloss._softmax import normalise as normalise_classes

__all__ = [
    "crammer_singer_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "zero_one_loss",
]

_CLASSES = ("input", "target", "", "weight", "sample_weight")
_INDICES = {"target": "class indices have none"}
#: What an element costs a core, about, in the kernels of scores_cpu.
_NANOSECONDS = 0.5


@rowwise(
    "multi_margin",
    Row(
        "MultiMarginLoss",
        {"input": REAL, "target": Indices()},
        {"p": Values((1, 2)), "margin": REAL},
        kinks="x_c = x_y - margin: slope 0",
        also=("multiclass SVM hinge", "Weston-Watkins hinge", "multi-class hinge"),
    ),
    names=_CLASSES,
    dense=("input",),
    labels=True,
    sums=2,
    axis="class",
    differentiable=("input",),
    refused=_INDICES,
)
def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    axis: int | None = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Hinge of a margin between the score of the right class and that of each other class.

    .. math:: \ell_n = \frac{w_y}{C} \sum_{c \ne y} \max(0,\, m - x_{ny} + x_{nc})^p

    C times the loss with p = 1 is the multiclass SVM hinge, the sum over the wrong classes (Weston and Watkins).
    :func:`crammer_singer_loss` takes the worst of them instead.

    Args:
        input: scores x of shape ``(C)``, ``(N, C)`` or ``(N, C, d1, ...)`` (PyTorch: the first two).
        target: class indices y of any integer dtype, of the input's shape without the class axis.
        p: 1 or 2.
        margin: m, any real number.
        weight: w, of shape ``(C)``: the weight of the right class multiplies the loss of its position.
        ignore_index: positions with this target contribute nothing; it may lie outside [0, C).
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of positions that count, whatever
            ``weight`` is (as in PyTorch).
        axis: the class axis; by default 1, or 0 for an input of one dimension.
        sample_weight: broadcastable to the unreduced loss, which it multiplies; the mean then divides by its sum.
        empty: the mean over nothing: ``"nan"``, or ``"zero"`` (PyTorch: whatever the memory held).

    Returns:
        The loss: a scalar, or an array of the input's shape without the class axis for ``"none"``. The gradient
        exists for ``input``; where a score is exactly at the margin, its slope is 0 (as in PyTorch).

    Raises:
        IndexError: a class index outside [0, C) that is not ``ignore_index``. ValueError: shapes that do not fit, an
            option out of range. TypeError: an unsuitable dtype. NotImplementedError: a gradient for a weight.

    Scores of -inf (masked classes) never violate the margin; equal infinite scores count as equal. NaN propagates
    (PyTorch takes a NaN of a wrong class for no violation).

    >>> import numpy as np, fastloss as fl
    >>> x = np.array([[0.5, 1.0, 0.25]])
    >>> float(fl.multi_margin_loss(x, np.array([1])))  # (0.5 + 0.25) / 3
    0.25

    Source: Weston and Watkins (1999), Support Vector Machines for Multi-Class Pattern Recognition; meaning of
    ``torch.nn.functional.multi_margin_loss``.
    """
    return (input, target, None, weight, sample_weight), (p, margin, ignore_index, reduction, axis, empty)


@rowwise(
    "crammer_singer",
    Row(
        "CrammerSingerLoss",
        {"input": REAL, "target": Indices()},
        {"margin": REAL},
        kinks="max x_c = x_y - margin: slope 0; equal largest wrong scores share the slope",
        also=("multiclass hinge", "max-margin hinge"),
    ),
    names=("input", "target", "", "", "sample_weight"),
    dense=("input",),
    labels=True,
    sums=2,
    tops=1,
    axis="class",
    differentiable=("input",),
    refused=_INDICES,
)
def crammer_singer_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    axis: int | None = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Hinge of a margin between the score of the right class and the largest of the others.

    .. math:: \ell_n = \max\left(0,\, m + \max_{c \ne y} x_{nc} - x_{ny}\right)

    Args:
        input: scores x of shape ``(C)``, ``(N, C)`` or ``(N, C, d1, ...)``.
        target: class indices y of any integer dtype, of the input's shape without the class axis.
        margin: m, any real number.
        ignore_index: positions with this target contribute nothing; it may lie outside [0, C).
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of positions that count.
        axis: the class axis; by default 1, or 0 for an input of one dimension.
        sample_weight: broadcastable to the unreduced loss, which it multiplies; the mean then divides by its sum.
        empty: the mean over nothing: ``"nan"`` or ``"zero"``.

    Returns:
        The loss: a scalar, or an array of the input's shape without the class axis for ``"none"``. The gradient
        exists for ``input``: -1 for the right class and 1 for the largest of the others, shared evenly where several
        attain it; 0 where the margin is exactly met.

    Raises:
        IndexError: a class index outside [0, C) that is not ``ignore_index``. ValueError: shapes that do not fit, an
            option out of range. TypeError: an unsuitable dtype. NotImplementedError: a gradient for a weight.

    With one class there is no other and the loss is 0. NaN propagates. optax calls it ``multiclass_hinge_loss``;
    scikit-learn's ``hinge_loss`` of several classes is its mean.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.crammer_singer_loss(np.array([[0.5, 1.0, 0.25]]), np.array([1])))
    0.5

    Source: Crammer and Singer (2001), On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines.
    """
    return (input, target, None, None, sample_weight), (margin, ignore_index, reduction, axis, empty)


@rowwise(
    "multilabel_soft_margin",
    Row(
        "MultiLabelSoftMarginLoss",
        {"input": REAL, "target": UNIT},
        also=("multi-label logistic loss", "binary relevance"),
        transcendental=True,
    ),
    names=("input", "target", "weight", "", "sample_weight"),
    dense=("input", "target", "weight"),
    axis=-1,
    differentiable=("input", "target"),
    default=("input",),
)
def multilabel_soft_margin_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    reduction: str = "mean",
    axis: int = -1,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Binary cross-entropy of each class's logit, averaged over the classes first.

    .. math:: \ell_n = \frac{1}{C} \sum_c w_c \left(y_{nc} \log(1 + e^{-x_{nc}}) + (1 - y_{nc}) \log(1 + e^{x_{nc}})
        \right)

    The same as :func:`binary_cross_entropy_with_logits` but for ``"none"``, which gives one loss a position, and for
    ``"sum"``, which adds those up.

    Args:
        input: logits x, the classes along the last axis.
        target: y, usually in [0, 1] (not checked), broadcastable with the input: multi-hot, not class indices.
        weight: w, broadcastable to the input: of shape ``(C)`` for one weight a class.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of positions, whatever ``weight`` is (as
            in PyTorch).
        axis: the class axis (PyTorch: always the last).
        sample_weight: broadcastable to the unreduced loss, which it multiplies; the mean then divides by its sum.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array of the input's shape without the class axis for ``"none"``. Gradients exist
        for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.
        NotImplementedError: a gradient for a weight.

    An infinite logit on the side of its target costs 0 (PyTorch: NaN), on the other side infinity. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> losses = fl.multilabel_soft_margin_loss(np.zeros((2, 3)), np.ones((2, 3)), reduction="none")
    >>> losses.round(6).tolist()
    [0.693147, 0.693147]

    Source: meaning of ``torch.nn.functional.multilabel_soft_margin_loss``.
    """
    return (input, target, weight, None, sample_weight), (reduction, axis, empty)


@dataclass(frozen=True)
class Labels(Indices):
    """A list of class indices in each row, as long as the classes, its end padded with -1."""

    def __str__(self) -> str:
        return "class indices, padded with -1"

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], axis: int) -> Any:
        """Any subset of the classes, in any order."""
        order = np.argsort(rng.random(shape), axis=axis)
        count = rng.integers(0, shape[axis] + 1, (*shape[:axis], 1, *shape[axis + 1 :]))
        places = np.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(len(shape))])
        return np.where(places < count, order, -1)


class _Problem:
    """What the kernels of scores_cpu have in common."""

    plain_upstream = True
    has_statistics = False

    def __init__(self, name: str, reduction: Any, empty: Any) -> None:
        _errors.check_reduction(name, reduction)
        _errors.check_choice(name, "empty", empty, ("nan", "zero"))
        self.name, self.reduction, self.empty = name, reduction, empty

    def warning(self, operands: Operands) -> str | None:
        return None

    def plan(
        self,
        backend: Any,
        operands: Operands,
        flags: int,
        outs: tuple[Any, ...],
        axis: int,
        template: str,
        cost: float,
        ignore_index: int,
        bad: Any,
    ) -> Plan | None:
        """A launch of ``template``, over the positions of the input."""
        from fastloss.kernels import build_cpu, scores_cpu
        from fastloss.kernels import launch_cpu as launch

        x = operands[0]
        dtype, shape = backend.dtype_name(x), tuple(x.shape)
        strides = backend.strides(x)
        positions = shape[:axis] + shape[axis + 1 :]
        items, classes = size_of(positions), shape[axis]
        like_input = Output(shape, dtype, memory_order(strides))
        place, grad = None, like_input
        own = [] if outs[0] is None else [Output(shape, dtype, None, backend.strides(outs[0]))]
        for grad in (*own, like_input, Output(shape, dtype)):
            place = geometry(shape, axis, [strides, grad.strides()])
            if place is not None:
                break
        if place is None:
            return None
        if self.reduction == "mean":
            flags |= launch.MEAN | (launch.EMPTY_ZERO if self.empty == "zero" else 0) | launch.FIND_DENOMINATOR
        (outer, inner, step), (grad_outer, grad_inner, grad_step) = place.strides
        grads = (grad if flags & launch.GRAD else None, None, None)
        return Plan(
            loss=self.name,
            backend=backend,
            kernel=build_cpu.kernel(getattr(scores_cpu, template), dtype),
            items=items,
            block=block_size(items, max(1, BLOCK_ELEMENTS // classes), 1, items * cost),
            nanoseconds=items * cost,
            flags=flags,
            denominator=float(items),
            parameters={
                scores_cpu.CLASSES: classes,
                scores_cpu.INNER: max(1, place.inner),
                scores_cpu.OUTER_STRIDE: outer,
                scores_cpu.INNER_STRIDE: inner,
                scores_cpu.CLASS_STRIDE: step,
                scores_cpu.GRAD_OUTER_STRIDE: grad_outer,
                scores_cpu.GRAD_INNER_STRIDE: grad_inner,
                scores_cpu.GRAD_CLASS_STRIDE: grad_step,
                scores_cpu.UPSTREAM_STRIDE: int(self.reduction == "none"),
                scores_cpu.IGNORE_INDEX: ignore_index,
            },
            losses=Output(positions, COMPUTE[dtype]) if self.reduction == "none" else None,
            grads=grads,
            statistics=None,
            bad=bad,
            extents=extents(backend, operands, grads, outs),
        )


class MultilabelMarginProblem(_Problem):
    """The options of multilabel_margin_loss."""

    def __init__(self, reduction: str, axis: Any, empty: str) -> None:
        super().__init__("multilabel_margin_loss", reduction, empty)
        self.axis = _errors.integer(self.name, "axis", axis)

    def _axis(self, shape: tuple[int, ...]) -> int:
        return class_axis(self.name, shape, self.axis)

    def loss_shape(self, operands: Operands) -> tuple[int, ...]:
        shape = tuple(operands[0].shape)
        axis = self._axis(shape)
        return shape[:axis] + shape[axis + 1 :]

    def normalise(self, backend: Any, arrays: Operands) -> Operands:
        """Labels as contiguous int64, the classes along their last axis."""
        name = self.name
        x: Any
        t: Any
        x, t = (backend.convert(array, name, argument) for argument, array in zip(_CLASSES, arrays[:2], strict=False))
        sample_weight: Any = arrays[4]
        dtype = backend.dtype_name(x)
        if dtype not in COMPUTE:
            raise _errors.not_floating(name, "input", dtype, backend.is_floating(t))
        if not backend.is_integer(t):
            raise TypeError(f"{name}: target has dtype {backend.dtype_name(t)}, expected an integer dtype")
        shape = tuple(x.shape)
        axis = self._axis(shape)
        if shape[axis] == 0:
            raise ValueError(f"{name}: input has shape {shape}: no classes along axis {axis}")
        if tuple(t.shape) != shape:
            raise ValueError(
                f"{name}: target has shape {tuple(t.shape)}, expected {shape}, that of the input: as many class "
                "indices as classes, padded with -1"
            )
        if axis != len(shape) - 1:
            order = [i for i in range(len(shape)) if i != axis] + [axis]
            t = t.transpose(order) if backend.name == "numpy" else t.permute(order)
        t = backend.labels(t, name)
        if sample_weight is not None:
            sample_weight = backend.convert(sample_weight, name, "sample_weight")
            if not (backend.is_floating(sample_weight) or backend.is_integer(sample_weight)):
                said = backend.dtype_name(sample_weight)
                raise TypeError(f"{name}: sample_weight has dtype {said}, expected a floating or integer one")
            positions = shape[:axis] + shape[axis + 1 :]
            _errors.check_broadcastable(name, "sample_weight", tuple(sample_weight.shape), positions)
            wide = backend.broadcast_to(sample_weight, positions)
            sample_weight = backend.contiguous(backend.cast(wide, COMPUTE[dtype]))
        return backend.plain_strides(x), t, None, None, sample_weight

    def tidied(self, backend: Any, operands: Operands) -> Operands:
        """The scores copied; the labels are contiguous already."""
        return (backend.contiguous(operands[0]), *operands[1:])

    def build(self, backend: Any, operands: Operands, upstream: Any, flags: int, outs: tuple[Any, ...]) -> Plan | None:
        """The plan; None where memory needs more than two axes of positions."""
        shape = tuple(operands[0].shape)
        axis = self._axis(shape)
        classes = shape[axis]
        positions = shape[:axis] + shape[axis + 1 :]

        def bad(operands: Operands, item: int) -> Exception:
            labels = np.asarray(operands[1].reshape(-1, classes)[item])
            wrong = labels[(labels < -1) | (labels >= classes)]
            where = [int(i) for i in np.unravel_index(item, positions)] if positions else ""
            said = f"{wrong[0]}" if wrong.size else "changing while it is read"
            return IndexError(f"{self.name}: target{where} holds {said}, expected classes in [0, {classes}) or -1")

        # Each label looks at all classes; a few labels a row is what is common.
        cost = classes * _NANOSECONDS * 4
        return self.plan(backend, operands, flags, outs, axis, "multilabel_margin", cost, 0, bad)


def _multilabel_margin(reduction: str, axis: Any, empty: str) -> MultilabelMarginProblem:
    return MultilabelMarginProblem(reduction, axis, empty)


@loss(
    _multilabel_margin,
    Row(
        "MultiLabelMarginLoss",
        {"input": REAL, "target": Labels()},
        kinks="x_c = x_y - 1: slope 0",
        also=("multi-label hinge",),
    ),
    refused=_INDICES,
    names=("input", "target", "", "", "sample_weight"),
)
def multilabel_margin_loss(
    input: Any,
    target: Any,
    *,
    reduction: str = "mean",
    axis: int = -1,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Hinge between the score of each label and that of each class that is no label.

    .. math:: \ell_n = \frac{1}{C} \sum_{y \in Y_n} \sum_{c \notin Y_n} \max(0,\, 1 - x_{ny} + x_{nc})

    Args:
        input: scores x of shape ``(C)`` or ``(N, C)``, or of more axes.
        target: the labels Y as class indices, of any integer dtype and the input's shape: those before the first -1
            of a row count, what follows is ignored. A multi-hot target is not what is meant here: it would read as
            the classes 0 and 1; :func:`multilabel_soft_margin_loss` takes those.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of positions.
        axis: the axis of the classes, and of the lists of labels.
        sample_weight: broadcastable to the unreduced loss, which it multiplies; the mean then divides by its sum.
        empty: the mean over nothing: ``"nan"``, or ``"zero"`` (PyTorch: whatever the memory held).

    Returns:
        The loss: a scalar, or an array of the input's shape without the class axis for ``"none"``. The gradient
        exists for ``input``; where a score is exactly at the margin, its slope is 0 (as in PyTorch).

    Raises:
        IndexError: an index outside [-1, C), wherever it stands. ValueError: shapes that do not fit, an option out of
        range. TypeError: an unsuitable dtype.

    A label that is listed twice counts twice (as in PyTorch). A row without labels costs 0, and so does one whose
    labels are all classes. NaN propagates from the scores that are compared (PyTorch: a NaN is no violation).

    >>> import numpy as np, fastloss as fl
    >>> x = np.array([[0.0, 0.5, 2.0, 1.0]])
    >>> float(fl.multilabel_margin_loss(x, np.array([[3, 1, -1, -1]])))  # (0 + 2 + 0.5 + 2.5) / 4
    1.25

    Source: Elisseeff and Weston (2001), A Kernel Method for Multi-Labelled Classification; meaning of
    ``torch.nn.functional.multilabel_margin_loss``.
    """
    return (input, target, None, None, sample_weight), (reduction, axis, empty)


def _of_signs(
    input: Any, target: Any, *, reduction: str = "mean", sample_weight: Any = None, empty: str = "nan"
) -> Arguments:
    return (input, target, None, None, sample_weight), (reduction, empty)


_of_signs.__name__ = "zero_one_loss"  # the name in messages
_signs = elementwise(
    "zero_one",
    Row("ZeroOneLoss", {"input": REAL, "target": SIGN}),
    names=("input", "target", "", "", "sample_weight"),
    shapes="same",
)(_of_signs)


class ZeroOneProblem(_Problem):
    """The options of zero_one_loss: signs where the target has the input's shape, else classes."""

    def __init__(self, ignore_index: Any, reduction: str, axis: Any, empty: str) -> None:
        super().__init__("zero_one_loss", reduction, empty)
        self.axis = None if axis is None else _errors.integer(self.name, "axis", axis)
        self.ignore_index = _errors.integer(self.name, "ignore_index", ignore_index)
        if not -(1 << 63) <= self.ignore_index < 1 << 63:
            raise ValueError(f"{self.name}: ignore_index is {self.ignore_index}, expected a 64-bit integer")
        self.signs = _signs.spec.problem(reduction, empty)

    @staticmethod
    def _plain(operands: Operands) -> bool:
        return tuple(operands[0].shape) == tuple(operands[1].shape)

    def loss_shape(self, operands: Operands) -> tuple[int, ...]:
        shape = tuple(operands[0].shape)
        if self._plain(operands):
            return shape
        axis = class_axis(self.name, shape, self.axis)
        return shape[:axis] + shape[axis + 1 :]

    def normalise(self, backend: Any, arrays: Operands) -> Operands:
        x, t = (backend.convert(array, self.name, name) for name, array in zip(_CLASSES, arrays[:2], strict=False))
        if self._plain((x, t, None, None, None)):
            return self.signs.normalise(backend, arrays)  # type: ignore[no-any-return]
        return normalise_classes(self.name, backend, arrays, axis=self.axis, probabilities_allowed=False)

    def build(self, backend: Any, operands: Operands, upstream: Any, flags: int, outs: tuple[Any, ...]) -> Any:
        """The plan; None where memory needs more than two axes of positions."""
        if self._plain(operands):
            return self.signs.build(backend, operands, upstream, flags, outs)
        shape = tuple(operands[0].shape)
        axis = class_axis(self.name, shape, self.axis)
        classes, positions = shape[axis], shape[:axis] + shape[axis + 1 :]

        def bad(operands: Operands, item: int) -> Exception:
            where = [int(i) for i in np.unravel_index(item, positions)] if positions else ""
            return IndexError(
                f"{self.name}: target{where} is {int(operands[1].reshape(-1)[item])}, expected a class in "
                f"[0, {classes}) or ignore_index ({self.ignore_index})"
            )

        cost = classes * _NANOSECONDS
        return self.plan(backend, operands, flags, outs, axis, "zero_one_rows", cost, self.ignore_index, bad)


def _zero_one(ignore_index: Any, reduction: str, axis: Any, empty: str) -> ZeroOneProblem:
    return ZeroOneProblem(ignore_index, reduction, axis, empty)


_FLAT = "it is piecewise constant: its derivative is 0 wherever there is one; train on a surrogate, cross_entropy say"


@loss(
    _zero_one,
    Row(
        "ZeroOneLoss",
        {"input": REAL, "target": Indices()},
        kinks="it has no derivative: it is piecewise constant",
        also=("misclassification rate", "error rate", "0-1 loss"),
    ),
    differentiable=(),
    refused={"input": _FLAT, "target": _FLAT},
    names=("input", "target", "", "", "sample_weight"),
)
def zero_one_loss(
    input: Any,
    target: Any,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    axis: int | None = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Whether the prediction is wrong: 1, or 0 where it is right; the mean is the error rate.

    .. math:: \ell_n = [\operatorname{argmax}_c x_{nc} \ne y_n] \quad\text{or}\quad \ell_i = [x_i y_i \le 0]

    Args:
        input: class scores x of shape ``(C)``, ``(N, C)`` or ``(N, C, d1, ...)``; or plain scores of any shape.
        target: class indices y of an integer dtype, of the input's shape without the class axis; or, of the input's
            own shape, the signs -1 and 1 (of which only the sign is read).
        ignore_index: positions with this class contribute nothing; it has no meaning for signs.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of positions that count.
        axis: the class axis; by default 1, or 0 for an input of one dimension.
        sample_weight: broadcastable to the unreduced loss, which it multiplies; the mean then divides by its sum.
        empty: the mean over nothing: ``"nan"`` or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. There is no gradient: asking for one raises.

    Raises:
        NotImplementedError: a gradient is asked for. IndexError: a class index outside [0, C) that is not
        ``ignore_index``. ValueError: shapes that do not fit, an option out of range. TypeError: an unsuitable dtype.

    Of equal class scores the one with the lowest index is the prediction. A plain score of 0 is wrong whatever the
    target. A NaN among the scores gives NaN.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.zero_one_loss(np.array([[0.1, 0.9], [0.5, 0.5]]), np.array([1, 1])))
    0.5
    >>> float(fl.zero_one_loss(np.array([2.0, -1.0, 0.0, 3.0]), np.array([1.0, -1.0, 1.0, -1.0])))
    0.5

    Source: the loss of a decision; meaning of scikit-learn's ``zero_one_loss`` of the predicted classes.
    """
    return (input, target, None, None, sample_weight), (ignore_index, reduction, axis, empty)
