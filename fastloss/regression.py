"""Losses of regression."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from fastloss._catalogue import FLAG, NON_NEGATIVE, POSITIVE, REAL, UNIT, Interval, Row
from fastloss._elementwise import elementwise
from fastloss._loss import Arguments

__all__ = [
    "cauchy_loss",
    "charbonnier_loss",
    "gamma_nll_loss",
    "gaussian_nll_loss",
    "geman_mcclure_loss",
    "huber_loss",
    "l1_loss",
    "log_cosh_loss",
    "mape_loss",
    "mse_loss",
    "msle_loss",
    "poisson_nll_loss",
    "quantile_loss",
    "smooth_l1_loss",
    "tweedie_loss",
    "welsch_loss",
]


@elementwise(
    "l1",
    Row(
        "L1Loss",
        {"input": REAL, "target": REAL},
        kinks="x = y: 0",
        denominator="weights",
        also=("mae", "mean absolute error", "absolute error", "L1 norm", "least absolute deviations"),
    ),
)
def l1_loss(
    input: Any,
    target: Any,
    *,
    reduction: str = "mean",
    weight: Any = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Absolute error: its mean is the MAE, its sum the L1 norm of the difference.

    .. math:: \ell_i = w_i |x_i - y_i|

    Args:
        input: predictions x, of any shape.
        target: y, of the same shape (other shapes broadcast, with a warning as in PyTorch).
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements, or by the sum of the
            weights where there are weights (as in PyTorch).
        weight: w, broadcastable to the loss (PyTorch wants it of the input's shape).
        sample_weight: multiplies ``weight``; the mean divides by the sum of the products.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    The slope at x = y is 0, as in PyTorch. NaN propagates, to the gradient too (PyTorch's slope is 0 there).

    >>> import numpy as np, fastloss as fl
    >>> float(fl.l1_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    1.0

    Source: Boscovich (1757); meaning and defaults of ``torch.nn.functional.l1_loss``.
    """
    return ((input, target, None, weight, sample_weight), (reduction, empty))


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


@elementwise(
    "smooth_l1",
    Row(
        "SmoothL1Loss",
        {"input": REAL, "target": REAL},
        {"beta": NON_NEGATIVE},
        kinks="x = y where beta = 0: 0",
        also=("smooth l1", "fast r-cnn loss"),
    ),
)
def smooth_l1_loss(
    input: Any,
    target: Any,
    *,
    reduction: str = "mean",
    beta: float = 1.0,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Squared error up to ``beta``, absolute error beyond it, with slopes of at most 1.

    .. math:: \ell_i = w_i \begin{cases} (x_i - y_i)^2 / (2 \beta) & |x_i - y_i| < \beta \\
        |x_i - y_i| - \beta / 2 & \text{otherwise} \end{cases}

    Args:
        input: predictions x, of any shape.
        target: y, of the same shape (other shapes broadcast, with a warning as in PyTorch).
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements, or by the sum of the
            sample weights.
        beta: the error at which the square ends, >= 0; 0 gives :func:`l1_loss`.
        sample_weight: w, broadcastable to the loss.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    :func:`huber_loss` with ``delta=beta`` is ``beta`` times this loss. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.smooth_l1_loss(np.array([0.5, 3.0]), np.array([0.0, 0.0]), reduction="sum"))
    2.625

    Source: Girshick (2015), Fast R-CNN; meaning and defaults of ``torch.nn.functional.smooth_l1_loss``.
    """
    return ((input, target, None, None, sample_weight), (reduction, beta, empty))


@elementwise(
    "huber",
    Row("HuberLoss", {"input": REAL, "target": REAL}, {"delta": POSITIVE}, also=("huber", "robust regression")),
)
def huber_loss(
    input: Any,
    target: Any,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Any = None,
    *,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Half the squared error up to ``delta``, ``delta`` times the absolute error beyond it.

    .. math:: \ell_i = w_i \begin{cases} (x_i - y_i)^2 / 2 & |x_i - y_i| \le \delta \\
        \delta (|x_i - y_i| - \delta / 2) & \text{otherwise} \end{cases}

    Args:
        input: predictions x, of any shape.
        target: y, of the same shape (other shapes broadcast, with a warning as in PyTorch).
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements whatever ``weight`` is (as in
            PyTorch, where the weighted means of l1_loss and mse_loss divide by the sum of the weights).
        delta: the error at which the square ends, > 0.
        weight: w, broadcastable to the loss (PyTorch wants it of the input's shape).
        sample_weight: multiplies ``weight``; the mean then divides by the sum of the products.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    :func:`smooth_l1_loss` with ``beta=delta`` is this loss over ``delta``. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.huber_loss(np.array([0.5, 3.0]), np.array([0.0, 0.0]), "sum"))
    2.625

    Source: Huber (1964), Robust Estimation of a Location Parameter; meaning and defaults of
    ``torch.nn.functional.huber_loss``.
    """
    return ((input, target, None, weight, sample_weight), (reduction, delta, empty))


@elementwise(
    "log_cosh",
    Row("LogCoshLoss", {"input": REAL, "target": REAL}, also=("logcosh", "log-cosh"), transcendental=True),
)
def log_cosh_loss(
    input: Any,
    target: Any,
    *,
    reduction: str = "mean",
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Logarithm of the hyperbolic cosine of the error: half its square near 0, its size less log 2 far out.

    .. math:: \ell_i = w_i \log \cosh(x_i - y_i)

    Args:
        input: predictions x, of any shape.
        target: y, of the same shape (other shapes broadcast, with a warning).
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements, or by the sum of the
            sample weights.
        sample_weight: w, broadcastable to the loss.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    It does not overflow and keeps its digits near 0. The slope is tanh(x - y): 1 of an infinite error. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> round(float(fl.log_cosh_loss(np.array([1.0, 1000.0]), np.zeros(2), reduction="sum")), 6)
    999.740634

    Source: Green (1990), Bayesian Reconstructions from Emission Tomography Data Using a Modified EM Algorithm.
    """
    return ((input, target, None, None, sample_weight), (reduction, empty))


@elementwise(
    "quantile",
    Row(
        "QuantileLoss",
        {"input": REAL, "target": REAL},
        {"quantile": UNIT},
        kinks="x = y: 0.5 - quantile",
        also=("pinball", "pinball loss", "check loss", "tilted absolute error"),
    ),
    numbers=lambda quantile: (quantile, 1.0 - quantile),
)
def quantile_loss(
    input: Any,
    target: Any,
    *,
    reduction: str = "mean",
    quantile: float = 0.5,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Pinball loss, whose expectation is least at a quantile of the target.

    .. math:: \ell_i = w_i \max(q (y_i - x_i), (q - 1)(y_i - x_i))

    Args:
        input: predictions x, of any shape.
        target: y, of the same shape (other shapes broadcast, with a warning).
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements, or by the sum of the
            sample weights.
        quantile: q in [0, 1]; 0.5 gives half the absolute error, whose minimum is the median.
        sample_weight: w, broadcastable to the loss.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    The slope at x = y is the middle of those on either side, 0.5 - q, as of PyTorch's ``maximum``; scikit-learn takes
    -q. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.quantile_loss(np.array([1.0, 3.0]), np.array([2.0, 2.0]), quantile=0.75, reduction="sum"))
    1.0

    Source: Koenker and Bassett (1978), Regression Quantiles.
    """
    return ((input, target, None, None, sample_weight), (reduction, quantile, empty))


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


@elementwise(
    "mape",
    Row(
        "MAPELoss",
        {"input": REAL, "target": REAL},
        {"eps": POSITIVE},
        kinks="x = y: 0; |y| = eps: that of |y| > eps by y",
        also=("mape", "mean absolute percentage error", "relative error"),
    ),
)
def mape_loss(
    input: Any,
    target: Any,
    *,
    reduction: str = "mean",
    eps: float = 1e-7,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Absolute error over the size of the target, as a fraction.

    .. math:: \ell_i = w_i \frac{|x_i - y_i|}{\max(|y_i|, \epsilon)}

    Args:
        input: predictions x, of any shape.
        target: y, of the same shape (other shapes broadcast, with a warning).
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements, or by the sum of the
            sample weights.
        eps: the least denominator, > 0 (Keras's default; scikit-learn has 2.2e-16).
        sample_weight: w, broadcastable to the loss.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    A fraction, as in scikit-learn; Keras's loss is 100 times as large. The slope by the input at x = y is 0. NaN
    propagates.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.mape_loss(np.array([1.5, 2.0]), np.array([1.0, 4.0])))
    0.5

    Source: meaning of ``sklearn.metrics.mean_absolute_percentage_error``.
    """
    return ((input, target, None, None, sample_weight), (reduction, eps, empty))


@elementwise(
    "msle",
    Row(
        "MSLELoss",
        {"input": Interval(-1.0, float("inf"), "low"), "target": Interval(-1.0, float("inf"), "low")},
        also=("msle", "mean squared logarithmic error"),
        transcendental=True,
    ),
)
def msle_loss(
    input: Any,
    target: Any,
    *,
    reduction: str = "mean",
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Squared error of logarithms: of growth rates, rather than sizes.

    .. math:: \ell_i = w_i \left(\log(1 + x_i) - \log(1 + y_i)\right)^2

    Args:
        input: predictions x > -1 (not checked), of any shape.
        target: y > -1 (not checked), of the same shape (other shapes broadcast, with a warning).
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements, or by the sum of the
            sample weights.
        sample_weight: w, broadcastable to the loss.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    Numbers close to each other keep their digits. One of -1 costs infinity, two of them or anything less NaN. (Keras
    takes negative numbers for 0.) NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> round(float(fl.msle_loss(np.array([0.0, 3.0]), np.array([0.0, 1.0]), reduction="sum")), 6)
    0.480453

    Source: meaning of ``sklearn.metrics.mean_squared_log_error``.
    """
    return ((input, target, None, None, sample_weight), (reduction, empty))


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
        eps: the loss of no error, > 0; the slope is within 1% of 1 from errors of 7 eps on.
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
