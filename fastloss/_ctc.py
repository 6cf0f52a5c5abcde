"""From arrays to a plan, for losses and alignments of label sequences: connectionist temporal classification."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np

from fastloss import _errors
from fastloss._arrays import COMPUTE, ITEMSIZE
from fastloss._catalogue import FLAG
from fastloss._layout import memory_order
from fastloss._plan import Operands, Output, Outputs, Parameters, Plan, mean_scale

#: Scores of so many classes are worked on with a frame in each lane, as are those that do not lie side by side.
MAX_CLASSES_IN_LANES = 256
#: What a frame costs a core beside its classes, and one of its scores; roughly: decides who works on it.
NANOSECONDS_OF_FRAME, NANOSECONDS_OF_SCORE = 100.0, 0.3
#: Bytes of the workspace before the first sample's part. The first 8 say whether it was filled.
HEADER = 64


class Sequences(NamedTuple):
    """A call's arrays in one form, whatever layout they came in: N samples of at most T frames, of C classes."""

    #: The scores as they came (converted to an array of their library, strides whole numbers of elements).
    scores: Any
    #: Whether they have an axis of samples.
    batched: bool
    #: (T, N, C).
    shape: tuple[int, int, int]
    #: Strides of the scores by frame, sample and class, in elements.
    strides: tuple[int, int, int]
    #: The labels of all samples, int64, contiguous, in one dimension: those of sample i are
    #: ``labels[starts[i] : starts[i] + target_lengths[i]]``, checked; what else it holds may be anything.
    labels: Any
    #: Where each sample's labels begin; int64, (N,), as are both lengths.
    starts: Any
    input_lengths: Any
    target_lengths: Any

    @property
    def longest_target(self) -> int:
        return int(self.target_lengths.max(initial=0))


def layout(loss: str, shape: tuple[int, ...], batch_first: bool) -> tuple[int, int | None, int]:
    """The axes of frames, samples (None where there is no such axis) and classes."""
    if len(shape) not in (2, 3):
        expected = "(N, T, C)" if batch_first else "(T, N, C)"
        raise ValueError(f"{loss}: log_probs has shape {shape}, expected {expected} or (T, C)")
    if len(shape) == 2:
        return 0, None, 1
    return (1, 0, 2) if batch_first else (0, 1, 2)


def sequences(
    loss: str,
    backend: Any,
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    *,
    blank: Any = 0,
    batch_first: bool = False,
) -> Sequences:
    """Check the arguments and bring them to one form; ``backend`` is that of ``log_probs``.

    Args:
        loss: the function's name, for messages.
        log_probs: scores of a floating dtype, ``(T, N, C)``, ``(N, T, C)`` with ``batch_first``, or ``(T, C)``.
        targets: integer labels: ``(N, S)``, padded with anything; ``(sum(target_lengths),)``, one after the other;
            ``(S,)`` without samples. None where the function takes no labels (all lengths are 0 then).
        input_lengths: ``(N,)`` integers in an array, tensor, tuple or list, or one integer for all; None: T.
        target_lengths: likewise; None: S, which padded targets or those of one sample have.

    Raises:
        TypeError: a dtype. ValueError: a shape, a length below 0 or above what there is, a label that is the blank.
        IndexError: a label that is no class.
    """
    scores = backend.plain_strides(backend.convert(log_probs, loss, "log_probs"))
    dtype = backend.dtype_name(scores)
    if dtype not in COMPUTE:
        raise _errors.not_floating(loss, "log_probs", dtype)
    given = tuple(scores.shape)
    frame_axis, batch_axis, class_axis = layout(loss, given, bool(FLAG.check(loss, "batch_first", batch_first)))
    own = backend.strides(scores) if scores.ndim else ()
    frames, classes = given[frame_axis], given[class_axis]
    samples = 1 if batch_axis is None else given[batch_axis]
    if classes == 0:
        raise ValueError(f"{loss}: log_probs has shape {given}: no classes")
    blank = _errors.integer(loss, "blank", blank)
    if not 0 <= blank < classes:
        raise ValueError(f"{loss}: blank is {blank}, expected a class in [0, {classes})")

    lengths = lengths_of(loss, "input_lengths", input_lengths, samples, frames)
    check_lengths(loss, "input_lengths", lengths, frames, "the number of frames")
    if targets is None:
        none = np.zeros(samples, np.int64)
        labels, starts, counts = np.zeros(0, np.int64), none, none
    else:
        labels, starts, counts = labels_of(
            loss, backend, targets, target_lengths, samples, batch_axis is not None, classes, blank
        )
    return Sequences(
        scores,
        batch_axis is not None,
        (frames, samples, classes),
        (own[frame_axis], 0 if batch_axis is None else own[batch_axis], own[class_axis]),
        labels,
        starts,
        lengths,
        counts,
    )


def lengths_of(loss: str, argument: str, lengths: Any, samples: int, default: int | None) -> Any:
    """As contiguous int64, one a sample."""
    if lengths is None:
        if default is None:
            raise ValueError(f"{loss}: {argument} is None, but targets of shape (sum(target_lengths),) need it")
        return np.full(samples, default, np.int64)
    array = np.asarray(lengths)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{loss}: {argument} has dtype {array.dtype}, expected integers")
    if array.ndim == 0:
        array = np.full(samples, array)
    if array.shape != (samples,):
        raise ValueError(f"{loss}: {argument} has shape {array.shape}, expected ({samples},), one for each sample")
    if array.dtype == np.uint64 and array.max(initial=0) > np.uint64(np.iinfo(np.int64).max):
        raise ValueError(f"{loss}: {argument} holds {array.max()}, which is no length")
    return np.ascontiguousarray(array, np.int64)


def check_lengths(loss: str, argument: str, lengths: Any, most: int, what: str) -> None:
    if lengths.size and lengths.view(np.uint64).max() > most:  # negative ones are the largest
        i = int(np.flatnonzero((lengths < 0) | (lengths > most))[0])
        raise ValueError(f"{loss}: {argument}[{i}] is {lengths[i]}, expected a length in [0, {most}], {what}")


def labels_of(
    loss: str, backend: Any, targets: Any, lengths: Any, samples: int, batched: bool, classes: int, blank: int
) -> tuple[Any, Any, Any]:
    """The labels in one dimension, where those of each sample start, and how many they are."""
    array = backend.convert(targets, loss, "targets")
    if not backend.is_integer(array):
        raise TypeError(f"{loss}: targets has dtype {backend.dtype_name(array)}, expected integers")
    shape = tuple(array.shape)
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[0] != samples):
        padded = f"({samples}, S) or (sum(target_lengths),)" if batched else "(S,)"
        raise ValueError(f"{loss}: targets has shape {shape}, expected {padded}")
    padded_too = len(shape) == 2
    width = shape[-1] if padded_too or not batched else None
    counts = lengths_of(loss, "target_lengths", lengths, samples, width)
    if width is not None:
        check_lengths(loss, "target_lengths", counts, width, "the length of targets")
        starts = np.arange(samples, dtype=np.int64) * width
    else:
        check_lengths(loss, "target_lengths", counts, shape[0], "the length of targets")
        ends = np.cumsum(counts)
        total = int(ends[-1]) if samples else 0
        if total != shape[0]:
            raise ValueError(f"{loss}: targets has shape {shape}, expected ({total},), the sum of target_lengths")
        starts = ends - counts
    labels = np.ascontiguousarray(backend.as_numpy(array)).astype(np.int64, copy=False).reshape(-1)
    used = labels
    if width is not None and labels.size != counts.sum():  # padding may hold anything
        used = labels[(np.arange(width) < counts[:, None]).reshape(-1)]
    blanks = blank >= 0 and not (used - blank if blank else used).all()
    if used.size and (blanks or used.view(np.uint64).max() >= classes):
        _refuse_label(loss, labels, starts, counts, classes, blank, padded_too)
    return labels, starts, counts


def _refuse_label(loss: str, labels: Any, starts: Any, counts: Any, classes: int, blank: int, padded: bool) -> None:
    for i, (start, count) in enumerate(zip(starts, counts, strict=True)):
        for j in range(count):
            label = int(labels[start + j])
            where = f"targets[{i}, {j}]" if padded else f"targets[{start + j}]"
            if not 0 <= label < classes:
                raise IndexError(f"{loss}: {where} is {label}, expected a class in [0, {classes})")
            if label == blank:
                raise ValueError(f"{loss}: {where} is {label}, which is the blank")


class Settings(NamedTuple):
    """What a call means, whatever its arrays."""

    loss: str
    blank: int
    reduction: str
    zero_infinity: bool
    from_logits: bool
    batch_first: bool
    #: "log_probs" or "logits" where log-probabilities are given; "occupancies" in place of a gradient.
    output: str


def wrapped(backend: Any, array: Any) -> Any:
    """An ndarray as an array of the backend, of the same memory."""
    return array if backend.name == "numpy" else sys.modules["torch"].from_numpy(array)


def operands(settings: Settings, backend: Any, found: Sequences) -> Operands:
    """What launches read: scores, labels, the table of samples, and memory for what one launch leaves to the next."""
    from fastloss.kernels import ctc_cpu as kernels

    lengths, labels = found.input_lengths, found.target_lengths
    # A part holds at most so many states: each half's final one and those before its second segment and each one
    # after. (Every operation on arrays of a few numbers takes half a microsecond.)
    states = lengths // (2 * kernels.K) + 1
    part = (labels + 1) * states
    part *= 2 * kernels.SAVED_BYTES
    if settings.from_logits:
        part += lengths * (2 * ITEMSIZE[COMPUTE[backend.dtype_name(found.scores)]])
    part += 8 * kernels.HEAD_SLOTS + 63
    part &= -64
    ends = part.cumsum()
    ends += HEADER
    table = np.empty((found.shape[1], kernels.TABLE_SLOTS), np.int64)
    table[:, kernels.NUMBER] = np.arange(found.shape[1])
    table[:, kernels.LENGTH] = lengths
    table[:, kernels.LABELS] = labels
    table[:, kernels.FIRST_LABEL] = found.starts
    table[:, kernels.PART] = ends - part
    # The long ones first: nobody waits for them.
    table = table.take((-lengths * (labels + 50)).argsort(kind="stable"), 0)
    workspace = np.empty((int(ends[-1]) if ends.size else HEADER) // 8, np.int64)
    workspace[0] = 0
    return (
        found.scores,
        wrapped(backend, found.labels),
        wrapped(backend, table),
        wrapped(backend, workspace),
        None,
    )


class CtcPlan:
    """Both halves of all samples, where they meet, and the gradients: see kernels/ctc_cpu.py."""

    statistics: Output | None = None

    def __init__(self, note: Plan, fold: Plan, write: Plan | None, value: bool, mean: bool) -> None:
        self.note, self.fold, self.write = note, fold, write
        self.value, self.mean = value, mean
        self.losses, self.grads = note.losses, note.grads

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
        filled = self.note.backend.as_numpy(operands[3])
        value, denominator = 0.0, 0.0
        if self.value or not filled[0]:
            self.note.run(operands)
            value, denominator = self.fold.run(operands, losses=losses)
            filled[0] = 1
        if grad and self.write is not None:
            if self.value and self.mean:
                scale = mean_scale(scale, denominator, empty_zero=True)
            self.write.run(operands, upstream, 0, grad, scale=scale)
        return value, denominator


def build(
    settings: Settings, backend: Any, operands: Operands, upstream: Any, flags: int, outs: tuple[Any, ...]
) -> CtcPlan:
    """The plan of all calls with scores of this layout, whatever labels and lengths."""
    from fastloss.kernels import build_cpu
    from fastloss.kernels import ctc_cpu as kernels
    from fastloss.kernels import ctc_frames_cpu as by_frame
    from fastloss.kernels import launch_cpu as launch
    from fastloss.kernels import overlap_cpu as tiles

    x = operands[0]
    dtype = backend.dtype_name(x)
    compute = COMPUTE[dtype]
    shape = tuple(x.shape)
    axes = layout(settings.loss, shape, settings.batch_first)
    strides = _by_axis(axes, backend.strides(x))
    frames, classes = shape[axes[0]], shape[axes[2]]
    samples = 1 if axes[1] is None else shape[axes[1]]

    columns = classes
    output = Output(shape, dtype, memory_order(backend.strides(x)))
    if settings.output == "occupancies":
        columns = int(operands[2].reshape(-1)[kernels.LABELS :: kernels.TABLE_SLOTS].max()) * 2 + 1 if samples else 1
        output = Output((*shape[:-1], columns), dtype)
    elif outs and outs[0] is not None and backend.strides(outs[0]) != ():
        output = Output(shape, dtype, None, backend.strides(outs[0]))
    grad_strides = _by_axis(axes, output.strides())
    in_lanes = classes <= MAX_CLASSES_IN_LANES or strides[2] != 1 or grad_strides[2] != 1

    logits = settings.from_logits
    parameters: Parameters = {
        kernels.CLASSES: classes,
        kernels.BLANK: settings.blank,
        kernels.FRAME_STRIDE: strides[0],
        kernels.SAMPLE_STRIDE: strides[1],
        kernels.CLASS_STRIDE: strides[2],
        kernels.GRAD_FRAME_STRIDE: grad_strides[0],
        kernels.GRAD_SAMPLE_STRIDE: grad_strides[1],
        kernels.GRAD_CLASS_STRIDE: grad_strides[2],
        kernels.COLUMNS: columns,
        kernels.FRAMES: frames,
        kernels.ZERO_INFINITY: int(settings.zero_infinity),
        kernels.BY_LENGTH: int(settings.reduction == "mean"),
        kernels.UPSTREAM_STRIDE: int(settings.reduction == "none" and axes[1] is not None),
        kernels.TILE_BYTES: ITEMSIZE[compute] * (classes + 1) * (kernels.K if in_lanes else 1) // 8 * 8,
        kernels.FRAMES_IN: build_cpu.kernel(by_frame.frames_in, dtype, LOGITS=logits, IN_LANES=in_lanes),
        kernels.FACTORS: build_cpu.kernel(by_frame.factors, compute),
        kernels.STEP_KEEPING: build_cpu.kernel(kernels.step, KEEP=True, MEET=False),
        kernels.PROBABILITY: build_cpu.kernel(kernels.probability),
        kernels.STATES: build_cpu.kernel(kernels.states),
        kernels.SKIPS_OF: build_cpu.kernel(kernels.skips),
        kernels.WORDS: build_cpu.kernel(kernels.words),
        kernels.NORMALISED: int(logits),
    }
    if in_lanes:
        parameters[kernels.FETCH] = build_cpu.kernel(tiles.fetch_tile, dtype)
        parameters[kernels.FLUSH] = build_cpu.kernel(tiles.flush_tile, dtype)
        parameters[kernels.FETCH_REAL] = build_cpu.kernel(tiles.fetch_tile, compute)
        parameters[kernels.FLUSH_REAL] = build_cpu.kernel(tiles.flush_tile, compute)
    gradient = bool(flags & launch.GRAD)
    if gradient:
        if settings.output == "occupancies":
            parameters[kernels.ROWS_OUT] = build_cpu.kernel(by_frame.occupancies_out, dtype)
        else:
            less = settings.output == "logits" and not logits
            parameters[kernels.ROWS_OUT] = build_cpu.kernel(
                by_frame.rows_out, dtype, LOGITS=logits, LESS=less, IN_LANES=in_lanes
            )
        parameters[kernels.FILL] = build_cpu.kernel(by_frame.fill, dtype)

    def bad(operands: Operands, item: int) -> Exception:
        return AssertionError("labels are checked before the launch")

    grads: Outputs = (output if gradient else None, None, None)
    nanoseconds = frames * samples * (NANOSECONDS_OF_FRAME + NANOSECONDS_OF_SCORE * classes)
    shared: dict[str, Any] = dict(
        loss=settings.loss,
        backend=backend,
        denominator=float(samples),
        losses=Output(() if axes[1] is None else (samples,), compute) if settings.reduction == "none" else None,
        grads=grads,
        statistics=None,
        bad=bad,
    )
    program = build_cpu.kernel(kernels.program, compute)

    def stage(number: int, items: int, block: int, nanoseconds: float, flags: int) -> Plan:
        step = build_cpu.kernel(kernels.step, KEEP=False, MEET=number == kernels.GRADIENTS)
        return Plan(
            **shared,
            parameters={**parameters, kernels.STAGE: number, kernels.STEP: step},
            kernel=program,
            items=items,
            block=block,
            nanoseconds=nanoseconds,
            flags=flags,
        )

    mean = launch.MEAN if settings.reduction == "mean" else 0
    note = stage(kernels.HALVES, 2 * samples, 1, nanoseconds, 0)
    meet = stage(kernels.MEETING, samples, max(1, samples), 0.0, mean)
    write = stage(kernels.GRADIENTS, 2 * samples, 1, nanoseconds, 0) if gradient else None
    return CtcPlan(note, meet, write, bool(flags & launch.VALUE), bool(mean))


def _by_axis(axes: tuple[int, int | None, int], strides: tuple[int, ...]) -> tuple[int, int, int]:
    frame, sample, column = axes
    return strides[frame], 0 if sample is None else strides[sample], strides[column]
