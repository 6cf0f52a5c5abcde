"""Teach a small network to place images of one digit near each other: batch-hard triplets on real images.

    python examples/learn_an_embedding.py            # a quarter of a minute on two cores
    python examples/learn_an_embedding.py --quick    # a few seconds

The network turns each of the 1,797 handwritten digits that scikit-learn ships into eight numbers. It never sees a class
score: the loss takes, of every image of a batch, the farthest image of the same digit and the nearest of another, and
wants the first nearer than the second. It is trained once in NumPy, where ``fl.batch_triplet_loss.value_and_grad``
gives the gradient for back-propagation by hand, and once in PyTorch, where installed.

What is learnt is judged by search: of each held-out image, is the nearest other held-out image of the same digit? That
is recall@1. The pixels themselves (64 numbers an image) and their first eight principal components answer too.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

import fastloss as fl

try:
    import torch
except ImportError:  # then the NumPy half runs
    torch = None

HIDDEN, DIMENSIONS, BATCH = 256, 8, 160
STEPS, QUICK_STEPS = 1_500, 400
LEARNING_RATE = 1e-3
#: log(1 + exp(farthest positive - nearest negative)), which goes on pulling after the order is right.
MARGIN = "soft"

Array = np.ndarray[Any, Any]


@dataclass
class Digits:
    train_x: Array  # (N, 64) float32 in [0, 1]
    train_y: Array  # (N,) int64
    test_x: Array
    test_y: Array
    batches: Array  # (steps, BATCH): which images each step sees
    start: list[Array]  # weight (in, out) and bias of the two layers


@dataclass
class Embedding:
    """What one way makes of the held-out images."""

    name: str
    points: Array
    losses: list[float]
    seconds: float
    recall: float = 0.0


def load(seed: int, steps: int) -> Digits:
    images, labels = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(
        (images / 16.0).astype(np.float32), labels.astype(np.int64), test_size=0.3, stratify=labels, random_state=seed
    )
    rng = np.random.default_rng(seed)
    batches = [rng.choice(len(train_x), BATCH, replace=False) for _ in range(steps)]
    start = []
    for inputs, outputs in ((train_x.shape[1], HIDDEN), (HIDDEN, DIMENSIONS)):
        start.append((rng.standard_normal((inputs, outputs)) / np.sqrt(inputs)).astype(np.float32))
        start.append(np.zeros(outputs, np.float32))
    return Digits(train_x, train_y, test_x, test_y, np.array(batches), start)


def rate(step: int, steps: int) -> float:
    """From the learning rate down to 0, along half a cosine."""
    return float(LEARNING_RATE * 0.5 * (1.0 + np.cos(np.pi * step / steps)))


def train_numpy(digits: Digits, batches: Iterable[Array]) -> Embedding:
    """Two layers, back-propagation and Adam by hand; the loss and its gradient from fastloss."""
    parameters = [array.copy() for array in digits.start]
    w1, b1, w2, b2 = parameters
    means, squares = [np.zeros_like(p) for p in parameters], [np.zeros_like(p) for p in parameters]
    buffer = np.empty((BATCH, DIMENSIONS), np.float32)  # holds the gradient of every step: nothing to allocate
    losses, begin = [], perf_counter()
    for step, batch in enumerate(batches):
        x, y = digits.train_x[batch], digits.train_y[batch]
        hidden = np.maximum(x @ w1 + b1, 0.0)
        points = hidden @ w2 + b2

        loss, d_points = fl.batch_triplet_loss.value_and_grad(points, y, margin=MARGIN, out=buffer)
        losses.append(float(loss))

        d_hidden = (d_points @ w2.T) * (hidden > 0.0)
        gradients = (x.T @ d_hidden, d_hidden.sum(axis=0), hidden.T @ d_points, d_points.sum(axis=0))
        scale = rate(step, len(digits.batches)) * np.sqrt(1.0 - 0.999 ** (step + 1)) / (1.0 - 0.9 ** (step + 1))
        for parameter, mean, square, gradient in zip(parameters, means, squares, gradients, strict=True):
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient**2 - square)
            parameter -= scale * mean / (np.sqrt(square) + 1e-8)
    seconds = perf_counter() - begin
    return Embedding("NumPy", np.maximum(digits.test_x @ w1 + b1, 0.0) @ w2 + b2, losses, seconds)


def train_torch(digits: Digits, batches: Iterable[Array]) -> Embedding:
    """The same training with PyTorch."""
    model = torch.nn.Sequential(
        torch.nn.Linear(digits.train_x.shape[1], HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, DIMENSIONS)
    )
    with torch.no_grad():
        for parameter, array in zip(model.parameters(), digits.start, strict=True):
            parameter.copy_(torch.from_numpy(array.T))
    criterion = fl.nn.BatchTripletLoss(margin=MARGIN)
    optimizer = torch.optim.Adam(model.parameters())
    train_x, train_y = torch.from_numpy(digits.train_x), torch.from_numpy(digits.train_y)
    losses, begin = [], perf_counter()
    for step, batch in enumerate(batches):
        loss = criterion(model(train_x[batch]), train_y[batch])
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = rate(step, len(digits.batches))
        optimizer.step()
    seconds = perf_counter() - begin
    with torch.no_grad():
        points = model(torch.from_numpy(digits.test_x)).numpy()
    return Embedding("PyTorch", points, losses, seconds)


def recall(points: Array, labels: Array) -> float:
    """Of how many points the nearest other one has the same label."""
    distances = fl.cdist(points)
    np.fill_diagonal(distances, np.inf)
    return float(np.mean(labels[distances.argmin(axis=1)] == labels))


def learn(digits: Digits, progress: Progress) -> list[Embedding]:
    def batches(name: str) -> Iterable[Array]:
        return progress.track(digits.batches, description=name)

    components = PCA(DIMENSIONS, random_state=0).fit(digits.train_x).transform(digits.test_x)
    found = [
        Embedding("pixels", digits.test_x, [], 0.0),
        Embedding("principal components", components.astype(np.float32), [], 0.0),
    ]
    # Matrices this small gain nothing from threads and lose time waiting for them.
    with threadpool_limits(1):
        found.append(train_numpy(digits, batches("NumPy")))
        if torch is not None:
            found.append(train_torch(digits, batches("PyTorch")))
    for embedding in found:
        embedding.recall = recall(embedding.points, digits.test_y)
    return found


def show(console: Console, found: list[Embedding]) -> None:
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("", no_wrap=True)
    for heading in ("numbers", "recall@1", "first loss", "last loss", "training"):
        table.add_column(heading, justify="right")
    for embedding in found:
        losses = embedding.losses
        ends = [f"{np.mean(part):.3f}" for part in (losses[:20], losses[-20:])] if losses else ["", ""]
        seconds = f"{embedding.seconds:.1f} s" if losses else ""
        table.add_row(embedding.name, str(embedding.points.shape[1]), f"{embedding.recall:.1%}", *ends, seconds)
    console.print(table)


def draw(axes: Axes, points: Array, labels: Array, title: str) -> None:
    """The two directions in which the points spread most, each point drawn as its digit."""
    plane = PCA(2, random_state=0).fit_transform(points)
    colours = [f"C{label}" for label in range(10)]
    for label in range(10):
        own = plane[labels == label]
        axes.scatter(*own.T, s=60, marker=f"${label}$", color=colours[label], linewidths=0.0)
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])


def plot(path: Path, digits: Digits, found: list[Embedding]) -> None:
    by_name = {embedding.name: embedding for embedding in found}
    figure = Figure(figsize=(12.0, 6.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    pixels, learnt = by_name["pixels"], by_name["NumPy"]
    draw(left, pixels.points, digits.test_y, f"Pixels: recall@1 {pixels.recall:.1%} in 64 dimensions")
    draw(right, learnt.points, digits.test_y, f"Learnt: recall@1 {learnt.recall:.1%} in {DIMENSIONS} dimensions")
    figure.suptitle("Held-out digits, in the plane in which they spread most")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn an embedding of digits with batch-hard triplets.")
    parser.add_argument("--quick", action="store_true", help="fewer steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "output", help="where the plot goes")
    arguments = parser.parse_args()
    console = Console()
    digits = load(arguments.seed, QUICK_STEPS if arguments.quick else STEPS)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        found = learn(digits, progress)
    if torch is None:
        console.print("PyTorch is not installed: the NumPy half alone.")
    show(console, found)
    path = arguments.output / "learn_an_embedding.png"
    plot(path, digits, found)
    console.print(f"Plot: {path}", soft_wrap=True)


if __name__ == "__main__":
    main()
