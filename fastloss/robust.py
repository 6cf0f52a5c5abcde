"""Losses of regression that outliers do not rule: smooth, and linear, logarithmic or bounded far out."""

from __future__ import annotations

from typing import Any

from fastloss._catalogue import POSITIVE, REAL, Row
from fastloss._elementwise import elementwise
from fastloss._loss import Arguments

__all__ = [
    "cauchy_loss",
    "charbonnier_loss",
    "geman_mcclure_loss",
    "welsch_loss",
]


@elementwise(
    "charbonnier",
    Row(
        "CharbonnierLoss",
        {"input": REAL, "target": REAL},
        {"eps": POSITIVE},
        also=("charbonnier", "pseudo-huber", "L1-L2 loss"),
    ),
)
def charbonnier_loss(
    input: Any,
    target: Any,
    *,
    reduction: str = "mean",
    eps: float = 1e-3,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Absolute error, rounded off at 0.

    .. math:: \ell_i = w_i \sqrt{(x_i - y_i)^2 + \epsilon^2}

    Args:
        input: predictions x, of any shape.
        target: y, of the same shape (other shapes broadcast, with a warning).
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements, or by the sum of the
            sample weights.
        eps: the loss of no error, > 0; the slope is within 1% of 1 from errors of 7.1 eps on.
        sample_weight: w, broadcastable to the loss.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    As in super-resolution, where eps is 0.001. kornia's is this loss with ``eps=1``, less 1; the pseudo-Huber loss of
    ``delta`` is ``delta`` times (this loss with ``eps=delta``, less ``delta``). The slope of an infinite error is 1.
    NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.charbonnier_loss(np.array([4.0]), np.array([0.0]), eps=3.0))
    5.0

    Source: Charbonnier et al. (1994), Two Deterministic Half-Quadratic Regularization Algorithms for Computed Imaging;
    Lai et al. (2017), Deep Laplacian Pyramid Networks.
    """
    return ((input, target, None, None, sample_weight), (reduction, eps, empty))


def _inverse(scale: float) -> tuple[float, ...]:
    return 1.0 / scale, 2.0**-10 / scale


@elementwise(
    "cauchy",
    Row(
        "CauchyLoss",
        {"input": REAL, "target": REAL},
        {"scale": POSITIVE},
        also=("cauchy", "lorentzian", "student t"),
        transcendental=True,
    ),
    numbers=_inverse,
)
def cauchy_loss(
    input: Any,
    target: Any,
    *,
    reduction: str = "mean",
    scale: float = 1.0,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Logarithm of one plus half the squared error: an outlier's pull falls with its distance.

    .. math:: \ell_i = w_i \log\left(1 + \frac{1}{2} \left(\frac{x_i - y_i}{c}\right)^2\right)

    Args:
        input: predictions x, of any shape.
        target: y, of the same shape (other shapes broadcast, with a warning).
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements, or by the sum of the
            sample weights.
        scale: c > 0, the error from which an element counts as an outlier: the slope is greatest at 1.4 c.
        sample_weight: w, broadcastable to the loss.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    With c = 1 as in kornia (general robust loss with alpha = 0); SciPy's is log(1 + u^2), without the half. An infinite
    error costs infinity and has a slope of 0. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> round(float(fl.cauchy_loss(np.array([2.0]), np.array([0.0]))), 6)
    1.098612

    Source: Black and Anandan (1996), The Robust Estimation of Multiple Motions; Barron (2019), A General and Adaptive
    Robust Loss Function.
    """
    return ((input, target, None, None, sample_weight), (reduction, scale, empty))


@elementwise(
    "welsch",
    Row(
        "WelschLoss",
        {"input": REAL, "target": REAL},
        {"scale": POSITIVE},
        also=("welsch", "leclerc", "correntropy"),
        transcendental=True,
    ),
    numbers=_inverse,
)
def welsch_loss(
    input: Any,
    target: Any,
    *,
    reduction: str = "mean",
    scale: float = 1.0,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Gaussian-shaped well: half the squared error near 0, 1 for every outlier.

    .. math:: \ell_i = w_i \left(1 - \exp\left(-\frac{1}{2} \left(\frac{x_i - y_i}{c}\right)^2\right)\right)

    Args:
        input: predictions x, of any shape.
        target: y, of the same shape (other shapes broadcast, with a warning).
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements, or by the sum of the
            sample weights.
        scale: c > 0, the error from which an element counts as an outlier: the slope is greatest at c.
        sample_weight: w, broadcastable to the loss.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    With c = 1 as in kornia (general robust loss, alpha to -inf); some multiply by c^2 / 2 or leave out the half. Its
    slope carries the rounding of x - y times ((x - y) / c)^2. An infinite error costs 1 and has a slope of 0. NaN
    propagates.

    >>> import numpy as np, fastloss as fl
    >>> round(float(fl.welsch_loss(np.array([1.0]), np.array([0.0]))), 6)
    0.393469

    Source: Dennis and Welsch (1978), Techniques for Nonlinear Least Squares and Robust Regression; Barron (2019), A
    General and Adaptive Robust Loss Function.
    """
    return ((input, target, None, None, sample_weight), (reduction, scale, empty))


@elementwise(
    "geman_mcclure",
    Row(
        "GemanMcClureLoss",
        {"input": REAL, "target": REAL},
        {"scale": POSITIVE},
        also=("geman-mcclure",),
    ),
    numbers=_inverse,
)
def geman_mcclure_loss(
    input: Any,
    target: Any,
    *,
    reduction: str = "mean",
    scale: float = 1.0,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Rational well: half the squared error near 0, at most 2.

    .. math:: \ell_i = w_i \frac{2 u_i^2}{u_i^2 + 4}, \quad u_i = \frac{x_i - y_i}{c}

    Args:
        input: predictions x, of any shape.
        target: y, of the same shape (other shapes broadcast, with a warning).
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements, or by the sum of the
            sample weights.
        scale: c > 0, the error from which an element counts as an outlier: the slope is greatest at 1.15 c.
        sample_weight: w, broadcastable to the loss.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    With c = 1 as in kornia (general robust loss with alpha = -2); others write u^2 / (1 + u^2), which is half of this
    loss with c = 1/2. An infinite error costs 2 and has a slope of 0. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.geman_mcclure_loss(np.array([2.0]), np.array([0.0])))
    1.0

    Source: Geman and McClure (1985), Bayesian Image Analysis; Barron (2019), A General and Adaptive Robust Loss
    Function.
    """
    return ((input, target, None, None, sample_weight), (reduction, scale, empty))
