"""Shapes and strides: broadcasting, and merging axes that memory merges already."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


def collapse(
    shape: Sequence[int], strides: Sequence[Sequence[int]]
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """The fewest axes that describe all arrays of one shape, in the same order of elements.

    Axes of length 1 go; neighbours merge where in every array the outer stride is the inner one times its length.
    Of no elements there is one axis, whatever the strides say.

    >>> collapse((2, 3, 4), [(12, 4, 1), (0, 0, 0)])
    ((24,), ((1,), (0,)))
    >>> collapse((2, 3, 4), [(12, 4, 1), (24, 4, 1)])
    ((2, 12), ((12, 1), (24, 1)))
    """
    if 0 in shape:
        return (0,), ((0,),) * len(strides)
    merged: list[int] = []
    columns: list[list[int]] = [[] for _ in strides]
    for axis, length in enumerate(shape):
        if length == 1:
            continue
        if merged and all(c[-1] == s[axis] * length for c, s in zip(columns, strides, strict=True)):
            merged[-1] *= length
            for column, s in zip(columns, strides, strict=True):
                column[-1] = s[axis]
        else:
            merged.append(length)
            for column, s in zip(columns, strides, strict=True):
                column.append(s[axis])
    return tuple(merged), tuple(tuple(column) for column in columns)


def one_label(target: Any, positions: tuple[int, ...]) -> Any:
    """The label of one row without a batch: PyTorch takes an array of one for it, too."""
    return target.reshape(()) if positions == () and tuple(target.shape) == (1,) else target


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    strides = []
    step = 1
    for length in reversed(shape):
        strides.append(step)
        step *= length
    return tuple(reversed(strides))


def size_of(shape: Sequence[int]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def span(shape: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """The lowest offset of an element and the one past the highest, in elements."""
    if size_of(shape) == 0:
        return 0, 0
    steps = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
    return sum(min(0, step) for step in steps), 1 + sum(max(0, step) for step in steps)


def one_place_each(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether no two elements share a place."""
    reach, nested = 0, True
    for stride, length in sorted((abs(stride), length) for stride, length in zip(strides, shape, strict=True)):
        if length > 1:
            if stride == 0:
                return size_of(shape) == 0
            nested &= stride > reach
            reach += stride * (length - 1)
    if nested or size_of(shape) == 0:
        return True
    offsets = np.zeros(shape, np.int64)  # of axes that interleave
    for axis, stride in enumerate(strides):
        offsets += np.arange(shape[axis]).reshape(-1, *(1,) * (len(shape) - 1 - axis)) * stride
    return len(np.unique(offsets)) == offsets.size


def memory_order(strides: Sequence[int]) -> tuple[int, ...] | None:
    """Axes from the largest stride to the smallest; None if that is the order they are in."""
    order = tuple(sorted(range(len(strides)), key=lambda axis: -abs(strides[axis])))
    return None if order == tuple(range(len(strides))) else order


def broadcast(shapes: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """As ``np.broadcast_shapes``, for shapes that may have lengths which torch.compile does not know yet, too."""
    lengths = []
    for axis in itertools.zip_longest(*map(reversed, shapes), fillvalue=1):
        length = 1
        for one in axis:
            if one != 1:
                if length not in (1, one):
                    raise ValueError(f"lengths {length} and {one} of an axis do not broadcast")
                length = one
        lengths.append(length)
    return tuple(reversed(lengths))
