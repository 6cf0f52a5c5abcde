"""Losses of regression: functions of an error."""

from __future__ import annotations

from typing import Any

from fastloss._catalogue import NON_NEGATIVE, POSITIVE, REAL, UNIT, Interval, Row
from fastloss._elementwise import elementwise
from fastloss._loss import Arguments

__all__ = [
    "huber_loss",
    "l1_loss",
    "log_cosh_loss",
    "mape_loss",
    "mse_loss",
    "msle_loss",
    "quantile_loss",
    "smooth_l1_loss",
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
        also=("mse", "mean squared error", "squared error", "L2 norm", "quadratic loss"),
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
    Row(
        "HuberLoss",
        {"input": REAL, "target": REAL},
        {"delta": POSITIVE},
        also=("huber", "robust regression"),
        dtype_of_input=True,
    ),
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
