"""ctc_loss and ctc_posteriors: by enumeration, mpmath, PyTorch and central differences; every layout and length."""

import ctypes
import functools
import itertools
import os
import platform
import sys

import children
import numpy as np
import oracle_ctc as oracle
import pytest
import torch
import torch.nn.functional as F
from cases import DTYPES, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import fastloss as fl

run_child = functools.partial(children.run_child, __name__, ("This process",))
INF = float("inf")
#: (value relative, gradient and posteriors absolute) for scores of the dtype as they are; 16-bit results are rounded.
BOUNDS = {"float64": (1e-12, 1e-12), "float32": (1e-6, 1e-6), "float16": (1e-6, 1e-3), "bfloat16": (1e-6, 8e-3)}


def batch(seed, frames, samples, classes, longest, *, blank=0, spread=2.0, dtype="float64", full=False):
    """(logits, targets padded with -7, input lengths, target lengths)."""
    rng = np.random.default_rng(seed)
    logits = (spread * rng.standard_normal((frames, samples, classes))).astype(DTYPES[dtype])
    targets = np.full((samples, longest), -7)
    input_lengths = np.full(samples, frames) if full else rng.integers(0, frames + 1, samples)
    target_lengths = np.full(samples, longest) if full else rng.integers(0, longest + 1, samples)
    others = [c for c in range(classes) if c != blank]
    for i, length in enumerate(target_lengths):
        targets[i, :length] = rng.choice(others, length)
    return logits, targets, input_lengths, target_lengths


def expected(log_probs, targets, input_lengths, target_lengths, blank=0):
    """(losses, visits of each class) by the textbook's program in mpmath."""
    losses, visits = np.zeros(len(targets)), np.zeros(log_probs.shape)
    for i, (t, s) in enumerate(zip(input_lengths, target_lengths, strict=True)):
        loss, occupancies = oracle.by_program(log_probs[:t, i], targets[i, :s], blank)
        losses[i] = loss
        visits[:t, i] = oracle.visits_of(occupancies, targets[i, :s], log_probs.shape[2], blank)
    return losses, visits


def check_against_oracle(logits, targets, input_lengths, target_lengths, blank=0):
    """Value and all three gradients, of float64."""
    arguments = (targets, input_lengths, target_lengths, blank)
    log_probs = oracle.log_softmax(logits)
    losses, visits = expected(log_probs, *arguments)
    possible = np.isfinite(losses)
    in_use = (np.arange(len(logits))[:, None] < input_lengths) & possible
    p = np.where(in_use[..., None], np.exp(log_probs), 0.0)
    for scores, options, grad in (
        (logits, {"from_logits": True}, p - visits),
        (log_probs, {}, -visits),
        (log_probs, {"grad_of": "logits"}, p - visits),
    ):
        value, got = fl.ctc_loss.value_and_grad(scores, *arguments, reduction="none", **options)
        np.testing.assert_allclose(value, losses, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(got, grad, rtol=0, atol=1e-12)
        zeros = fl.ctc_loss(scores, *arguments, reduction="none", zero_infinity=True, **options)
        np.testing.assert_array_equal(zeros, np.where(possible, value, 0.0))


# The value and its gradients.


@pytest.mark.parametrize("frames", (1, 2, 3, 4, 5))
def test_every_alignment(frames):
    rng = np.random.default_rng(frames)
    for count in range(3):
        for labels in itertools.product((1, 2), repeat=count):
            logits = rng.standard_normal((frames, 3))
            log_probs = oracle.log_softmax(logits)
            loss, visits = oracle.by_enumeration(log_probs, labels)
            value, grad = fl.ctc_loss.value_and_grad(log_probs, np.array(labels, int), frames, count, reduction="sum")
            assert value == pytest.approx(loss, rel=1e-13)
            np.testing.assert_allclose(grad, -visits, rtol=0, atol=1e-13)
            assert float(oracle.by_program(log_probs, labels)[0]) == pytest.approx(loss, rel=1e-13)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(0, 24),
    samples=st.integers(1, 2),
    classes=st.integers(2, 5),
    longest=st.integers(0, 12),
    blank=st.integers(0, 4),
    spread=st.sampled_from((0.0, 1.0, 30.0)),
)
def test_lengths_labels_and_blanks(seed, frames, samples, classes, longest, blank, spread):
    blank %= classes
    check_against_oracle(*batch(seed, frames, samples, classes, longest, blank=blank, spread=spread), blank)


#: Around segments of 32 frames, vectors of 8 states, and 256 classes, where rows take the place of lanes.
@pytest.mark.parametrize(
    ("frames", "classes", "longest"),
    ((63, 4, 7), (64, 4, 8), (65, 4, 9), (130, 3, 15), (129, 3, 16), (33, 256, 5), (70, 257, 17), (9, 330, 2)),
)
def test_sizes_around_the_kernels_own(frames, classes, longest):
    check_against_oracle(*batch(1, frames, 2, classes, longest, full=True))
    check_against_oracle(*batch(2, frames, 3, classes, longest))


def test_targets_that_just_fit():
    for labels in ([1, 1, 1], [1, 2, 1], [2, 2, 1, 1, 2], list(range(1, 4)) * 9):
        labels = np.array(labels)
        least = len(labels) + int((labels[1:] == labels[:-1]).sum())
        for frames in (least - 1, least, least + 1):
            logits = np.random.default_rng(frames).standard_normal((frames, 4))
            value = fl.ctc_loss(logits, labels, frames, len(labels), reduction="none", from_logits=True)
            assert (value == INF) == (frames < least)
            check_against_oracle(logits[:, None], labels[None], np.array([frames]), np.array([len(labels)]))


@pytest.mark.parametrize("reduction", ("none", "mean", "sum"))
@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_pytorch(reduction, dtype):
    logits, targets, input_lengths, target_lengths = batch(3, 50, 6, 20, 10, dtype=dtype)
    input_lengths[:] = np.maximum(input_lengths, 25)
    lengths = torch.from_numpy(input_lengths), torch.from_numpy(target_lengths)
    tolerance = 1e-10 if dtype == "float64" else 2e-5
    results = []
    for ours in (True, False):
        leaf = torch.from_numpy(logits.copy()).requires_grad_()
        padded = torch.from_numpy(np.maximum(targets, 0))
        if ours:
            loss = fl.ctc_loss(leaf, padded, *lengths, reduction=reduction, zero_infinity=True, from_logits=True)
        else:
            loss = F.ctc_loss(leaf.log_softmax(-1), padded, *lengths, reduction=reduction, zero_infinity=True)
        loss.backward(torch.full_like(loss, 0.25))
        results.append((loss.detach(), leaf.grad))
    assert results[0][0].dtype == results[1][0].dtype
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance)


def test_behind_a_log_softmax_both_conventions_train_alike():
    logits, targets, input_lengths, target_lengths = batch(4, 30, 3, 6, 5, full=True)
    grads = []
    for grad_of in ("log_probs", "logits"):
        leaf = torch.from_numpy(logits.copy()).requires_grad_()
        lengths = tuple(input_lengths), tuple(target_lengths)
        fl.ctc_loss(leaf.log_softmax(-1), torch.from_numpy(targets), *lengths, grad_of=grad_of).backward()
        grads.append(leaf.grad.numpy())
    direct = fl.ctc_loss.grad(logits, targets, input_lengths, target_lengths, from_logits=True)
    for grad in grads:
        np.testing.assert_allclose(grad, direct, rtol=0, atol=1e-14)


@pytest.mark.parametrize("from_logits", (False, True))
def test_central_differences(from_logits):
    scores, targets, input_lengths, target_lengths = batch(5, 8, 2, 4, 3, full=True)
    arguments, options = (targets, input_lengths, target_lengths), {"from_logits": from_logits}
    grad = fl.ctc_loss.grad(scores, *arguments, **options)
    step = 1e-5
    for at in np.ndindex(scores.shape):
        moved = [scores.copy() for _ in range(2)]
        moved[0][at] += step
        moved[1][at] -= step
        high, low = (fl.ctc_loss(array, *arguments, **options) for array in moved)
        assert grad[at] == pytest.approx((high - low) / (2 * step), abs=1e-9)


def test_log_probabilities_that_are_not_normalised():
    log_probs, targets, input_lengths, target_lengths = batch(6, 20, 2, 4, 3, full=True)
    value, grad = fl.ctc_loss.value_and_grad(log_probs + 3.0, targets, input_lengths, target_lengths, reduction="none")
    plain = fl.ctc_loss(log_probs, targets, input_lengths, target_lengths, reduction="none")
    np.testing.assert_allclose(value, plain - 60.0, rtol=1e-13)  # negative: what they imply
    np.testing.assert_allclose(grad.sum(-1), -1.0, rtol=1e-13)


# Accuracy over long inputs.


def long_case(frames, peaky, dtype):
    """Logits of (T, C), and 40 labels; peaky ones favour a plausible alignment."""
    rng = np.random.default_rng(7)
    labels = rng.integers(1, 9, 40)
    logits = rng.standard_normal((frames, 9)) * (3.0 if peaky else 0.1)
    if peaky:
        centres = np.linspace(0, frames - 1, 42).round().astype(int)[1:-1]
        logits[:, 0] += 25.0
        logits[centres, labels] += 45.0
    return logits.astype(DTYPES[dtype]), labels


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("peaky", (False, True))
@pytest.mark.parametrize("frames", (500, pytest.param(10000, marks=pytest.mark.slow)))
def test_long_inputs_against_mpmath(frames, peaky, dtype):
    logits, labels = long_case(frames, peaky, dtype)
    with oracle.mpmath.workdps(30):
        loss, occupancies = oracle.by_program(logits, labels)
        sums = [oracle.mpmath.log(sum(oracle.mpmath.exp(float(x)) for x in row)) for row in logits]
        loss = float(loss + oracle.mpmath.fsum(sums))
    value = fl.ctc_loss(logits, labels, frames, len(labels), reduction="sum", from_logits=True)
    posteriors = fl.ctc_posteriors(logits, labels, frames, len(labels), from_logits=True)
    relative, absolute = BOUNDS[dtype]
    assert value == pytest.approx(loss, rel=relative)
    np.testing.assert_allclose(posteriors, occupancies, rtol=0, atol=absolute)
    grad = fl.ctc_loss.grad(logits, labels, frames, len(labels), reduction="sum", from_logits=True)
    p = np.exp(oracle.log_softmax(logits))
    np.testing.assert_allclose(grad, p - oracle.visits_of(occupancies, labels, 9), rtol=0, atol=absolute)


@pytest.mark.parametrize("peaky", (False, True))
def test_ten_thousand_frames_in_float32(peaky):
    # The same numbers in float64, which the test above holds against mpmath.
    frames = 10_000
    logits, labels = long_case(frames, peaky, "float32")
    arguments, options = (labels, frames, len(labels)), {"from_logits": True}
    wide = logits.astype(np.float64)
    value = fl.ctc_loss(logits, *arguments, **options)
    assert value == pytest.approx(fl.ctc_loss(wide, *arguments, **options), rel=1e-6)
    np.testing.assert_allclose(
        fl.ctc_posteriors(logits, *arguments, **options),
        fl.ctc_posteriors(wide, *arguments, **options),
        rtol=0,
        atol=1e-6,
    )


def test_a_hundred_thousand_frames():
    # One class in every frame: the number of alignments of one label is known, T (T + 1) / 2.
    frames = 100_000
    log_probs = np.full((frames, 2), -np.log(2.0))
    value = fl.ctc_loss(log_probs, np.array([1]), frames, 1, reduction="sum")
    assert value == pytest.approx(frames * np.log(2.0) - np.log(frames * (frames + 1) / 2), rel=1e-13)
    posteriors = fl.ctc_posteriors(log_probs, np.array([1]), frames, 1)
    t = np.arange(1.0, frames + 1)
    np.testing.assert_allclose(posteriors[:, 1], t * (frames + 1 - t) / (frames * (frames + 1) / 2), rtol=1e-9)


def test_states_far_less_probable_than_others_are_not_lost():
    # Staying with the blank is 2**-4000 times less probable than leaving, until only that is left.
    frames = 200
    log_probs = np.full((frames, 3), -1e-3)
    log_probs[:100, 0] = -30.0
    log_probs[100:, 1] = -INF
    log_probs[100:, 0] = -40.0
    log_probs[:, 2] = -INF
    log_probs[150, 2] = -5.0
    labels = np.array([2])
    loss = float(oracle.by_program(log_probs, labels)[0])
    assert fl.ctc_loss(log_probs, labels, frames, 1, reduction="sum") == pytest.approx(loss, rel=1e-13)
    assert loss > 2000


def test_a_confident_alignment_has_a_small_loss_and_no_negative_one():
    frames, labels = 330, np.array([1, 2, 3] * 6 + [1, 2])
    for scale, dtype in itertools.product((20.0, 40.0, 80.0, 400.0), ("float32", "float64")):
        logits = np.zeros((frames, 4), dtype)
        logits[:, 0] = scale
        centres = np.arange(20) * 16 + 8
        logits[centres, 0], logits[centres, labels] = 0.0, scale
        value = fl.ctc_loss(logits, labels, frames, 20, reduction="sum", from_logits=True)
        # Labels may begin a frame earlier or end a frame later, at e**-scale each; nearly all is in the sums.
        exact = float(oracle.by_program(oracle.log_softmax(logits), labels)[0]) if scale == 20.0 else None
        assert value >= 0.0
        if exact is not None:
            assert value == pytest.approx(exact, rel=1e-6)


# Special values.


def test_infinite_and_missing_scores():
    logits, targets, input_lengths, target_lengths = batch(8, 12, 1, 5, 3, full=True)
    arguments = (targets, input_lengths, target_lengths)

    def run(changed, **options):
        return fl.ctc_loss.value_and_grad(changed, *arguments, reduction="sum", **options)

    masked = logits.copy()
    masked[::2, :, 4] = -INF  # a class that is not possible in some frames
    check_against_oracle(masked, *arguments)
    value, grad = run(masked, from_logits=True)
    assert np.isfinite(value) and not grad[::2, :, 4].any()

    closed = logits.copy()
    closed[:, :, targets[0, 0]] = -INF  # a label that never is
    value, grad = run(closed, from_logits=True)
    assert value == INF and not grad.any()
    value, grad = run(closed, from_logits=True, zero_infinity=True)
    assert value == 0.0 and not grad.any()

    for bad in (np.nan, INF):
        wrong = logits.copy()
        wrong[5, 0, targets[0, 1]] = bad
        for options in ({"from_logits": True}, {}, {"grad_of": "logits"}):
            value, grad = run(wrong, **options)
            assert np.isnan(value) and np.isnan(grad).all()
    nothing = logits.copy()
    nothing[3] = -INF
    assert np.isnan(run(nothing, from_logits=True)[0])
    assert run(nothing)[0] == INF


def test_a_bad_sample_spoils_no_other():
    logits, targets, input_lengths, target_lengths = batch(9, 40, 4, 5, 6, full=True)
    good = fl.ctc_loss.value_and_grad(logits, targets, input_lengths, target_lengths, reduction="none")
    logits[7, 2] = np.nan
    input_lengths[1] = 3
    value, grad = fl.ctc_loss.value_and_grad(logits, targets, input_lengths, target_lengths, reduction="none")
    assert value[1] == INF and np.isnan(value[2])
    for i in (0, 3):
        assert value[i] == good[0][i] and same_bits(grad[:, i], good[1][:, i])
    assert not grad[:, 1].any()


def test_what_padding_holds_does_not_matter():
    logits, targets, input_lengths, target_lengths = batch(10, 20, 3, 5, 6)
    value, grad = fl.ctc_loss.value_and_grad(logits, targets, input_lengths, target_lengths, from_logits=True)
    for i in range(3):
        logits[input_lengths[i] :, i] = np.nan
        targets[i, target_lengths[i] :] = 10**9
    again, grad_again = fl.ctc_loss.value_and_grad(logits, targets, input_lengths, target_lengths, from_logits=True)
    assert same_bits(value, again) and same_bits(grad, grad_again)
    for i in range(3):
        assert not grad[input_lengths[i] :, i].any()


def test_empty_things():
    for frames, loss in ((0, 0.0), (3, 3 * np.log(4.0))):
        value, grad = fl.ctc_loss.value_and_grad(
            np.zeros((frames, 2, 4)), np.zeros((2, 0), int), [frames] * 2, [0, 0], reduction="none", from_logits=True
        )
        np.testing.assert_allclose(value, loss, rtol=1e-15)
        assert grad.shape == (frames, 2, 4)
    assert fl.ctc_loss(np.zeros((4, 1, 3)), np.array([[1]]), [0], [1], from_logits=True) == INF
    none = np.zeros((5, 0, 3)), np.zeros((0, 2), int), np.zeros(0, int), np.zeros(0, int)
    assert fl.ctc_loss(*none, reduction="sum") == 0.0 and np.isnan(fl.ctc_loss(*none))
    assert fl.ctc_loss(*none, reduction="none").shape == (0,)
    assert fl.ctc_loss.grad(*none).shape == (5, 0, 3)
    assert fl.ctc_posteriors(*none).shape == (5, 0, 1)


# Layouts, dtypes, lengths.


def layouts(array):
    yield np.asfortranarray(array)
    yield array[::-1].copy()[::-1]
    yield np.repeat(array, 2, axis=2)[:, :, ::2]
    wide = np.zeros((*array.shape[:2], array.shape[2] + 3), array.dtype)
    wide[..., 2:-1] = array
    yield wide[..., 2:-1]
    frozen = array.copy()
    frozen.flags.writeable = False
    yield frozen
    yield array.astype(array.dtype.newbyteorder(">"))


@pytest.mark.parametrize("classes", (6, 300))
@pytest.mark.parametrize("options", ({"from_logits": True}, {}, {"grad_of": "logits"}), ids=str)
def test_layouts(classes, options):
    logits, *arguments = batch(11, 40, 3, classes, 5, dtype="float32")
    before = logits.copy()
    value, grad = fl.ctc_loss.value_and_grad(logits, *arguments, **options, zero_infinity=True)
    for other in layouts(logits):
        again, grad_again = fl.ctc_loss.value_and_grad(other, *arguments, **options, zero_infinity=True)
        assert again == pytest.approx(value, rel=1e-6)
        np.testing.assert_allclose(grad_again, grad, rtol=0, atol=1e-6)
        out = np.repeat(np.full_like(logits, 7.0), 2, axis=0)[::-2]
        assert fl.ctc_loss.value_and_grad(other, *arguments, **options, zero_infinity=True, out=out)[1] is out
        np.testing.assert_allclose(out, grad, rtol=0, atol=1e-6)
    first = np.ascontiguousarray(logits.transpose(1, 0, 2))
    again, grad_again = fl.ctc_loss.value_and_grad(first, *arguments, **options, zero_infinity=True, batch_first=True)
    assert same_bits(value, again) and same_bits(np.ascontiguousarray(grad_again.transpose(1, 0, 2)), grad)
    assert same_bits(logits, before)


@pytest.mark.parametrize("dtype", tuple(DTYPES))
@pytest.mark.parametrize("classes", (6, 300))
def test_dtypes(dtype, classes):
    logits, *arguments = batch(12, 40, 3, classes, 5, dtype=dtype, full=True)
    wide = logits.astype(np.float64)
    relative, absolute = BOUNDS[dtype]
    for options in ({"from_logits": True}, {}, {"grad_of": "logits"})[: 3 if classes == 6 else 1]:
        want, want_grad = fl.ctc_loss.value_and_grad(wide, *arguments, reduction="sum", **options)
        value, grad = fl.ctc_loss.value_and_grad(logits, *arguments, reduction="sum", **options)
        assert value.dtype == (np.float64 if dtype == "float64" else np.float32) and grad.dtype == logits.dtype
        assert value == pytest.approx(want, rel=relative)
        scale = np.abs(want_grad).max(initial=1.0)
        np.testing.assert_allclose(grad.astype(np.float64), want_grad, rtol=0, atol=absolute * scale)
    posteriors = fl.ctc_posteriors(logits, *arguments)
    assert posteriors.dtype == logits.dtype
    np.testing.assert_allclose(
        posteriors.astype(np.float64), fl.ctc_posteriors(wide, *arguments), rtol=0, atol=absolute
    )


def test_targets_and_lengths_in_any_form():
    logits, targets, input_lengths, target_lengths = batch(13, 30, 3, 6, 5)
    want = fl.ctc_loss.value_and_grad(
        logits, targets, input_lengths, target_lengths, from_logits=True, zero_infinity=True
    )
    joined = np.concatenate([row[:n] for row, n in zip(targets, target_lengths, strict=True)])
    forms = [
        (joined, input_lengths, target_lengths),
        (targets.astype(np.int8), input_lengths.astype(np.uint8), list(target_lengths)),
        (np.where(targets < 0, 0, targets).astype(np.uint64), tuple(input_lengths), target_lengths.astype(np.uint64)),
        (np.asfortranarray(targets), torch.from_numpy(input_lengths), tuple(target_lengths.tolist())),
    ]
    for form in forms:
        got = fl.ctc_loss.value_and_grad(logits, *form, from_logits=True, zero_infinity=True)
        assert all(same_bits(a, b) for a, b in zip(got, want, strict=True))
    alone = logits[:, :1].copy(), targets[:1], input_lengths[:1], target_lengths[:1]
    want = fl.ctc_loss(*alone, from_logits=True, reduction="none")
    for lengths in ((int(input_lengths[0]), int(target_lengths[0])), ([input_lengths[0]], target_lengths[:1])):
        got = fl.ctc_loss(alone[0][:, 0], targets[0], *lengths, from_logits=True, reduction="none")
        assert got.shape == () and got == want[0]
    every = fl.ctc_loss(logits, np.abs(targets) % 5 + 1, 30, 5, from_logits=True)
    assert same_bits(every, fl.ctc_loss(logits, np.abs(targets) % 5 + 1, [30] * 3, [5] * 3, from_logits=True))


def test_threads_and_runs_give_the_same_bits():
    before = fl.get_num_threads()
    logits, *arguments = batch(14, 300, 5, 300, 40, dtype="float32")
    results = []
    try:
        for threads in (1, 2, 3, 7, 2):
            fl.set_num_threads(threads)
            results.append(
                (
                    *fl.ctc_loss.value_and_grad(logits, *arguments, from_logits=True, zero_infinity=True),
                    fl.ctc_loss(logits, *arguments, from_logits=True, zero_infinity=True),
                    fl.ctc_posteriors(logits, *arguments, from_logits=True),
                )
            )
    finally:
        fl.set_num_threads(before)
    for other in results[1:]:
        assert all(same_bits(a, b) for a, b in zip(results[0], other, strict=True))
    assert same_bits(results[0][0], results[0][2])


# Posteriors.


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 30), longest=st.integers(0, 8))
def test_posteriors(seed, frames, longest):
    logits, targets, input_lengths, target_lengths = batch(seed, frames, 3, 4, longest)
    posteriors = fl.ctc_posteriors(logits, targets, input_lengths, target_lengths, from_logits=True)
    assert posteriors.shape == (frames, 3, 2 * target_lengths.max() + 1)
    log_probs = oracle.log_softmax(logits)
    for i, (t, s) in enumerate(zip(input_lengths, target_lengths, strict=True)):
        loss, occupancies = oracle.by_program(log_probs[:t, i], targets[i, :s])
        np.testing.assert_allclose(posteriors[:t, i, : 2 * s + 1], occupancies, rtol=0, atol=1e-12)
        assert not posteriors[t:, i].any() and not posteriors[:, i, 2 * s + 1 :].any()
        if loss < INF:
            np.testing.assert_allclose(posteriors[:t, i].sum(-1), 1.0, rtol=1e-14)


def test_posteriors_of_tensors_and_layouts():
    logits, targets, input_lengths, target_lengths = batch(15, 20, 3, 5, 4, full=True)
    want = fl.ctc_posteriors(logits, targets, input_lengths, target_lengths, from_logits=True)
    tensor = torch.from_numpy(logits).requires_grad_()
    got = fl.ctc_posteriors(tensor, torch.from_numpy(targets), 20, 4, from_logits=True)
    assert not got.requires_grad and same_bits(got.numpy(), want)
    first = logits.transpose(1, 0, 2)
    got = fl.ctc_posteriors(first, targets, 20, 4, from_logits=True, batch_first=True)
    assert same_bits(np.ascontiguousarray(got.transpose(1, 0, 2)), want)
    alone = fl.ctc_posteriors(logits[:, 1], targets[1], 20, 4, from_logits=True)
    assert same_bits(alone, np.ascontiguousarray(want[:, 1]))


# PyTorch: autograd, modules, compilation.


def tensors(dtype=torch.float32, **sizes):
    logits, targets, input_lengths, target_lengths = batch(
        16, sizes.get("frames", 30), 3, sizes.get("classes", 6), 4, full=True
    )
    return torch.from_numpy(logits).to(dtype), *map(torch.from_numpy, (targets, input_lengths, target_lengths))


@pytest.mark.parametrize("dtype", (torch.float32, torch.float64, torch.float16, torch.bfloat16))
@pytest.mark.parametrize("sizes", ({}, {"frames": 200, "classes": 300}), ids=("eager", "late"))
@pytest.mark.parametrize("reduction", ("mean", "none"))
def test_autograd(dtype, sizes, reduction):
    logits, *arguments = tensors(dtype, **sizes)
    leaf = logits.clone().requires_grad_()
    loss = fl.ctc_loss(leaf, *arguments, reduction=reduction, from_logits=True)
    assert loss.dtype == dtype and loss.shape == (() if reduction == "mean" else (3,))
    upstream = torch.full_like(loss, 0.5)
    loss.backward(upstream)
    extra = {"grad_output": upstream} if reduction == "none" else {}
    value, grad = fl.ctc_loss.value_and_grad(logits, *arguments, reduction=reduction, from_logits=True, **extra)
    torch.testing.assert_close(loss.detach(), value, rtol=0, atol=0)
    least = 2.0**-24 if dtype == torch.float16 else 0.0  # halving its smallest numbers rounds
    torch.testing.assert_close(leaf.grad, grad if extra else grad * 0.5, rtol=1e-6, atol=least)


def test_backward_twice_and_second_derivatives():
    logits, *arguments = tensors(torch.float64, frames=200, classes=300)
    leaf = logits.clone().requires_grad_()
    loss = fl.ctc_loss(leaf, *arguments, from_logits=True)
    (first,) = torch.autograd.grad(loss, leaf, retain_graph=True)
    (again,) = torch.autograd.grad(loss, leaf, create_graph=True)
    assert torch.equal(first, again)
    with pytest.raises(NotImplementedError, match="second derivatives"):
        again.sum().backward()
    with pytest.raises(NotImplementedError, match="ctc_loss: no gradient with respect to targets"):
        fl.ctc_loss.value_and_grad(logits, *arguments, wrt="targets")


def test_module():
    logits, targets, input_lengths, target_lengths = tensors()
    ours, its = fl.nn.CTCLoss(zero_infinity=True), torch.nn.CTCLoss(zero_infinity=True)
    log_probs = logits.log_softmax(-1)
    for lengths in (
        (input_lengths, target_lengths),
        (tuple(input_lengths.tolist()), tuple(target_lengths.tolist())),
    ):
        torch.testing.assert_close(ours(log_probs, targets, *lengths), its(log_probs, targets, *lengths))
    assert fl.nn.CTCLoss(1, "sum").blank == 1
    torch.testing.assert_close(
        fl.nn.CTCLoss(from_logits=True)(logits, targets, input_lengths, target_lengths),
        its(log_probs, targets, input_lengths, target_lengths),
    )


@pytest.mark.filterwarnings("ignore")
def test_compiled():
    logits, targets, input_lengths, target_lengths = tensors(frames=100, classes=300)

    def step(x, *arguments):
        return fl.ctc_loss(x * 2.0, *arguments, from_logits=True)

    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    grads = []
    for function in (step, compiled):
        leaf = logits.clone().requires_grad_()
        loss = function(leaf, targets, input_lengths, target_lengths)
        loss.backward()
        grads.append((loss.detach(), leaf.grad))
    for got, want in zip(*grads, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-7)


# Memory.


def child_grows(root, case, most):
    sys.path.append(root)
    from bench.memory import resident_growth

    fl.set_num_threads(2)  # each has buffers of its own
    frames, samples, classes, longest = case
    logits, *others = batch(20, frames, samples, classes, longest, dtype="float32", full=True)
    out = np.zeros_like(logits)

    def step():
        fl.ctc_loss.value_and_grad(logits, *others, from_logits=True, out=out)

    step()
    taken = []
    for _ in range(3):  # of some twenty pages, and other things in a process take pages too
        ctypes.CDLL(None).malloc_trim(0)  # what the call before gave back counts again
        taken.append(resident_growth(step) / (4 * frames * (2 * longest + 1) * samples))
    assert 0 < min(taken) <= most, taken


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="asks Linux and glibc")
@pytest.mark.parametrize(("case", "most"), (((50, 16, 20, 10), 1.2), ((1500, 8, 32, 200), 0.2)))
def test_memory_beside_the_gradient(case, most):
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    run_child("child_grows", root, case, most)


# Mistakes.


def refused(error, match, **changes):
    arguments = {
        "log_probs": np.zeros((5, 2, 4)),
        "targets": np.array([[1, 2], [3, 1]]),
        "input_lengths": [5, 5],
        "target_lengths": [2, 2],
        **changes,
    }
    for function in (fl.ctc_loss, fl.ctc_loss.value_and_grad):
        with pytest.raises(error, match=match):
            function(**arguments)
    options = ("reduction", "zero_infinity", "grad_of")
    if not set(changes) & set(options) and changes.get("from_logits") is None:
        with pytest.raises(error, match=match.replace("ctc_loss", "ctc_posteriors")):
            fl.ctc_posteriors(**arguments)


def test_mistakes():
    refused(ValueError, r"ctc_loss: input_lengths\[1\] is 6, expected a length in \[0, 5\]", input_lengths=[5, 6])
    refused(ValueError, r"ctc_loss: input_lengths\[0\] is -1", input_lengths=[-1, 5])
    refused(ValueError, r"ctc_loss: target_lengths\[0\] is 3, expected a length in \[0, 2\]", target_lengths=[3, 2])
    refused(ValueError, r"ctc_loss: target_lengths\[1\] is -2", target_lengths=[2, -2])
    refused(ValueError, r"ctc_loss: input_lengths has shape \(3,\), expected \(2,\)", input_lengths=[5, 5, 5])
    refused(TypeError, "ctc_loss: target_lengths has dtype float64, expected integers", target_lengths=[2.0, 2.0])
    refused(ValueError, r"ctc_loss: targets\[1, 0\] is 0, which is the blank", targets=np.array([[1, 2], [0, 1]]))
    refused(IndexError, r"ctc_loss: targets\[0, 1\] is 4, expected a class in", targets=np.array([[1, 4], [3, 1]]))
    refused(IndexError, r"ctc_loss: targets\[3\] is -1, expected a class in", targets=np.array([1, 2, 3, -1]))
    refused(
        ValueError, r"targets has shape \(3,\), expected \(4,\)", targets=np.array([1, 2, 3]), target_lengths=[2, 2]
    )
    refused(ValueError, r"targets has shape \(3, 2\), expected \(2, S\)", targets=np.ones((3, 2), int))
    refused(TypeError, "ctc_loss: targets has dtype float64, expected integers", targets=np.ones((2, 2)))
    refused(TypeError, "ctc_loss: log_probs has dtype int64", log_probs=np.zeros((5, 2, 4), int))
    refused(ValueError, r"ctc_loss: log_probs has shape \(4,\), expected \(T, N, C\)", log_probs=np.zeros(4))
    refused(ValueError, "no classes", log_probs=np.zeros((5, 2, 0)))
    refused(ValueError, r"ctc_loss: blank is 4, expected a class in \[0, 4\)", blank=4)
    refused(ValueError, "ctc_loss: blank is -1", blank=-1)
    refused(TypeError, "ctc_loss: blank is of type float", blank=1.0)
    refused(ValueError, "ctc_loss: reduction is 'max'", reduction="max")
    refused(ValueError, "ctc_loss: grad_of is 'both'", grad_of="both")
    refused(ValueError, "ctc_loss: zero_infinity is 2", zero_infinity=2)
    refused(TypeError, "targets is a torch array", targets=torch.ones(2, 2, dtype=torch.int64))
    logits, *arguments = batch(17, 5, 2, 4, 2, full=True)
    with pytest.raises(ValueError, match="out shares memory"):
        fl.ctc_loss.value_and_grad(logits, *arguments, out=logits)
    with pytest.raises(ValueError, match=r"out has shape \(5, 4\)"):
        fl.ctc_loss.value_and_grad(logits, *arguments, out=logits[:, 0].copy())
    with pytest.raises(TypeError, match="size_average"):
        fl.ctc_loss(logits, *arguments, size_average=True)
