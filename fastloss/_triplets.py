"""Mining triplets, and the loss of what was mined: strips of products and the kernels of kernels/triplets_cpu.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastloss import _points, _strips
from fastloss._batch import kernel
from fastloss._points import Points

MININGS = ("hard", "semihard", "easy", "all")
#: Pairs of anchor and positive whose gradients are made at a time (200 bytes each), and strips that are mined together
#: at least, for as many threads.
PAIRS, STRIPS = 1 << 17, 4
#: Numbers of labels are compared as float32.
MOST_LABELS = 1 << 24
#: Half of the integers that order keys: see order_keys.
_UNITS = float(1 << 30)


@dataclass
class Classes:
    """Labels, numbered from 0, of anchors and of the rows they are compared with."""

    of_x: Any  # floating, as kernels compare them
    of_y: Any
    starts: Any  # where each label's rows of y begin among ``members``, and one more
    members: Any
    positives: Any  # of each anchor, how many
    negatives: Any

    @property
    def counts(self) -> Any:
        """Which anchors have a positive and a negative."""
        return (self.positives > 0) & (self.negatives > 0)


def number(name: str, labels: Any, reference_labels: Any, dtype: Any) -> Classes:
    both = labels if reference_labels is None else np.concatenate([labels, reference_labels])
    found, codes = np.unique(both, return_inverse=True)
    if len(found) > MOST_LABELS:
        raise ValueError(f"{name}: labels hold {len(found)} different ones, expected at most {MOST_LABELS}")
    of_x = codes[: len(labels)]
    of_y = of_x if reference_labels is None else codes[len(labels) :]
    sizes = np.bincount(of_y, minlength=len(found))
    starts = np.zeros(len(found) + 1, np.int64)
    np.cumsum(sizes, out=starts[1:])
    alike = sizes[of_x]
    positives = alike - 1 if reference_labels is None else alike
    x = of_x.astype(dtype)
    y = x if reference_labels is None else of_y.astype(dtype)
    return Classes(x, y, starts, np.argsort(of_y, kind="stable"), positives, len(of_y) - alike)


#: Anchors, positives and negatives.
Indices = tuple[Any, Any, Any]


class Mined(NamedTuple):
    """Triplets by their rows, and the squared distances of anchor and positive and of anchor and negative."""

    anchors: Any
    positives: Any
    negatives: Any
    positive_squares: Any
    negative_squares: Any


def compile_kernels(dtype: str, mining: str, root: bool, soft: bool) -> None:
    _points.compile_kernels(dtype)
    if mining in ("hard", "easy"):
        _extremes(dtype, mining)
    elif mining == "semihard":
        kernel("triplets_cpu.order_keys", dtype)
        kernel("triplets_cpu.semihard", dtype)
    else:
        if not soft:
            kernel("triplets_cpu.order_keys", dtype)
        _everything(dtype, soft, root)


def _extremes(dtype: str, mining: str) -> Callable[..., Any]:
    return kernel("triplets_cpu.extremes", dtype, EASY=mining == "easy")


def _everything(dtype: str, soft: bool, root: bool) -> Callable[..., Any]:
    return kernel(f"triplets_cpu.every_{'softplus' if soft else 'hinge'}", dtype, ROOT=root)


def mine(points: Points, classes: Classes, mining: str, threads: int) -> Iterator[Mined]:
    """Hard, easy or semi-hard triplets, in pieces, anchors in order."""
    if not classes.counts.any():
        return
    if mining == "semihard":
        yield from _semihard(points, classes, threads)
    else:
        yield _hard(points, classes, mining, threads)


def _hard(points: Points, classes: Classes, mining: str, threads: int) -> Mined:
    count = len(points.x.x)
    call, slack, strips = _extremes(points.dtype.name, mining), points.slack(), points.strips()
    positives, negatives = np.empty(count, np.int64), np.empty(count, np.int64)
    positive_squares, negative_squares = np.empty(count), np.empty(count)

    def make() -> dict[str, Any]:
        return {"tile": points.tile()}

    loans = _strips.Loans(make)

    def strip(i: int) -> None:
        low, high = strips[i]
        with loans.lent() as memory:
            tile = points.products(low, high, memory["tile"])
            call(
                *(low, high, *points.slots(tile)),
                *(classes.of_x, classes.of_y, slack, points.same),
                *(positives, negatives, positive_squares, negative_squares),
            )

    _strips.run(strip, len(strips), threads)
    anchors = np.flatnonzero(classes.counts)
    return Mined(anchors, *(array[anchors] for array in (positives, negatives, positive_squares, negative_squares)))


class _Order:
    """Keys of a strip's negatives, sorted."""

    def __init__(self, points: Points, classes: Classes, probable: bool = False) -> None:
        reach = max(points.x.reach, points.y.reach)
        #: Of a key's distance from 0, at most 3 reach^2, what one of the integers stands for.
        self.quantum = 3.1 * reach * reach / _UNITS if reach > 0.0 else 1.0
        self.slack = points.slack(probable) + 2.0 * self.quantum
        self._points, self._classes = points, classes
        self._call = kernel("triplets_cpu.order_keys", points.dtype.name)

    def slots(self, keys: Any, known: Any) -> tuple[Any, ...]:
        classes = self._classes
        return (
            *(classes.of_x, classes.of_y, self.slack, self._points.same),
            *(classes.starts, classes.members, keys, self.quantum, known),
        )

    def make(self) -> dict[str, Any]:
        rows, columns = self._points.strip_rows(), len(self._points.y.x)
        return {
            "tile": self._points.tile(),
            "keys": np.empty((rows, columns), np.int64),
            "known": np.empty(columns),
        }

    def sort(self, low: int, high: int, memory: dict[str, Any]) -> Any:
        """The products of a strip; its sorted keys are in ``memory``."""
        tile = self._points.products(low, high, memory["tile"])
        self._call(low, high, *self._points.slots(tile), *self.slots(memory["keys"], memory["known"]))
        memory["keys"][: high - low].sort(axis=1)
        return tile


def _semihard(points: Points, classes: Classes, threads: int) -> Iterator[Mined]:
    strips, order = points.strips(), _Order(points, classes)
    call = kernel("triplets_cpu.semihard", points.dtype.name)
    pairs = np.where(classes.counts, classes.positives, 0)
    offsets = np.zeros(len(pairs) + 1, np.int64)
    np.cumsum(pairs, out=offsets[1:])
    loans = _strips.Loans(order.make)
    begin = 0
    while begin < len(strips):
        end, first = begin + 1, offsets[strips[begin][0]]
        while end < len(strips) and (end < begin + STRIPS or offsets[strips[end][1]] - first <= PAIRS):
            end += 1
        low, high = strips[begin][0], strips[end - 1][1]
        count = int(offsets[high] - first)
        positives, negatives = np.empty(count, np.int64), np.empty(count, np.int64)
        positive_squares, negative_squares = np.empty(count), np.empty(count)

        results = (positives, negatives, positive_squares, negative_squares)

        def strip(i: int, begin: int = begin, first: int = int(first), results: tuple[Any, ...] = results) -> None:
            low, high = strips[begin + i]
            with loans.lent() as memory:
                tile = order.sort(low, high, memory)
                slots = order.slots(memory["keys"], memory["known"])
                call(low, high, *points.slots(tile), *slots, offsets, first, *results)

        _strips.run(strip, end - begin, threads)
        anchors = np.repeat(np.arange(low, high), pairs[low:high])
        yield Mined(anchors, positives, negatives, positive_squares, negative_squares)
        begin = end


# The loss.


class Result(NamedTuple):
    losses: Any  # of each anchor, float64
    exist: int  # anchors, pairs or triplets
    active: int  # those with a positive loss


def margin_loss(near: Any, far: Any, margin: float | None) -> tuple[Any, Any]:
    """The losses of triplets by their two distances, and the slopes; no margin: softplus."""
    x = near - far
    if margin is None:
        e = np.exp(-np.abs(x))
        return np.maximum(x, 0.0) + np.log1p(e), np.where(x > 0, 1.0, e) / (1.0 + e)
    x = x + margin
    return np.maximum(x, 0.0), (x > 0).astype(np.float64)


def mined_loss(
    points: Points,
    classes: Classes,
    mining: str,
    margin: float | None,
    upstream: Any,
    by_x: Any,
    by_y: Any,
    threads: int,
    indices: list[Indices] | None = None,
) -> Result:
    """The loss of one triplet an anchor, or a pair; adds to what is given: gradients, and pieces of indices."""
    losses, exist, active = np.zeros(len(points.x.x)), 0, 0
    for found in mine(points, classes, mining, threads):
        anchors = found.anchors
        if indices is not None:
            indices.append(found[:3])
        near, far = points.distances_from(found.positive_squares), points.distances_from(found.negative_squares)
        values, slopes = margin_loss(near, far, margin)
        losses += np.bincount(anchors, values, len(losses))
        exist += len(anchors)
        positive = slopes > 0
        active += int(np.count_nonzero(positive))
        if by_x is None and by_y is None:
            continue
        weights = slopes if upstream is None else slopes * upstream[anchors]
        for low, high in _points.blocks(len(anchors), PAIRS):
            kept = low + np.flatnonzero(positive[low:high])
            some = weights[kept]
            v_near = points.slopes_from(some, found.positive_squares[kept])
            v_far = points.slopes_from(-some, found.negative_squares[kept])
            points.add_edges(
                np.concatenate([anchors[kept], anchors[kept]]),
                np.concatenate([found.positives[kept], found.negatives[kept]]),
                np.concatenate([v_near, v_far]),
                by_x,
                by_y,
                threads,
            )
    return Result(losses, exist, active)


def all_loss(
    points: Points,
    classes: Classes,
    margin: float | None,
    upstream: Any,
    by_x: Any,
    by_y: Any,
    threads: int,
) -> Result:
    """The loss of every triplet; adds to the gradients that are given."""
    count, columns = len(points.x.x), len(points.y.x)
    losses, counts = np.zeros(count), np.zeros(count, np.int64)
    exist = int((classes.positives * classes.negatives).sum())
    if exist == 0:
        return Result(losses, 0, 0)
    call = _everything(points.dtype.name, margin is None, points.metric.root)
    strips, order = points.strips(), _Order(points, classes, probable=True)
    wanted = by_x is not None or by_y is not None
    target = by_x if points.same else by_y
    row_sums = np.zeros(count) if wanted else None
    groups = _points.Groups(points, target, len(strips), wanted)
    up = None if upstream is None else np.ascontiguousarray(upstream, np.float64)

    def make() -> dict[str, Any]:
        memory = order.make()
        memory["buffers"] = [np.empty(columns + 1) for _ in range(4)]
        memory["scratch"] = points.scratch() if wanted else None
        return memory

    loans = _strips.Loans(make)

    def group(g: int) -> None:
        accumulator, column_sums = groups.memory(g)
        with loans.lent() as memory:
            for low, high in strips[groups.parts[g] : groups.parts[g + 1]]:
                if margin is None:
                    tile = points.products(low, high, memory["tile"])
                else:
                    tile = order.sort(low, high, memory)
                call(
                    *(low, high, *points.slots(tile, by_x, accumulator)),
                    *order.slots(memory["keys"], memory["known"]),
                    *(0.0 if margin is None else margin, points.metric.factor, points.metric.slope, up),
                    *(losses, counts, row_sums, column_sums, *memory["buffers"]),
                )
                if wanted:
                    points.add_weights(low, high, tile, by_x, accumulator, memory["scratch"])

    _strips.run(group, len(groups.parts) - 1, threads)
    if wanted:
        groups.finish(row_sums, by_x, by_y, threads)
    return Result(losses, exist, int(counts.sum()))


# Indices.


def chosen(
    points: Points, classes: Classes, mining: str, margin: float | None, threads: int
) -> tuple[tuple[Any, Any, Any], int]:
    """Anchors, positives and negatives; of mode "all" those with a positive loss. And how many have one."""
    if mining == "all":
        found = _all_chosen(points, classes, margin, threads)
        return found, len(found[0])
    mined: list[Indices] = []
    active = mined_loss(points, classes, mining, margin, None, None, None, threads, mined).active
    return joined(mined), active


def joined(mined: list[Indices]) -> tuple[Any, Any, Any]:
    """The indices of pieces."""
    empty = np.empty(0, np.int64)
    anchors, positives, negatives = (np.concatenate([empty, *(piece[k] for piece in mined)]) for k in range(3))
    return anchors, positives, negatives


def _rows_of_distances(
    points: Points, classes: Classes, threads: int, visit: Callable[[int, Any, Any], tuple[Any, ...]]
) -> Iterator[tuple[Any, ...]]:
    """What ``visit(i, distances, room)`` gives for each row i of x, in order.

    ``distances`` (float64) are those to all rows of y; ``room(d)`` is how far those near a distance d may be off.
    """
    finish = kernel("distances_cpu.finish", points.dtype.name, ROOT=points.metric.root)
    factor, slack, strips = points.metric.factor, points.slack(), points.strips()
    rounding = float(np.finfo(points.dtype).eps)
    found: dict[int, list[tuple[Any, ...]]] = {}

    def make() -> dict[str, Any]:
        return {"tile": points.tile(), "distances": points.tile()}

    loans = _strips.Loans(make)

    def strip(s: int) -> None:
        low, high = strips[s]
        with loans.lent() as memory:
            tile = points.products(low, high, memory["tile"])
            finish(low, high, *points.slots(tile), factor, memory["distances"])
            results = []
            for i in range(low, high):

                def room(d: Any, i: int = i) -> Any:
                    off = factor * slack[i]
                    if points.metric.root:
                        off = factor * off / np.maximum(np.abs(d), 1e-300)
                    return off + rounding * np.abs(d)

                results.append(visit(i, memory["distances"][i - low].astype(np.float64), room))
            found[s] = results

    # In turns, so that what is found of few strips at a time is held twice.
    for begin in range(0, len(strips), threads):
        count = min(threads, len(strips) - begin)
        _strips.run(lambda s, begin=begin: strip(begin + s), count, threads)  # type: ignore[misc]
        for s in range(begin, begin + count):
            yield from found.pop(s)


def _others(classes: Classes, points: Points, i: int) -> tuple[Any, Any]:
    """The positives and the negatives of an anchor, in order."""
    alike = classes.of_y == classes.of_x[i]
    negatives = np.flatnonzero(~alike)
    if points.same:
        alike[i] = False
    return np.flatnonzero(alike), negatives


def _sharpened(points: Points, i: int, columns: Any, distances: Any, doubtful: Any) -> None:
    """Compute the doubtful ones of an anchor's distances directly."""
    if doubtful.any():
        again = columns[doubtful]
        squares = points.squares_of(np.full(len(again), i), again, 1)
        distances[doubtful] = points.distances_from(squares)


def _all_chosen(points: Points, classes: Classes, margin: float | None, threads: int) -> tuple[Any, Any, Any]:
    def visit(i: int, distances: Any, room: Any) -> tuple[Any, ...]:
        positives, negatives = _others(classes, points, i)
        near = points.distances_from(points.squares_of(np.full(len(positives), i), positives, 1))
        if margin is None:
            active = np.ones((len(positives), len(negatives)), bool)
        else:
            limits, far = near + margin, distances[negatives]
            doubtful = (np.abs(far - limits[:, None]) <= room(limits)[:, None]).any(axis=0)
            _sharpened(points, i, negatives, far, doubtful)
            active = far < limits[:, None]
        p, n = np.nonzero(active)
        return np.full(len(p), i), positives[p], negatives[n]

    pieces = [(np.empty(0, np.int64),) * 3, *_rows_of_distances(points, classes, threads, visit)]
    anchors, positives, negatives = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    return anchors, positives, negatives


def pairs_beyond(
    points: Points, classes: Classes, pos_margin: float, neg_margin: float, threads: int
) -> tuple[Any, Any, Any, Any]:
    """Positive pairs farther apart than one margin, negative pairs nearer than the other."""

    def visit(i: int, distances: Any, room: Any) -> tuple[Any, ...]:
        positives, negatives = _others(classes, points, i)
        near, far = distances[positives], distances[negatives]
        _sharpened(points, i, positives, near, np.abs(near - pos_margin) <= room(pos_margin))
        _sharpened(points, i, negatives, far, np.abs(far - neg_margin) <= room(neg_margin))
        positives, negatives = positives[near > pos_margin], negatives[far < neg_margin]
        return np.full(len(positives), i), positives, np.full(len(negatives), i), negatives

    pieces = [(np.empty(0, np.int64),) * 4, *_rows_of_distances(points, classes, threads, visit)]
    a, positives, b, negatives = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    return a, positives, b, negatives
