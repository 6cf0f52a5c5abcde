"""Losses of the margin y x of a score x and a label y of -1 or 1, and of pairs of scores."""

from __future__ import annotations

from typing import Any

from fastloss._catalogue import REAL, SIGN, Row, Values
from fastloss._elementwise import elementwise
from fastloss._loss import Arguments

__all__ = [
    "exponential_loss",
    "hinge_embedding_loss",
    "hinge_loss",
    "logistic_loss",
    "margin_ranking_loss",
    "perceptron_loss",
    "soft_margin_loss",
    "squared_hinge_loss",
]


@elementwise(
    "hinge",
    Row(
        "HingeLoss",
        {"input": REAL, "target": SIGN},
        parameters={"margin": REAL},
        kinks="y x = margin: slope -y",
        also=("SVM loss", "soft margin of a support vector machine", "L1 SVM"),
    ),
)
def hinge_loss(
    input: Any,
    target: Any,
    *,
    margin: float = 1.0,
    reduction: str = "mean",
    ignore_index: float | None = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Hinge of the margin y x: what a linear support vector machine minimises.

    .. math:: \ell_i = w_i \max(0, m - y_i x_i)

    Args:
        input: scores x, of any shape.
        target: y, -1 or 1 (not checked), of the same shape; integers are allowed.
        margin: m, from where on a right answer costs nothing.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements that count.
        ignore_index: elements whose target equals this contribute nothing, to the mean's denominator either.
        sample_weight: w, broadcastable to the loss; the mean then divides by the sum of the weights.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    At the kink :math:`y x = m` the slope is that of the side that pays, -y, as PyTorch's ``clamp_min`` has it. An
    infinite score on the side of its label costs 0, on the other side infinity. NaN goes into the loss.

    This is not :func:`hinge_embedding_loss`, whose input is a distance: there a target of 1 pays the distance itself,
    and only a target of -1 has a hinge.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.hinge_loss(np.array([0.5, -1.0, 3.0]), np.array([1, 1, 1]), reduction="sum"))
    2.5

    Source: Cortes and Vapnik (1995), Support-Vector Networks; meaning of ``sklearn.metrics.hinge_loss`` of two classes.
    """
    return ((input, target, None, None, sample_weight), (margin, reduction, ignore_index, empty))


@elementwise(
    "squared_hinge",
    Row(
        "SquaredHingeLoss",
        {"input": REAL, "target": SIGN},
        parameters={"margin": REAL},
        also=("L2 SVM", "quadratic hinge"),
    ),
)
def squared_hinge_loss(
    input: Any,
    target: Any,
    *,
    margin: float = 1.0,
    reduction: str = "mean",
    ignore_index: float | None = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Square of the hinge of the margin y x, which has no kink.

    .. math:: \ell_i = w_i \max(0, m - y_i x_i)^2

    Args:
        input: scores x, of any shape.
        target: y, -1 or 1 (not checked), of the same shape; integers are allowed.
        margin: m, from where on a right answer costs nothing.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements that count.
        ignore_index: elements whose target equals this contribute nothing, to the mean's denominator either.
        sample_weight: w, broadcastable to the loss; the mean then divides by the sum of the weights.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    An infinite score on the side of its label costs 0, on the other side infinity. NaN propagates. There is no factor
    of one half, as in :func:`mse_loss`.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.squared_hinge_loss(np.array([0.5, -1.0, 3.0]), np.array([1, 1, 1]), reduction="sum"))
    4.25

    Source: Fan et al. (2008), LIBLINEAR; meaning of ``sklearn.svm.LinearSVC(loss="squared_hinge")``.
    """
    return ((input, target, None, None, sample_weight), (margin, reduction, ignore_index, empty))


@elementwise(
    "perceptron",
    Row("PerceptronLoss", {"input": REAL, "target": SIGN}, kinks="y x = 0: slope -y"),
)
def perceptron_loss(
    input: Any,
    target: Any,
    *,
    reduction: str = "mean",
    ignore_index: float | None = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""How far a score is on the wrong side: the loss whose subgradient steps are Rosenblatt's perceptron.

    .. math:: \ell_i = w_i \max(0, -y_i x_i)

    Args:
        input: scores x, of any shape.
        target: y, -1 or 1 (not checked), of the same shape; integers are allowed.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements that count.
        ignore_index: elements whose target equals this contribute nothing, to the mean's denominator either.
        sample_weight: w, broadcastable to the loss; the mean then divides by the sum of the weights.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    A score of 0 counts as wrong: its slope is -y, or learning from weights of 0 would never begin. An infinite score
    on the side of its label costs 0. NaN goes into the loss.

    >>> import numpy as np, fastloss as fl
    >>> loss, grad = fl.perceptron_loss.value_and_grad(np.array([0.0, -2.0]), np.array([1, 1]), reduction="sum")
    >>> float(loss), grad.tolist()
    (2.0, [-1.0, -1.0])

    Source: Rosenblatt (1958); meaning of ``sklearn.linear_model.SGDClassifier(loss="perceptron")``.
    """
    return ((input, target, None, None, sample_weight), (reduction, ignore_index, empty))


@elementwise(
    "hinge_embedding",
    Row(
        "HingeEmbeddingLoss",
        {"input": REAL, "target": SIGN},
        parameters={"margin": REAL},
        kinks="x = margin for y = -1: slope -1",
        dtype_of_input=True,
    ),
    shapes="broadcast",
    differentiable=("input",),
    refused={"target": "it only chooses between two losses"},
)
def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    *,
    reduction: str = "mean",
    ignore_index: float | None = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Loss of a distance between two things that are alike (y = 1) or not (y = -1).

    .. math:: \ell_i = w_i \begin{cases} x_i & y_i = 1 \\ \max(0, m - x_i) & y_i = -1 \end{cases}

    Args:
        input: distances x, of any shape.
        target: y, -1 or 1 (not checked), broadcastable with the input; integers are allowed.
        margin: m, the distance from which on unlike things cost nothing.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements that count.
        ignore_index: elements whose target equals this contribute nothing, to the mean's denominator either.
        sample_weight: w, broadcastable to the loss; the mean then divides by the sum of the weights.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. A gradient exists for ``input``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.
        NotImplementedError: a gradient for the target.

    Any other target pays both parts, as in PyTorch. At x = m the slope of an unlike pair is -1, as PyTorch has it; NaN
    goes into the loss. Despite its name this is not the hinge of a margin y x, which is :func:`hinge_loss`.

    >>> import numpy as np, fastloss as fl
    >>> fl.hinge_embedding_loss(np.array([0.25, 0.25, 3.0]), np.array([1, -1, -1]), reduction="none").tolist()
    [0.25, 0.75, 0.0]

    Source: meaning of ``torch.nn.functional.hinge_embedding_loss``.
    """
    return ((input, target, None, None, sample_weight), (margin, reduction, ignore_index, empty))


@elementwise(
    "soft_margin",
    Row("SoftMarginLoss", {"input": REAL, "target": SIGN}, transcendental=True, dtype_of_input=True),
    shapes="broadcast",
)
def soft_margin_loss(
    input: Any,
    target: Any,
    *,
    reduction: str = "mean",
    ignore_index: float | None = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Logistic loss of the margin y x.

    .. math:: \ell_i = w_i \log(1 + e^{-y_i x_i})

    Args:
        input: scores x, of any shape.
        target: y, -1 or 1 (not checked), broadcastable with the input; integers are allowed.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements that count.
        ignore_index: elements whose target equals this contribute nothing, to the mean's denominator either.
        sample_weight: w, broadcastable to the loss; the mean then divides by the sum of the weights.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    No finite score overflows (PyTorch's does, to infinity, from 89 in float32 on). An infinite score on the side of
    its label costs 0, on the other side infinity. NaN propagates. The same loss as :func:`logistic_loss`, which takes
    targets of 0 and 1 too.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.soft_margin_loss(np.array([1000.0, -1000.0]), np.array([1, 1])))
    500.0

    Source: meaning of ``torch.nn.functional.soft_margin_loss``.
    """
    return ((input, target, None, None, sample_weight), (reduction, ignore_index, empty))


@elementwise(
    "logistic",
    Row(
        "LogisticLoss",
        {"input": REAL, "target": SIGN},
        parameters={"targets": Values(("sign", "binary"))},
        also=("log loss of a margin", "deviance", "logit loss"),
        transcendental=True,
    ),
)
def logistic_loss(
    input: Any,
    target: Any,
    *,
    targets: str = "sign",
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    ignore_index: float | None = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Logistic loss of the margin y x: the negative log-likelihood of a label under :math:`p = \sigma(x)`.

    .. math:: \ell_i = w_i \log(1 + e^{-y_i x_i})

    The logarithm is the natural one. So the loss of a score of 0 is log 2 = 0.69: only divided by log 2 does it bound
    the 0-1 loss from above.

    Args:
        input: scores x, of any shape: log-odds of the label 1.
        target: y, of the same shape, in the values that ``targets`` says (not checked); integers and bools are allowed.
        targets: ``"sign"``, -1 and 1; or ``"binary"``, 0 and 1, which are read as 2 y - 1.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements that count.
        label_smoothing: e in [0, 1]: 1 - e / 2 of the loss of y, and e / 2 of that of -y.
        ignore_index: elements whose target equals this contribute nothing, to the mean's denominator either.
        sample_weight: w, broadcastable to the loss; the mean then divides by the sum of the weights.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    No finite score overflows. An infinite score on the side of its label costs 0, on the other side infinity. NaN
    propagates. Labels between 0 and 1 are for :func:`binary_cross_entropy_with_logits`, which is the same at 0 and 1.

    >>> import numpy as np, fastloss as fl
    >>> scores = np.array([2.0, -1.0])
    >>> loss = fl.logistic_loss(scores, np.array([1, -1]))
    >>> round(float(loss), 6), bool(loss == fl.logistic_loss(scores, np.array([1, 0]), targets="binary"))
    (0.220095, True)

    Source: Cox (1958), The Regression Analysis of Binary Sequences.
    """
    return (
        (input, target, None, None, sample_weight),
        (targets, reduction, label_smoothing, ignore_index, empty),
    )


@elementwise(
    "exponential",
    Row("ExponentialLoss", {"input": REAL, "target": SIGN}, also=("AdaBoost loss",), transcendental=True),
)
def exponential_loss(
    input: Any,
    target: Any,
    *,
    reduction: str = "mean",
    ignore_index: float | None = None,
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Exponential of the margin y x, which AdaBoost minimises.

    .. math:: \ell_i = w_i e^{-y_i x_i}

    Args:
        input: scores x, of any shape.
        target: y, -1 or 1 (not checked), of the same shape; integers are allowed.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements that count.
        ignore_index: elements whose target equals this contribute nothing, to the mean's denominator either.
        sample_weight: w, broadcastable to the loss; the mean then divides by the sum of the weights.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input`` (the default) and ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    The loss itself passes the range of float32 where y x < -88, and is infinite there. An infinite score on the side
    of its label costs 0. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> fl.exponential_loss(np.array([0.0, np.inf]), np.array([1, 1]), reduction="none").tolist()
    [1.0, 0.0]

    Source: Freund and Schapire (1997); Friedman, Hastie and Tibshirani (2000), Additive Logistic Regression.
    """
    return ((input, target, None, None, sample_weight), (reduction, ignore_index, empty))


@elementwise(
    "margin_ranking",
    Row(
        "MarginRankingLoss",
        {"input1": REAL, "input2": REAL, "target": SIGN},
        parameters={"margin": REAL},
        kinks="y (x1 - x2) = margin: slope -y by x1",
        also=("pairwise ranking hinge",),
    ),
    names=("input1", "input2", "target", "", "sample_weight"),
    differentiable=("input1", "input2", "target"),
    default=("input1", "input2"),
    shapes="broadcast",
)
def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0.0,
    *,
    reduction: str = "mean",
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""Hinge of the difference of two scores, of which the first (y = 1) or the second (y = -1) should be higher.

    .. math:: \ell_i = w_i \max(0, -y_i (x_i - x'_i) + m)

    Args:
        input1: scores x, of any shape.
        input2: scores x', broadcastable with ``input1``.
        target: y, -1 or 1 (not checked), broadcastable with ``input1``; integers are allowed.
        margin: m, by how much the one should be higher.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: divided by the number of elements.
        sample_weight: w, broadcastable to the loss; the mean then divides by the sum of the weights.
        empty: the mean over nothing: ``"nan"`` as in PyTorch, or ``"zero"``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. Gradients exist for ``input1``, ``input2`` (both by default) and
        ``target``.

    Raises:
        ValueError: shapes that do not broadcast, an option out of range. TypeError: a dtype that is not floating.

    At the kink the slopes are those of the side that pays, as PyTorch has it: with the default margin, two equal scores
    are driven apart. NaN goes into the loss. Two infinite scores of one sign have no difference: NaN.

    >>> import numpy as np, fastloss as fl
    >>> loss, (grad1, grad2) = fl.margin_ranking_loss.value_and_grad(
    ...     np.array([1.0, 2.0]), np.array([3.0, 0.0]), np.array([1, 1]), margin=0.5
    ... )
    >>> float(loss), grad1.tolist(), grad2.tolist()
    (1.25, [-0.5, 0.0], [0.5, 0.0])

    Source: Herbrich, Graepel and Obermayer (2000); meaning of ``torch.nn.functional.margin_ranking_loss``.
    """
    return ((input1, input2, target, None, sample_weight), (margin, reduction, empty))
