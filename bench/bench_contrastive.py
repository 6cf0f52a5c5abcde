"""Losses of similarities and proxies against PyTorch: python bench/bench_contrastive.py [--quick] [--only NAME]

Value and gradients, float32. Beside the times the product of the two sides alone, in one matrix, and the peak of memory
beyond inputs and gradients, at 20,000 rows of 256, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from arena import Arena
from harness import FULL, QUICK, measure
from machine import describe, rounded, settle
from memory import resident_growth
from variants import own, through_torch

import fastloss as fl

OUT = Path(__file__).parent / "results" / "contrastive.json"
MEMORY_ROWS, MEMORY_WIDTH, MEMORY_LIMIT = 20_000, 256, 200e6
CLASSES = 1000


@dataclass(frozen=True)
class Case:
    """A loss on random embeddings: ``goal`` is the least ratio to eager that is asked for."""

    loss: str
    rows: int = 2048
    width: int = 256
    goal: float | None = None
    classes: int = 256
    options: dict[str, Any] = field(default_factory=dict, hash=False)
    dtype: str = "float32"
    hot: bool = True
    input_bytes: int = 0

    @property
    def name(self) -> str:
        return f"{self.loss} {self.rows} x {self.width}"

    @property
    def arrays(self) -> tuple[str, ...]:
        return tuple(getattr(fl, self.loss).spec.row.domain)

    @property
    def wrt(self) -> tuple[int, ...]:
        return tuple(k for k, name in enumerate(self.arrays) if name in getattr(fl, self.loss).spec.default)

    def make(self) -> tuple[Any, ...]:
        rng = np.random.default_rng(0)
        made: list[Any] = []
        for name in self.arrays:
            if name == "labels" and self.loss == "npairs_loss":
                continue
            if name == "labels":
                made.append(rng.integers(0, self.classes, self.rows))
            elif name == "weights":
                made.append(rng.standard_normal((self.classes, self.width), np.float32))
            elif name == "logit_scale":
                made.append(np.array(1 / 0.07, np.float32))
            elif name == "logit_bias":
                made.append(np.array(-10.0, np.float32))
            elif name != "negative_keys":
                # Correlated, as embeddings in training are.
                common = made[0] if made else 0.0
                scale = np.float32(0.1 if self.loss == "npairs_loss" and not made else 1.0)
                made.append((scale * rng.standard_normal((self.rows, self.width), np.float32) + common).astype("f"))
        return tuple(made)


CASES = (
    Case("nt_xent_loss", 4096, 256, goal=2.5),
    Case("clip_loss", 4096, 512, goal=1.6),
    Case("siglip_loss", 4096, 512),
    Case("info_nce_loss"),
    Case("npairs_loss"),
    Case("supervised_contrastive_loss"),
    Case("multi_similarity_loss"),
    Case("circle_loss"),
    Case("batch_contrastive_loss"),
    Case("arcface_loss", classes=CLASSES),
    Case("cosface_loss", classes=CLASSES),
    Case("proxy_nca_loss", classes=CLASSES),
    Case("proxy_anchor_loss", classes=CLASSES),
)


# The plain PyTorch of each.


def compositions() -> dict[str, Callable[..., Any]]:
    import torch
    import torch.nn.functional as F

    def masks(labels: Any) -> tuple[Any, Any]:
        same = labels[:, None] == labels[None]
        itself = torch.eye(len(labels), dtype=torch.bool)
        return same & ~itself, ~same

    def chosen(logits: Any, mask: Any) -> Any:
        return logits.masked_fill(~mask, -torch.inf)

    def soft_hinge(logits: Any, mask: Any, dim: int = 1) -> Any:
        one = torch.zeros_like(logits.select(dim, 0)).unsqueeze(dim)
        return torch.cat([chosen(logits, mask), one], dim).logsumexp(dim)

    def info_nce(query: Any, key: Any) -> Any:
        return F.cross_entropy(F.normalize(query) @ F.normalize(key).T / 0.1, torch.arange(len(query)))

    def nt_xent(z1: Any, z2: Any) -> Any:
        z = F.normalize(torch.cat([z1, z2]))
        logits = (z @ z.T / 0.5).masked_fill(torch.eye(len(z), dtype=torch.bool), -torch.inf)
        return F.cross_entropy(logits, torch.arange(len(z)).roll(len(z1)))

    def supervised_contrastive(x: Any, labels: Any) -> Any:
        z = F.normalize(x)
        positive, _ = masks(labels)
        logits = z @ z.T / 0.1
        total = logits.masked_fill(torch.eye(len(z), dtype=torch.bool), -torch.inf).logsumexp(1)
        count = positive.sum(1)
        losses = total - (logits * positive).sum(1) / count.clamp(min=1)
        return losses[count > 0].mean()

    def npairs(anchor: Any, positive: Any) -> Any:
        penalty = (anchor**2).sum(1).mean() + (positive**2).sum(1).mean()
        return F.cross_entropy(anchor @ positive.T, torch.arange(len(anchor))) + 0.25 * 0.002 * penalty

    def clip(image: Any, text: Any, scale: Any) -> Any:
        logits = scale * F.normalize(image) @ F.normalize(text).T
        numbers = torch.arange(len(image))
        return (F.cross_entropy(logits, numbers) + F.cross_entropy(logits.T, numbers)) / 2

    def siglip(image: Any, text: Any, scale: Any, bias: Any) -> Any:
        logits = scale * F.normalize(image) @ F.normalize(text).T + bias
        return -F.logsigmoid((2 * torch.eye(len(image)) - 1) * logits).sum() / len(image)

    def multi_similarity(x: Any, labels: Any) -> Any:
        z = F.normalize(x)
        cos = z @ z.T
        positive, negative = masks(labels)
        losses = soft_hinge(-2.0 * (cos - 0.5), positive) / 2.0 + soft_hinge(50.0 * (cos - 0.5), negative) / 50.0
        return losses[positive.any(1) & negative.any(1)].mean()

    def circle(x: Any, labels: Any) -> Any:
        z = F.normalize(x)
        cos = z @ z.T
        positive, negative = masks(labels)
        counts = positive.any(1) & negative.any(1)
        far = -80.0 * F.relu(1.4 - cos.detach()) * (cos - 0.6)
        near = 80.0 * F.relu(cos.detach() + 0.4) * (cos - 0.4)
        terms = chosen(far, positive)[counts].logsumexp(1) + chosen(near, negative)[counts].logsumexp(1)
        return F.softplus(terms).mean()

    def batch_contrastive(x: Any, labels: Any) -> Any:
        d = torch.cdist(x, x)
        positive, negative = masks(labels)
        return (d**2 * positive).sum() / positive.sum() + (F.relu(1.0 - d) ** 2 * negative).sum() / negative.sum()

    def head(changed: Callable[[Any], Any], scale: float) -> Callable[..., Any]:
        def loss(x: Any, weights: Any, labels: Any) -> Any:
            cos = F.normalize(x) @ F.normalize(weights).T
            own = cos.gather(1, labels[:, None])
            return F.cross_entropy(scale * cos.scatter(1, labels[:, None], changed(own)), labels)

        return loss

    def arc(cos: Any) -> Any:
        return torch.where(cos > -np.cos(0.5), torch.cos(torch.acos(cos) + 0.5), cos - 0.5 * np.sin(0.5))

    def proxy_anchor(x: Any, weights: Any, labels: Any) -> Any:
        cos = F.normalize(x) @ F.normalize(weights).T
        hot = F.one_hot(labels, len(weights)).bool()
        far, near = soft_hinge(-32.0 * (cos - 0.1), hot, 0), soft_hinge(32.0 * (cos + 0.1), ~hot, 0)
        return far.sum() / hot.any(0).sum() + near.mean()

    return {
        "info_nce_loss": info_nce,
        "nt_xent_loss": nt_xent,
        "supervised_contrastive_loss": supervised_contrastive,
        "npairs_loss": npairs,
        "clip_loss": clip,
        "siglip_loss": siglip,
        "multi_similarity_loss": multi_similarity,
        "circle_loss": circle,
        "batch_contrastive_loss": batch_contrastive,
        "arcface_loss": head(arc, 64.0),
        "cosface_loss": head(lambda cos: cos - 0.35, 64.0),
        "proxy_nca_loss": head(lambda cos: cos, 2.0),
        "proxy_anchor_loss": proxy_anchor,
    }


# Times.


def run(case: Case, quick: bool) -> dict[str, Any]:
    ground = Arena(case)
    eager = through_torch("eager", compositions()[case.loss], ground)
    found = measure(ground, "value_and_grad", [own(ground, "value_and_grad"), eager], QUICK if quick else FULL)
    product = bare_product(case, ground, found["times"]["fastloss"]["median"])
    return {**found, "goal": case.goal, "product": product, "quick": quick}


def bare_product(case: Case, ground: Arena, seconds: float) -> float:
    """Our time in products of both sides, all of one matrix, by NumPy with all threads."""
    left = ground.arguments[0][0]
    right = ground.arguments[0][1]
    if case.loss == "nt_xent_loss":
        left = right = np.concatenate([left, right])
    elif right.ndim < 2:
        right = left
    right = right.copy()  # of an array with itself NumPy takes a slower way
    out = np.empty((len(left), len(right)), np.float32)
    times = []
    for _ in range(5):
        settle()
        start = time.perf_counter()
        np.matmul(left, right.T, out=out)
        times.append(time.perf_counter() - start)
    return seconds / statistics.median(times)


# Memory.


def memory(loss: str) -> float:
    """Bytes beyond inputs and gradients at the peak, in this process."""
    known = next(case for case in CASES if case.loss == loss)
    rows = MEMORY_ROWS // 2 if loss == "nt_xent_loss" else MEMORY_ROWS
    ground = Arena(Case(loss, rows, MEMORY_WIDTH, classes=known.classes))
    few = Arena(Case(loss, 64, MEMORY_WIDTH, classes=known.classes))
    own(few, "value_and_grad").call(0)  # compiles, starts threads
    return float(resident_growth(lambda: own(ground, "value_and_grad").call(0)))


def in_process(loss: str) -> float:
    done = subprocess.run([sys.executable, __file__, "--memory", loss], stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few rounds; nothing is stored")
    parser.add_argument("--only", metavar="NAME", help="losses with this in their name; nothing is stored")
    parser.add_argument("--memory", metavar="LOSS", help="nothing but the memory of this loss, in this process")
    arguments = parser.parse_args()
    if arguments.memory:
        print(memory(arguments.memory))
        return 0
    entries = []
    print(f"{'case':42} {'ours':>9} {'eager':>9} {'ratio':>6} {'goal':>5} {'products':>9} {'memory':>8}")
    for case in CASES:
        if arguments.only and arguments.only not in case.loss:
            continue
        entry = run(case, arguments.quick)
        entry["memory"] = in_process(case.loss)
        entries.append(entry)
        times = {name: entry["times"][name]["median"] for name in ("fastloss", "eager")}
        goal = f"{case.goal:.1f}" if case.goal else ""
        print(
            f"{case.name:42} {1e3 * times['fastloss']:6.1f} ms {1e3 * times['eager']:6.1f} ms "
            f"{entry['ratios']['eager']:6.2f} {goal:>5} {entry['product']:9.2f} {entry['memory'] / 1e6:5.0f} MB",
            flush=True,
        )
    missed = [entry["case"] for entry in entries if entry["goal"] and entry["ratios"]["eager"] < entry["goal"]]
    missed += [f"{entry['case']}, memory" for entry in entries if entry["memory"] > MEMORY_LIMIT]
    for name in missed:
        print(f"MISSED {name}")
    if not arguments.quick and not arguments.only:
        results = {"machine_info": describe(), "benchmarks": entries, "memory_rows": MEMORY_ROWS}
        OUT.write_text(json.dumps(rounded(results), indent=1) + "\n")
        print(f"wrote {OUT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
