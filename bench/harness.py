"""Interleaved timing: every contender in one loop, so that what the machine does besides hits all of them."""

from __future__ import annotations

import gc
import math
import random
import statistics
import time
from typing import Any, NamedTuple

from arena import Arena, Problem
from bandwidth import COPIES, copies
from machine import Neighbours, settle
from variants import Variant, difference, gradients

#: Largest difference from PyTorch eager: relative in the value, and in the gradient relative to its largest element.
#: In 16 bits it is PyTorch's rounding of the loss and of the log-probabilities that is allowed for.
TOLERANCE = {"float32": (1e-5, 1e-5), "float16": (2e-3, 2e-3), "bfloat16": (1.6e-2, 1.6e-2)}


class Effort(NamedTuple):
    seconds: float  # for one case and mode
    rounds: int  # at least
    sample: float  # seconds: a sample of a shorter call is a loop of so many


#: Before each sample everything waits until the last contender's threads sleep; a processor that has been idle for some
#: milliseconds is slow and half asleep itself (our own 0.5 ms become 1 to 2, on one thread). Training loops do not
#: idle: contenders faster than this many seconds make one call of their own before the clock starts.
AWAKE = 30e-3

FULL = Effort(seconds=2.5, rounds=9, sample=4e-3)
QUICK = Effort(seconds=0.2, rounds=3, sample=1e-3)


def measure(arena: Arena, mode: str, contenders: list[Variant], effort: Effort = FULL) -> dict[str, Any]:
    """Check that all contenders agree, time them, and say what that means: plain numbers, for JSON."""
    case = arena.case
    first_calls = warm_and_check(case, contenders)
    neighbours = Neighbours()
    samples = interleave(contenders + ([] if case.hot else copies(arena)), arena.count, effort)
    others = neighbours.share()
    times = {name: summary(seconds) for name, seconds in samples.items()}
    for name, seconds in first_calls.items():
        times[name]["first_call"] = seconds
    return {"case": case.name, "mode": mode, "times": times, "others": others, **_derived(arena, mode, times)}


def warm_and_check(case: Problem, contenders: list[Variant]) -> dict[str, float]:
    """First calls, which compile, and their results against those of PyTorch eager; how long each took."""
    reference = next(variant for variant in contenders if variant.name == "eager")
    expected = reference.read(reference.call(0), 0)
    if expected[1] is not None:
        # Others write their gradients to the same place.
        expected = (expected[0], tuple(grad.copy() for grad in gradients(expected)))
    limits = TOLERANCE[case.dtype]
    first_calls = {}
    for variant in contenders:
        start = time.perf_counter()
        result = variant.call(0)
        first_calls[variant.name] = time.perf_counter() - start
        found = difference(variant.read(result, 0), expected)
        # Not "any >": a NaN must fail.
        if not all(gap <= limit for gap, limit in zip(found, limits, strict=True)):
            raise ValueError(f"{case.name}: {variant.name} differs from eager by {found}, allowed are {limits}")
    return first_calls


def interleave(variants: list[Variant], count: int, effort: Effort) -> dict[str, list[float]]:
    """Seconds a call, sample by sample. The copies of the arrays take turns over all calls of all variants."""
    turn = 0

    def sample(variant: Variant, calls: int) -> float:
        nonlocal turn
        call, order = variant.call, [(turn + k) % count for k in range(calls)]
        turn += calls
        start = time.perf_counter()
        for i in order:
            call(i)
        return (time.perf_counter() - start) / calls

    calls, took = {}, {}
    for variant in variants:
        once = sample(variant, 1)
        if once < effort.sample:  # else the first call above was warm-up enough, and a sample is one call
            once = min(sample(variant, 1) for _ in range(2))
            once = min(once, sample(variant, max(1, min(100, int(effort.sample / once)))))
        calls[variant.name] = max(1, math.ceil(effort.sample / once))
        took[variant.name] = once
    found: dict[str, list[float]] = {variant.name: [] for variant in variants}
    shuffled, rng = list(variants), random.Random(0)
    gc.collect()
    gc.disable()
    try:
        end = time.perf_counter() + effort.seconds
        while time.perf_counter() < end or len(found[variants[0].name]) < effort.rounds:
            rng.shuffle(shuffled)  # nobody always follows the same neighbour
            for variant in shuffled:
                settle()
                if took[variant.name] < AWAKE:
                    sample(variant, 1)
                found[variant.name].append(sample(variant, calls[variant.name]))
    finally:
        gc.enable()
    return found


def summary(seconds: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return {"median": middle, "q25": low, "q75": high, "rounds": len(seconds)}


def _derived(arena: Arena, mode: str, times: dict[str, dict[str, float]]) -> dict[str, Any]:
    own = times["fastloss"]["median"]
    ratios = {
        name: time["median"] / own
        for name, time in times.items()
        if name not in COPIES and name not in ("fastloss", "fastloss_new")
    }
    least = arena.bytes(mode)
    derived: dict[str, Any] = {"bytes": least, "ratios": ratios, "share": None, "copy_bandwidth": None}
    if not arena.case.hot:
        # A copy reads each byte and writes each byte.
        bandwidth = 2 * arena.case.input_bytes / min(times[name]["median"] for name in COPIES)
        derived["copy_bandwidth"] = bandwidth
        derived["share"] = least / bandwidth / own
    return derived
