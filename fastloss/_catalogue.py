"""What is true of a loss as data: its row. Validation, test data, the README's table and the benchmark read it.

>>> import fastloss as fl
>>> fl.find("mae")
['l1_loss']
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastloss import _errors


@dataclass(frozen=True)
class Interval:
    """Numbers from ``low`` to ``high``; ``open`` names the ends that do not belong to it."""

    low: float = -math.inf
    high: float = math.inf
    open: str = ""  # "", "low", "high" or "both"

    def __str__(self) -> str:
        if self == REAL:
            return "real"
        left = "(" if self.open in ("low", "both") or self.low == -math.inf else "["
        right = ")" if self.open in ("high", "both") or self.high == math.inf else "]"
        return f"{left}{self.low:g}, {self.high:g}{right}"

    def check(self, loss: str, argument: str, value: Any) -> float:
        number = _errors.number(loss, argument, value, self.low, self.high)
        outside = (number == self.low and self.open in ("low", "both")) or (
            number == self.high and self.open in ("high", "both")
        )
        if outside:
            raise ValueError(_errors.wrong(loss, argument, repr(value), f"a number in {self}"))
        return number

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], axis: int) -> Any:
        """Numbers from its inside, of the size that training sees."""
        if math.isfinite(self.low) and math.isfinite(self.high):
            return self.low + (self.high - self.low) * (0.02 + 0.96 * rng.random(shape))
        if math.isfinite(self.low):
            return self.low + np.exp(rng.standard_normal(shape))
        return 2.0 * rng.standard_normal(shape)


@dataclass(frozen=True)
class Values:
    """One of a few values: targets of -1 and 1, a mode by its name, True or False."""

    values: tuple[Any, ...]

    def __str__(self) -> str:
        return "{" + ", ".join(map(str, self.values)) + "}"

    def check(self, loss: str, argument: str, value: Any) -> Any:
        if value not in self.values:
            raise ValueError(_errors.wrong(loss, argument, repr(value), f"one of {', '.join(map(repr, self.values))}"))
        return value

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], axis: int) -> Any:
        """Any of them, in any order."""
        return np.array(self.values, np.float64)[rng.integers(0, len(self.values), shape)]


@dataclass(frozen=True)
class Indices:
    """Class indices, in [0, classes)."""

    def __str__(self) -> str:
        return "class indices"

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], axis: int) -> Any:
        """One index a position; ``shape`` is that of the scores."""
        return rng.integers(0, shape[axis], shape[:axis] + shape[axis + 1 :])


@dataclass(frozen=True)
class Distribution:
    """Numbers >= 0 that add up to 1 along the class axis; ``log`` says that their logarithms are meant."""

    log: bool = False

    def __str__(self) -> str:
        return "log-probabilities" if self.log else "probabilities"

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], axis: int) -> Any:
        """The softmax of normal numbers."""
        p = np.exp(rng.standard_normal(shape))
        p /= p.sum(axis, keepdims=True)
        return np.log(p) if self.log else p


REAL = Interval()
POSITIVE = Interval(0.0, math.inf, "low")
NON_NEGATIVE = Interval(0.0, math.inf)
UNIT = Interval(0.0, 1.0)
SIGN = Values((-1, 1))
FLAG = Values((False, True))

Domain = Interval | Values | Indices | Distribution


@dataclass(frozen=True)
class Row:
    """What is true of a loss."""

    #: The class in ``fastloss.nn``.
    module: str
    #: What each array of the call holds, by name: input and target, or what takes their place.
    domain: Mapping[str, Domain]
    #: Bounds of the parameters that are numbers or choices, in the order in which the formula reads them.
    parameters: Mapping[str, Interval | Values] = field(default_factory=dict)
    #: Where the derivative jumps, as a formula of x (input), y (target) and parameters; and what is given there.
    kinks: str = ""
    #: What the mean divides by: "count", "weights" (their sum where there are weights), "class weights" or "rows".
    denominator: str = "count"
    #: Other names of the same thing.
    also: tuple[str, ...] = ()
    #: Whether an element costs an exponential, a logarithm or a power.
    transcendental: bool = False
    #: Arrays with one number for each row of the others.
    per_row: tuple[str, ...] = ()
    #: Whether the loss of tensors has the dtype of the first, as PyTorch's, and not the widest of all.
    dtype_of_input: bool = False
    #: A loss of sequences or of a batch as a whole: it has tests and benchmarks of its own.
    whole: bool = False

    def example(self, seed: int, shape: tuple[int, ...], dtype: Any, axis: int = 1) -> dict[str, Any]:
        """Arrays of a call, by name; classes lie along ``axis``."""
        rng = np.random.default_rng(seed)
        arrays = {}
        for name, domain in self.domain.items():
            if name in self.per_row:
                array = domain.draw(rng, shape[:axis] + shape[axis + 1 :], 0)
            else:
                array = domain.draw(rng, shape, axis)
            arrays[name] = array if array.dtype.kind == "i" else array.astype(dtype)
        return arrays


def losses() -> dict[str, Any]:
    """Every loss function by its name, in alphabetical order.

    >>> import fastloss as fl
    >>> fl.losses()["mse_loss"] is fl.mse_loss
    True
    """
    import fastloss

    found = {name: function for name, function in vars(fastloss).items() if hasattr(function, "spec")}
    return dict(sorted(found.items()))


def find(text: str) -> list[str]:
    """The names of the losses that go by ``text``: in their name, another name, their module or their summary.

    Args:
        text: any part of a name, in any case; spaces, hyphens and underscores are the same.

    Returns:
        The names, those first that are closest: a whole name before the beginning of a word in one, that before one
        in the summary.

    >>> import fastloss as fl
    >>> fl.find("pinball")
    ['quantile_loss']
    """
    if not isinstance(text, str):
        raise TypeError(f"find: text is of type {type(text).__name__}, expected a string")
    joined = _plain(text).replace(" ", "")
    ranked = []
    for name, function in losses().items():
        names = [_plain(word).split() for word in (name, function.spec.row.module, *function.spec.row.also)]
        summary = _plain((inspect.getdoc(function) or "").partition("\n")[0]).split()
        if any(joined == "".join(words) for words in names):
            rank = 0
        elif any(_begins_a_word(joined, words) for words in names):
            rank = 1
        elif _begins_a_word(joined, summary):
            rank = 2
        else:
            continue
        ranked.append((rank, name))
    return [name for _, name in sorted(ranked)]


def _begins_a_word(text: str, words: list[str]) -> bool:
    # Not "dice" in "indices", nor "kl" in "check loss".
    return any("".join(words[i:]).startswith(text) for i in range(len(words)))


def _plain(text: str) -> str:
    return text.lower().replace("_", " ").replace("-", " ").strip()
