"""Losses of object detection: how well pairs of boxes agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastloss import _errors
from fastloss._arrays import ITEMSIZE
from fastloss._catalogue import NON_NEGATIVE, Interval, Row
from fastloss._elementwise import common_dtype
from fastloss._layout import collapse, memory_order, size_of
from fastloss._loss import Arguments, loss
from fastloss._plan import BLOCK_ELEMENTS, Operands, Output, Parameters, Plan, block_size, extents

_NAMES = ("boxes1", "boxes2", "", "", "sample_weight")
#: What a pair of boxes costs a core, about.
_NANOSECONDS = {"iou": 6.0, "general": 10.0, "distance": 10.0, "complete": 20.0}


@dataclass(frozen=True)
class Corners(Interval):
    """Two corners of each box: x1, y1, x2, y2."""

    def __str__(self) -> str:
        return "corners"

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], axis: int) -> Any:
        """Boxes of positive extent, most of which overlap; ``shape`` says how many."""
        low = rng.uniform(0.0, 1.0, (*shape[:-1], 2))
        return np.concatenate([low, low + rng.uniform(0.25, 1.5, low.shape)], -1)


class BoxesProblem:
    """The options of a loss of boxes."""

    plain_upstream = True
    has_statistics = False
    #: The loss is at least float32, whatever the boxes are.
    widens = True
    promoting = (1, 4)

    def __init__(self, name: str, kind: str, reduction: str, eps: Any, empty: str) -> None:
        _errors.check_reduction(name, reduction)
        _errors.check_choice(name, "empty", empty, ("nan", "zero"))
        self.name = name
        self.kind = kind
        self.reduction = reduction
        self.eps = NON_NEGATIVE.check(name, "eps", eps)
        self.empty = empty

    def _shape(self, operands: Operands) -> tuple[int, ...]:
        one, two = tuple(operands[0].shape), tuple(operands[1].shape)
        for name, shape in (("boxes1", one), ("boxes2", two)):
            if shape[-1:] != (4,):
                raise ValueError(
                    f"{self.name}: {name} has shape {shape}, expected (..., 4): x1, y1, x2, y2 of each box"
                )
        try:
            return tuple(np.broadcast_shapes(one, two))
        except ValueError:
            raise ValueError(
                f"{self.name}: boxes1 has shape {one} and boxes2 has shape {two}: they do not broadcast"
            ) from None

    def loss_shape(self, operands: Operands) -> tuple[int, ...]:
        return self._shape(operands)[:-1]

    def warning(self, operands: Operands) -> str | None:
        return None

    def normalise(self, backend: Any, arrays: Operands) -> Operands:
        """Boxes of one dtype, weights for each pair."""
        one, two, weight = (
            None if array is None else backend.convert(array, self.name, name)
            for name, array in zip(_NAMES, arrays, strict=True)
            if name
        )
        given: dict[str, Any] = {"boxes1": one, "boxes2": two, "sample_weight": weight}
        if not backend.is_floating(one):
            given = {"": backend.cast(one, "float32"), **given} if backend.is_integer(one) else given
        dtype = common_dtype(self.name, backend, given)
        dtype = "float64" if dtype == "float64" else "float32"  # as torchvision
        shape = self.loss_shape((one, two, None, None, None))
        if weight is not None:
            _errors.check_broadcastable(self.name, "sample_weight", tuple(weight.shape), shape)
            weight = backend.contiguous(backend.cast(backend.broadcast_to(weight, shape), dtype))
        one, two = (backend.plain_strides(backend.cast(array, dtype)) for array in (one, two))
        return one, two, None, None, weight

    def tidied(self, backend: Any, operands: Operands) -> Operands:
        """Boxes that broadcast may lie along more axes than kernels have."""
        shape = self._shape(operands)
        one, two = (backend.contiguous(backend.broadcast_to(array, shape)) for array in operands[:2])
        return one, two, None, None, operands[4]

    def build(self, backend: Any, operands: Operands, upstream: Any, flags: int, outs: tuple[Any, ...]) -> Plan | None:
        """The plan; None where memory needs more than two axes of boxes (copy them and ask again)."""
        from fastloss.kernels import boxes_cpu as kernels
        from fastloss.kernels import build_cpu, overlap_cpu
        from fastloss.kernels import launch_cpu as launch

        one, two, _, _, weight = operands
        dtype = backend.dtype_name(one)
        shape = self._shape(operands)
        positions = shape[:-1]
        items = size_of(positions)
        read = [backend.strides(backend.broadcast_to(array, shape)) for array in (one, two)]
        # Gradients are as the boxes lie in memory; the caller's own arrays are written in place where that can be.
        like = [Output(shape, dtype, memory_order(strides)) for strides in read]
        own = [
            Output(shape, dtype, None, backend.strides(out))
            if out is not None and tuple(out.shape) == shape and backend.dtype_name(out) == dtype
            else like[i]
            for i, out in enumerate(outs[:2])
        ]
        for outputs in (own, like, [Output(shape, dtype)] * 2):
            strides = [*read, *(output.strides() for output in outputs)]
            merged, columns = collapse(positions, [own[:-1] for own in strides])
            if len(merged) <= 2:
                break
        else:
            return None
        padding = (0,) * (2 - len(merged))
        gradients = flags & (launch.GRAD | launch.GRAD_TARGET)
        nanoseconds = items * _NANOSECONDS[self.kind]
        if self.reduction == "mean":
            flags |= launch.MEAN | (launch.EMPTY_ZERO if self.empty == "zero" else 0)
            if weight is not None:
                flags |= launch.FIND_DENOMINATOR
        fetch, flush = (build_cpu.kernel(t, dtype) for t in (overlap_cpu.fetch_tile, overlap_cpu.flush_tile))
        parameters: Parameters = {
            kernels.INNER: max(1, merged[-1] if merged else 1),
            kernels.EPS: float(self.eps),
            kernels.UPSTREAM_STRIDE: int(self.reduction == "none"),
            kernels.FETCH: fetch,
            kernels.FLUSH: flush,
        }
        for i, (column, stride) in enumerate(zip(columns, strides, strict=True)):
            for j, step in enumerate((*padding, *column, stride[-1])):
                parameters[kernels.STRIDES + 3 * i + j] = step * ITEMSIZE[dtype]
        return Plan(
            loss=self.name,
            backend=backend,
            kernel=build_cpu.kernel(
                kernels.boxes,
                dtype,
                GENERAL=self.kind == "general",
                DISTANCE=self.kind in ("distance", "complete"),
                COMPLETE=self.kind == "complete",
                GRADIENT=bool(gradients),
            ),
            items=items,
            block=block_size(items, BLOCK_ELEMENTS // 8, kernels.TILE, nanoseconds),
            nanoseconds=nanoseconds,
            flags=flags,
            denominator=float(items),
            parameters=parameters,
            losses=Output(positions, dtype) if self.reduction == "none" else None,
            grads=(
                outputs[0] if flags & launch.GRAD else None,
                outputs[1] if flags & launch.GRAD_TARGET else None,
                None,
            ),
            statistics=None,
            bad=lambda operands, item: ValueError(f"{self.name}: box {item}"),
            extents=extents(backend, operands, (outputs[0], outputs[1], None), outs),
        )


_KINKS = "equal coordinates: half to each; boxes that touch: 0"


def _problem(name: str, kind: str) -> Callable[..., BoxesProblem]:
    def problem(reduction: str, eps: Any, empty: str) -> BoxesProblem:
        return BoxesProblem(name, kind, reduction, eps, empty)

    return problem


def _boxes(kind: str, module: str, *also: str) -> Callable[[Callable[..., Arguments]], Any]:
    def decorate(bind: Callable[..., Arguments]) -> Any:
        row = Row(module, {"boxes1": Corners(), "boxes2": Corners()}, {"eps": NON_NEGATIVE}, kinks=_KINKS, also=also)
        return loss(
            _problem(bind.__name__, kind),
            row,
            differentiable=("boxes1", "boxes2"),
            default=("boxes1",),
            names=_NAMES,
        )(bind)

    return decorate


@_boxes("iou", "BoxIoULoss", "IoU loss", "Jaccard of boxes")
def box_iou_loss(
    boxes1: Any,
    boxes2: Any,
    reduction: str = "none",
    eps: float = 1e-7,
    *,
    sample_weight: Any = None,
    empty: str = "zero",
) -> Arguments:
    r"""One minus the intersection over union of pairs of boxes.

    .. math:: \ell = 1 - \frac{|A \cap B|}{|A \cup B| + \epsilon}

    Args:
        boxes1: corners x1, y1, x2, y2 of boxes A with x1 <= x2 and y1 <= y2, of shape ``(4,)``, ``(N, 4)`` or
            ``(..., 4)``; of any dtype of floats or integers.
        boxes2: boxes B, of the same shape (other shapes broadcast).
        reduction: ``"none"`` (the default, as in torchvision), ``"sum"``, or ``"mean"``: divided by the number of
            pairs, or by the sum of the sample weights.
        eps: added to what is divided by.
        sample_weight: a weight of each pair, broadcastable to the loss.
        empty: the mean over nothing: ``"zero"`` as in torchvision, or ``"nan"``.

    Returns:
        The loss: an array of the boxes' shape without the last axis, or a scalar. Gradients exist for ``boxes1`` (the
        default) and ``boxes2``.

    Raises:
        ValueError: a shape that does not end in 4, an option out of range. TypeError: an unsuitable dtype.
        NotImplementedError: a gradient for a weight.

    Boxes that do not overlap, also those without or with negative extent, have a loss of 1 and no gradient. A minimum
    or maximum of two equal coordinates passes half the gradient to each, as in PyTorch. Arithmetic is in float64: no
    finite float32 coordinates overflow. NaN propagates.

    >>> import numpy as np, fastloss as fl
    >>> a, b = np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([[1.0, 0.0, 3.0, 2.0]])
    >>> round(float(fl.box_iou_loss(a, b, "sum")), 6)
    0.666667

    Source: Yu et al. (2016), UnitBox, arXiv:1608.01471, without the logarithm.
    """
    return ((boxes1, boxes2, None, None, sample_weight), (reduction, eps, empty))


@_boxes("general", "GeneralizedBoxIoULoss", "GIoU loss", "generalised IoU")
def generalized_box_iou_loss(
    boxes1: Any,
    boxes2: Any,
    reduction: str = "none",
    eps: float = 1e-7,
    *,
    sample_weight: Any = None,
    empty: str = "zero",
) -> Arguments:
    r"""IoU loss plus the empty share of the smallest box around both: it also draws together boxes that do not overlap.

    .. math:: \ell = 1 - \frac{|A \cap B|}{|A \cup B| + \epsilon} + \frac{|C| - |A \cup B|}{|C| + \epsilon}

    where C is the smallest box that holds A and B.

    Args:
        boxes1: corners x1, y1, x2, y2 of boxes A, of shape ``(..., 4)``.
        boxes2: boxes B, of the same shape (other shapes broadcast).
        reduction: ``"none"`` (the default), ``"mean"`` or ``"sum"``.
        eps: added to what is divided by.
        sample_weight: a weight of each pair; the mean divides by their sum.
        empty: the mean over nothing: ``"zero"`` as in torchvision, or ``"nan"``.

    Returns:
        The loss: an array of the boxes' shape without the last axis, or a scalar, between 0 and 2 for proper boxes.
        Gradients exist for ``boxes1`` (the default) and ``boxes2``.

    Raises:
        As :func:`box_iou_loss`, whose kinks these are too. A term whose denominator is 0 (without eps) counts as 0.

    >>> import numpy as np, fastloss as fl
    >>> a, b = np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([[1.0, 1.0, 3.0, 3.0]])
    >>> round(float(fl.generalized_box_iou_loss(a, b, "sum")), 6)
    1.079365

    Source: Rezatofighi et al. (2019), arXiv:1902.09630; meaning of ``torchvision.ops.generalized_box_iou_loss``.
    """
    return ((boxes1, boxes2, None, None, sample_weight), (reduction, eps, empty))


@_boxes("distance", "DistanceBoxIoULoss", "DIoU loss")
def distance_box_iou_loss(
    boxes1: Any,
    boxes2: Any,
    reduction: str = "none",
    eps: float = 1e-7,
    *,
    sample_weight: Any = None,
    empty: str = "zero",
) -> Arguments:
    r"""IoU loss plus the squared distance of the centres, relative to the diagonal of the box around both.

    .. math:: \ell = 1 - \frac{|A \cap B|}{|A \cup B| + \epsilon} + \frac{\|a - b\|^2}{c^2 + \epsilon}

    with the centres a, b and the diagonal c of the smallest box that holds A and B.

    Args:
        boxes1: corners x1, y1, x2, y2 of boxes A, of shape ``(..., 4)``.
        boxes2: boxes B, of the same shape (other shapes broadcast).
        reduction: ``"none"`` (the default), ``"mean"`` or ``"sum"``.
        eps: added to what is divided by.
        sample_weight: a weight of each pair; the mean divides by their sum.
        empty: the mean over nothing: ``"zero"`` as in torchvision, or ``"nan"``.

    Returns:
        The loss: an array of the boxes' shape without the last axis, or a scalar, between 0 and 2 for proper boxes.
        Gradients exist for ``boxes1`` (the default) and ``boxes2``.

    Raises:
        As :func:`box_iou_loss`, whose kinks these are too. A term whose denominator is 0 (without eps) counts as 0.

    >>> import numpy as np, fastloss as fl
    >>> a, b = np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([[1.0, 1.0, 3.0, 3.0]])
    >>> round(float(fl.distance_box_iou_loss(a, b, "sum")), 6)
    0.968254

    Source: Zheng et al. (2020), arXiv:1911.08287; meaning of ``torchvision.ops.distance_box_iou_loss``.
    """
    return ((boxes1, boxes2, None, None, sample_weight), (reduction, eps, empty))


@_boxes("complete", "CompleteBoxIoULoss", "CIoU loss")
def complete_box_iou_loss(
    boxes1: Any,
    boxes2: Any,
    reduction: str = "none",
    eps: float = 1e-7,
    *,
    sample_weight: Any = None,
    empty: str = "zero",
) -> Arguments:
    r"""Distance IoU loss plus a term that makes the aspect ratios agree.

    .. math::
        \ell = \ell_{\mathrm{distance}} + \alpha v, \qquad
        v = \frac{4}{\pi^2} \left(\arctan\frac{w_B}{h_B} - \arctan\frac{w_A}{h_A}\right)^2, \qquad
        \alpha = \frac{v}{1 - \mathrm{IoU} + v + \epsilon}

    with :func:`distance_box_iou_loss` and widths w and heights h; the gradient holds alpha constant, as in the paper.

    Args:
        boxes1: corners x1, y1, x2, y2 of boxes A, of shape ``(..., 4)``.
        boxes2: boxes B, of the same shape (other shapes broadcast).
        reduction: ``"none"`` (the default), ``"mean"`` or ``"sum"``.
        eps: added to what is divided by, everywhere (torchvision's distance term keeps 1e-7 whatever it is given).
        sample_weight: a weight of each pair; the mean divides by their sum.
        empty: the mean over nothing: ``"zero"`` as in torchvision, or ``"nan"``.

    Returns:
        The loss: an array of the boxes' shape without the last axis, or a scalar. Gradients exist for ``boxes1`` (the
        default) and ``boxes2``.

    Raises:
        As :func:`box_iou_loss`, whose kinks these are too. A term whose denominator is 0 (without eps) counts as 0.

    The arctangent of a box without height is pi/2, of one without width 0, also without either (torchvision: NaN), and
    a box without either has no gradient through it.

    >>> import numpy as np, fastloss as fl
    >>> a, b = np.array([[0.0, 0.0, 2.0, 1.0]]), np.array([[0.0, 0.0, 1.0, 2.0]])
    >>> round(float(fl.complete_box_iou_loss(a, b, "sum")), 6)
    0.762918

    Source: Zheng et al. (2020), arXiv:1911.08287; meaning of ``torchvision.ops.complete_box_iou_loss``.
    """
    return ((boxes1, boxes2, None, None, sample_weight), (reduction, eps, empty))


__all__ = ["box_iou_loss", "complete_box_iou_loss", "distance_box_iou_loss", "generalized_box_iou_loss"]
