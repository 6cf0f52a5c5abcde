"""Losses of segmentation: how much two masks overlap."""

from __future__ import annotations

import math
from typing import Any

from fastloss import _errors, _overlap
from fastloss._catalogue import FLAG, NON_NEGATIVE, POSITIVE, UNIT, Domain, Indices, Row, Values
from fastloss._loss import Arguments, loss
from fastloss._plan import Operands, Runnable

_INT64 = 1 << 63
#: Of probabilities; a dense target is in [0, 1] too.
_DOMAIN: dict[str, Domain] = {"input": UNIT, "target": Indices()}
_CHOICES = {"mode": Values((None, *_overlap.MODES)), "from_logits": FLAG, "per_image": FLAG}


class OverlapProblem:
    """The options of a loss of this family."""

    plain_upstream = True
    has_statistics = True

    def __init__(
        self,
        name: str,
        numbers: tuple[float, float, float, float],
        mode: Any,
        from_logits: Any,
        axis: Any,
        per_image: Any,
        ignore_index: Any,
        reduction: str,
        empty: str,
    ) -> None:
        _errors.check_reduction(name, reduction)
        _errors.check_choice(name, "empty", empty, ("nan", "zero"))
        for argument, value in (("mode", mode), ("from_logits", from_logits), ("per_image", per_image)):
            _CHOICES[argument].check(name, argument, value)
        ignored = _errors.integer(name, "ignore_index", ignore_index)
        if not -_INT64 <= ignored < _INT64:
            raise ValueError(f"{name}: ignore_index is {ignored}, expected a 64-bit integer")
        self.reduction = reduction
        self.empty = empty
        alpha, beta, smooth, gamma = numbers
        self.settings = _overlap.Settings(
            loss=name,
            mode=mode,
            from_logits=bool(from_logits),
            axis=None if axis is None else _errors.integer(name, "axis", axis),
            per_image=bool(per_image),
            reduction=reduction,
            ignore_index=ignored,
            empty=empty,
            alpha=alpha,
            beta=beta,
            smooth=smooth,
            gamma=gamma,
        )

    def normalise(self, backend: Any, arrays: Operands) -> Operands:
        return _overlap.normalise(self.settings, backend, arrays)

    def loss_shape(self, operands: Operands) -> tuple[int, ...]:
        return _overlap.loss_shape(self.settings, tuple(operands[0].shape), tuple(operands[1].shape))

    def warning(self, operands: Operands) -> str | None:
        return None

    def build(
        self, backend: Any, operands: Operands, upstream: Any, flags: int, outs: tuple[Any, ...]
    ) -> Runnable | None:
        return _overlap.build(self.settings, backend, operands, upstream, flags, outs)


def _finite(name: str, argument: str, value: Any, *, above: bool = False) -> float:
    number = (POSITIVE if above else NON_NEGATIVE).check(name, argument, value)
    if number == math.inf:
        raise ValueError(_errors.wrong(name, argument, repr(value), "a finite number"))
    return number


def _dice(
    mode: Any,
    from_logits: Any,
    smooth: Any,
    axis: Any,
    per_image: Any,
    ignore_index: Any,
    reduction: str,
    empty: str,
) -> OverlapProblem:
    name = "dice_loss"
    # (2 I + s) / (P + T + s) is (I + s/2) / (I + F/2 + M/2 + s/2).
    numbers = (0.5, 0.5, _finite(name, "smooth", smooth) / 2, 1.0)
    return OverlapProblem(name, numbers, mode, from_logits, axis, per_image, ignore_index, reduction, empty)


def _jaccard(
    mode: Any,
    from_logits: Any,
    smooth: Any,
    axis: Any,
    per_image: Any,
    ignore_index: Any,
    reduction: str,
    empty: str,
) -> OverlapProblem:
    name = "jaccard_loss"
    numbers = (1.0, 1.0, _finite(name, "smooth", smooth), 1.0)
    return OverlapProblem(name, numbers, mode, from_logits, axis, per_image, ignore_index, reduction, empty)


def _tversky(
    alpha: Any,
    beta: Any,
    mode: Any,
    from_logits: Any,
    smooth: Any,
    axis: Any,
    per_image: Any,
    ignore_index: Any,
    reduction: str,
    empty: str,
) -> OverlapProblem:
    name = "tversky_loss"
    numbers = (_finite(name, "alpha", alpha), _finite(name, "beta", beta), _finite(name, "smooth", smooth), 1.0)
    return OverlapProblem(name, numbers, mode, from_logits, axis, per_image, ignore_index, reduction, empty)


def _focal_tversky(
    alpha: Any,
    beta: Any,
    gamma: Any,
    mode: Any,
    from_logits: Any,
    smooth: Any,
    axis: Any,
    per_image: Any,
    ignore_index: Any,
    reduction: str,
    empty: str,
) -> OverlapProblem:
    name = "focal_tversky_loss"
    numbers = (
        _finite(name, "alpha", alpha),
        _finite(name, "beta", beta),
        _finite(name, "smooth", smooth),
        _finite(name, "gamma", gamma, above=True),
    )
    return OverlapProblem(name, numbers, mode, from_logits, axis, per_image, ignore_index, reduction, empty)


@loss(
    _dice,
    Row(
        "DiceLoss",
        _DOMAIN,
        {"smooth": NON_NEGATIVE, **_CHOICES},
        denominator="class weights",
        also=("soft Dice", "Sorensen-Dice", "F1 loss", "overlap loss"),
        transcendental=True,
    ),
    differentiable=("input", "target"),
)
def dice_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    mode: str | None = None,
    from_logits: bool = False,
    smooth: float = 0.0,
    axis: int | None = None,
    per_image: bool = False,
    ignore_index: int = -100,
    reduction: str = "mean",
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""One minus the soft Dice coefficient of masks, class by class.

    .. math::
        \ell_c = 1 - \frac{2 I_c + s}{P_c + T_c + s}, \qquad
        I_c = \sum_i w_i\, p_{ic} t_{ic}, \quad P_c = \sum_i w_i\, p_{ic}, \quad T_c = \sum_i w_i\, t_{ic}

    The sums run over all positions i of the batch (of each image with ``per_image``). A class that is empty in input
    and target (0/0 without smoothing) is perfect: its loss and its gradient are 0, and it counts in the mean.

    Args:
        input: probabilities p, or logits with ``from_logits``. Masks of any shape, or classes along ``axis`` of
            ``(N, C)`` or ``(N, C, d1, ...)``.
        target: t: class indices of any integer dtype, of the input's shape without the class axis; or of the input's
            shape, in [0, 1]: masks, one-hot, soft or multi-label, of any dtype.
        weight: of shape ``(C)``: multiplies the loss of each class; the mean divides by the sum of the weights.
        mode: ``"binary"``: one mask, whatever its shape, so one loss. ``"multiclass"``: classes that exclude each
            other. ``"multilabel"``: a mask for each class. By default, class indices are multi-class, and a target of
            the input's shape is binary where there is one dimension or one class; else the mode must be given.
        from_logits: p is the softmax of the input along the class axis (multi-class), or its sigmoid.
        smooth: s >= 0.
        axis: the class axis; by default 1, or 0 for an input of one dimension.
        per_image: take the sums over each image (axis 0) alone, one loss for each image and class.
        ignore_index: positions with this label, or elements of a dense target that equal it, enter no sum.
        reduction: ``"mean"`` over classes (and images); ``"sum"``; or ``"none"``: shape ``()`` for a binary mask or
            ``(C)``, with ``per_image`` ``(N)`` or ``(N, C)``.
        sample_weight: w, a weight of each position, broadcastable to the input's shape without the class axis; it
            enters the sums, so a mask of zeros and ones chooses positions, and a common factor changes nothing.
        empty: the mean over nothing (no positions, or weights that add up to 0): ``"nan"``, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and a dense
        ``target``.

    Raises:
        IndexError: a class index outside [0, C) that is not ``ignore_index``. ValueError: shapes that do not fit, a
        mode that must be given, an option out of range. TypeError: an unsuitable dtype. NotImplementedError: a
        gradient for a weight or for class indices.

    Logits of any finite size give no overflow; +-inf is a probability of 0 or 1 for a sigmoid, and -inf one of 0 for a
    softmax, where +inf, or only -inf, gives NaN. NaN propagates unless it is ignored. Probabilities outside [0, 1] are
    not refused; the formula is applied to them.

    Conventions differ: MONAI and Keras add smoothing of 1e-5 or 1e-7 by default and average over images and classes;
    segmentation_models.pytorch sums over the batch as here, but gives a class that is absent from the target a loss
    of 0; some papers square p and t in the denominator.

    >>> import numpy as np, fastloss as fl
    >>> p, t = np.array([0.75, 0.5, 0.25, 0.0]), np.array([1, 1, 0, 0])
    >>> round(float(fl.dice_loss(p, t)), 6)
    0.285714
    >>> logits, labels = np.zeros((2, 3, 4, 4)), np.zeros((2, 4, 4), np.uint8)
    >>> fl.dice_loss(logits, labels, from_logits=True, reduction="none").round(3).tolist()
    [0.5, 1.0, 1.0]

    Source: Milletari, Navab and Ahmadi (2016), V-Net, arXiv:1606.04797; Dice (1945).
    """
    return (
        (input, target, None, weight, sample_weight),
        (mode, from_logits, smooth, axis, per_image, ignore_index, reduction, empty),
    )


@loss(
    _jaccard,
    Row(
        "JaccardLoss",
        _DOMAIN,
        {"smooth": NON_NEGATIVE, **_CHOICES},
        denominator="class weights",
        also=("soft IoU", "soft Jaccard", "intersection over union", "mask IoU"),
        transcendental=True,
    ),
    differentiable=("input", "target"),
)
def jaccard_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    mode: str | None = None,
    from_logits: bool = False,
    smooth: float = 0.0,
    axis: int | None = None,
    per_image: bool = False,
    ignore_index: int = -100,
    reduction: str = "mean",
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""One minus the soft intersection over union of masks, class by class.

    .. math:: \ell_c = 1 - \frac{I_c + s}{P_c + T_c - I_c + s}

    with the sums I, P and T of :func:`dice_loss`, whose arguments, modes, infinities and errors these are. Of the
    similarities D = 1 - ``dice_loss`` and J = 1 - ``jaccard_loss`` of one class, without smoothing, D = 2 J / (1 + J).
    For boxes see :func:`box_iou_loss`; the surrogate that bounds the IoU of hard masks is the Lovasz loss, not this.

    Args:
        input: probabilities, or logits with ``from_logits``.
        target: class indices, or a dense target of the input's shape.
        weight: of shape ``(C)``: multiplies the loss of each class; the mean divides by the sum of the weights.
        mode: ``"binary"``, ``"multiclass"`` or ``"multilabel"``; needed where the shapes leave it open.
        from_logits: take the softmax (multi-class) or sigmoid of the input.
        smooth: s >= 0. A class that is empty in input and target has a loss of 0, also for s = 0.
        axis: the class axis; by default 1, or 0 for an input of one dimension.
        per_image: one loss for each image (axis 0) and class.
        ignore_index: positions with this label, or elements of a dense target that equal it, enter no sum.
        reduction: ``"mean"`` over classes (and images), ``"sum"``, or ``"none"``.
        sample_weight: a weight of each position, which enters the sums.
        empty: the mean over nothing: ``"nan"``, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and a dense
        ``target``.

    Raises:
        As :func:`dice_loss`.

    >>> import numpy as np, fastloss as fl
    >>> p, t = np.array([0.75, 0.5, 0.25, 0.0]), np.array([1, 1, 0, 0])
    >>> round(float(fl.jaccard_loss(p, t)), 6)
    0.444444

    Source: Rahman and Wang (2016), Optimizing Intersection-over-Union in Deep Neural Networks for Image Segmentation.
    """
    return (
        (input, target, None, weight, sample_weight),
        (mode, from_logits, smooth, axis, per_image, ignore_index, reduction, empty),
    )


@loss(
    _tversky,
    Row(
        "TverskyLoss",
        _DOMAIN,
        {"alpha": NON_NEGATIVE, "beta": NON_NEGATIVE, "smooth": NON_NEGATIVE, **_CHOICES},
        denominator="class weights",
        also=("F-beta loss", "Tversky index"),
        transcendental=True,
    ),
    differentiable=("input", "target"),
)
def tversky_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    alpha: float = 0.5,
    beta: float = 0.5,
    mode: str | None = None,
    from_logits: bool = False,
    smooth: float = 0.0,
    axis: int | None = None,
    per_image: bool = False,
    ignore_index: int = -100,
    reduction: str = "mean",
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""One minus the Tversky index of masks: false positives and false negatives weighed apart.

    .. math:: \ell_c = 1 - \frac{I_c + s}{I_c + \alpha (P_c - I_c) + \beta (T_c - I_c) + s}

    with the sums I, P and T of :func:`dice_loss`, whose arguments, modes, infinities and errors these are. 1/2 and 1/2
    is the Dice loss, 1 and 1 the Jaccard loss; alpha + beta = 1 the F-score with beta\ :sup:`2` = beta / alpha.

    Args:
        input: probabilities, or logits with ``from_logits``.
        target: class indices, or a dense target of the input's shape.
        weight: of shape ``(C)``: multiplies the loss of each class; the mean divides by the sum of the weights.
        alpha: weight of the false positives, P - I; at least 0.
        beta: weight of the false negatives, T - I; at least 0. Salehi et al. find alpha 0.3, beta 0.7 best for small
            lesions.
        mode: ``"binary"``, ``"multiclass"`` or ``"multilabel"``; needed where the shapes leave it open.
        from_logits: take the softmax (multi-class) or sigmoid of the input.
        smooth: s >= 0. Where the denominator is 0, the loss is 0.
        axis: the class axis; by default 1, or 0 for an input of one dimension.
        per_image: one loss for each image (axis 0) and class.
        ignore_index: positions with this label, or elements of a dense target that equal it, enter no sum.
        reduction: ``"mean"`` over classes (and images), ``"sum"``, or ``"none"``.
        sample_weight: a weight of each position, which enters the sums.
        empty: the mean over nothing: ``"nan"``, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and a dense
        ``target``.

    Raises:
        As :func:`dice_loss`.

    >>> import numpy as np, fastloss as fl
    >>> p, t = np.array([0.75, 0.5, 0.25, 0.0]), np.array([1, 1, 0, 0])
    >>> round(float(fl.tversky_loss(p, t, alpha=0.3, beta=0.7)), 6)
    0.324324

    Source: Salehi, Erdogmus and Gholipour (2017), arXiv:1706.05721 (the same alpha and beta).
    """
    return (
        (input, target, None, weight, sample_weight),
        (alpha, beta, mode, from_logits, smooth, axis, per_image, ignore_index, reduction, empty),
    )


@loss(
    _focal_tversky,
    Row(
        "FocalTverskyLoss",
        _DOMAIN,
        {"alpha": NON_NEGATIVE, "beta": NON_NEGATIVE, "gamma": POSITIVE, "smooth": NON_NEGATIVE, **_CHOICES},
        kinks="gamma < 1: loss = 0, gradient 0",
        denominator="class weights",
        also=("focal Dice",),
        transcendental=True,
    ),
    differentiable=("input", "target"),
)
def focal_tversky_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    gamma: float = 0.75,
    mode: str | None = None,
    from_logits: bool = False,
    smooth: float = 0.0,
    axis: int | None = None,
    per_image: bool = False,
    ignore_index: int = -100,
    reduction: str = "mean",
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""The Tversky loss of each class to a power, so that hard classes weigh more or less.

    .. math:: \ell_c = \left(1 - \frac{I_c + s}{I_c + \alpha (P_c - I_c) + \beta (T_c - I_c) + s}\right)^\gamma

    with the sums I, P and T of :func:`dice_loss`, whose arguments, modes, infinities and errors these are. The
    exponent is gamma itself, as in most code. Abraham and Khan write 1 / gamma and take their gamma in [1, 3]: their
    4/3 is 0.75 here, which is the default, as are their weights (they call that of the false negatives alpha).

    Args:
        input: probabilities, or logits with ``from_logits``.
        target: class indices, or a dense target of the input's shape.
        weight: of shape ``(C)``: multiplies the loss of each class; the mean divides by the sum of the weights.
        alpha: weight of the false positives, P - I; at least 0.
        beta: weight of the false negatives, T - I; at least 0.
        gamma: the exponent, above 0. Below 1 the slope is infinite where the loss is 0; the gradient there is 0.
        mode: ``"binary"``, ``"multiclass"`` or ``"multilabel"``; needed where the shapes leave it open.
        from_logits: take the softmax (multi-class) or sigmoid of the input.
        smooth: s >= 0. Where the denominator is 0, the loss is 0.
        axis: the class axis; by default 1, or 0 for an input of one dimension.
        per_image: one loss for each image (axis 0) and class.
        ignore_index: positions with this label, or elements of a dense target that equal it, enter no sum.
        reduction: ``"mean"`` over classes (and images), ``"sum"``, or ``"none"``.
        sample_weight: a weight of each position, which enters the sums.
        empty: the mean over nothing: ``"nan"``, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and a dense
        ``target``.

    Raises:
        As :func:`dice_loss`.

    >>> import numpy as np, fastloss as fl
    >>> p, t = np.array([0.75, 0.5, 0.25, 0.0]), np.array([1, 1, 0, 0])
    >>> round(float(fl.focal_tversky_loss(p, t, gamma=2.0)), 6)
    0.105186

    Source: Abraham and Khan (2019), arXiv:1810.07842.
    """
    return (
        (input, target, None, weight, sample_weight),
        (alpha, beta, gamma, mode, from_logits, smooth, axis, per_image, ignore_index, reduction, empty),
    )


__all__ = ["dice_loss", "focal_tversky_loss", "jaccard_loss", "tversky_loss"]
