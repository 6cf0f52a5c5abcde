"""Plans: what all calls with arrays of the same shapes, strides, dtypes and options have in common.

Everything that depends on those alone (checks, layout, choice of kernel, block size) is done once and kept, so that a
call in a training loop costs a dictionary look-up, the addresses of its arrays and one launch: about 2 us in all.
What depends on the data is checked by the kernel in its one pass.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from fastloss import _threads
from fastloss._arrays import ITEMSIZE
from fastloss._layout import contiguous_strides, span

#: Input, target, third operand, weight, sample weight: the order of the kernels' addresses. None where absent.
Operands = tuple[Any, Any, Any, Any, Any]

#: What a launch returns in place of a bad item: see launch_cpu, which is not imported before the first call.
NO_MEMORY = -3

SHARED_MEMORY = (
    "out shares memory with an input or another output, or lies between its elements; inputs are never written"
)

#: Elements a block of work has at most, about: 128 KB of float32, which stays in the second-level cache.
BLOCK_ELEMENTS = 32768
#: Work below this many nanoseconds of one core runs serially; below the second number it is shared only with workers
#: that are still spinning from the call before, because waking one takes 5 us and it arrives some 30 us later: that is
#: worth it where many such calls follow each other (``_threads.rhythm``).
SERIAL_NANOSECONDS = 5_000
SLEEPERS_NANOSECONDS = 40_000
#: Blocks that work worth sharing is cut in at least.
LEAST_BLOCKS = 4


class Output(NamedTuple):
    """An array that a kernel writes densely, its axes in the order ``axes`` of the array that the user sees."""

    shape: tuple[int, ...]
    dtype: str
    axes: tuple[int, ...] | None = None  # None: C order
    own_strides: tuple[int, ...] | None = None  # the caller's own array has these

    def make(self, backend: Any) -> Any:
        if self.axes is None:
            return backend.empty(self.shape, self.dtype)
        dense = backend.empty(tuple(self.shape[axis] for axis in self.axes), self.dtype)
        inverse = tuple(sorted(range(len(self.axes)), key=self.axes.__getitem__))
        return dense.transpose(inverse) if backend.name == "numpy" else dense.permute(inverse)

    def fits(self, backend: Any, array: Any) -> bool:
        """Whether a kernel can write this array itself."""
        return (
            tuple(array.shape) == self.shape
            and backend.dtype_name(array) == self.dtype
            and backend.strides(array) == self.strides()
        )

    def strides(self) -> tuple[int, ...]:
        if self.own_strides is not None:
            return self.own_strides
        if self.axes is None:
            return contiguous_strides(self.shape)
        dense = contiguous_strides([self.shape[axis] for axis in self.axes])
        strides = [0] * len(self.axes)
        for axis, stride in zip(self.axes, dense, strict=True):
            strides[axis] = stride
        return tuple(strides)


#: The gradients of the first three operands.
Outputs = tuple[Output | None, Output | None, Output | None]


def mean_scale(scale: float, denominator: float, empty_zero: bool) -> float:
    """What the gradient of a mean is multiplied by; over nothing it is 0, or infinite as 0 / 0 is no number."""
    if denominator:
        return scale / denominator
    return 0.0 if empty_zero else math.inf


class Runnable(Protocol):
    """A plan: one launch, or several."""

    losses: Output | None
    grads: Outputs
    statistics: Output | None

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
        """Launch; the reduced value and the denominator of the mean. Outputs are given by address, 0 where absent."""


def extents(backend: Any, operands: Operands, outputs: Outputs, outs: tuple[Any, ...]) -> Any:
    """The bytes that each array of a launch spans, relative to its address; None where no ``outs`` are the caller's."""
    if all(out is None for out in outs):
        return None
    table = np.zeros(22, np.int64)
    for i, array in enumerate(operands):
        if array is not None:
            low, high = span(tuple(array.shape), backend.strides(array))
            size = ITEMSIZE[backend.dtype_name(array)]
            table[2 * i : 2 * i + 2] = low * size, high * size
    for i, output in zip((7, 8, 9), outputs, strict=True):
        if output is not None:
            low, high = span(output.shape, output.strides())
            table[2 * i : 2 * i + 2] = low * ITEMSIZE[output.dtype], high * ITEMSIZE[output.dtype]
    return table


def block_size(items: int, largest: int, step: int, nanoseconds: float) -> int:
    """Items of a block, a multiple of ``step``: from the shape of the problem alone, never from the threads."""
    if nanoseconds >= SERIAL_NANOSECONDS:
        largest = min(largest, -(-items // LEAST_BLOCKS))
    return max(1, -(-largest // step)) * step


def bits(value: float) -> int:
    """The float64 as a plan's slot holds it."""
    return int(struct.unpack("<q", struct.pack("<d", value))[0])


#: What a plan holds besides what all of them do: numbers, and kernels, whose addresses it takes when all are begun.
Parameters = dict[int, Any]


class Plan:
    """A launch in waiting."""

    def __init__(
        self,
        *,
        loss: str,
        backend: Any,
        kernel: Any,
        items: int,
        block: int,
        nanoseconds: float,
        flags: int,
        denominator: float,
        parameters: Parameters,
        losses: Output | None,
        grads: Outputs,
        statistics: Output | None,
        bad: Callable[[Any, int], Exception],
        extents: Any = None,
        keep: Any = None,
    ) -> None:
        from fastloss.kernels import launch_cpu as launch

        launch.compile_launch()
        self.loss = loss
        self.backend = backend
        self.items = items
        self.address_of = backend.address
        self.launch = launch.launch
        template = np.zeros(launch.SLOTS, np.int64)
        template[launch.FUNCTION] = kernel.address
        template[launch.ITEMS] = items
        template[launch.BLOCK] = block
        template[launch.FLAGS] = flags | (launch.OBJECTS if backend.passes_objects else 0)
        template[launch.DENOMINATOR] = bits(denominator)
        for slot, value in parameters.items():
            template[slot] = bits(value) if isinstance(value, float) else getattr(value, "address", value)
        if extents is not None:
            template[launch.EXTENTS] = extents.ctypes.data
        self.address = template.ctypes.data
        self.keep = (template, kernel, parameters, extents, keep)  # what the addresses point to
        self.parallel = nanoseconds >= SERIAL_NANOSECONDS and items > block
        self.wakes = nanoseconds >= SLEEPERS_NANOSECONDS
        self.nanoseconds = nanoseconds
        self.waking = self.wakes
        self.flags = template[launch.FLAGS : launch.FLAGS + 1]
        self.flags_by_waking = int(self.flags[0]), int(self.flags[0]) | launch.WAKE
        self.flags[0] = self.flags_by_waking[self.waking]
        self.losses = losses
        self.grads = grads
        self.statistics = statistics
        self.bad = bad

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
        """Launch; the reduced value and the denominator of the mean. Outputs are given by address, 0 where absent."""
        address = self.address_of
        pool, threads, team = 0, 1, 0
        if self.parallel:
            most = self.backend.max_threads()
            threads = min(_threads.get_num_threads(), most)
            if threads > 1:
                if not self.wakes and (hot := _threads.rhythm.hot(self.nanoseconds)) != self.waking:
                    self.waking, self.flags[0] = hot, self.flags_by_waking[hot]
                # A team of another size than the library's last one would end threads of it, or start some.
                gomp_parallel = self.backend.gomp_parallel() if self.wakes else 0
                team = most if gomp_parallel else 0
                pool = _threads.pool(threads, self.wakes, gomp_parallel)
        x, t, third, weight, sample_weight = operands
        value, denominator, bad = self.launch(
            self.address,
            pool,
            threads,
            team,
            scale,
            address(x),
            0 if t is None else address(t),
            0 if third is None else address(third),
            0 if weight is None else address(weight),
            0 if sample_weight is None else address(sample_weight),
            upstream,
            losses,
            grad,
            target_grad,
            third_grad,
            statistics,
        )
        if bad != -1:
            if bad >= 0:
                raise self.bad(operands, bad)
            if bad == NO_MEMORY:
                raise MemoryError(f"{self.loss}: no memory for a tile of the input")
            raise ValueError(
                f"{self.loss}: out shares memory with an input or another output; inputs are never written"
            )
        return value, denominator
