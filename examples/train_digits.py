"""Train on real images with fastloss, then see what the loss costs at the size of a language model.

    python examples/train_digits.py            # about half a minute on two cores
    python examples/train_digits.py --quick    # a few seconds

Part one trains a small network on the 1,797 handwritten digits that scikit-learn ships: in plain NumPy, with a softmax
written by hand and with fastloss, and, where PyTorch is installed, with ``F.cross_entropy`` and with fastloss. All runs
start from the same weights and see the same batches, so their loss curves must lie on each other.

Part two trains the last layer of a language model, where the loss is a large part of every step.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
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
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

import fastloss as fl

try:
    import torch
    import torch.nn.functional as F
except ImportError:  # then the NumPy half runs
    torch = None

HIDDEN, CLASSES, BATCH = 128, 10, 64
LEARNING_RATE, MOMENTUM = 0.1, 0.9
HEAD_LEARNING_RATE = 1.0

NUMPY, NUMPY_FAST = "NumPy by hand", "NumPy fastloss"
TORCH, TORCH_FAST = "PyTorch F.cross_entropy", "PyTorch fastloss"
PAIRS = {"NumPy": (NUMPY, NUMPY_FAST), "PyTorch": (TORCH, TORCH_FAST)}

Array = np.ndarray[Any, Any]
#: ``loss, gradient = f(logits, labels, out=buffer)``
ValueAndGrad = Callable[..., tuple[Any, Array]]
#: ``loss = f(logits, labels)``, a tensor to differentiate
CrossEntropy = Callable[..., Any]


@dataclass
class Run:
    losses: list[float] = field(default_factory=list)  # of each step
    loss_seconds: list[float] = field(default_factory=list)  # of the loss alone, forward and backward
    step_seconds: list[float] = field(default_factory=list)
    first_call: float = 0.0  # seconds; compiles the kernels, or loads them from the cache on disk
    accuracy: float = 0.0  # on images not trained on

    @property
    def loss_time(self) -> float:
        return statistics.median(self.loss_seconds)

    @property
    def step_time(self) -> float:
        return statistics.median(self.step_seconds)


def softmax_by_hand(logits: Array, labels: Array, out: Array) -> tuple[float, Array]:
    """Cross-entropy and its gradient as one writes them in NumPy: six passes over the logits."""
    rows = np.arange(len(labels))
    np.subtract(logits, logits.max(axis=1, keepdims=True), out=out)
    picked = out[rows, labels]  # a copy: the next line overwrites ``out``
    np.exp(out, out=out)
    total = out.sum(axis=1, keepdims=True)
    loss = float(np.mean(np.log(total[:, 0]) - picked))
    out /= total
    out[rows, labels] -= 1.0
    out /= len(labels)
    return loss, out


# --- Part one: handwritten digits ------------------------------------------------------------------------------------


@dataclass
class Digits:
    train_x: Array  # (N, 64) float32 in [0, 1]
    train_y: Array  # (N,) int64
    test_x: Array
    test_y: Array
    batches: Array  # (steps, BATCH): which images each step sees
    start: list[Array]  # weight (in, out) and bias of the two layers, from which every run starts


def load(seed: int, epochs: int) -> Digits:
    images, labels = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(
        (images / 16.0).astype(np.float32), labels.astype(np.int64), test_size=0.2, stratify=labels, random_state=seed
    )
    rng = np.random.default_rng(seed)
    per_epoch = len(train_x) // BATCH
    shuffled = [rng.permutation(len(train_x))[: per_epoch * BATCH] for _ in range(epochs)]
    start = []
    for inputs, outputs in ((train_x.shape[1], HIDDEN), (HIDDEN, CLASSES)):
        start.append((rng.standard_normal((inputs, outputs)) / np.sqrt(inputs)).astype(np.float32))
        start.append(np.zeros(outputs, np.float32))
    return Digits(train_x, train_y, test_x, test_y, np.concatenate(shuffled).reshape(-1, BATCH), start)


def train_numpy(digits: Digits, batches: Iterable[Array], value_and_grad: ValueAndGrad) -> Run:
    """Two layers, momentum and back-propagation by hand; the loss and its gradient from ``value_and_grad``."""
    run = Run()
    parameters = [array.copy() for array in digits.start]
    velocities = [np.zeros_like(array) for array in parameters]
    w1, b1, w2, b2 = parameters
    buffer = np.empty((BATCH, CLASSES), np.float32)  # holds the gradient of every step: nothing to allocate

    begin = perf_counter()
    value_and_grad(np.zeros_like(buffer), np.zeros(BATCH, np.int64), out=buffer)
    run.first_call = perf_counter() - begin

    for batch in batches:
        x, y = digits.train_x[batch], digits.train_y[batch]
        # tanh and not ReLU: where a ReLU switches on the last bit of its input, even equal trainings drift apart.
        hidden = np.tanh(x @ w1 + b1)
        logits = hidden @ w2 + b2

        begin = perf_counter()
        loss, d_logits = value_and_grad(logits, y, out=buffer)
        run.loss_seconds.append(perf_counter() - begin)
        run.losses.append(float(loss))

        d_hidden = (d_logits @ w2.T) * (1.0 - hidden**2)
        gradients = (x.T @ d_hidden, d_hidden.sum(axis=0), hidden.T @ d_logits, d_logits.sum(axis=0))
        for parameter, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
            velocity *= MOMENTUM
            velocity += gradient
            parameter -= LEARNING_RATE * velocity

    scores = np.tanh(digits.test_x @ w1 + b1) @ w2 + b2
    run.accuracy = float(np.mean(scores.argmax(axis=1) == digits.test_y))
    return run


def train_torch(digits: Digits, batches: Iterable[Array], cross_entropy: CrossEntropy) -> Run:
    """The same training with PyTorch."""
    run = Run()
    model = torch.nn.Sequential(
        torch.nn.Linear(digits.train_x.shape[1], HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, CLASSES)
    )
    with torch.no_grad():
        for parameter, array in zip(model.parameters(), digits.start, strict=True):
            parameter.copy_(torch.from_numpy(array.T))
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
    train_x, train_y = torch.from_numpy(digits.train_x), torch.from_numpy(digits.train_y)

    logits = torch.zeros(BATCH, CLASSES, requires_grad=True)
    begin = perf_counter()
    cross_entropy(logits, torch.zeros(BATCH, dtype=torch.int64)).backward()
    run.first_call = perf_counter() - begin

    for batch in batches:
        x, y = train_x[batch], train_y[batch]
        logits = model(x)

        # Your script would say loss.backward(). Here the backward pass pauses at the logits, so that the clock sees
        # the loss alone, and then goes on through the model.
        begin = perf_counter()
        loss = cross_entropy(logits, y)
        (d_logits,) = torch.autograd.grad(loss, logits)
        run.loss_seconds.append(perf_counter() - begin)
        run.losses.append(loss.item())

        optimizer.zero_grad()
        logits.backward(d_logits)
        optimizer.step()

    with torch.no_grad():
        scores = model(torch.from_numpy(digits.test_x))
    run.accuracy = float(np.mean(scores.numpy().argmax(axis=1) == digits.test_y))
    return run


def train_all(digits: Digits, progress: Progress) -> dict[str, Run]:
    def batches(name: str) -> Iterable[Array]:
        return progress.track(digits.batches, description=name)

    # Matrices this small gain nothing from threads and lose time waiting for them.
    with threadpool_limits(1):
        runs = {
            NUMPY: train_numpy(digits, batches(NUMPY), softmax_by_hand),
            NUMPY_FAST: train_numpy(digits, batches(NUMPY_FAST), fl.cross_entropy.value_and_grad),
        }
        if torch is not None:
            runs[TORCH] = train_torch(digits, batches(TORCH), F.cross_entropy)
            runs[TORCH_FAST] = train_torch(digits, batches(TORCH_FAST), fl.cross_entropy)
    return runs


# --- Part two: the head of a language model --------------------------------------------------------------------------


@dataclass
class Head:
    hidden: Array  # (tokens, width) float32: what the layers below make of each token
    labels: Array  # (tokens,) int64: the token that follows
    start: Array  # (vocabulary, width) float32: the layer's weight


def random_head(seed: int, tokens: int, vocabulary: int, width: int) -> Head:
    rng = np.random.default_rng(seed)
    frequency = 1.0 / np.arange(1, vocabulary + 1)  # words are about as frequent as one over their rank
    return Head(
        hidden=rng.standard_normal((tokens, width), dtype=np.float32),
        labels=rng.choice(vocabulary, tokens, p=frequency / frequency.sum()),
        start=0.02 * rng.standard_normal((vocabulary, width), dtype=np.float32),
    )


def head_numpy(head: Head, value_and_grad: ValueAndGrad) -> Callable[[], tuple[float, float]]:
    """A step of training, to call again and again; it returns the loss and the seconds the loss took."""
    weight = head.start.copy()
    buffer = np.empty((len(head.hidden), len(weight)), np.float32)

    def step() -> tuple[float, float]:
        logits = head.hidden @ weight.T
        begin = perf_counter()
        loss, d_logits = value_and_grad(logits, head.labels, out=buffer)
        loss_seconds = perf_counter() - begin
        weight[...] -= HEAD_LEARNING_RATE * (d_logits.T @ head.hidden)
        return float(loss), loss_seconds

    return step


def head_torch(head: Head, cross_entropy: CrossEntropy) -> Callable[[], tuple[float, float]]:
    """The same step with PyTorch."""
    vocabulary, width = head.start.shape
    layer = torch.nn.Linear(width, vocabulary, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.start))
    optimizer = torch.optim.SGD(layer.parameters(), lr=HEAD_LEARNING_RATE)
    hidden, labels = torch.from_numpy(head.hidden), torch.from_numpy(head.labels)

    def step() -> tuple[float, float]:
        logits = layer(hidden)
        begin = perf_counter()
        loss = cross_entropy(logits, labels)
        (d_logits,) = torch.autograd.grad(loss, logits)
        loss_seconds = perf_counter() - begin
        optimizer.zero_grad()
        logits.backward(d_logits)
        optimizer.step()
        return loss.item(), loss_seconds

    return step


def train_heads(head: Head, steps: int, progress: Progress) -> dict[str, Run]:
    contenders = {
        NUMPY: head_numpy(head, softmax_by_hand),
        NUMPY_FAST: head_numpy(head, fl.cross_entropy.value_and_grad),
    }
    if torch is not None:
        contenders[TORCH] = head_torch(head, F.cross_entropy)
        contenders[TORCH_FAST] = head_torch(head, fl.cross_entropy)
    runs = {name: Run() for name in contenders}
    # In turn, step by step, so that whatever else the machine is doing meets all of them alike.
    for number in progress.track(range(steps + 1), description="language-model head"):
        for name, step in contenders.items():
            begin = perf_counter()
            loss, loss_seconds = step()
            step_seconds = perf_counter() - begin
            run = runs[name]
            run.losses.append(loss)
            if number == 0:  # a warm-up: kernels compile, memory is touched for the first time
                run.first_call = loss_seconds
            else:
                run.loss_seconds.append(loss_seconds)
                run.step_seconds.append(step_seconds)
    return runs


# --- What is shown ---------------------------------------------------------------------------------------------------


def differences(runs: dict[str, Run], pair: tuple[str, str]) -> Array:
    """The relative difference of two loss curves, at each step."""
    a, b = (np.array(runs[name].losses) for name in pair)
    gap: Array = np.abs(a - b) / np.maximum(np.abs(a), np.abs(b))
    return gap


def pairs(runs: dict[str, Run]) -> dict[str, tuple[str, str]]:
    return {library: pair for library, pair in PAIRS.items() if pair[0] in runs}


def new_table(*numbers: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("", no_wrap=True)
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def show_digits(console: Console, runs: dict[str, Run]) -> None:
    table = new_table("test accuracy", "first call", "loss")
    for name, run in runs.items():
        table.add_row(name, f"{run.accuracy:.1%}", f"{run.first_call * 1e3:.1f} ms", f"{run.loss_time * 1e3:.4f} ms")
    console.print(table)
    for library, pair in pairs(runs).items():
        gap = differences(runs, pair).max()
        console.print(f"{library}: largest relative difference of the two loss curves {gap:.1e}")


def show_heads(console: Console, runs: dict[str, Run]) -> None:
    table = new_table("first call", "loss", "faster", "whole step", "faster")
    for slow, fast in pairs(runs).values():
        for name in (slow, fast):
            run, base = runs[name], runs[slow]
            table.add_row(
                name,
                f"{run.first_call * 1e3:.0f} ms",
                f"{run.loss_time * 1e3:.1f} ms",
                "" if name == slow else f"{base.loss_time / run.loss_time:.1f}x",
                f"{run.step_time * 1e3:.0f} ms",
                "" if name == slow else f"{base.step_time / run.step_time:.1f}x",
            )
    console.print(table)
    for library, pair in pairs(runs).items():
        gap = differences(runs, pair).max()
        console.print(f"{library}: largest relative difference of the two losses {gap:.1e}")


# Okabe and Ito's colours, which every kind of colour vision tells apart. Wide lines lie below narrow and dashed ones.
COLOURS = {NUMPY: "#E69F00", NUMPY_FAST: "#0072B2", TORCH: "#CC79A7", TORCH_FAST: "#009E73"}
LINES: dict[str, dict[str, Any]] = {
    NUMPY: {"linewidth": 7.0},
    NUMPY_FAST: {"linewidth": 4.0},
    TORCH: {"linewidth": 1.8},
    TORCH_FAST: {"linewidth": 1.8, "linestyle": (0, (3, 3))},
}


def draw_bars(axes: Axes, runs: dict[str, Run], unit: float, label: str) -> None:
    """The time of the loss, a bar for each run."""
    names = list(runs)
    times = [runs[name].loss_time * unit for name in names]
    bars = axes.barh(names, times, color=[COLOURS[name] for name in names], height=0.65)
    axes.bar_label(bars, [f"{time:.1f}" for time in times], padding=4)
    axes.invert_yaxis()  # first run on top
    axes.margins(x=0.14)
    axes.set_xlabel(label)
    axes.spines[["top", "right"]].set_visible(False)


def plot(path: Path, digits: Digits, runs: dict[str, Run], head: Head, heads: dict[str, Run]) -> None:
    figure = Figure(figsize=(12, 6), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, wspace=0.03)[0]
    per_epoch = len(digits.train_x) // BATCH
    epochs = np.arange(1, len(digits.batches) // per_epoch + 1)

    curves, gaps = left.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for name, run in runs.items():
        means = np.reshape(run.losses, (-1, per_epoch)).mean(axis=1)
        curves.semilogy(epochs, means, color=COLOURS[name], label=name, **LINES[name])
    curves.set(title="Digits: the loss curves lie on each other", ylabel="training loss, mean of an epoch")
    curves.legend(frameon=False)
    for library, pair in pairs(runs).items():
        gap = differences(runs, pair).reshape(-1, per_epoch).max(axis=1)
        gaps.semilogy(epochs, gap, color=COLOURS[pair[1]], label=f"{library}, with and without fastloss")
    gaps.set(xlabel="epoch", ylabel="relative\ndifference", ylim=(1e-8, 1e-2))
    gaps.legend(frameon=False, ncols=2, loc="upper left", fontsize="small")
    for axes in (curves, gaps):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)

    top, bottom = right.subplots(2, 1)
    top.set_title(f"Digits, {BATCH} x {CLASSES}")
    draw_bars(top, runs, 1e6, "time in the loss, microseconds a step (median)")
    bottom.set_title(f"Language-model head, {len(head.hidden):,} x {len(head.start):,}")
    draw_bars(bottom, heads, 1e3, "time in the loss, milliseconds a step (median)")
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train with fastloss and compare it with NumPy and PyTorch.")
    parser.add_argument("--quick", action="store_true", help="fewer epochs and a small language-model head")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "output", help="folder of the plot")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    console = Console(highlight=False)
    progress_columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    versions = f"fastloss {fl.__version__}, NumPy {np.__version__}"
    if torch is None:
        console.print(f"{versions}. PyTorch is not installed: its runs are left out.\n")
    else:
        console.print(f"{versions}, PyTorch {torch.__version__}\n")

    digits = load(options.seed, epochs=25 if options.quick else 60)
    console.print(f"[bold]1. Digits[/]: {len(digits.train_x):,} images to train on, {len(digits.test_x)} to test with")
    with Progress(*progress_columns, console=console) as progress:
        runs = train_all(digits, progress)
    show_digits(console, runs)

    tokens, vocabulary, width, steps = (256, 4_000, 64, 3) if options.quick else (2_048, 32_000, 256, 7)
    head = random_head(options.seed, tokens, vocabulary, width)
    console.print(f"\n[bold]2. Language-model head[/]: {tokens:,} tokens, vocabulary {vocabulary:,}, width {width}")
    with Progress(*progress_columns, console=console) as progress:
        heads = train_heads(head, steps, progress)
    show_heads(console, heads)

    console.print(
        "\nloss: forward and backward pass of the loss alone, median of the steps\n"
        "first call: left out; memory is new, fastloss compiles or loads from its cache"
    )
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "train_digits.png"
    plot(path, digits, runs, head, heads)
    console.print(f"Plot: {path}", soft_wrap=True)


if __name__ == "__main__":
    main()
