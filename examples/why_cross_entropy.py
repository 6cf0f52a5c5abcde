"""What the choice of a loss does, on five things that can be checked.

    python examples/why_cross_entropy.py            # about ten seconds on two cores
    python examples/why_cross_entropy.py --quick    # a few seconds

1. A textbook's neuron, badly wrong at the start: with the squared error it learns slowest where it is most wrong, with
   cross-entropy fastest.
2. A two-layer network on four samples, trained on a sum of squares, and on cross-entropy.
3. Regression where a tenth of the targets slipped a decimal point: squared, absolute, Huber and quantile loss.
4. A linear support vector machine and logistic regression, which differ in nothing but their loss.
5. Losses of the margin, and the 0-1 loss that all of them stand for.

Every training is a loop in plain NumPy: the loss and its gradient from ``value_and_grad``, the rest by the chain rule.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.svm import LinearSVC

import fastloss as fl

Array = np.ndarray[Any, Any]
#: ``loss, gradient = f(prediction, target)``
ValueAndGrad = Callable[[Array, Array], tuple[Any, Array]]

# Okabe and Ito's colours, which every kind of colour vision tells apart.
ORANGE, BLUE, GREEN, PURPLE, RED, GREY = "#E69F00", "#0072B2", "#009E73", "#CC79A7", "#D55E00", "#555555"


def sigmoid(z: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-z))


def descend(
    features: Array,
    target: Array,
    value_and_grad: ValueAndGrad,
    *,
    steps: int,
    rate: float,
    strength: float = 0.0,
    losses: list[float] | None = None,
) -> Array:
    """Weights of a linear model, the first of them for the constant feature and exempt from the penalty.

    Momentum, and a rate that falls to 0: where a loss has kinks, steps of one size would jump about the optimum.
    """
    weights = np.zeros(features.shape[1])
    velocity = np.zeros_like(weights)
    for step in range(steps):
        loss, slope = value_and_grad(features @ weights, target)
        gradient = features.T @ slope
        if strength:
            penalty, shrink = fl.l2_penalty.value_and_grad(weights[1:], strength=strength)
            loss = loss + penalty
            gradient[1:] += shrink
        if losses is not None:
            losses.append(float(loss))
        velocity *= 0.9
        velocity -= rate * (1.0 - step / steps) * gradient
        weights += velocity
    return weights


def with_constant(features: Array) -> Array:
    return np.column_stack([np.ones(len(features)), features])


# --- 1. The textbook's neuron ----------------------------------------------------------------------------------------

HALF_SQUARES, CROSS_ENTROPY = "half the squared error", "cross-entropy"
NEURON_STEPS = 300
#: Weight and bias: a start that is wrong, and one that is very wrong.
NEURON_STARTS = ((0.6, 0.9), (2.0, 2.0))
#: One rate for both losses, so that nothing but the loss differs; and the small one that the book says it took for
#: cross-entropy. (Its animation gets further with that one because it follows 1 / (1 - a), the slope by the output a.)
NEURON_RATES = ((HALF_SQUARES, 0.15), (CROSS_ENTROPY, 0.15), (CROSS_ENTROPY, 0.005))


@dataclass
class Neuron:
    loss: str
    rate: float
    start: tuple[float, float]  # weight and bias
    slopes: list[float] = field(default_factory=list)  # of the loss by the weighted input, at each step
    outputs: list[float] = field(default_factory=list)  # before each step, and after the last


def train_neuron(loss: str, rate: float, start: tuple[float, float], steps: int = NEURON_STEPS) -> Neuron:
    """One sigmoid unit that is to answer an input of 1 with 0."""
    run = Neuron(loss, rate, start)
    weight, bias = start
    x, target = 1.0, np.zeros(1)
    for _ in range(steps):
        z = np.array([weight * x + bias])
        a = sigmoid(z)
        if loss == HALF_SQUARES:
            _, d_a = fl.mse_loss.value_and_grad(a, target)
            d_z = 0.5 * d_a * a * (1.0 - a)  # a (1 - a), the sigmoid's slope, is what stalls it
        else:
            _, d_z = fl.binary_cross_entropy_with_logits.value_and_grad(z, target)  # a - target: it cancels that slope
        run.slopes.append(float(d_z[0]))
        run.outputs.append(float(a[0]))
        weight -= rate * run.slopes[-1] * x
        bias -= rate * run.slopes[-1]
    run.outputs.append(float(sigmoid(np.array(weight * x + bias))))
    return run


def train_neurons() -> list[Neuron]:
    return [train_neuron(loss, rate, start) for start in NEURON_STARTS for loss, rate in NEURON_RATES]


def show_neurons(console: Console, runs: list[Neuron]) -> None:
    table = new_table("rate", "first slope", "output", "100 steps", f"{NEURON_STEPS} steps")
    for run in runs:
        numbers = (run.slopes[0], run.outputs[0], run.outputs[100], run.outputs[-1])
        table.add_row(run.loss, f"{run.rate:g}", *(f"{number:.2f}" for number in numbers))
    console.print(table)


def plot_neurons(path: Path, runs: list[Neuron]) -> None:
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    styles = dict(zip(NEURON_RATES, ((ORANGE, "-"), (BLUE, "-"), (BLUE, ":")), strict=True))
    for axes, start in zip(panels, NEURON_STARTS, strict=True):
        for run in runs:
            if run.start == start:
                colour, line = styles[run.loss, run.rate]
                axes.plot(run.outputs, line, color=colour, linewidth=2, label=f"{run.loss}, rate {run.rate:g}")
        axes.set(title=f"weight {start[0]:g}, bias {start[1]:g}", xlabel="step", ylim=(0, 1))
        tidy(axes)
    panels[0].set_ylabel("output of the neuron; 0 is right")
    panels[0].legend(frameon=False, loc="upper right", fontsize="small")
    figure.savefig(path, dpi=150)


# --- 2. Two layers ---------------------------------------------------------------------------------------------------

NETWORK_STEPS = 1_500
SUM_OF_SQUARES = "sum of squares"
#: The third input is always 1. The target is the exclusive or of the first two, which no single layer learns.
NETWORK_INPUT = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
NETWORK_TARGET = np.array([[0.0], [1.0], [1.0], [0.0]])


@dataclass
class Network:
    loss: str
    losses: list[float] = field(default_factory=list)  # what is trained on, at each step
    squares: list[float] = field(default_factory=list)  # the sum of squares, whatever is trained on
    outputs: Array = field(default_factory=lambda: np.empty(0))  # of the four samples, at the end


def train_network(loss: str, seed: int, steps: int = NETWORK_STEPS) -> Network:
    """Four hidden units and one output, sigmoids all, no biases, weights from [0, 1), steps of the whole gradient."""
    run = Network(loss)
    rng = np.random.default_rng(seed)
    w1, w2 = rng.random((3, 4)), rng.random((4, 1))
    for _ in range(steps):
        hidden = sigmoid(NETWORK_INPUT @ w1)
        z = hidden @ w2
        a = sigmoid(z)
        squares, d_a = fl.mse_loss.value_and_grad(a, NETWORK_TARGET, reduction="sum")
        if loss == SUM_OF_SQUARES:
            value, d_z = squares, d_a * a * (1.0 - a)
        else:
            value, d_z = fl.binary_cross_entropy_with_logits.value_and_grad(z, NETWORK_TARGET, reduction="sum")
        run.losses.append(float(value))
        run.squares.append(float(squares))
        d_hidden = (d_z @ w2.T) * hidden * (1.0 - hidden)
        w1 -= NETWORK_INPUT.T @ d_hidden
        w2 -= hidden.T @ d_z
    run.outputs = sigmoid(sigmoid(NETWORK_INPUT @ w1) @ w2)[:, 0]
    return run


def show_networks(console: Console, runs: list[Network]) -> None:
    table = new_table("squares", "last", "below 0.1", "rises", "outputs")
    for run in runs:
        table.add_row(
            run.loss,
            f"{run.squares[0]:.2f}",
            f"{run.squares[-1]:.0e}",
            f"{np.argmax(np.array(run.squares) < 0.1)}",
            str(np.count_nonzero(np.diff(run.losses) > 0)),
            " ".join(f"{output:.2f}" for output in run.outputs),
        )
    console.print(table)


def plot_networks(path: Path, runs: list[Network]) -> None:
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for run, colour in zip(runs, (ORANGE, BLUE), strict=True):
        axes.semilogy(run.squares, color=colour, linewidth=2, label=f"trained on {run.loss}")
    axes.set(xlabel="step", ylabel="sum of squares over the four samples")
    axes.legend(frameon=False)
    tidy(axes)
    figure.savefig(path, dpi=150)


# --- 3. Outliers -----------------------------------------------------------------------------------------------------

CORRUPTED = 0.1
#: Huber's kink lies one median absolute deviation from 0, the unit of the targets below.
REGRESSION_LOSSES: dict[str, ValueAndGrad] = {
    "squared": fl.mse_loss.value_and_grad,
    "absolute": fl.l1_loss.value_and_grad,
    "Huber": lambda x, y: fl.huber_loss.value_and_grad(x, y, delta=1.0),
    "quantile 0.25": lambda x, y: fl.quantile_loss.value_and_grad(x, y, quantile=0.25),
    "quantile 0.5": lambda x, y: fl.quantile_loss.value_and_grad(x, y, quantile=0.5),
    "quantile 0.75": lambda x, y: fl.quantile_loss.value_and_grad(x, y, quantile=0.75),
}


@dataclass
class Patients:
    """Scikit-learn's diabetes data, split: features, and targets in units of the disease's progression."""

    train_x: Array
    test_x: Array
    train_y: Array
    slipped_y: Array  # train_y, a tenth of it ten times too large
    test_y: Array


@dataclass
class Fit:
    loss: str
    slipped: bool
    error: float  # mean absolute error on held-out patients, whose targets are right
    root: float  # root of their mean squared error
    below: float  # the share of them whose target lies below the prediction


def load_patients(seed: int) -> Patients:
    x, y = load_diabetes(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(x, y, test_size=0.3, random_state=seed)
    rng = np.random.default_rng(seed)
    slipped_y = train_y.copy()
    slipped_y[rng.choice(len(train_y), round(CORRUPTED * len(train_y)), replace=False)] *= 10.0
    # The features are strongly correlated. Turned to their principal axes and scaled they let plain gradient descent
    # go straight to the optimum, which is the same line.
    mean = train_x.mean(axis=0)
    _, singular, axes = np.linalg.svd(train_x - mean, full_matrices=False)
    turn = axes.T / singular * np.sqrt(len(train_x))
    turned_train, turned_test = ((part - mean) @ turn for part in (train_x, test_x))
    return Patients(with_constant(turned_train), with_constant(turned_test), train_y, slipped_y, test_y)


def fit_line(patients: Patients, target: Array, loss: str) -> Array:
    """Weights of a linear model of the target."""
    # Median and median deviation: a mean would carry the outliers into the units themselves.
    centre = np.median(target)
    unit = np.median(np.abs(target - centre))
    scaled = (target - centre) / unit
    weights = descend(patients.train_x, scaled, REGRESSION_LOSSES[loss], steps=1_000, rate=0.1) * unit
    weights[0] += centre
    return weights


def fit_lines(seed: int, splits: int) -> list[Fit]:
    """The mean over splits, of each loss, trained on right targets and on corrupted ones."""
    data = [load_patients(seed + split) for split in range(splits)]
    fits = []
    for loss in REGRESSION_LOSSES:
        for slipped in (False, True):
            figures = []
            for patients in data:
                target = patients.slipped_y if slipped else patients.train_y
                off = patients.test_x @ fit_line(patients, target, loss) - patients.test_y
                figures.append((np.mean(np.abs(off)), np.sqrt(np.mean(off**2)), np.mean(off > 0)))
            fits.append(Fit(loss, slipped, *np.mean(figures, axis=0).tolist()))
    return fits


def pairs(fits: list[Fit]) -> list[tuple[Fit, Fit]]:
    """Of each loss: trained on right targets, trained on corrupted ones."""
    return list(zip(fits[::2], fits[1::2], strict=True))


def show_fits(console: Console, fits: list[Fit]) -> None:
    table = new_table("error", "slipped", "RMS", "slipped", "below", "slipped")
    for right, slipped in pairs(fits):
        table.add_row(
            right.loss,
            *(f"{fit.error:.1f}" for fit in (right, slipped)),
            *(f"{fit.root:.1f}" for fit in (right, slipped)),
            *(f"{fit.below:.0%}" for fit in (right, slipped)),
        )
    console.print(table)


def plot_fits(path: Path, fits: list[Fit]) -> None:
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    place = np.arange(len(fits) // 2)
    for offset, colour, label, column in (
        (-0.2, BLUE, "trained on right targets", 0),
        (0.2, ORANGE, f"{CORRUPTED:.0%} of them slipped a decimal point", 1),
    ):
        errors = [pair[column].error for pair in pairs(fits)]
        bars = axes.barh(place + offset, errors, height=0.38, color=colour, label=label)
        axes.bar_label(bars, [f"{error:.0f}" for error in errors], padding=4)
    axes.set_yticks(place, [right.loss for right, _ in pairs(fits)])
    axes.invert_yaxis()  # first loss on top
    axes.margins(x=0.1)
    axes.set(xlabel="mean absolute error on held-out patients", title="Diabetes: what outliers do to each loss")
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


# --- 4. Two classifiers ----------------------------------------------------------------------------------------------

#: Scikit-learn's C, the weight of the samples' losses against half the sum of squared weights.
REGULARISATION = 1.0
CLASSIFIER_LOSSES = {"linear SVM": fl.hinge_loss, "logistic regression": fl.logistic_loss}


@dataclass
class Classifier:
    name: str
    accuracy: float  # on held-out samples
    theirs: float  # scikit-learn's
    agreement: float  # the share of held-out samples on which both say the same
    objective: float  # of the training: the mean of the loss, and the penalty
    their_objective: float
    sloped: float  # the share of the training samples that still pull, having a gradient
    losses: list[float]  # the objective at each step, of the first split
    aim: float  # scikit-learn's of that split
    margins: Array  # of that split's held-out samples


def scikit_learn(name: str) -> Any:
    if name == "logistic regression":
        return LogisticRegression(C=REGULARISATION, max_iter=10_000)
    return LinearSVC(C=REGULARISATION, loss="hinge", max_iter=200_000, random_state=0)


def train_classifier(name: str, seed: int, splits: int) -> Classifier:
    """The mean over splits of scikit-learn's breast cancer data."""
    x, benign = load_breast_cancer(return_X_y=True)
    y = np.where(benign == 1, 1.0, -1.0)
    loss = CLASSIFIER_LOSSES[name]
    figures = []
    first: tuple[list[float], float, Array] = ([], 0.0, np.empty(0))
    for split in range(splits):
        train_x, test_x, train_y, test_y = train_test_split(x, y, test_size=0.3, stratify=y, random_state=seed + split)
        mean, deviation = train_x.mean(axis=0), train_x.std(axis=0)
        train_x, test_x = (with_constant((part - mean) / deviation) for part in (train_x, test_x))
        # C times the sum of the losses and half the sum of squares, divided by C times the number of samples.
        strength = 1.0 / (2.0 * REGULARISATION * len(train_x))
        losses: list[float] = []
        weights = descend(
            train_x, train_y, loss.value_and_grad, steps=3_000, rate=0.1, strength=strength, losses=losses
        )
        theirs = scikit_learn(name).fit(train_x[:, 1:], train_y)
        their_weights = np.concatenate([theirs.intercept_, theirs.coef_[0]])

        score, their_score = test_x @ weights, test_x @ their_weights
        their_objective = loss(train_x @ their_weights, train_y) + fl.l2_penalty(their_weights[1:], strength=strength)
        figures.append(
            (
                1.0 - fl.zero_one_loss(score, test_y),
                1.0 - fl.zero_one_loss(their_score, test_y),
                np.mean((score > 0) == (their_score > 0)),
                loss(train_x @ weights, train_y) + fl.l2_penalty(weights[1:], strength=strength),
                their_objective,
                np.mean(loss.grad(train_x @ weights, train_y) != 0),
            )
        )
        if split == 0:
            first = (losses, float(their_objective), score * test_y)
    return Classifier(name, *np.mean(figures, axis=0).tolist(), *first)


def train_classifiers(seed: int, splits: int) -> list[Classifier]:
    return [train_classifier(name, seed, splits) for name in CLASSIFIER_LOSSES]


def show_classifiers(console: Console, runs: list[Classifier]) -> None:
    table = new_table("accuracy", "theirs", "agree", "objective", "theirs", "pull")
    for run in runs:
        shares = (run.accuracy, run.theirs, run.agreement)
        table.add_row(
            run.name,
            *(f"{share:.1%}" for share in shares),
            *(f"{objective:.5f}" for objective in (run.objective, run.their_objective)),
            f"{run.sloped:.0%}",
        )
    console.print(table)


def plot_classifiers(path: Path, runs: list[Classifier]) -> None:
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    bins = np.linspace(-5.0, 20.0, 26)
    for run, colour in zip(runs, (ORANGE, BLUE), strict=True):
        left.loglog(np.arange(1, len(run.losses) + 1), run.losses, color=colour, linewidth=2, label=run.name)
        left.axhline(run.aim, color=colour, linewidth=1, linestyle=":", label="scikit-learn's")
        right.hist(np.clip(run.margins, bins[0], bins[-1]), bins, histtype="step", color=colour, linewidth=2)
    left.set(title="Breast cancer: the objective", xlabel="step", ylabel="mean loss and penalty")
    left.legend(frameon=False)
    right.axvline(0.0, color=GREY, linewidth=1)
    right.set(
        title="Held-out samples", xlabel="margin; 0 or less is wrong (the last bar: 19 and more)", ylabel="samples"
    )
    for axes in (left, right):
        tidy(axes)
    figure.savefig(path, dpi=150)


# --- 5. Losses of the margin -----------------------------------------------------------------------------------------


def margin_losses(margins: Array) -> dict[str, Array]:
    """Each loss of scores whose label is 1, where the score is the margin."""
    ones = np.ones_like(margins)
    return {
        "0-1": fl.zero_one_loss(margins, ones, reduction="none"),
        "hinge": fl.hinge_loss(margins, ones, reduction="none"),
        # In bits: divided by log 2 it passes through 1 at a margin of 0, and bounds the 0-1 loss as the others do.
        "logistic / log 2": fl.logistic_loss(margins, ones, reduction="none") / np.log(2.0),
        "exponential": fl.exponential_loss(margins, ones, reduction="none"),
        "squared": fl.mse_loss(margins, ones, reduction="none"),
    }


def show_margins(console: Console) -> None:
    at = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    table = new_table(*(f"{margin:g}" for margin in at))
    for name, losses in margin_losses(at).items():
        table.add_row(name, *(f"{loss:.2f}" for loss in losses))
    console.print(table)


def plot_margins(path: Path) -> None:
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    margins = np.linspace(-2.5, 3.0, 1_101)
    losses = margin_losses(margins)
    for (name, values), colour in zip(losses.items(), (GREY, ORANGE, BLUE, RED, GREEN), strict=True):
        axes.plot(margins, values, color=colour, linewidth=3 if name == "0-1" else 2, label=name)
    axes.set(
        title="Each bounds the 0-1 loss from above",
        xlabel="margin: the score times the label; 0 or less is wrong",
        ylabel="loss",
        ylim=(-0.1, 5.0),
    )
    axes.legend(frameon=False)
    tidy(axes)
    figure.savefig(path, dpi=150)


# --- What is shown ---------------------------------------------------------------------------------------------------


def new_table(*numbers: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("", no_wrap=True)
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def tidy(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="What the choice of a loss does, on five things that can be checked.")
    parser.add_argument("--quick", action="store_true", help="fewer splits of the data")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "output", help="folder of the plots")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    console = Console(highlight=False)
    splits = 3 if options.quick else 10
    options.output.mkdir(parents=True, exist_ok=True)
    paths = {
        name: options.output / f"why_cross_entropy_{name}.png"
        for name in ("neuron", "network", "outliers", "classifiers", "margins")
    }

    console.print("[bold]1. A neuron[/] that is to answer 0, from an output of 0.82 and from one of 0.98")
    neurons = train_neurons()
    show_neurons(console, neurons)
    plot_neurons(paths["neuron"], neurons)
    console.print(
        "first slope: of the loss by the weighted input; the squared error's is small where it is most wrong\n"
    )

    console.print("[bold]2. Two layers[/] learn an exclusive or")
    networks = [train_network(loss, options.seed) for loss in (SUM_OF_SQUARES, CROSS_ENTROPY)]
    show_networks(console, networks)
    plot_networks(paths["network"], networks)
    console.print(
        f"squares: their sum at the start, after {NETWORK_STEPS:,} steps, and the step at which it falls below 0.1\n"
        "rises: steps after which the loss that is trained on was larger; outputs should be 0, 1, 1, 0\n"
    )

    console.print(f"[bold]3. Outliers[/]: diabetes, mean of {splits} splits, errors on held-out patients")
    fits = fit_lines(options.seed, splits)
    show_fits(console, fits)
    plot_fits(paths["outliers"], fits)
    console.print(
        "error: mean absolute error; RMS: root of the mean squared error\n"
        f"slipped: trained with {CORRUPTED:.0%} of the targets ten times too large; the held-out ones are right\n"
        "below: the share of held-out targets below the prediction, which a quantile loss aims at\n"
    )

    console.print(f"[bold]4. Classifiers[/]: breast cancer, mean of {splits} splits")
    classifiers = train_classifiers(options.seed, splits)
    show_classifiers(console, classifiers)
    plot_classifiers(paths["classifiers"], classifiers)
    console.print(
        "theirs: scikit-learn's LinearSVC and LogisticRegression; objective: what is minimised, of both weights\n"
        "pull: the share of training samples whose loss has a slope; the hinge forgets what is right by a margin\n"
    )

    console.print("[bold]5. Losses of the margin[/], the score times the label")
    show_margins(console)
    plot_margins(paths["margins"])
    for path in paths.values():
        console.print(f"Plot: {path}", soft_wrap=True)


if __name__ == "__main__":
    main()
