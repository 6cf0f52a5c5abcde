"""Triplets mined in a batch against PyTorch: python bench/bench_triplets.py [--quick] [--only NAME]

Value and gradient, float32. Beside the times that of the bare product of the embeddings with themselves, by NumPy
with all threads and a copied operand (the same array twice takes a slower way), in the same interleaved loop; and the
peak of memory beyond inputs and gradients, at 20,000 rows of 256, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import harness
import numpy as np
from arena import Arena
from harness import FULL, QUICK, Effort
from machine import describe, rounded
from memory import resident_growth
from variants import Variant, difference, own, through_torch

OUT = Path(__file__).parent / "results" / "triplets.json"
#: From so many rows on, one call of a composition with a B x B x B tensor takes half a minute: two samples are enough.
SLOW_ROWS = 1024
MEMORY_ROWS, MEMORY_WIDTH, MEMORY_LIMIT = 20_000, 256, 200e6
#: Of one label, about: four as in person re-identification, or a tenth of the batch as in classification.
FEW = 4
#: Largest difference from eager, in value and gradient. Eager compares rounded distances, and a triplet on the wrong
#: side of the hinge is a 1,000th of its anchor's gradient (fastloss is within 3e-7 of float64 there).
TOLERANCE = (1e-5, 1e-3)


@dataclass(frozen=True)
class Case:
    """Random embeddings with labels. ``goal``: the least ratio to eager; ``product_goal``: the most to the product."""

    mining: str
    rows: int
    width: int
    goal: float | None = None
    product_goal: float | None = None
    classes: int = 0  # a quarter of the rows
    eager: str = ""  # the composition that it is compared with; none where there is no memory for one
    options: dict[str, Any] = field(default_factory=dict, hash=False)
    loss: str = "batch_triplet_loss"
    dtype: str = "float32"
    wrt: tuple[int, ...] = (0,)
    hot: bool = True
    input_bytes: int = 0

    @property
    def name(self) -> str:
        labels = f", {self.classes} labels" if self.classes else ""
        margin = ", soft" if self.options.get("margin") == "soft" else ""
        return f"{self.mining}{margin} {self.rows} x {self.width}{labels}"

    def make(self) -> tuple[Any, ...]:
        rng = np.random.default_rng(1)
        x = rng.standard_normal((self.rows, self.width), np.float32)
        return x, rng.integers(0, self.classes or self.rows // FEW, self.rows)


def case(mining: str, rows: int, width: int, **more: Any) -> Case:
    options = {"mining": mining, **more.pop("options", {})}
    return Case(mining, rows, width, options=options, **more)


CASES = (
    case("hard", 512, 128, goal=3.0, eager="hard"),
    case("hard", 2048, 256, goal=4.0, eager="hard"),
    case("hard", 4096, 512, goal=4.0, product_goal=1.5, eager="hard"),
    case("easy", 4096, 512, eager="easy"),
    case("semihard", 512, 128, eager="semihard"),
    case("semihard", 4096, 512),
    case("semihard", 4096, 512, classes=10),
    case("all", 256, 128, eager="all"),
    case("all", 1024, 128, goal=20.0, eager="all"),
    case("all", 1024, 128, classes=10, goal=20.0, eager="all"),
    case("all", 1024, 128, options={"margin": "soft"}, goal=20.0, eager="all"),
    case("all", 4096, 512),
)


# The plain PyTorch of each: distances, masks, and tensors of all pairs or triplets.


def composition(known: Case) -> Callable[..., Any]:
    import torch
    import torch.nn.functional as F

    def masks(labels: Any) -> tuple[Any, Any]:
        same = labels[:, None] == labels[None]
        return same & ~torch.eye(len(labels), dtype=torch.bool), ~same

    def of_anchors(x: Any, labels: Any, easy: bool) -> Any:
        d = torch.cdist(x, x)
        positive, negative = masks(labels)
        if easy:
            near = d.masked_fill(~positive, torch.inf).amin(1)
        else:
            near = d.masked_fill(~positive, -torch.inf).amax(1)
        far = d.masked_fill(~negative, torch.inf).amin(1)
        counts = positive.any(1) & negative.any(1)
        return F.relu(near - far + 0.2)[counts].mean()

    def semihard(x: Any, labels: Any) -> Any:
        d = torch.cdist(x, x)
        positive, negative = masks(labels)
        farther = negative[:, None] & (d[:, None] > d[:, :, None])  # anchor, positive, negative
        nearest = d[:, None].masked_fill(~farther, torch.inf).amin(2)
        farthest = d.masked_fill(~negative, -torch.inf).amax(1, keepdim=True)
        far = torch.where(farther.any(2), nearest, farthest)
        return F.relu(d - far + 0.2)[positive & negative.any(1, keepdim=True)].mean()

    def every(x: Any, labels: Any) -> Any:
        d = torch.cdist(x, x)
        positive, negative = masks(labels)
        difference = d[:, :, None] - d[:, None]
        losses = F.softplus(difference) if soft else F.relu(difference + 0.2)
        exist = positive[:, :, None] & negative[:, None]
        return (losses * exist).sum() / exist.sum()

    soft = known.options.get("margin") == "soft"
    return {
        "hard": lambda x, labels: of_anchors(x, labels, False),
        "easy": lambda x, labels: of_anchors(x, labels, True),
        "semihard": semihard,
        "all": every,
    }[known.eager]


# Times.


def product(ground: Arena) -> Variant:
    """All products of two rows, alone."""
    x = ground.arguments[0][0]
    other, out = x.copy(), np.empty((len(x), len(x)), np.float32)
    return Variant("product", lambda i: np.matmul(x, other.T, out=out), lambda result, i: (0.0, None))


def check(known: Case, contenders: list[Variant]) -> None:
    results = [variant.read(variant.call(0), 0) for variant in contenders]
    found = difference(*results)
    if not all(gap <= limit for gap, limit in zip(found, TOLERANCE, strict=True)):
        raise ValueError(f"{known.name}: differs from eager by {found}, allowed are {TOLERANCE}")


def run(known: Case, effort: Effort) -> dict[str, Any]:
    ground = Arena(known)
    contenders = [own(ground, "value_and_grad")]
    if known.eager:
        contenders.append(through_torch("eager", composition(known), ground))
        check(known, contenders)
    else:
        contenders[0].call(0)
    contenders.append(product(ground))
    if known.eager in ("all", "semihard") and known.rows >= SLOW_ROWS:
        effort = effort._replace(rounds=2)
    samples = harness.interleave(contenders, 1, effort)
    times = {name: harness.summary(seconds) for name, seconds in samples.items()}
    median = {name: time["median"] for name, time in times.items()}
    return {
        "case": known.name,
        "times": times,
        "ratio": median["eager"] / median["fastloss"] if known.eager else None,
        "product": median["fastloss"] / median["product"],
        "goal": known.goal,
        "product_goal": known.product_goal,
    }


# Memory.


def memory(mining: str, classes: int) -> float:
    """Bytes beyond inputs and gradients at the peak, in this process."""
    few, many = (Arena(case(mining, rows, MEMORY_WIDTH, classes=classes)) for rows in (128, MEMORY_ROWS))
    own(few, "value_and_grad").call(0)  # compiles, starts threads
    return float(resident_growth(lambda: own(many, "value_and_grad").call(0)))


def in_process(mining: str, classes: int) -> float:
    command = [sys.executable, __file__, "--memory", mining, str(classes)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few rounds; nothing is stored")
    parser.add_argument("--only", metavar="NAME", help="cases with this in their name; nothing is stored")
    parser.add_argument("--memory", nargs=2, metavar="X", help="nothing but the memory of a mining and labels, here")
    arguments = parser.parse_args()
    if arguments.memory:
        print(memory(arguments.memory[0], int(arguments.memory[1])))
        return 0
    entries, peaks, missed = [], [], []
    print(f"{'case':32} {'ours':>10} {'eager':>11} {'ratio':>7} {'goal':>5} {'products':>9} {'goal':>5}")
    for known in CASES:
        if arguments.only and arguments.only not in known.name:
            continue
        # Tensors of all triplets take seconds: of those three rounds are enough.
        effort = QUICK if arguments.quick or known.eager in ("all", "semihard") else FULL
        entry = run(known, effort)
        entries.append(entry)
        times = {name: 1e3 * time["median"] for name, time in entry["times"].items()}
        eager = f"{times['eager']:8.1f} ms" if known.eager else ""
        ratio = f"{entry['ratio']:.2f}" if known.eager else ""
        goals = [f"{goal:.1f}" if goal else "" for goal in (known.goal, known.product_goal)]
        print(
            f"{known.name:32} {times['fastloss']:7.1f} ms {eager:>11} {ratio:>7} {goals[0]:>5} "
            f"{entry['product']:9.2f} {goals[1]:>5}",
            flush=True,
        )
        if (known.goal and entry["ratio"] < known.goal) or (
            known.product_goal and entry["product"] > known.product_goal
        ):
            missed.append(known.name)
    if not arguments.only:
        print(f"\nmemory beyond inputs and gradients at {MEMORY_ROWS} x {MEMORY_WIDTH}")
        for mining in ("hard", "easy", "semihard", "all"):
            for classes in (MEMORY_ROWS // FEW, 10):
                peak = in_process(mining, classes)
                peaks.append({"mining": mining, "labels": classes, "bytes": peak, "limit": MEMORY_LIMIT})
                print(f"{mining:10} {classes:5} labels {peak / 1e6:6.0f} MB", flush=True)
                if peak > MEMORY_LIMIT:
                    missed.append(f"{mining}, {classes} labels: memory")
    for name in missed:
        print(f"MISSED {name}")
    if not arguments.quick and not arguments.only:
        results = {"machine_info": describe(), "benchmarks": entries, "memory": peaks}
        OUT.write_text(json.dumps(rounded(results), indent=1) + "\n")
        print(f"wrote {OUT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
