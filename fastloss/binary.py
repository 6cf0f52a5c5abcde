"""Losses of binary and multi-label classification."""

from __future__ import annotations

from typing import Any

from fastloss import _errors
from fastloss._catalogue import NON_NEGATIVE, REAL, UNIT, Interval, Row
from fastloss._elementwise import elementwise
from fastloss._loss import Arguments

__all__ = [
    "asymmetric_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "self_information",
    "sigmoid_focal_loss",
]

#: Exponents that are products; others need a power, which costs several times as much.
WHOLE_POWERS = 4


@elementwise(
    "bce",
    Row(
        "BCELoss",
        {"input": UNIT, "target": UNIT},
        also=("log loss", "binary cross-entropy"),
        transcendental=True,
    ),
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
    Row(
        "BCEWithLogitsLoss",
        {"input": REAL, "target": UNIT},
        also=("sigmoid cross-entropy", "log loss"),
        transcendental=True,
    ),
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


def _whole(exponent: Any) -> int:
    """The exponent where it is a small whole number, else -1."""
    return int(exponent) if exponent in range(WHOLE_POWERS + 1) else -1


class _Alpha(Interval):
    """[0, 1], or -1 for none."""

    def __str__(self) -> str:
        return "[0, 1], or -1"

    def check(self, loss: str, argument: str, value: Any) -> float:
        number = super().check(loss, argument, value)
        if -1.0 < number < 0.0:
            raise ValueError(_errors.wrong(loss, argument, repr(value), f"a number in {self}"))
        return number


@elementwise(
    "sigmoid_focal",
    Row(
        "SigmoidFocalLoss",
        {"input": REAL, "target": UNIT},
        parameters={"alpha": _Alpha(-1.0, 1.0), "gamma": NON_NEGATIVE},
        also=("focal loss", "RetinaNet loss"),
        transcendental=True,
    ),
    shapes="same",
    specialise=lambda options: {"WHOLE": _whole(options["gamma"])},
)
def sigmoid_focal_loss(
    input: Any,
    target: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    reduction: str = "none",
    *,
    label_smoothing: float = 0.0,
    ignore_index: float | None = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Focal loss of a binary event from logits: cross-entropy that fades where the answer is already right.

    .. math:: \ell_i = w_i\, \alpha_i (1 - p_{t,i})^\gamma
        \left(y_i \log(1 + e^{-x_i}) + (1 - y_i) \log(1 + e^{x_i})\right)

    with :math:`p = \sigma(x)`, :math:`p_t = p\, y + (1 - p)(1 - y)` and
    :math:`\alpha_i = \alpha y + (1 - \alpha)(1 - y)`.

    Args:
        input: logits x, of any shape.
        target: y, usually 0 or 1 (not checked), of the same shape; integers and bools are allowed.
        alpha: the weight of the positive examples, in [0, 1]; the negative ones weigh 1 - alpha. -1 for no weights.
        gamma: how fast right answers fade, >= 0. 0, 1, 2, 3 and 4 are fastest.
        reduction: ``"none"`` (the default, as in torchvision), ``"sum"``, or ``"mean"``: divided by the number of
            elements that count.
        label_smoothing: e in [0, 1]: y becomes (1 - e) y + e / 2.
        ignore_index: elements whose target equals this contribute nothing, to the mean's denominator either.
        sample_weight: w, broadcastable to the loss; the mean then divides by the sum of the weights.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that differ, an option out of range. TypeError: a dtype that is not floating.

    Conventions differ. torchvision's ``alpha``, taken here, balances: the default of 0.25 weighs positive examples by a
    quarter and negative ones by three quarters. Elsewhere (the softmax focal loss among them) alpha is one factor of
    all, or one for each class. Of a label between 0 and 1, :math:`p_t` and :math:`\alpha_i` are the averages above and
    not, as in the quality focal loss, a distance of y and p. With ``gamma=0, alpha=-1`` this is
    :func:`binary_cross_entropy_with_logits`.

    Confident logits keep their relative accuracy: 1 - p_t is never taken as a difference. An infinite logit on the side
    of its target costs 0, on the other side infinity. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> loss = fl.sigmoid_focal_loss(np.array([0.0, 20.0]), np.array([1.0, 1.0]))
    >>> round(float(loss[0]), 6), round(float(loss[1] * 1e27), 6)
    (0.043322, 2.189128)

    Source: Lin et al. (2017), Focal Loss for Dense Object Detection, arXiv:1708.02002; meaning of
    ``torchvision.ops.sigmoid_focal_loss``.
    """
    return (
        (input, target, None, None, sample_weight),
        (alpha, gamma, reduction, label_smoothing, ignore_index, empty),
    )


@elementwise(
    "asymmetric",
    Row(
        "AsymmetricLoss",
        {"input": REAL, "target": UNIT},
        parameters={"gamma_neg": NON_NEGATIVE, "gamma_pos": NON_NEGATIVE, "clip": UNIT},
        kinks="p = clip for y < 1, if gamma_neg = 0: the slope above it",
        also=("ASL", "multi-label focal loss"),
        transcendental=True,
    ),
    shapes="same",
    specialise=lambda options: {
        "WHOLE_NEG": _whole(options["gamma_neg"]),
        "WHOLE_POS": _whole(options["gamma_pos"]),
        "CLIPPED": options["clip"] > 0,
    },
)
def asymmetric_loss(
    input: Any,
    target: Any,
    *,
    gamma_neg: float = 4.0,
    gamma_pos: float = 1.0,
    clip: float = 0.05,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    ignore_index: float | None = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Asymmetric loss of multi-label classification: easy negatives fade faster than positives, and then vanish.

    .. math:: \ell_i = -w_i \left(y_i (1 - p_i)^{\gamma_+} \log p_i
        + (1 - y_i)\, m_i^{\gamma_-} \log(1 - m_i)\right), \quad m_i = \max(p_i - c, 0)

    with :math:`p = \sigma(x)`.

    Args:
        input: logits x, of any shape.
        target: y, usually 0 or 1 (not checked), of the same shape; integers and bools are allowed.
        gamma_neg: how fast right negatives fade, >= 0. 0, 1, 2, 3 and 4 are fastest, of both exponents.
        gamma_pos: how fast right positives fade, >= 0.
        clip: c in [0, 1]: the probability up to which a negative costs nothing.
        reduction: ``"none"``, ``"sum"`` (what the authors' code does), or ``"mean"``: divided by the number of elements
            that count.
        label_smoothing: e in [0, 1]: y becomes (1 - e) y + e / 2.
        ignore_index: elements whose target equals this (-1 for an unknown label, say) contribute nothing, to the mean's
            denominator either.
        sample_weight: w, broadcastable to the loss; the mean then divides by the sum of the weights.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that differ, an option out of range. TypeError: a dtype that is not floating.

    The gradient is the derivative of the formula. The authors' code has an option, without effect by default, that
    takes the focal factors as constants in the backward pass, which gives another one. A label between 0 and 1 mixes
    the two parts, where theirs takes averages of probability and exponent; and no logarithm is clamped, where they stop
    at log 1e-8.

    An infinite logit costs infinity where y = 1 and x = -inf, and for ``clip=0`` where y = 0 and x = inf; elsewhere the
    loss is finite. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> loss = fl.asymmetric_loss(np.array([0.0, 0.0, -3.0]), np.array([1.0, 0.0, 0.0]), reduction="none")
    >>> [round(float(x), 6) for x in loss]
    [0.346574, 0.024515, 0.0]

    Source: Ridnik et al. (2021), Asymmetric Loss for Multi-Label Classification, arXiv:2009.14119.
    """
    return (
        (input, target, None, None, sample_weight),
        (gamma_neg, gamma_pos, clip, reduction, label_smoothing, ignore_index, empty),
    )


@elementwise(
    "self_information",
    Row("SelfInformationLoss", {"input": UNIT}, also=("surprisal", "information content"), transcendental=True),
    names=("input", "", "", "", "sample_weight"),
    differentiable=("input",),
    checked={"input": False},
)
def self_information(
    input: Any,
    *,
    reduction: str = "mean",
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Information of an event of probability p, in nats; divide by log 2 for bits.

    .. math:: \ell_i = -w_i \log p_i

    Args:
        input: probabilities p in [0, 1], of any shape.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements.
        sample_weight: w, broadcastable to the loss; the mean then divides by the sum of the weights.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The information: a scalar, or an array for ``"none"``. A gradient exists for ``input``.

    Raises:
        ValueError: an input outside [0, 1], an option out of range. TypeError: a dtype that is not floating.

    An impossible event has infinite information, and a gradient of minus infinity. NaN propagates. Of
    log-probabilities it is their negative, and needs no function.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.self_information(np.array([0.5, 0.25]), reduction="sum") / np.log(2))
    3.0

    Source: Shannon (1948), A Mathematical Theory of Communication.
    """
    return ((input, None, None, None, sample_weight), (reduction, empty))
