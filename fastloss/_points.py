"""Matrices of points, ready for distances by matrix products: see kernels/distances_cpu.py.

Rows are scaled (to unit vectors, or all by one power of two that keeps squares in range) and centred. A strip is so
many rows of x against all rows of y: the product, and whatever kernel is run on it while it is in the cache.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastloss import _strips
from fastloss._batch import kernel

METRICS = ("euclidean", "sqeuclidean", "cosine")
#: A strip's products are about so many numbers, and it has at most so many rows.
STRIP_NUMBERS, STRIP_ROWS = 1 << 20, 256
#: Groups of strips at most, and the bytes that their accumulators may take together, if they are more than two.
GROUPS, ACCUMULATOR_BYTES = 8, 48 << 20
#: Rows whose mean is the centre; which rows they are is all the same to the distances.
SAMPLE = 256


def compile_kernels(dtype: str) -> None:
    """Those that this module calls itself."""
    for name in ("measure", "centre", "squares_of_pairs", "group", "spread", "through_units"):
        kernel(f"distances_cpu.{name}", dtype)


def blocks(count: int, size: int) -> list[tuple[int, int]]:
    return [(low, min(low + size, count)) for low in range(0, count, size)]


class Metric(NamedTuple):
    """What a distance is made of: the scaled squared distance, its root or not, and a factor."""

    root: bool
    factor: float
    slope: float  # v of a pair with an upstream gradient of 1 and, where there is a root, a distance of 1


@dataclass
class Rows:
    """One of the two matrices. All but ``x`` are float64, but for the rows and squares that products are made of."""

    x: Any
    scales: Any
    extras: Any
    rows: Any
    squares: Any
    finite: bool

    @property
    def reach(self) -> float:
        """The norm of the longest centred row."""
        squares = self.squares[np.isfinite(self.squares)]
        return math.sqrt(float(squares.max())) if squares.size else 0.0


@dataclass
class Points:
    """Two matrices, which may be one, under a metric."""

    x: Rows
    y: Rows
    same: bool
    unit: bool
    metric: Metric
    dtype: Any
    #: Below this share of both rows' squares, a squared distance from a product is computed anew: its error, about
    #: sqrt(D) roundings of both squares, would be more than 2**-14 of it (float64: 2**-37).
    bound: float

    @property
    def finite(self) -> bool:
        return self.x.finite and self.y.finite

    @property
    def width(self) -> int:
        return int(self.x.x.shape[1])

    def slots(self, products: Any = None, by_x: Any = None, by_y: Any = None) -> tuple[Any, ...]:
        """The arguments that kernels of pairs have in common."""
        both = (array for rows in (self.x, self.y) for array in (rows.x, rows.scales, rows.extras, rows.squares))
        return (*both, self.width, len(self.y.x), products, self.bound, by_x, by_y)

    def slack(self, probable: bool = False) -> Any:
        """For each row of x, twice what rounding may do to a key (the squared distance less the row's own square).

        With a, b the centred rows and u half an ulp of 1: the product may be off by D u |a| |b| and counts twice; the
        centred rows are rounded, which moves the squared distance by up to 2 u (|a| + |b|)^2; three roundings of
        squares and keys by up to u (|a| + |b|)^2 each. The direct distance, in float64, has its own D + 8.

        ``probable``: roundings of either sign add up to some sqrt(D), of which this is twice.
        """
        u = float(np.finfo(self.dtype).eps) / 2
        norms, reach = np.sqrt(self.x.squares.astype(np.float64)), self.y.reach
        widest = np.square(norms + reach)
        wide = float(np.finfo(np.float64).eps) / 2 * (self.width + 8) * widest
        terms = min(self.width, 2.0 * math.sqrt(self.width)) if probable else self.width
        return 2.02 * (u * (2 * terms * norms * reach + 6 * widest) + wide)

    def strip_rows(self) -> int:
        """From the sizes alone, never from the threads; four strips at least, so that a late thread has some."""
        rows = min(STRIP_ROWS, max(32, STRIP_NUMBERS // max(1, len(self.y.x))), -(-len(self.x.x) // 4))
        return max(16, -(-rows // 16) * 16)

    def strips(self) -> list[tuple[int, int]]:
        return blocks(len(self.x.x), self.strip_rows())

    def scratch(self) -> Any:
        """For the products of ``add_weights``."""
        return np.empty((max(self.strip_rows(), 1024), self.width), self.dtype)

    def tile(self) -> Any:
        return np.empty((self.strip_rows(), len(self.y.x)), self.dtype)

    def products(self, low: int, high: int, tile: Any) -> Any:
        tile = tile[: high - low]
        return np.matmul(self.x.rows[low:high], self.y.rows.T, out=tile)

    def squares_of(self, rows: Any, columns: Any, threads: int) -> Any:
        """Squared distances of listed pairs, computed directly."""
        result = np.empty(len(rows))
        call, slots = kernel("distances_cpu.squares_of_pairs", self.dtype.name), self.slots()
        work = len(rows) * self.width
        _strips.over_rows(lambda low, high: call(low, high, *slots, rows, columns, result), len(rows), threads, work)
        return result

    def distances_from(self, squares: Any) -> Any:
        metric = self.metric
        return metric.factor * (np.sqrt(squares) if metric.root else squares)

    def slopes_from(self, weights: Any, squares: Any) -> Any:
        """v of each pair, from the derivative by its distance."""
        v = weights * self.metric.slope
        if not self.metric.root:
            return v
        return np.divide(v, np.sqrt(squares), out=np.zeros_like(v), where=squares > 0)

    def add_edges(self, rows: Any, columns: Any, v: Any, by_x: Any, by_y: Any, threads: int) -> None:
        """Add v (a - b) to the gradient of each edge's row of x, and its opposite to that of its row of y."""
        if self.same:
            _spread(self, np.concatenate([rows, columns]), np.concatenate([columns, rows]), [v, v], by_x, threads)
            return
        if by_x is not None:
            _spread(self, rows, columns, [v], by_x, threads)
        if by_y is not None:
            _spread(self.swapped(), columns, rows, [v], by_y, threads)

    def swapped(self) -> Points:
        return Points(self.y, self.x, self.same, self.unit, self.metric, self.dtype, self.bound)

    def add_weights(self, low: int, high: int, tile: Any, by_x: Any, accumulator: Any, scratch: Any) -> None:
        """Subtract W y from the gradient of x's rows ``low`` to ``high``, W^T x from the accumulator of y's."""
        if by_x is not None:
            mine = np.matmul(tile, self.y.rows, out=scratch[: high - low])
            np.subtract(by_x[low:high], mine, out=by_x[low:high])
        if accumulator is not None:
            for begin, end in blocks(len(self.y.x), len(scratch)):
                part = np.matmul(tile[:, begin:end].T, self.x.rows[low:high], out=scratch[: end - begin])
                np.subtract(accumulator[begin:end], part, out=accumulator[begin:end])

    def add_own(self, sums: Any, rows: Any, gradient: Any, threads: int) -> None:
        """Add each row times its sum of weights."""

        def call(low: int, high: int) -> None:
            part = rows[low:high] * sums[low:high, None]
            gradient[low:high] += part.astype(gradient.dtype, copy=False)

        _strips.over_rows(call, len(rows), threads, rows.size)

    def by_rows(self, rows: Rows, gradient: Any, threads: int) -> None:
        """From the gradient by unit vectors to that by the rows they were made of."""
        if self.unit and gradient is not None:
            call = kernel("distances_cpu.through_units", self.dtype.name)
            slots = (rows.x, rows.scales, self.width, gradient)
            _strips.over_rows(lambda low, high: call(low, high, *slots), len(gradient), threads, gradient.size)


class Groups:
    """Strips in groups, each with an accumulator of its own for the gradient by y, which every strip adds to.

    The strips of a group run in order and the accumulators are added up in order, so the bits do not depend on threads.
    Losses of similarities take turns on one accumulator instead (``_sweeps.Turns``): they add a product, whereas here
    kernels add single pairs to any row while they run.
    """

    def __init__(self, points: Points, by_y: Any, strips: int, wanted: bool) -> None:
        self._points, self._by_y, self._wanted = points, by_y, wanted
        count = strips
        if by_y is not None:
            count = 2
            while 2 * count <= GROUPS and 2 * count * by_y.nbytes <= ACCUMULATOR_BYTES:
                count *= 2
        count = min(count, strips)
        self.parts = [strips * g // count for g in range(count + 1)] if count else [0]
        self._accumulators: list[Any] = [None] * count
        self._column_sums: list[Any] = [None] * count

    def memory(self, g: int) -> tuple[Any, Any]:
        """The accumulator and the sums of weights by column."""
        if self._by_y is not None:
            self._accumulators[g] = np.zeros_like(self._by_y)
        if self._wanted:
            self._column_sums[g] = np.zeros(len(self._points.y.x))
        return self._accumulators[g], self._column_sums[g]

    def finish(self, row_sums: Any, by_x: Any, by_y: Any, threads: int) -> None:
        """Add the accumulators, and every row times its sum of weights."""
        points, target = self._points, self._by_y
        if target is not None:
            for accumulator in self._accumulators:
                np.add(target, accumulator, out=target)
        column_sums = sum(self._column_sums, np.zeros(len(points.y.x)))
        if points.same:
            points.add_own(row_sums + column_sums, points.x.rows, by_x, threads)
            return
        if by_x is not None:
            points.add_own(row_sums, points.x.rows, by_x, threads)
        if by_y is not None:
            points.add_own(column_sums, points.y.rows, by_y, threads)


def _spread(points: Points, rows: Any, columns: Any, weights: list[Any], gradient: Any, threads: int) -> None:
    count, v = len(gradient), np.concatenate(weights)
    ends, others, grouped = np.zeros(count + 1, np.int64), np.empty_like(columns), np.empty_like(v)
    group = kernel("distances_cpu.group", points.dtype.name)
    group(0, len(rows), rows, columns, v, ends, others, grouped, count)
    call, slots = kernel("distances_cpu.spread", points.dtype.name), points.slots(by_x=gradient)

    def strip(low: int, high: int) -> None:
        call(low, high, *slots, ends, others, grouped, np.empty(points.width))

    _strips.over_rows(strip, count, threads, len(rows) * points.width)


def prepare(x: Any, y: Any, metric: str, normalize: bool, threads: int) -> Points:
    """Points of x and y (None: x again), contiguous arrays of one floating dtype."""
    unit = normalize or metric == "cosine"
    dtype = x.dtype
    arrays = [x] if y is None else [x, y]
    tops = [_tops(array, threads) for array in arrays]
    largest = max((float(top[np.isfinite(top)].max(initial=0.0)) for top in tops), default=0.0)
    # Between 1/2 and 1 times the power of two: squares and products of what is left stay in range.
    scale = 1.0 if unit or largest == 0.0 else math.ldexp(1.0, -min(max(math.frexp(largest)[1], -1000), 1000))
    middle = np.zeros(x.shape[1])
    samples = [_sample(array, top, unit, scale) for array, top in zip(arrays, tops, strict=True)]
    sample = np.concatenate(samples)
    if len(sample):
        middle = sample.mean(axis=0)
    rows = [_rows(array, top, middle, unit, scale, metric, threads) for array, top in zip(arrays, tops, strict=True)]
    root = metric == "euclidean"
    if metric == "cosine":  # half the squared distance of unit vectors
        own = Metric(False, 0.5, 1.0)
    elif root:
        own = Metric(True, 1.0 / scale, 1.0)
    else:
        own = Metric(False, 1.0 / scale / scale, 2.0 / scale)
    u, least = float(np.finfo(dtype).eps) / 2, 2.0**-14 if dtype == np.float32 else 2.0**-37
    bound = math.sqrt(x.shape[1]) * u / least
    return Points(rows[0], rows[-1], y is None, unit, own, dtype, bound)


def _tops(x: Any, threads: int) -> Any:
    tops = np.zeros(len(x))
    call = kernel("distances_cpu.measure", x.dtype.name)
    _strips.over_rows(lambda low, high: call(low, high, x, x.shape[1], tops), len(x), threads, x.size)
    return tops


def _sample(x: Any, tops: Any, unit: bool, scale: float) -> Any:
    """A few finite rows, scaled, in float64."""
    step = max(1, len(x) // SAMPLE)
    few, tops = x[::step].astype(np.float64), tops[::step]
    few, tops = few[np.isfinite(tops)], tops[np.isfinite(tops)]
    if not unit:
        return few * scale
    few = few / np.maximum(tops, 1e-300)[:, None]
    norms = np.sqrt(np.square(few).sum(axis=1, keepdims=True))
    return few / np.where(norms > 0, norms, 1.0)


def _rows(x: Any, tops: Any, middle: Any, unit: bool, scale: float, metric: str, threads: int) -> Rows:
    count, width = x.shape
    scales, rows, squares = np.empty(count), np.empty_like(x), np.empty(count, x.dtype)
    call = kernel("distances_cpu.centre", x.dtype.name)
    slots = (x, width, tops, middle, unit, scale, scales, rows, squares)
    _strips.over_rows(lambda low, high: call(low, high, *slots), count, threads, x.size)
    extras = np.zeros(count)
    if metric == "cosine":
        # A zero vector has the cosine 0 with everything: half of a squared distance of 2.
        extras[scales == 0.0] = 1.0
        squares += extras.astype(squares.dtype)
    return Rows(x, scales, extras, rows, squares, bool(np.isfinite(tops).all()))
