"""Divergences of probability distributions, element by element: the sum over classes is one distribution's."""

from __future__ import annotations

from typing import Any

from fastloss import _errors
from fastloss._catalogue import FLAG, Distribution, Row
from fastloss._elementwise import elementwise
from fastloss._loss import Arguments

__all__ = ["js_div", "kl_div", "tv_div"]

REDUCTIONS = (*_errors.REDUCTIONS, "batchmean")


@elementwise(
    "kl",
    Row(
        "KLDivLoss",
        {"input": Distribution(log=True), "target": Distribution()},
        parameters={"log_target": FLAG},
        also=("Kullback-Leibler divergence", "relative entropy"),
        transcendental=True,
    ),
    shapes="broadcast",
    reductions=REDUCTIONS,
)
def kl_div(
    input: Any,
    target: Any,
    *,
    reduction: str = "mean",
    log_target: bool = False,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Kullback-Leibler divergence of a distribution p from the target q.

    .. math:: \ell_i = w_i\, q_i (\log q_i - \log p_i)

    Args:
        input: log-probabilities :math:`\log p`, of any shape (not checked).
        target: probabilities q, or their logarithms, broadcastable with the input (not checked).
        reduction: ``"none"``, ``"sum"``, ``"batchmean"``: the sum divided by the length of the input's first axis, or
            ``"mean"``: divided by the number of elements, which is not the divergence of the distributions, nor the
            mean of it over the batch (as in PyTorch).
        log_target: whether the target holds logarithms too.
        sample_weight: w, broadcastable to the loss; ``"mean"`` then divides by the sum of the weights, ``"batchmean"``
            does not.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    An element of q = 0 costs 0 and has gradients of 0, whatever its log p is: PyTorch gives NaN for log p = -inf, and
    for the gradient by any such target. Where q > 0 meets log p = -inf, the loss is infinite. A negative
    q gives NaN. The divergence is not symmetric: the target comes first in KL(q, p).

    >>> import numpy as np, fastloss as fl
    >>> p, q = np.array([[0.5, 0.25, 0.25]]), np.array([[0.5, 0.5, 0.0]])
    >>> round(float(fl.kl_div(np.log(p), q, reduction="batchmean")), 6)
    0.346574

    Source: Kullback and Leibler (1951), On Information and Sufficiency; meaning of ``torch.nn.functional.kl_div``
    (which warns of its default reduction).
    """
    return ((input, target, None, None, sample_weight), (reduction, log_target, empty))


@elementwise(
    "js",
    Row(
        "JSDivLoss",
        {"input": Distribution(log=True), "target": Distribution()},
        parameters={"log_target": FLAG},
        also=("Jensen-Shannon divergence",),
        transcendental=True,
    ),
    shapes="broadcast",
    reductions=REDUCTIONS,
)
def js_div(
    input: Any,
    target: Any,
    *,
    reduction: str = "mean",
    log_target: bool = False,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Jensen-Shannon divergence of two distributions: half the divergence of each from their mixture.

    .. math:: \ell_i = \frac{w_i}{2} \left(p_i \log\frac{p_i}{m_i} + q_i \log\frac{q_i}{m_i}\right), \quad
        m_i = (p_i + q_i) / 2

    Args:
        input: log-probabilities :math:`\log p`, of any shape (not checked).
        target: probabilities q, or their logarithms, broadcastable with the input (not checked).
        reduction: ``"none"``, ``"sum"``, ``"batchmean"``: the sum divided by the length of the input's first axis, or
            ``"mean"``: divided by the number of elements, which is not the divergence of the distributions, nor the
            mean of it over the batch (as in PyTorch).
        log_target: whether the target holds logarithms too.
        sample_weight: w, broadcastable to the loss; ``"mean"`` then divides by the sum of the weights, ``"batchmean"``
            does not.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    Symmetric, and at most log 2 for two distributions (the natural logarithm). The two terms cancel where p is near q;
    the formula used does not, nor does it overflow, but p = exp(log p) is rounded before q is taken from it. A
    probability of 0 has a gradient of 0. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> p, q = np.array([[0.5, 0.5, 0.0]]), np.array([[0.0, 0.5, 0.5]])
    >>> with np.errstate(divide="ignore"):
    ...     log_p = np.log(p)
    >>> round(float(fl.js_div(log_p, q, reduction="batchmean")), 6)  # half of log 2
    0.346574

    Source: Lin (1991), Divergence Measures Based on the Shannon Entropy.
    """
    return ((input, target, None, None, sample_weight), (reduction, log_target, empty))


@elementwise(
    "tv",
    Row(
        "TVDivLoss",
        {"input": Distribution(log=True), "target": Distribution()},
        parameters={"log_target": FLAG},
        kinks="p = q: slope 0",
        also=("total variation distance",),
        transcendental=True,
    ),
    shapes="broadcast",
    reductions=REDUCTIONS,
)
def tv_div(
    input: Any,
    target: Any,
    *,
    reduction: str = "mean",
    log_target: bool = False,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Total variation distance of two distributions: the most that they disagree about any event.

    .. math:: \ell_i = \frac{w_i}{2} \left|p_i - q_i\right|

    Args:
        input: log-probabilities :math:`\log p`, of any shape (not checked).
        target: probabilities q, or their logarithms, broadcastable with the input (not checked).
        reduction: ``"none"``, ``"sum"``, ``"batchmean"``: the sum divided by the length of the input's first axis, or
            ``"mean"``: divided by the number of elements, which is not the divergence of the distributions, nor the
            mean of it over the batch (as in PyTorch).
        log_target: whether the target holds logarithms too.
        sample_weight: w, broadcastable to the loss; ``"mean"`` then divides by the sum of the weights, ``"batchmean"``
            does not.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    Symmetric, and at most 1 for two distributions. At the kink p = q both slopes are 0. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> p, q = np.array([[0.5, 0.25, 0.25]]), np.array([[0.5, 0.5, 0.0]])
    >>> round(float(fl.tv_div(np.log(p), q, reduction="batchmean")), 6)
    0.25

    Source: Levin, Peres and Wilmer (2009), Markov Chains and Mixing Times, section 4.1.
    """
    return ((input, target, None, None, sample_weight), (reduction, log_target, empty))
