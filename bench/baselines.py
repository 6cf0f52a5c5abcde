"""The peers: PyTorch eager and compiled, XLA through JAX, and scikit-learn's private losses.

None is handicapped: default threads, everything compiled and warm before the clock runs, buffers given where the
library takes them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from arena import Arena, Problem
from cases import Case
from compositions import reference
from variants import Variant, through_torch, value_only


def peers(arena: Arena, mode: str, compiled: bool = True) -> list[Variant]:
    variants = [eager(arena, mode)]
    if compiled:
        variants.append(inductor(arena, mode))
    if mode in ("value", "value_and_grad"):
        variants += xla(arena, mode) + sklearn(arena, mode)
    return variants


def eager(arena: Arena, mode: str) -> Variant:
    return _torch("eager", reference(arena.case), arena, mode)


def inductor(arena: Arena, mode: str) -> Variant:
    """torch.compile."""
    return _torch("compile", _compiled(arena.case), arena, mode)


def _torch(name: str, function: Callable[..., Any], arena: Arena, mode: str) -> Variant:
    if mode != "value":
        return through_torch(name, function, arena, mode == "nonleaf")
    # Nothing requires grad, so this is the forward alone, as under no_grad and without the cost of entering it.
    return Variant(name, lambda i: function(*arena.tensors[i]), value_only)


@functools.lru_cache(maxsize=1)
def _compiled(case: Problem) -> Callable[..., Any]:
    import torch

    # Each case its own graph of fixed shapes; otherwise the second shape would be compiled for any shape.
    torch._dynamo.reset()
    function = reference(case, compiled=True)
    compiled: Callable[..., Any] = torch.compile(lambda *arrays: function(*arrays), dynamic=False, fullgraph=True)
    return compiled


def xla(arena: Arena, mode: str) -> list[Variant]:
    try:
        import jax
    except ImportError:
        return []
    function = _optax(arena.case)
    if function is None:
        return []
    fused = jax.jit(function if mode == "value" else jax.value_and_grad(function))
    arrays = [
        # JAX's own index dtype.
        (jax.device_put(x), jax.device_put(t.astype(np.int32) if t.dtype == np.int64 else t))
        for x, t in arena.arguments
    ]

    def call(i: int) -> Any:
        return jax.block_until_ready(fused(*arrays[i]))

    if mode == "value":
        return [Variant("xla", call, value_only)]
    return [Variant("xla", call, lambda result, i: (float(result[0]), np.asarray(result[1])))]


def _optax(case: Case) -> Callable[[Any, Any], Any] | None:
    try:
        import optax
    except ImportError:
        return None
    if case.loss == "mse_loss":
        return lambda x, t: optax.squared_error(x, t).mean()
    if case.loss == "binary_cross_entropy_with_logits":
        return lambda x, t: optax.sigmoid_binary_cross_entropy(x, t).mean()
    if case.loss == "cross_entropy" and case.target == "classes":
        return lambda x, t: optax.softmax_cross_entropy_with_integer_labels(x, t, axis=1).mean()
    if case.loss == "cross_entropy":
        return lambda x, t: optax.softmax_cross_entropy(x, t).mean()
    return None  # optax takes logits


def sklearn(arena: Arena, mode: str) -> list[Variant]:
    """The losses behind scikit-learn's estimators. They are private: where they have changed there is no row.

    They do a little less than the others: the gradient is that of the sum, not divided by the number of samples.
    """
    case = arena.case
    multinomial = case.loss == "cross_entropy" and case.target == "classes" and len(case.shape) == 2
    if case.dtype != "float32" or not (multinomial or case.loss == "binary_cross_entropy_with_logits"):
        return []
    try:
        from sklearn._loss import HalfBinomialLoss, HalfMultinomialLoss

        loss = HalfMultinomialLoss(n_classes=case.shape[1]) if multinomial else HalfBinomialLoss()
        small = np.zeros((1, case.shape[1]) if multinomial else 1, np.float32)
        one = np.zeros(1, np.float32)
        loss.loss_gradient(one, small, loss_out=one.copy(), gradient_out=small.copy(), n_threads=1)
        loss.loss(one, small, loss_out=one.copy(), n_threads=1)
    except (ImportError, AttributeError, TypeError, ValueError):
        return []

    import fastloss as fl

    threads = fl.get_num_threads()
    inputs = [x for x, _ in arena.arguments]
    targets = [t.astype(np.float32) for _, t in arena.arguments]  # its dtype for classes too
    losses = [np.ones(t.shape, np.float32) for t in targets]

    def value(i: int) -> Any:
        return loss.loss(targets[i], inputs[i], loss_out=losses[i], n_threads=threads).mean()

    def value_and_grad(i: int) -> Any:
        values, grad = loss.loss_gradient(
            targets[i], inputs[i], loss_out=losses[i], gradient_out=arena.outs[i][0], n_threads=threads
        )
        return values.mean(), grad

    if mode == "value":
        return [Variant("sklearn", value, value_only)]
    return [Variant("sklearn", value_and_grad, lambda result, i: (float(result[0]), result[1] / targets[i].size))]
