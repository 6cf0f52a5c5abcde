"""PyTorch tensors: the backend, autograd, and torch.compile. Imported when the first tensor arrives."""

from __future__ import annotations

import ast
import contextlib
import math
from typing import Any

import numpy as np
import torch
from torch.autograd import forward_ad

from fastloss import _arrays, _buffers, _openmp, _threads
from fastloss._loss import DIFFERENTIABLE, LOSSES, Loss, Prepared, unchanged
from fastloss._plan import Operands, mean_scale

_NAMES = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
    torch.int64: "int64",
}
_INTEGERS = (
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.uint8,
    torch.uint16,
    torch.uint32,
    torch.uint64,
)
_HALF = (torch.float16, torch.bfloat16)
_DTYPES = {name: dtype for dtype, name in _NAMES.items()}
#: bfloat16 memory comes from NumPy as integers.
_NUMPY = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": np.int16}


def _stands_for_others(array: Any) -> bool:
    """Whether a tensor is a subclass that does with operators what it likes: its own address means nothing."""
    return type(array).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__


def _resolved(array: Any) -> Any:
    """A tensor whose numbers are what its memory says: some only say "the negative of", or "zeros"."""
    return torch.zeros(array.shape, dtype=array.dtype, device="cpu") if array._is_zerotensor() else array.resolve_neg()


class TorchBackend:
    """CPU tensors."""

    name = "torch"
    own = "a torch tensor on the CPU with memory of its own, and no view that negates"
    passes_objects = False
    address = staticmethod(torch.Tensor.data_ptr)
    max_threads = staticmethod(torch.get_num_threads)
    gomp_parallel = staticmethod(_openmp.gomp_parallel)

    def convert(self, array: Any, loss: str, argument: str) -> Any:
        if not isinstance(array, torch.Tensor):
            raise TypeError(f"{loss}: {argument} is of type {type(array).__name__}, expected a torch tensor")
        if array.device.type != "cpu":
            raise NotImplementedError(
                f"{loss}: {argument} is on {array.device}; only CPU tensors are supported so far: use tensor.cpu()"
            )
        if array.layout is not torch.strided:
            raise TypeError(f"{loss}: {argument} has layout {array.layout}; use tensor.to_dense()")
        if _stands_for_others(array):
            raise TypeError(f"{loss}: {argument} is of type {type(array).__name__}, which has no memory of its own")
        if array.is_quantized:
            raise TypeError(f"{loss}: {argument} is quantized; use tensor.dequantize()")
        return _resolved(array)

    def dtype_name(self, array: Any) -> str:
        return _NAMES.get(array.dtype) or str(array.dtype).removeprefix("torch.")

    def is_floating(self, array: Any) -> bool:
        return self.dtype_name(array) in _arrays.COMPUTE

    def is_integer(self, array: Any) -> bool:
        return array.dtype in _INTEGERS

    def owns(self, array: Any) -> bool:
        return (
            isinstance(array, torch.Tensor)
            and array.device.type == "cpu"
            and not (array.is_neg() or array._is_zerotensor() or _stands_for_others(array))
        )

    def overlap(self, a: Any, b: Any) -> bool:
        return bool(np.may_share_memory(_bytes(a), _bytes(b)))

    def strides(self, array: Any) -> tuple[int, ...]:
        return tuple(array.stride())

    def plain_strides(self, array: Any) -> Any:
        return array

    def cast(self, array: Any, dtype: str) -> Any:
        return array.to(_DTYPES[dtype])

    def contiguous(self, array: Any) -> Any:
        return array.contiguous()

    def number(self, value: float, like: Any) -> Any:
        return torch.tensor(value, dtype=like.dtype if self.is_floating(like) else torch.float64, device="cpu")

    def labels(self, array: Any, loss: str, argument: str = "target") -> Any:
        if array.dtype is torch.uint64 and array.numel() and int(array.view(torch.int64).min()) < 0:
            raise IndexError(f"{loss}: {argument} holds 2**63 or more, expected less")
        return array.to(torch.int64).contiguous()

    def broadcast_to(self, array: Any, shape: tuple[int, ...]) -> Any:
        return array.expand(shape)

    def sum_to(self, array: Any, shape: tuple[int, ...]) -> Any:
        dtype = self.dtype_name(array)
        plain = array.to(_DTYPES[_arrays.COMPUTE[dtype]]).numpy()
        return torch.from_numpy(np.asarray(_arrays.NUMPY.sum_to(plain, shape))).to(array.dtype)

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        count = math.prod(shape)
        if count * _arrays.ITEMSIZE[dtype] >= _buffers.SMALLEST_BYTES:
            tensor = torch.from_numpy(_buffers.empty(count, _NUMPY[dtype])).view(shape)
        else:  # 0.6 us, where torch.empty takes 1.0
            tensor = torch.from_numpy(np.empty(shape, _NUMPY[dtype]))
        return tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor

    def scalar(self, value: float, dtype: str) -> Any:
        if dtype == "float32":
            return torch.from_numpy(np.array(value, np.float32))
        return torch.tensor(value, dtype=_DTYPES[dtype], device="cpu")

    def as_numpy(self, array: Any) -> Any:
        return array.detach().numpy()

    def check_writable(self, loss: str, out: Any) -> None:
        if out.requires_grad:
            raise ValueError(f"{loss}: out requires grad; give a tensor that does not")
        # The kernel writes behind autograd's back: say so, so that a graph that saved this tensor finds out.
        torch.autograd.graph.increment_version(out)

    # Calls.

    def value(self, spec: Loss, arrays: Operands, options: tuple[Any, ...]) -> Any:
        if spec.eager and getattr(arrays[0], "dtype", None) in _HALF and not torch.is_autocast_enabled("cpu"):
            # What the backward pass multiplies must not have been rounded to 16 bits: float16 would lose small numbers
            # that the upstream gradient of a loss scaler is there to save.
            return self.value(spec, _widened(arrays), options).to(arrays[0].dtype)
        if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() or torch._C._get_tracing_state():
            return _traced(torch.ops.fastloss.forward, spec, arrays, options)
        if torch._C._are_functorch_transforms_active():
            return _traced(_Transformed.apply, spec, arrays, options)
        if forward_ad._current_level >= 0:
            _refuse_tangents(spec, arrays)
        if torch.is_autocast_enabled("cpu"):
            arrays = _widened(arrays)
        try:
            key = _key(arrays, (options, torch.is_grad_enabled()))
            found = spec.plans.get(key)
        except (AttributeError, TypeError, RuntimeError):
            found = key = None
        if found is None:
            if any(isinstance(array, torch.Tensor) and _stands_for_others(array) for array in arrays):
                return _traced(torch.ops.fastloss.forward, spec, arrays, options)  # it knows what to do with operators
            _arrays.common_backend(spec.name, dict(zip(spec.names, arrays, strict=True)))
            checked = spec.converted(self, arrays)
            found = _prepared(spec, checked, options, _wanted(spec, checked) if torch.is_grad_enabled() else ())
            if spec.row.dtype_of_input and _DTYPES[found.dtype] is not checked[0].dtype:
                found.narrow = checked[0].dtype
            _remember(spec, key, checked, arrays, found)
            arrays = checked
        if found.autograd is None:
            loss = found.value(arrays)
        else:
            given = arrays[: len(arrays) - len(found.missing)]
            try:
                loss = found.autograd.bare_apply(spec, found, *given)
            except RuntimeError:
                loss = _apply_to_copies(found, spec, given)
        return loss if found.narrow is None else loss.to(found.narrow)

    def value_and_grad(
        self,
        spec: Loss,
        arrays: Operands,
        options: tuple[Any, ...],
        names: tuple[str, ...],
        single: bool,
        outs: tuple[Any, ...],
        grad_output: Any,
    ) -> tuple[Any, Any]:
        with torch.no_grad():
            if torch.is_autocast_enabled("cpu") and not any(out is not None for out in outs):
                arrays = _widened(arrays)
            try:
                key = _key((*arrays, *outs, grad_output), (options, names, "detached"))
                found = spec.plans.get(key)
            except (AttributeError, TypeError, RuntimeError):
                found = key = None
            if found is None:
                checked = spec.converted(self, arrays)
                if grad_output is not None:
                    grad_output = self.convert(grad_output, spec.name, "grad_output")
                found = spec.prepare(self, checked, options, "value", names, outs, grad_output)
                _remember(spec, key, checked, arrays, found)
                arrays = checked
            value, grads = found.value_and_grads(arrays, outs, grad_output)
            return value, grads[0] if single else grads


TORCH = TorchBackend()


#: Up to so many elements, the forward pass computes the gradient of a reduced loss too: the backward pass then costs
#: one multiplication by the upstream gradient. Not for 16-bit types, whose gradient must be rounded once, at the end.
EAGER_ELEMENTS = 131072


def _wanted(spec: Loss, arrays: Operands) -> tuple[str, ...]:
    """The arguments that autograd wants gradients for."""
    wanted: tuple[str, ...] = ()
    for name, array in zip(spec.names, arrays, strict=True):
        if array is not None and array.requires_grad:
            if name not in spec.differentiable:
                raise spec.refusal(name)
            wanted += (name,)
    return wanted


def _prepared(spec: Loss, arrays: Operands, options: tuple[Any, ...], wrt: tuple[str, ...]) -> Prepared:
    """The plan of the value, or of the forward pass of autograd."""
    if not wrt:
        return spec.prepare(TORCH, arrays, options)
    found = spec.prepare(TORCH, arrays, options, "forward")
    reduced = found.problem.reduction != "none"
    if spec.eager and reduced:
        found = spec.prepare(TORCH, arrays, options, "value", wrt, (None,) * len(wrt))
    elif (
        reduced
        and len(wrt) == 1
        and spec.argument_of[wrt[0]] == 0
        and arrays[0].numel() <= EAGER_ELEMENTS
        and found.dtype in ("float32", "float64")
    ):
        eager = spec.prepare(TORCH, arrays, options, "value", wrt, (None,))
        found = eager if eager.one_gradient else found
    found.autograd = _EagerGradient if found.gradients else _LateGradient
    found.saved = _described(arrays)
    found.originals = tuple(None if array is None else (array.shape, array.dtype) for array in arrays[:DIFFERENTIABLE])
    return found


def _bytes(array: Any) -> Any:
    """The memory of a tensor as integers of its size, for NumPy to look at."""
    integer = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[array.element_size()]
    return array.detach().view(integer).numpy()


def _key(arrays: tuple[Any, ...], head: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a plan depends on; an AttributeError where something is no tensor."""
    key: list[Any] = [head]
    for array in arrays:
        if array is None:
            key.append(None)
        else:
            key += (
                array.__class__,
                array.shape,
                array.stride(),
                array.dtype,
                array.is_cpu,
                array.is_neg() or array._is_zerotensor(),
                array.requires_grad,
            )
    return tuple(key)


def _remember(spec: Loss, key: Any, checked: Operands, arrays: Operands, prepared: Prepared) -> None:
    # Not where the arrays had to be changed even to be looked at.
    if key is not None and unchanged(checked, arrays):
        spec.remember(key, prepared)


def _widened(arrays: Operands) -> Operands:
    """Autocast's policy for losses: 16-bit floating tensors are computed on in float32."""
    return tuple(  # type: ignore[return-value]
        array.float() if isinstance(array, torch.Tensor) and array.dtype in _HALF else array for array in arrays
    )


def _apply_to_copies(found: Prepared, spec: Loss, arrays: tuple[Any, ...]) -> Any:
    """Once more where the first time failed for inference tensors: autograd saves copies of them only."""
    if not any(array is not None and array.is_inference() for array in arrays):
        raise
    copies = tuple(array.clone() if array is not None and array.is_inference() else array for array in arrays)
    wanted = _wanted(spec, copies + found.missing)  # type: ignore[arg-type]
    again = _prepared(spec, copies + found.missing, found.settled, wanted)  # type: ignore[arg-type]
    return again.autograd.bare_apply(spec, again, *copies)


def _refuse_tangents(spec: Loss, arrays: Operands) -> None:
    for array in arrays:
        if isinstance(array, torch.Tensor) and forward_ad.unpack_dual(array).tangent is not None:
            raise _no_tangents(spec)


def _no_tangents(spec: Loss) -> NotImplementedError:
    return NotImplementedError(f"{spec.name}: forward-mode differentiation is not implemented{_instead(spec.name)}")


def _no_second(loss: str) -> NotImplementedError:
    return NotImplementedError(f"{loss}: second derivatives are not implemented{_instead(loss)}")


def _instead(loss: str) -> str:
    """Where to find what is not implemented here, in an error's words."""
    return f"; use torch.nn.functional.{loss} for it" if hasattr(torch.nn.functional, loss) else ""


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


def _restored(spec: Loss, arrays: Operands, saved: _Described) -> Operands:
    """What hooks made of saved tensors, in the dtypes that they had."""
    restored = []
    for array, was in zip(arrays, saved, strict=True):
        if array is not None:
            if array.shape != was[0]:
                raise RuntimeError(f"{spec.name}: a hook gave back {tuple(array.shape)} for a saved {tuple(was[0])}")
            array = TORCH.convert(array.to(was[1]), spec.name, "a saved tensor")
        restored.append(array)
    return tuple(restored)  # type: ignore[return-value]


def _again(spec: Loss, found: Prepared, operands: Operands) -> tuple[Prepared, Operands]:
    """The plans of the same loss for operands with other places in memory, and the operands as these take them."""
    other = spec.prepare(TORCH, operands, found.settled, "forward")
    other.originals = found.originals
    other.message = None  # the forward pass has warned
    return other, other.operands(operands)


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
        try:
            grads = kept.pop()
        except IndexError:
            with torch.no_grad():
                arrays = ctx.saved_tensors + found.missing
                nobody = (None,) * len(found.gradients)
                if not _as_saved(arrays, found.saved):
                    arrays = _restored(spec, arrays, found.saved)
                    found = spec.prepare(TORCH, arrays, found.settled, "value", found.wrt, nobody)
                grads = found.value_and_grads(arrays, nobody, None)[1]
        if torch.is_grad_enabled():
            sources = (*ctx.saved_tensors[:DIFFERENTIABLE], upstream)
            grads = [_Once.apply(found.name, grad * upstream.detach(), *sources) for grad in grads]
        elif _is_one(upstream):
            if found.one_gradient:  # without ado: a microsecond counts here
                return (None, None, *grads, *found.nobody[3:])
        else:
            grads = [grad * upstream for grad in grads]
        given = list(found.nobody)
        for gradient, grad in zip(found.gradients, grads, strict=True):
            given[2 + gradient.argument] = grad
        return tuple(given)


_AS_IT_IS = contextlib.nullcontext()


class _LateGradient(_LossFunction):
    """Forward: the value, and what the backward pass needs of each row. Backward: the gradient, written once."""

    @staticmethod
    def forward(ctx: Any, spec: Loss, found: Prepared, *arrays: Any) -> Any:
        operands, loss, statistics, denominator = _forward(found, arrays + found.missing)
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
                found, operands = _again(spec, found, _restored(spec, operands, saved))
            grads = _finished(
                spec,
                found,
                tuple(operands),  # type: ignore[arg-type]
                upstream,
                statistics,
                denominator,
                ctx.needs_input_grad,
            )
        if not again:
            return tuple(grads)
        return tuple(None if grad is None else _Once.apply(spec.name, grad, *sources, upstream) for grad in grads)


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


def _forward(found: Prepared, arrays: Operands) -> tuple[Operands, Any, Any, float]:
    operands = found.operands(arrays)
    plan = found.plan
    losses = None if plan.losses is None else plan.losses.make(TORCH)
    statistics = None if plan.statistics is None else plan.statistics.make(TORCH)
    address = torch.Tensor.data_ptr
    value, denominator = plan.run(
        operands,
        losses=0 if losses is None else address(losses),
        statistics=0 if statistics is None else address(statistics),
    )
    if losses is None:
        return operands, TORCH.scalar(value, found.dtype), statistics, denominator
    return operands, losses if found.losses_finished else losses.to(_DTYPES[found.dtype]), statistics, denominator


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
    grads = _backward(spec, found, operands, upstream, statistics, denominator, wrt)
    given = list(found.nobody)
    for name, grad in zip(wrt, grads, strict=True):
        index = spec.argument_of[name]
        shape, dtype = found.originals[index]
        if grad.shape != shape or grad.dtype != dtype:
            grad = found.fitted(index, grad, shape, _NAMES[dtype])
        given[2 + index] = grad
    return given


def _backward(
    spec: Loss,
    found: Prepared,
    operands: Operands,
    upstream: Any,
    statistics: Any,
    denominator: float,
    wrt: tuple[str, ...],
) -> list[Any]:
    reduction = found.problem.reduction
    upstream = _resolved(upstream)
    if upstream.dtype != _DTYPES[found.dtype] or found.problem.plain_upstream:
        upstream = found.upstream(upstream)
    key = (wrt, upstream.stride() if reduction == "none" else None)
    plan = found.backward_plans.get(key)
    if plan is None:
        with _threads.LOCK:
            plan = found.problem.build(TORCH, operands, upstream, spec.flags("backward", wrt), (None,) * DIFFERENTIABLE)
        assert plan is not None  # the forward pass made the operands such that there is one
        found.backward_plans[key] = plan
    written: list[Any] = [None] * DIFFERENTIABLE
    for name in wrt:
        index = spec.argument_of[name]
        output = plan.grads[index]
        assert output is not None
        written[index] = output.make(TORCH)
    scale = 1.0
    if reduction not in ("none", "sum"):
        scale = mean_scale(1.0, denominator, found.problem.empty == "zero")
    at = [0 if array is None else array.data_ptr() for array in (upstream, *written, statistics)]
    plan.run(operands, at[0], 0, at[1], at[2], at[3], at[4], scale)
    return [written[spec.argument_of[name]] for name in wrt]


# torch.compile: one operator stands for all losses, so that the graph does not break and the compiler never looks
# inside. Options travel as text.

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
    spec = _spec(name)
    checked = spec.converted(TORCH, tuple(arrays))  # type: ignore[arg-type]
    found = spec.prepare(TORCH, checked, ast.literal_eval(text), "forward")
    _, loss, statistics, denominator = _forward(found, checked)
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
    compute = _DTYPES[_arrays.COMPUTE[_NAMES[dtype]]]
    statistics = (
        x.new_empty((size, 2), dtype=compute) if problem.has_statistics else x.new_empty(0, dtype=torch.float32)
    )
    loss = x.new_empty(shape if problem.reduction == "none" else (), dtype=dtype)
    return loss, statistics, x.new_empty((), dtype=torch.float64)


def _op_backward(upstream: Any, statistics: Any, denominator: Any, *arguments: Any) -> tuple[Any, ...]:
    wanted, (*arrays, name, text) = arguments[:DIFFERENTIABLE], arguments[DIFFERENTIABLE:]
    spec, options = _spec(name), ast.literal_eval(text)
    found = spec.prepare(TORCH, tuple(arrays), options, "forward")  # type: ignore[arg-type]
    operands = found.operands(tuple(arrays))  # type: ignore[arg-type]
    wrt = tuple(n for n, want in zip(spec.names, wanted, strict=False) if want)
    kept = statistics if found.plan.statistics is not None else None
    count = denominator.detach().item()
    grads = dict(zip(wrt, _backward(spec, found, operands, upstream, kept, count, wrt), strict=True))
    result = []
    for index in range(DIFFERENTIABLE):
        original, grad = arrays[index], grads.get(spec.names[index]) if wanted[index] else None
        if grad is None:
            result.append(torch.empty(0, device="cpu"))
            continue
        result.append(found.fitted(index, grad, tuple(original.shape), _NAMES[original.dtype]).contiguous())
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
        sources = (*arrays[:DIFFERENTIABLE], upstream)
        given = [None if grad is None else _Once.apply(spec.name, grad, *sources) for grad in given]
    return (*given, *[None] * 4)


_library.impl("forward", _op_forward, "CPU")
_library.impl("backward", _op_backward, "CPU")
torch.library.register_fake("fastloss::forward", _op_forward_fake)
torch.library.register_fake("fastloss::backward", _op_backward_fake)
torch.library.register_autograd("fastloss::forward", _op_autograd, setup_context=_op_setup_context)


def _traced(operator: Any, spec: Loss, arrays: Operands, options: tuple[Any, ...]) -> Any:
    if torch.is_autocast_enabled("cpu"):
        arrays = _widened(arrays)
    third = arrays[2]
    if isinstance(third, int | float):
        arrays = (*arrays[:2], TORCH.number(third, arrays[0]), *arrays[3:])
    loss = operator(*arrays, spec.key, _written(spec.settled(options)))[0]
    return loss.to(arrays[0].dtype) if spec.row.dtype_of_input else loss


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
        raise _no_tangents(_spec(ctx.name))


def _written(option: Any) -> str:
    """An option, or a tuple of options, so that ``ast.literal_eval`` reads the same."""
    if isinstance(option, tuple):
        return "(" + "".join(f"{_written(one)}, " for one in option) + ")"
    if isinstance(option, float) and math.isinf(option):
        return "1e999" if option > 0 else "-1e999"  # what Python reads as infinity
    return repr(option)
