"""What is timed: a call on the i-th copy of the arrays, and how to read its result; and our own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from arena import Arena

import fastloss as fl

UPSTREAM = 0.25


class Variant(NamedTuple):
    name: str
    call: Callable[[int], Any]
    #: From what the call returned: the value, and the gradient where there is one.
    read: Callable[[Any, int], tuple[float, Any]]


def value_only(result: Any, i: int) -> tuple[float, Any]:
    return float(result), None


def to_numpy(tensor: Any) -> Any:
    return tensor.detach().float().numpy()


def through_torch(name: str, function: Callable[[Any, Any], Any], arena: Arena, nonleaf: bool = False) -> Variant:
    """Forward and backward, the same statements for every contender: a fresh gradient in every step."""
    import torch

    targets = arena.target_tensors
    # Leaves of its own for every contender, on the same memory: each frees its own gradient of the step before, as in a
    # training loop, and not that of whoever had its turn last (returning 262 MB to the system takes 15 ms).
    inputs = arena.nonleaves if nonleaf else [leaf.detach().requires_grad_() for leaf in arena.leaves]

    def from_leaf(i: int) -> Any:
        inputs[i].grad = None
        loss = function(inputs[i], targets[i])
        loss.backward()
        return loss

    def from_nonleaf(i: int) -> Any:
        loss = function(inputs[i], targets[i])
        # Down to the input and no further, so that its history can be used again.
        return loss, torch.autograd.grad(UPSTREAM * loss, inputs[i])[0]

    if nonleaf:
        return Variant(
            name, from_nonleaf, lambda result, i: (float(result[0].detach()), to_numpy(result[1]) / UPSTREAM)
        )
    return Variant(name, from_leaf, lambda result, i: (float(result.detach()), to_numpy(inputs[i].grad)))


def ours(arena: Arena, mode: str) -> list[Variant]:
    function = getattr(fl, arena.case.loss)
    if mode in ("autograd", "nonleaf"):
        return [through_torch("fastloss", function, arena, mode == "nonleaf")]
    variants = [_on_numpy("fastloss", function, arena.inputs, arena.targets, arena.outs, mode)]
    if mode == "value_and_grad":
        fused = function.value_and_grad
        variants.append(
            Variant("fastloss_new", lambda i: fused(arena.inputs[i], arena.targets[i]), lambda result, i: result)
        )
    if arena.case.dtype != "float32":
        variants.append(_on_numpy("float32", function, arena.singles, arena.targets, arena.single_outs, mode))
    return variants


def _on_numpy(name: str, function: Any, inputs: list[Any], targets: list[Any], outs: list[Any], mode: str) -> Variant:
    if mode == "value":
        return Variant(name, lambda i: function(inputs[i], targets[i]), value_only)
    fused = function.value_and_grad
    return Variant(name, lambda i: fused(inputs[i], targets[i], out=outs[i]), lambda result, i: result)


def difference(a: tuple[float, Any], b: tuple[float, Any]) -> tuple[float, float]:
    """Of two results: relative in the value, and in the gradient relative to its largest element."""
    value = abs(a[0] - b[0]) / max(abs(b[0]), 1e-30)
    if a[1] is None or b[1] is None:
        return float(value), 0.0
    ours, theirs = np.asarray(a[1]).reshape(-1), np.asarray(b[1]).reshape(-1)
    step, worst, largest = 1 << 22, 0.0, 0.0  # in pieces: no array of the size of the case
    for start in range(0, ours.size, step):
        x = ours[start : start + step].astype(np.float32, copy=False)
        y = theirs[start : start + step].astype(np.float32, copy=False)
        gap = float(np.abs(x - y).max())
        if not gap <= float("inf"):
            return float(value), float("nan")
        worst, largest = max(worst, gap), max(largest, float(np.abs(y).max()))
    return float(value), worst / max(largest, 1e-30)
