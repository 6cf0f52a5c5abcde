"""The memory of one case, shared by all who compute it, and rotated so that every call finds it cold."""

from __future__ import annotations

import functools
from typing import Any, Protocol

import numpy as np
from machine import last_cache

CACHE_LINE = 64


class Problem(Protocol):
    """What there is to compute: a case of cases.py, or one of catalogue.py."""

    name: str
    loss: str
    dtype: str
    #: Which of the arguments have gradients that are asked for, by their places.
    wrt: tuple[int, ...]
    #: Arguments of our function that are no arrays; the peers compute the same.
    options: dict[str, Any]

    @property
    def hot(self) -> bool:
        """Whether one copy of the arrays is enough."""

    @property
    def input_bytes(self) -> int:
        """Those of the first array."""

    def make(self) -> tuple[Any, ...]:
        """The arrays of a call, as NumPy arrays."""


class Arena:
    """Copies of a case's arrays, which together exceed four times the last cache; one copy where the case is hot.

    torch tensors share the memory of the NumPy arrays: all read the same pages of the same kind.
    """

    def __init__(self, case: Problem) -> None:
        self.case = case
        self.count = 1 if case.hot else 4 * last_cache() // case.input_bytes + 1
        first = case.make()
        self.arguments = [first] + [tuple(array.copy() for array in first) for _ in range(self.count - 1)]
        # Ones: every page exists before the clock runs.
        self.outs = [tuple(np.ones_like(arrays[k]) for k in case.wrt) for arrays in self.arguments]

    def bytes(self, mode: str) -> int:
        """The least that must move: each input read once, each gradient that is wanted written once.

        Autograd is held to that too, although a backward that is a pass of its own must read the input again: two
        passes reach at most 2/3 here (1/2 to 3/5 where the target is as long as the input).
        """
        read = sum(array.nbytes for array in self.arguments[0])
        if self.case.loss == "nll_loss":  # looks at one number a row, and memory comes in lines
            read += self.arguments[0][1].size * CACHE_LINE - self.arguments[0][0].nbytes
        return read + (0 if mode == "value" else sum(out.nbytes for out in self.outs[0]))

    @functools.cached_property
    def tensors(self) -> list[tuple[Any, ...]]:
        return [tuple(as_tensor(array) for array in arrays) for arrays in self.arguments]

    @functools.cached_property
    def histories(self) -> list[tuple[Any, ...]]:
        """Tensors with a history where a gradient is wanted. It is made before the clock runs: not the loss's work."""
        return [
            tuple(t.detach().requires_grad_() * 1 if k in self.case.wrt else t for k, t in enumerate(tensors))
            for tensors in self.tensors
        ]

    @functools.cached_property
    def sinks(self) -> list[Any]:
        """Memory like the first array, to copy it to."""
        if 0 in self.case.wrt:
            return [outs[self.case.wrt.index(0)] for outs in self.outs]
        return [np.ones_like(arrays[0]) for arrays in self.arguments]

    @functools.cached_property
    def singles(self) -> list[tuple[Any, ...]]:
        """The arguments in float32, for comparison with 16 bits."""
        return [tuple(a if a.dtype.kind in "iu" else a.astype(np.float32) for a in arrays) for arrays in self.arguments]

    @functools.cached_property
    def single_outs(self) -> list[tuple[Any, ...]]:
        return [tuple(np.ones(out.shape, np.float32) for out in outs) for outs in self.outs]


def as_tensor(array: Any) -> Any:
    import torch

    if array.dtype.name == "bfloat16":  # which torch does not know as a NumPy dtype
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


@functools.lru_cache(maxsize=1)
def arena(case: Problem) -> Arena:
    """That of the case at hand; the one before is let go."""
    return Arena(case)
