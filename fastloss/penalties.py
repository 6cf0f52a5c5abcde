"""Penalties on the size of parameters: the regularisation term of an objective."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fastloss._catalogue import NON_NEGATIVE, REAL, UNIT, Row
from fastloss._elementwise import elementwise
from fastloss._loss import Arguments, Loss
from fastloss._terms import Term, named, sum_of_terms

__all__ = ["elastic_net_penalty", "l1_penalty", "l2_penalty"]

_DOMAIN = {"parameters": REAL}
_STRENGTH = {"strength": NON_NEGATIVE}
_L1 = Row("L1Penalty", _DOMAIN, _STRENGTH, kinks="x = 0: slope 0", also=("lasso",))
_L2 = Row("L2Penalty", _DOMAIN, _STRENGTH, also=("ridge", "weight decay", "Tikhonov regularisation"))
_ELASTIC_NET = Row("ElasticNetPenalty", _DOMAIN, {**_STRENGTH, "l1_ratio": UNIT}, kinks="x = 0: slope 0")


def _term(formula: str, row: Row) -> Callable[[Callable[..., Arguments]], Loss]:
    """The engine of one array of parameters."""

    def decorate(bind: Callable[..., Arguments]) -> Loss:
        function = elementwise(formula, row, names=("parameters", "", "", "", ""), differentiable=("parameters",))(bind)
        spec: Loss = function.spec
        return spec

    return decorate


@_term("l1", _L1)
@named("l1_penalty")
def _l1(parameters: Any, *, strength: float, reduction: str) -> Arguments:
    return ((parameters, None, None, None, None), (strength, reduction))


@_term("l2", _L2)
@named("l2_penalty")
def _l2(parameters: Any, *, strength: float, reduction: str) -> Arguments:
    return ((parameters, None, None, None, None), (strength, reduction))


@_term("elastic_net", _ELASTIC_NET)
@named("elastic_net_penalty")
def _elastic_net(parameters: Any, *, strength: float, l1_ratio: float, reduction: str) -> Arguments:
    return ((parameters, None, None, None, None), (strength, l1_ratio, reduction))


def _l1_terms(strength: float) -> tuple[Term, ...]:
    NON_NEGATIVE.check("l1_penalty", "strength", strength)
    return (Term(_l1, ("parameters",), (strength, "sum")),)


def _l2_terms(strength: float) -> tuple[Term, ...]:
    NON_NEGATIVE.check("l2_penalty", "strength", strength)
    return (Term(_l2, ("parameters",), (strength, "sum")),)


def _elastic_net_terms(strength: float, l1_ratio: float) -> tuple[Term, ...]:
    NON_NEGATIVE.check("elastic_net_penalty", "strength", strength)
    UNIT.check("elastic_net_penalty", "l1_ratio", l1_ratio)
    return (Term(_elastic_net, ("parameters",), (strength, l1_ratio, "sum")),)


def _arrays(parameters: Any) -> Any:
    """An array, or a list or tuple of some: what ``model.parameters()`` gives is used up by looking at it."""
    return list(parameters) if isinstance(parameters, Iterator) else parameters


@sum_of_terms(_l1_terms, _L1, ("parameters",), differentiable=("parameters",))
def l1_penalty(parameters: Any, strength: float = 1.0) -> Arguments:
    r"""Sum of the absolute values of parameters, which drives the useless ones to 0.

    .. math:: R = \lambda \sum_i |x_i|

    Args:
        parameters: x, an array or a list or tuple of arrays (or an iterator of them, as ``model.parameters()``).
        strength: :math:`\lambda \ge 0`.

    Returns:
        The penalty, a scalar. The gradient by ``parameters`` comes in their structure: an array, a list or a tuple.

    Raises:
        ValueError: a negative strength. TypeError: a dtype that is not floating.

    The slope at 0 is 0. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> value, grads = fl.l1_penalty.value_and_grad([np.array([1.0, -2.0]), np.array([0.0])], strength=0.5)
    >>> float(value), [grad.tolist() for grad in grads]
    (1.5, [[0.5, -0.5], [0.0]])

    Source: Tibshirani (1996), Regression Shrinkage and Selection via the Lasso.
    """
    return ((_arrays(parameters),), (strength,))  # type: ignore[return-value]


@sum_of_terms(_l2_terms, _L2, ("parameters",), differentiable=("parameters",))
def l2_penalty(parameters: Any, strength: float = 1.0) -> Arguments:
    r"""Sum of the squares of parameters.

    .. math:: R = \lambda \sum_i x_i^2

    There is no factor of one half: the gradient is :math:`2 \lambda x`. So a strength of d / 2 does what
    ``weight_decay=d`` of ``torch.optim.SGD`` does, and what ``alpha`` = d does in scikit-learn's ``SGDRegressor``; its
    ``Ridge`` has no half, as here. In an adaptive optimiser such as Adam a penalty is not the same as its decoupled
    weight decay (AdamW).

    Args:
        parameters: x, an array or a list or tuple of arrays (or an iterator of them, as ``model.parameters()``).
        strength: :math:`\lambda \ge 0`.

    Returns:
        The penalty, a scalar. The gradient by ``parameters`` comes in their structure: an array, a list or a tuple.

    Raises:
        ValueError: a negative strength. TypeError: a dtype that is not floating.

    NaN propagates; squares overflow to infinity past 1.8e19 in float32.

    >>> import numpy as np, fastloss as fl
    >>> value, grad = fl.l2_penalty.value_and_grad(np.array([1.0, -2.0]), strength=0.5)
    >>> float(value), grad.tolist()
    (2.5, [1.0, -2.0])

    Source: Hoerl and Kennard (1970), Ridge Regression.
    """
    return ((_arrays(parameters),), (strength,))  # type: ignore[return-value]


@sum_of_terms(_elastic_net_terms, _ELASTIC_NET, ("parameters",), differentiable=("parameters",))
def elastic_net_penalty(parameters: Any, strength: float = 1.0, l1_ratio: float = 0.5) -> Arguments:
    r"""Mixture of the sum of absolute values and half the sum of squares of parameters.

    .. math:: R = \lambda \sum_i \left(\rho |x_i| + \frac{1 - \rho}{2} x_i^2\right)

    Args:
        parameters: x, an array or a list or tuple of arrays (or an iterator of them, as ``model.parameters()``).
        strength: :math:`\lambda \ge 0`; scikit-learn's ``alpha``.
        l1_ratio: :math:`\rho` in [0, 1]: 1 is :func:`l1_penalty`, 0 half of :func:`l2_penalty`.

    Returns:
        The penalty, a scalar. The gradient by ``parameters`` comes in their structure: an array, a list or a tuple.

    Raises:
        ValueError: an option out of range. TypeError: a dtype that is not floating.

    The slope of the absolute value at 0 is 0. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> value, grad = fl.elastic_net_penalty.value_and_grad(np.array([1.0, -2.0]), strength=2.0, l1_ratio=0.25)
    >>> float(value), grad.tolist()
    (5.25, [2.0, -3.5])

    Source: Zou and Hastie (2005); meaning of ``sklearn.linear_model.ElasticNet``.
    """
    return ((_arrays(parameters),), (strength, l1_ratio))  # type: ignore[return-value]
