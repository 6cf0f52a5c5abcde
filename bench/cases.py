"""The cases as data: what is computed, and what the project wants to reach."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

ITEMSIZE = {"float32": 4, "float16": 2, "bfloat16": 2}
#: Smaller cases stay in a core's own cache between two steps, in training too: timed hot, with no limit of memory.
HOT_BELOW = 1 << 20

#: value: the loss alone. value_and_grad: with the gradient in a given buffer. autograd: forward and backward through
#: PyTorch, from a leaf. nonleaf: the same from an input with a history and with an upstream gradient of 0.25.
MODES = ("value", "value_and_grad", "autograd", "nonleaf")

#: The least acceptable share of the limit, and ratios of a peer's time to ours.
Goals = dict[str, float]


@dataclass(frozen=True)
class Case:
    name: str
    family: str
    loss: str
    shape: tuple[int, ...]
    target: str  # what the target holds: classes, probabilities, binary or real
    dtype: str = "float32"
    goals: dict[str, Goals] = field(default_factory=dict, hash=False, compare=False)

    #: The gradient of the first argument, and no options: see arena.Problem.
    wrt: ClassVar[tuple[int, ...]] = (0,)
    options: ClassVar[dict[str, Any]] = {}

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def input_bytes(self) -> int:
        return self.elements * ITEMSIZE[self.dtype]

    @property
    def hot(self) -> bool:
        return self.input_bytes < HOT_BELOW

    def make(self, seed: int = 0) -> tuple[Any, Any]:
        """Input and target as NumPy arrays."""
        rng = np.random.default_rng(seed)
        x = rng.standard_normal(self.shape, dtype=np.float32)
        return _INPUT.get(self.loss, _same)(x).astype(_dtype(self.dtype), copy=False), self._target(rng)

    def _target(self, rng: np.random.Generator) -> Any:
        if self.target == "classes":
            return rng.integers(0, self.shape[1], (self.shape[0], *self.shape[2:]))
        if self.target == "binary":
            return rng.integers(0, 2, self.shape).astype(np.float32)
        values = rng.random(self.shape, dtype=np.float32)
        return values if self.target == "real" else values / values.sum(axis=1, keepdims=True)


def _same(x: Any) -> Any:
    return x


def _log_probabilities(x: Any) -> Any:
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def _probabilities(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


_INPUT: dict[str, Callable[[Any], Any]] = {"nll_loss": _log_probabilities, "binary_cross_entropy": _probabilities}


def _dtype(name: str) -> Any:
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def _cross_entropy(name: str, shape: tuple[int, ...], target: str = "classes", **rest: Any) -> Case:
    return Case(f"cross_entropy {name}", "classification", "cross_entropy", shape, target, **rest)


_BIG = {"limit": 0.8, "eager": 10, "compile": 5, "xla": 5}
_THROUGH = {"eager": 8, "compile": 4}
_HALF = {"value": {"float32": 1.6}, "value_and_grad": {"float32": 1.6}}
_TEN_MILLION = (10_000_000,)

CASES = (
    _cross_entropy(
        "2048 x 32000",
        (2048, 32000),
        goals={
            "value": {"limit": 0.8, "eager": 8, "compile": 1.7},
            "value_and_grad": _BIG,
            "autograd": _THROUGH,
            "nonleaf": _THROUGH,
        },
    ),
    _cross_entropy(
        "65536 x 1000",
        (65536, 1000),
        goals={"value": {"limit": 0.7}, "value_and_grad": {"limit": 0.8, "eager": 10}, "autograd": {"eager": 6}},
    ),
    _cross_entropy(
        "65536 x 10",
        (65536, 10),
        goals={
            "value": {"eager": 10, "compile": 1.4, "xla": 1},
            "value_and_grad": {"eager": 11, "compile": 1.6, "xla": 1.3},
            "autograd": {"eager": 5},
        },
    ),
    _cross_entropy(
        "256 x 100",
        (256, 100),
        goals={"value": {"eager": 1.7}, "value_and_grad": {"eager": 3}, "autograd": {"eager": 1.1}},
    ),
    _cross_entropy(
        "32 x 10",
        (32, 10),
        goals={"value": {"eager": 2}, "value_and_grad": {"eager": 6}, "autograd": {"eager": 1 / 1.15}},
    ),
    _cross_entropy(
        "1 x 4000000",
        (1, 4_000_000),
        goals={"value": {"limit": 0.6}, "value_and_grad": {"limit": 0.6, "eager": 3}},
    ),
    _cross_entropy(
        "64 x 21 x 128 x 128, class axis 1",
        (64, 21, 128, 128),
        goals={"value": {"eager": 8}, "value_and_grad": {"eager": 8}, "autograd": {"eager": 5}},
    ),
    _cross_entropy(
        "8192 x 1000, soft targets",
        (8192, 1000),
        "probabilities",
        goals={"value": {"limit": 0.75, "eager": 2.2}, "value_and_grad": {"limit": 0.75, "eager": 3}},
    ),
    _cross_entropy("2048 x 32000, bfloat16", (2048, 32000), dtype="bfloat16", goals=_HALF),
    _cross_entropy("2048 x 32000, float16", (2048, 32000), dtype="float16", goals=_HALF),
    Case("nll_loss 65536 x 1000", "classification", "nll_loss", (65536, 1000), "classes"),
    Case(
        "bce_with_logits 10 million",
        "binary",
        "binary_cross_entropy_with_logits",
        _TEN_MILLION,
        "binary",
        goals={
            "value": {"limit": 0.75},
            "value_and_grad": {"limit": 0.75, "eager": 8},
            "autograd": {"eager": 4},
        },
    ),
    Case("bce 10 million", "binary", "binary_cross_entropy", _TEN_MILLION, "binary"),
    Case(
        "mse 10 million",
        "regression",
        "mse_loss",
        _TEN_MILLION,
        "real",
        goals={"value": {"limit": 0.75}, "value_and_grad": {"limit": 0.75, "eager": 3}},
    ),
)


def of_family(family: str) -> list[Case]:
    return [case for case in CASES if case.family == family]
