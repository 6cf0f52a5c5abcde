"""Losses of the matrix of similarities of two sets of rows, strip by strip: the matrix is never held.

One sweep serves losses of which every row is a function of its own similarities: a product makes the strip, a kernel
makes coefficients of it while it is in the cache, two more products carry these into the gradients. Where a
coefficient needs sums over its column too (``Margins``), a first sweep finds the sums and a second makes the strip
again.

What strips add to the same rows is added in the order of the strips (``Turns``), so that the bits do not depend on the
threads, and without a matrix of partial sums for each of them.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastloss import _strips
from fastloss._batch import kernel

#: Rows of a strip, at most and at least, and its bytes where there are many columns.
MOST_ROWS, LEAST_ROWS, STRIP_BYTES = 256, 32, 12 << 20
#: Columns of a strip whose product goes into a gradient at once: it stays in the cache until it is added.
BLOCK = 1024


class Turns:
    """Whoever adds to a block waits until the strips before have added theirs.

    Strips are claimed in their order, so the first one that has not ended never waits.
    """

    def __init__(self, blocks: int) -> None:
        self._next, self._changed, self._failed = [0] * blocks, threading.Condition(), False

    def guarded(self, work: Callable[[int], None]) -> Callable[[int], None]:
        """The work of a strip, after whose failure nobody waits for its turn; numbers overflow without a warning."""

        def strip(i: int) -> None:
            try:
                with np.errstate(all="ignore"):
                    work(i)
            except BaseException:
                with self._changed:
                    self._failed = True
                    self._changed.notify_all()
                raise

        return strip

    def take(self, block: int, strip: int, act: Callable[[], None]) -> None:
        """Act when it is the strip's turn; not at all where another strip has failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._failed or self._next[block] == strip)
            if self._failed:
                return
        act()
        with self._changed:
            self._next[block] += 1
            self._changed.notify_all()


def buffers(*sizes: int, dtype: Any) -> _strips.Loans:
    """Flat arrays of so many elements each."""
    return _strips.Loans(lambda: [np.empty(size, dtype) for size in sizes])


def rows_of_strip(columns: int, itemsize: int) -> int:
    """From the shape alone, never from the threads: the bits depend on it."""
    fitting = STRIP_BYTES // max(1, columns * itemsize) // LEAST_ROWS * LEAST_ROWS
    return max(LEAST_ROWS, min(MOST_ROWS, fitting))


class Units:
    """The rows of matrices, one below the other, as the products take them: in an order, of unit length if asked for.

    ``order[k]`` is the row that comes k-th.
    """

    def __init__(self, matrices: Sequence[Any], normalise: bool, threads: int, order: Any = None) -> None:
        self.lengths = [len(matrix) for matrix in matrices]
        matrix = matrices[0] if len(matrices) == 1 else np.concatenate(matrices)
        self.order, self.threads, self.norms = order, threads, None
        self.dtype = str(matrix.dtype)
        if not normalise:
            self.rows = matrix if order is None else matrix[order]
            return
        self.rows, self.norms = np.empty_like(matrix), np.empty(len(matrix))
        unit = kernel("similarities_cpu.unit_rows", self.dtype)
        width = matrix.shape[1]

        def piece(low: int, high: int) -> None:
            unit(low, high, matrix, order, width, self.rows, self.norms)

        _strips.over_rows(piece, len(matrix), threads, matrix.size)

    def write_slopes(self, slope: Any, factor: float, outs: Sequence[Any]) -> None:
        """The gradients by the matrices that came, one below the other, from that by the rows, times a factor.

        None stands for a gradient that is not wanted.
        """
        if slope is None or all(out is None for out in outs):
            return
        whole = outs[0] if len(outs) == 1 else np.empty_like(slope)
        write = kernel("similarities_cpu.slopes_of_rows", self.dtype)
        units = None if self.norms is None else self.rows
        width = slope.shape[1]

        def piece(low: int, high: int) -> None:
            write(low, high, slope, self.order, width, units, self.norms, whole, float(factor))

        _strips.over_rows(piece, len(slope), self.threads, slope.size)
        if len(outs) > 1:
            begin = 0
            for out, length in zip(outs, self.lengths, strict=True):
                if out is not None:
                    out[...] = whole[begin : begin + length]
                begin += length


#: What makes coefficients of the strip of rows [low, high): the sum of the losses, and how many rows count.
Score = Callable[[int, int, Any], tuple[float, float, int]]


class Sweep:
    """Every strip of scale * left @ right.T once: scores, and gradients by both sides (before the scale).

    ``own``, of a row for each row of left, gives every strip a first column: the products of these with left's. Then
    ``by_own`` is the gradient by it. The gradient of a side is None where it is not wanted.
    """

    def __init__(
        self,
        left: Any,
        right: Any,
        scale: float,
        score: Score,
        threads: int,
        by_left: bool,
        by_right: bool,
        own: Any = None,
    ) -> None:
        self.left, self.right, self.own, self.scale, self.score = left, right, own, scale, score
        self.by_left: Any = np.empty_like(left) if by_left else None
        self.by_right: Any = np.zeros_like(right) if by_right else None
        self.by_own: Any = None if own is None else np.empty_like(own)
        self.lead = 0 if own is None else 1
        columns, width = self.lead + len(right), left.shape[1]
        self.height = rows_of_strip(columns, left.itemsize)
        strips = -(-len(left) // self.height)
        self.sums, self.counts = np.zeros(strips), np.zeros(strips)
        self.turns = Turns(-(-len(right) // BLOCK))
        height = self.height
        self.buffers = buffers(height * columns, height * width, BLOCK * width, dtype=left.dtype)
        _strips.run(self.turns.guarded(self._strip), strips, threads)
        self.total, self.count = float(self.sums.sum()), float(self.counts.sum())

    def _strip(self, i: int) -> None:
        low = i * self.height
        high = min(len(self.left), low + self.height)
        rows, lead = self.left[low:high], self.lead
        with self.buffers.lent() as arrays:
            tile, scaled = shaped(arrays[0], len(rows), lead + len(self.right)), shaped(arrays[1], *rows.shape)
            np.multiply(rows, rows.dtype.type(self.scale), out=scaled)
            np.matmul(scaled, self.right.T, out=tile[:, lead:])
            if lead:
                np.einsum("nd,nd->n", scaled, self.own[low:high], out=tile[:, 0])
            self.sums[i], self.counts[i], _ = self.score(low, high, tile)
            if self.by_left is not None:
                slope = self.by_left[low:high]
                np.matmul(tile[:, lead:], self.right, out=slope)
                if lead:
                    slope += tile[:, :1] * self.own[low:high]
            if self.by_right is not None:
                add_transposed(self.turns, i, tile[:, lead:], rows, self.by_right, arrays[2])
            if lead:
                np.multiply(tile[:, :1], rows, out=self.by_own[low:high])


def shaped(buffer: Any, *shape: int) -> Any:
    """The beginning of a flat buffer as a matrix."""
    rows, columns = shape
    return buffer[: rows * columns].reshape(rows, columns)


def add_transposed(turns: Turns, strip: int, tile: Any, rows: Any, total: Any, scratch: Any) -> None:
    """total += tile.T @ rows, block by block of the tile's columns."""
    width = rows.shape[1]
    for block, begin in enumerate(range(0, tile.shape[1], BLOCK)):
        part = tile[:, begin : begin + BLOCK].T
        product = shaped(scratch, len(part), width)
        np.matmul(part, rows, out=product)
        into = total[begin : begin + len(part)]
        turns.take(block, strip, functools.partial(np.add, into, product, out=into))


class Margins:
    """Cross-entropies of the rows of scale * left @ right.T and, where they differ, of its columns, and their slopes.

    ``right`` None: the rows are compared with each other, all but themselves, and half of the matrix is computed.
    ``firsts`` and ``lasts`` bound the columns that are positives of each row; with ``right`` it is the diagonal alone.
    """

    def __init__(
        self, left: Any, right: Any, scale: float, threads: int, firsts: Any, lasts: Any, weights: Any, losses: Any
    ) -> None:
        self.left, self.right, self.scale, self.threads = left, right, scale, threads
        self.firsts, self.lasts, self.itself = firsts, lasts, right is None
        self.others = left if self.itself else right
        self.dtype = str(left.dtype)
        self.height = rows_of_strip(len(self.others), left.itemsize)
        self.strips = -(-len(left) // self.height)
        width = left.shape[1]
        positives = np.empty(len(left))
        kernel("similarities_cpu.positive_logits", self.dtype)(
            0,
            len(left),
            left,
            self.others,
            width,
            firsts,
            lasts,
            int(self.itself),
            float(scale),
            np.empty(width),
            positives,
        )
        sides = self._sums()
        finish = kernel("similarities_cpu.finish_marginals", self.dtype)
        self.total = self.count = 0.0
        self.sides = []
        for (tops, sums), written in zip(sides, losses, strict=True):
            side = [np.empty(len(tops), left.dtype) for _ in range(3)]
            total, count, _ = finish(
                0, len(tops), tops, sums, positives, firsts, lasts, int(self.itself), weights, written, *side
            )
            self.total += total
            self.count += count
            self.sides.append(side)

    def _tile(self, i: int, tile: Any, scaled: Any) -> tuple[int, int, int, Any]:
        """The strip's rows, the first column that it has, and the similarities."""
        low = i * self.height
        high = min(len(self.left), low + self.height)
        start = low if self.itself else 0
        columns = self.others[start:]
        tile, scaled = shaped(tile, high - low, len(columns)), shaped(scaled, high - low, columns.shape[1])
        np.multiply(self.left[low:high], scaled.dtype.type(self.scale), out=scaled)
        np.matmul(scaled, columns.T, out=tile)
        return low, high, start, tile

    def _sums(self) -> list[tuple[Any, Any]]:
        """(top, sum of exp(x - top)) of every row, and of every column where these are others."""
        from fastloss.kernels.similarities_cpu import LOWEST

        shapes = [len(self.left)] if self.itself else [len(self.left), len(self.others)]
        sides = [(np.full(length, LOWEST), np.zeros(length)) for length in shapes]
        look, merge = (
            kernel("similarities_cpu.marginals", self.dtype),
            kernel("similarities_cpu.merge_marginals", self.dtype),
        )
        columns, width = self.others.shape
        turns = Turns(1)
        dtype = self.left.dtype
        loans = buffers(self.height * columns, self.height * width, self.height, columns, columns, dtype=dtype)

        @turns.guarded
        def strip(i: int) -> None:
            with loans.lent() as arrays:
                low, high, start, tile = self._tile(i, *arrays[:2])
                row_tops, tops, sums = arrays[2:]
                row_sums = np.empty(high - low)
                lasts = self.lasts if self.itself else None
                look(low, high, tile, tile.shape[1], start, lasts, self.firsts, row_tops, row_sums, tops, sums)

                def add() -> None:
                    merge(low, high, *sides[0], row_tops, row_sums, 1)
                    if self.itself:
                        merge(high, columns, *sides[0], tops[high - low :], sums[high - low :], 0)
                    else:
                        merge(0, columns, *sides[1], tops, sums, 0)

                turns.take(0, i, add)

        _strips.run(strip, self.strips, self.threads)
        return sides

    def _coefficients(self, low: int, high: int, start: int, tile: Any) -> None:
        rows, columns = self.sides[0], self.sides[-1]
        kernel("similarities_cpu.softmax_coefficients", self.dtype)(
            low, high, tile, tile.shape[1], start, self.firsts, self.lasts, int(self.itself), *rows, *columns
        )

    def slopes(self, by_left: bool, by_right: bool) -> tuple[Any, Any]:
        """The gradients by left and right, before the scale: of two matrices."""
        by_rows: Any = np.empty_like(self.left) if by_left else None
        by_columns: Any = np.zeros_like(self.others) if by_right else None
        columns, width = self.others.shape
        turns = Turns(-(-columns // BLOCK))
        loans = buffers(self.height * columns, self.height * width, BLOCK * width, dtype=self.left.dtype)

        @turns.guarded
        def strip(i: int) -> None:
            with loans.lent() as arrays:
                low, high, start, tile = self._tile(i, *arrays[:2])
                self._coefficients(low, high, start, tile)
                rows = self.left[low:high]
                if by_left:
                    np.matmul(tile, self.others, out=by_rows[low:high])
                if by_columns is not None:
                    add_transposed(turns, i, tile, rows, by_columns, arrays[2])

        _strips.run(strip, self.strips, self.threads)
        return by_rows, by_columns

    def slopes_of_itself(self) -> Any:
        """The gradient by the one matrix, before the scale."""
        total = np.zeros_like(self.left)
        rows, width = self.left.shape
        # A block ends where a strip ends, and each strip adds to each block from its own on, once.
        block = self.height * max(1, BLOCK // self.height)
        blocks = -(-rows // block)
        turns = Turns(blocks)
        loans = buffers(
            self.height * rows, self.height * width, self.height * width, block * width, dtype=self.left.dtype
        )

        @turns.guarded
        def strip(i: int) -> None:
            with loans.lent() as arrays:
                low, high, start, tile = self._tile(i, *arrays[:2])
                self._coefficients(low, high, start, tile)
                own = shaped(arrays[2], high - low, width)
                np.matmul(tile, self.left[low:], out=own)
                for number in range(low // block, blocks):
                    begin, end = max(high, number * block), min(rows, (number + 1) * block)
                    product = shaped(arrays[3], max(0, end - begin), width)
                    if begin < end:
                        np.matmul(tile[:, begin - low : end - low].T, self.left[low:high], out=product)

                    def add(first: bool = number == low // block, begin: int = begin, product: Any = product) -> None:
                        if first:
                            total[low:high] += own
                        total[begin : begin + len(product)] += product

                    turns.take(number, i, add)

        _strips.run(strip, self.strips, self.threads)
        return total


def slope_by_scale(by_left: Any, left: Any) -> float:
    """The derivative by the scale, from the gradient by left before the scale: coefficients times cosines, summed."""
    return float(np.einsum("nd,nd->", by_left, left, dtype=np.float64, casting="unsafe"))
