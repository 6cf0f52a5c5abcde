"""Every loss of the catalogue against PyTorch: python bench/catalogue.py [--quick] [--only NAME ...] [--out FILE]

The cases come from the rows (``fl.losses()``): elementwise losses at 10 million elements and at 64, the others at a
size that they are used at. Beside the times: the first call of each loss, with a cold and with a warm disk cache.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from arena import Arena, arena
from baselines import eager, inductor
from cases import HOT_BELOW, Goals
from compositions import MISCOMPILED
from harness import QUICK, Effort, measure, warm_and_check
from machine import describe, own_process, rounded
from variants import own

import fastloss as fl
from fastloss._catalogue import Distribution, Indices
from fastloss._elementwise import ElementwiseProblem

LATEST = Path(__file__).parent / "results" / "catalogue.json"

TEN_MILLION = (10_000_000,)
SIXTY_FOUR = (64,)
SCORES = (8192, 1000)
IMAGES = (8, 21, 256, 256)
VECTORS = (65536, 128)
BOXES = (1_000_000, 4)

#: Of one case and step: there are two hundred of them.
FULL = Effort(seconds=0.5, rounds=7, sample=2e-3)

#: Seconds of a loss's first call in a process where others of its kind were called before.
FIRST_CALL = {"cold": 0.5, "warm": 0.01}

#: The least share of the limit, and ratios of a peer's time to ours, by step.
ELEMENTWISE: dict[str, Goals] = {
    "value": {"compile": 1},
    "value_and_grad": {"limit": 0.75, "eager": 2.5, "compile": 1.5},
}
TRANSCENDENTAL: dict[str, Goals] = {
    "value": {"compile": 1},
    "value_and_grad": {"limit": 0.75, "eager": 8, "compile": 1.5},
}
SMALL: dict[str, Goals] = {"value_and_grad": {"eager": 6}, "autograd": {"eager": 1 / 1.15}}
ROWS: dict[str, Goals] = {"value": {"compile": 1}, "value_and_grad": {"eager": 5, "compile": 1.5}}
PAIRS: dict[str, Goals] = {"value": {"compile": 1}, "value_and_grad": {"limit": 0.65, "eager": 8, "compile": 1.5}}


class Special(NamedTuple):
    """What a loss is timed on that its row does not say."""

    shape: tuple[int, ...]
    options: Mapping[str, Any] = MappingProxyType({})
    make: Callable[[np.random.Generator, tuple[int, ...]], tuple[Any, ...]] | None = None
    goals: dict[str, Goals] = ROWS


def _images(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Logits and class indices."""
    logits = 2 * rng.standard_normal(shape, dtype=np.float32)
    return logits, rng.integers(0, shape[1], (shape[0], *shape[2:]))


def _boxes(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Corners of boxes, most of which overlap."""
    low = rng.random((2, shape[0], 2), dtype=np.float32)
    high = low + 0.1 + rng.random((2, shape[0], 2), dtype=np.float32)
    return tuple(np.concatenate([low, high], axis=2))


def _labels(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Scores, and the indices of up to three labels a row, then -1."""
    labels = np.full(shape, -1)
    labels[:, : min(3, shape[1])] = np.argsort(rng.random((shape[0], 8)), axis=1)[:, : min(3, shape[1])]
    return 2 * rng.standard_normal(shape, dtype=np.float32), labels


SPECIAL = {
    **dict.fromkeys(
        ("dice_loss", "jaccard_loss", "tversky_loss", "focal_tversky_loss"),
        Special(IMAGES, {"from_logits": True}, _images),
    ),
    **dict.fromkeys(
        ("box_iou_loss", "generalized_box_iou_loss", "distance_box_iou_loss", "complete_box_iou_loss"),
        Special(BOXES, make=_boxes),
    ),
    **dict.fromkeys(
        ("rmse_loss", "gan_discriminator_loss", "gan_generator_loss"),
        Special(TEN_MILLION),
    ),
    **dict.fromkeys(("l1_penalty", "l2_penalty", "elastic_net_penalty"), Special(TEN_MILLION)),
    **dict.fromkeys(("triplet_margin_loss", "cosine_embedding_loss"), Special(VECTORS, goals=PAIRS)),
    **dict.fromkeys(
        ("triplet_margin_with_distance_loss", "cosine_similarity_loss", "contrastive_loss"), Special(VECTORS)
    ),
    # Its time grows with the labels of a row times the classes.
    "multilabel_margin_loss": Special(SCORES, make=_labels),
}


@dataclass(frozen=True)
class Case:
    """A loss on arrays of a shape: an arena.Problem."""

    loss: str
    shape: tuple[int, ...]
    goals: dict[str, Goals] = field(default_factory=dict, hash=False, compare=False)
    dtype: str = "float32"

    @property
    def name(self) -> str:
        return f"{self.loss}, {' x '.join(map(str, self.shape))}"

    @property
    def spec(self) -> Any:
        return getattr(fl, self.loss).spec

    @property
    def family(self) -> str:
        return str(self.spec.bind.__module__.rpartition(".")[2])

    @property
    def special(self) -> Special:
        return SPECIAL.get(self.loss, Special(self.shape))

    @property
    def options(self) -> dict[str, Any]:
        reduction = inspect.signature(getattr(fl, self.loss)).parameters.get("reduction")
        as_mean = {"reduction": "mean"} if reduction is not None and reduction.default == "none" else {}
        return {**as_mean, **self.special.options}

    @property
    def wrt(self) -> tuple[int, ...]:
        """The default; of losses of several vectors, all of them."""
        names = self.spec.differentiable if self.shape[1:] == VECTORS[1:] else self.spec.default
        places = {name: place for place, name in enumerate(self.spec.row.domain)}
        return tuple(places[name] for name in names)

    @property
    def modes(self) -> tuple[str, ...]:
        if not self.spec.differentiable:
            return () if self.hot else ("value",)
        return ("value_and_grad", "autograd") if self.hot else ("value", "value_and_grad")

    @property
    def input_bytes(self) -> int:
        return 4 * math.prod(self.shape)  # float32

    @property
    def hot(self) -> bool:
        return self.input_bytes < HOT_BELOW

    def make(self) -> tuple[Any, ...]:
        if self.special.make is not None:
            return self.special.make(np.random.default_rng(0), self.shape)
        arrays = self.spec.row.example(0, self.shape, np.float32, min(1, len(self.shape) - 1))
        parameters = inspect.signature(getattr(fl, self.loss)).parameters
        return tuple(array for name, array in arrays.items() if parameters[name].default is inspect.Parameter.empty)

    def short(self) -> Case:
        """The same with few rows, for first calls."""
        few = [min(length, 64) for length in self.shape]
        if len(few) == 2:
            few[1] = self.shape[1]
        return dataclasses.replace(self, shape=tuple(few))


def is_elementwise(loss: str) -> bool:
    function = getattr(fl, loss)
    parameters = inspect.signature(function).parameters
    problem = function.spec.problem(*(parameters[option].default for option in function.spec.options))
    return isinstance(problem, ElementwiseProblem)


def losses():
    """The losses whose cases the rows make; those of whole batches and sequences have benchmarks of their own."""
    return [name for name, function in fl.losses().items() if not function.spec.row.whole]


def cases_of(loss: str) -> list[Case]:
    """The case of a loss, and that of 64 elements where elements are what it is about."""
    row = getattr(fl, loss).spec.row
    if loss in SPECIAL:
        special = SPECIAL[loss]
        return [Case(loss, special.shape, special.goals)]
    if not is_elementwise(loss):
        return [Case(loss, SCORES, ROWS)]
    goals = TRANSCENDENTAL if row.transcendental else ELEMENTWISE
    # Distributions need an axis to add up along.
    over_classes = any(isinstance(domain, (Distribution, Indices)) for domain in row.domain.values())
    large, small = ((10_000, 1_000), (8, 8)) if over_classes else (TEN_MILLION, SIXTY_FOUR)
    return [Case(loss, large, goals), Case(loss, small, SMALL)]


def all_cases() -> list[Case]:
    return [case for loss in losses() for case in cases_of(loss)]


# Times.


def run(case: Case, mode: str, quick: bool) -> dict[str, Any]:
    ground = arena(case)
    contenders = [own(ground, mode), eager(ground, mode)]
    if not case.hot and not quick and case.loss not in MISCOMPILED:
        contenders.append(inductor(ground, mode))
    found = measure(ground, mode, contenders, QUICK if quick else FULL)
    return {"loss": case.loss, "family": case.family, **found, "quick": quick}


def check(case: Case) -> None:
    """That it agrees with PyTorch on a few rows, value and gradients; nothing is timed."""
    few = case.short()
    ground = Arena(few)
    for mode in few.modes or ("value",):
        warm_and_check(few, [own(ground, mode), eager(ground, mode)])


# First calls.


def first_calls(losses: list[str]) -> dict[str, float]:
    """Seconds of the first call of each, in this order, in this process."""
    found = {}
    for loss in losses:
        case = cases_of(loss)[0].short()
        call = own(Arena(case), "value_and_grad" if case.wrt else "value").call
        start = time.perf_counter()
        try:
            call(0)
        except Exception as error:  # the others are to be measured all the same
            print(f"{loss}: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        found[loss] = time.perf_counter() - start
    return found


def in_processes(losses: list[str], quick: bool) -> dict[str, dict[str, float]]:
    """First calls on a cold and on a warm disk cache.

    What losses share is compiled, or loaded, by whichever comes first: so they are called in two orders, each in
    processes of its own, and the lesser time is that of the loss.
    """
    found: dict[str, dict[str, float]] = {loss: {} for loss in losses}
    for order in (losses,) if quick else (losses, losses[::-1]):
        with tempfile.TemporaryDirectory() as cache:
            for state in ("cold", "warm"):
                done = subprocess.run(
                    [sys.executable, __file__, "--first-calls", *order],
                    env=own_process(FASTLOSS_CACHE_DIR=cache),
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                )
                for loss, seconds in json.loads(done.stdout).items():
                    found[loss][state] = min(seconds, found[loss].get(state, math.inf))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few rounds, no torch.compile; needs --out to store")
    parser.add_argument("--check", action="store_true", help="only that all agree with PyTorch, on few rows: seconds")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="losses with this in their name, no first calls; needs --out to store"
    )
    parser.add_argument("--out", type=Path, help="the JSON to write (bench/results/catalogue.json)")
    parser.add_argument(
        "--first-calls", nargs="+", metavar="LOSS", help="nothing but seconds of first calls, in this order and process"
    )
    arguments = parser.parse_args()
    if arguments.first_calls:
        print(json.dumps(first_calls(arguments.first_calls)))
        return 0
    names = [loss for loss in losses() if not arguments.only or any(part in loss for part in arguments.only)]
    begin = time.perf_counter()
    entries, failures = [], {}
    for number, loss in enumerate(names):
        said = []
        for case in cases_of(loss):
            try:
                if arguments.check:
                    check(case)
                    said.append("agrees")
                    continue
                for mode in case.modes:
                    entry = run(case, mode, arguments.quick)
                    entries.append(entry)
                    said.append(_in_words(entry))
            except Exception as error:  # the others are to be measured all the same; the run fails at its end
                failures[case.name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                said.append(failures[case.name])
        print(f"{number + 1}/{len(names)} {loss}: {'; '.join(said)}", flush=True)
    if arguments.check:
        return _failed(failures)
    # Of a few losses they would be the first calls of what all share.
    started = {} if arguments.only else in_processes(names, arguments.quick)
    for loss, seconds in started.items():
        if set(seconds) != set(FIRST_CALL):
            failures[f"{loss}, first call"] = "see the errors above"
            continue
        print(f"{loss}: {seconds['cold']:.2f} s cold, {1e3 * seconds['warm']:.1f} ms warm")
    # Rough or partial numbers never take the place of a whole run.
    out = arguments.out or (None if arguments.only or arguments.quick else LATEST)
    if out is not None:
        results = {"machine_info": describe(), "benchmarks": entries, "first_calls": started, "failures": failures}
        out.write_text(json.dumps(rounded(results), indent=1) + "\n")
        print(f"wrote {out}; now: python bench/report.py")
    print(f"{time.perf_counter() - begin:.0f} s")
    return _failed(failures)


def _failed(failures: dict[str, str]) -> int:
    for name, failure in failures.items():
        print(f"FAILED {name}: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _in_words(entry: dict[str, Any]) -> str:
    time_, share = entry["times"]["fastloss"]["median"], entry["share"]
    words = [f"{entry['mode']} {1e3 * time_:.3g} ms"]
    if share is not None:
        words.append(f"share {share:.2f}")
    return ", ".join([*words, *(f"{peer} {ratio:.3g}x" for peer, ratio in entry["ratios"].items())])


if __name__ == "__main__":
    sys.exit(main())
