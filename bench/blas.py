"""Matrix products right after a call of ours: our threads must not be in their way, nor theirs in ours.

    python bench/blas.py [--quick]

"alone" follows a one-thread copy of the bytes that our call moves, so that the caches are in the same state.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from machine import settle

import fastloss as fl

N = 512
SHAPE = (65536, 10)  # enough for all our threads, little enough to leave the last cache alone


def measure(quick: bool = False) -> dict[str, dict[str, float]]:
    """Medians in seconds, and the ratio of a product after our call to a product without us."""
    import torch

    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((N, N), dtype=np.float32) for _ in range(2))
    c = np.empty_like(a)
    ta, tb, tc = torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(c)
    x, y = rng.standard_normal(SHAPE, dtype=np.float32), rng.integers(0, SHAPE[1], SHAPE[0])
    out = np.ones_like(x)

    def ours() -> Any:
        return fl.cross_entropy.value_and_grad(x, y, out=out)

    def control() -> Any:
        np.copyto(out, x)

    def numpy_product() -> Any:
        return np.matmul(a, b, out=c)

    def torch_product() -> Any:
        return torch.mm(ta, tb, out=tc)

    found = {}
    for name, product in (("numpy", numpy_product), ("torch", torch_product)):
        pairs = {
            "alone": (control, product),
            "after_fastloss": (ours, product),
            "fastloss_alone": (control, ours),
            "fastloss_after": (product, ours),
        }
        medians = _second_of(pairs, 30 if quick else 100)
        found[name] = {
            **medians,
            "ratio": medians["after_fastloss"] / medians["alone"],
            "fastloss_ratio": medians["fastloss_after"] / medians["fastloss_alone"],
        }
    return found


def _second_of(pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]], repeats: int) -> dict[str, float]:
    """Median time of the second call of each pair, pairs in random order, interleaved."""
    seconds: dict[str, list[float]] = {name: [] for name in pairs}
    order, rng = list(pairs), random.Random(0)
    for _ in range(repeats + 3):
        rng.shuffle(order)
        for name in order:
            first, second = pairs[name]
            settle()
            first()
            start = time.perf_counter()
            second()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[3:]) for name, values in seconds.items()}


if __name__ == "__main__":
    print(json.dumps(measure("--quick" in sys.argv), indent=1))
