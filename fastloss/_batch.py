"""Losses of a batch as a whole, whose work alternates matrix products and kernels: from arrays to results.

A problem says how its operands are checked and what is computed of them; here is what all of them share: NumPy views of
whatever arrays came, the threads, the reduction, the scale of the gradients, and kernels that a strip calls.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastloss import _errors, _threads
from fastloss._arrays import COMPUTE, NUMPY, widest
from fastloss._loss import Loss
from fastloss._plan import SHARED_MEMORY, Operands, Output, Outputs, mean_scale

#: What a kernel adds to ``partial``: see launch_cpu.
PARTIAL = 3


class BatchLoss(Loss):
    """The engine of these losses: their gradients are small beside the work, so autograd computes them ahead."""

    eager = True


class Job(NamedTuple):
    """One call, as NumPy arrays: contiguous, of the dtype of the arithmetic; None where absent or not wanted."""

    operands: tuple[Any, ...]
    upstream: Any  # of the shape of the unreduced loss, or None for ones
    losses: Any  # the unreduced loss, to be written
    grads: tuple[Any, ...]  # of the first three operands, to be written
    threads: int


class BatchProblem:
    """What a loss of a batch as a whole says of itself. ``compute`` and ``normalise`` are its own."""

    name = ""
    reduction = "mean"
    empty = "zero"
    has_statistics = False
    plain_upstream = True
    #: The reduced loss of 16-bit arrays is float32 before autograd rounds it.
    widens = True

    def normalise(self, backend: Any, arrays: Operands) -> Operands:
        """The arrays checked, contiguous, floating ones in the dtype of the arithmetic, indices int64."""
        raise NotImplementedError

    def compute(self, job: Job) -> tuple[float, float]:
        """The sum of the losses and what the mean divides by.

        Writes the unreduced losses, and the gradients of the sum of all losses, each times its upstream gradient.
        """
        raise NotImplementedError

    def compile(self, dtype: str) -> None:
        """Have every kernel that ``compute`` calls for this dtype, while the lock is held that forks respect."""

    def loss_shape(self, operands: Operands) -> tuple[int, ...]:
        return (int(operands[0].shape[0]),)

    def warning(self, operands: Operands) -> str | None:
        return None

    def build(self, backend: Any, operands: Operands, upstream: Any, flags: int, outs: tuple[Any, ...]) -> BatchPlan:
        from fastloss.kernels import compiler_cpu

        self.compile(backend.dtype_name(operands[0]))
        compiler_cpu.finish()  # what was begun, under the same lock: ``compute`` calls kernels from several threads
        return BatchPlan(self, backend, operands, upstream, flags)


class BatchPlan:
    """A plan whose work is done in Python, strip by strip: see ``_plan.Runnable``."""

    statistics: Output | None = None

    def __init__(self, problem: BatchProblem, backend: Any, operands: Operands, upstream: Any, flags: int) -> None:
        from fastloss.kernels import launch_cpu as launch

        self.problem, self.backend = problem, backend
        self.value = bool(flags & launch.VALUE)
        self.mean = problem.reduction.startswith("mean")
        self.upstream_shape = None if upstream is None else tuple(upstream.shape)
        dtype = backend.dtype_name(operands[0])
        self.losses = Output(problem.loss_shape(operands), dtype) if problem.reduction == "none" else None
        wanted = (launch.GRAD, launch.GRAD_TARGET, launch.GRAD_THIRD)
        self.grads: Outputs = tuple(  # type: ignore[assignment]
            Output(tuple(operand.shape), dtype) if operand is not None and flags & flag else None
            for operand, flag in zip(operands, wanted, strict=False)
        )

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
        backend = self.backend
        arrays: tuple[Any, ...] = tuple(None if array is None else backend.as_numpy(array) for array in operands)
        dtype = arrays[0].dtype
        outputs = (losses, grad, target_grad, third_grad)
        shapes = [None if output is None else output.shape for output in (self.losses, *self.grads)]
        written = tuple(
            None if shape is None or not address else _view(backend, address, shape, dtype)
            for address, shape in zip(outputs, shapes, strict=True)
        )
        for i, out in enumerate(written[1:], 1):
            others = (*arrays, *written[1:i])
            if out is not None and any(array is not None and np.may_share_memory(out, array) for array in others):
                raise ValueError(f"{self.problem.name}: {SHARED_MEMORY}")
        factor = None
        if upstream and self.upstream_shape is not None:
            factor = _view(backend, upstream, self.upstream_shape, dtype)
            if self.problem.reduction != "none":
                scale, factor = scale * float(factor), None
        threads = min(_threads.get_num_threads(), backend.max_threads())
        total, denominator = self.problem.compute(Job(arrays, factor, written[0], written[1:], threads))
        if self.mean and self.value:
            scale = mean_scale(scale, denominator, empty_zero=True)
            total = total / denominator if denominator else 0.0
        if scale != 1.0:
            for gradient in written[1:]:
                if gradient is not None:
                    np.multiply(gradient, dtype.type(scale), out=gradient)
        return total, denominator


def _view(backend: Any, address: int, shape: tuple[int, ...], dtype: Any) -> Any:
    """The array at an address as a plan is given it."""
    if backend.passes_objects:
        address = _data_of(address)
    count = int(np.prod(shape, dtype=np.int64))
    if count == 0:
        return np.empty(shape, dtype)
    memory = (ctypes.c_char * (count * dtype.itemsize)).from_address(address)
    return np.frombuffer(memory, dtype).reshape(shape)


def _data_of(identity: int) -> int:
    """Where the ndarray at an address keeps its data: see launch_cpu.NDARRAY_DATA."""
    return ctypes.c_void_p.from_address(identity + object.__basicsize__).value or 0


def _data(array: Any) -> int:
    """``array.ctypes.data``, in a third of its microsecond."""
    return _data_of(id(array)) if NUMPY.passes_objects else int(array.ctypes.data)


# Kernels that a strip calls: C functions of build_cpu, through ctypes, which releases the GIL.


_C_FUNCTION = ctypes.CFUNCTYPE(None, *[ctypes.c_ssize_t] * 5)


def callable_kernel(kernel: Any) -> Callable[..., tuple[float, float, int]]:
    """A Python function of a compiled kernel: ``function(low, high, *values)``.

    ``values`` become the slots of the kernel's arguments, in this order: an array its address, a float its bits, None
    zero. Returns the three numbers that the kernel wrote to ``partial``. It may be called by several threads at once.
    """
    function = functools.cache(lambda: _C_FUNCTION(kernel.address))  # not before others are begun: see compiler_cpu

    def call(low: int, high: int, *values: Any) -> tuple[float, float, int]:
        slots = np.zeros(len(values), np.int64)
        floats = slots.view(np.float64)
        for i, value in enumerate(values):
            if isinstance(value, np.ndarray):
                slots[i] = _data(value)
            elif isinstance(value, float):
                floats[i] = value
            elif value is not None:
                slots[i] = value
        partial = np.zeros(PARTIAL)
        function()(0, low, high, _data(slots), _data(partial))
        return float(partial[0]), float(partial[1]), int(partial.view(np.int64)[2])

    return call


@functools.cache
def kernel(name: str, dtype: str, **constants: Any) -> Callable[..., tuple[float, float, int]]:
    """The kernel ``module.template`` as such a function: compiled by ``BatchProblem.compile``, under its lock."""
    from fastloss.kernels import build_cpu

    module, _, template = name.rpartition(".")
    found = getattr(importlib.import_module(f"fastloss.kernels.{module}"), template)
    return callable_kernel(build_cpu.kernel(found, dtype, **constants))


# Checks that these losses share.


def common_dtype(loss: str, backend: Any, arrays: dict[str, Any]) -> str:
    """The dtype of the arithmetic of several floating arrays, of which any may be absent."""
    for name, array in arrays.items():
        if array is not None and not backend.is_floating(array):
            raise _errors.not_floating(loss, name, backend.dtype_name(array))
    return widest(COMPUTE[backend.dtype_name(array)] for array in arrays.values() if array is not None)


def embeddings(loss: str, backend: Any, name: str, array: Any, dtype: str, width: int | None = None) -> Any:
    """A matrix of one embedding a row, contiguous and in the dtype of the arithmetic: that of ``common_dtype``."""
    shape = tuple(array.shape)
    if len(shape) != 2 or (width is not None and shape[1] != width):
        expected = f"(N, {width})" if width is not None else "(N, D)"
        raise ValueError(f"{loss}: {name} has shape {shape}, expected {expected}")
    return backend.contiguous(backend.cast(array, dtype))


def labels(loss: str, backend: Any, name: str, array: Any, rows: int) -> Any:
    """One integer a row, as contiguous int64."""
    if not backend.is_integer(array):
        raise TypeError(f"{loss}: {name} has dtype {backend.dtype_name(array)}, expected an integer dtype")
    _errors.check_shape(loss, name, tuple(array.shape), (rows,))
    return backend.labels(array, loss, name)
