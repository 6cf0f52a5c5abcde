"""torch.compile, torch.func and tracers: one operator stands for all losses.

So the graph does not break, and the compiler never looks inside. Options travel as text.
"""

from __future__ import annotations

import ast
import math
from typing import Any

import torch

from fastloss import _arrays
from fastloss._loss import DIFFERENTIABLE, LOSSES, Loss
from fastloss._plan import Operands
from fastloss._torch_autograd import no_tangents, only_once, run_backward, run_forward
from fastloss._torch_tensors import DTYPES, NAMES, widened

_SCHEMA = "(Tensor input, Tensor? target, Tensor? third, Tensor? weight, Tensor? sample_weight, str loss, str options)"
_library = torch.library.Library("fastloss", "DEF")
_library.define(f"forward{_SCHEMA} -> (Tensor, Tensor, Tensor)")
_library.define(
    "backward(Tensor upstream, Tensor? statistics, Tensor denominator, bool by_input, bool by_target, bool by_third, "
    + _SCHEMA[1:]
    + " -> (Tensor, Tensor, Tensor)"
)


def _spec(key: str) -> Loss:
    return LOSSES[key]


def _op_forward(*arguments: Any) -> tuple[Any, Any, Any]:
    *arrays, name, text = arguments
    spec, backend = _spec(name), _arrays.backend_of(arrays[0])
    checked = spec.converted(backend, tuple(arrays))  # type: ignore[arg-type]
    found = spec.prepare(backend, checked, ast.literal_eval(text), "forward")
    _, loss, statistics, denominator = run_forward(found, checked)
    if statistics is None:
        statistics = torch.empty(0, device="cpu")
    # Contiguous, as the fake one says it is.
    return loss.contiguous(), statistics, torch.tensor(denominator, dtype=torch.float64, device="cpu")


def _op_forward_fake(*arguments: Any) -> tuple[Any, Any, Any]:
    x, t, third, weight, sample_weight, name, text = arguments
    problem = _spec(name).problem(*ast.literal_eval(text))
    dtype = x.dtype
    operands = (x, t, third, weight, sample_weight)
    for index in getattr(problem, "promoting", () if problem.plain_upstream else (1, 2, 3, 4)):
        other = operands[index]
        if other is not None and other.is_floating_point():
            dtype = torch.promote_types(dtype, other.dtype)
    if getattr(problem, "widens", False):  # at least to float32
        dtype = torch.promote_types(dtype, torch.float32)
    shape = problem.loss_shape(operands)
    size = 1
    for length in shape:
        size = size * length
    compute = DTYPES[_arrays.COMPUTE[NAMES[dtype]]]
    statistics = (
        x.new_empty((size, 2), dtype=compute) if problem.has_statistics else x.new_empty(0, dtype=torch.float32)
    )
    loss = x.new_empty(shape if problem.reduction == "none" else (), dtype=dtype)
    return loss, statistics, x.new_empty((), dtype=torch.float64)


def _op_backward(upstream: Any, statistics: Any, denominator: Any, *arguments: Any) -> tuple[Any, ...]:
    wanted, (*arrays, name, text) = arguments[:DIFFERENTIABLE], arguments[DIFFERENTIABLE:]
    spec, options, backend = _spec(name), ast.literal_eval(text), _arrays.backend_of(arrays[0])
    found = spec.prepare(backend, tuple(arrays), options, "forward")  # type: ignore[arg-type]
    operands = found.operands(tuple(arrays))  # type: ignore[arg-type]
    wrt = tuple(n for n, want in zip(spec.names, wanted, strict=False) if want)
    kept = statistics if found.plan.statistics is not None else None
    count = denominator.detach().item()
    grads = dict(zip(wrt, run_backward(spec, found, operands, upstream, kept, count, wrt), strict=True))
    result = []
    for index in range(DIFFERENTIABLE):
        original, grad = arrays[index], grads.get(spec.names[index]) if wanted[index] else None
        if grad is None:
            result.append(torch.empty(0, device="cpu"))
            continue
        result.append(found.fitted(index, grad, tuple(original.shape), NAMES[original.dtype]).contiguous())
    return tuple(result)


def _op_backward_fake(upstream: Any, statistics: Any, denominator: Any, *arguments: Any) -> tuple[Any, ...]:
    wanted, originals = arguments[:DIFFERENTIABLE], arguments[DIFFERENTIABLE : 2 * DIFFERENTIABLE]
    return tuple(
        original.new_empty(original.shape) if want else upstream.new_empty(0, dtype=torch.float32)
        for original, want in zip(originals, wanted, strict=True)
    )


def _op_setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
    *arrays, ctx.name, ctx.text = inputs
    ctx.save_for_backward(*arrays, output[1], output[2])


def _op_autograd(ctx: Any, upstream: Any, *others: Any) -> tuple[Any, ...]:
    *arrays, statistics, denominator = ctx.saved_tensors
    spec = _spec(ctx.name)
    for name, need in zip(spec.names, ctx.needs_input_grad, strict=False):
        if need and name not in spec.differentiable:
            raise spec.refusal(name)
    needs = ctx.needs_input_grad[:DIFFERENTIABLE]
    grads = torch.ops.fastloss.backward(upstream, statistics, denominator, *needs, *arrays, ctx.name, ctx.text)
    given = [grad if need else None for grad, need in zip(grads, needs, strict=True)]
    if torch.is_grad_enabled():
        given = only_once(spec, given, (*arrays[:DIFFERENTIABLE], upstream))
    return (*given, *[None] * 4)


_library.impl("forward", _op_forward, "CPU")
_library.impl("backward", _op_backward, "CPU")
torch.library.register_fake("fastloss::forward", _op_forward_fake)
torch.library.register_fake("fastloss::backward", _op_backward_fake)
torch.library.register_autograd("fastloss::forward", _op_autograd, setup_context=_op_setup_context)


class _Transformed(torch.autograd.Function):
    """The operators as torch.func's transforms want them."""

    generate_vmap_rule = True

    @staticmethod
    def forward(*arguments: Any) -> Any:
        return torch.ops.fastloss.forward(*arguments)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        _op_setup_context(ctx, inputs, output)
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def backward(ctx: Any, upstream: Any, *others: Any) -> tuple[Any, ...]:
        with torch.enable_grad():  # only the transforms know whether the gradients are differentiated again
            return _op_autograd(ctx, upstream)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise no_tangents(_spec(ctx.name))


def _called(operator: Any, backend: Any, spec: Loss, arrays: Operands, options: tuple[Any, ...]) -> Any:
    if torch.is_autocast_enabled("cpu"):
        arrays = widened(arrays)
    third = arrays[2]
    if isinstance(third, int | float):
        arrays = (*arrays[:2], backend.number(third, arrays[0]), *arrays[3:])
    loss = operator(*arrays, spec.key, _written(spec.settled(options)))[0]
    return loss.to(arrays[0].dtype) if spec.row.dtype_of_input else loss


def through_operator(backend: Any, spec: Loss, arrays: Operands, options: tuple[Any, ...]) -> Any:
    """The loss of tensors that a compiler or a tracer looks at, or of subclasses that catch operators."""
    return _called(torch.ops.fastloss.forward, backend, spec, arrays, options)


def through_transforms(backend: Any, spec: Loss, arrays: Operands, options: tuple[Any, ...]) -> Any:
    """The loss under transforms of torch.func."""
    return _called(_Transformed.apply, backend, spec, arrays, options)


def _written(option: Any) -> str:
    """An option, or a tuple of options, so that ``ast.literal_eval`` reads the same."""
    if isinstance(option, tuple):
        return "(" + "".join(f"{_written(one)}, " for one in option) + ")"
    if isinstance(option, float) and math.isinf(option):
        return "1e999" if option > 0 else "-1e999"  # what Python reads as infinity
    return repr(option)
