"""From arrays to a plan, for losses over a class axis: cross_entropy and nll_loss."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from fastloss import _errors
from fastloss._arrays import COMPUTE, ITEMSIZE, widest
from fastloss._layout import collapse, memory_order, one_label, size_of
from fastloss._plan import BLOCK_ELEMENTS, Operands, Output, Parameters, Plan, Runnable, block_size, extents, mean_scale

#: Rows with at most so many classes are worked on in lanes (measured: there the two meet).
MAX_CLASSES_IN_LANES = 256
LANE_TILE_BYTES = 32768  # of one transposed tile: in the first-level cache
PLANE_TILE_BYTES = 262144  # of one tile of planes, where narrow tiles would read memory in short pieces


class Geometry(NamedTuple):
    """Positions and classes of an array: strides in elements over (outer, inner) positions and classes."""

    outer: int
    inner: int
    strides: tuple[tuple[int, int, int], ...]  # for each array: outer, inner, class


def class_axis(loss: str, shape: tuple[int, ...], axis: int | None) -> int:
    if len(shape) == 0:
        raise ValueError(f"{loss}: input has shape (), expected (C), (N, C) or (N, C, d1, ...)")
    if axis is None:
        return 1 if len(shape) > 1 else 0
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"{loss}: axis is {axis}, out of range for input of shape {shape}")
    return axis % len(shape)


def geometry(shape: tuple[int, ...], axis: int, strides: list[tuple[int, ...]]) -> Geometry | None:
    """Two axes of positions for all arrays; None where memory needs more."""
    others = [i for i in range(len(shape)) if i != axis]
    merged, columns = collapse([shape[i] for i in others], [[s[i] for i in others] for s in strides])
    if len(merged) > 2:
        return None
    lengths = (1,) * (2 - len(merged)) + merged
    padded = [(0,) * (2 - len(merged)) + column for column in columns]
    return Geometry(lengths[0], lengths[1], tuple((c[0], c[1], s[axis]) for c, s in zip(padded, strides, strict=True)))


class SplitPlan:
    """Huge rows: note what the pieces hold, fold it to losses and statistics, write the gradient piece by piece.

    No ``note`` in a backward pass, no ``write`` where no gradient is asked for.
    """

    def __init__(self, note: Plan | None, fold: Plan | None, write: Plan | None, flags: int, parts: Output) -> None:
        from fastloss.kernels import launch_cpu as launch

        self.note, self.fold, self.write = note, fold, write
        self.mean = bool(flags & launch.MEAN)
        self.empty_zero = bool(flags & launch.EMPTY_ZERO)
        self.parts = parts
        one = note or write
        assert one is not None
        self.losses, self.grads, self.statistics = one.losses, one.grads, one.statistics

    def run(
        self,
        operands: Operands,
        upstream: int = 0,
        losses: int = 0,
        grad: int = 0,
        target_grad: int = 0,
        third_grad: int = 0,
        statistics: int = 0,
        scale: float = 1.0,
    ) -> tuple[float, float]:
        """As Plan.run."""
        if self.note is None or self.fold is None:
            assert self.write is not None
            return self.write.run(operands, upstream, 0, grad, target_grad, 0, statistics, scale)
        backend = self.note.backend
        x, t, _, weight, sample_weight = operands
        parts = self.parts.make(backend)
        with_parts = (x, t, parts, weight, sample_weight)
        self.note.run(with_parts)
        # Large enough for the statistics of all dtypes.
        kept = None if statistics else Output((self.fold.items, 3), "float64").make(backend)
        place = statistics or backend.address(kept)
        value, denominator = self.fold.run(with_parts, losses=losses, statistics=place)
        if self.write is not None:
            if self.mean:
                scale = mean_scale(scale, denominator, self.empty_zero)
            self.write.run(operands, upstream, 0, grad, target_grad, 0, place, scale)
        return value, denominator


def normalise(
    loss: str, backend: Any, arrays: Operands, *, axis: int | None, probabilities_allowed: bool = True
) -> Operands:
    """Check and convert: contiguous int64 labels or probabilities of the input's dtype, weights for the arithmetic."""
    x: Any
    t: Any
    x, t, _, weight, sample_weight = (
        None if array is None else backend.convert(array, loss, name)
        for name, array in zip(("input", "target", "", "weight", "sample_weight"), arrays, strict=True)
    )
    dtype = backend.dtype_name(x)
    if dtype not in COMPUTE:
        raise _errors.not_floating(loss, "input", dtype, backend.is_floating(t))
    compute = COMPUTE[dtype]
    shape = tuple(x.shape)
    axis = class_axis(loss, shape, axis)
    classes = shape[axis]
    if classes == 0:
        raise ValueError(f"{loss}: input has shape {shape}: no classes along axis {axis}")
    positions = shape[:axis] + shape[axis + 1 :]
    x = backend.plain_strides(x)
    if backend.is_floating(t) and probabilities_allowed:
        if tuple(t.shape) != shape:
            hint = "; for class indices use an integer dtype" if tuple(t.shape) == positions else ""
            raise ValueError(f"{loss}: target (class probabilities) has shape {tuple(t.shape)}, expected {shape}{hint}")
        dtype = widest((dtype, backend.dtype_name(t)))
        compute = COMPUTE[dtype]
        x, t = (backend.plain_strides(backend.cast(one, dtype)) for one in (x, t))
    elif backend.is_integer(t):
        t = one_label(t, positions)
        if tuple(t.shape) != positions:
            hint = "; drop the axes of length 1" if size_of(t.shape) == size_of(positions) else ""
            if probabilities_allowed and tuple(t.shape) == shape:
                hint = "; one-hot targets must be floating, like class probabilities"
            raise ValueError(
                f"{loss}: target (class indices) has shape {tuple(t.shape)}, expected {positions} for input of shape "
                f"{shape} with classes along axis {axis}{hint}"
            )
        t = backend.labels(t, loss)
    else:
        expected = "an integer dtype (class indices)"
        if probabilities_allowed:
            expected += " or a floating one (class probabilities)"
        raise TypeError(f"{loss}: target has dtype {backend.dtype_name(t)}, expected {expected}")
    if weight is not None:
        if not backend.is_floating(weight):
            raise TypeError(f"{loss}: weight has dtype {backend.dtype_name(weight)}, expected a floating one")
        _errors.check_shape(loss, "weight", weight.shape, (classes,))
        weight = backend.contiguous(backend.cast(weight, compute))
    if sample_weight is not None:
        if not (backend.is_floating(sample_weight) or backend.is_integer(sample_weight)):
            dtype = backend.dtype_name(sample_weight)
            raise TypeError(f"{loss}: sample_weight has dtype {dtype}, expected a floating or integer one")
        _errors.check_broadcastable(loss, "sample_weight", tuple(sample_weight.shape), positions)
        sample_weight = backend.contiguous(backend.cast(backend.broadcast_to(sample_weight, positions), compute))
    return x, t, None, weight, sample_weight


def build(
    loss: str,
    backend: Any,
    operands: Operands,
    upstream: Any,
    flags: int,
    outs: tuple[Any, ...],
    *,
    axis: int | None,
    reduction: str,
    ignore_index: int,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    empty: str = "nan",
    log_probabilities: bool = False,
) -> Runnable | None:
    """The plan; None where the input's memory needs more than two axes of positions (copy it and ask again)."""
    from fastloss.kernels import build_cpu, lanes_cpu
    from fastloss.kernels import classification_cpu as kernels
    from fastloss.kernels import classification_lanes_cpu as in_lanes_cpu
    from fastloss.kernels import classification_rows_cpu as in_rows_cpu
    from fastloss.kernels import launch_cpu as launch

    x, t, _, weight, sample_weight = operands
    dtype = backend.dtype_name(x)
    compute = COMPUTE[dtype]
    shape = tuple(x.shape)
    axis = class_axis(loss, shape, axis)
    classes = shape[axis]
    positions = shape[:axis] + shape[axis + 1 :]
    items = size_of(positions)
    indices = not backend.is_floating(t)

    if indices and flags & launch.GRAD_TARGET:
        raise NotImplementedError(f"{loss}: no gradient with respect to target: class indices have none")

    # The gradient has the input's layout where that is dense, else C order.
    x_strides = backend.strides(x)
    like_input = Output(shape, dtype, memory_order(x_strides))
    read = [x_strides] if indices else [x_strides, backend.strides(t)]
    place = None
    # The caller's own arrays are written in place where their strides allow it.
    for outputs in (
        tuple(Output(shape, dtype, None, backend.strides(out)) if out is not None else like_input for out in outs[:2]),
        (like_input, like_input),
        (Output(shape, dtype), Output(shape, dtype)),
    ):
        place = geometry(shape, axis, [*read, *(output.strides() for output in outputs)])
        if place is not None:
            break
    if place is None:
        return None
    own, own_grad, target_grad = place.strides[0], place.strides[-2], place.strides[-1]
    target = (0, 0, 0) if indices else place.strides[1]

    full = weight is not None or label_smoothing != 0.0 or z_loss != 0.0 or softcap is not None
    size = ITEMSIZE[compute]
    tiles = 1 if indices else 2
    kept_numbers = 2 if indices else 3
    lanes, pieces = 0, 1
    value, gradient = bool(flags & launch.VALUE), bool(flags & launch.GRADIENTS)
    asked = {"VALUES": value, "GRADIENTS": gradient}
    if log_probabilities:
        kernel = build_cpu.kernel(kernels.nll, dtype, **asked)
        cost = classes * 0.05 + 10.0 if gradient else 10.0
        block = block_size(items, BLOCK_ELEMENTS // min(classes, 1024), 1, items * 10.0)
    else:
        cost = classes * (0.45 if gradient else 0.25) * (2 if compute == "float64" else 1) + 2.0
        least = items * classes * 0.25  # blocks must be the same whether or not a gradient is wanted
        block = max(1, BLOCK_ELEMENTS // classes)
        # Where the class axis is not the last, lanes of neighbours in memory.
        in_lanes = classes <= MAX_CLASSES_IN_LANES if own[2] == 1 else place.inner >= 16 and own[1] == 1
        # A row that no cache holds, or few rows too long for one core each, are cut in pieces.
        pieces = -(-classes // in_rows_cpu.PIECE)
        if in_lanes or not (pieces >= 4 or (pieces >= 2 and items < 8)):
            pieces = 1
        variant = {
            "INDEX": indices,
            "PROBABILITIES": not indices,
            "FULL": full,
            "SOFTCAP_ON": softcap is not None,
            "KEPT_NUMBERS": kept_numbers,
        }
        if in_lanes:
            budget = LANE_TILE_BYTES if own[2] == 1 else PLANE_TILE_BYTES
            group = lanes_cpu.lane_group(classes * tiles, size) if items >= 64 else lanes_cpu.LANE_GROUP
            lanes = max(group, min(in_lanes_cpu.MAX_LANES, budget // (size * classes * tiles) // group * group))
            block = block_size(items, max(block, lanes), group, least)
            lanes = min(lanes, -(-block // group) * group)
            keeps = indices and not full and value and gradient
            kernel = build_cpu.kernel(
                in_lanes_cpu.cross_entropy_lanes, dtype, **variant, **asked, LANE_GROUP=group, KEEPS=keeps
            )
        else:
            block = block_size(items, block, 1, least)
            keeps = softcap is None and value and bool(flags & launch.GRAD)
            if pieces == 1:
                kernel = build_cpu.kernel(
                    in_rows_cpu.cross_entropy_rows, dtype, **variant, **asked, SPLIT=False, KEEPS=keeps
                )

    if reduction == "mean":
        flags |= launch.MEAN | (launch.EMPTY_ZERO if empty == "zero" else 0)
        if indices or sample_weight is not None:
            flags |= launch.FIND_DENOMINATOR
    smoothing = label_smoothing / classes
    parameters: Parameters = {
        kernels.CLASSES: classes,
        kernels.INNER: max(1, place.inner),
        kernels.OUTER_STRIDE: own[0],
        kernels.INNER_STRIDE: own[1],
        kernels.CLASS_STRIDE: own[2],
        kernels.GRAD_OUTER_STRIDE: own_grad[0],
        kernels.GRAD_INNER_STRIDE: own_grad[1],
        kernels.GRAD_CLASS_STRIDE: own_grad[2],
        kernels.TARGET_OUTER_STRIDE: target[0],
        kernels.TARGET_INNER_STRIDE: target[1],
        kernels.TARGET_CLASS_STRIDE: target[2],
        kernels.TARGET_GRAD_OUTER_STRIDE: target_grad[0],
        kernels.TARGET_GRAD_INNER_STRIDE: target_grad[1],
        kernels.TARGET_GRAD_CLASS_STRIDE: target_grad[2],
        kernels.UPSTREAM_STRIDE: int(reduction == "none"),
        kernels.IGNORE_INDEX: ignore_index,
        kernels.LANES: lanes,
        kernels.KEPT: 1.0 - label_smoothing,
        kernels.SMOOTHING: smoothing,
        kernels.Z_LOSS: float(z_loss),
        kernels.SOFTCAP: 1.0 if softcap is None else float(softcap),
    }

    def bad(operands: Operands, item: int) -> Exception:
        label = int(operands[1].reshape(-1)[item])
        where = tuple(int(i) for i in np.unravel_index(item, positions)) if positions else ()
        return IndexError(
            f"{loss}: target{list(where) if where else ''} is {label}, expected a class in [0, {classes})"
            f" or ignore_index ({ignore_index})"
        )

    shared: dict[str, Any] = dict(
        loss=loss,
        backend=backend,
        denominator=float(items),
        parameters=parameters,
        losses=Output(positions, compute) if reduction == "none" else None,
        grads=(outputs[0] if flags & launch.GRAD else None, outputs[1] if flags & launch.GRAD_TARGET else None, None),
        statistics=Output((items, kept_numbers), compute) if flags & launch.STATS and not log_probabilities else None,
        bad=bad,
    )
    spans = extents(backend, operands, (outputs[0], outputs[1], None), outs)
    nanoseconds = items * cost
    if pieces == 1:
        return Plan(
            **shared, kernel=kernel, items=items, block=block, nanoseconds=nanoseconds, flags=flags, extents=spans
        )
    parameters[kernels.PIECES] = pieces
    note = fold = write = None
    split = functools.partial(build_cpu.kernel, in_rows_cpu.cross_entropy_rows, dtype, **variant, SPLIT=True)
    pass_over = functools.partial(Plan, **shared, items=items * pieces, block=1, nanoseconds=nanoseconds)
    # All kernels before the first plan, which waits for its own.
    noting = split(VALUES=True, GRADIENTS=False) if value else None
    writing = split(VALUES=False, GRADIENTS=True) if gradient else None
    if value:
        combine = build_cpu.kernel(in_rows_cpu.combine_rows, dtype, **variant)
        note = pass_over(kernel=noting, flags=launch.VALUE)
        folding = flags & ~launch.GRADIENTS & ~launch.STATS
        fold = Plan(**shared, kernel=combine, items=items, block=1, nanoseconds=0.0, flags=folding)
    if gradient:
        write = pass_over(kernel=writing, flags=flags & launch.GRADIENTS | launch.STATS, extents=spans)
    return SplitPlan(note, fold, write, flags, Output((items * pieces, in_rows_cpu.PART_BYTES // 8), "float64"))


def check_distributions(name: str, what: str, target: Any, shape: tuple[int, ...], axis: int) -> None:
    """ValueError for a target that has no number for each class of each position."""
    if tuple(target.shape) != shape:
        without = shape[:axis] + shape[axis + 1 :]
        hint = "; for class indices use an integer dtype" if tuple(target.shape) == without else ""
        raise ValueError(f"{name}: target ({what}) has shape {tuple(target.shape)}, expected {shape}{hint}")


def checked_logits(name: str, backend: Any, x: Any) -> str:
    """The name of the dtype of an input, which must be floating."""
    dtype: str = backend.dtype_name(x)
    if dtype not in COMPUTE:
        raise _errors.not_floating(name, "input", dtype)
    return dtype
