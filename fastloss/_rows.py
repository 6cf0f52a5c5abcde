"""From arrays to a plan, for losses that reduce K elements at each position; ``@rowwise`` makes such a loss."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastloss import _errors
from fastloss._arrays import COMPUTE, ITEMSIZE
from fastloss._catalogue import Interval, Row
from fastloss._elementwise import common_dtype
from fastloss._layout import broadcast, collapse, memory_order, one_label, size_of
from fastloss._loss import Arguments, loss
from fastloss._plan import BLOCK_ELEMENTS, Operands, Output, Parameters, Plan, Runnable, block_size, extents, mean_scale
from fastloss._softmax import class_axis

#: Rows of at most so many neighbours in memory are turned and worked on side by side (measured: there the two meet);
#: the second number is for exponentials and the like.
MAX_LENGTH_IN_LANES = 3
MAX_LENGTH_IN_LANES_TRANSCENDENTAL = 48
#: Elements of an operand in a tile of rows: what the sums have read, the slopes find in the first-level cache.
ROW_TILE_ELEMENTS = 2048
#: What an element of a row costs a core, about.
NANOSECONDS, TRANSCENDENTAL_NANOSECONDS = 0.2, 0.5


@dataclass(frozen=True)
class Style:
    """What a row loss is made of, besides its row: see ``rowwise``."""

    name: str
    formula: str
    row: Row
    names: tuple[str, ...]
    options: tuple[str, ...]
    family: str
    dense: tuple[int, ...] = (0,)  # operands of K elements a position, in the order of the kernels
    own: int | None = None  # the operand that is one number a position
    labels: bool = False
    sums: int = 1
    tops: int = 0
    softmax: int = 0
    axis: int | str = "class"
    specialise: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    numbers: Callable[..., tuple[float, ...]] | None = None
    reductions: tuple[str, ...] = _errors.REDUCTIONS
    same_dims: bool = False
    wide: bool = False  # the sums are float64 from the start
    #: Whether there are templates ``_middle`` and ``_later``.
    later: bool = False
    #: Whether the third operand has a factor for each class, which the mean does not divide by.
    factors: bool = False

    def template(self, part: str) -> Any:
        module = importlib.import_module(f"fastloss.kernels.{self.family}")
        return getattr(module, f"{self.formula}_{part}")


def style_of(bind: Callable[..., Any], formula: str, row: Row, names: tuple[str, ...], **details: Any) -> Style:
    """The style of the loss that ``bind`` declares, of the templates of its module."""
    options = tuple(name for name in inspect.signature(bind).parameters if name not in names)
    return Style(bind.__name__, formula, row, names, options, bind.__module__.rpartition(".")[2], **details)


def rowwise(
    formula: str,
    row: Row,
    *,
    names: tuple[str, ...] = ("input", "target", "", "", "sample_weight"),
    dense: tuple[str, ...] = ("input", "target"),
    own: str | None = None,
    labels: bool = False,
    sums: int = 1,
    tops: int = 0,
    softmax: int = 0,
    axis: int | str = -1,
    specialise: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    numbers: Callable[..., tuple[float, ...]] | None = None,
    differentiable: tuple[str, ...] | None = None,
    default: tuple[str, ...] | None = None,
    reductions: tuple[str, ...] = _errors.REDUCTIONS,
    refused: dict[str, str] | None = None,
    same_dims: bool = False,
    wide: bool = False,
) -> Callable[[Callable[..., Arguments]], Any]:
    """Make a loss of the templates ``<formula>_sums``, ``_finish``, ``_slopes`` (and ``_tops``) of its family.

    See kernels/rows_cpu.py for what they are. The function that is decorated returns its operands in the order of
    ``names``, and all other arguments in the order of its signature. ``dense`` are the operands with K elements a
    position, which broadcast with each other (all must be among the first three names); ``own`` is the operand that is
    one number a position (the templates' y); ``labels`` says that ``target`` is a class index a position instead.
    ``sums`` and ``tops`` count what the templates return; ``wide`` sums are float64 from the start. ``softmax`` of 1
    (2) subtracts the row's maximum from x (and t). The reduction is along ``axis``, or along what the option ``axis``
    or ``dim`` of the call says; "class" is 1, or 0 where there is one axis only; an option of None takes all axes
    together, or that of "class" where it is said.

    Parameters that ``row.parameters`` bounds reach the templates: numbers as the tuple ``q`` in their order, choices as
    constants in capitals. ``specialise`` makes of all options more constants, or other values of N_SUMS and N_TOPS;
    ``numbers`` makes of the parameters, by name, what the templates read in place of them.
    """

    def decorate(bind: Callable[..., Arguments]) -> Any:
        style = style_of(
            bind,
            formula,
            row,
            names,
            dense=tuple(names.index(name) for name in dense),
            own=None if own is None else names.index(own),
            labels=labels,
            sums=sums,
            tops=softmax or tops,
            softmax=softmax,
            axis=axis,
            specialise=specialise,
            numbers=numbers,
            reductions=reductions,
            same_dims=same_dims,
            wide=wide,
        )

        def problem(*values: Any) -> RowProblem:
            return RowProblem(style, dict(zip(style.options, values, strict=True)))

        by = differentiable or dense
        return loss(problem, row, differentiable=by, default=default, refused=refused, names=names)(bind)

    return decorate


class _Places(NamedTuple):
    """Positions (outer, inner) and elements: lengths, and for each array its strides over them."""

    outer: int
    inner: int
    length: int
    strides: tuple[tuple[int, int, int], ...]


def _places(shape: tuple[int, ...], axes: tuple[int, ...], strides: list[tuple[int, ...]]) -> _Places | None:
    """Two axes of positions and one of elements for all arrays; None where memory needs more."""
    others = [i for i in range(len(shape)) if i not in axes]
    merged, columns = collapse([shape[i] for i in others], [[s[i] for i in others] for s in strides])
    if len(merged) > 2:
        return None
    # Elements in the order of the first array's memory, so that its layout is free.
    along = sorted(axes, key=lambda axis: -abs(strides[0][axis]))
    row, row_columns = collapse([shape[i] for i in along], [[s[i] for i in along] for s in strides])
    if len(row) > 1:
        return None
    lengths = (1,) * (2 - len(merged)) + merged
    padded = [(0,) * (2 - len(merged)) + column for column in columns]
    steps = [column[0] if row else 1 for column in row_columns]
    return _Places(
        lengths[0],
        lengths[1],
        row[0] if row else 1,
        tuple((c[0], c[1], step) for c, step in zip(padded, steps, strict=True)),
    )


class SplitPlan:
    """Huge rows: note the sums of their pieces, fold them to losses and coefficients, write slopes piece by piece."""

    def __init__(self, note: Plan, fold: Plan, write: Plan | None, flags: int, kept: Output) -> None:
        from fastloss.kernels import launch_cpu as launch

        self.note, self.fold, self.write, self.kept = note, fold, write, kept
        self.mean = bool(flags & launch.MEAN and flags & launch.VALUE)
        self.empty_zero = bool(flags & launch.EMPTY_ZERO)
        self.losses, self.grads, self.statistics = note.losses, note.grads, note.statistics

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
        backend = self.note.backend
        kept = self.kept.make(backend)
        place = backend.address(kept)
        self.note.run(operands, statistics=place)
        value, denominator = self.fold.run(operands, losses=losses, statistics=place)
        if self.write is not None:
            if self.mean:
                scale = mean_scale(scale, denominator, self.empty_zero)
            self.write.run(operands, upstream, 0, grad, target_grad, third_grad, place, scale)
        return value, denominator


class RowProblem:
    """The options of a row loss."""

    plain_upstream = True
    has_statistics = False

    def __init__(self, style: Style, options: dict[str, Any]) -> None:
        name = self.name = style.name
        self.style = style
        self.reduction = options["reduction"]
        self.empty = options.get("empty", "nan")
        #: The operands that decide the dtype of the result, besides the first.
        self.promoting = style.dense[1:]
        _errors.check_reduction(name, self.reduction, style.reductions)
        _errors.check_choice(name, "empty", self.empty, ("nan", "zero"))
        self.axis: Any = style.axis
        for option in ("axis", "dim"):
            if option in options:
                value = options[option]
                if value is not None:
                    self.axis = _errors.integer(name, option, value)
                elif self.axis != "class":
                    self.axis = None
        self.ignore_index = 0
        if style.labels:
            self.ignore_index = _errors.integer(name, "ignore_index", options.get("ignore_index", -100))
            if not -(1 << 63) <= self.ignore_index < 1 << 63:
                raise ValueError(f"{name}: ignore_index is {self.ignore_index}, expected a 64-bit integer")
        numbers: list[float] = []
        self.constants: dict[str, Any] = {"N_SUMS": style.sums, "N_TOPS": style.tops}
        for parameter, domain in style.row.parameters.items():
            value = domain.check(name, parameter, options[parameter])
            if not isinstance(domain, Interval):
                self.constants[parameter.upper()] = value
            elif style.numbers is None:
                numbers.append(value)
        if style.specialise is not None:
            self.constants |= style.specialise(options)
        if style.numbers is not None:
            numbers += style.numbers(**{parameter: options[parameter] for parameter in style.row.parameters})
        self.numbers = tuple(numbers)

    def warning(self, operands: Operands) -> str | None:
        return None

    def _shape(self, operands: Operands) -> tuple[int, ...]:
        dense = (operands[i] for i in self.style.dense)
        return broadcast(tuple(array.shape) for array in dense if array is not None)

    def _axes(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The axes that are reduced."""
        if self.axis is None:
            return tuple(range(len(shape)))
        if self.axis == "class":
            return (class_axis(self.name, shape, None),)
        if not shape:
            raise ValueError(f"{self.name}: {self.style.names[0]} has shape (), expected one axis or more")
        if not -len(shape) <= self.axis < len(shape):
            first = self.style.names[0]
            raise ValueError(f"{self.name}: axis is {self.axis}, out of range for {first} of shape {shape}")
        return (self.axis % len(shape),)

    def _positions(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        axes = self._axes(shape)
        return tuple(n for i, n in enumerate(shape) if i not in axes)

    def loss_shape(self, operands: Operands) -> tuple[int, ...]:
        return self._positions(self._shape(operands))

    def normalise(self, backend: Any, arrays: Operands) -> Operands:
        """Dense operands of one dtype, broadcastable to each other; contiguous labels; positions' numbers likewise."""
        style, name = self.style, self.name
        given: list[Any] = [
            None if array is None else backend.convert(array, name, argument)
            for argument, array in zip(style.names, arrays, strict=True)
        ]
        dense = {style.names[i]: given[i] for i in style.dense if given[i] is not None}
        dtype = common_dtype(name, backend, dense)
        shapes = {argument: tuple(array.shape) for argument, array in dense.items()}
        try:
            shape = tuple(np.broadcast_shapes(*shapes.values()))
        except ValueError:
            said = " and ".join(f"{argument} has shape {own}" for argument, own in shapes.items())
            raise ValueError(f"{name}: {said}: they do not broadcast") from None
        if style.same_dims and len({len(own) for own in shapes.values()}) > 1:
            said = ", ".join(f"{argument} has shape {own}" for argument, own in shapes.items())
            raise ValueError(f"{name}: {said}: expected the same number of axes")
        axes = self._axes(shape)
        positions = self._positions(shape)
        if style.axis == "class" and size_of([shape[i] for i in axes]) == 0:
            raise ValueError(f"{name}: {style.names[0]} has shape {shape}: no classes along axis {axes[0]}")
        for i in style.dense:
            if given[i] is not None:
                given[i] = backend.plain_strides(backend.cast(given[i], dtype))
        compute = COMPUTE[dtype]
        if style.labels:
            given[1] = self._labels(backend, given[1], shape, positions, axes[0])
            if given[3] is not None:
                if not backend.is_floating(given[3]):
                    said = backend.dtype_name(given[3])
                    raise TypeError(f"{name}: weight has dtype {said}, expected a floating one")
                _errors.check_shape(name, "weight", tuple(given[3].shape), (size_of([shape[i] for i in axes]),))
                given[3] = backend.contiguous(backend.cast(given[3], compute))
        for i in (4,) if style.own is None else (style.own, 4):
            if given[i] is not None:
                argument, array = style.names[i], given[i]
                said = backend.dtype_name(array)
                if not (backend.is_floating(array) or backend.is_integer(array) or "bool" in said):
                    raise TypeError(f"{name}: {argument} has dtype {said}, expected a floating or integer one")
                _errors.check_broadcastable(name, argument, tuple(array.shape), positions)
                if tuple(array.shape) != positions:
                    array = backend.broadcast_to(array, positions)
                given[i] = backend.contiguous(backend.cast(array, compute))
        return tuple(given)  # type: ignore[return-value]

    def tidied(self, backend: Any, operands: Operands) -> Operands:
        """Dense operands as plain as can be: no two axes may describe what is broadcast."""
        shape, copies = self._shape(operands), list(operands)
        for i in self.style.dense:
            if copies[i] is not None:
                copies[i] = backend.contiguous(backend.broadcast_to(copies[i], shape))
        return tuple(copies)  # type: ignore[return-value]

    def _labels(self, backend: Any, target: Any, shape: tuple[int, ...], positions: tuple[int, ...], axis: int) -> Any:
        name = self.name
        if not backend.is_integer(target):
            said = backend.dtype_name(target)
            raise TypeError(f"{name}: target has dtype {said}, expected an integer dtype (class indices)")
        target = one_label(target, positions)
        if tuple(target.shape) != positions:
            hint = "; drop the axes of length 1" if size_of(target.shape) == size_of(positions) else ""
            raise ValueError(
                f"{name}: target (class indices) has shape {tuple(target.shape)}, expected {positions} for input of "
                f"shape {shape} with classes along axis {axis}{hint}"
            )
        return backend.labels(target, name)

    def build(
        self, backend: Any, operands: Operands, upstream: Any, flags: int, outs: tuple[Any, ...]
    ) -> Runnable | None:
        """The plan; None where memory needs more than two axes of positions (copy the operands and ask again)."""
        from fastloss.kernels import build_cpu, rows_lanes_cpu, rows_loops_cpu
        from fastloss.kernels import launch_cpu as launch
        from fastloss.kernels import rows_cpu as kernels

        style = self.style
        constants = dict(self.constants)
        n_sums, n_tops = constants.pop("N_SUMS"), constants.pop("N_TOPS")
        dtype = backend.dtype_name(operands[0])
        compute, size = COMPUTE[dtype], ITEMSIZE[dtype]
        shape = self._shape(operands)
        axes = self._axes(shape)
        positions = self._positions(shape)
        items, length = size_of(positions), size_of([shape[i] for i in axes])
        wants = tuple(bool(flags & flag) for flag in (launch.GRAD, launch.GRAD_TARGET, launch.GRAD_THIRD))

        # Where everything is. Gradients have the layout of the first operand, or the caller's own, or C order.
        present = [i for i in style.dense if operands[i] is not None]
        read = [backend.strides(backend.broadcast_to(operands[i], shape)) for i in present]
        like_first = Output(shape, dtype, memory_order(read[0]))
        place = None
        for outputs in (
            tuple(
                Output(shape, dtype, None, backend.strides(out))
                if out is not None and tuple(out.shape) == shape
                else like_first
                for out in outs
            ),
            (like_first,) * 3,
            (Output(shape, dtype),) * 3,
        ):
            written = [output.strides() for output, want in zip(outputs, wants, strict=True) if want]
            place = _places(shape, axes, [*read, *written])
            if place is not None:
                break
        if place is None:
            return None
        layout = np.zeros((6, 3), np.int64)
        arrays = [*present, *(3 + i for i in range(3) if wants[i])]
        for array, strides in zip(arrays, place.strides, strict=True):
            layout[array] = strides
        used = layout[arrays]

        # Which way through it, and how much of it at a time: by shapes and layouts only.
        inputs = place.strides[: len(present)]
        dear = bool(style.softmax) or style.row.transcendental
        longest = MAX_LENGTH_IN_LANES_TRANSCENDENTAL if dear else MAX_LENGTH_IN_LANES
        short = length <= longest and all(s[2] == 1 for s in inputs)
        planes = place.inner >= 16 and length > 1 and any(s[1] == 1 and s[2] != 1 for s in inputs)
        copied = False
        if short or planes:
            in_place = bool((used[:, 1] == 1).all()) and not style.labels
            kind = kernels.IN_LANES_PLACE if in_place else kernels.IN_LANES_COPIED
            if in_place:
                lanes, chunk = kernels.MAX_LANES, max(1, length)
            else:
                lanes = max(16, min(kernels.MAX_LANES, kernels.TILE // max(1, length) // 16 * 16))
                chunk = min(max(1, length), kernels.TILE // lanes)
            step = 16
        else:
            kind, step = kernels.IN_ROWS, 1
            copied = bool((used[:, 2] != 1).any())
            lanes = min(kernels.MAX_LANES, max(1, ROW_TILE_ELEMENTS // max(1, length)))
            chunk = min(max(1, length), kernels.TILE // lanes) if copied else max(1, length)
        cost = items * length * (TRANSCENDENTAL_NANOSECONDS if style.row.transcendental else NANOSECONDS) * len(present)
        cost = (cost + items * 5.0) * (2 if compute == "float64" else 1)
        pieces = -(-length // kernels.PIECE)
        if (
            kind != kernels.IN_ROWS
            or n_tops
            or style.labels
            or style.later
            or not (pieces >= 4 or (pieces >= 2 and items < 8))
        ):
            pieces = 1
        least = items * max(1, length) * NANOSECONDS
        block = block_size(items, max(lanes, BLOCK_ELEMENTS // max(1, length)), step, least)

        # The functions.
        loops = rows_loops_cpu.LOOPS if kind == kernels.IN_ROWS else rows_lanes_cpu.LOOPS
        loop_dtype = compute if kind == kernels.IN_LANES_COPIED else dtype
        own = style.own is not None or style.labels
        told: dict[str, Any] = {
            "HAS_T": 1 in present,
            "HAS_Z": 2 in present,
            "HAS_Y": own,
            "SOFTMAX": style.softmax > 0,
            "SOFTMAX_TWO": style.softmax > 1,
            **{f"TOP_{i}": n_tops >= i for i in (1, 2, 3)},
        }
        counts = {f"SUM_{i}": n_sums >= i or (style.later and i > 2) for i in (1, 2, 3, 4)}
        tops_function = None
        if style.softmax:
            tops_function = build_cpu.kernel(loops.softmax_tops, loop_dtype, SOFTMAX_TWO=style.softmax > 1)
        elif n_tops:
            tops_function = build_cpu.kernel(loops.tops, loop_dtype, **told, **constants, TOPS=style.template("tops"))
        if style.softmax == 1 and not n_sums:
            sums = build_cpu.kernel(loops.softmax_sums, loop_dtype)
        else:
            sums = build_cpu.kernel(
                loops.sums,
                loop_dtype,
                **told,
                **constants,
                SUMS=style.template("sums"),
                WIDE=style.wide,
                **{f"SUM_{i}": n_sums >= i for i in (1, 2, 3, 4)},
            )
        later = None
        if style.later:
            templates: dict[str, Any] = {"MIDDLE": style.template("middle"), "LATER": style.template("later")}
            later = build_cpu.kernel(loops.later, loop_dtype, **told, **constants, **templates)
        finish = build_cpu.kernel(
            kernels.row_finish,
            "float64",
            FINISH=style.template("finish"),
            INDEX=style.labels,
            **{key: told[key] for key in ("HAS_Y", "SOFTMAX", "SOFTMAX_TWO", "TOP_1", "TOP_2", "TOP_3")},
            **counts,
            **constants,
        )
        slopes = moves = helper = None
        if any(wants):
            slopes = build_cpu.kernel(
                loops.slopes,
                loop_dtype,
                **told,
                **constants,
                SLOPES=style.template("slopes"),
                **dict(zip(("WANT_X", "WANT_T", "WANT_Z"), wants, strict=True)),
            )
        if kind == kernels.IN_LANES_COPIED:
            moves = build_cpu.kernel(kernels.row_turns, dtype)
        elif kind == kernels.IN_ROWS and copied:
            moves = build_cpu.kernel(kernels.row_copies, dtype)
        numbered = own or operands[4] is not None or upstream is not None or self.reduction == "none"
        if numbered:
            helper = build_cpu.kernel(kernels.row_positions, dtype)

        mean = self.reduction == "mean"
        if mean:
            flags |= launch.MEAN | (launch.EMPTY_ZERO if self.empty == "zero" else 0)
            if style.labels or operands[4] is not None:
                flags |= launch.FIND_DENOMINATOR
        parameters: Parameters = {
            kernels.SUMS_FUNCTION: sums,
            kernels.LATER_FUNCTION: later or 0,
            kernels.FINISH_FUNCTION: finish,
            kernels.SLOPES_FUNCTION: slopes or 0,
            kernels.MOVES_FUNCTION: moves or 0,
            kernels.POSITIONS_FUNCTION: helper or 0,
            kernels.LAYOUT: layout.ctypes.data,
            kernels.LENGTH: length,
            kernels.INNER: max(1, place.inner),
            kernels.LANES: lanes,
            kernels.CHUNK: chunk,
            kernels.BYTES: size,
            kernels.KIND: kind,
            kernels.TOPS_FUNCTION: tops_function or 0,
            kernels.PIECES: pieces,
            kernels.PRESENT: sum(1 << array for array in arrays),
            kernels.ROW_OPERAND: 0 if style.own is None else launch.INPUT + style.own,
            kernels.UPSTREAM_STRIDE: int(self.reduction == "none"),
            kernels.IGNORE_INDEX: self.ignore_index,
            kernels.COUNT_CLASS_WEIGHTS: int(style.row.denominator == "class weights"),
            kernels.HAS_LABELS: style.labels * (2 if style.factors and operands[2] is not None else 1),
            **{kernels.Q + i: float(number) for i, number in enumerate(self.numbers)},
        }
        shared: dict[str, Any] = dict(
            loss=self.name,
            backend=backend,
            kernel=build_cpu.kernel(kernels.rows),
            denominator=float(items),
            losses=Output(positions, compute) if self.reduction == "none" else None,
            grads=tuple(output if want else None for output, want in zip(outputs, wants, strict=True)),
            statistics=None,
            bad=self._bad(positions, length),
            keep=layout,
        )
        spans = extents(backend, operands, shared["grads"], outs)
        if pieces == 1:
            return Plan(
                **shared,
                parameters=parameters | {kernels.STAGE: kernels.WHOLE},
                items=items,
                block=block,
                nanoseconds=cost,
                flags=flags,
                extents=spans,
            )
        parts = items * pieces
        parameters[kernels.KEPT_AT] = 8 * kernels.PART * parts
        gradients = flags & launch.GRADIENTS
        note = Plan(
            **shared,
            parameters=parameters | {kernels.STAGE: kernels.NOTE, kernels.POSITIONS_FUNCTION: 0},
            items=parts,
            block=1,
            nanoseconds=cost,
            flags=launch.VALUE,
        )
        fold = Plan(
            **shared,
            parameters=parameters | {kernels.STAGE: kernels.FOLD},
            items=items,
            block=kernels.MAX_LANES,
            nanoseconds=0.0,
            flags=flags & ~launch.GRADIENTS,
        )
        write = None
        if gradients:
            write = Plan(
                **shared,
                parameters=parameters | {kernels.STAGE: kernels.WRITE},
                items=parts,
                block=1,
                nanoseconds=cost,
                flags=gradients,
                extents=spans,
            )
        kept = Output((parts * kernels.PART + items * kernels.KEPT,), "float64")
        return SplitPlan(note, fold, write, flags, kept)

    def _bad(self, positions: tuple[int, ...], length: int) -> Callable[[Operands, int], Exception]:
        name, ignored = self.name, self.ignore_index

        def bad(operands: Operands, item: int) -> Exception:
            label = int(operands[1].reshape(-1)[item])
            where = tuple(int(i) for i in np.unravel_index(item, positions)) if positions else ()
            return IndexError(
                f"{name}: target{list(where) if where else ''} is {label}, expected a class in [0, {length})"
                f" or ignore_index ({ignored})"
            )

        return bad
