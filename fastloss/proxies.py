"""Losses of embeddings against one learnt vector a class: softmax heads with margins, and proxies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastloss import _batch, _errors
from fastloss import _sweeps as sweeps
from fastloss._batch import Job
from fastloss._catalogue import FLAG, NON_NEGATIVE, POSITIVE, REAL, Domain, Indices, Interval, Row
from fastloss._loss import Arguments, loss
from fastloss._similarities import UNITS, SimilarityProblem, entropy_sweep, kernels_of

__all__ = ["arcface_loss", "cosface_loss", "proxy_anchor_loss", "proxy_nca_loss"]

_NAMES = ("embeddings", "weights", "labels", "", "")
_DOMAIN: dict[str, Domain] = {"embeddings": REAL, "weights": REAL, "labels": Indices()}
_BOTH = ("embeddings", "weights")
_LABELS = {"labels": "class indices have none"}
_RIGHT_ANGLES = Interval(0.0, math.pi)


class HeadProblem(SimilarityProblem):
    """Labels are indices of rows of the weights."""

    operands = (
        ("embeddings", "rows"),
        ("weights", "more"),
        ("labels", "labels"),
    )

    def checked(self, job: Job) -> tuple[Any, Any, Any]:
        rows, weights, labels = job.operands[:3]
        classes = len(weights)
        if len(labels) and (labels.min() < 0 or labels.max() >= classes):
            bad = int(np.flatnonzero((labels < 0) | (labels >= classes))[0])
            raise IndexError(f"{self.name}: labels holds {labels[bad]} at {bad}, expected indices in [0, {classes})")
        return rows, weights, labels


class _Softmax(HeadProblem):
    """Cross-entropy of scaled cosines, of which that of the label is changed."""

    others = False

    def __init__(self, scale: Any, kind: int, reduction: Any) -> None:
        super().__init__(reduction)
        self.scale, self.kind = POSITIVE.check(self.name, "scale", scale), kind
        self.kernels = (*UNITS, ("similarities_cpu.cross_entropy_rows", {"OTHERS": self.others, "MARGIN": kind}))

    def numbers(self) -> tuple[float, ...]:
        return ()

    def compute(self, job: Job) -> tuple[float, float]:
        rows, weights, labels = self.checked(job)
        left = sweeps.Units([rows], True, job.threads)
        right = sweeps.Units([weights], True, job.threads)
        # With one class there are no others: no row counts.
        lasts = labels if self.others and len(weights) == 1 else labels + 1
        found = entropy_sweep(
            left.rows,
            right.rows,
            self.scale,
            labels,
            lasts,
            job,
            wanted=(job.grads[0] is not None, job.grads[1] is not None),
            others=self.others,
            margin=(self.kind, self.numbers()),
        )
        left.write_slopes(found.by_left, self.scale, job.grads[:1])
        right.write_slopes(found.by_right, self.scale, job.grads[1:2])
        return found.total, found.count


class _ArcFace(_Softmax):
    name = "arcface_loss"

    def __init__(self, margin: Any, scale: Any, reduction: Any) -> None:
        super().__init__(scale, 2, reduction)
        self.margin = _RIGHT_ANGLES.check(self.name, "margin", margin)

    def numbers(self) -> tuple[float, ...]:
        m = self.margin
        return 0.0, math.cos(m), math.sin(m), math.cos(math.pi - m), m * math.sin(m)


@loss(
    _ArcFace,
    Row(
        "ArcFaceLoss",
        _DOMAIN,
        {"margin": _RIGHT_ANGLES, "scale": POSITIVE},
        kinks="theta = 0: the slope of the cosine alone; theta = pi - margin: that of the far side",
        denominator="rows",
        also=("additive angular margin",),
        whole=True,
    ),
    differentiable=_BOTH,
    default=_BOTH,
    refused=_LABELS,
    names=_NAMES,
    engine=_batch.BatchLoss,
)
def arcface_loss(
    embeddings: Any, weights: Any, labels: Any, margin: float = 0.5, scale: float = 64.0, *, reduction: str = "mean"
) -> Arguments:
    r"""Cross-entropy of scaled cosines to the classes' vectors, with a margin added to the angle of the right class.

    .. math:: \ell_i = -\log\frac{e^{s\, \phi(\theta_y)}}{e^{s\, \phi(\theta_y)} + \sum_{c \ne y} e^{s \cos\theta_c}},
        \quad \phi(\theta) = \cos(\theta + m)

    Past an angle of :math:`\pi - m`, where that would rise again, :math:`\phi(\theta) = \cos\theta - m \sin m`, as in
    the authors' code.

    Args:
        embeddings: of shape (N, D); they are normalised here.
        weights: one vector a class, of shape (C, D); they are normalised here.
        labels: class indices in [0, C), of shape (N).
        margin: m, an angle in [0, pi].
        scale: s > 0.
        reduction: ``"none"`` (one loss a row), ``"sum"``, or ``"mean"`` over the rows.

    Returns:
        The loss: a scalar, or an array of (N) for ``"none"``; of no rows 0. Gradients exist for ``embeddings`` and
        ``weights`` (both by default).

    Raises:
        IndexError: a label outside [0, C). ValueError: shapes that do not fit, an option out of range. TypeError: an
            unsuitable dtype.

    At an angle of 0 the slope of :math:`\phi` by the cosine is infinite; there it is that of m = 0 times cos m. Small
    angles come from the distance of the two vectors, since their cosine says little of them. A row of zeros has
    cosines of 0 and a gradient of 0.

    >>> import numpy as np, fastloss as fl
    >>> x = np.eye(2)
    >>> round(float(fl.arcface_loss(x, x, np.array([0, 1]), margin=0.0, scale=1.0)), 6)  # log(1 + 1 / e)
    0.313262

    Source: Deng, Guo, Xue and Zafeiriou (2019), ArcFace: Additive Angular Margin Loss for Deep Face Recognition.
    """
    return (embeddings, weights, labels, None, None), (margin, scale, reduction)


class _CosFace(_Softmax):
    name = "cosface_loss"

    def __init__(self, margin: Any, scale: Any, reduction: Any) -> None:
        super().__init__(scale, 1, reduction)
        self.margin = REAL.check(self.name, "margin", margin)

    def numbers(self) -> tuple[float, ...]:
        return (self.margin,)


@loss(
    _CosFace,
    Row(
        "CosFaceLoss",
        _DOMAIN,
        {"margin": REAL, "scale": POSITIVE},
        denominator="rows",
        also=("large margin cosine loss", "AM-softmax", "additive margin softmax"),
        whole=True,
    ),
    differentiable=_BOTH,
    default=_BOTH,
    refused=_LABELS,
    names=_NAMES,
    engine=_batch.BatchLoss,
)
def cosface_loss(
    embeddings: Any, weights: Any, labels: Any, margin: float = 0.35, scale: float = 64.0, *, reduction: str = "mean"
) -> Arguments:
    r"""Cross-entropy of scaled cosines to the classes' vectors, with a margin taken from that of the right class.

    .. math:: \ell_i = -\log\frac{e^{s (\cos\theta_y - m)}}{e^{s (\cos\theta_y - m)} + \sum_{c \ne y} e^{s
        \cos\theta_c}}

    Args:
        embeddings: of shape (N, D); they are normalised here.
        weights: one vector a class, of shape (C, D); they are normalised here.
        labels: class indices in [0, C), of shape (N).
        margin: m, a real number; 0 gives the normalised softmax.
        scale: s > 0.
        reduction: ``"none"`` (one loss a row), ``"sum"``, or ``"mean"`` over the rows.

    Returns:
        The loss: a scalar, or an array of (N) for ``"none"``; of no rows 0. Gradients exist for ``embeddings`` and
        ``weights`` (both by default).

    Raises:
        IndexError: a label outside [0, C). ValueError: shapes that do not fit, an option out of range. TypeError: an
            unsuitable dtype.

    A row of zeros has cosines of 0 and a gradient of 0.

    >>> import numpy as np, fastloss as fl
    >>> x = np.eye(2)
    >>> round(float(fl.cosface_loss(x, x, np.array([0, 1]), margin=1.0, scale=1.0)), 6)  # log(1 + 1)
    0.693147

    Source: Wang et al. (2018), CosFace: Large Margin Cosine Loss for Deep Face Recognition.
    """
    return (embeddings, weights, labels, None, None), (margin, scale, reduction)


class _ProxyNCA(_Softmax):
    name = "proxy_nca_loss"

    def __init__(self, scale: Any, include_positive: Any, reduction: Any) -> None:
        self.others = not FLAG.check(self.name, "include_positive", include_positive)
        # |x - p|^2 of unit vectors is 2 - 2 cos, of which the 2 cancels.
        super().__init__(scale, 0, reduction)
        self.scale *= 2.0


@loss(
    _ProxyNCA,
    Row(
        "ProxyNCALoss",
        _DOMAIN,
        {"scale": POSITIVE, "include_positive": FLAG},
        denominator="rows",
        also=("ProxyNCA", "ProxyNCA++"),
        whole=True,
    ),
    differentiable=_BOTH,
    default=_BOTH,
    refused=_LABELS,
    names=_NAMES,
    engine=_batch.BatchLoss,
)
def proxy_nca_loss(
    embeddings: Any,
    weights: Any,
    labels: Any,
    scale: float = 1.0,
    *,
    include_positive: bool = True,
    reduction: str = "mean",
) -> Arguments:
    r"""Log-ratio of closeness to the right proxy and to the others, by squared distances of unit vectors.

    .. math:: \ell_i = -\log\frac{\exp(-s |x_i - p_y|^2)}{\sum_c \exp(-s |x_i - p_c|^2)}

    Args:
        embeddings: x of shape (N, D); they are normalised here.
        weights: p, one proxy a class, of shape (C, D); they are normalised here.
        labels: class indices in [0, C), of shape (N).
        scale: s > 0: 1 / temperature (ProxyNCA++ takes 9).
        include_positive: whether the sum is over all classes, a softmax as in ProxyNCA++ and most implementations, or
            over the wrong ones alone, as the first paper has it; that loss has no lower bound of 0.
        reduction: ``"none"`` (one loss a row), ``"sum"``, or ``"mean"`` over the rows.

    Returns:
        The loss: a scalar, or an array of (N) for ``"none"``; of no rows 0. Gradients exist for ``embeddings`` and
        ``weights`` (both by default).

    Raises:
        IndexError: a label outside [0, C). ValueError: shapes that do not fit, an option out of range. TypeError: an
            unsuitable dtype.

    A row of zeros counts as orthogonal to all, and has a gradient of 0. Without other classes the loss is 0.

    >>> import numpy as np, fastloss as fl
    >>> x = np.eye(2)
    >>> round(float(fl.proxy_nca_loss(x, x, np.array([0, 1]), 0.5)), 6)  # log(1 + 1 / e)
    0.313262
    >>> float(fl.proxy_nca_loss(x, x, np.array([0, 1]), include_positive=False))
    -2.0

    Source: Movshovitz-Attias et al. (2017), No Fuss Distance Metric Learning using Proxies; Teh, DeVries and Taylor
    (2020), ProxyNCA++.
    """
    return (embeddings, weights, labels, None, None), (scale, include_positive, reduction)


class _ProxyAnchor(HeadProblem):
    name = "proxy_anchor_loss"
    kernels = (*UNITS, *kernels_of("pairs_cpu", "soft_hinge_rows"))

    def __init__(self, margin: Any, alpha: Any, reduction: Any) -> None:
        _errors.check_reduction(self.name, reduction, ("mean", "sum"))
        self.reduction = reduction
        self.margin = NON_NEGATIVE.check(self.name, "margin", margin)
        self.alpha = POSITIVE.check(self.name, "alpha", alpha)

    def compute(self, job: Job) -> tuple[float, float]:
        rows, weights, labels = self.checked(job)
        classes = len(weights)
        order = np.argsort(labels, kind="stable")
        bounds = np.searchsorted(labels[order], np.arange(classes + 1))
        firsts, lasts = bounds[:-1], bounds[1:]
        proxies = sweeps.Units([weights], True, job.threads)
        units = sweeps.Units([rows], True, job.threads, order)
        by_positive = by_negative = 1.0
        if self.reduction == "mean":
            by_positive, by_negative = 1.0 / max(1, int((lasts > firsts).sum())), 1.0 / max(1, classes)
        run = _batch.kernel("pairs_cpu.soft_hinge_rows", str(rows.dtype))
        gradient = int(any(grad is not None for grad in job.grads))
        sides = (self.alpha, self.margin, by_positive, self.alpha, -self.margin, by_negative)

        def score(low: int, high: int, tile: Any) -> tuple[float, float, int]:
            return run(low, high, tile, tile.shape[1], firsts, lasts, 0, None, None, gradient, 0, *sides, 0, 0.0)

        by_rows, by_weights = job.grads[:2]
        found = sweeps.Sweep(
            proxies.rows, units.rows, 1.0, score, job.threads, by_weights is not None, by_rows is not None
        )
        proxies.write_slopes(found.by_left, 1.0, [by_weights])
        units.write_slopes(found.by_right, 1.0, [by_rows])
        return found.total, 1.0


@loss(
    _ProxyAnchor,
    Row(
        "ProxyAnchorLoss",
        _DOMAIN,
        {"margin": NON_NEGATIVE, "alpha": POSITIVE},
        denominator="classes",
        also=("Proxy-Anchor",),
        whole=True,
    ),
    differentiable=_BOTH,
    default=_BOTH,
    refused=_LABELS,
    names=_NAMES,
    engine=_batch.BatchLoss,
)
def proxy_anchor_loss(
    embeddings: Any, weights: Any, labels: Any, margin: float = 0.1, alpha: float = 32.0, *, reduction: str = "mean"
) -> Arguments:
    r"""Soft hinges of each proxy's hardest positives and negatives in the batch.

    .. math:: \frac{1}{|P^+|} \sum_{p \in P^+} \log\Big(1 + \sum_{i: y_i = p} e^{-\alpha (c_{ip} - \delta)}\Big) +
        \frac{1}{|P|} \sum_{p \in P} \log\Big(1 + \sum_{i: y_i \ne p} e^{\alpha (c_{ip} + \delta)}\Big)

    where c are cosines, P all proxies and P+ those with an embedding in the batch.

    Args:
        embeddings: of shape (N, D); they are normalised here.
        weights: p, one proxy a class, of shape (C, D); they are normalised here.
        labels: class indices in [0, C), of shape (N).
        margin: delta >= 0.
        alpha: the scale, > 0.
        reduction: ``"mean"``: the sum of the two means above, or ``"sum"``: of the two sums.

    Returns:
        The loss, a scalar; of no embeddings 0. Gradients exist for ``embeddings`` and ``weights`` (both by default).

    Raises:
        IndexError: a label outside [0, C). ValueError: shapes that do not fit, an option out of range. TypeError: an
            unsuitable dtype.

    A row of zeros has cosines of 0 and a gradient of 0.

    >>> import numpy as np, fastloss as fl
    >>> x = np.eye(2)
    >>> value = fl.proxy_anchor_loss(x, x, np.array([0, 1]), margin=0.0, alpha=1.0)  # log(1 + 1 / e) + log(1 + 1)
    >>> round(float(value), 6)
    1.006409

    Source: Kim, Kim, Cho and Kwak (2020), Proxy Anchor Loss for Deep Metric Learning.
    """
    return (embeddings, weights, labels, None, None), (margin, alpha, reduction)
