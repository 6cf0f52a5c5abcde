"""Array libraries behind one small interface; a library is imported only when one of its arrays arrives.

A backend says how to read an array's dtype, strides and address, and how to make, convert and reshape one. Nothing
else in fastloss asks what kind of array it has.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

#: Storage dtypes that kernels read, and the one their arithmetic runs in.
COMPUTE = {"float32": "float32", "float64": "float64", "float16": "float32", "bfloat16": "float32"}
ITEMSIZE = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2, "int64": 8}


_NAMES: dict[Any, str] = {}


def _finds_data() -> bool:
    """Whether an ndarray keeps the address of its data right behind the object header, as kernels would read it.

    It has in every NumPy there ever was; asking through Python (``array.ctypes.data``) takes a microsecond an array.
    """
    array = np.empty(1)
    found = ctypes.c_void_p.from_address(id(array) + object.__basicsize__).value
    return found == array.ctypes.data


def widest(dtypes: Iterable[str]) -> str:
    """The floating dtype that holds the numbers of all: of the two of 16 bits neither does."""
    different = set(dtypes)
    if len(different) == 1:
        return different.pop()
    return "float64" if "float64" in different else "float32"


class NumPyBackend:
    """ndarrays, and whatever ``np.asarray`` makes one of."""

    name = "numpy"
    #: What it ``owns``, in an error's words.
    own = "a numpy array in the machine's byte order"
    #: Kernels find the data of an ndarray themselves, given the object: see launch_cpu.NDARRAY_DATA.
    passes_objects = _finds_data()
    address = staticmethod(id) if passes_objects else staticmethod(lambda array: array.ctypes.data)

    def convert(self, array: Any, loss: str, argument: str) -> Any:
        """An ndarray of a plain type, in the machine's byte order; a copy only where that is needed."""
        if type(array) is not np.ndarray:
            if isinstance(array, np.ma.MaskedArray):
                raise TypeError(f"{loss}: {argument} is a masked array; fill it, and give the mask as a weight of 0")
            try:
                array = np.asarray(array)
            except ValueError as error:  # lists of different lengths
                raise ValueError(f"{loss}: {argument} makes no array: {error}") from None
        if array.dtype.isnative is False:
            array = array.astype(array.dtype.newbyteorder("="))
        return array

    def dtype_name(self, array: Any) -> str:
        dtype = array.dtype
        name = _NAMES.get(dtype)
        if name is None:
            name = _NAMES[dtype] = str(dtype.name)  # which NumPy computes anew, in a microsecond
        return name

    def is_floating(self, array: Any) -> bool:
        return self.dtype_name(array) in COMPUTE

    def is_integer(self, array: Any) -> bool:
        return array.dtype.kind in "iu"

    def dtype(self, name: str) -> Any:
        if name == "bfloat16":
            import ml_dtypes

            return np.dtype(ml_dtypes.bfloat16)
        return np.dtype(name)

    def strides(self, array: Any) -> tuple[int, ...]:
        """In elements; None where they are not whole."""
        size = array.itemsize
        if any(stride % size for stride in array.strides):
            return ()
        return tuple(stride // size for stride in array.strides)

    def cast(self, array: Any, dtype: str) -> Any:
        return array if self.dtype_name(array) == dtype else array.astype(self.dtype(dtype))

    def number(self, value: float, like: Any) -> Any:
        """A 0-d array of the floating dtype of ``like``."""
        like = np.asarray(like)
        return np.asarray(value, like.dtype if self.is_floating(like) else np.float64)

    def labels(self, array: Any, loss: str, argument: str = "target") -> Any:
        """Labels as contiguous int64."""
        if array.dtype == np.uint64 and array.size and array.max() > np.uint64(np.iinfo(np.int64).max):
            raise IndexError(f"{loss}: {argument} holds {array.max()}, expected less than 2**63")
        return self.contiguous(array if array.dtype == np.int64 else array.astype(np.int64))

    def contiguous(self, array: Any) -> Any:
        return array if array.flags.c_contiguous else np.ascontiguousarray(array)

    def plain_strides(self, array: Any) -> Any:
        """The array, copied if its strides are no whole number of elements."""
        return self.contiguous(array) if array.ndim and self.strides(array) == () else array

    def broadcast_to(self, array: Any, shape: tuple[int, ...]) -> Any:
        return np.broadcast_to(array, shape)

    def sum_to(self, array: Any, shape: tuple[int, ...]) -> Any:
        """Add up what broadcasting repeated."""
        lead = array.ndim - len(shape)
        axes = tuple(range(lead)) + tuple(
            lead + i for i, n in enumerate(shape) if n == 1 and array.shape[lead + i] != 1
        )
        wide = array.sum(axis=axes, dtype=np.float64, keepdims=True)
        return wide.reshape(shape).astype(array.dtype)

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        return np.empty(shape, self.dtype(dtype))

    def scalar(self, value: float, dtype: str) -> Any:
        """A reduced loss: 16-bit inputs give float32, whose range a sum may need."""
        return np.float64(value) if dtype == "float64" else np.float32(value)

    def as_numpy(self, array: Any) -> Any:
        """The same memory as an ndarray; of 16-bit types none."""
        return array

    def check_writable(self, loss: str, out: Any) -> None:
        if not out.flags.writeable:
            raise ValueError(f"{loss}: out is read-only")

    def owns(self, array: Any) -> bool:
        return isinstance(array, np.ndarray) and array.dtype.isnative

    def overlap(self, a: Any, b: Any) -> bool:
        return bool(np.may_share_memory(a, b))

    def max_threads(self) -> int:
        return 1 << 30

    def gomp_parallel(self) -> int:
        return 0


NUMPY = NumPyBackend()
_torch_backend: Any = None


def is_torch(array: Any) -> bool:
    """Whether it is a torch tensor, without importing torch: there is none unless somebody has."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def backend_of(array: Any) -> Any:
    """The backend of an array."""
    global _torch_backend
    if type(array) is np.ndarray:
        return NUMPY
    if is_torch(array):
        if _torch_backend is None:
            from fastloss._torch import TORCH

            _torch_backend = TORCH
        return _torch_backend
    return NUMPY


def common_backend(loss: str, arrays: dict[str, Any]) -> Any:
    """The one backend of all arrays that are given; TypeError for a mixture."""
    backend, first = None, ""
    for name, array in arrays.items():
        if array is None or (backend is not None and type(array) in (int, float)):
            continue
        own = backend_of(array)
        if backend is None:
            backend, first = own, name
        elif own is not backend:
            raise TypeError(
                f"{loss}: {first} is a {backend.name} array and {name} is a {own.name} array; give all of one kind"
            )
    return backend
