"""What is timed: a call on the i-th copy of the arrays, and how to read its result; and our own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from arena import Arena, Problem

import fastloss as fl

UPSTREAM = 0.25


class Variant(NamedTuple):
    name: str
    call: Callable[[int], Any]
    #: From what the call returned: the value, and the gradient, or several in a tuple, where there is one.
    read: Callable[[Any, int], tuple[float, Any]]


def value_only(result: Any, i: int) -> tuple[float, Any]:
    return float(result), None


def to_numpy(tensor: Any) -> Any:
    return tensor.detach().float().numpy()


def through_torch(name: str, function: Callable[..., Any], arena: Arena, nonleaf: bool = False) -> Variant:
    """Forward and backward, the same statements for every contender: fresh gradients in every step."""
    import torch

    wrt = arena.case.wrt
    if nonleaf:
        inputs = arena.histories
    else:
        # Leaves of its own for every contender, on the same memory: each frees its own gradient of the step before, as
        # in a training loop, and not that of whoever had its turn last (returning 262 MB to the system takes 15 ms).
        inputs = [
            tuple(t.detach().requires_grad_() if k in wrt else t for k, t in enumerate(tensors))
            for tensors in arena.tensors
        ]
    sloped = [tuple(tensors[k] for k in wrt) for tensors in inputs]

    def from_leaf(i: int) -> Any:
        for leaf in sloped[i]:
            leaf.grad = None
        loss = function(*inputs[i])
        loss.backward()
        return loss

    def from_nonleaf(i: int) -> Any:
        loss = function(*inputs[i])
        # Down to the input and no further, so that its history can be used again.
        return loss, torch.autograd.grad(UPSTREAM * loss, sloped[i])

    def read_nonleaf(result: Any, i: int) -> tuple[float, Any]:
        return float(result[0].detach()), tuple(to_numpy(grad) / UPSTREAM for grad in result[1])

    def read_leaf(result: Any, i: int) -> tuple[float, Any]:
        return float(result.detach()), tuple(to_numpy(leaf.grad) for leaf in sloped[i])

    return Variant(name, from_nonleaf, read_nonleaf) if nonleaf else Variant(name, from_leaf, read_leaf)


def ours(arena: Arena, mode: str) -> list[Variant]:
    """Our own call, and others of ours that it is to be compared with."""
    variants = [own(arena, mode)]
    if mode in ("autograd", "nonleaf"):
        return variants
    if mode == "value_and_grad":
        fused = getattr(fl, arena.case.loss).value_and_grad
        variants.append(Variant("fastloss_new", lambda i: fused(*arena.arguments[i]), lambda result, i: result))
    if arena.case.dtype != "float32":
        variants.append(_on_numpy("float32", arena.case, arena.singles, arena.single_outs, mode))
    return variants


def own(arena: Arena, mode: str) -> Variant:
    if mode in ("autograd", "nonleaf"):
        return through_torch("fastloss", _with_options(arena.case), arena, mode == "nonleaf")
    return _on_numpy("fastloss", arena.case, arena.arguments, arena.outs, mode)


def _with_options(case: Problem) -> Callable[..., Any]:
    function = getattr(fl, case.loss)
    return functools.partial(function, **case.options) if case.options else function


def _on_numpy(name: str, case: Problem, arguments: list[Any], outs: list[Any], mode: str) -> Variant:
    if mode == "value":
        function = _with_options(case)
        return Variant(name, lambda i: function(*arguments[i]), value_only)
    fused, options, spec = getattr(fl, case.loss).value_and_grad, case.options, getattr(fl, case.loss).spec
    wrt = tuple(tuple(spec.row.domain)[k] for k in case.wrt)
    if wrt != spec.default:  # else the call says what users say
        options = {**options, "wrt": wrt}
        single = False
    else:
        single = len(wrt) == 1
    given = [out[0] if single else out for out in outs]
    if options:
        fused = functools.partial(fused, **options)
    return Variant(name, lambda i: fused(*arguments[i], out=given[i]), lambda result, i: result)


def difference(a: tuple[float, Any], b: tuple[float, Any]) -> tuple[float, float]:
    """Of two results: relative in the value, and in a gradient relative to its largest element."""
    value = abs(a[0] - b[0]) / max(abs(b[0]), 1e-30)
    if a[1] is None or b[1] is None:
        return float(value), 0.0
    gaps = [_gap(mine, theirs) for mine, theirs in zip(gradients(a), gradients(b), strict=True)]
    return float(value), max(gaps, key=lambda gap: float("inf") if gap != gap else gap)


def gradients(result: tuple[float, Any]) -> tuple[Any, ...]:
    return result[1] if isinstance(result[1], tuple) else (result[1],)


def _gap(mine: Any, theirs: Any) -> float:
    ours, other = np.asarray(mine).reshape(-1), np.asarray(theirs).reshape(-1)
    step, worst, largest = 1 << 22, 0.0, 0.0  # in pieces: no array of the size of the case
    for start in range(0, ours.size, step):
        x = ours[start : start + step].astype(np.float32, copy=False)
        y = other[start : start + step].astype(np.float32, copy=False)
        gap = float(np.abs(x - y).max())
        if not gap <= float("inf"):
            return float("nan")
        worst, largest = max(worst, gap), max(largest, float(np.abs(y).max()))
    return worst / max(largest, 1e-30)
