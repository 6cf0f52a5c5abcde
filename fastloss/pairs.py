"""Losses that weigh every pair of a batch by its similarity or distance: the matrix of pairs is never held."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastloss import _batch, _errors
from fastloss import _sweeps as sweeps
from fastloss._batch import Job
from fastloss._catalogue import FLAG, NON_NEGATIVE, POSITIVE, REAL, Indices, Row, Values
from fastloss._loss import Arguments, loss
from fastloss._similarities import UNITS, SimilarityProblem, groups, kernels_of, per_row, squared_norms, write_losses

__all__ = ["batch_contrastive_loss", "circle_loss", "multi_similarity_loss"]

_LABELS = {"labels": "class indices have none"}


# Every pair of a batch, weighted by its similarity.


class _MultiSimilarity(SimilarityProblem):
    name = "multi_similarity_loss"
    operands = (
        ("embeddings", "rows"),
        ("labels", "labels"),
    )
    kernels = (*UNITS, *kernels_of("pairs_cpu", "soft_hinge_rows"))

    def __init__(self, alpha: Any, beta: Any, base: Any, epsilon: Any, reduction: Any) -> None:
        super().__init__(reduction)
        self.alpha = POSITIVE.check(self.name, "alpha", alpha)
        self.beta = POSITIVE.check(self.name, "beta", beta)
        self.base = REAL.check(self.name, "base", base)
        self.epsilon = None if epsilon is None else REAL.check(self.name, "epsilon", epsilon)

    def compute(self, job: Job) -> tuple[float, float]:
        rows, labels = job.operands[:2]
        mining, epsilon = int(self.epsilon is not None), self.epsilon or 0.0
        numbers = (self.alpha, self.base, 1.0 / self.alpha, self.beta, self.base, 1.0 / self.beta, mining, epsilon)
        return _pairs(rows, labels, "pairs_cpu.soft_hinge_rows", job, lambda *own: (1, *own, 1, *numbers))


def _pairs(rows: Any, labels: Any, name: str, job: Job, arguments: Any) -> tuple[float, float]:
    """A kernel over the cosines of all embeddings with each other, those of one label next to each other.

    ``arguments(weights, losses, gradient)`` are those of the kernel after the bounds of the positives.
    """
    order, firsts, lasts = groups(labels)
    units = sweeps.Units([rows], True, job.threads, order)
    own = per_row(job, rows, order)
    run = _batch.kernel(name, str(rows.dtype))
    more = arguments(*own)

    def score(low: int, high: int, tile: Any) -> tuple[float, float, int]:
        return run(low, high, tile, tile.shape[1], firsts, lasts, *more)

    wanted = job.grads[0] is not None
    found = sweeps.Sweep(units.rows, units.rows, 1.0, score, job.threads, wanted, wanted)
    write_losses(job, own[1], order)
    if wanted:
        found.by_left += found.by_right
        units.write_slopes(found.by_left, 1.0, job.grads[:1])
    return found.total, found.count


@loss(
    _MultiSimilarity,
    Row(
        "MultiSimilarityLoss",
        {"embeddings": REAL, "labels": Indices()},
        {"alpha": POSITIVE, "beta": POSITIVE, "base": REAL},
        denominator="rows",
        also=("MS loss",),
        whole=True,
    ),
    differentiable=("embeddings",),
    refused=_LABELS,
    names=("embeddings", "labels", "", "", ""),
    engine=_batch.BatchLoss,
)
def multi_similarity_loss(
    embeddings: Any,
    labels: Any,
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 0.5,
    *,
    epsilon: float | None = None,
    reduction: str = "mean",
) -> Arguments:
    r"""Soft maxima of how far the positives of each embedding lie below a similarity, and the negatives above it.

    .. math:: \ell_i = \frac{1}{\alpha} \log\Big(1 + \sum_{p} e^{-\alpha (c_{ip} - \lambda)}\Big) +
        \frac{1}{\beta} \log\Big(1 + \sum_{n} e^{\beta (c_{in} - \lambda)}\Big)

    over the embeddings p of the label of i and those n of other labels; c are cosines.

    Args:
        embeddings: of shape (N, D); they are normalised here.
        labels: one integer a row, of shape (N); any values.
        alpha: sharpness for positives, > 0.
        beta: sharpness for negatives, > 0.
        base: lambda.
        epsilon: where given, only those positives are taken that are less similar than the most similar negative plus
            epsilon, and only those negatives that are more similar than the least similar positive minus epsilon (the
            paper's mining, with 0.1). Which pairs are taken counts as constant.
        reduction: ``"none"`` (one loss a row), ``"sum"``, or ``"mean"`` over the rows that have both a positive and a
            negative.

    Returns:
        The loss: a scalar, or an array of (N) for ``"none"``. The gradient exists for ``embeddings``.

    Raises:
        ValueError: shapes that do not fit, an option out of range. TypeError: an unsuitable dtype.

    A row without a positive or without a negative contributes nothing and is not counted (the authors' code leaves it
    out too, but divides by N; pytorch-metric-learning keeps the sum there is); one of which mining leaves no pair
    counts with 0. A row of zeros has cosines of 0 and a gradient of 0.

    >>> import numpy as np, fastloss as fl
    >>> z = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> round(float(fl.multi_similarity_loss(z, np.array([0, 0, 1]))), 6)  # log(1 + 1 / e) / 2
    0.156631

    Source: Wang et al. (2019), Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning; the
    defaults of its code, with the paper's beta.
    """
    return (embeddings, labels, None, None, None), (alpha, beta, base, epsilon, reduction)


class _Circle(SimilarityProblem):
    name = "circle_loss"
    operands = (
        ("embeddings", "rows"),
        ("labels", "labels"),
    )
    kernels = (*UNITS, *kernels_of("pairs_cpu", "circle_rows"))

    def __init__(self, m: Any, gamma: Any, reduction: Any) -> None:
        super().__init__(reduction)
        self.m, self.gamma = REAL.check(self.name, "m", m), POSITIVE.check(self.name, "gamma", gamma)

    def compute(self, job: Job) -> tuple[float, float]:
        rows, labels = job.operands[:2]
        return _pairs(rows, labels, "pairs_cpu.circle_rows", job, lambda *own: (*own, self.gamma, self.m))


@loss(
    _Circle,
    Row(
        "CircleLoss",
        {"embeddings": REAL, "labels": Indices()},
        {"m": REAL, "gamma": POSITIVE},
        denominator="rows",
        whole=True,
    ),
    differentiable=("embeddings",),
    refused=_LABELS,
    names=("embeddings", "labels", "", "", ""),
    engine=_batch.BatchLoss,
)
def circle_loss(
    embeddings: Any, labels: Any, m: float = 0.4, gamma: float = 80.0, *, reduction: str = "mean"
) -> Arguments:
    r"""Soft hinge of each embedding's positives and negatives, each pair weighted by how far it is from its optimum.

    .. math:: \ell_i = \log\Big(1 + \sum_n e^{\gamma \alpha_n (c_{in} - m)} \sum_p e^{-\gamma \alpha_p
        (c_{ip} - 1 + m)}\Big), \quad \alpha_p = \max(0, 1 + m - c_{ip}),\ \alpha_n = \max(0, c_{in} + m)

    over the embeddings p of the label of i and those n of other labels; c are cosines. The weights alpha count as
    constants of the gradient, as in the paper's equation 10 and the implementations.

    Args:
        embeddings: of shape (N, D); they are normalised here.
        labels: one integer a row, of shape (N); any values.
        m: the relaxation (0.25 for faces, 0.4 for retrieval in the paper).
        gamma: the scale, > 0 (256 for faces, 80 for retrieval).
        reduction: ``"none"`` (one loss a row), ``"sum"``, or ``"mean"`` over the rows that have both a positive and a
            negative.

    Returns:
        The loss: a scalar, or an array of (N) for ``"none"``. The gradient exists for ``embeddings``.

    Raises:
        ValueError: shapes that do not fit, an option out of range. TypeError: an unsuitable dtype.

    A row without a positive or without a negative contributes nothing and is not counted. A row of zeros has cosines
    of 0 and a gradient of 0.

    >>> import numpy as np, fastloss as fl
    >>> z = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> round(float(fl.circle_loss(z, np.array([0, 0, 1]), gamma=1.0)), 6)  # log(1 + exp(-0.16 - 0.16))
    0.545893

    Source: Sun et al. (2020), Circle Loss: A Unified Perspective of Pair Similarity Optimization.
    """
    return (embeddings, labels, None, None, None), (m, gamma, reduction)


# Distances of all pairs.

_METRICS = ("euclidean", "cosine")
_REDUCTIONS = ("mean", "mean_nonzero", "sum")
#: Distances whose squares are below this share of the squared norms are computed directly.
_CLOSE = 2.0**-7


class _Contrastive(SimilarityProblem):
    name = "batch_contrastive_loss"
    operands = (
        ("embeddings", "rows"),
        ("labels", "labels"),
    )

    def __init__(
        self, pos_margin: Any, neg_margin: Any, metric: Any, normalize: Any, power: Any, reduction: Any
    ) -> None:
        _errors.check_reduction(self.name, reduction, _REDUCTIONS)
        _errors.check_choice(self.name, "metric", metric, _METRICS)
        self.reduction = reduction
        self.margins = (
            NON_NEGATIVE.check(self.name, "pos_margin", pos_margin),
            NON_NEGATIVE.check(self.name, "neg_margin", neg_margin),
        )
        self.euclidean = metric == "euclidean"
        self.unit = self.flag("normalize", normalize) or not self.euclidean
        self.constants = {"SQUARED": self.euclidean, "POWER": int(_POWER.check(self.name, "power", power))}
        self.kernels = (*UNITS, ("pairs_cpu.contrastive_rows", self.constants))

    def compute(self, job: Job) -> tuple[float, float]:
        rows, labels = job.operands[:2]
        order, firsts, lasts = groups(labels)
        units = sweeps.Units([rows], self.unit, job.threads, order)
        points = units.rows
        if self.euclidean and len(points):
            # Distances are the same from anywhere; near the middle their squares cancel least.
            with np.errstate(all="ignore"):
                points = points - points.mean(axis=0, dtype=np.float64).astype(points.dtype)
        positives = float((lasts - firsts - 1).sum()) / 2
        counts = positives, len(points) * (len(points) - 1) / 2 - positives
        if self.reduction == "mean_nonzero":
            counts = self._sweep(points, firsts, lasts, (1.0, 1.0), job.threads, False)[1]
        weights = tuple(1.0 if self.reduction == "sum" else 1.0 / max(count, 1.0) for count in counts)
        sums, _, slope = self._sweep(points, firsts, lasts, weights, job.threads, job.grads[0] is not None)
        units.write_slopes(slope, 1.0, job.grads[:1])
        return sums[0] * weights[0] + sums[1] * weights[1], 1.0

    def _sweep(
        self, points: Any, firsts: Any, lasts: Any, weights: tuple[float, ...], threads: int, wanted: bool
    ) -> tuple[Any, Any, Any]:
        """Sums of the losses of positive and negative pairs, how many are above 0, and the gradient by the points."""
        run = _batch.kernel("pairs_cpu.contrastive_rows", str(points.dtype), **self.constants)
        sums = np.zeros((len(points), 4))
        more: tuple[Any, ...] = ()
        close = None
        if self.euclidean:
            with np.errstate(all="ignore"):
                squares = squared_norms(points).astype(points.dtype)
            close = np.zeros_like(points) if wanted else None  # touched where there are close pairs only
            more = squares, _CLOSE, points, points.shape[1]

        def score(low: int, high: int, tile: Any) -> tuple[float, float, int]:
            last = (*more, np.empty(tile.shape[1], np.int64), close) if more else ()
            return run(low, high, tile, tile.shape[1], firsts, lasts, *self.margins, *weights, sums, *last)

        found = sweeps.Sweep(points, points, 1.0, score, threads, wanted, False)
        totals = 0.5 * sums.sum(axis=0)  # every pair is met twice
        if found.by_left is not None and close is not None:
            found.by_left += close
        return totals[:2], totals[2:], found.by_left


_POWER = Values((1, 2))


@loss(
    _Contrastive,
    Row(
        "BatchContrastiveLoss",
        {"embeddings": REAL, "labels": Indices()},
        {
            "pos_margin": NON_NEGATIVE,
            "neg_margin": NON_NEGATIVE,
            "metric": Values(_METRICS),
            "normalize": FLAG,
            "power": _POWER,
        },
        kinks="d = margin, and d = 0: slope 0",
        denominator="pairs",
        also=("pairwise contrastive loss of a batch",),
        whole=True,
    ),
    differentiable=("embeddings",),
    refused=_LABELS,
    names=("embeddings", "labels", "", "", ""),
    engine=_batch.BatchLoss,
)
def batch_contrastive_loss(
    embeddings: Any,
    labels: Any,
    pos_margin: float = 0.0,
    neg_margin: float = 1.0,
    *,
    metric: str = "euclidean",
    normalize: bool = False,
    power: int = 2,
    reduction: str = "mean",
) -> Arguments:
    r"""Contrastive loss of all pairs of a batch: distances of one label's pairs, gaps to a margin of the others.

    .. math:: \ell_{ij} = \max(0,\, d_{ij} - m_p)^k \text{ of pairs of one label},\quad
        \max(0,\, m_n - d_{ij})^k \text{ of others}, \qquad i < j

    Args:
        embeddings: of shape (N, D).
        labels: one integer a row, of shape (N); any values.
        pos_margin: :math:`m_p`, >= 0: positive pairs closer than this cost nothing.
        neg_margin: :math:`m_n`, >= 0: negative pairs farther than this cost nothing.
        metric: ``"euclidean"``, or ``"cosine"``: 1 - cosine.
        normalize: whether embeddings are divided by their norms first; for cosines they always are.
        power: k, 2 (the paper, :func:`contrastive_loss`) or 1 (pytorch-metric-learning).
        reduction: ``"mean"``: the mean over the positive pairs plus that over the negative pairs,
            ``"mean_nonzero"``: both over the pairs with a loss above 0 (pytorch-metric-learning), or ``"sum"`` of all.

    Returns:
        The loss, a scalar. The gradient exists for ``embeddings``.

    Raises:
        ValueError: shapes that do not fit, an option out of range. TypeError: an unsuitable dtype.

    Without pairs of one kind its part is 0. At a distance of 0 the gradient is 0, a subgradient. Distances that would
    cancel are computed directly, so close and equal rows are exact. The paper has a factor of 1/2.

    >>> import numpy as np, fastloss as fl
    >>> z = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, 0.5]])
    >>> float(fl.batch_contrastive_loss(z, np.array([0, 0, 1])))  # 25 + (0 + 0.25) / 2
    25.125

    Source: Hadsell, Chopra and LeCun (2006), Dimensionality Reduction by Learning an Invariant Mapping.
    """
    return (embeddings, labels, None, None, None), (pos_margin, neg_margin, metric, normalize, power, reduction)
