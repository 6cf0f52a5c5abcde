"""Where fastloss differs from PyTorch on purpose.

``python tests/departures.py`` writes the table to the README, tests/test_departures.py runs every call on both.
"""

import pathlib
from dataclasses import dataclass, field

NAN, INF = float("nan"), float("inf")
LOG2 = 0.6931471805599453

README = pathlib.Path(__file__).parent.parent / "README.md"
START, END = "<!-- departures -->", "<!-- /departures -->"


@dataclass(frozen=True)
class Call:
    """A call of both. An outcome is what comes: numbers, or the exception or warning that is raised.

    None is an outcome that nothing determines: uninitialised memory.
    """

    loss: str
    arrays: dict = field(hash=False)  # name: numbers, or (numbers, dtype)
    pytorch: object = field(hash=False)
    ours: object = field(hash=False)
    options: dict = field(default_factory=dict, hash=False)
    of: str = "value"  # or the argument whose gradient is meant


@dataclass(frozen=True)
class Departure:
    what: str
    pytorch: str
    ours: str
    why: str
    calls: tuple


def integers(loss, dtypes, arrays, pytorch=(RuntimeError, NotImplementedError), ours=LOG2):
    return [Call(loss, {**arrays, "target": (arrays["target"], dtype)}, pytorch, ours) for dtype in dtypes]


THIRD = 1 / 3
ONE_LABEL = {
    "log_probs": [[[-1.0986122886681098] * 3]],
    "targets": ([[1]], "int64"),
    "input_lengths": ([1], "int64"),
    "target_lengths": ([1], "int64"),
}
TOO_LONG = {**ONE_LABEL, "targets": ([[1, 1]], "int64"), "target_lengths": ([2], "int64")}
SMALL_INTEGERS = ("int8", "int16", "int32", "uint16", "uint32", "uint64")
TABLE = (
    Departure(
        "a weight or a target of 0 times an infinite loss",
        "NaN",
        "0",
        "no NaN comes out of finite mathematics: a class that is masked with -inf and has no target costs nothing",
        (
            Call("cross_entropy", {"input": [[0.0, 0.0, -INF]], "target": [[0.5, 0.5, 0.0]]}, NAN, LOG2),
            Call("kl_div", {"input": [-INF], "target": [0.0]}, NAN, 0.0, {"reduction": "sum"}),
            Call("kl_div", {"input": [-INF], "target": [-INF]}, NAN, 0.0, {"reduction": "sum", "log_target": True}),
            Call("poisson_nll_loss", {"input": [0.0], "target": [0.0]}, NAN, 0.0, {"log_input": False, "eps": 0.0}),
            Call("mse_loss", {"input": [INF, 1.0], "target": [0.0, 0.0], "weight": [0.0, 1.0]}, NAN, 1.0),
        ),
    ),
    Departure(
        "an infinite logit on the side of its target: `binary_cross_entropy_with_logits(inf, 1)`",
        "NaN",
        "0",
        "the limit of the formula",
        (
            Call("binary_cross_entropy_with_logits", {"input": [INF], "target": [1.0]}, NAN, 0.0),
            Call("binary_cross_entropy_with_logits", {"input": [-INF], "target": [0.0]}, NAN, 0.0),
            Call("binary_cross_entropy_with_logits", {"input": [INF], "target": [1.0]}, [0.0], [0.0], of="input"),
            Call("multilabel_soft_margin_loss", {"input": [[INF]], "target": [[1.0]]}, NAN, 0.0),
        ),
    ),
    Departure(
        "gradient of `kl_div` by a target of 0",
        "NaN",
        "0",
        "a step must stay finite at the edge of the simplex",
        (Call("kl_div", {"input": [-1.0], "target": [0.0]}, [NAN], [0.0], {"reduction": "sum"}, of="target"),),
    ),
    Departure(
        "class indices of other integer dtypes, integer targets of binary losses",
        "refused, some of them",
        "accepted",
        "the conversion loses nothing, so refusing it only costs the user a line",
        (
            *integers("cross_entropy", SMALL_INTEGERS, {"input": [[0.0, 0.0]], "target": [1]}),
            *integers("nll_loss", SMALL_INTEGERS, {"input": [[-LOG2, -LOG2]], "target": [1]}),
            *integers("binary_cross_entropy", ("int64", "uint8", "bool"), {"input": [0.5], "target": [1]}),
            *integers("multi_margin_loss", ("int32",), {"input": [[0.0, 0.0]], "target": [1]}, ours=0.5),
        ),
    ),
    Departure(
        "a probability outside [0, 1] in `binary_cross_entropy`, other wrong values and shapes",
        "RuntimeError",
        "ValueError",
        "one exception for one kind of mistake",
        (
            Call("binary_cross_entropy", {"input": [1.5], "target": [1.0]}, RuntimeError, ValueError),
            Call(
                "cross_entropy",
                {"input": [[0.0]], "target": ([0], "int64")},
                RuntimeError,
                ValueError,
                {"label_smoothing": 2.0},
            ),
            Call("huber_loss", {"input": [0.0], "target": [0.0]}, RuntimeError, ValueError, {"delta": -1.0}),
        ),
    ),
    Departure(
        "gradient of `mse_loss`, `l1_loss`, `huber_loss` by their weight",
        "given",
        "NotImplementedError",
        "it would be another kernel for what nobody trains; the message says what to multiply instead",
        tuple(
            Call(
                loss,
                {"input": [2.0], "target": [0.0], "weight": [1.0]},
                slope,
                NotImplementedError,
                of="weight",
            )
            for loss, slope in (("mse_loss", [0.0]), ("l1_loss", [0.0]), ("huber_loss", [1.5]))
        ),
    ),
    Departure(
        "gradient of `ctc_loss` by its log-probabilities",
        "that of the logits of a log-softmax",
        'the true one, or PyTorch\'s with `grad_of="logits"`',
        "behind a log-softmax both give the same step; anywhere else only the true one is right",
        (
            Call("ctc_loss", ONE_LABEL, [[[THIRD, -2 * THIRD, THIRD]]], [[[0.0, -1.0, 0.0]]], of="log_probs"),
            Call(
                "ctc_loss",
                ONE_LABEL,
                [[[THIRD, -2 * THIRD, THIRD]]],
                [[[THIRD, -2 * THIRD, THIRD]]],
                {"grad_of": "logits"},
                of="log_probs",
            ),
        ),
    ),
    Departure(
        "gradient of `ctc_loss` of a target that does not fit, without `zero_infinity`",
        "NaN",
        "0",
        "one bad sample must not spoil the step of a batch; its loss is infinite all the same",
        (
            Call("ctc_loss", TOO_LONG, INF, INF),
            Call("ctc_loss", TOO_LONG, [[[NAN, NAN, NAN]]], [[[0.0, 0.0, 0.0]]], of="log_probs"),
        ),
    ),
    Departure(
        "`soft_margin_loss` past a margin of -88 in float32",
        "infinity",
        "finite",
        "its exponential overflows, the loss does not",
        (Call("soft_margin_loss", {"input": [-100.0], "target": [1.0]}, INF, 100.0),),
    ),
    Departure(
        "gradient of `soft_margin_loss` by its target",
        "RuntimeError",
        "given",
        "it exists",
        (Call("soft_margin_loss", {"input": [0.0], "target": [1.0]}, RuntimeError, [0.0], of="target"),),
    ),
    Departure(
        "a NaN in `l1_loss`; a NaN score in `multi_margin_loss`, `multilabel_margin_loss`",
        "gradient 0; no violation",
        "NaN",
        "a model that has diverged must not show a loss of 0",
        (
            Call("l1_loss", {"input": [NAN], "target": [0.0]}, [0.0], [NAN], of="input"),
            Call("multi_margin_loss", {"input": [[NAN, NAN]], "target": ([0], "int64")}, 0.0, NAN),
            Call("multilabel_margin_loss", {"input": [[NAN, NAN]], "target": ([[0, -1]], "int64")}, 0.0, NAN),
        ),
    ),
    Departure(
        "the mean of an empty batch in `multi_margin_loss`, `multilabel_margin_loss`",
        "whatever the memory held",
        'NaN, or 0 with `empty="zero"`',
        "an empty mean is no number, as in PyTorch's other losses",
        (
            Call("multi_margin_loss", {"input": ([], "float32", (0, 3)), "target": ([], "int64")}, None, NAN),
            Call(
                "multi_margin_loss",
                {"input": ([], "float32", (0, 3)), "target": ([], "int64")},
                None,
                0.0,
                {"empty": "zero"},
            ),
        ),
    ),
    Departure(
        "label -100 in `multi_margin_loss`",
        "refused",
        "ignored",
        "`ignore_index` means the same in every loss of class indices",
        (
            Call(
                "multi_margin_loss",
                {"input": [[0.0, 0.0], [0.0, 0.0]], "target": ([-100, 1], "int64")},
                RuntimeError,
                0.5,
            ),
        ),
    ),
    Departure(
        "`margin_ranking_loss` of different numbers of dimensions",
        "RuntimeError",
        "broadcasts",
        "broadcasting is defined for it",
        (
            Call(
                "margin_ranking_loss",
                {"input1": [[0.0], [1.0]], "input2": [[0.5]], "target": [1.0]},
                RuntimeError,
                0.25,
            ),
        ),
    ),
    Departure(
        '`kl_div` with its default `reduction="mean"`',
        "warns at every call",
        "does not",
        "the docstring says what it divides by",
        (Call("kl_div", {"input": [-1.0], "target": [1.0]}, UserWarning, 1.0),),
    ),
)


def table():
    lines = ["| | PyTorch | fastloss | because |", "|---|---|---|---|"]
    lines += [f"| {row.what} | {row.pytorch} | {row.ours} | {row.why} |" for row in TABLE]
    return "\n".join(lines)


def updated(text):
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(updated(README.read_text()))
