"""What losses of similarities have in common: operands, labels that group rows, cross-entropy, two learnt numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastloss import _arrays, _batch, _errors
from fastloss._batch import Job, kernel
from fastloss._catalogue import FLAG, POSITIVE
from fastloss._plan import Operands
from fastloss._sweeps import Sweep

#: What each kind of work needs compiled: kernels by name, and their constants.
Kernels = tuple[tuple[str, dict[str, Any]], ...]


def kernels_of(module: str, *names: str, **constants: Any) -> Kernels:
    return tuple((f"{module}.{name}", constants) for name in names)


#: Kinds of operands that are matrices of embeddings.
_MATRICES = ("rows", "more")
UNITS = kernels_of("similarities_cpu", "unit_rows", "slopes_of_rows")


class SimilarityProblem(_batch.BatchProblem):
    """What these losses have in common: matrices of embeddings of one width, perhaps labels."""

    #: What the operands are, by name: "rows" are as many as the first operand's, "more" any number, of its width;
    #: "labels" one integer a row, "number" a single one.
    operands: tuple[tuple[str, str], ...]
    kernels: Kernels = ()

    def __init__(self, reduction: Any) -> None:
        _errors.check_reduction(self.name, reduction)
        self.reduction = reduction

    @property
    def promoting(self) -> tuple[int, ...]:
        return tuple(i for i, (_, kind) in enumerate(self.operands) if i > 0 and kind in _MATRICES)

    def normalise(self, backend: Any, arrays: Operands) -> Operands:
        named = zip(self.operands, arrays, strict=False)
        matrices = {name: array for (name, kind), array in named if kind in _MATRICES}
        dtype = _batch.common_dtype(self.name, backend, matrices)
        found: list[Any] = []
        for (name, kind), array in zip(self.operands, arrays, strict=False):
            first = found[0] if found else None
            if array is None and kind == "number":
                raise ValueError(_errors.wrong(self.name, name, "None", "a number, or an array of shape () or (1,)"))
            if array is None:
                found.append(None)
            elif first is None:
                found.append(_batch.embeddings(self.name, backend, name, array, dtype))
            elif kind == "labels":
                found.append(_batch.labels(self.name, backend, name, array, int(first.shape[0])))
            elif kind == "number":
                found.append(_number(self.name, backend, name, array, first))
            else:
                rows = _batch.embeddings(self.name, backend, name, array, dtype, int(first.shape[1]))
                if kind == "rows":
                    _errors.check_shape(self.name, name, tuple(rows.shape), tuple(first.shape))
                found.append(rows)
        return (*found, *[None] * (5 - len(found)))  # type: ignore[return-value]

    def compile(self, dtype: str) -> None:
        for name, constants in self.kernels:
            kernel(name, dtype, **constants)

    def temperature(self, value: Any) -> float:
        """What similarities are multiplied by."""
        number = POSITIVE.check(self.name, "temperature", value)
        if 1.0 / number == math.inf:
            raise ValueError(_errors.wrong(self.name, "temperature", repr(value), "a number whose inverse is finite"))
        return 1.0 / number

    def flag(self, argument: str, value: Any) -> bool:
        return bool(FLAG.check(self.name, argument, value))


def _number(loss: str, backend: Any, name: str, array: Any, like: Any) -> Any:
    if tuple(array.shape) not in ((), (1,)):
        raise ValueError(f"{loss}: {name} has shape {tuple(array.shape)}, expected () or (1,)")
    if not (backend.is_floating(array) or backend.is_integer(array)):
        raise TypeError(f"{loss}: {name} has dtype {backend.dtype_name(array)}, expected a floating one")
    return backend.cast(array, backend.dtype_name(like))


def groups(labels: Any) -> tuple[Any, Any, Any]:
    """The order that sorts the labels, and for each place in it where those of its label begin and end."""
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(labels) else np.zeros(0, int)
    sizes = np.diff(np.append(starts, len(labels)))
    return order, np.repeat(starts, sizes), np.repeat(starts + sizes, sizes)


def squared_norms(rows: Any) -> Any:
    """The squared norms, in float64."""
    return np.einsum("nd,nd->n", rows, rows, dtype=np.float64, casting="unsafe")


def entropy_sweep(
    left: Any,
    right: Any,
    scale: float,
    firsts: Any,
    lasts: Any,
    job: Job,
    *,
    wanted: tuple[bool, bool],
    order: Any = None,
    own: Any = None,
    others: bool = False,
    margin: tuple[int, tuple[float, ...]] = (0, ()),
) -> Sweep:
    """Cross-entropy of every row of scale * left @ right.T, against its positives: see ``cross_entropy_rows``.

    Losses and upstream gradients belong to the rows in ``order``.
    """
    kind, numbers = margin
    rows = kernel("similarities_cpu.cross_entropy_rows", str(left.dtype), OTHERS=others, MARGIN=kind)
    weights, losses, gradient = per_row(job, left, order)
    width = left.shape[1]

    def score(low: int, high: int, tile: Any) -> tuple[float, float, int]:
        more = (left[low:high], right, width, *numbers[1:]) if kind == 2 else ()
        taken = numbers[0] if kind == 1 else 0.0
        return rows(
            low, high, tile, tile.shape[1], firsts, lasts, weights, losses, gradient, float(scale), taken, *more
        )

    found = Sweep(left, right, scale, score, job.threads, *wanted, own)
    write_losses(job, losses, order)
    return found


def per_row(job: Job, left: Any, order: Any) -> tuple[Any, Any, int]:
    """Upstream gradients in order, room for losses, and whether gradients are wanted: what kernels of rows take."""
    weights = job.upstream
    if weights is not None and order is not None:
        weights = weights[order]
    losses = None if job.losses is None else np.empty(len(left), left.dtype)
    return weights, losses, int(any(grad is not None for grad in job.grads))


def write_losses(job: Job, losses: Any, order: Any) -> None:
    if losses is not None:
        job.losses[slice(None) if order is None else order] = losses


class TwoNumbers(_batch.BatchLoss):
    """The engine of a loss whose third and fourth argument are numbers: it sees them as one array of both."""

    pair = ("logit_scale", "logit_bias")

    def value(self, arrays: Operands, options: tuple[Any, ...]) -> Any:
        return super().value(self._joined(arrays), options)

    def value_and_grad(
        self, arrays: Operands, options: tuple[Any, ...], wrt: Any, out: Any, grad_output: Any
    ) -> tuple[Any, Any]:
        names, single, outs = self._asked(wrt, out)
        inner = tuple(dict.fromkeys(self.pair[0] if name in self.pair else name for name in names))
        given = dict(zip(names, outs, strict=True))
        inner_outs = tuple(None if name in self.pair else given[name] for name in inner)
        joined = self._joined(arrays)
        value, grads = super().value_and_grad(joined, options, inner, inner_outs, grad_output)
        found = dict(zip(inner, grads, strict=True))
        both: Any = found.get(self.pair[0])
        for name, original, index in zip(self.pair, arrays[2:4], (0, 1), strict=True):
            if name in names:
                part = both[index].reshape(getattr(original, "shape", ()))
                found[name] = part if given[name] is None else _written(given[name], part)
        return value, found[names[0]] if single else tuple(found[name] for name in names)

    def _asked(self, wrt: Any, out: Any) -> tuple[tuple[str, ...], bool, tuple[Any, ...]]:
        """As check_wrt, which knows nothing of the second number."""
        names = (wrt,) if wrt is None or isinstance(wrt, str) else tuple(wrt)
        if self.pair[1] not in names:
            return self.check_wrt(wrt, out)
        others = tuple(name for name in names if name != self.pair[1])
        if others:
            self.check_wrt(others, None)
        outs = (None,) * len(names) if out is None else (out,) if isinstance(wrt, str) else tuple(out)
        if len(outs) != len(names) or len(others) != len(names) - 1:
            raise ValueError(f"{self.name}: wrt is {wrt!r} with {len(outs)} arrays, expected distinct names, one each")
        return names, isinstance(wrt, str), outs

    def _joined(self, arrays: Operands) -> Operands:
        image, text, *numbers = arrays[:4]
        for name, number in zip(self.pair, numbers, strict=True):
            shape = tuple(getattr(number, "shape", ()))
            if number is None or shape not in ((), (1,)):
                got = "None" if number is None else f"of shape {shape}"
                raise ValueError(_errors.wrong(self.name, name, got, "a number, or an array of shape () or (1,)"))
        dtypes = [number.dtype for number in numbers if hasattr(number, "dtype")]
        joined: Any
        if _arrays.is_torch(image):
            import torch

            like = dtypes[0] if dtypes else image.dtype
            joined = torch.stack([torch.as_tensor(number, dtype=like).reshape(()) for number in numbers])
        else:
            like = np.result_type(*dtypes) if dtypes else np.float64
            joined = np.array([np.asarray(number, like).reshape(()) for number in numbers])
        return image, text, joined, None, None


def _written(out: Any, part: Any) -> Any:
    out[...] = part
    return out
