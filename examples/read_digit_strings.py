"""Read strings of handwritten digits without being told where each digit is: connectionist temporal classification.

    python examples/read_digit_strings.py            # about a minute on two cores
    python examples/read_digit_strings.py --quick    # some ten seconds; reads less well

The 1,797 handwritten digits that scikit-learn ships are cut to their ink and laid side by side with varying gaps. A
small network looks at a window of columns around each column and scores the ten digits and the blank; ``fl.ctc_loss``
needs nothing but the string of digits to train it. It is trained in plain NumPy and, where PyTorch is installed, with
``F.ctc_loss`` and with fastloss under autograd, from the same weights on the same strings. Digits of the test strings
are held out.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterable, Iterator
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

ROWS, WINDOW, HIDDEN = 8, 11, 128
BLANK, CLASSES = 10, 11  # a digit is its own class
FEWEST, MOST, MARGIN, GAPS = 2, 6, 2, (1, 2, 3, 4)  # digits in a string, columns beside it and between its digits
BATCH, TEST_STRINGS, NOISE = 32, 500, 0.15
LEARNING_RATE, BETAS, EPSILON = 5e-3, (0.9, 0.99), 1e-8

NUMPY, TORCH, TORCH_FAST = "NumPy fastloss", "PyTorch F.ctc_loss", "PyTorch fastloss"

Array = np.ndarray[Any, Any]


@dataclass
class Digits:
    """Images cut to their ink, (columns, ROWS) float32 in [0, 1], and what they show."""

    images: list[Array]
    labels: Array


@dataclass
class Strings:
    columns: Array  # (N, T, ROWS): images of strings, column by column, padded with background
    lengths: Array  # (N,): columns of each
    targets: Array  # (N, S): the digits, padded
    counts: Array  # (N,): how many they are


@dataclass
class Run:
    losses: list[float] = field(default_factory=list)  # of each step
    loss_seconds: list[float] = field(default_factory=list)  # of the loss alone, forward and backward
    parameters: list[Array] = field(default_factory=list)  # at the end

    @property
    def loss_time(self) -> float:
        return statistics.median(self.loss_seconds)


def load(seed: int) -> tuple[Digits, Digits]:
    """Digits to train on, and others to test with."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16.0).astype(np.float32).reshape(-1, ROWS, 8)
    halves = train_test_split(images, labels.astype(np.int64), test_size=0.2, stratify=labels, random_state=seed)
    train_images, test_images, train_labels, test_labels = halves

    def cut(images: Array) -> list[Array]:
        return [image[:, image.any(axis=0)].T for image in images]

    return Digits(cut(train_images), train_labels), Digits(cut(test_images), test_labels)


def draw_strings(rng: np.random.Generator, digits: Digits, number: int) -> Strings:
    """Random digits side by side."""
    counts = rng.integers(FEWEST, MOST + 1, number)
    targets = np.full((number, MOST), -1)
    drawn = []
    for target, count in zip(targets, counts, strict=True):
        chosen = rng.integers(len(digits.images), size=count)
        target[:count] = digits.labels[chosen]
        parts = [np.zeros((MARGIN, ROWS), np.float32)]
        for i, gap in zip(chosen, rng.choice(GAPS, count), strict=True):
            parts += [digits.images[i], np.zeros((gap, ROWS), np.float32)]
        drawn.append(np.concatenate(parts))
    lengths = np.array([len(image) for image in drawn])
    columns = np.zeros((number, lengths.max(), ROWS), np.float32)
    for row, image in zip(columns, drawn, strict=True):
        row[: len(image)] = image
    return Strings(columns, lengths, targets, counts)


def batches(seed: int, digits: Digits, steps: int) -> Iterator[Strings]:
    """New strings for every step, with some noise: the same ones for the same seed."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        strings = draw_strings(rng, digits, BATCH)
        strings.columns += np.float32(NOISE) * rng.standard_normal(strings.columns.shape, np.float32)
        yield strings


def windows(columns: Array) -> Array:
    """(N, T, WINDOW * ROWS): the columns around each column. A layer on top of it is a convolution."""
    padded = np.pad(columns, ((0, 0), (WINDOW // 2, WINDOW // 2), (0, 0)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1)
    return seen.reshape(*columns.shape[:2], WINDOW * ROWS)


def first_weights(seed: int) -> list[Array]:
    """Weight (in, out) and bias of the two layers."""
    rng = np.random.default_rng(seed)
    parameters = []
    for inputs, outputs in ((WINDOW * ROWS, HIDDEN), (HIDDEN, CLASSES)):
        parameters.append((rng.standard_normal((inputs, outputs)) / np.sqrt(inputs)).astype(np.float32))
        parameters.append(np.zeros(outputs, np.float32))
    return parameters


def score(parameters: list[Array], columns: Array) -> Array:
    """(N, T, CLASSES): the logits of each column."""
    w1, b1, w2, b2 = parameters
    logits: Array = np.tanh(windows(columns) @ w1 + b1) @ w2 + b2
    return logits


def learning_rate(step: int, steps: int) -> float:
    """Constant for the first half, then down to zero in a line."""
    return LEARNING_RATE * min(1.0, 2.0 * (steps - step) / steps)


class Adam:
    """Kingma and Ba (2015), arXiv:1412.6980."""

    def __init__(self, parameters: list[Array]) -> None:
        self.parameters = parameters
        self.means = [np.zeros_like(parameter) for parameter in parameters]
        self.squares = [np.zeros_like(parameter) for parameter in parameters]
        self.step = 0

    def update(self, gradients: Iterable[Array], rate: float) -> None:
        self.step += 1
        slow, slower = (1.0 - beta**self.step for beta in BETAS)
        for parameter, mean, square, gradient in zip(self.parameters, self.means, self.squares, gradients, strict=True):
            mean += (1.0 - BETAS[0]) * (gradient - mean)
            square += (1.0 - BETAS[1]) * (gradient**2 - square)
            parameter -= rate / slow * mean / (np.sqrt(square / slower) + EPSILON)


def train_numpy(start: list[Array], steps: int, strings: Iterable[Strings]) -> Run:
    """Two layers and back-propagation by hand; the loss and its gradient from fastloss."""
    parameters = [array.copy() for array in start]
    w1, b1, w2, b2 = parameters
    optimizer = Adam(parameters)
    run = Run(parameters=parameters)
    for step, batch in enumerate(strings):
        seen = windows(batch.columns)
        hidden = np.tanh(seen @ w1 + b1)
        logits = hidden @ w2 + b2

        begin = perf_counter()
        loss, d_logits = fl.ctc_loss.value_and_grad(
            logits, batch.targets, batch.lengths, batch.counts, BLANK, from_logits=True, batch_first=True
        )
        run.loss_seconds.append(perf_counter() - begin)
        run.losses.append(float(loss))

        d_hidden = (d_logits @ w2.T) * (1.0 - hidden**2)
        flat = [array.reshape(-1, array.shape[-1]) for array in (seen, d_hidden, hidden, d_logits)]
        optimizer.update(
            (flat[0].T @ flat[1], flat[1].sum(axis=0), flat[2].T @ flat[3], flat[3].sum(axis=0)),
            learning_rate(step, steps),
        )
    return run


def torch_ctc(logits: Any, *labels: Any) -> Any:
    return F.ctc_loss(logits.log_softmax(-1).transpose(0, 1), *labels, BLANK)


def fast_ctc(logits: Any, *labels: Any) -> Any:
    return fl.ctc_loss(logits, *labels, BLANK, from_logits=True, batch_first=True)


def train_torch(start: list[Array], steps: int, strings: Iterable[Strings], ctc: Callable[..., Any]) -> Run:
    """The same training with PyTorch."""
    model = torch.nn.Sequential(
        torch.nn.Linear(WINDOW * ROWS, HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, CLASSES)
    )
    with torch.no_grad():
        for parameter, array in zip(model.parameters(), start, strict=True):
            parameter.copy_(torch.from_numpy(array.T))
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, betas=BETAS, eps=EPSILON)
    run = Run()
    for step, batch in enumerate(strings):
        logits = model(torch.from_numpy(windows(batch.columns)))
        # PyTorch's loss reads the padding of targets too.
        labels = [torch.from_numpy(array) for array in (np.maximum(batch.targets, 0), batch.lengths, batch.counts)]

        # Your script would say loss.backward(). Here the backward pass pauses at the logits, so that the clock sees
        # the loss alone, and then goes on through the model.
        begin = perf_counter()
        loss = ctc(logits, *labels)
        (d_logits,) = torch.autograd.grad(loss, logits)
        run.loss_seconds.append(perf_counter() - begin)
        run.losses.append(loss.item())

        optimizer.param_groups[0]["lr"] = learning_rate(step, steps)
        optimizer.zero_grad()
        logits.backward(d_logits)
        optimizer.step()
    run.parameters = [np.ascontiguousarray(parameter.detach().numpy().T) for parameter in model.parameters()]
    return run


def train_all(seed: int, digits: Digits, steps: int, progress: Progress) -> dict[str, Run]:
    start = first_weights(seed)

    def strings(name: str) -> Iterable[Strings]:
        return progress.track(batches(seed, digits, steps), total=steps, description=name)

    # Matrices this small gain nothing from threads and lose time waiting for them.
    with threadpool_limits(1):
        runs = {NUMPY: train_numpy(start, steps, strings(NUMPY))}
        if torch is not None:
            for name, ctc in ((TORCH, torch_ctc), (TORCH_FAST, fast_ctc)):
                runs[name] = train_torch(start, steps, strings(name), ctc)
    return runs


def shares_read(parameters: list[Array], strings: Strings) -> tuple[float, float]:
    """The shares of strings read without any mistake: by the best path, and by beam search."""
    logits = score(parameters, strings.columns)
    greedy, _ = fl.ctc_greedy_decode(logits, strings.lengths, BLANK, batch_first=True)
    best, _ = fl.ctc_beam_decode(logits, strings.lengths, BLANK, from_logits=True, batch_first=True)
    targets = [target[:count] for target, count in zip(strings.targets, strings.counts, strict=True)]
    right = [
        (np.array_equal(path, target), np.array_equal(sequences[0], target))
        for path, sequences, target in zip(greedy, best, targets, strict=True)
    ]
    by_path, by_beam = np.mean(right, axis=0)
    return float(by_path), float(by_beam)


# --- What is shown ---------------------------------------------------------------------------------------------------


def show(console: Console, runs: dict[str, Run], strings: Strings) -> None:
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("", no_wrap=True)
    for heading in ("best path", "beam search", "loss", "time in the loss"):
        table.add_column(heading, justify="right")
    for name, run in runs.items():
        by_path, by_beam = shares_read(run.parameters, strings)
        last = statistics.mean(run.losses[-len(run.losses) // 10 :])
        table.add_row(name, f"{by_path:.1%}", f"{by_beam:.1%}", f"{last:.4f}", f"{run.loss_time * 1e3:.2f} ms")
    console.print(table)
    console.print(
        "best path, beam search: strings read without any mistake\n"
        "loss: mean of the last tenth of the steps; time: of a step, forward and backward, median"
    )
    if len(runs) > 1:
        curves = np.array([run.losses for run in runs.values()])
        gap = np.max((curves.max(axis=0) - curves.min(axis=0)) / curves.max(axis=0))
        console.print(f"largest relative difference of the loss curves at any step: {gap:.1e}")


# Okabe and Ito's colours, which every kind of colour vision tells apart.
COLOURS = {NUMPY: "#0072B2", TORCH: "#CC79A7", TORCH_FAST: "#009E73"}
INK, PATH = "#222222", "#D55E00"


def text_of(labels: Array) -> str:
    return "".join(map(str, labels))


def peaks(curve: Array) -> list[int]:
    """Where a curve is highest, each time it is above one half."""
    above = np.flatnonzero(curve > 0.5)
    parts = np.split(above, np.flatnonzero(np.diff(above) > 1) + 1)
    return [int(part[curve[part].argmax()]) for part in parts if len(part)]


def draw_states(axes: Axes, posteriors: Array, target: Array, path: Array) -> None:
    """How probable it is that the reader stands in a blank or a digit of the string, and the best alignment."""
    axes.imshow(posteriors.T, aspect="auto", cmap="Blues", vmin=0.0, vmax=1.0, interpolation="nearest")
    states = np.full(2 * len(target) + 1, BLANK)
    states[1::2] = target
    axes.set_yticks(range(len(states)), ["–" if state == BLANK else str(state) for state in states])
    place, walked = 0, []
    for before, label in zip([BLANK, *path[:-1]], path, strict=True):
        if label != before:
            place += 1 if label == BLANK or before == BLANK else 2
        walked.append(place)
    axes.plot(walked, color=PATH, linewidth=1.5, drawstyle="steps-mid", label="best alignment")
    axes.legend(frameon=False, loc="upper right")
    axes.set(ylabel="state", xlabel="column", title="Posteriors of the states, given the string")


def plot(path: Path, runs: dict[str, Run], strings: Strings) -> None:
    parameters = runs[NUMPY].parameters
    shown = int(np.argmax(strings.counts + strings.lengths / 100.0))  # one of the longest strings
    length, target = strings.lengths[shown], strings.targets[shown, : strings.counts[shown]]
    columns = strings.columns[shown, :length]
    logits = score(parameters, columns[None])[0]
    labels, _ = fl.ctc_forced_align(logits, target, blank=BLANK, from_logits=True)
    posteriors = fl.ctc_posteriors(logits, target, length, len(target), BLANK, from_logits=True)
    sequences, scores = fl.ctc_beam_decode(logits, blank=BLANK, top_k=2, from_logits=True)
    read = ",  ".join(f"{text_of(s)} ({np.exp(p):.1%})" for s, p in zip(sequences, scores, strict=False))

    figure = Figure(figsize=(11, 6.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(2, 1), wspace=0.03)
    image, outputs, states = left.subplots(3, 1, sharex=True, height_ratios=(1, 1.3, 2.2))
    image.imshow(columns.T, aspect="auto", cmap="gray_r", interpolation="nearest")
    image.set(title=f"Held-out digits {text_of(target)}, read as {read}", yticks=[])
    probabilities = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    outputs.plot(probabilities[:, BLANK], color="#999999", linewidth=1.0)
    for digit in range(BLANK):
        line = outputs.plot(probabilities[:, digit], linewidth=1.8)[0]
        for peak in peaks(probabilities[:, digit]):
            outputs.annotate(str(digit), (peak, 1.06), color=line.get_color(), ha="center", weight="bold")
    outputs.set(title="What the network says of each column (grey: blank)", ylabel="probability", ylim=(-0.03, 1.25))
    draw_states(states, posteriors, target, labels)

    curves, times = right.subplots(2, 1, height_ratios=(1.6, 1))
    for name, run in runs.items():
        means = np.reshape(run.losses[: len(run.losses) // 25 * 25], (-1, 25)).mean(axis=1)
        style = (0, (3, 3)) if name == TORCH_FAST else "solid"
        width = 4.0 if name == NUMPY else 1.8
        curves.semilogy(25 * np.arange(1, len(means) + 1), means, color=COLOURS[name], ls=style, lw=width, label=name)
    curves.set(title="Training", xlabel="step", ylabel="CTC loss, mean of 25 steps")
    curves.legend(frameon=False)
    bars = times.barh(
        list(runs), [run.loss_time * 1e3 for run in runs.values()], color=[COLOURS[name] for name in runs], height=0.65
    )
    times.bar_label(bars, fmt="%.2f", padding=4)
    times.invert_yaxis()  # first run on top
    times.margins(x=0.2)
    times.set_xlabel("time in the loss, ms a step")
    for axes in (outputs, curves, times):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a reader of digit strings with fl.ctc_loss.")
    parser.add_argument("--quick", action="store_true", help="fewer steps")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "output", help="folder of the plot")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    console = Console(highlight=False)
    progress_columns = (TextColumn("{task.description:20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    train, test = load(options.seed)
    console.print(
        f"Strings of {FEWEST} to {MOST} of {len(train.images):,} handwritten digits to train on; "
        f"{TEST_STRINGS} strings of {len(test.images)} others to test with."
    )
    if torch is None:
        console.print("PyTorch is not installed: its runs are left out.")
    with Progress(*progress_columns, console=console) as progress:
        runs = train_all(options.seed, train, 500 if options.quick else 2_000, progress)
    strings = draw_strings(np.random.default_rng(options.seed + 1), test, TEST_STRINGS)
    show(console, runs, strings)

    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "read_digit_strings.png"
    plot(path, runs, strings)
    console.print(f"Plot: {path}", soft_wrap=True)


if __name__ == "__main__":
    main()
