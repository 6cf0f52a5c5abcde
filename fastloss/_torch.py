"""Calls with PyTorch tensors: which way each goes. Imported when the first tensor arrives."""

from __future__ import annotations

from typing import Any

import torch
from torch._C import _len_torch_dispatch_stack
from torch.autograd import forward_ad
from torch.compiler import is_dynamo_compiling

from fastloss import _arrays
from fastloss._loss import Loss, Prepared, unchanged
from fastloss._plan import Operands
from fastloss._torch_autograd import apply_to_copies, prepared, refuse_tangents, wanted_gradients
from fastloss._torch_operators import through_operator, through_transforms
from fastloss._torch_recent import Recent
from fastloss._torch_tensors import DTYPES, HALF, Tensors, stands_for_others, widened


class TorchBackend(Tensors):
    """CPU tensors, and calls with them."""

    def value(self, spec: Loss, arrays: Operands, options: tuple[Any, ...]) -> Any:
        if is_dynamo_compiling() or _len_torch_dispatch_stack() or forward_ad._current_level >= 0:
            return self._value(spec, arrays, options)
        found = None if spec.recent is None else spec.recent.find((options, torch.is_grad_enabled()), arrays)
        return self._value(spec, arrays, options) if found is None else _run(spec, found, arrays)

    def _value(self, spec: Loss, arrays: Operands, options: tuple[Any, ...]) -> Any:
        if spec.eager and getattr(arrays[0], "dtype", None) in HALF and not torch.is_autocast_enabled("cpu"):
            # What the backward pass multiplies must not have been rounded to 16 bits: float16 would lose small numbers
            # that the upstream gradient of a loss scaler is there to save.
            return self.value(spec, widened(arrays), options).to(arrays[0].dtype)
        if torch.compiler.is_compiling() or _len_torch_dispatch_stack() or torch._C._get_tracing_state():
            return through_operator(self, spec, arrays, options)
        if torch._C._are_functorch_transforms_active():
            return through_transforms(self, spec, arrays, options)
        if forward_ad._current_level >= 0:
            refuse_tangents(spec, arrays)
        if torch.is_autocast_enabled("cpu"):
            arrays = widened(arrays)
        try:
            key = _key(arrays, (options, torch.is_grad_enabled()))
            found = spec.plans.get(key)
        except (AttributeError, TypeError, RuntimeError):
            found = key = None
        if found is not None:
            _of_late(spec).remember(found, (options, torch.is_grad_enabled()), arrays)
        else:
            if any(isinstance(array, torch.Tensor) and stands_for_others(array) for array in arrays):
                return through_operator(self, spec, arrays, options)  # it knows what to do with operators
            _arrays.common_backend(spec.name, dict(zip(spec.names, arrays, strict=True)))
            checked = spec.converted(self, arrays)
            wrt = wanted_gradients(spec, checked) if torch.is_grad_enabled() else ()
            found = prepared(self, spec, checked, options, wrt)
            if spec.row.dtype_of_input and DTYPES[found.dtype] is not checked[0].dtype:
                found.narrow = checked[0].dtype
            _remember(spec, key, checked, arrays, found)
            arrays = checked
        return _run(spec, found, arrays)

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
        if is_dynamo_compiling() or _len_torch_dispatch_stack() or spec.recent is None:
            found = None
        else:
            found = spec.recent.find((options, names), arrays, (*outs, grad_output))
        if found is not None and found.plain and found.one_gradient:  # nothing that autograd would see
            value, grads = found.value_and_grads(arrays, outs, grad_output)
        else:
            with torch.no_grad():
                if found is None:
                    found, arrays, grad_output = self._with_gradients(spec, arrays, options, names, outs, grad_output)
                value, grads = found.value_and_grads(arrays, outs, grad_output)
        return value, grads[0] if single else grads

    def _with_gradients(
        self,
        spec: Loss,
        arrays: Operands,
        options: tuple[Any, ...],
        names: tuple[str, ...],
        outs: tuple[Any, ...],
        grad_output: Any,
    ) -> tuple[Prepared, Operands, Any]:
        """The plan of a call of ``value_and_grad``, and the arrays to run it with."""
        given = dict(zip(spec.names, arrays, strict=True))
        _arrays.common_backend(spec.name, {**given, "grad_output": grad_output})
        if torch.is_autocast_enabled("cpu") and not any(out is not None for out in outs):
            arrays = widened(arrays)
        try:
            key = _key((*arrays, *outs, grad_output), (options, names, "detached"))
            found = spec.plans.get(key)
        except (AttributeError, TypeError, RuntimeError):
            found = key = None
        if found is not None:
            _of_late(spec).remember(found, (options, names), arrays, (*outs, grad_output))
            return found, arrays, grad_output
        checked = spec.converted(self, arrays)
        upstream = None if grad_output is None else self.convert(grad_output, spec.name, "grad_output")
        found = spec.prepare(self, checked, options, "value", names, outs, upstream)
        _remember(spec, key, (*checked, upstream), (*arrays, grad_output), found)
        return found, checked, upstream


TORCH = TorchBackend()


def _run(spec: Loss, found: Any, arrays: Operands) -> Any:
    if found.autograd is None:
        loss = found.value(arrays)
    else:
        plan = found.late if found.scaled else found
        given = arrays[: len(arrays) - len(found.missing)]
        try:
            loss = plan.autograd.bare_apply(spec, plan, *given)
        except RuntimeError:
            loss = apply_to_copies(found, spec, given)
    return loss if found.narrow is None else loss.to(found.narrow)


def _of_late(spec: Loss) -> Recent:
    if spec.recent is None:
        spec.recent = Recent()
    return spec.recent


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


def _remember(spec: Loss, key: Any, checked: tuple[Any, ...], arrays: tuple[Any, ...], prepared: Prepared) -> None:
    # Not where the arrays had to be changed even to be looked at.
    if key is not None and unchanged(checked, arrays):
        spec.remember(key, prepared)
