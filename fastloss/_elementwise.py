"""From arrays to a plan, for losses of independent elements; ``@elementwise`` makes such a loss of a formula."""

from __future__ import annotations

import functools
import importlib
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastloss import _errors
from fastloss._arrays import COMPUTE, ITEMSIZE, widest
from fastloss._catalogue import Interval, Row
from fastloss._layout import broadcast, collapse, contiguous_strides, memory_order, size_of
from fastloss._loss import Arguments, loss
from fastloss._plan import BLOCK_ELEMENTS, Operands, Output, Parameters, Plan, block_size, extents

NAMES = ("input", "target", "", "weight", "sample_weight")
#: What an element costs a core, about: decides who works on it.
NANOSECONDS, TRANSCENDENTAL_NANOSECONDS = 0.15, 0.5


@dataclass(frozen=True)
class Style:
    """What an elementwise loss is made of, besides its row."""

    name: str
    #: A template in the kernels' file of the loss's family.
    formula: str
    row: Row
    names: tuple[str, ...]
    #: The operands that broadcast to the shape of the loss; the others must broadcast to it.
    wide: tuple[int, ...]
    #: "warn" where shapes differ (as PyTorch does), "same" refuses it, "broadcast" takes it.
    shapes: str
    #: Operands whose domain is enforced, and whether NaN is outside it.
    checked: dict[str, tuple[Interval, bool]]
    reductions: tuple[str, ...]
    options: tuple[str, ...]
    family: str
    #: More constants of the kernels, from the options: an exponent that is a whole number, say.
    specialise: Callable[[dict[str, Any]], dict[str, Any]] | None
    #: What the formula reads in place of the parameters that are numbers, which it gets by name.
    numbers: Callable[..., tuple[float, ...]] | None
    #: The shape in which the third operand is read, from those of the input and its own.
    align: Callable[[tuple[int, ...], tuple[int, ...]], tuple[int, ...]] | None

    def shapes_of(self, arrays: Any) -> dict[str, tuple[int, ...]]:
        """The shapes that decide that of the loss, by name."""
        shapes = {self.names[i]: tuple(arrays[i].shape) for i in self.wide}
        if self.align is not None:
            shapes[self.names[2]] = self.align(shapes[self.names[0]], shapes[self.names[2]])
        return shapes

    def template(self, options: dict[str, Any]) -> Any:
        return getattr(importlib.import_module(f"fastloss.kernels.{self.family}"), self.formula.format_map(options))


def elementwise(
    formula: str,
    row: Row,
    *,
    names: tuple[str, ...] = NAMES,
    differentiable: tuple[str, ...] = ("input", "target"),
    default: tuple[str, ...] | None = None,
    shapes: str = "warn",
    checked: dict[str, bool] | None = None,
    reductions: tuple[str, ...] = _errors.REDUCTIONS,
    refused: dict[str, str] | None = None,
    specialise: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    numbers: Callable[..., tuple[float, ...]] | None = None,
    align: Callable[[tuple[int, ...], tuple[int, ...]], tuple[int, ...]] | None = None,
) -> Callable[[Callable[..., Arguments]], Any]:
    """Make a loss of the formula of one element; an option in braces in its name stands for its value.

    The function that is decorated returns its operands in the order of ``names``, and all other arguments in the order
    of its signature. Those that ``row.parameters`` bounds reach the formula: numbers as the tuple ``q`` (after 1 - e
    and e / 2 where there is a ``label_smoothing`` e), choices as constants that are named in capitals.
    """

    def decorate(bind: Callable[..., Arguments]) -> Any:
        parameters = inspect.signature(bind).parameters.values()
        options = tuple(p.name for p in parameters if p.name not in names)
        wide = tuple(i for i, name in enumerate(names[:3]) if name and _required(bind, name))
        style = Style(
            bind.__name__,
            formula,
            row,
            names,
            wide,
            shapes,
            {name: (_interval(row, name), nan) for name, nan in (checked or {}).items()},
            reductions,
            options,
            bind.__module__.rpartition(".")[2],
            specialise,
            numbers,
            align,
        )

        def problem(*values: Any) -> ElementwiseProblem:
            return ElementwiseProblem(style, dict(zip(options, values, strict=True)))

        return loss(problem, row, differentiable=differentiable, default=default, refused=refused, names=names)(bind)

    return decorate


def _interval(row: Row, name: str) -> Interval:
    domain = row.domain[name]
    if not isinstance(domain, Interval) or domain.low != 0:
        raise TypeError(f"the domain of {name} is {domain}, which no kernel checks")
    return domain


def _required(bind: Callable[..., Any], name: str) -> bool:
    parameter = inspect.signature(bind).parameters[name]
    return parameter.default is parameter.empty


def common_dtype(loss: str, backend: Any, arrays: dict[str, Any]) -> str:
    """The dtype that all operands are read in: the widest floating one; integers and bools follow."""
    names = {name: backend.dtype_name(array) for name, array in arrays.items() if array is not None}
    floating = {name: dtype for name, dtype in names.items() if dtype in COMPUTE}
    for name, dtype in names.items():
        if dtype not in COMPUTE and not backend.is_integer(arrays[name]) and "bool" not in dtype:
            raise _errors.not_floating(loss, name, dtype)
    first = next(iter(names))
    if first not in floating:
        raise _errors.not_floating(loss, first, names[first], "target" in floating)
    return widest(floating.values())


@functools.cache
def _ones(dtype: str) -> Any:
    from fastloss.kernels import elementwise_cpu

    if dtype == "float64":
        return np.ones(elementwise_cpu.TILE)
    if dtype == "float16":
        return np.ones(elementwise_cpu.TILE, np.float16)
    ones = np.ones(elementwise_cpu.TILE, np.float32)
    return ones if dtype == "float32" else (ones.view(np.uint32) >> 16).astype(np.uint16)


class ElementwiseProblem:
    """The options of an elementwise loss."""

    plain_upstream = False
    has_statistics = False

    def __init__(self, style: Style, options: dict[str, Any]) -> None:
        name = self.name = style.name
        self.style = style
        self.options = options
        self.reduction = options["reduction"]
        self.empty = options.get("empty", "nan")
        _errors.check_reduction(name, self.reduction, style.reductions)
        _errors.check_choice(name, "empty", self.empty, ("nan", "zero"))
        self.ignored: float | None = None
        if options.get("ignore_index") is not None:
            self.ignored = _errors.number(name, "ignore_index", options["ignore_index"], -math.inf, math.inf)
        numbers: list[float] = []
        if "label_smoothing" in options:
            smoothing = _errors.number(name, "label_smoothing", options["label_smoothing"], 0.0, 1.0)
            numbers += [1.0 - smoothing, smoothing / 2]
        self.constants: dict[str, Any] = {}
        for parameter, domain in style.row.parameters.items():
            value = domain.check(name, parameter, options[parameter])
            if not isinstance(domain, Interval):
                self.constants[parameter.upper()] = value
            elif style.numbers is None:
                numbers.append(value)
        if style.specialise is not None:
            self.constants |= style.specialise(options)
        if style.numbers is not None:
            numbers += style.numbers(**{name: options[name] for name in style.row.parameters})
        self.numbers = tuple(numbers)

    def warning(self, operands: Operands) -> str | None:
        shapes = self.style.shapes_of(operands)
        if self.style.shapes != "warn" or len(set(shapes.values())) == 1:
            return None
        said = ", ".join(f"{name} has shape {shape}" for name, shape in shapes.items())
        return f"{self.name}: {said}: they are broadcast, which is rarely meant; give all the same shape"

    def loss_shape(self, operands: Operands) -> tuple[int, ...]:
        return broadcast(self.style.shapes_of(operands).values())

    def normalise(self, backend: Any, arrays: Operands) -> Operands:
        """All operands of one dtype, weights broadcastable to the loss."""
        style = self.style
        given: dict[str, Any] = {
            name: None if array is None else backend.convert(array, self.name, name)
            for name, array in zip(style.names, arrays, strict=True)
            if name
        }
        dtype = common_dtype(self.name, backend, given)
        wide = style.shapes_of([given.get(name) for name in style.names])
        if style.align is not None and tuple(given[style.names[2]].shape) != wide[style.names[2]]:
            given[style.names[2]] = given[style.names[2]].reshape(wide[style.names[2]])
        try:
            shape = np.broadcast_shapes(*wide.values())
        except ValueError:
            said = " and ".join(f"{name} has shape {own}" for name, own in wide.items())
            raise ValueError(f"{self.name}: {said}: they do not broadcast") from None
        if style.shapes == "same":
            for name, own in wide.items():
                _errors.check_shape(self.name, name, own, next(iter(wide.values())))
        result: list[Any] = []
        for name in style.names:
            array = given.get(name)
            if array is not None:
                _errors.check_broadcastable(self.name, name, tuple(array.shape), shape)
                array = backend.plain_strides(backend.cast(array, dtype))
            result.append(array)
        return tuple(result)  # type: ignore[return-value]

    def build(self, backend: Any, operands: Operands, upstream: Any, flags: int, outs: tuple[Any, ...]) -> Plan:
        """The plan of ``operands`` that have one dtype and broadcast to one shape."""
        from fastloss.kernels import build_cpu
        from fastloss.kernels import elementwise_cpu as kernels
        from fastloss.kernels import launch_cpu as launch

        style, ignored = self.style, self.ignored
        dtype = backend.dtype_name(operands[0])
        shape = self.loss_shape(operands)
        if len(shape) > kernels.MAX_DIMS:
            raise ValueError(
                f"{self.name}: {style.names[0]} has {len(shape)} dimensions, at most {kernels.MAX_DIMS} are supported"
            )
        views = [None if array is None else backend.broadcast_to(array, shape) for array in (*operands, upstream)]
        strides = [None if view is None else backend.strides(view) for view in views]
        # Also what ``sum`` and ``mean`` hand back through losses without reduction.
        one_upstream = strides[5] is not None and (
            self.reduction != "none" or all(step == 0 for step, n in zip(strides[5], shape, strict=True) if n > 1)
        )
        if one_upstream:
            strides[5] = None
        axes, order, layout = _layout(shape, strides, one_upstream)

        has_weights = operands[3] is not None or operands[4] is not None
        count_weights = operands[4] is not None or (style.row.denominator == "weights" and operands[3] is not None)
        mean = self.reduction not in ("none", "sum")
        find = self.reduction == "mean" and ((has_weights and count_weights) or ignored is not None)
        if mean:
            flags |= launch.MEAN | (launch.EMPTY_ZERO if self.empty == "zero" else 0)
        if find:
            flags |= launch.FIND_DENOMINATOR
        ones = _ones(dtype)
        items = size_of(shape)
        batch = tuple(operands[0].shape[:1])  # the input's own, as PyTorch has it where shapes are broadcast
        denominator = math.prod(batch) if self.reduction == "batchmean" else items
        cost = items * (TRANSCENDENTAL_NANOSECONDS if style.row.transcendental else NANOSECONDS)
        cost *= 2 if dtype == "float64" else 1
        full = Output(shape, dtype, axes)
        plain = not has_weights and ignored is None and (upstream is None or one_upstream)
        formula = style.template({**self.options, **self.constants})
        constants = {"FORMULA": formula, "PLAIN": plain, "HAS_THIRD": operands[2] is not None}
        long = style.row.transcendental and not formula.fills
        constants |= {"LONG": long, **self.constants}
        staged = formula.first is not None
        slopes_staged = staged and formula.slopes_too
        constants |= {"STAGED": staged, "SLOPES_STAGED": slopes_staged}
        if staged:
            constants["FIRST"] = formula.first
        compiled: dict[int, Any] = {}
        fused = flags & launch.VALUE and self.reduction != "none"
        if flags & launch.VALUE:
            asks = long or staged or bool(style.checked)
            mode = kernels.LOSS if not fused else kernels.SUM_AND_GRAD if flags & launch.GRAD else kernels.SUM
            compiled[kernels.LOOPS] = build_cpu.kernel(kernels.loops, dtype, **constants, ASKS=asks, MODE=mode)
        for operand, flag in enumerate((launch.GRAD, launch.GRAD_TARGET, launch.GRAD_THIRD)):
            if flags & flag and (operand or not fused):
                compiled[kernels.SLOPES + operand] = build_cpu.kernel(kernels.slopes, dtype, **constants, WRT=operand)
        # Denominators, products of weights and one upstream gradient need the dtype, not the formula.
        if find or one_upstream or style.checked:
            compiled[kernels.COUNTS] = build_cpu.kernel(kernels.counts, dtype)
        parameters: Parameters = {
            **compiled,
            **{kernels.Q + i: number for i, number in enumerate(self.numbers)},
            kernels.LAYOUT: layout.ctypes.data,
            kernels.BYTES: ITEMSIZE[dtype],
            kernels.ONES: ones.ctypes.data,
            kernels.IGNORED: math.nan if ignored is None else ignored,
            kernels.COUNT_WEIGHTS: int(count_weights),
        }
        domains = 0
        for operand, name in enumerate(style.names[:3]):
            if name in style.checked:
                domain, nan = style.checked[name]
                domains |= (1 | nan * kernels.CHECK_NAN) << operand
                parameters[kernels.HIGHEST + operand] = float(domain.high)
        parameters[kernels.CHECKED] = domains

        def bad(operands: Operands, item: int) -> Exception:
            return self._outside(backend, operands, shape, order, item)

        return Plan(
            loss=self.name,
            backend=backend,
            kernel=build_cpu.kernel(kernels.elementwise),
            items=items,
            block=block_size(items, BLOCK_ELEMENTS, kernels.TILE, cost),
            nanoseconds=cost,
            flags=flags,
            denominator=float(denominator),
            parameters=parameters,
            losses=full if self.reduction == "none" else None,
            grads=(
                full if flags & launch.GRAD else None,
                full if flags & launch.GRAD_TARGET else None,
                full if flags & launch.GRAD_THIRD else None,
            ),
            statistics=None,
            bad=bad,
            extents=extents(backend, operands, (full, full, full), outs),
            keep=(layout, ones),
        )

    def _outside(
        self, backend: Any, operands: Operands, shape: tuple[int, ...], order: tuple[int, ...], item: int
    ) -> Exception:
        # Items are numbered in memory order; find where the user sees this one.
        index = [0] * len(shape)
        if shape:
            found = np.unravel_index(item, [shape[axis] for axis in order])
            for axis, i in zip(order, found, strict=True):
                index[axis] = int(i)
        where = list(index) if index else ""
        for name, operand in zip(self.style.names, operands, strict=True):
            if name in self.style.checked:
                domain, _ = self.style.checked[name]
                value = float(backend.broadcast_to(operand, shape)[tuple(index)])
                if not domain.low <= value <= domain.high:
                    return ValueError(f"{self.name}: {name}{where} is {value:g}, expected a number in {domain}")
        return ValueError(f"{self.name}: element {where} was outside its domain, but is no longer: who writes to it?")


def _layout(
    shape: tuple[int, ...], strides: list[tuple[int, ...] | None], one_upstream: bool
) -> tuple[tuple[int, ...] | None, tuple[int, ...], Any]:
    """How the kernel walks operands of one shape: (axes of the outputs, their order in memory, its table)."""
    from fastloss.kernels import elementwise_cpu as kernels

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
    return axes, order, layout
