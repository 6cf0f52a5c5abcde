"""What a network trained with CTC says: alignments of known labels, and the labels it finds."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastloss import _errors, _threads
from fastloss._arrays import backend_of, common_backend
from fastloss._catalogue import FLAG
from fastloss._ctc import Sequences, check_lengths, labels_of, lengths_of, sequences, wrapped
from fastloss._plan import Plan

__all__ = ["ctc_beam_decode", "ctc_feasible", "ctc_forced_align", "ctc_greedy_decode"]

#: Prefixes a beam has at most: a bound on memory, 128 bytes for each.
MAX_BEAM = 1_000_000


def ctc_feasible(targets: Any, input_lengths: Any, target_lengths: Any = None) -> Any:
    r"""Whether each target fits in its frames: CTC needs a frame for each label, and one between two equal labels.

    .. math:: T_i \ge S_i + |\{j : y_{i,j} = y_{i,j-1}\}|

    Samples that do not fit have a loss of infinity, and cannot be aligned.

    Args:
        targets: labels of any integer dtype: ``(N, S)``, padded with anything; or ``(sum(target_lengths),)``, one
            target after the other; or ``(S,)``, a single target, where all lengths are integers.
        input_lengths: the number of frames of each sample: ``(N,)`` integers in an array, tensor, tuple or list, or
            one integer for all.
        target_lengths: the number of labels of each sample, likewise; absent: S.

    Returns:
        Booleans of shape ``(N,)``, or a single one without an axis of samples; a tensor for a tensor.

    Raises:
        TypeError: targets or lengths that are no integers. ValueError: shapes that do not belong together, a negative
        length, more labels than there are. IndexError: a negative label within the length of its target.

    >>> import numpy as np, fastloss as fl
    >>> fl.ctc_feasible(np.array([[1, 2, 0], [1, 1, 2], [1, 1, 2]]), (2, 3, 4), (2, 3, 3))
    array([ True, False,  True])
    """
    name = "ctc_feasible"
    backend = backend_of(targets)
    array = backend.convert(targets, name, "targets")
    sizes = [np.shape(lengths) for lengths in (target_lengths, input_lengths) if lengths is not None]
    batched = array.ndim == 2 or any(sizes)
    samples = 1
    if array.ndim == 2:
        samples = array.shape[0]
    elif batched:
        samples = next(size[0] for size in sizes if size)
    largest = np.iinfo(np.int64).max
    labels, starts, counts = labels_of(name, backend, targets, target_lengths, samples, batched, largest, -1)
    frames = lengths_of(name, "input_lengths", input_lengths, samples, None)
    check_lengths(name, "input_lengths", frames, largest, "frames")
    fits = frames >= _frames_needed(labels, starts, counts)
    fits = wrapped(backend, fits)
    return fits if batched else fits[0]


def ctc_forced_align(
    log_probs: Any,
    targets: Any,
    input_lengths: Any = None,
    target_lengths: Any = None,
    blank: int = 0,
    *,
    from_logits: bool = False,
    batch_first: bool = False,
) -> tuple[Any, Any]:
    r"""The most probable alignment of each target: which label every frame stands for (Viterbi).

    .. math:: \hat\pi = \arg\max_{\pi \in \mathcal{B}^{-1}(y)} \sum_t \log p_t(\pi_t)

    over the paths that become the target when repeats are merged and then blanks dropped.

    Args:
        log_probs: log-probabilities of each frame, ``(T, N, C)`` or ``(T, C)``; float32, float64, float16 or bfloat16.
        targets: labels of any integer dtype: ``(N, S)``, padded with anything; or ``(sum(target_lengths),)``, one
            target after the other; or ``(S,)`` for ``(T, C)``.
        input_lengths: the number of frames of each sample: ``(N,)`` integers in an array, tensor, tuple or list, or
            one integer for all; absent: T.
        target_lengths: the number of labels of each sample, likewise; absent: S.
        blank: the class that stands for no label.
        from_logits: whether ``log_probs`` holds logits; the softmax over classes is then taken first.
        batch_first: whether ``log_probs`` has the shape ``(N, T, C)``.

    Returns:
        ``(labels, scores)``, as ``torchaudio.functional.forced_align`` but for whole batches: the label of each frame,
        int64, and its log-probability, in the dtype of the input; both ``(N, T)``, or ``(T,)`` for ``(T, C)``.
        Behind the end of a sample labels are -1 and scores 0, so that ``scores.sum(1)`` is the log-probability of
        the path. Tensors for tensors; there is no gradient.

    Raises:
        ValueError: a target that does not fit in its frames (see :func:`ctc_feasible`), or none of whose alignments has
        a probability above 0; NaN or positive infinity in a frame (with ``from_logits`` in any of its classes,
        else in those of the target); shapes that do not belong together, a length out of range, a label that is the
        blank. IndexError: a label that is no class. TypeError: an unsuitable dtype.

    Paths are compared by their sums in float64, in the order of the frames, for any dtype and length. Of equal paths,
    that is taken which ends in a label rather than a blank, and read backwards from there, stays in its state rather
    than leave it, and leaves it for the state right before rather than skip a blank.

    >>> import numpy as np, fastloss as fl
    >>> log_probs = np.log([[0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.2, 0.2, 0.6], [0.5, 0.1, 0.4]])
    >>> labels, scores = fl.ctc_forced_align(log_probs, np.array([1, 2]))
    >>> labels
    array([1, 0, 2, 0])
    >>> np.exp(scores).round(6)
    array([0.8, 0.6, 0.6, 0.5])

    Source: Graves et al. (2006), Connectionist Temporal Classification; Kürzinger et al. (2020), arXiv:2007.09127.
    """
    name = "ctc_forced_align"
    backend = common_backend(name, {"log_probs": log_probs, "targets": targets})
    batch = sequences(
        name, backend, log_probs, targets, input_lengths, target_lengths, blank=blank, batch_first=batch_first
    )
    _check_fits(name, batch)
    frames, samples, _ = batch.shape
    labels = wrapped(backend, np.empty((samples, frames), np.int64))
    scores = backend.empty((samples, frames), backend.dtype_name(batch.scores))
    nanoseconds = samples * frames * (20.0 + 0.5 * batch.longest_target)
    _run(name, "align", backend, batch, blank, from_logits, nanoseconds, (labels, scores, None))
    return (labels, scores) if batch.batched else (labels[0], scores[0])


def ctc_greedy_decode(
    log_probs: Any,
    input_lengths: Any = None,
    blank: int = 0,
    *,
    from_logits: bool = False,
    batch_first: bool = False,
) -> tuple[Any, Any]:
    r"""The labels of the most probable path: the best class of each frame, repeats merged, then blanks dropped.

    .. math:: \hat y = \mathcal{B}(\hat\pi), \qquad \hat\pi_t = \arg\max_c \log p_t(c)

    Args:
        log_probs: log-probabilities of each frame, ``(T, N, C)`` or ``(T, C)``; float32, float64, float16 or bfloat16.
        input_lengths: the number of frames of each sample: ``(N,)`` integers in an array, tensor, tuple or list, or
            one integer for all; absent: T.
        blank: the class that stands for no label.
        from_logits: whether ``log_probs`` holds logits: the labels are the same, the scores are then of the softmax.
        batch_first: whether ``log_probs`` has the shape ``(N, T, C)``.

    Returns:
        ``(labels, scores)``: a list of N arrays of labels, int64, and the log-probabilities of the paths, float64,
        ``(N,)``; for ``(T, C)`` one array and one number. Tensors for tensors; there is no gradient.

    Raises:
        ValueError: NaN or positive infinity in a frame, a shape or a length out of range. TypeError: an unsuitable
        dtype.

    Of equal classes the first counts. The path's probability is only one of those that add up to that of its labels;
    :func:`ctc_beam_decode` adds them up.

    >>> import numpy as np, fastloss as fl
    >>> log_probs = np.log([[0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.2, 0.2, 0.6]])
    >>> labels, score = fl.ctc_greedy_decode(log_probs)
    >>> labels, round(float(np.exp(score)), 6)
    (array([1, 2]), 0.2304)

    Source: Graves et al. (2006), Connectionist Temporal Classification, section 3.2.
    """
    name = "ctc_greedy_decode"
    backend = backend_of(log_probs)
    batch = sequences(name, backend, log_probs, None, input_lengths, None, blank=blank, batch_first=batch_first)
    frames, samples, classes = batch.shape
    labels, counts = np.empty((samples, frames), np.int64), np.empty(samples, np.int64)
    scores = wrapped(backend, np.empty(samples))
    outputs = wrapped(backend, labels), scores, wrapped(backend, counts)
    _run(name, "best_path", backend, batch, blank, from_logits, samples * frames * (20.0 + 0.2 * classes), outputs)
    found = [wrapped(backend, row[:count].copy()) for row, count in zip(labels, counts, strict=True)]
    return (found, scores) if batch.batched else (found[0], scores[0])


def ctc_beam_decode(
    log_probs: Any,
    input_lengths: Any = None,
    blank: int = 0,
    *,
    beam: int = 32,
    top_k: int = 1,
    from_logits: bool = False,
    batch_first: bool = False,
) -> tuple[Any, Any]:
    r"""The most probable label sequences, by prefix beam search.

    .. math:: \hat y = \arg\max_y \sum_{\pi \in \mathcal{B}^{-1}(y)} \prod_t p_t(\pi_t)

    over the sequences whose prefixes were among the ``beam`` most probable ones after every frame.

    Args:
        log_probs: log-probabilities of each frame, ``(T, N, C)`` or ``(T, C)``; float32, float64, float16 or bfloat16.
        input_lengths: the number of frames of each sample: ``(N,)`` integers in an array, tensor, tuple or list, or
            one integer for all; absent: T.
        blank: the class that stands for no label.
        beam: how many prefixes are kept after every frame, 1 to 1,000,000.
        top_k: how many sequences of each sample are wanted, 1 to ``beam``.
        from_logits: whether ``log_probs`` holds logits; the softmax over classes is then taken first.
        batch_first: whether ``log_probs`` has the shape ``(N, T, C)``.

    Returns:
        ``(labels, scores)``: for each of N samples a list of its sequences, int64, the best first; and their
        log-probabilities, float64, ``(N, top_k)``. For ``(T, C)`` one list and ``(top_k,)``. Where there are fewer
        sequences with a probability above 0, the list is shorter and the scores end in -inf. Tensors for tensors;
        there is no gradient.

    Raises:
        ValueError: NaN or positive infinity in a frame, ``beam`` or ``top_k`` out of range, a shape or a length out of
        range. TypeError: an unsuitable dtype.

    Prefixes found in several ways are one, and no candidate is left out but by the beam: with one large enough, a
    score is minus the :func:`ctc_loss` of its sequence, else it may be less. Of equal scores, prefixes without a new
    label come first, then those of better prefixes, then those of lower labels.

    >>> import numpy as np, fastloss as fl
    >>> log_probs = np.log([[0.6, 0.4], [0.6, 0.4]])  # the best path is blank, blank: 0.36
    >>> labels, scores = fl.ctc_beam_decode(log_probs, top_k=2)
    >>> labels, np.exp(scores).round(6)
    ([array([1]), array([], dtype=int64)], array([0.64, 0.36]))

    Source: Graves (2012), Supervised Sequence Labelling with Recurrent Neural Networks, section 7.5; Hannun et al.
    (2014), arXiv:1408.2873.
    """
    name = "ctc_beam_decode"
    backend = backend_of(log_probs)
    batch = sequences(name, backend, log_probs, None, input_lengths, None, blank=blank, batch_first=batch_first)
    beam, top_k = _errors.integer(name, "beam", beam), _errors.integer(name, "top_k", top_k)
    if not 1 <= beam <= MAX_BEAM:
        raise ValueError(_errors.wrong(name, "beam", str(beam), f"an integer in [1, {MAX_BEAM}]"))
    if not 1 <= top_k <= beam:
        raise ValueError(_errors.wrong(name, "top_k", str(top_k), f"an integer in [1, {beam}], the beam"))
    frames, samples, classes = batch.shape
    labels, counts = np.empty((samples, top_k, frames), np.int64), np.empty((samples, top_k), np.int64)
    scores = wrapped(backend, np.empty((samples, top_k)))
    nanoseconds = samples * frames * (100.0 * beam + 0.2 * classes)
    outputs = wrapped(backend, labels), scores, wrapped(backend, counts)
    _run(name, "beam_search", backend, batch, blank, from_logits, nanoseconds, outputs, (beam, top_k))
    found = [
        [wrapped(backend, row[:count].copy()) for row, count in zip(*sample, strict=True) if count >= 0]
        for sample in zip(labels, counts, strict=True)
    ]
    return (found, scores) if batch.batched else (found[0], scores[0])


def _frames_needed(labels: Any, starts: Any, counts: Any) -> Any:
    """Of each sample: one for every label, and one between two equal labels."""
    if not labels.size:
        return counts
    repeats = np.concatenate([[0], np.cumsum(labels[1:] == labels[:-1])])
    last = np.maximum(starts + counts - 1, 0)
    return counts + np.where(counts > 0, repeats[last] - repeats[np.minimum(starts, labels.size - 1)], 0)


def _check_fits(name: str, batch: Sequences) -> None:
    needed = _frames_needed(batch.labels, batch.starts, batch.target_lengths)
    short = np.flatnonzero(batch.input_lengths < needed)
    if short.size:
        i = int(short[0])
        repeats = needed[i] - batch.target_lengths[i]
        raise ValueError(
            f"{name}: sample {i} has {batch.input_lengths[i]} frames, expected {needed[i]} or more for its target of "
            f"{batch.target_lengths[i]} labels, {repeats} of them equal to the one before"
        )


def _run(
    name: str,
    kernel: str,
    backend: Any,
    batch: Sequences,
    blank: int,
    from_logits: bool,
    nanoseconds: float,
    outputs: tuple[Any, Any, Any],
    sizes: tuple[int, int] = (0, 0),
) -> None:
    """Run a kernel of ctc_decode_cpu over the samples; it writes the outputs: labels, scores and counts."""
    frames, samples, classes = batch.shape
    dtype = backend.dtype_name(batch.scores)
    from_logits = bool(FLAG.check(name, "from_logits", from_logits))
    with _threads.LOCK:
        from fastloss.kernels import build_cpu
        from fastloss.kernels import ctc_decode_cpu as kernels

        frame_stride, sample_stride, class_stride = batch.strides
        if from_logits:
            nanoseconds += samples * frames * classes * 0.4
        plan = Plan(
            loss=name,
            backend=backend,
            kernel=build_cpu.kernel(getattr(kernels, kernel), dtype),
            items=samples,
            block=1,
            nanoseconds=nanoseconds,
            flags=0,
            denominator=1.0,
            parameters={
                kernels.CLASSES: classes,
                kernels.BLANK: _errors.integer(name, "blank", blank),
                kernels.CLASS_STRIDE: class_stride,
                kernels.FRAME_STRIDE: frame_stride,
                kernels.SAMPLE_STRIDE: sample_stride,
                kernels.FRAMES: frames,
                kernels.FROM_LOGITS: int(from_logits),
                kernels.BEAM: sizes[0],
                kernels.TOP_K: sizes[1],
            },
            losses=None,
            grads=(None, None, None),
            statistics=None,
            bad=lambda operands, item: _impossible(name, frames, item),
        )
    index = (batch.labels, batch.input_lengths, batch.target_lengths, batch.starts)
    # Of the caller's read-only lengths a copy: PyTorch warns of memory that it may not write.
    index = tuple(wrapped(backend, np.require(array, requirements="W")) for array in index)
    labels, scores, counts = (0 if array is None else backend.address(array) for array in outputs)
    plan.run((batch.scores, *index), losses=counts, grad=labels, target_grad=scores)


def _impossible(name: str, frames: int, item: int) -> ValueError:
    sample, frame = divmod(item, frames + 1)
    if frame == frames:
        return ValueError(f"{name}: no alignment of sample {sample} has a probability above 0")
    return ValueError(f"{name}: log_probs holds NaN or inf in frame {frame} of sample {sample}")
