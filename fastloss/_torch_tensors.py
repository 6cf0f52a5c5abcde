"""PyTorch tensors as memory: dtypes, what is refused, conversions, allocation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from fastloss import _arrays, _buffers, _openmp
from fastloss._plan import Operands

NAMES = {
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
HALF = (torch.float16, torch.bfloat16)
DTYPES = {name: dtype for dtype, name in NAMES.items()}
#: bfloat16 memory comes from NumPy as integers.
_NUMPY = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": np.int16}


def stands_for_others(array: Any) -> bool:
    """Whether a tensor is a subclass that does with operators what it likes: its own address means nothing."""
    return type(array).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__


def resolved(array: Any) -> Any:
    """A tensor whose numbers are what its memory says: some only say "the negative of", or "zeros"."""
    return torch.zeros(array.shape, dtype=array.dtype, device="cpu") if array._is_zerotensor() else array.resolve_neg()


class Tensors:
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
        if array.is_nested:
            raise TypeError(f"{loss}: {argument} is nested; use torch.nested.to_padded_tensor, or its parts")
        if array.layout is not torch.strided:
            raise TypeError(f"{loss}: {argument} has layout {array.layout}; use tensor.to_dense()")
        if stands_for_others(array):
            raise TypeError(f"{loss}: {argument} is of type {type(array).__name__}, which has no memory of its own")
        if array.is_quantized:
            raise TypeError(f"{loss}: {argument} is quantized; use tensor.dequantize()")
        return resolved(array)

    def dtype_name(self, array: Any) -> str:
        return NAMES.get(array.dtype) or str(array.dtype).removeprefix("torch.")

    def is_floating(self, array: Any) -> bool:
        return self.dtype_name(array) in _arrays.COMPUTE

    def is_integer(self, array: Any) -> bool:
        return array.dtype in _INTEGERS

    def owns(self, array: Any) -> bool:
        return (
            isinstance(array, torch.Tensor)
            and array.device.type == "cpu"
            and not (array.is_neg() or array._is_zerotensor() or stands_for_others(array))
        )

    def overlap(self, a: Any, b: Any) -> bool:
        return bool(np.may_share_memory(_bytes(a), _bytes(b)))

    def strides(self, array: Any) -> tuple[int, ...]:
        return tuple(array.stride())

    def plain_strides(self, array: Any) -> Any:
        return array

    def cast(self, array: Any, dtype: str) -> Any:
        return array.to(DTYPES[dtype])

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
        plain = array.to(DTYPES[_arrays.COMPUTE[dtype]]).numpy()
        return torch.from_numpy(np.asarray(_arrays.NUMPY.sum_to(plain, shape))).to(array.dtype)

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        count = math.prod(shape)
        if count * _arrays.ITEMSIZE[dtype] >= _buffers.SMALLEST_BYTES:
            tensor = torch.from_numpy(_buffers.empty(count, _NUMPY[dtype])).view(shape)
        else:  # 0.6 us, where torch.empty takes 1.0
            tensor = torch.from_numpy(np.empty(shape, _NUMPY[dtype]))
        return tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor

    def scalar(self, value: float, dtype: str) -> Any:
        if dtype in ("float32", "float64"):  # a quarter of the time of torch.tensor; half of it for 16 bits
            return torch.from_numpy(np.array(value, _NUMPY[dtype]))
        return torch.scalar_tensor(value, dtype=DTYPES[dtype], device="cpu")

    def as_numpy(self, array: Any) -> Any:
        return array.detach().numpy()

    def check_writable(self, loss: str, out: Any) -> None:
        if out.requires_grad:
            raise ValueError(f"{loss}: out requires grad; give a tensor that does not")
        # The kernel writes behind autograd's back: say so, so that a graph that saved this tensor finds out.
        torch.autograd.graph.increment_version(out)


def _bytes(array: Any) -> Any:
    """The memory of a tensor as integers of its size, for NumPy to look at."""
    integer = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[array.element_size()]
    return array.detach().view(integer).numpy()


def widened(arrays: Operands) -> Operands:
    """Autocast's policy for losses: 16-bit floating tensors are computed on in float32."""
    return tuple(  # type: ignore[return-value]
        array.float() if isinstance(array, torch.Tensor) and array.dtype in HALF else array for array in arrays
    )
