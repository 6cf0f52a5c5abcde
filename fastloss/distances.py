"""Distances between vectors: of all pairs of rows, and row by row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastloss import _arrays, _batch, _errors, _points, _strips
from fastloss._catalogue import FLAG, NON_NEGATIVE, REAL, Row, Values
from fastloss._loss import Arguments, loss
from fastloss._plan import Operands

__all__ = ["cdist", "pairwise_distance"]

METRICS = (*_points.METRICS, "manhattan", "chebyshev", "minkowski")
#: Rows of x that meet each row of y while it is in the cache.
_TILE = 16


def _kind(p: float) -> int:
    """The norm that a kernel computes for p."""
    from fastloss.kernels import distances_cpu as kernels

    special = {0.0: kernels.COUNT, 1.0: kernels.SUM, 2.0: kernels.ROOT_OF_SQUARES, math.inf: kernels.LARGEST}
    return special.get(p, kernels.POWER)


class MatrixProblem(_batch.BatchProblem):
    """The options of ``cdist``."""

    name = "cdist"
    reduction = "none"
    promoting = (1,)

    def __init__(self, metric: Any, p: Any) -> None:
        _errors.check_choice(self.name, "metric", metric, METRICS)
        self.p = NON_NEGATIVE.check(self.name, "p", p)
        if metric != "minkowski" and self.p != 2.0:
            raise ValueError(f"{self.name}: p is {p!r}, which needs metric='minkowski'")
        if metric == "minkowski" and self.p == 2.0:
            metric = "euclidean"
        self.p = {"manhattan": 1.0, "chebyshev": math.inf}.get(metric, self.p)
        self.metric = metric
        self.by_products = metric in _points.METRICS

    def loss_shape(self, operands: Operands) -> tuple[int, ...]:
        x, y = operands[0], operands[1]
        return int(x.shape[0]), int((x if y is None else y).shape[0])

    def normalise(self, backend: Any, arrays: Operands) -> Operands:
        x, y = arrays[:2]
        dtype = _batch.common_dtype(self.name, backend, {"x": x, "y": y})
        x = _batch.embeddings(self.name, backend, "x", x, dtype)
        if y is not None:
            y = _batch.embeddings(self.name, backend, "y", y, dtype, int(x.shape[1]))
        return x, y, None, None, None

    def compile(self, dtype: str) -> None:
        if self.by_products:
            _points.compile_kernels(dtype)
            for name in ("finish", "weigh"):
                _batch.kernel(f"distances_cpu.{name}", dtype, ROOT=self.metric == "euclidean")
        else:
            for name in ("norms", "norm_slopes"):
                _batch.kernel(f"distances_cpu.{name}", dtype, KIND=_kind(self.p))

    def compute(self, job: _batch.Job) -> tuple[float, float]:
        for gradient in job.grads:
            if gradient is not None:
                gradient[...] = 0.0
        if self.by_products:
            self._by_products(job)
        else:
            self._directly(job)
        return 0.0, 0.0

    def _by_products(self, job: _batch.Job) -> None:
        x, y = job.operands[:2]
        points = _points.prepare(x, y, self.metric, False, job.threads)
        root = points.metric.root
        if job.losses is not None:
            call = _batch.kernel("distances_cpu.finish", x.dtype.name, ROOT=root)
            result = job.losses
            strips, loans = points.strips(), _strips.Loans(points.tile)

            def strip(i: int) -> None:
                low, high = strips[i]
                with loans.lent() as memory:
                    tile = points.products(low, high, memory)
                    call(low, high, *points.slots(tile), points.metric.factor, result[low:high])

            _strips.run(strip, len(strips), job.threads)
        by_x, by_y = job.grads[:2]
        if by_x is not None or by_y is not None:
            _product_gradients(points, job.upstream, by_x, by_y, job.threads)

    def _directly(self, job: _batch.Job) -> None:
        x, y = job.operands[:2]
        other = x if y is None else y
        width, columns, dtype = x.shape[1], len(other), x.dtype.name
        if job.losses is not None:
            call, result = _batch.kernel("distances_cpu.norms", dtype, KIND=_kind(self.p)), job.losses
            _strips.over_rows(
                lambda low, high: call(low, high, x, other, width, columns, self.p, result[low:high]),
                len(x),
                job.threads,
                len(x) * columns * width,
                _TILE,
            )
        by_x, by_y = job.grads[:2]
        upstream = np.ones((len(x), columns), x.dtype) if job.upstream is None else job.upstream
        if by_x is not None:
            self._slopes(x, other, (columns, 1), upstream, by_x, job.threads)
        if y is None and by_x is not None:  # and those of the rows as y
            again = np.empty_like(by_x)
            self._slopes(other, x, (1, columns), upstream, again, job.threads)
            by_x += again
        elif by_y is not None:
            self._slopes(other, x, (1, columns), upstream, by_y, job.threads)

    def _slopes(self, x: Any, y: Any, steps: tuple[int, int], upstream: Any, gradient: Any, threads: int) -> None:
        call = _batch.kernel("distances_cpu.norm_slopes", x.dtype.name, KIND=_kind(self.p))
        slots = (x, y, x.shape[1], len(y), self.p, upstream, *steps)
        _strips.over_rows(
            lambda low, high: call(low, high, *slots, np.empty(x.shape[1]), gradient),
            len(x),
            threads,
            len(x) * y.size,
            _TILE,
        )


def _product_gradients(points: _points.Points, upstream: Any, by_x: Any, by_y: Any, threads: int) -> None:
    """The gradients of the sum of all distances, each times its upstream gradient."""
    call = _batch.kernel("distances_cpu.weigh", points.dtype.name, ROOT=points.metric.root)
    strips = points.strips()
    groups = _points.Groups(points, by_x if points.same else by_y, len(strips), True)
    row_sums = np.zeros(len(points.x.x))

    def make() -> dict[str, Any]:
        ones = np.ones_like(points.tile()) if upstream is None else None
        return {"tile": points.tile(), "scratch": points.scratch(), "ones": ones}

    loans = _strips.Loans(make)

    def group(g: int) -> None:
        accumulator, column_sums = groups.memory(g)
        with loans.lent() as memory:
            for low, high in strips[groups.parts[g] : groups.parts[g + 1]]:
                tile = points.products(low, high, memory["tile"])
                above = memory["ones"] if upstream is None else upstream[low:high]
                slots = points.slots(tile, by_x, accumulator)
                call(low, high, *slots, points.metric.slope, above, row_sums, column_sums)
                points.add_weights(low, high, tile, by_x, accumulator, memory["scratch"])

    _strips.run(group, len(groups.parts) - 1, threads)
    groups.finish(row_sums, by_x, by_y, threads)
    points.by_rows(points.x, by_x, threads)
    points.by_rows(points.y, by_y, threads)


@loss(
    MatrixProblem,
    Row(
        "DistanceMatrix",
        {"x": REAL, "y": REAL},
        {"metric": Values(METRICS), "p": NON_NEGATIVE},
        kinks="equal points, and equal coordinates under an odd norm: the slope 0",
        also=("distance matrix", "pairwise distances of all rows"),
        whole=True,
    ),
    differentiable=("x", "y"),
    names=("x", "y", "", "", ""),
    engine=_batch.BatchLoss,
)
def cdist(x: Any, y: Any = None, *, metric: str = "euclidean", p: float = 2.0) -> Arguments:
    r"""The distances of all rows of x to all rows of y.

    .. math::
        \text{euclidean } |a - b| \qquad \text{sqeuclidean } |a - b|^2 \qquad
        \text{cosine } 1 - \frac{a \cdot b}{|a| |b|} \qquad \text{manhattan } \sum_k |a_k - b_k| \\
        \text{chebyshev } \max_k |a_k - b_k| \qquad
        \text{minkowski } \left( \sum_k |a_k - b_k|^p \right)^{1/p}

    For p = 0 the Minkowski distance is the number of coordinates that differ.

    The first three come from matrix products. Where a product would cancel, as it does for near-duplicates, the
    distance is computed directly, in float64: that of equal rows is exactly 0.

    Args:
        x: rows a, (N, D).
        y: rows b, (M, D); x itself if absent.
        metric: see above.
        p: of the Minkowski distance, in [0, inf].

    Returns:
        The distances, (N, M). Gradients exist for ``x`` (the default) and ``y``; ``grad_output``, of the shape of the
        result, makes them vector-Jacobian products. Without y that by x counts x in both of its roles.

    Raises:
        ValueError: shapes that do not match, an unknown metric, a negative p, a p without ``metric="minkowski"``.
        TypeError: a dtype that is not floating.

    The slope is 0 where a distance is 0. Of several largest coordinates, the Chebyshev distance gives each the whole
    slope, as ``torch.cdist`` does. A zero vector has the cosine 0 with everything. A row that is not finite spoils its
    own distances only.

    >>> import numpy as np, fastloss as fl
    >>> fl.cdist(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 0.0]]))
    array([[0.],
           [5.]])

    Source: meaning of ``torch.cdist``, metrics by their names in ``scipy.spatial.distance.cdist``.
    """
    return (x, y, None, None, None), (metric, p)


class RowsProblem(_batch.BatchProblem):
    """The options of ``pairwise_distance``."""

    name = "pairwise_distance"
    reduction = "none"
    promoting = (1,)

    def __init__(self, p: Any, eps: Any, keepdim: Any) -> None:
        self.p = NON_NEGATIVE.check(self.name, "p", p)
        self.eps = REAL.check(self.name, "eps", eps)
        self.keepdim = bool(FLAG.check(self.name, "keepdim", keepdim))

    def _shape(self, operands: Operands) -> tuple[int, ...]:
        one, two = tuple(operands[0].shape), tuple(operands[1].shape)
        for argument, shape in (("x1", one), ("x2", two)):
            if not shape:
                raise ValueError(f"{self.name}: {argument} has shape (), expected (..., D)")
        try:
            return tuple(np.broadcast_shapes(one, two))
        except ValueError:
            raise ValueError(f"{self.name}: x1 has shape {one} and x2 has shape {two}: they do not broadcast") from None

    def loss_shape(self, operands: Operands) -> tuple[int, ...]:
        shape = self._shape(operands)
        return (*shape[:-1], 1) if self.keepdim else shape[:-1]

    def normalise(self, backend: Any, arrays: Operands) -> Operands:
        one, two = arrays[:2]
        dtype = _batch.common_dtype(self.name, backend, {"x1": one, "x2": two})
        self._shape(arrays)
        one, two = (backend.contiguous(backend.cast(array, dtype)) for array in (one, two))
        return one, two, None, None, None

    def compile(self, dtype: str) -> None:
        _batch.kernel("distances_cpu.norms_of_rows", dtype, KIND=_kind(self.p))

    def compute(self, job: _batch.Job) -> tuple[float, float]:
        shape = self._shape(job.operands)
        one, two = (np.ascontiguousarray(np.broadcast_to(array, shape)) for array in job.operands[:2])
        # Gradients of what was broadcast are added up afterwards.
        wanted = job.grads[:2]
        written = tuple(out if out is None or out.shape == shape else np.empty(shape, out.dtype) for out in wanted)
        call = _batch.kernel("distances_cpu.norms_of_rows", one.dtype.name, KIND=_kind(self.p))
        rows = math.prod(shape[:-1])
        slots = (one, two, shape[-1], self.eps, self.p, job.losses, job.upstream, *written)
        size = max(1, (1 << 16) // max(1, shape[-1]))
        _strips.over_rows(lambda low, high: call(low, high, *slots), rows, job.threads, one.size, size)
        for out, full in zip(wanted, written, strict=True):
            if out is not full:
                out[...] = _arrays.NUMPY.sum_to(full, out.shape)
        return 0.0, 0.0


@loss(
    RowsProblem,
    Row(
        "PairwiseDistance",
        {"x1": REAL, "x2": REAL},
        {"p": NON_NEGATIVE, "eps": REAL, "keepdim": FLAG},
        kinks="a vector of zeros, and zeros of one under an odd norm: the slope 0",
        also=("distance of rows",),
        whole=True,
    ),
    differentiable=("x1", "x2"),
    names=("x1", "x2", "", "", ""),
    engine=_batch.BatchLoss,
)
def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Arguments:
    r"""The distance of each row of x1 to the row of x2 at the same place.

    .. math:: d = \left( \sum_k |x_{1k} - x_{2k} + \epsilon|^p \right)^{1/p}

    Args:
        x1: vectors along the last axis, (N, D) or any (..., D).
        x2: vectors; shapes broadcast with each other.
        p: of the norm, in [0, inf]; 0 counts the coordinates that differ, inf is the largest.
        eps: added to every difference.
        keepdim: whether the axis of the vectors is kept, with length 1.

    Returns:
        The distances, (...), or (..., 1) with ``keepdim``. Gradients exist for ``x1`` (the default) and ``x2``.

    Raises:
        ValueError: shapes that do not broadcast, a negative p. TypeError: a dtype that is not floating.

    The difference, its powers and their sum are float64. The slope is 0 where the distance is 0; several largest
    coordinates share it for p = inf, as in PyTorch.

    >>> import numpy as np, fastloss as fl
    >>> fl.pairwise_distance(np.array([[3.0, 4.0]]), np.array([[0.0, 0.0]]), eps=0.0)
    array([5.])

    Source: meaning of ``torch.nn.functional.pairwise_distance``.
    """
    return (x1, x2, None, None, None), (p, eps, keepdim)
