"""From arrays to a plan, for losses of independent elements."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from fastloss import _errors
from fastloss._arrays import COMPUTE, ITEMSIZE
from fastloss._layout import collapse, contiguous_strides, memory_order, size_of
from fastloss._plan import BLOCK_ELEMENTS, Operands, Output, Plan, block_size, extents

NAMES = ("input", "target", "third", "weight", "sample_weight")


def common_dtype(loss: str, backend: Any, arrays: dict[str, Any]) -> str:
    """The dtype that all operands are read in: the widest floating one; integers and bools follow."""
    names = {name: backend.dtype_name(array) for name, array in arrays.items() if array is not None}
    floating = {name: dtype for name, dtype in names.items() if dtype in COMPUTE}
    for name, dtype in names.items():
        if dtype not in COMPUTE and not backend.is_integer(arrays[name]) and "bool" not in dtype:
            raise TypeError(f"{loss}: {name} has dtype {dtype}, expected float16, bfloat16, float32 or float64")
    if "input" not in floating:
        raise TypeError(f"{loss}: input has dtype {names['input']}, expected float16, bfloat16, float32 or float64")
    dtypes = set(floating.values())
    if len(dtypes) == 1:
        return dtypes.pop()
    return "float64" if "float64" in dtypes else "float32"


@functools.cache
def _ones(dtype: str) -> Any:
    from fastloss.kernels import elementwise_cpu

    if dtype == "float64":
        return np.ones(elementwise_cpu.TILE)
    if dtype == "float16":
        return np.ones(elementwise_cpu.TILE, np.float16)
    ones = np.ones(elementwise_cpu.TILE, np.float32)
    return ones if dtype == "float32" else (ones.view(np.uint32) >> 16).astype(np.uint16)


def build(
    loss: str,
    backend: Any,
    operands: Operands,
    upstream: Any,
    flags: int,
    outs: tuple[Any, Any],
    *,
    formula: str,
    reduction: str,
    nanoseconds: float,
    a: float = 1.0,
    b: float = 0.0,
    ignored: float | None = None,
    weighted_mean: bool = False,
    domain: tuple[float, float] | None = None,
    empty: str = "nan",
) -> Plan:
    """The plan of an elementwise loss whose ``operands`` have one dtype and broadcast to one shape."""
    from fastloss.kernels import binary, build_cpu, regression
    from fastloss.kernels import elementwise_cpu as kernels
    from fastloss.kernels import launch_cpu as launch

    formulas = {"mse": regression.mse, "bce": binary.bce, "bce_with_logits": binary.bce_with_logits}
    x, t = operands[:2]
    dtype = backend.dtype_name(x)
    shape = tuple(np.broadcast_shapes(tuple(x.shape), tuple(t.shape)))
    if len(shape) > kernels.MAX_DIMS:
        raise ValueError(f"{loss}: input has {len(shape)} dimensions, at most {kernels.MAX_DIMS} are supported")
    views = [None if array is None else backend.broadcast_to(array, shape) for array in (*operands, upstream)]
    one_upstream = upstream is not None and reduction != "none"
    if one_upstream:
        views[5] = None
    strides = [None if view is None else backend.strides(view) for view in views]

    # Elements are numbered in the order of the input's memory, so that its layout is free.
    assert strides[0] is not None
    axes = memory_order(strides[0])
    order = axes or tuple(range(len(shape)))
    present = [s for s in strides if s is not None]
    merged_shape, merged = collapse([shape[axis] for axis in order], [[s[axis] for axis in order] for s in present])
    dense = contiguous_strides(merged_shape)
    layout = np.zeros(kernels.LAYOUT_SLOTS, np.int64)
    layout[0] = len(merged_shape)
    layout[1 : 1 + len(merged_shape)] = merged_shape
    columns = iter(merged)
    for operand, own in enumerate(strides):
        base = 1 + kernels.MAX_DIMS + operand * (1 + kernels.MAX_DIMS)
        if own is None:
            layout[base] = kernels.ONE_FOR_ALL if operand == 5 and one_upstream else kernels.ABSENT
            continue
        column = next(columns)
        layout[base] = kernels.CONTIGUOUS if column == dense else kernels.STRIDED
        layout[base + 1 : base + 1 + len(column)] = column
    if not merged_shape:  # a single element: all strides are those of nothing
        layout[0], layout[1] = 1, 1

    has_weights = operands[3] is not None or operands[4] is not None
    count_weights = operands[4] is not None or (weighted_mean and operands[3] is not None)
    find = reduction == "mean" and ((has_weights and count_weights) or ignored is not None)
    if reduction == "mean":
        flags |= launch.MEAN | (launch.EMPTY_ZERO if empty == "zero" else 0)
    if find:
        flags |= launch.FIND_DENOMINATOR
    ones = _ones(dtype)
    items = size_of(shape)
    cost = items * nanoseconds * (2 if dtype == "float64" else 1)
    full = Output(shape, dtype, axes)
    loops = build_cpu.kernel(kernels.loops, dtype, FORMULA=formulas[formula])
    # Denominators, products of weights and one upstream gradient need the dtype, not the formula.
    needed = find or one_upstream or domain is not None
    counts = build_cpu.kernel(kernels.counts, dtype) if needed else None
    parameters: dict[int, int | float] = {
        kernels.LOOPS: loops.address,
        kernels.COUNTS: counts.address if counts else 0,
        kernels.LAYOUT: layout.ctypes.data,
        kernels.BYTES: ITEMSIZE[dtype],
        kernels.ONES: ones.ctypes.data,
        kernels.PARAMETER_A: float(a),
        kernels.PARAMETER_B: float(b),
        kernels.IGNORED: math.nan if ignored is None else float(ignored),
        kernels.COUNT_WEIGHTS: int(count_weights),
        kernels.HAS_DOMAIN: int(domain is not None),
        kernels.LOWEST: float(domain[0]) if domain else 0.0,
        kernels.HIGHEST: float(domain[1]) if domain else 0.0,
    }

    def bad(operands: Operands, item: int) -> Exception:
        # Items are numbered in memory order; find where the user sees this one.
        index = [0] * len(shape)
        if shape:
            found = np.unravel_index(item, [shape[axis] for axis in order])
            for axis, i in zip(order, found, strict=True):
                index[axis] = int(i)
        low, high = domain or (-math.inf, math.inf)
        where = list(index) if index else ""
        for name, operand in (("input", operands[0]), ("target", operands[1])):
            value = float(backend.broadcast_to(operand, shape)[tuple(index)])
            if not low <= value <= high:
                return ValueError(f"{loss}: {name}{where} is {value:g}, expected a number in [{low:g}, {high:g}]")
        return ValueError(f"{loss}: element {where} was outside its domain, but is no longer: who writes to it?")

    return Plan(
        loss=loss,
        backend=backend,
        kernel=build_cpu.kernel(kernels.elementwise),
        items=items,
        block=block_size(items, BLOCK_ELEMENTS, kernels.TILE, cost),
        nanoseconds=cost,
        flags=flags,
        denominator=float(items),
        parameters=parameters,
        losses=full if reduction == "none" else None,
        grads=(full if flags & launch.GRAD else None, full if flags & launch.GRAD_TARGET else None),
        statistics=None,
        bad=bad,
        extents=extents(backend, operands, (full, full), outs),
        keep=(layout, ones, loops, counts),
    )


def normalise(loss: str, backend: Any, arrays: Operands, names: tuple[str, ...]) -> Operands:
    """All operands of one dtype, weights broadcastable to the loss."""
    given: dict[str, Any] = {
        name: None if array is None else backend.convert(array, loss, name)
        for name, array in zip(names, arrays, strict=True)
    }
    dtype = common_dtype(loss, backend, given)
    x, t = given[names[0]], given[names[1]]
    try:
        shape = np.broadcast_shapes(tuple(x.shape), tuple(t.shape))
    except ValueError:
        raise ValueError(
            f"{loss}: input has shape {tuple(x.shape)} and {names[1]} has shape {tuple(t.shape)}: they do not broadcast"
        ) from None
    result: list[Any] = []
    for name, array in given.items():
        if array is None:
            result.append(None)
            continue
        _errors.check_broadcastable(loss, name, tuple(array.shape), shape)
        array = backend.cast(array, dtype)
        result.append(backend.plain_strides(array))
    return tuple(result)  # type: ignore[return-value]


class ElementwiseProblem:
    """The options of an elementwise loss."""

    plain_upstream = False
    has_statistics = False

    def __init__(
        self,
        name: str,
        formula: str,
        reduction: str,
        empty: str,
        *,
        nanoseconds: float,
        names: tuple[str, ...] = NAMES,
        same_shape: bool = False,
        **settings: Any,
    ) -> None:
        _errors.check_reduction(name, reduction)
        _errors.check_choice(name, "empty", empty, ("nan", "zero"))
        self.name = name
        self.formula = formula
        self.reduction = reduction
        self.empty = empty
        self.nanoseconds = nanoseconds
        self.names = names
        self.same_shape = same_shape
        self.settings = settings

    def warning(self, operands: Operands) -> str | None:
        x, t = tuple(operands[0].shape), tuple(operands[1].shape)
        if x == t:
            return None
        return (
            f"{self.name}: {self.names[1]} has shape {t}, input has shape {x}: they are broadcast, which is rarely "
            "meant; give both the same shape"
        )

    def normalise(self, backend: Any, arrays: Operands) -> Operands:
        operands = normalise(self.name, backend, arrays, self.names)
        if self.same_shape:
            _errors.check_shape(self.name, self.names[1], operands[1].shape, operands[0].shape)
        return operands

    def loss_shape(self, operands: Operands) -> tuple[int, ...]:
        return tuple(np.broadcast_shapes(tuple(operands[0].shape), tuple(operands[1].shape)))

    def build(self, backend: Any, operands: Operands, upstream: Any, flags: int, outs: tuple[Any, Any]) -> Plan:
        return build(
            self.name,
            backend,
            operands,
            upstream,
            flags,
            outs,
            formula=self.formula,
            reduction=self.reduction,
            nanoseconds=self.nanoseconds,
            empty=self.empty,
            **self.settings,
        )
