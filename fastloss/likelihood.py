"""Losses of regression that are negative log-likelihoods of what is predicted: counts, rates, positive amounts."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from fastloss._catalogue import FLAG, NON_NEGATIVE, POSITIVE, REAL, Interval, Row
from fastloss._elementwise import elementwise
from fastloss._loss import Arguments

__all__ = [
    "gamma_nll_loss",
    "gaussian_nll_loss",
    "poisson_nll_loss",
    "tweedie_loss",
]


@elementwise(
    "poisson",
    Row(
        "PoissonNLLLoss",
        {"input": REAL, "target": NON_NEGATIVE},
        {"log_input": FLAG, "full": FLAG, "eps": NON_NEGATIVE},
        also=("poisson regression", "poisson deviance"),
        transcendental=True,
    ),
    shapes="broadcast",
)
def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    *,
    reduction: str = "mean",
    eps: float = 1e-8,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Negative log-likelihood of counts, of which the input is the rate or its logarithm.

    .. math:: \ell_i = w_i \begin{cases} e^{x_i} - y_i x_i & \text{log_input} \\
        x_i - y_i \log(x_i + \epsilon) & \text{otherwise} \end{cases}

    Args:
        input: x, of any shape: logarithms of rates, or rates >= 0 with ``log_input=False`` (not checked: the logarithm
            of a negative number is NaN).
        target: counts y >= 0 (not checked; other than integers are allowed), of the same shape or one that broadcasts.
        log_input: whether the input is the logarithm of the rate.
        full: whether to add Stirling's approximation of log(y!), y log y - y + log(2 pi y) / 2, where y > 1.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements, or by the sum of the
            sample weights.
        eps: added to a rate before its logarithm is taken, >= 0; not read with ``log_input=True``.
        sample_weight: w, broadcastable to the loss.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    A count of 0 takes nothing of an infinite logarithm: 0 x inf is 0, where PyTorch gives NaN; and a rate that
    overflows costs infinity, whatever the count. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> round(float(fl.poisson_nll_loss(np.array([0.0, 1.0]), np.array([0.0, 3.0]), reduction="sum")), 6)
    0.718282

    Source: Poisson (1837); meaning and defaults of ``torch.nn.functional.poisson_nll_loss``; scikit-learn's
    HalfPoissonLoss.
    """
    return ((input, target, None, None, sample_weight), (log_input, full, reduction, eps, empty))


def _variance_shape(shape: tuple[int, ...], own: tuple[int, ...]) -> tuple[int, ...]:
    """PyTorch's rule: one variance an element, one for all along an axis (which need not be written), or one number."""
    if own in (shape, ()):
        return own
    if own == shape[:-1]:
        return (*own, 1)
    if len(own) == len(shape) and [n for n, m in zip(own, shape, strict=True) if n != m] == [1]:
        return own
    raise ValueError(
        f"gaussian_nll_loss: var has shape {own}, expected {shape}, {shape} with one axis of length 1, or {shape[:-1]}"
    )


@elementwise(
    "gaussian",
    Row(
        "GaussianNLLLoss",
        {"input": REAL, "target": REAL, "var": NON_NEGATIVE},
        {"full": FLAG, "eps": NON_NEGATIVE},
        also=("heteroscedastic regression", "gaussian likelihood"),
        transcendental=True,
    ),
    names=("input", "target", "var", "", "sample_weight"),
    differentiable=("input", "target", "var"),
    shapes="broadcast",
    checked={"var": False},
    align=_variance_shape,
)
def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
    *,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Negative log-likelihood of numbers with a Gaussian distribution, of predicted mean and variance.

    .. math:: \ell_i = \frac{w_i}{2} \left(\log v_i + \frac{(x_i - y_i)^2}{v_i}\right),
        \quad v_i = \max(\text{var}_i, \epsilon)

    Args:
        input: means x, of any shape.
        target: y, of the same shape or one that broadcasts.
        var: variances >= 0: of the input's shape, with one axis of length 1, without the last axis, or one number.
        full: whether to add the constant log(2 pi) / 2.
        eps: the least variance, >= 0. The slope by a smaller variance is that of the formula at eps, not 0, as in
            PyTorch: so it can grow again.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements, or by the sum of the
            sample weights.
        sample_weight: w, broadcastable to the loss.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default), ``target`` and
        ``var``: ask for ``wrt=("input", "var")`` where both are predicted.

    Raises:
        ValueError: a negative variance, a ``var`` of another shape, an option out of range. TypeError: a dtype that is
        not floating.

    NaN propagates, from the variance too.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.gaussian_nll_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0]), np.array([1.0, 1.0])))
    1.0

    Source: Nix and Weigend (1994), Estimating the Mean and Variance of the Target Probability Distribution; meaning and
    defaults of ``torch.nn.functional.gaussian_nll_loss``.
    """
    return ((input, target, var, None, sample_weight), (full, eps, reduction, empty))


@elementwise(
    "gamma",
    Row(
        "GammaNLLLoss",
        {"input": REAL, "target": POSITIVE},
        {"log_input": FLAG},
        also=("gamma regression", "gamma deviance"),
        transcendental=True,
    ),
)
def gamma_nll_loss(
    input: Any,
    target: Any,
    *,
    log_input: bool = True,
    reduction: str = "mean",
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Negative log-likelihood of positive numbers with a gamma distribution, less what the input does not change.

    .. math:: \ell_i = w_i \begin{cases} x_i + y_i e^{-x_i} & \text{log_input} \\
        \log x_i + y_i / x_i & \text{otherwise} \end{cases}

    Args:
        input: x, of any shape: logarithms of means, or means > 0 with ``log_input=False`` (not checked: a negative mean
            gives NaN, and so does 0).
        target: y > 0 (not checked), of the same shape (other shapes broadcast, with a warning).
        log_input: whether the input is the logarithm of the mean.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements, or by the sum of the
            sample weights.
        sample_weight: w, broadcastable to the loss.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    The shape parameter is 1: other shapes multiply the loss. y exp(-x) overflows only where the product does, and a
    target of 0 takes nothing of an infinite exponential. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.gamma_nll_loss(np.array([0.0, 0.0]), np.array([1.0, 4.0])))
    2.5

    Source: McCullagh and Nelder (1989), Generalized Linear Models; scikit-learn's HalfGammaLoss.
    """
    return ((input, target, None, None, sample_weight), (log_input, reduction, empty))


def _tweedie_form(options: dict[str, Any]) -> dict[str, Any]:
    power, log_input = float(options["power"]), options["log_input"]
    forms = {0.0: "tweedie_squared", 1.0: "poisson", 2.0: "gamma"}
    if not log_input:
        forms = {0.0: "half_squared", 1.0: "poisson_deviance", 2.0: "gamma_deviance"}
    form = forms.get(power, "tweedie" if log_input else "tweedie_identity")
    return {"FORM": form, "FULL": False, "BETWEEN": 1.0 < power < 2.0}


def _tweedie_numbers(power: float, log_input: bool) -> tuple[float, ...]:
    """2 - p and 1 - p, each in two parts of which the first is of float32: an exponential magnifies what is rounded."""
    numbers: list[float] = []
    for exact in (2 - Fraction(power), 1 - Fraction(power)):
        high = float(np.float32(float(exact)))
        numbers += [high, float(exact - Fraction(high))]
    return tuple(numbers)


@elementwise(
    "{FORM}",
    Row(
        "TweedieLoss",
        {"input": REAL, "target": NON_NEGATIVE},
        {"power": Interval(-100.0, 100.0), "log_input": FLAG},
        also=("tweedie deviance", "compound poisson"),
        transcendental=True,
    ),
    specialise=_tweedie_form,
    numbers=_tweedie_numbers,
)
def tweedie_loss(
    input: Any,
    target: Any,
    *,
    power: float = 1.5,
    log_input: bool = True,
    reduction: str = "mean",
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Half the Tweedie deviance, for numbers whose variance is a power of their mean.

    .. math:: \ell_i = w_i \left(\frac{e^{(2 - p) x_i}}{2 - p} - y_i \frac{e^{(1 - p) x_i}}{1 - p}\right)

    With ``log_input=False`` x stands for :math:`e^x` and :math:`\max(y_i, 0)^{2 - p} / ((1 - p)(2 - p))` is added, so
    that the least loss is 0. For p = 0, 1 and 2 it is half the squared error, the Poisson and the gamma deviance.

    Args:
        input: x, of any shape: logarithms of means, or means > 0 with ``log_input=False`` (not checked).
        target: y, of the same shape (other shapes broadcast, with a warning): any number for p <= 0, y >= 0 for
            0 < p < 2, y > 0 for p >= 2 (not checked).
        power: p in [-100, 100]: 0 normal, 1 Poisson, between them no distribution, 1 to 2 compound Poisson (mass at 0),
            2 gamma, 3 inverse Gaussian.
        log_input: whether the input is the logarithm of the mean.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements, or by the sum of the
            sample weights.
        sample_weight: w, broadcastable to the loss.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    With ``log_input=True`` terms without x are dropped, other ones for p = 0 (none), 1 (:func:`poisson_nll_loss`) and
    2 (:func:`gamma_nll_loss`) than for their neighbours, so the loss jumps there: scikit-learn's convention. NaN
    propagates.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.tweedie_loss(np.array([0.0, 0.0]), np.array([0.0, 2.0])))
    4.0

    Source: Tweedie (1984); Jorgensen (1987), Exponential Dispersion Models; scikit-learn's HalfTweedieLoss and
    HalfTweedieLossIdentity.
    """
    return ((input, target, None, None, sample_weight), (power, log_input, reduction, empty))
