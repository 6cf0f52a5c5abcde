"""Losses of a softmax over classes beside cross-entropy, and of distributions over classes."""

from __future__ import annotations

import copy
import importlib
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fastloss import _errors
from fastloss._arrays import COMPUTE
from fastloss._catalogue import FLAG, REAL, UNIT, Indices, Interval, Row
from fastloss._loss import Arguments, loss
from fastloss._plan import Operands, Runnable
from fastloss._rows import RowProblem, Style, rowwise, style_of
from fastloss._softmax import check_distributions, checked_logits

__all__ = [
    "entropy_loss",
    "focal_loss",
    "generalized_cross_entropy",
    "kl_div_with_logits",
    "poly_cross_entropy",
]

_CLASSES = ("input", "target", "", "weight", "sample_weight")


class _Masses:
    """The options of a loss of the softmax: class indices and class probabilities, as ``cross_entropy`` takes them."""

    plain_upstream = True
    has_statistics = False
    promoting = ()

    def __init__(self, style: Style, score: str, options: dict[str, Any]) -> None:
        name = self.name = style.name
        self.reduction, self.empty = options["reduction"], options["empty"]
        self.score = score
        self.smoothing = _errors.number(name, "label_smoothing", options["label_smoothing"], 0.0, 1.0)
        self.index = RowProblem(replace(style, later=self.smoothing > 0.0), options)
        self.soft = RowProblem(replace(style, labels=False, dense=(0, 1, 2), later=True), options)
        alpha = options.get("alpha")
        self.factor = 1.0
        self.factors: tuple[float, ...] | None = None
        if isinstance(alpha, tuple):
            self.factors = tuple(_errors.number(name, "alpha", a, -math.inf, math.inf) for a in alpha)
        elif alpha is not None:
            self.factor = _errors.number(name, "alpha", alpha, -math.inf, math.inf)
        self.tables: dict[Any, Any] = {}

    def warning(self, operands: Operands) -> str | None:
        return None

    def loss_shape(self, operands: Operands) -> tuple[int, ...]:
        return self.index.loss_shape(operands)

    def _table(self, backend: Any, dtype: str, classes: int) -> Any:
        """``alpha`` of each class as an array of the backend; None where it is a number."""
        if self.factors is None:
            return None
        _errors.check_shape(self.name, "alpha", (len(self.factors),), (classes,))
        table = self.tables.get((backend.name, dtype))
        if table is None:
            table = backend.empty((classes,), dtype)
            for c, factor in enumerate(self.factors):
                table[c] = factor
            self.tables[backend.name, dtype] = table
        return table

    def normalise(self, backend: Any, arrays: Operands) -> Operands:
        """Indices: ``alpha`` third. Probabilities: the product of both factors of a class third, along the classes."""
        name = self.name
        x: Any
        t: Any
        x, t = (backend.convert(array, name, argument) for argument, array in zip(_CLASSES, arrays[:2], strict=False))
        dtype = checked_logits(name, backend, x)
        shape = tuple(x.shape)
        (axis,) = self.index._axes(shape)
        if not backend.is_floating(t):
            operands = self.index.normalise(backend, (x, t, None, arrays[3], arrays[4]))
            return (*operands[:2], self._table(backend, COMPUTE[dtype], shape[axis]), *operands[3:])
        check_distributions(name, "class probabilities", t, shape, axis)
        weight: Any = arrays[3]
        if weight is not None:
            weight = backend.convert(weight, name, "weight")
            if not backend.is_floating(weight):
                raise TypeError(f"{name}: weight has dtype {backend.dtype_name(weight)}, expected a floating one")
            _errors.check_shape(name, "weight", tuple(weight.shape), (shape[axis],))
        table = self._table(backend, COMPUTE[dtype], shape[axis])
        if table is not None:
            weight = table if weight is None else table * backend.cast(weight, COMPUTE[dtype])
        if weight is not None:
            weight = backend.cast(weight, dtype).reshape((-1, *(1 for _ in shape[axis + 1 :])))
        return self.soft.normalise(backend, (x, backend.cast(t, dtype), weight, None, arrays[4]))

    def build(
        self, backend: Any, operands: Operands, upstream: Any, flags: int, outs: tuple[Any, ...]
    ) -> Runnable | None:
        """The plan; None where memory needs more than two axes of positions."""
        from fastloss.kernels import launch_cpu as launch

        soft = backend.is_floating(operands[1])
        if flags & launch.GRAD_TARGET and not soft:
            raise NotImplementedError(f"{self.name}: no gradient with respect to target: class indices have none")
        problem = copy.copy(self.soft if soft else self.index)
        shape = tuple(operands[0].shape)
        (axis,) = problem._axes(shape)
        own = problem.numbers[0]
        problem.numbers = (own, 1.0 - self.smoothing, self.smoothing / shape[axis], self.factor)
        template = getattr(importlib.import_module("fastloss.kernels.softmax"), self.score)
        problem.constants = {**problem.constants, "SCORE": template, "SPREAD": problem.style.later}
        return problem.build(backend, operands, upstream, flags, outs)


def _of_softmax(
    score: str, row: Row, specialise: Callable[[dict[str, Any]], dict[str, Any]] | None = None
) -> Callable[[Callable[..., Arguments]], Any]:
    """Make a loss of ``score``, the template of one class: see kernels/softmax.py."""

    def decorate(bind: Callable[..., Arguments]) -> Any:
        style = style_of(
            bind,
            "scores",
            row,
            _CLASSES,
            labels=True,
            sums=0,
            tops=1,
            softmax=1,
            specialise=specialise,
            factors=True,
        )

        def problem(*values: Any) -> _Masses:
            return _Masses(style, score, dict(zip(style.options, values, strict=True)))

        return loss(problem, row, differentiable=("input", "target"), default=("input",), names=_CLASSES)(bind)

    return decorate


def _whole(options: dict[str, Any]) -> dict[str, Any]:
    gamma = options["gamma"]
    return {"GAMMA": int(gamma) if gamma in (0, 1, 2) else -1}


@_of_softmax(
    "focal",
    Row(
        "FocalLoss",
        {"input": REAL, "target": Indices()},
        {"gamma": Interval(0.0, math.inf, "high"), "label_smoothing": UNIT},
        denominator="class weights",
        also=("softmax focal loss", "categorical focal cross-entropy"),
        transcendental=True,
    ),
    _whole,
)
def focal_loss(
    input: Any,
    target: Any,
    gamma: float = 2.0,
    alpha: Any = None,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    axis: int | None = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Cross-entropy of a softmax that counts classified examples less: focal loss of several classes.

    .. math:: \ell_n = -\sum_c w_c\, \alpha_c\, t_{nc}\, (1 - p_{nc})^\gamma \log p_{nc}, \qquad
        p_{nc} = e^{x_{nc}} / \sum_k e^{x_{nk}}

    where t is one-hot for class indices, and label smoothing e replaces it by (1 - e) t + e / C. With probabilities
    as targets each class has a focal factor of its own p, as in Keras: there is no one :math:`p_t` that they share.

    Args:
        input: logits x of shape ``(C)``, ``(N, C)`` or ``(N, C, d1, ...)``.
        target: class indices of any integer dtype, of the input's shape without the class axis; or class
            probabilities of a floating dtype and the input's shape.
        gamma: the exponent, at least 0: with 0 the loss is :func:`cross_entropy`.
        alpha: a number, or one for each class (a list, tuple or array): a plain factor. It does not balance
            positives against negatives as the alpha of :func:`sigmoid_focal_loss` does (alpha and 1 - alpha).
        weight: w, of shape ``(C)``. With class indices the weight of the label's class, and its alpha, multiply the
            whole loss of the position, with label smoothing too: what is smoothed is weighed class by class for
            probabilities (and by :func:`cross_entropy`).
        ignore_index: positions with this target contribute nothing whatever their logits hold; it may lie outside
            [0, C). It has no meaning for probabilities.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: with class indices divided by the sum of ``weight`` over the
            positions that count (by their number without weights), with probabilities by their number. Neither alpha
            nor the focal factor has a part in that.
        label_smoothing: e in [0, 1]: the share of the target that is spread evenly over all classes.
        axis: the class axis; by default 1, or 0 for an input of one dimension.
        sample_weight: broadcastable to the unreduced loss, which it multiplies; the mean then divides by the sum of
            the products of weights (of the sample weights alone for probabilities).
        empty: the mean over nothing: ``"nan"`` or ``"zero"``.

    Returns:
        The loss: a scalar, or an array of the input's shape without the class axis for ``"none"``. Gradients exist
        for ``input`` (the default) and for a ``target`` of probabilities.

    Raises:
        IndexError: a class index outside [0, C) that is not ``ignore_index``. ValueError: shapes that do not fit, an
            option out of range. TypeError: an unsuitable dtype. NotImplementedError: a gradient for a weight.

    1 - p comes from what the other classes sum to, so a loss of 1e-30 keeps its digits, as many as the differences of
    the logits have. A logit of -inf has probability 0 and a zero gradient where it is not the target, and an infinite
    loss where it is. A logit of +inf, or a row of -inf, gives NaN.

    >>> import numpy as np, fastloss as fl
    >>> x = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    >>> round(float(fl.focal_loss(x, np.array([0, 2]))), 6)
    0.266975

    Source: Lin et al. (2017), Focal Loss for Dense Object Detection, arXiv:1708.02002.
    """
    return (
        (input, target, None, weight, sample_weight),
        (gamma, _errors.plain("focal_loss", "alpha", alpha), ignore_index, reduction, label_smoothing, axis, empty),
    )


@_of_softmax(
    "poly",
    Row(
        "PolyCrossEntropyLoss",
        {"input": REAL, "target": Indices()},
        {"epsilon": Interval(-math.inf, math.inf, "both"), "label_smoothing": UNIT},
        denominator="class weights",
        also=("Poly-1", "PolyLoss"),
        transcendental=True,
    ),
)
def poly_cross_entropy(
    input: Any,
    target: Any,
    epsilon: float = 1.0,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    axis: int | None = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Cross-entropy of a softmax with another coefficient of its first term in 1 - p: Poly-1.

    .. math:: \ell_n = \sum_c w_c\, t_{nc} \left(-\log p_{nc} + \epsilon\, (1 - p_{nc})\right), \qquad
        p_{nc} = e^{x_{nc}} / \sum_k e^{x_{nk}}

    where t is one-hot for class indices, and label smoothing e replaces it by (1 - e) t + e / C in both parts (as in
    the paper).

    Args:
        input: logits x of shape ``(C)``, ``(N, C)`` or ``(N, C, d1, ...)``.
        target: class indices of any integer dtype, of the input's shape without the class axis; or class
            probabilities of a floating dtype and the input's shape.
        epsilon: any finite number; 0 is :func:`cross_entropy`. The paper's listing has 1; it found 2 best for one
            network on ImageNet, which is the default of optax, and -1 for detection.
        weight: w, of shape ``(C)``. With class indices the weight of the label's class multiplies the whole loss of
            the position, with label smoothing too (:func:`cross_entropy` weighs what is smoothed class by class).
        ignore_index: positions with this target contribute nothing whatever their logits hold; it may lie outside
            [0, C). It has no meaning for probabilities.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: with class indices divided by the sum of ``weight`` over the
            positions that count, with probabilities by their number.
        label_smoothing: e in [0, 1]: the share of the target that is spread evenly over all classes.
        axis: the class axis; by default 1, or 0 for an input of one dimension.
        sample_weight: broadcastable to the unreduced loss, which it multiplies; the mean then divides by the sum of
            the products of weights (of the sample weights alone for probabilities).
        empty: the mean over nothing: ``"nan"`` or ``"zero"``.

    Returns:
        The loss: a scalar, or an array of the input's shape without the class axis for ``"none"``. Gradients exist
        for ``input`` (the default) and for a ``target`` of probabilities.

    Raises:
        IndexError: a class index outside [0, C) that is not ``ignore_index``. ValueError: shapes that do not fit, an
            option out of range. TypeError: an unsuitable dtype. NotImplementedError: a gradient for a weight.

    A logit of -inf has probability 0 and a zero gradient where it is not the target, and an infinite loss where it
    is. A logit of +inf, or a row of -inf, gives NaN.

    >>> import numpy as np, fastloss as fl
    >>> x = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    >>> round(float(fl.poly_cross_entropy(x, np.array([0, 2]))), 6)  # 0.753109 + the mean of 1 - p
    1.253822

    Source: Leng et al. (2022), PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions,
    arXiv:2204.12511.
    """
    return (
        (input, target, None, weight, sample_weight),
        (epsilon, ignore_index, reduction, label_smoothing, axis, empty),
    )


@_of_softmax(
    "generalized",
    Row(
        "GeneralizedCrossEntropyLoss",
        {"input": REAL, "target": Indices()},
        {"q": Interval(0.0, 1.0, "low"), "label_smoothing": UNIT},
        denominator="class weights",
        also=("GCE", "L_q loss", "noise-robust cross-entropy"),
        transcendental=True,
    ),
)
def generalized_cross_entropy(
    input: Any,
    target: Any,
    q: float = 0.7,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    axis: int | None = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Between cross-entropy and the probability of being wrong: robust to wrong labels.

    .. math:: \ell_n = \sum_c w_c\, t_{nc}\, \frac{1 - p_{nc}^q}{q}, \qquad
        p_{nc} = e^{x_{nc}} / \sum_k e^{x_{nk}}

    where t is one-hot for class indices, and label smoothing e replaces it by (1 - e) t + e / C.

    Args:
        input: logits x of shape ``(C)``, ``(N, C)`` or ``(N, C, d1, ...)``.
        target: class indices of any integer dtype, of the input's shape without the class axis; or class
            probabilities of a floating dtype and the input's shape.
        q: in (0, 1]: 1 is 1 - p, half the mean absolute error of the probabilities, and the limit at 0 is
            :func:`cross_entropy`.
        weight: w, of shape ``(C)``. With class indices the weight of the label's class multiplies the whole loss of
            the position, with label smoothing too (:func:`cross_entropy` weighs what is smoothed class by class).
        ignore_index: positions with this target contribute nothing whatever their logits hold; it may lie outside
            [0, C). It has no meaning for probabilities.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: with class indices divided by the sum of ``weight`` over the
            positions that count, with probabilities by their number.
        label_smoothing: e in [0, 1]: the share of the target that is spread evenly over all classes.
        axis: the class axis; by default 1, or 0 for an input of one dimension.
        sample_weight: broadcastable to the unreduced loss, which it multiplies; the mean then divides by the sum of
            the products of weights (of the sample weights alone for probabilities).
        empty: the mean over nothing: ``"nan"`` or ``"zero"``.

    Returns:
        The loss: a scalar, or an array of the input's shape without the class axis for ``"none"``. Gradients exist
        for ``input`` (the default) and for a ``target`` of probabilities.

    Raises:
        IndexError: a class index outside [0, C) that is not ``ignore_index``. ValueError: shapes that do not fit, an
            option out of range. TypeError: an unsuitable dtype. NotImplementedError: a gradient for a weight.

    The loss is at most 1 / q, which it is for a target of probability 0 (a logit of -inf), without a gradient there.
    A logit of +inf, or a row of -inf, gives NaN.

    >>> import numpy as np, fastloss as fl
    >>> round(float(fl.generalized_cross_entropy(np.zeros((1, 4)), np.array([2]), q=0.5)), 6)  # (1 - 1/2) / (1/2)
    1.0

    Source: Zhang and Sabuncu (2018), Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy
    Labels, arXiv:1805.07836.
    """
    return (
        (input, target, None, weight, sample_weight),
        (q, ignore_index, reduction, label_smoothing, axis, empty),
    )


_ENTROPY_ROW = Row(
    "EntropyLoss",
    {"input": REAL},
    {"from_logits": FLAG},
    kinks="a probability of 0: slope 0",
    also=("Shannon entropy", "entropy minimisation", "confidence penalty"),
    transcendental=True,
)


def _entropy(from_logits: Any, axis: Any, reduction: str, empty: str) -> RowProblem:
    options = {"from_logits": from_logits, "axis": axis, "reduction": reduction, "empty": empty}
    FLAG.check("entropy_loss", "from_logits", from_logits)
    style = _ENTROPY if from_logits else replace(_ENTROPY, formula="entropy_of_probabilities", softmax=0, tops=0)
    return RowProblem(style, options)


@loss(_entropy, _ENTROPY_ROW, names=("input", "", "", "", "sample_weight"))
def entropy_loss(
    input: Any,
    from_logits: bool = True,
    axis: int | None = None,
    *,
    reduction: str = "mean",
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Entropy of the predicted distribution, in nats: minimised it makes predictions confident.

    .. math:: \ell_n = -\sum_c p_{nc} \log p_{nc}, \qquad p_{nc} = e^{x_{nc}} / \sum_k e^{x_{nk}}

    or, without ``from_logits``, p is the input itself.

    Args:
        input: logits x, or probabilities p (not checked, nor that they add up to 1), of shape ``(C)``, ``(N, C)`` or
            ``(N, C, d1, ...)``.
        from_logits: whether ``input`` holds logits.
        axis: the class axis; by default 1, or 0 for an input of one dimension.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of distributions.
        sample_weight: broadcastable to the unreduced loss, which it multiplies; the mean then divides by its sum.
        empty: the mean over nothing: ``"nan"`` or ``"zero"``.

    Returns:
        The loss: a scalar, or an array of the input's shape without the class axis for ``"none"``. The gradient
        exists for ``input``; by a probability of 0, given as such, it is 0 (in the limit it is infinite).

    Raises:
        ValueError: an option out of range. TypeError: a dtype that is not floating.

    0 log 0 is 0, and so is the gradient by a logit of -inf. A logit of +inf, a row of -inf and a negative probability
    give NaN.

    >>> import numpy as np, fastloss as fl
    >>> round(float(fl.entropy_loss(np.zeros((1, 2)))), 6)  # log 2
    0.693147
    >>> float(fl.entropy_loss(np.array([[0.0, 1.0, 0.0]]), from_logits=False))
    0.0

    Source: Shannon (1948), A Mathematical Theory of Communication; as a loss: Grandvalet and Bengio (2004),
    Semi-supervised Learning by Entropy Minimization.
    """
    return (input, None, None, None, sample_weight), (from_logits, axis, reduction, empty)


_ENTROPY = style_of(entropy_loss, "entropy", _ENTROPY_ROW, ("input", "", "", "", "sample_weight"), tops=1, softmax=1)


def _temperatures(temperature: float) -> tuple[float, ...]:
    return 1.0 / float(temperature), float(temperature)


@rowwise(
    "kl_with_logits",
    Row(
        "KLDivWithLogitsLoss",
        {"student": REAL, "teacher": REAL},
        {"temperature": Interval(0.0, math.inf, "both")},
        also=("knowledge distillation", "distillation loss", "relative entropy"),
        transcendental=True,
    ),
    names=("student", "teacher", "", "", "sample_weight"),
    dense=("student", "teacher"),
    sums=4,
    tops=2,
    axis="class",
    numbers=_temperatures,
    default=("student",),
)
def kl_div_with_logits(
    student: Any,
    teacher: Any,
    temperature: float = 1.0,
    *,
    reduction: str = "mean",
    axis: int | None = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Divergence of a student's softmax from a teacher's, from the logits of both: knowledge distillation.

    .. math:: \ell_n = T^2 \sum_c p_{nc} \log \frac{p_{nc}}{q_{nc}}, \qquad
        p = \operatorname{softmax}(\text{teacher} / T), \quad q = \operatorname{softmax}(\text{student} / T)

    The factor :math:`T^2` keeps the size of the gradient as the temperature changes, as Hinton et al. advise and
    common implementations do.

    Args:
        student: logits of shape ``(C)``, ``(N, C)`` or ``(N, C, d1, ...)``.
        teacher: logits, broadcastable with the student's.
        temperature: T > 0.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of distributions, which
            :func:`kl_div` calls ``"batchmean"`` where there is one axis of them.
        axis: the class axis; by default 1, or 0 for an input of one dimension.
        sample_weight: broadcastable to the unreduced loss, which it multiplies; the mean then divides by its sum.
        empty: the mean over nothing: ``"nan"`` or ``"zero"``.

    Returns:
        The loss: a scalar, or an array of the shape without the class axis for ``"none"``. Gradients exist for
        ``student`` (the default) and ``teacher``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    At least 0, and exactly 0 for equal logits; no digits are lost as the two approach each other. It is not
    symmetric: classes that the teacher rules out (a logit of -inf) count nothing, classes that only the student rules
    out cost infinity. A logit of +inf, or a row of -inf, gives NaN.

    >>> import numpy as np, fastloss as fl
    >>> teacher = np.log(np.array([[0.5, 0.25, 0.25]]))
    >>> round(float(fl.kl_div_with_logits(np.zeros((1, 3)), teacher)), 6)  # log 3 - 1.5 log 2
    0.058892

    Source: Hinton, Vinyals and Dean (2015), Distilling the Knowledge in a Neural Network, arXiv:1503.02531; Kullback
    and Leibler (1951), On Information and Sufficiency.
    """
    return (student, teacher, None, None, sample_weight), (temperature, reduction, axis, empty)
