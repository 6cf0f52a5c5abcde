"""From arrays to a plan, for losses that are ratios of sums over masks: the overlap family."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastloss import _errors
from fastloss._arrays import COMPUTE, ITEMSIZE
from fastloss._layout import collapse, memory_order, size_of
from fastloss._plan import BLOCK_ELEMENTS, LEAST_BLOCKS, Operands, Output, Parameters, Plan, block_size, extents
from fastloss._softmax import SplitPlan, class_axis

#: Lanes of a tile: many where all of it stays in the first-level cache, and enough to read planes in long pieces.
MAX_LANES = 1024
#: Exponentials and what is said of each lane want room there too: with 1,024 lanes few classes took a fifth longer.
MAX_LANES_OF_SOFTMAX = 256
LEAST_LANES_OF_PLANES = 256
LANE_TILE_BYTES = 32768
PLANE_TILE_BYTES = 262144
#: Elements of a chunk, about, and what one costs a core: decides who works on it.
CHUNK_ELEMENTS = 2 * BLOCK_ELEMENTS
NANOSECONDS = {"probabilities": 0.2, "sigmoid": 0.5, "softmax": 0.7}

MODES = ("binary", "multiclass", "multilabel")


class Settings(NamedTuple):
    """What a call means, whatever its arrays."""

    loss: str
    mode: str | None
    from_logits: bool
    axis: int | None
    per_image: bool
    reduction: str
    ignore_index: int
    empty: str
    alpha: float
    beta: float
    smooth: float
    gamma: float


class Case(NamedTuple):
    """What the arrays are: ``axis`` is None for binary masks, ``indices`` says that the target has no class axis."""

    mode: str
    axis: int | None
    classes: int
    indices: bool


def case(settings: Settings, shape: tuple[int, ...], target: tuple[int, ...]) -> Case:
    """The mode, given or found from the shapes; ValueError where they leave it open."""
    loss, mode = settings.loss, settings.mode
    if mode == "binary":
        if settings.axis is not None:
            raise ValueError(f"{loss}: axis is {settings.axis}, but masks of mode='binary' have no class axis")
        _errors.check_shape(loss, "target", target, shape)
        return Case("binary", None, 1, False)
    same = shape == target
    if mode is None and same and settings.axis is None and (len(shape) < 2 or shape[1] == 1):
        return Case("binary", None, 1, False)
    axis = class_axis(loss, shape, settings.axis)
    classes = shape[axis]
    if classes == 0:
        raise ValueError(f"{loss}: input has shape {shape}: no classes along axis {axis}")
    if mode is None and same:
        raise ValueError(
            f"{loss}: mode is None, but for an input and a target of the same shape {shape} it could be any: give "
            "mode='multiclass' or 'multilabel' for classes along an axis, mode='binary' for masks without one"
        )
    positions = shape[:axis] + shape[axis + 1 :]
    if not same:
        expected = f"{shape}" if mode == "multilabel" else f"{shape}, or {positions} for class indices"
        if target != positions or mode == "multilabel":
            hint = " (classes are along axis 1 unless axis says otherwise)" if settings.axis is None else ""
            raise ValueError(f"{loss}: target has shape {target}, expected {expected}{hint}")
        if classes == 1:
            raise ValueError(
                f"{loss}: target has shape {target}, expected {shape}: one class is no choice; give a binary mask the "
                "shape of the input"
            )
    if settings.per_image and axis == 0:
        raise ValueError(f"{loss}: per_image is True, but axis 0 is that of the classes and not of images")
    return Case(mode or "multiclass", axis, classes, not same)


def loss_shape(settings: Settings, shape: tuple[int, ...], target: tuple[int, ...]) -> tuple[int, ...]:
    """One loss for each class, and each image where asked for."""
    found = case(settings, shape, target)
    images = shape[:1] if settings.per_image else ()
    return images if found.axis is None else (*images, found.classes)


def normalise(settings: Settings, backend: Any, arrays: Operands) -> Operands:
    """Check and convert: int64 labels or a dense target of the input's dtype, weights for the arithmetic."""
    loss = settings.loss
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
    found = case(settings, shape, tuple(t.shape))
    if settings.per_image and not shape:
        raise ValueError(f"{loss}: per_image is True, but input has shape () and no axis of images")
    if found.indices:
        if not backend.is_integer(t):
            raise TypeError(
                f"{loss}: target has dtype {backend.dtype_name(t)} and no class axis, expected an integer dtype (class "
                "indices)"
            )
        t = backend.labels(t, loss)
    else:
        if not (backend.is_floating(t) or backend.is_integer(t) or "bool" in backend.dtype_name(t)):
            raise TypeError(
                f"{loss}: target has dtype {backend.dtype_name(t)}, expected a floating or integer one, or bool"
            )
        t = backend.plain_strides(backend.cast(t, dtype))
    if weight is not None:
        if not backend.is_floating(weight):
            raise TypeError(f"{loss}: weight has dtype {backend.dtype_name(weight)}, expected a floating one")
        _errors.check_shape(loss, "weight", weight.shape, (found.classes,))
        weight = backend.contiguous(backend.cast(weight, compute))
    if sample_weight is not None:
        own = backend.dtype_name(sample_weight)
        if not (backend.is_floating(sample_weight) or backend.is_integer(sample_weight) or "bool" in own):
            raise TypeError(f"{loss}: sample_weight has dtype {own}, expected a floating or integer one, or bool")
        positions = _positions(shape, found.axis)
        _errors.check_broadcastable(loss, "sample_weight", tuple(sample_weight.shape), positions)
        sample_weight = backend.contiguous(backend.cast(backend.broadcast_to(sample_weight, positions), compute))
    return backend.plain_strides(x), t, None, weight, sample_weight


def _positions(shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    return shape if axis is None else shape[:axis] + shape[axis + 1 :]


class _Place(NamedTuple):
    """Positions in the order of memory: two axes, and for each array its strides by outer, inner and class."""

    inner: int
    order: tuple[int, ...]  # the axes of positions, as they are numbered
    strides: list[tuple[int, int, int]]


def _place(positions: tuple[int, ...], first: int, strides: list[tuple[tuple[int, ...], int] | None]) -> _Place | None:
    """None where memory needs more than two axes. ``strides`` are by position and class; the first array leads.

    The first ``first`` axes stay in front.
    """
    assert strides[0] is not None
    lead = strides[0][0]
    order = tuple(sorted(range(len(positions)), key=lambda axis: (axis >= first, -abs(lead[axis]))))
    present = [s for s in strides if s is not None]
    merged, columns = collapse([positions[i] for i in order], [[s[0][i] for i in order] for s in present])
    if len(merged) > 2:
        return None
    padding = (0,) * (2 - len(merged))
    padded = iter([padding + column for column in columns])
    found = []
    for own in strides:
        if own is None:
            found.append((0, 0, 0))
        else:
            outer, inner = next(padded)
            found.append((outer, inner, own[1]))
    return _Place((padding + merged)[1] if merged else 1, order, found)


def build(
    settings: Settings, backend: Any, operands: Operands, upstream: Any, flags: int, outs: tuple[Any, ...]
) -> SplitPlan | None:
    """The plan; None where memory needs more than two axes of positions (copy it and ask again)."""
    from fastloss.kernels import build_cpu, lanes_cpu
    from fastloss.kernels import launch_cpu as launch
    from fastloss.kernels import overlap_cpu as kernels

    loss = settings.loss
    x, t, _, weight, sample_weight = operands
    dtype = backend.dtype_name(x)
    compute = COMPUTE[dtype]
    shape = tuple(x.shape)
    _, axis, classes, indices = found = case(settings, shape, tuple(t.shape))
    if indices and flags & launch.GRAD_TARGET:
        raise NotImplementedError(f"{loss}: no gradient with respect to target: class indices have none")
    positions = _positions(shape, axis)

    def of(strides: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        return (strides, 0) if axis is None else (_positions(strides, axis), strides[axis])

    like_input = Output(shape, dtype, memory_order(backend.strides(x)))
    read = [
        of(backend.strides(x)),
        (backend.strides(t), 0) if indices else of(backend.strides(t)),
        None if sample_weight is None else (backend.strides(sample_weight), 0),
    ]
    place = None
    # The caller's own arrays are written in place where their strides allow it.
    for outputs in (
        tuple(Output(shape, dtype, None, backend.strides(out)) if out is not None else like_input for out in outs[:2]),
        (like_input, like_input),
        (Output(shape, dtype), Output(shape, dtype)),
    ):
        place = _place(positions, int(settings.per_image), [*read, *(of(output.strides()) for output in outputs)])
        if place is not None:
            break
    if place is None:
        return None

    activation = "probabilities"
    if settings.from_logits:
        activation = "softmax" if found.mode == "multiclass" else "sigmoid"
    images = shape[0] if settings.per_image else 1
    image_length = size_of(positions) // max(images, 1)
    size = ITEMSIZE[compute]
    elements = size_of(shape)
    nanoseconds = elements * NANOSECONDS[activation] * (2 if compute == "float64" else 1)
    few = LANE_TILE_BYTES // (size * classes)
    lanes = max(few, min(LEAST_LANES_OF_PLANES, PLANE_TILE_BYTES // (size * classes)))
    group, most = lanes_cpu.LANE_GROUP, MAX_LANES
    if activation == "softmax":
        group, most = lanes_cpu.lane_group(classes, size), MAX_LANES_OF_SOFTMAX
    lanes = max(group, min(most, lanes) // group * group)
    chunk = block_size(
        image_length,
        max(lanes, CHUNK_ELEMENTS // classes),
        lanes if image_length > 8 * lanes else group,
        nanoseconds if images < LEAST_BLOCKS else 0.0,
    )
    lanes = min(lanes, -(-chunk // group) * group)
    pieces = max(1, -(-image_length // chunk))
    chunks = images * pieces
    block = block_size(chunks, max(1, BLOCK_ELEMENTS // (classes * max(1, min(chunk, image_length)))), 1, nanoseconds)

    # The table of the walk: where each operand's tile is, in place or in a buffer.
    kind = {
        "INDEX": indices,
        "DENSE": not indices,
        "SOFTMAX": activation == "softmax",
        "SIGMOID": activation == "sigmoid",
        "WEIGHTED": sample_weight is not None,
    }
    row = lanes * size
    exponentials = kernels.LANE_ROWS * row + 4 * classes * size
    memory = exponentials + (classes * row if kind["SOFTMAX"] else 0)
    table = np.zeros(kernels.TABLE_SLOTS, np.int64)
    table[kernels.INNER] = max(1, place.inner)
    table[kernels.IMAGE] = image_length
    table[kernels.CHUNK] = chunk
    table[kernels.LANES] = lanes
    table[kernels.ROW] = row
    by_input, by_target = bool(flags & launch.GRAD), bool(flags & launch.GRAD_TARGET)
    whole = kernels.IN_PLACE
    for operand, (slot, item, how, wanted) in enumerate(
        (
            (launch.INPUT, ITEMSIZE[dtype], kernels.FETCHED, True),
            (launch.TARGET, ITEMSIZE["int64" if indices else dtype], whole if indices else kernels.FETCHED, True),
            (launch.SAMPLE_WEIGHT, size, whole, sample_weight is not None),
            (launch.GRAD_INPUT, ITEMSIZE[dtype], kernels.FLUSHED, by_input),
            (launch.GRAD_OF_TARGET, ITEMSIZE[dtype], kernels.FLUSHED, by_target),
        )
    ):
        if not wanted:
            continue
        outer, inner, step = (stride * item for stride in place.strides[operand])
        if inner == item == size:
            how = whole
        base = kernels.OPERANDS + operand * kernels.OPERAND_SLOTS
        # Logits are fetched to where their exponentials will be.
        replaced = kind["SOFTMAX"] and operand == kernels.X
        buffer = exponentials if replaced else memory
        table[base : base + kernels.OPERAND_SLOTS] = slot, outer, inner, step, how, buffer
        if how != whole and not replaced:
            memory += classes * row
    table[kernels.MEMORY_BYTES] = memory
    places = table[kernels.OPERANDS :].reshape(-1, kernels.OPERAND_SLOTS)[:, kernels.PLACE]

    def function(template: Any, dtype: str, *constants: str, **more: int) -> Any:
        return build_cpu.kernel(template, dtype, **{name: kind[name] for name in constants}, **more)

    gradients = launch.GRAD | launch.GRAD_TARGET
    both: dict[int, Any] = {}
    if kernels.FETCHED in places:
        both[kernels.FETCH] = function(kernels.fetch_tile, dtype)
    if kernels.FLUSHED in places:
        both[kernels.FLUSH] = function(kernels.flush_tile, dtype)
    steps = []
    if indices or sample_weight is not None:
        steps.append(function(kernels.marks, compute, "INDEX", "WEIGHTED"))
    if kind["SOFTMAX"]:
        steps.append(function(kernels.softmax, compute, LANE_GROUP=group))
    first, second = dict(both), dict(both)  # the first pass writes no gradients
    if flags & launch.VALUE:
        first |= enumerate((*steps, function(kernels.add_up, compute, *kind)), kernels.STEPS)
    if flags & gradients:
        second[kernels.COEFFICIENTS] = function(kernels.coefficients, compute)
        if by_input and kind["SOFTMAX"] and not indices:
            steps.append(function(kernels.live_lanes, compute, "WEIGHTED"))
        if by_target:
            steps.append(function(kernels.target_slopes, compute, "SOFTMAX", "SIGMOID", "WEIGHTED"))
        if by_input:
            steps.append(function(kernels.slopes, compute, *kind, LANE_GROUP=group))
        second |= enumerate(steps, kernels.STEPS)
    walk = build_cpu.kernel(kernels.walk)
    fold = build_cpu.kernel(kernels.fold, compute)
    noted = table.copy()
    noted[kernels.OPERANDS + kernels.X_GRAD * kernels.OPERAND_SLOTS :] = kernels.ABSENT
    for filled, functions in ((noted, first), (table, second)):
        for slot, one in functions.items():
            filled[slot] = one.address

    if settings.reduction == "mean":
        flags |= launch.MEAN | (launch.EMPTY_ZERO if settings.empty == "zero" else 0)
        if weight is not None and elements:
            flags |= launch.FIND_DENOMINATOR
    parameters: Parameters = {
        kernels.CLASSES: classes,
        kernels.PIECES: pieces,
        kernels.IGNORED: settings.ignore_index if indices else float(settings.ignore_index),
        kernels.UPSTREAM_STRIDE: int(settings.reduction == "none"),
        kernels.ALPHA: settings.alpha,
        kernels.BETA: settings.beta,
        kernels.SMOOTH: settings.smooth,
        kernels.GAMMA: settings.gamma,
    }
    order = place.order

    def bad(operands: Operands, item: int) -> Exception:
        where = [0] * len(positions)
        for i, at in zip(order, np.unravel_index(item, [positions[i] for i in order]), strict=True):
            where[i] = int(at)
        return IndexError(
            f"{loss}: target{where if where else ''} is {int(operands[1][tuple(where)])}, expected a class in [0, "
            f"{classes}) or ignore_index ({settings.ignore_index})"
        )

    groups = images * classes
    own_shape = loss_shape(settings, shape, tuple(t.shape))
    shared: dict[str, Any] = dict(
        loss=loss,
        backend=backend,
        denominator=float(groups if elements else 0),
        losses=Output(own_shape, compute) if settings.reduction == "none" else None,
        grads=(outputs[0] if flags & launch.GRAD else None, outputs[1] if flags & launch.GRAD_TARGET else None, None),
        statistics=Output((groups, 2), compute) if flags & launch.STATS else None,
        bad=bad,
        keep=(table, noted),
    )
    chunked = dict(kernel=walk, items=chunks, block=block, nanoseconds=nanoseconds)
    note = combine = write = None
    if flags & launch.VALUE:
        tables = {**parameters, kernels.TABLE: noted.ctypes.data}
        note = Plan(**shared, **chunked, parameters=tables, flags=launch.VALUE)
        combining = flags & ~gradients & ~launch.STATS
        combine = Plan(
            **shared,
            kernel=fold,
            parameters=parameters,
            items=groups,
            block=max(1, groups),
            nanoseconds=0.0,
            flags=combining,
        )
    if flags & gradients:
        write = Plan(
            **shared,
            **chunked,
            parameters={**parameters, kernels.TABLE: table.ctypes.data},
            flags=flags & gradients | launch.STATS,
            extents=extents(backend, operands, (outputs[0], outputs[1], None), outs),
        )
    parts = Output((chunks, classes, kernels.SUMS), "float64")
    return SplitPlan(note, combine, write, flags, parts)
