"""CTC beside PyTorch: speech, handwriting, one utterance, tiny and padded batches; and the memory it takes.

    python bench/bench_ctc.py [--quick]

PyTorch's work is log_softmax, ctc_loss and, for the gradient, backward; ours starts from the same logits. Results go to
results/ctc.json.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from bandwidth import COPIES
from harness import FULL, QUICK, Effort, interleave
from machine import Neighbours, describe, rounded
from memory import resident_growth
from variants import Variant

import fastloss as fl

FILE = Path(__file__).parent / "results" / "ctc.json"
#: Of PyTorch's gradient in float64, relative to its largest element. Its own in float32 is off by up to 1e-2.
TOLERANCE = 1e-5
#: Samples that are enough to hold the results against PyTorch's: they do not depend on each other.
CHECKED = 2


class Case(NamedTuple):
    name: str
    frames: int
    samples: int
    classes: int
    labels: int
    #: At least so many times as fast as eager: value and gradient, value, and through autograd.
    goals: tuple[float, float, float]
    #: Of the frames, those that are not padding; labels in proportion.
    used: float = 1.0


CASES = (
    Case("speech, word pieces", 1000, 16, 5000, 100, (15.0, 10.0, 10.5)),
    Case("speech, characters", 1500, 8, 32, 200, (12.0, 7.0, 8.4)),
    Case("speech, half of it padding", 1500, 8, 32, 200, (12.0, 7.0, 8.4), 0.5),
    Case("handwriting", 200, 64, 80, 30, (8.0, 5.0, 5.6)),
    Case("one utterance", 1500, 1, 32, 200, (5.0, 3.0, 3.5)),
    Case("tiny", 50, 16, 20, 10, (3.0, 1.5, 2.1)),
)


class Arrays(NamedTuple):
    """Of a case, as NumPy arrays and as tensors of the same memory."""

    arguments: tuple[Any, ...]
    tensors: tuple[Any, ...]
    out: Any


def make(case: Case) -> Arrays:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((case.frames, case.samples, case.classes), dtype=np.float32)
    targets = rng.integers(1, case.classes, (case.samples, case.labels))
    # From a part of all frames to all that would make the mean, alternately.
    share = np.where(np.arange(case.samples) % 2, 1.5, 0.5) * case.used if case.used < 1 else np.ones(case.samples)
    lengths = [(share * length).astype(np.int64) for length in (case.frames, case.labels)]
    arguments = (logits, targets, *lengths)
    return Arrays(arguments, tuple(map(torch.from_numpy, arguments)), np.zeros_like(logits))


def eager(logits: Any, *others: Any, reduction: str = "mean") -> Any:
    return F.ctc_loss(logits.log_softmax(-1), *others, reduction=reduction)


def ours(logits: Any, *others: Any, reduction: str = "mean") -> Any:
    return fl.ctc_loss(logits, *others, reduction=reduction, from_logits=True)


def check(arrays: Arrays) -> float:
    """How far PyTorch's float32 gradient is from its float64 one, if ours is not further than it may be."""
    logits, targets, *lengths = (
        tensor[..., :CHECKED, :] if tensor.ndim == 3 else tensor[:CHECKED] for tensor in arrays.tensors
    )
    results = []
    for function, dtype in ((eager, torch.float64), (ours, torch.float32), (eager, torch.float32)):
        leaf = logits.to(dtype, copy=True).requires_grad_()
        loss = function(leaf, targets, *lengths, reduction="sum")
        loss.backward()
        results.append((loss.item(), leaf.grad.double()))
    (value, grad), *others = results
    largest = grad.abs().max().item()
    (gap, gap_grad), (_, torchs) = [
        (abs(v - value) / abs(value), (g - grad).abs().max().item() / largest) for v, g in others
    ]
    if not (gap <= TOLERANCE and gap_grad <= TOLERANCE):
        raise ValueError(f"value and gradient differ from PyTorch's by {gap:.2g} and {gap_grad:.2g}")
    return float(torchs)


def contenders(arrays: Arrays) -> list[Variant]:
    logits, *others = arrays.tensors

    def trained(function: Callable[..., Any]) -> Callable[[int], Any]:
        leaf = logits.detach().requires_grad_()

        def call(i: int) -> Any:
            leaf.grad = None
            loss = function(leaf, *others)
            loss.backward()
            return loss

        return call

    def value_of_eager(i: int) -> Any:
        with torch.no_grad():
            return eager(logits, *others)

    copied = torch.from_numpy(arrays.out)
    calls = {
        "eager": trained(eager),
        "eager value": value_of_eager,
        "autograd": trained(ours),
        "value": lambda i: ours(*arrays.arguments),
        "value and gradient": lambda i: fl.ctc_loss.value_and_grad(*arrays.arguments, from_logits=True),
        "value and gradient, out": lambda i: fl.ctc_loss.value_and_grad(
            *arrays.arguments, from_logits=True, out=arrays.out
        ),
        COPIES[0]: lambda i: np.copyto(arrays.out, arrays.arguments[0]),
        COPIES[1]: lambda i: copied.copy_(logits),
    }
    return [Variant(name, call, lambda result, i: (float(result), None)) for name, call in calls.items()]


def measure(case: Case, effort: Effort) -> dict[str, Any]:
    arrays = make(case)
    torchs_error = check(arrays)
    variants = contenders(arrays)
    for variant in variants:
        variant.call(0)
    neighbours = Neighbours()
    samples = interleave(variants, 1, effort)
    others = neighbours.share()
    times = {name: statistics.median(seconds) for name, seconds in samples.items()}
    best = {name: min(seconds) for name, seconds in samples.items()}
    copy = min(COPIES, key=times.__getitem__)

    ctypes.CDLL(None).malloc_trim(0)  # what earlier calls gave back counts again

    def step() -> Any:
        return fl.ctc_loss.value_and_grad(*arrays.arguments, from_logits=True, out=arrays.out)

    floats = case.frames * (2 * case.labels + 1) * case.samples
    return {
        "case": case._asdict(),
        "times": times,
        "best": best,
        "ratios": ratios(times),
        "ratios of the best": ratios(best),
        # The logits read twice and the gradient written once, at the speed of a copy, which moves two such arrays.
        "share": 1.5 * times[copy] / times["value and gradient, out"],
        "share of the best": 1.5 * best[copy] / best["value and gradient, out"],
        "memory": resident_growth(step) / (4 * floats),
        "torch_error": torchs_error,
        "others": others,
    }


def ratios(times: dict[str, float]) -> dict[str, float]:
    peers = {
        "value and gradient": "eager",
        "value and gradient, out": "eager",
        "value": "eager value",
        "autograd": "eager",
    }
    return {name: times[peer] / times[name] for name, peer in peers.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="rough numbers, which are not stored")
    quick = parser.parse_args().quick
    print(
        f"{'case':28}{'T, N, C, S':>22}  ms: eager   ours  | times eager: both (goal)   value (goal)    autograd (goal)"
    )
    entries = []
    for case in CASES:
        entry = measure(case, QUICK if quick else FULL)
        entries.append(entry)
        found, times = entry["ratios"], entry["times"]
        cells = [
            f"{found[name]:6.1f} ({goal:g}){'' if found[name] >= goal else ' MISSED'}"
            for name, goal in zip(("value and gradient, out", "value", "autograd"), case.goals, strict=True)
        ]
        milliseconds = f"{1e3 * times['eager']:9.2f}{1e3 * times['value and gradient, out']:8.2f}"
        print(
            f"{case.name:28}{case[1:5]!s:>22}  {milliseconds} | {'  '.join(cells)}\n"
            f"{'':28}share of the limit {entry['share']:.2f}; memory {entry['memory']:.2f} x T (2S+1) N floats;"
            f" PyTorch's float32 gradient off by {entry['torch_error']:.1g}; other processes {entry['others']:.0%}"
        )
    if not quick:
        FILE.write_text(json.dumps(rounded({"machine": describe(), "cases": entries}), indent=1) + "\n")


if __name__ == "__main__":
    main()
