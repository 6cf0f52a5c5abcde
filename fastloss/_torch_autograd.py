"""Autograd: the functions that PyTorch's graph holds, and what they save."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch.autograd import forward_ad

from fastloss import _threads
from fastloss._loss import DIFFERENTIABLE, Loss, Prepared
from fastloss._plan import Operands, mean_scale
from fastloss._torch_tensors import DTYPES, NAMES, resolved

#: Up to so many elements, the forward pass computes the gradient of a reduced loss too: the backward pass then costs
#: one multiplication by the upstream gradient, or nothing where that is 1.
EAGER_ELEMENTS = 131072


def wanted_gradients(spec: Loss, arrays: Operands) -> tuple[str, ...]:
    """The arguments that autograd wants gradients for."""
    wanted: tuple[str, ...] = ()
    for name, array in zip(spec.names, arrays, strict=True):
        if array is not None and array.requires_grad:
            if name not in spec.differentiable:
                raise spec.refusal(name)
            wanted += (name,)
    return wanted


def prepared(backend: Any, spec: Loss, arrays: Operands, options: tuple[Any, ...], wrt: tuple[str, ...]) -> Prepared:
    """The plan of the value, or of the forward pass of autograd."""
    if not wrt:
        return spec.prepare(backend, arrays, options)
    found = spec.prepare(backend, arrays, options, "forward")
    reduced = found.problem.reduction != "none"
    if spec.eager and reduced:
        found = spec.prepare(backend, arrays, options, "value", wrt, (None,) * len(wrt))
    elif reduced and len(wrt) == 1 and spec.argument_of[wrt[0]] == 0 and arrays[0].numel() <= EAGER_ELEMENTS:
        eager = spec.prepare(backend, arrays, options, "value", wrt, (None,))
        exact = eager.dtype in ("float32", "float64")
        if eager.one_gradient and (exact or eager.plain):
            eager.late = None if exact else _for_autograd(found, arrays)
            found = eager
    return _for_autograd(found, arrays)


def _for_autograd(found: Prepared, arrays: Operands) -> Prepared:
    found.autograd = _EagerGradient if found.gradients else _LateGradient
    found.saved = _described(arrays)
    found.originals = tuple(None if array is None else (array.shape, array.dtype) for array in arrays[:DIFFERENTIABLE])
    return found


def apply_to_copies(found: Prepared, spec: Loss, arrays: tuple[Any, ...]) -> Any:
    """Once more where the first time failed for inference tensors: autograd saves copies of them only."""
    if not any(array is not None and array.is_inference() for array in arrays):
        raise
    copies = tuple(array.clone() if array is not None and array.is_inference() else array for array in arrays)
    wanted = wanted_gradients(spec, copies + found.missing)  # type: ignore[arg-type]
    again = prepared(found.backend, spec, copies + found.missing, found.settled, wanted)  # type: ignore[arg-type]
    return again.autograd.bare_apply(spec, again, *copies)


#: Shape, dtype and strides of tensors that autograd saves; None for those that are absent.
_Described = tuple[Any, ...]


def _described(arrays: Operands) -> _Described:
    return tuple(None if array is None else (array.shape, array.dtype, array.stride()) for array in arrays)


def _as_saved(arrays: Operands, saved: _Described) -> bool:
    """Whether autograd gave back what it was given: hooks on saved tensors may make other memory of them."""
    for array, was in zip(arrays, saved, strict=True):
        if array is not None and (array.stride() != was[2] or array.dtype != was[1] or array.shape != was[0]):
            return False
    return True


def _restored(spec: Loss, backend: Any, arrays: Operands, saved: _Described) -> Operands:
    """What hooks made of saved tensors, in the dtypes that they had."""
    restored = []
    for array, was in zip(arrays, saved, strict=True):
        if array is not None:
            if array.shape != was[0]:
                raise RuntimeError(f"{spec.name}: a hook gave back {tuple(array.shape)} for a saved {tuple(was[0])}")
            array = backend.convert(array.to(was[1]), spec.name, "a saved tensor")
        restored.append(array)
    return tuple(restored)  # type: ignore[return-value]


def _again(spec: Loss, found: Prepared, operands: Operands) -> Prepared:
    """The plans of the same loss for operands with other places in memory."""
    other = spec.prepare(found.backend, operands, found.settled, "forward")
    other.originals = found.originals
    other.message = None  # the forward pass has warned
    return other


def _is_one(tensor: Any) -> bool:
    try:
        return bool(tensor.item() == 1.0)
    except RuntimeError:  # it stands for several, as those of vmap and of ``is_grads_batched`` do
        return False


class _LossFunction(torch.autograd.Function):
    @classmethod
    def __init_subclass__(cls) -> None:
        #: What ``apply`` does outside of functorch's transforms, without its search for them in every argument.
        cls.bare_apply = super(torch.autograd.Function, cls).apply  # type: ignore[misc]


class _EagerGradient(_LossFunction):
    """Forward computes value and gradients in one go, backward multiplies: for small inputs, and for losses whose
    gradients are small beside the work.

    The backward pass takes the gradients away, in one step, for it may run in several threads: with an upstream
    gradient of 1, that of ``loss.backward()``, it hands them on as they are, and autograd copies what somebody else
    still holds. A second backward pass computes them again, if what it needs has not been freed.

    Gradients of 16 bits must be rounded once, at the end. With another upstream gradient, that of a loss scaler, they
    are computed again, and from then on late.
    """

    @staticmethod
    def forward(ctx: Any, spec: Loss, found: Prepared, *arrays: Any) -> Any:
        value, grads = found.value_and_grads(arrays + found.missing, (None,) * len(found.gradients), None)  # type: ignore[arg-type]
        ctx.details = spec, found, [grads]
        ctx.save_for_backward(*arrays)
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> tuple[Any, ...]:
        spec, found, kept = ctx.details
        one = _is_one(upstream)
        if found.late is not None and not one:
            kept.clear()  # who comes again has to have asked for it
            return _rounded_once(ctx, spec, found, upstream)
        try:
            grads = kept.pop()
        except IndexError:
            with torch.no_grad():
                arrays = ctx.saved_tensors + found.missing
                nobody = (None,) * len(found.gradients)
                if not _as_saved(arrays, found.saved):
                    arrays = _restored(spec, found.backend, arrays, found.saved)
                    found = spec.prepare(found.backend, arrays, found.settled, "value", found.wrt, nobody)
                grads = found.value_and_grads(arrays, nobody, None)[1]
        if torch.is_grad_enabled():
            sources = (*ctx.saved_tensors[:DIFFERENTIABLE], upstream)
            grads = only_once(spec, [grad * upstream.detach() for grad in grads], sources)
        elif one:
            if found.one_gradient:  # without ado: a microsecond counts here
                return (None, None, *grads, *found.nobody[3:])
        else:
            grads = [grad * upstream for grad in grads]
        given = list(found.nobody)
        for gradient, grad in zip(found.gradients, grads, strict=True):
            given[2 + gradient.argument] = grad
        return tuple(given)


def _rounded_once(ctx: Any, spec: Loss, found: Prepared, upstream: Any) -> tuple[Any, ...]:
    """Gradients of 16 bits with another upstream gradient than the 1 that the forward pass took for granted."""
    found.scaled, late, again = True, found.late, torch.is_grad_enabled()
    with torch.no_grad():
        arrays = ctx.saved_tensors + found.missing
        if not _as_saved(arrays, found.saved):
            arrays = _restored(spec, found.backend, arrays, found.saved)
            late = _again(spec, late, arrays)
        operands, _, statistics, denominator = run_forward(late, arrays)
        grads = _finished(spec, late, operands, upstream, statistics, denominator, ctx.needs_input_grad)
    if again:
        grads = only_once(spec, grads, (*ctx.saved_tensors[:DIFFERENTIABLE], upstream))
    return tuple(grads)


_AS_IT_IS = contextlib.nullcontext()


class _LateGradient(_LossFunction):
    """Forward: the value, and what the backward pass needs of each row. Backward: the gradient, written once."""

    @staticmethod
    def forward(ctx: Any, spec: Loss, found: Prepared, *arrays: Any) -> Any:
        operands, loss, statistics, denominator = run_forward(found, arrays + found.missing)
        # Second derivatives ask for the arguments themselves, and not for what was made of them.
        ctx.save_for_backward(*(arrays if found.direct else (*operands, *arrays[:DIFFERENTIABLE])), statistics)
        ctx.details = spec, found, denominator, None if found.direct else _described(operands)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> tuple[Any, ...]:
        spec, found, denominator, saved = ctx.details
        *operands, statistics = ctx.saved_tensors
        if found.direct:
            sources, saved = operands[:DIFFERENTIABLE], found.saved
            operands = (*operands, *found.missing)
        else:
            operands, sources = operands[: len(saved)], operands[len(saved) :]
        again = torch.is_grad_enabled()
        with torch.no_grad() if again else _AS_IT_IS:
            if not _as_saved(operands, saved):
                operands = _restored(spec, found.backend, operands, saved)
                found = _again(spec, found, operands)
                operands = found.operands(operands)
            grads = _finished(
                spec,
                found,
                tuple(operands),  # type: ignore[arg-type]
                upstream,
                statistics,
                denominator,
                ctx.needs_input_grad,
            )
        return tuple(only_once(spec, grads, (*sources, upstream)) if again else grads)


class _Once(torch.autograd.Function):
    """A gradient that says, where somebody differentiates it, that it cannot be."""

    generate_vmap_rule = True

    @staticmethod
    def forward(name: str, grad: Any, *sources: Any) -> Any:
        return grad.view_as(grad)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.name = inputs[0]

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        raise _no_second(ctx.name)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise _no_second(ctx.name)


def only_once(spec: Loss, grads: list[Any], sources: tuple[Any, ...]) -> list[Any]:
    """Gradients that came of ``sources`` as they are where autograd is to see what becomes of them."""
    return [None if grad is None else _Once.apply(spec.name, grad, *sources) for grad in grads]


def run_forward(found: Prepared, arrays: Operands) -> tuple[Operands, Any, Any, float]:
    operands = found.operands(arrays)
    plan, backend = found.plan, found.backend
    losses = None if plan.losses is None else plan.losses.make(backend)
    statistics = None if plan.statistics is None else plan.statistics.make(backend)
    address = torch.Tensor.data_ptr
    value, denominator = plan.run(
        operands,
        losses=0 if losses is None else address(losses),
        statistics=0 if statistics is None else address(statistics),
    )
    if losses is None:
        return operands, backend.scalar(value, found.dtype), statistics, denominator
    return operands, losses if found.losses_finished else losses.to(DTYPES[found.dtype]), statistics, denominator


def _finished(
    spec: Loss,
    found: Prepared,
    operands: Operands,
    upstream: Any,
    statistics: Any,
    denominator: float,
    needs: tuple[bool, ...],
) -> list[Any]:
    """What the backward pass of a function of autograd returns."""
    wrt = found.wanted.get(needs)
    if wrt is None:
        wrt = tuple(name for name, need in zip(spec.names, needs[2:], strict=False) if need)
        found.wanted[needs] = wrt
    grads = run_backward(spec, found, operands, upstream, statistics, denominator, wrt)
    given = list(found.nobody)
    for name, grad in zip(wrt, grads, strict=True):
        index = spec.argument_of[name]
        shape, dtype = found.originals[index]
        if grad.shape != shape or grad.dtype != dtype:
            grad = found.fitted(index, grad, shape, NAMES[dtype])
        given[2 + index] = grad
    return given


def run_backward(
    spec: Loss,
    found: Prepared,
    operands: Operands,
    upstream: Any,
    statistics: Any,
    denominator: float,
    wrt: tuple[str, ...],
) -> list[Any]:
    backend, reduction = found.backend, found.problem.reduction
    upstream = resolved(upstream)
    if upstream.dtype != DTYPES[found.dtype] or found.problem.plain_upstream:
        upstream = found.upstream(upstream)
    key = (wrt, upstream.stride() if reduction == "none" else None)
    plan = found.backward_plans.get(key)
    if plan is None:
        with _threads.LOCK:
            plan = found.problem.build(
                backend, operands, upstream, spec.flags("backward", wrt), (None,) * DIFFERENTIABLE
            )
        assert plan is not None  # the forward pass made the operands such that there is one
        found.backward_plans[key] = plan
    written: list[Any] = [None] * DIFFERENTIABLE
    for name in wrt:
        index = spec.argument_of[name]
        output = plan.grads[index]
        assert output is not None
        written[index] = output.make(backend)
    scale = 1.0
    if reduction not in ("none", "sum"):
        scale = mean_scale(1.0, denominator, found.problem.empty == "zero")
    at = [0 if array is None else array.data_ptr() for array in (upstream, *written, statistics)]
    plan.run(operands, at[0], 0, at[1], at[2], at[3], at[4], scale)
    return [written[spec.argument_of[name]] for name in wrt]


def refuse_tangents(spec: Loss, arrays: Operands) -> None:
    for array in arrays:
        if isinstance(array, torch.Tensor) and forward_ad.unpack_dual(array).tangent is not None:
            raise no_tangents(spec)


def no_tangents(spec: Loss) -> NotImplementedError:
    return NotImplementedError(f"{spec.name}: forward-mode differentiation is not implemented{_instead(spec.name)}")


def _no_second(loss: str) -> NotImplementedError:
    return NotImplementedError(f"{loss}: second derivatives are not implemented{_instead(loss)}")


def _instead(loss: str) -> str:
    """Where to find what is not implemented here, in an error's words."""
    return f"; use torch.nn.functional.{loss} for it" if hasattr(torch.nn.functional, loss) else ""
