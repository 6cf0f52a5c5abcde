"""The memory of one case, shared by all who compute it, and rotated so that every call finds it cold."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from cases import Case
from machine import last_cache


class Arena:
    """Copies of a case's arrays, which together exceed four times the last cache; one copy where the case is hot.

    torch tensors share the memory of the NumPy arrays: all read the same pages of the same kind.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.count = 1 if case.hot else 4 * last_cache() // case.input_bytes + 1
        x, target = case.make()
        self.inputs = [x] + [x.copy() for _ in range(self.count - 1)]
        self.targets = [target] + [target.copy() for _ in range(self.count - 1)]
        self.outs = [np.ones_like(x) for _ in range(self.count)]  # ones: every page exists before the clock runs

    @functools.cached_property
    def tensors(self) -> list[Any]:
        return [as_tensor(x) for x in self.inputs]

    @functools.cached_property
    def target_tensors(self) -> list[Any]:
        return [as_tensor(t) for t in self.targets]

    @functools.cached_property
    def leaves(self) -> list[Any]:
        return [t.detach().requires_grad_() for t in self.tensors]

    @functools.cached_property
    def nonleaves(self) -> list[Any]:
        """Inputs with a history. It is made before the clock runs: it is not the loss's work."""
        return [leaf * 1 for leaf in self.leaves]

    @functools.cached_property
    def singles(self) -> list[Any]:
        """The inputs in float32, for comparison with 16 bits."""
        return [x.astype(np.float32) for x in self.inputs]

    @functools.cached_property
    def single_outs(self) -> list[Any]:
        return [np.ones(x.shape, np.float32) for x in self.inputs]


def as_tensor(array: Any) -> Any:
    import torch

    if array.dtype.name == "bfloat16":  # which torch does not know as a NumPy dtype
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


@functools.lru_cache(maxsize=1)
def arena(case: Case) -> Arena:
    """That of the case at hand; the one before is let go."""
    return Arena(case)
