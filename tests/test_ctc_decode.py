"""Alignment and decoding with CTC: against all paths of small cases, a plain prefix search, and the loss."""

import math

import numpy as np
import oracle_ctc_decode as oracle
import pytest
import torch
from cases import DTYPES, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import fastloss as fl

NAN, INF = float("nan"), float("inf")
NO_LABELS = np.zeros(0, np.int64)
#: Scores of 16-bit input are sums of what it holds: exact but for the last bits.
CLOSE = dict(rtol=1e-12, atol=1e-12)


def draw(shape, seed=0, concentration=0.5, dtype="float64"):
    """Log-probabilities (T, N, C), from nearly sure to nearly even."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(shape[-1], concentration), shape[:-1])
    return np.log(np.maximum(p, 1e-30)).astype(DTYPES[dtype])


def draw_target(rng, length, classes, blank):
    labels = [c for c in range(classes) if c != blank]
    return rng.choice(labels, length) if labels else np.zeros(0, np.int64)


def short_cases(seed, count, frames=5, classes=3):
    """Small samples with every number of labels that fits, repeats among them."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        blank = int(rng.integers(classes))
        target = draw_target(rng, int(rng.integers(frames + 1)), classes, blank)
        if oracle.frames_needed(target) <= frames:
            yield rng, blank, target


def test_alignment_is_the_best_of_all_paths():
    tried = 0
    for rng, blank, target in short_cases(0, 60):
        x = np.log(rng.dirichlet(np.ones(3), 5))
        labels, scores = fl.ctc_forced_align(x, target, blank=blank)
        path = oracle.alignment(x, target, blank)
        np.testing.assert_array_equal(labels, path)
        np.testing.assert_array_equal(scores, x[np.arange(5), path])
        tried += 1
    assert tried > 30


def test_equal_paths_are_told_apart_as_documented():
    """Scores are quarters: sums are exact, and many paths are equal."""
    several = 0
    for rng, blank, target in short_cases(1, 60):
        x = -0.25 * rng.integers(0, 2, (5, 3))
        labels, _ = fl.ctc_forced_align(x, target, blank=blank)
        np.testing.assert_array_equal(labels, oracle.alignment(x, target, blank))
        best = oracle.score_of(labels, x)
        fitting = [p for p in oracle.paths(x) if oracle.collapsed(p, blank) == tuple(target)]
        several += sum(oracle.score_of(p, x) == best for p in fitting) > 1
    assert several > 20


def test_alignment_by_hand():
    x = np.log([[0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.2, 0.2, 0.6], [0.5, 0.1, 0.4]])
    assert fl.ctc_forced_align(x, [1, 2])[0].tolist() == [1, 0, 2, 0]
    assert fl.ctc_forced_align(x, [1, 1])[0].tolist() == [1, 0, 1, 0]  # a blank between equal labels
    assert fl.ctc_forced_align(x, [2, 1, 2, 1])[0].tolist() == [2, 1, 2, 1]  # one frame each
    assert fl.ctc_forced_align(x, NO_LABELS)[0].tolist() == [0, 0, 0, 0]
    even = np.full((4, 3), -1.0)
    assert fl.ctc_forced_align(even, [1, 2])[0].tolist() == [1, 2, 2, 2]
    assert fl.ctc_forced_align(even, [2, 2])[0].tolist() == [2, 0, 2, 2]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_batches_are_their_samples(data):
    """Lengths from 0 on, padded or concatenated targets, both orders of axes, any blank, any function."""
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    frames, samples, classes = (data.draw(st.integers(low, high)) for low, high in ((0, 9), (0, 4), (1, 5)))
    blank = data.draw(st.integers(0, classes - 1))
    x = rng.normal(size=(frames, samples, classes))
    lengths = rng.integers(0, frames + 1, samples)
    targets = [draw_target(rng, int(rng.integers(n + 1)), classes, blank) for n in lengths]
    targets = [t if oracle.frames_needed(t) <= n else t[:0] for t, n in zip(targets, lengths, strict=True)]
    counts = [len(t) for t in targets]
    padded = rng.integers(-5, 99, (samples, max(counts, default=0) + data.draw(st.integers(0, 2))))
    for row, target in zip(padded, targets, strict=True):
        row[: len(target)] = target
    batch_first = data.draw(st.booleans())
    given_targets = padded if data.draw(st.booleans()) else np.array([c for t in targets for c in t], np.int64)
    given_x = np.ascontiguousarray(x.transpose(1, 0, 2)) if batch_first else x
    options = dict(blank=blank, from_logits=True, batch_first=batch_first)

    labels, scores = fl.ctc_forced_align(given_x, given_targets, lengths, counts, **options)
    assert labels.shape == scores.shape == (samples, frames)
    greedy, greedy_scores = fl.ctc_greedy_decode(given_x, tuple(lengths.tolist()), **options)
    found, found_scores = fl.ctc_beam_decode(given_x, lengths, beam=8, top_k=3, **options)
    assert len(greedy) == len(greedy_scores) == len(found) == samples
    assert found_scores.shape == (samples, 3)
    for i, n in enumerate(lengths):
        own = x[:n, i]
        alone = fl.ctc_forced_align(own, targets[i], blank=blank, from_logits=True)
        np.testing.assert_array_equal(labels[i, :n], alone[0])
        np.testing.assert_array_equal(scores[i, :n], alone[1])
        assert (labels[i, n:] == -1).all()
        assert (scores[i, n:] == 0).all()
        log_probs = own - np.logaddexp.reduce(own, 1, keepdims=True)
        np.testing.assert_allclose(alone[1], log_probs[np.arange(n), alone[0]], **CLOSE)
        path = log_probs.argmax(1) if n else []
        assert tuple(greedy[i]) == oracle.collapsed(path, blank)
        np.testing.assert_allclose(greedy_scores[i], oracle.score_of(path, log_probs), **CLOSE)
        want = oracle.prefix_search(log_probs, blank, 8)[:3]
        assert [tuple(found_labels) for found_labels in found[i]] == [prefix for prefix, _ in want]
        np.testing.assert_allclose(found_scores[i, : len(want)], [score for _, score in want], **CLOSE)
        assert (found_scores[i, len(want) :] == -INF).all()


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("concentration", [0.1, 5.0])
def test_a_wide_beam_finds_the_sum_over_all_paths(blank, concentration):
    x = draw((6, 4, 3), seed=blank, concentration=concentration)
    found, scores = fl.ctc_beam_decode(x, blank=blank, beam=1000, top_k=1000)
    for i in range(4):
        want = oracle.sequences(x[:, i], blank)
        assert len(found[i]) == len(want)
        assert {tuple(labels) for labels in found[i]} == {labels for labels, _ in want}
        assert tuple(found[i][0]) == want[0][0]
        np.testing.assert_allclose(scores[i, : len(want)], [score for _, score in want], **CLOSE)
        losses = torch.nn.functional.ctc_loss(
            torch.from_numpy(x[:, i]).unsqueeze(1).expand(-1, len(want), -1),
            torch.from_numpy(np.concatenate(found[i])),
            torch.full((len(want),), 6),
            torch.tensor([len(labels) for labels in found[i]]),
            blank,
            reduction="none",
        )
        np.testing.assert_allclose(-scores[i, : len(want)], losses, rtol=1e-10, atol=1e-12)


def test_scores_agree_with_loss_and_posteriors():
    """The best path is one of those that the loss adds up; where it is the only one, it has all the probability."""
    x = draw((9, 40, 4), seed=13, concentration=1.0)
    rng = np.random.default_rng(14)
    targets, counts = rng.integers(0, 3, (40, 5)), rng.integers(0, 6, 40)
    options = dict(blank=3)
    needed = np.array([oracle.frames_needed(t[:n]) for t, n in zip(targets, counts, strict=True)])
    for frames in (np.full(40, 9), needed):
        labels, scores = fl.ctc_forced_align(x, targets, frames, counts, **options)
        losses = fl.ctc_loss(x, targets, frames, counts, reduction="none", **options)
        posteriors = fl.ctc_posteriors(x, targets, frames, counts, **options)
        share = np.exp(scores.sum(1) + losses)
        assert (share < 1 + 1e-12).all()
        np.testing.assert_allclose(share[frames == needed], 1.0, rtol=1e-12)
        for i, n in enumerate(frames):
            on_path = posteriors[np.arange(n), i, oracle.states(labels[i, :n], 3)]
            assert (on_path >= share[i] - 1e-12).all()
            if n == needed[i]:
                np.testing.assert_allclose(on_path, 1.0, rtol=1e-12)
    found, scores = fl.ctc_beam_decode(x[:6], blank=3, beam=2000)
    best = [labels[0] for labels in found]
    losses = fl.ctc_loss(x[:6], np.concatenate(best), 6, [len(labels) for labels in best], 3, "none")
    np.testing.assert_allclose(-scores[:, 0], losses, rtol=1e-12)


@pytest.mark.parametrize(
    ("frames", "classes", "beam", "concentration"),
    [(40, 6, 1, 0.3), (40, 6, 2, 1.0), (60, 5, 7, 0.5), (60, 3, 32, 20.0), (15, 200, 16, 0.02), (20, 150, 3, 50.0)],
)
def test_the_beam_is_that_of_a_plain_search(frames, classes, beam, concentration):
    """Narrow beams, prefixes that leave and come back: nothing but what the beam drops is lost."""
    for seed in range(4):
        blank = seed % classes
        x = draw((frames, 1, classes), seed, concentration)[:, 0]
        x[:, blank] += 1.0
        want = oracle.prefix_search(x, blank, beam)
        found, scores = fl.ctc_beam_decode(x, blank=blank, beam=beam, top_k=beam)
        assert [tuple(labels) for labels in found] == [prefix for prefix, _ in want]
        np.testing.assert_allclose(scores, [score for _, score in want], rtol=1e-12)


def test_equal_prefixes_come_in_a_fixed_order():
    x = np.zeros((3, 4))
    found, scores = fl.ctc_beam_decode(x, beam=4, top_k=4)
    again, _ = fl.ctc_beam_decode(np.stack([x, x], 1), beam=4, top_k=4)
    for other in again:
        assert [labels.tolist() for labels in other] == [labels.tolist() for labels in found]
    one_frame, _ = fl.ctc_beam_decode(x[:1], beam=4, top_k=4)
    assert [labels.tolist() for labels in one_frame] == [[], [1], [2], [3]]
    assert (np.diff(scores) <= 0).all()


def test_long_inputs():
    """A hundred thousand frames: what tells the paths apart is far below the last place of their sums in float32."""
    frames = 100_000
    rng = np.random.default_rng(3)
    target = rng.integers(1, 4, 50)
    at = np.sort(rng.choice(frames // 3, 50, replace=False)) * 3
    x = np.full((frames, 4), -3.0, np.float32)
    x[at, target] += np.float32(1e-4)
    labels, scores = fl.ctc_forced_align(x, target)
    np.testing.assert_array_equal(labels[at], target)
    assert oracle.collapsed(labels, 0) == tuple(target)
    np.testing.assert_array_equal(scores, x[np.arange(frames), labels])

    x[:] = -20.0
    x[:, 0] = -1e-4
    x[at, target] = -1e-4
    x[at, 0] = -20.0
    best, score = fl.ctc_greedy_decode(x)
    np.testing.assert_array_equal(best, target)
    assert math.isclose(score, x.max(1).sum(dtype=np.float64), rel_tol=1e-12)
    found, scores = fl.ctc_beam_decode(x, beam=4)
    np.testing.assert_array_equal(found[0], target)
    loss = torch.nn.functional.ctc_loss(
        torch.from_numpy(x).double(), torch.from_numpy(target), torch.tensor(frames), torch.tensor(50), reduction="sum"
    )
    assert score < scores[0] < -float(loss)  # the beam leaves a little out
    assert math.isclose(scores[0], -float(loss), rel_tol=1e-7)


@pytest.mark.parametrize("dtype", list(DTYPES))
def test_dtypes_and_layouts(dtype):
    x = draw((30, 3, 7), seed=5, dtype=dtype)
    targets = np.array([[1, 2, 2, 3], [4, 4, 4, 9], [6, -1, -1, -1]])
    counts = [4, 3, 1]
    wide = np.zeros((60, 6, 14), x.dtype)
    wide[::2, ::-2, 1::2] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    layouts = [
        np.asfortranarray(x),
        wide[::2, ::-2, 1::2],
        read_only,
        x[::-1].copy()[::-1],
        x.astype(x.dtype.newbyteorder()),
    ]
    want_labels, want_scores = fl.ctc_forced_align(x, targets, None, counts)
    assert want_scores.dtype == x.dtype
    best, best_scores = fl.ctc_greedy_decode(x)
    found, found_scores = fl.ctc_beam_decode(x, beam=5, top_k=2)
    assert best_scores.dtype == found_scores.dtype == np.float64
    for i in range(3):
        np.testing.assert_array_equal(want_scores[i], x[np.arange(30), i, want_labels[i]])
        assert oracle.collapsed(want_labels[i], 0) == tuple(targets[i, : counts[i]])
        own = x[:, i].astype(np.float64)
        np.testing.assert_allclose(best_scores[i], own.max(1).sum(), **CLOSE)
        search = oracle.prefix_search(own, 0, 5)[:2]
        np.testing.assert_allclose(found_scores[i], [score for _, score in search], **CLOSE)
    for other in layouts:
        before = other.tobytes()
        labels, scores = fl.ctc_forced_align(other, targets, None, counts)
        assert same_bits(labels, want_labels)
        assert same_bits(scores, want_scores)
        again, again_scores = fl.ctc_greedy_decode(other)
        assert all(same_bits(a, b) for a, b in zip(again, best, strict=True))
        assert same_bits(again_scores, best_scores)
        again, again_scores = fl.ctc_beam_decode(other, beam=5, top_k=2)
        assert all(
            same_bits(a, b) for mine, its in zip(again, found, strict=True) for a, b in zip(mine, its, strict=True)
        )
        assert same_bits(again_scores, found_scores)
        assert other.tobytes() == before


@pytest.mark.parametrize("dtype", list(DTYPES))
def test_logits_of_many_classes(dtype):
    """The softmax of rows longer than what is summed in one go, of numbers far from 0."""
    rng = np.random.default_rng(15)
    logits = (rng.normal(size=(3, 2, 4150)) * 3 + 20).astype(DTYPES[dtype])
    wide = logits.astype(np.float64)
    log_probs = wide - np.logaddexp.reduce(wide, axis=2, keepdims=True)
    rtol = 1e-12 if dtype == "float64" else 1e-6
    targets = np.array([[5, 4149], [17, 1]])
    labels, scores = fl.ctc_forced_align(logits, targets, from_logits=True)
    best, best_scores = fl.ctc_greedy_decode(logits, from_logits=True)
    _, found_scores = fl.ctc_beam_decode(logits, beam=3, top_k=3, from_logits=True)
    for i in range(2):
        own = log_probs[:, i]
        want, _ = fl.ctc_forced_align(own, targets[i])
        np.testing.assert_array_equal(labels[i], want)
        stored = rtol + {"float64": 0.0, "float32": 0.0, "float16": 2.0**-11, "bfloat16": 2.0**-8}[dtype]
        np.testing.assert_allclose(scores[i].astype(np.float64), own[np.arange(3), want], rtol=stored)
        assert tuple(best[i]) == oracle.collapsed(own.argmax(1), 0)
        np.testing.assert_allclose(best_scores[i], own.max(1).sum(), rtol=rtol)
        search = oracle.prefix_search(own, 0, 3)
        np.testing.assert_allclose(found_scores[i], [score for _, score in search], rtol=rtol)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_torch(dtype):
    x = draw((20, 3, 5), seed=6)
    tensor = torch.from_numpy(x).to(getattr(torch, dtype)).requires_grad_()
    array = tensor.detach().double().numpy().astype(DTYPES[dtype])
    targets, lengths, counts = np.array([1, 2, 2, 4, 3, 1]), [20, 11, 5], [3, 2, 1]
    want = fl.ctc_forced_align(array, targets, lengths, counts)
    labels, scores = fl.ctc_forced_align(tensor, torch.from_numpy(targets).int(), torch.tensor(lengths), counts)
    assert labels.dtype is torch.int64
    assert scores.dtype is tensor.dtype
    np.testing.assert_array_equal(labels.numpy(), want[0])
    np.testing.assert_array_equal(scores.double().numpy(), want[1].astype(np.float64))
    read_only = np.array(lengths)
    read_only.flags.writeable = False
    best, best_scores = fl.ctc_greedy_decode(tensor.transpose(0, 1), read_only, batch_first=True)
    want_best, want_scores = fl.ctc_greedy_decode(array, lengths)
    found, found_scores = fl.ctc_beam_decode(tensor, lengths, top_k=2)
    want_found, want_found_scores = fl.ctc_beam_decode(array, lengths, top_k=2)
    assert same_bits(best_scores.numpy(), want_scores)
    assert same_bits(found_scores.numpy(), want_found_scores)
    for i in range(3):
        assert isinstance(best[i], torch.Tensor)
        np.testing.assert_array_equal(best[i].numpy(), want_best[i])
        for mine, its in zip(found[i], want_found[i], strict=True):
            assert mine.dtype is torch.int64
            np.testing.assert_array_equal(mine.numpy(), its)
    label, score = fl.ctc_greedy_decode(tensor[:, 0])
    assert score.ndim == 0
    assert score.dtype is torch.float64
    np.testing.assert_array_equal(label.numpy(), fl.ctc_greedy_decode(array[:, 0])[0])
    fits = fl.ctc_feasible(torch.tensor([[1, 1], [1, 2]]), torch.tensor([2, 2]))
    assert fits.dtype is torch.bool
    assert fits.tolist() == [False, True]


def test_same_bits_for_any_number_of_threads():
    x = draw((300, 12, 40), seed=7, dtype="float32")
    rng = np.random.default_rng(8)
    targets = rng.integers(1, 40, (12, 60))
    lengths = rng.integers(150, 301, 12)
    before = fl.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 2):
            fl.set_num_threads(threads)
            labels, scores = fl.ctc_forced_align(x, targets, lengths, from_logits=True)
            best, best_scores = fl.ctc_greedy_decode(x, lengths)
            found, found_scores = fl.ctc_beam_decode(x, lengths, beam=16)
            found = [labels for (labels,) in found]
            results.append([labels, scores, *best, best_scores, *found, found_scores])
    finally:
        fl.set_num_threads(before)
    for other in results[1:]:
        assert all(same_bits(a, b) for a, b in zip(results[0], other, strict=True))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 3), max_size=6), min_size=1, max_size=5),
    st.integers(0, 2),
    st.data(),
)
def test_feasible(targets, padding, data):
    counts = [len(target) for target in targets]
    frames = [data.draw(st.integers(0, 12)) for _ in targets]
    want = [oracle.frames_needed(target) <= n for target, n in zip(targets, frames, strict=True)]
    padded = np.full((len(targets), max(counts) + padding), 3)
    for row, target in zip(padded, targets, strict=True):
        row[: len(target)] = target
    joined = np.array([c for target in targets for c in target], np.int16)
    for given_targets in (padded, joined):
        fits = fl.ctc_feasible(given_targets, frames, counts)
        assert fits.dtype == np.bool_
        assert fits.tolist() == want
    alone = fl.ctc_feasible(np.array(targets[0], np.int64), frames[0])
    assert alone.ndim == 0
    assert bool(alone) is want[0]


def test_feasible_samples_are_those_with_a_finite_loss():
    rng = np.random.default_rng(9)
    targets, counts = rng.integers(1, 3, (200, 5)), rng.integers(0, 6, 200)
    frames = rng.integers(0, 9, 200)
    losses = torch.nn.functional.ctc_loss(
        torch.zeros(8, 200, 3), *(torch.from_numpy(a) for a in (targets, frames, counts)), reduction="none"
    )
    fits = fl.ctc_feasible(targets, frames, counts)
    np.testing.assert_array_equal(fits, np.isfinite(losses.numpy()))
    assert 20 < fits.sum() < 180


def test_what_is_not_read_may_be_anything():
    x = draw((10, 2, 4), seed=10)
    spoilt = x.copy()
    spoilt[6:, 1] = NAN
    spoilt[:, :, 3] = [[INF, NAN]]
    targets = np.array([[1, 2, -7], [2, 99, 99]])
    want, got = (fl.ctc_forced_align(z, targets, [10, 6], [2, 1]) for z in (x, spoilt))
    assert same_bits(want[0], got[0])
    assert same_bits(want[1], got[1])


def test_impossible_classes():
    """-inf is a class that cannot be."""
    x = np.full((4, 4), -INF)
    x[[0, 1, 2, 3], [1, 0, 2, 0]] = [0.0, -1.0, -2.0, -3.0]
    assert fl.ctc_forced_align(x, [1, 2])[0].tolist() == [1, 0, 2, 0]
    found, scores = fl.ctc_beam_decode(x, top_k=3)
    assert [labels.tolist() for labels in found] == [[1, 2]]
    assert scores.tolist() == [-6.0, -INF, -INF]
    for logits in (x, np.where(x == 0, 7.0, x)):
        best, score = fl.ctc_beam_decode(logits, from_logits=True)
        assert best[0].tolist() == [1, 2]
        assert score.tolist() == [0.0]
    with pytest.raises(ValueError, match="no alignment of sample 0 has a probability above 0"):
        fl.ctc_forced_align(x, [1, 3])
    with pytest.raises(ValueError, match="no alignment of sample 1 has a probability above 0"):
        fl.ctc_forced_align(np.stack([x, x], 1), [[1, 2], [2, 2]], [4, 3])
    x[1] = -INF
    found, scores = fl.ctc_beam_decode(x)
    assert found == []
    assert scores.tolist() == [-INF]
    with pytest.raises(ValueError, match="no alignment"):
        fl.ctc_forced_align(x, [1, 2])
    with pytest.raises(ValueError, match="frame 1 of sample 0"):
        fl.ctc_beam_decode(x, from_logits=True)


def test_not_a_number():
    for value in (NAN, INF):
        x = draw((90, 3, 70), seed=11)
        x[71, 1, 66] = value
        for from_logits in (False, True):
            for call in (fl.ctc_greedy_decode, fl.ctc_beam_decode):
                with pytest.raises(ValueError, match=r"holds NaN or inf in frame 71 of sample 1"):
                    call(x, from_logits=from_logits)
                assert len(call(x, [90, 71, 90], from_logits=from_logits)[0]) == 3
        with pytest.raises(ValueError, match="frame 71 of sample 1"):
            fl.ctc_forced_align(x, np.full((3, 1), 66))
        with pytest.raises(ValueError, match="frame 71 of sample 1"):
            fl.ctc_forced_align(x, np.full((3, 1), 2), from_logits=True)


def test_nothing():
    for shape in ((0, 2, 3), (4, 0, 3), (0, 0, 1)):
        x = np.zeros(shape)
        labels, scores = fl.ctc_forced_align(x, np.zeros((shape[1], 0), np.int64))
        assert labels.shape == scores.shape == shape[1::-1]
        best, scores = fl.ctc_greedy_decode(x)
        assert [labels.shape for labels in best] == [(0,)] * shape[1]
        assert scores.tolist() == [0.0] * shape[1]
        found, scores = fl.ctc_beam_decode(x, top_k=2)
        assert [[labels.shape for labels in sample] for sample in found] == [[(0,)]] * shape[1]
        assert scores.tolist() == [[0.0, -INF]] * shape[1]
    only_blank = np.zeros((3, 1))
    assert fl.ctc_beam_decode(only_blank)[0][0].size == 0
    assert fl.ctc_forced_align(only_blank, NO_LABELS)[0].tolist() == [0, 0, 0]


def test_errors():
    x = draw((5, 2, 4), seed=12)
    targets = np.array([[1, 2], [1, 1]])
    for wrong, error, match in (
        (lambda: fl.ctc_forced_align(x, targets, [5, 2]), ValueError, r"sample 1 has 2 frames, expected 3 or more"),
        (lambda: fl.ctc_forced_align(x, targets, [5, 6]), ValueError, r"input_lengths\[1\] is 6"),
        (lambda: fl.ctc_forced_align(x, targets, [5, -1]), ValueError, r"input_lengths\[1\] is -1"),
        (lambda: fl.ctc_forced_align(x, targets, None, [2, 3]), ValueError, r"target_lengths\[1\] is 3"),
        (lambda: fl.ctc_forced_align(x, targets, blank=1), ValueError, "which is the blank"),
        (lambda: fl.ctc_forced_align(x, targets + 3), IndexError, "expected a class"),
        (lambda: fl.ctc_forced_align(x, targets[:1]), ValueError, "targets has shape"),
        (lambda: fl.ctc_forced_align(x, targets * 1.0), TypeError, "targets has dtype"),
        (lambda: fl.ctc_forced_align(x.astype(int), targets), TypeError, "log_probs has dtype"),
        (lambda: fl.ctc_forced_align(x, torch.from_numpy(targets)), TypeError, "give all of one kind"),
        (lambda: fl.ctc_greedy_decode(x[0, 0]), ValueError, "log_probs has shape"),
        (lambda: fl.ctc_greedy_decode(x, blank=4), ValueError, "blank is 4"),
        (lambda: fl.ctc_greedy_decode(x, [5.0, 5.0]), TypeError, "input_lengths has dtype"),
        (lambda: fl.ctc_beam_decode(x, beam=0), ValueError, "beam is 0"),
        (lambda: fl.ctc_beam_decode(x, beam=2**40), ValueError, "beam is"),
        (lambda: fl.ctc_beam_decode(x, beam=2.0), TypeError, "beam is of type float"),
        (lambda: fl.ctc_beam_decode(x, beam=4, top_k=5), ValueError, "top_k is 5"),
        (lambda: fl.ctc_beam_decode(x[:, :, :0]), ValueError, "no classes"),
        (lambda: fl.ctc_feasible(targets, [3]), ValueError, "input_lengths has shape"),
        (lambda: fl.ctc_feasible(targets, [3, -3]), ValueError, r"input_lengths\[1\] is -3"),
        (lambda: fl.ctc_feasible(targets * 1.0, [3, 3]), TypeError, "targets has dtype"),
    ):
        with pytest.raises(error, match=match):
            wrong()


@pytest.mark.parametrize("option", ("from_logits", "batch_first"))
def test_flags_are_flags(option):
    scores = np.zeros((3, 1, 3))
    for decode in (fl.ctc_greedy_decode, fl.ctc_beam_decode):
        with pytest.raises(ValueError, match=f"{option} is 'no', expected one of False, True"):
            decode(scores, **{option: "no"})
