"""Connectionist temporal classification: label sequences without an alignment."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from fastloss import _arrays, _ctc, _errors, _threads
from fastloss._catalogue import FLAG, NON_NEGATIVE, Distribution, Indices, Row, Values
from fastloss._loss import Arguments, loss
from fastloss._plan import Operands

__all__ = ["ctc_loss", "ctc_posteriors"]

_GRAD_OF = ("log_probs", "logits")


class CtcProblem:
    """The options of ctc_loss."""

    plain_upstream = True
    has_statistics = False
    empty = "nan"

    def __init__(
        self,
        blank: Any,
        reduction: str,
        zero_infinity: Any,
        from_logits: Any,
        batch_first: Any,
        grad_of: Any,
    ) -> None:
        name = "ctc_loss"
        _errors.check_reduction(name, reduction)
        _errors.check_choice(name, "grad_of", grad_of, _GRAD_OF)
        for argument, value in (
            ("zero_infinity", zero_infinity),
            ("from_logits", from_logits),
            ("batch_first", batch_first),
        ):
            FLAG.check(name, argument, value)
        self.reduction = reduction
        self.settings = _ctc.Settings(
            loss=name,
            blank=_errors.integer(name, "blank", blank),
            reduction=reduction,
            zero_infinity=bool(zero_infinity),
            from_logits=bool(from_logits),
            batch_first=bool(batch_first),
            output=grad_of,
        )

    def normalise(self, backend: Any, arrays: Operands) -> Operands:
        scores, targets, input_lengths, target_lengths, _ = arrays
        settings = self.settings
        found = _ctc.sequences(
            settings.loss,
            backend,
            scores,
            targets,
            input_lengths,
            target_lengths,
            blank=settings.blank,
            batch_first=settings.batch_first,
        )
        return _ctc.operands(settings, backend, found)

    def loss_shape(self, operands: Operands) -> tuple[int, ...]:
        shape = tuple(operands[0].shape)
        batch_axis = _ctc.layout("ctc_loss", shape, self.settings.batch_first)[1]
        return () if batch_axis is None else (shape[batch_axis],)

    def warning(self, operands: Operands) -> str | None:
        return None

    def build(self, backend: Any, operands: Operands, upstream: Any, flags: int, outs: tuple[Any, ...]) -> _ctc.CtcPlan:
        return _ctc.build(self.settings, backend, operands, upstream, flags, outs)


def _array_like(scores: Any, lengths: Any) -> Any:
    """Lengths, whatever they came in, as an array of the same library as the scores."""
    if _arrays.is_torch(scores):
        return sys.modules["torch"].as_tensor(lengths)
    return lengths if type(lengths) is np.ndarray else np.asarray(lengths)


@loss(
    CtcProblem,
    Row(
        "CTCLoss",
        {
            "log_probs": Distribution(log=True),
            "targets": Indices(),
            "input_lengths": NON_NEGATIVE,
            "target_lengths": NON_NEGATIVE,
        },
        {
            "zero_infinity": FLAG,
            "from_logits": FLAG,
            "batch_first": FLAG,
            "grad_of": Values(_GRAD_OF),
        },
        denominator="rows",
        also=("connectionist temporal classification", "CTC"),
        transcendental=True,
        whole=True,
    ),
    differentiable=("log_probs",),
    refused={
        "targets": "labels have none",
        "input_lengths": "lengths have none",
        "target_lengths": "lengths have none",
    },
    names=("log_probs", "targets", "input_lengths", "target_lengths", ""),
)
def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
    *,
    from_logits: bool = False,
    batch_first: bool = False,
    grad_of: str = "log_probs",
) -> Arguments:
    r"""Minus the log-probability of a label sequence, summed over all its alignments with the frames.

    .. math:: \ell = -\log \sum_{\pi \in \mathcal{B}^{-1}(l)} \prod_{t=1}^{T} p_t(\pi_t)

    The alignments of the labels l are the sequences of one class a frame that become l when repeats are merged and
    blanks are dropped. Forward-backward in exact arithmetic of range (see docs/notes/ctc.md): float64 states whatever
    the dtype of the scores, no overflow or underflow for any length.

    Args:
        log_probs: log-probabilities, ``(T, N, C)`` or ``(T, C)`` without a batch; raw scores with ``from_logits``.
        targets: labels of any integer dtype: ``(N, S)``, padded with anything; ``(sum(target_lengths),)``, those of one
            sample after those of the other; or ``(S,)`` without a batch.
        input_lengths: the frames of each sample, 0 to T: an array, tensor, tuple or list of ``(N,)``, or one integer.
        target_lengths: the labels of each sample, likewise. 0 labels are all blanks.
        blank: the class that stands between labels.
        reduction: ``"mean"``: each loss divided by the number of its labels (at least 1), then the mean over the batch;
            ``"sum"``; or ``"none"``, of shape ``(N,)`` or ``()``.
        zero_infinity: a sample whose target has no alignment counts as 0.
        from_logits: take the log-softmax of the scores, which are read twice and never copied; the gradient is that of
            the logits. Such a loss is never negative.
        batch_first: ``log_probs`` is ``(N, T, C)``.
        grad_of: what the gradient of given log-probabilities is. ``"log_probs"``: the true one, minus the expected
            number of visits of each class. ``"logits"``: PyTorch's, the probabilities minus that, which is the gradient
            of the logits that a log-softmax made them of. Behind a log-softmax both train alike: its backward pass adds
            the probabilities to the first and leaves the second as it is. For other uses only the first is right. No
            effect with ``from_logits``.

    Returns:
        The loss: a scalar, or an array for ``"none"``. The gradient is 0 in frames past ``input_lengths``.

    Raises:
        ValueError: shapes or batch sizes that do not fit, a length below 0 or above what there is, a label that is the
        blank, a blank that is no class. IndexError: a label that is no class. TypeError: a dtype.
        NotImplementedError: a gradient by anything but ``log_probs``.

    A target that does not fit its frames (labels, and a blank between equal ones) or that needs a probability of 0 has
    a loss of infinity, or 0 with ``zero_infinity``, and a gradient of 0 in both cases. -inf is a probability of 0. NaN
    or +inf of a label or the blank (with ``from_logits`` of any class, and there a frame of only -inf too) make the
    sample's loss and gradient NaN. Probabilities less than exp(-6e9) count as 0.

    >>> import numpy as np, fastloss as fl
    >>> logits, labels = np.zeros((4, 1, 3)), np.array([[1, 2]])
    >>> round(float(fl.ctc_loss(logits, labels, [4], [2], reduction="sum", from_logits=True)), 6)
    1.686399
    >>> float(fl.ctc_loss(logits, labels, [1], [2], from_logits=True))
    inf

    Source: Graves et al. (2006), Connectionist Temporal Classification, ICML.
    """
    return (
        (
            log_probs,
            targets,
            None if input_lengths is None else _array_like(log_probs, input_lengths),
            None if target_lengths is None else _array_like(log_probs, target_lengths),
            None,
        ),
        (blank, reduction, zero_infinity, from_logits, batch_first, grad_of),
    )


def ctc_posteriors(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    *,
    from_logits: bool = False,
    batch_first: bool = False,
) -> Any:
    r"""How probable each state of a label sequence is in each frame, given all frames: a soft alignment.

    .. math:: \gamma_t(s) = P(\pi_t = s \mid l)

    The states are a blank, the first label, a blank, the second label, ..., a blank: label j is state 2 j + 1.

    Args:
        log_probs: log-probabilities, or logits with ``from_logits``: ``(T, N, C)``, ``(N, T, C)`` with ``batch_first``,
            or ``(T, C)``.
        targets: the labels; lengths, layouts and ``blank`` are those of :func:`ctc_loss`.
        input_lengths: the frames of each sample.
        target_lengths: the labels of each sample.
        blank: the class between labels.
        from_logits: take the log-softmax of the scores.
        batch_first: the batch is the first axis, of the result too.

    Returns:
        An array of the dtype and kind of ``log_probs`` (a tensor without a graph), of shape ``(T, N, 2 S + 1)`` for the
        longest target of S labels. Its rows add up to 1; they are 0 in frames and states that a sample does not have,
        and for a sample whose target has no alignment.

    Raises:
        As :func:`ctc_loss`.

    Minus these, added up by class, is the gradient of :func:`ctc_loss` by log-probabilities.

    >>> import numpy as np, fastloss as fl
    >>> p = fl.ctc_posteriors(np.zeros((2, 2)), np.array([1]), 2, 1, from_logits=True)
    >>> p.round(3).tolist()
    [[0.333, 0.667, 0.0], [0.0, 0.667, 0.333]]

    Source: Graves et al. (2006), section 4.1.
    """
    name = "ctc_posteriors"
    settings = _ctc.Settings(
        loss=name,
        blank=_errors.integer(name, "blank", blank),
        reduction="sum",
        zero_infinity=False,
        from_logits=bool(FLAG.check(name, "from_logits", from_logits)),
        batch_first=bool(FLAG.check(name, "batch_first", batch_first)),
        output="occupancies",
    )
    backend = _arrays.common_backend(name, {"log_probs": log_probs, "targets": targets})
    found = _ctc.sequences(
        name, backend, log_probs, targets, input_lengths, target_lengths, blank=blank, batch_first=batch_first
    )
    with _threads.LOCK:  # imports and compiles
        from fastloss.kernels import launch_cpu as launch

        operands = _ctc.operands(settings, backend, found)
        plan = _ctc.build(settings, backend, operands, None, launch.VALUE | launch.GRAD, ())
    output = plan.grads[0]
    assert output is not None
    occupancies = output.make(backend)
    plan.run(operands, grad=backend.address(occupancies))
    return occupancies
