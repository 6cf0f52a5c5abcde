"""Triplets mined inside a batch, without a tensor of all pairs or triplets: the loss, and the indices alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np

from fastloss import _arrays, _batch, _errors, _points, _threads, _triplets
from fastloss._catalogue import FLAG, REAL, Indices, Interval, Row, Values
from fastloss._loss import Arguments, loss
from fastloss._plan import Operands

__all__ = ["batch_triplet_loss", "mine_pairs", "mine_triplets"]

_REDUCTIONS = (*_errors.REDUCTIONS, "mean_nonzero")
_NAMES = ("embeddings", "labels", "references", "reference_labels", "")
_MARGIN = Interval(-math.inf, math.inf, "both")


def _margin(name: str, margin: Any) -> float | None:
    """A number, or None for the softplus."""
    if isinstance(margin, str):
        if margin != "soft":
            raise ValueError(_errors.wrong(name, "margin", repr(margin), "a number or 'soft'"))
        return None
    return _MARGIN.check(name, "margin", margin)


def _normalise(name: str, backend: Any, arrays: Operands) -> Operands:
    """Embeddings and references of one dtype, a label for each."""
    embeddings, labels, references, reference_labels, _ = arrays
    dtype = _batch.common_dtype(name, backend, {"embeddings": embeddings, "references": references})
    embeddings = _batch.embeddings(name, backend, "embeddings", embeddings, dtype)
    labels = _batch.labels(name, backend, "labels", labels, embeddings.shape[0])
    if references is None:
        if reference_labels is not None:
            raise ValueError(f"{name}: reference_labels is given without references")
        return embeddings, labels, None, None, None
    if reference_labels is None:
        raise ValueError(f"{name}: references is given without reference_labels")
    width = int(embeddings.shape[1])
    references = _batch.embeddings(name, backend, "references", references, dtype, width)
    reference_labels = _batch.labels(name, backend, "reference_labels", reference_labels, references.shape[0])
    return embeddings, labels, references, reference_labels, None


#: Where a call that was asked for its triplets finds them: anchors, positives and negatives, and how many have a loss.
_ASKED: ContextVar[list[tuple[tuple[Any, Any, Any], int]] | None] = ContextVar("fastloss_triplets", default=None)


class TripletLoss(_batch.BatchLoss):
    """Gives the triplets beside the value, where they are asked for: the last of the options."""

    def value(self, arrays: Operands, options: tuple[Any, ...]) -> Any:
        return self._with_triplets(arrays, options, super().value)

    def value_and_grad(
        self, arrays: Operands, options: tuple[Any, ...], wrt: Any, out: Any, grad_output: Any
    ) -> tuple[Any, Any]:
        call = super().value_and_grad
        grads: list[Any] = []

        def value(arrays: Operands, options: tuple[Any, ...]) -> Any:
            result, grad = call(arrays, options, wrt, out, grad_output)
            grads.append(grad)
            return result

        return self._with_triplets(arrays, options, value), grads[0]

    def _with_triplets(self, arrays: Operands, options: tuple[Any, ...], call: Callable[..., Any]) -> Any:
        *others, asked = options
        if not FLAG.check(self.name, "return_triplets", asked):
            return call(arrays, options)
        if _arrays.is_torch(arrays[0]):
            import torch

            if torch.compiler.is_compiling():
                raise NotImplementedError(f"{self.name}: return_triplets cannot be part of a graph; call it outside")
        found: list[Any] = []
        token = _ASKED.set(found)
        try:
            value = call(arrays, (*others, False))
        finally:
            _ASKED.reset(token)
        return value, _triplets_of(_arrays.backend_of(arrays[0]), *found[0])


class TripletProblem(_batch.BatchProblem):
    """The options of the loss."""

    name = "batch_triplet_loss"
    promoting = (2,)

    def __init__(self, mining: Any, margin: Any, metric: Any, normalize: Any, reduction: Any, asked: Any) -> None:
        _errors.check_choice(self.name, "mining", mining, _triplets.MININGS)
        _errors.check_choice(self.name, "metric", metric, _points.METRICS)
        _errors.check_reduction(self.name, reduction, _REDUCTIONS)
        FLAG.check(self.name, "normalize", normalize)
        FLAG.check(self.name, "return_triplets", asked)
        self.mining, self.metric, self.normalize = mining, metric, bool(normalize)
        self.margin = _margin(self.name, margin)
        self.reduction = reduction

    def normalise(self, backend: Any, arrays: Operands) -> Operands:
        return _normalise(self.name, backend, arrays)

    def compile(self, dtype: str) -> None:
        _triplets.compile_kernels(dtype, self.mining, self.metric == "euclidean", self.margin is None)

    def compute(self, job: _batch.Job) -> tuple[float, float]:
        x, labels, y, reference_labels, _ = job.operands
        by_x, _, by_y = job.grads
        for gradient in (by_x, by_y):
            if gradient is not None:
                gradient[...] = 0.0
        classes = _triplets.number(self.name, labels, reference_labels, x.dtype)
        points = _points.prepare(x, y, self.metric, self.normalize, job.threads)
        asked = _ASKED.get()
        if not points.finite:
            if asked is not None:
                asked.append((_triplets.joined([]), 0))
            return _nothing_but_nan(classes, job)
        call = (points, classes)
        rest = (self.margin, job.upstream, by_x, by_y, job.threads)
        if self.mining == "all":
            result = _triplets.all_loss(*call, *rest)
            if asked is not None:  # another look at the distances: the loss of all triplets lists none of them
                asked.append(_triplets.chosen(*call, self.mining, self.margin, job.threads))
        else:
            mined: list[_triplets.Indices] = []
            result = _triplets.mined_loss(*call, self.mining, *rest, None if asked is None else mined)
            if asked is not None:
                asked.append((_triplets.joined(mined), result.active))
        points.by_rows(points.x, by_x, job.threads)
        points.by_rows(points.y, by_y, job.threads)
        if job.losses is not None:
            job.losses[:] = result.losses
        count = result.active if self.reduction == "mean_nonzero" else result.exist
        return float(result.losses.sum()), float(count)


def _nothing_but_nan(classes: _triplets.Classes, job: _batch.Job) -> tuple[float, float]:
    counts = classes.counts
    if not counts.any():
        if job.losses is not None:
            job.losses[:] = 0.0
        return 0.0, 0.0
    for gradient in job.grads:
        if gradient is not None:
            gradient[...] = np.nan
    if job.losses is not None:
        job.losses[:] = np.where(counts, np.nan, 0.0)
    return math.nan, float(counts.sum())


@loss(
    TripletProblem,
    Row(
        "BatchTripletLoss",
        {"embeddings": REAL, "labels": Indices(), "references": REAL, "reference_labels": Indices()},
        {
            "mining": Values(_triplets.MININGS),
            "metric": Values(_points.METRICS),
            "normalize": FLAG,
            "reduction": Values(_REDUCTIONS),
            "return_triplets": FLAG,
        },
        kinks="a triplet whose loss is 0 has the slope 0; so has the distance of equal points",
        also=("batch hard", "batch all", "semi-hard triplets", "FaceNet", "online triplet mining"),
        whole=True,
    ),
    differentiable=("embeddings", "references"),
    names=_NAMES,
    engine=TripletLoss,
)
def batch_triplet_loss(
    embeddings: Any,
    labels: Any,
    *,
    mining: str = "hard",
    margin: float | str = 0.2,
    metric: str = "euclidean",
    normalize: bool = False,
    reduction: str = "mean",
    references: Any = None,
    reference_labels: Any = None,
    return_triplets: bool = False,
) -> Arguments:
    r"""The triplet loss with triplets mined inside the batch: an anchor nearer to its own label than to any other.

    .. math:: \ell_{apn} = \max(d(a, p) - d(a, n) + m, 0) \quad\text{or}\quad \log(1 + e^{d(a, p) - d(a, n)})

    p has the anchor's label, n another. Which triplets count:

    - ``"hard"``: of each anchor, the farthest positive and the nearest negative;
    - ``"easy"``: of each anchor, the nearest positive and the nearest negative;
    - ``"semihard"``: of each anchor and positive, the nearest negative that is farther than the positive; where there
      is none, the farthest negative;
    - ``"all"``: every triplet.

    Distances are computed in strips of the matrix, which is never held: memory is O(N D).

    Args:
        embeddings: vectors, (N, D).
        labels: integers, (N).
        mining: see above.
        margin: m, or ``"soft"`` for the second form, which has none.
        metric: ``"euclidean"``, ``"sqeuclidean"`` (its square) or ``"cosine"`` (one minus the cosine).
        normalize: whether the embeddings are divided by their norms first.
        reduction: ``"sum"``; ``"mean"``: divided by the number of anchors (hard, easy), pairs (semihard) or triplets
            (all) that exist; ``"mean_nonzero"``: by that of those with a positive loss; ``"none"``: one value an
            anchor, the sum of its losses.
        references: other vectors to take positives and negatives from, (M, D), such as those of former batches; the
            batch itself if absent. Embeddings are then anchors only, and none is its own positive.
        reference_labels: theirs, (M).
        return_triplets: whether the triplets are wanted too, those of :func:`mine_triplets`.

    Returns:
        The loss: a scalar, or an array of (N) for ``"none"``. Gradients exist for ``embeddings`` (the default) and
        ``references``. With ``return_triplets`` the pair of the loss and the ``(anchors, positives, negatives,
        active)`` it was made of; ``value_and_grad`` then returns ``((loss, triplets), gradient)``. Indices and the
        number of active triplets have no gradient; of embeddings that are not finite there are no triplets.

    Raises:
        ValueError: shapes that do not match, an unknown option. TypeError: a dtype that is not floating, labels that
        are no integers.

    An anchor without a positive or without a negative counts nothing; a batch of such anchors costs 0. Equal points
    have a distance of exactly 0 and no slope there; where two candidates are equally far, the lower index counts. A
    zero vector has the cosine 0 with everything. An embedding that is not finite makes the loss NaN.

    >>> import numpy as np, fastloss as fl
    >>> x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, 4.0]])
    >>> float(fl.batch_triplet_loss(x, np.array([0, 0, 1, 1]), margin=0.5))
    0.125
    >>> loss, triplets = fl.batch_triplet_loss(x, np.array([0, 0, 1, 1]), margin=0.5, return_triplets=True)
    >>> triplets.positives, triplets.negatives, triplets.active
    (array([1, 0, 3, 2]), array([2, 2, 0, 0]), 1)

    Source: Hermans, Beyer and Leibe, "In Defense of the Triplet Loss" (2017): hard, all; Schroff, Kalenichenko and
    Philbin, "FaceNet" (2015): semihard; Xuan, Stylianou and Pless, "Improved Embeddings with Easy Positive Triplet
    Mining" (2020): easy (of the nearest positive, with the hardest negative).
    """
    return (
        (embeddings, labels, references, reference_labels, None),
        (mining, margin, metric, normalize, reduction, return_triplets),
    )


class Triplets(NamedTuple):
    """Rows of embeddings (anchors) and of embeddings or references (the others), as int64 arrays."""

    anchors: Any
    positives: Any
    negatives: Any
    active: int  # those with a positive loss


class Pairs(NamedTuple):
    """Rows of embeddings and of embeddings or references, as int64 arrays: positive pairs, then negative ones."""

    positive_anchors: Any
    positives: Any
    negative_anchors: Any
    negatives: Any


def _triplets_of(backend: Any, indices: tuple[Any, Any, Any], active: int) -> Triplets:
    anchors, positives, negatives = (_indices(backend, array) for array in indices)
    return Triplets(anchors, positives, negatives, active)


def _indices(backend: Any, array: Any) -> Any:
    """As an array of the caller's kind."""
    array = np.ascontiguousarray(array, np.int64)
    if backend is _arrays.NUMPY:
        return array
    import torch

    return torch.from_numpy(array)


class _Mining:
    """The arrays of a call that gives indices."""

    def __init__(self, name: str, arrays: Operands, metric: Any, normalize: Any, kernels: Any) -> None:
        _errors.check_choice(name, "metric", metric, _points.METRICS)
        FLAG.check(name, "normalize", normalize)
        given = dict(zip(_NAMES, arrays, strict=True))
        self.backend = backend = _arrays.common_backend(name, given)
        for argument in ("embeddings", "labels"):
            if given[argument] is None:
                raise TypeError(f"{name}: {argument} is None, expected an array")
        checked: Any = tuple(
            None if array is None else backend.convert(array, name, argument) for argument, array in given.items()
        )
        operands = _normalise(name, backend, checked)
        plain: tuple[Any, ...] = tuple(None if array is None else backend.as_numpy(array) for array in operands)
        x, labels, y, reference_labels, _ = plain
        with _threads.LOCK:
            kernels(x.dtype.name)
        self.threads = min(_threads.get_num_threads(), backend.max_threads())
        self.classes = _triplets.number(name, labels, reference_labels, x.dtype)
        self.points = _points.prepare(x, y, metric, bool(normalize), self.threads)
        if not self.points.finite:
            raise ValueError(f"{name}: embeddings or references hold a number that is not finite")


def mine_triplets(
    embeddings: Any,
    labels: Any,
    *,
    mining: str = "hard",
    margin: float | str = 0.2,
    metric: str = "euclidean",
    normalize: bool = False,
    references: Any = None,
    reference_labels: Any = None,
) -> Triplets:
    """The triplets that ``batch_triplet_loss`` with the same arguments is made of, as indices.

    Args:
        embeddings, labels, mining, margin, metric, normalize, references, reference_labels: as in
            :func:`batch_triplet_loss`.

    Returns:
        ``(anchors, positives, negatives, active)``: three int64 arrays of one length, ordered by anchor, then by
        positive, then by negative; and how many of these triplets have a positive loss. With ``mining="all"`` only
        triplets with a positive loss are listed. Anchors are rows of ``embeddings``, the others of ``references`` where
        there are any.

    Raises:
        ValueError: shapes that do not match, an unknown option, an embedding that is not finite. TypeError: a dtype
        that is not floating, labels that are no integers.

    >>> import numpy as np, fastloss as fl
    >>> x = np.array([[0.0], [1.0], [3.0], [7.0]])
    >>> anchors, positives, negatives, active = fl.mine_triplets(x, np.array([0, 0, 1, 1]))
    >>> positives, negatives, active
    (array([1, 0, 3, 2]), array([2, 2, 1, 1]), 1)
    """
    name = "mine_triplets"
    _errors.check_choice(name, "mining", mining, _triplets.MININGS)
    width = _margin(name, margin)

    def kernels(dtype: str) -> None:
        _triplets.compile_kernels(dtype, mining, metric == "euclidean", width is None)
        _batch.kernel("distances_cpu.finish", dtype, ROOT=metric == "euclidean")

    given = _Mining(name, (embeddings, labels, references, reference_labels, None), metric, normalize, kernels)
    found, active = _triplets.chosen(given.points, given.classes, mining, width, given.threads)
    return _triplets_of(given.backend, found, active)


def mine_pairs(
    embeddings: Any,
    labels: Any,
    *,
    pos_margin: float = 0.2,
    neg_margin: float = 0.8,
    metric: str = "euclidean",
    normalize: bool = False,
    references: Any = None,
    reference_labels: Any = None,
) -> Pairs:
    """Pairs that a contrastive loss has something to gain from: far ones of one label, near ones of two.

    Args:
        embeddings, labels, metric, normalize, references, reference_labels: as in :func:`batch_triplet_loss`.
        pos_margin: positive pairs are listed whose distance is greater.
        neg_margin: negative pairs are listed whose distance is less.

    Returns:
        ``(positive_anchors, positives, negative_anchors, negatives)``: int64 arrays, ordered by anchor. Every pair of
        the batch is listed from both of its ends, as either may be the anchor; no row is paired with itself.

    Raises:
        ValueError: shapes that do not match, an unknown option, an embedding that is not finite. TypeError: a dtype
        that is not floating, labels that are no integers.

    Distances within the rounding error of a margin are computed directly, in float64. ``pos_margin=-inf`` and
    ``neg_margin=inf`` list all pairs.

    >>> import numpy as np, fastloss as fl
    >>> x = np.array([[0.0], [1.0], [1.5]])
    >>> pairs = fl.mine_pairs(x, np.array([0, 0, 1]))
    >>> pairs.positive_anchors, pairs.positives, pairs.negative_anchors, pairs.negatives
    (array([0, 1]), array([1, 0]), array([1, 2]), array([2, 1]))

    Source: meaning of ``PairMarginMiner`` of pytorch-metric-learning.
    """
    name = "mine_pairs"
    farther, nearer = (
        _errors.number(name, argument, value, -math.inf, math.inf)
        for argument, value in (("pos_margin", pos_margin), ("neg_margin", neg_margin))
    )

    def kernels(dtype: str) -> None:
        _points.compile_kernels(dtype)
        _batch.kernel("distances_cpu.finish", dtype, ROOT=metric == "euclidean")

    given = _Mining(name, (embeddings, labels, references, reference_labels, None), metric, normalize, kernels)
    found = _triplets.pairs_beyond(given.points, given.classes, farther, nearer, given.threads)
    return Pairs(*(_indices(given.backend, array) for array in found))
