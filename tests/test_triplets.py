"""Mined triplets against a double loop, and what must hold for any batch: duplicates, threads, extremes."""

import itertools

import ml_dtypes
import numpy as np
import oracle_triplets as oracle
import pytest
import torch
from cases import same_bits

import fastloss as fl
from fastloss import _points, _triplets

MINING = pytest.mark.parametrize("mining", ("hard", "semihard", "easy", "all"))
METRIC = pytest.mark.parametrize("metric", ("euclidean", "sqeuclidean", "cosine"))
MARGIN = pytest.mark.parametrize("margin", (0.3, "soft"))
#: Largest relative difference from float64 oracles: float64, where sums are taken in another order; float32, where the
#: result is rounded, and distances of mode "all" come from products.
TOLERANCE = {np.float64: 1e-11, np.float32: 2e-5}


def batch(seed=0, rows=23, references=0, width=5, labels=4, dtype=np.float64):
    """Embeddings with labels, and references with theirs, one of which no embedding has."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((rows, width)).astype(dtype), rng.standard_normal((references, width)).astype(dtype)
    return x, rng.integers(0, labels, rows) * 7 - 3, y, rng.integers(0, labels + 1, references) * 7 - 3


def near(found, expected, tolerance):
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    largest = np.abs(expected).max(initial=0.0)
    return bool(np.all(np.abs(found - expected) <= tolerance * largest + 1e-300))


@MINING
@METRIC
@MARGIN
@pytest.mark.parametrize("normalize", (False, True))
@pytest.mark.parametrize("dtype", (np.float64, np.float32))
def test_values_and_gradients(mining, metric, margin, normalize, dtype):
    options = {"mining": mining, "margin": margin, "metric": metric, "normalize": normalize}
    x, labels, y, reference_labels = batch(references=31, dtype=dtype)
    upstream = np.random.default_rng(1).standard_normal(len(x)).astype(dtype)
    for given, expected_given in (
        ({}, {}),
        ({"references": y, "reference_labels": reference_labels}, {"y": y, "reference_labels": reference_labels}),
    ):
        for reduction in ("mean", "sum", "mean_nonzero", "none"):
            value = fl.batch_triplet_loss(x, labels, reduction=reduction, **options, **given)
            expected = oracle.loss(x, labels, reduction=reduction, **options, **expected_given)
            assert near(value, expected, TOLERANCE[dtype]), reduction
        wrt = ("embeddings", "references") if given else ("embeddings",)
        rows, grads = fl.batch_triplet_loss.value_and_grad(
            x, labels, reduction="none", grad_output=upstream, wrt=wrt, **options, **given
        )
        assert same_bits(rows, value)
        for grad, expected in zip(
            grads, oracle.gradient(x, labels, upstream=upstream, **options, **expected_given), strict=False
        ):
            assert grad.dtype == dtype
            assert near(grad, expected, TOLERANCE[dtype])


@MINING
@METRIC
def test_gradients_by_central_differences(mining, metric):
    x, labels, y, reference_labels = batch(3, rows=9, references=8, width=3)
    options = {"mining": mining, "metric": metric, "margin": 0.5, "reference_labels": reference_labels}
    grads = fl.batch_triplet_loss.grad(x, labels, references=y, wrt=("embeddings", "references"), **options)
    step = 1e-6
    for grad, which in zip(grads, (0, 1), strict=True):
        for place in itertools.product(*map(range, grad.shape)):
            values = []
            for sign in (1, -1):
                arrays = [x.copy(), y.copy()]
                arrays[which][place] += sign * step
                values.append(fl.batch_triplet_loss(arrays[0], labels, references=arrays[1], **options))
            assert grad[place] == pytest.approx((values[0] - values[1]) / (2 * step), abs=1e-8)


@pytest.mark.parametrize("mining", ("hard", "semihard", "easy"))
@METRIC
@pytest.mark.parametrize("dtype", (np.float64, np.float32))
def test_indices(mining, metric, dtype):
    for references in (0, 40):
        x, labels, y, reference_labels = batch(5, rows=50, references=references, width=3, dtype=dtype)
        given = {"references": y, "reference_labels": reference_labels} if references else {}
        found = fl.mine_triplets(x, labels, mining=mining, metric=metric, **given)
        d = oracle.distances(x, y if references else x, metric, False)
        expected = oracle.triplets(d, labels, reference_labels if references else labels, mining, not references)
        assert list(zip(*(part.tolist() for part in found[:3]), strict=True)) == expected
        assert found.active == sum(oracle.value(d[a, p], d[a, n], 0.2) > 0 for a, p, n in expected)


@MARGIN
@METRIC
def test_all_indices_are_those_with_a_positive_loss(margin, metric):
    x, labels, *_ = batch(6, rows=40, width=3, dtype=np.float32)
    found = fl.mine_triplets(x, labels, mining="all", margin=margin, metric=metric)
    d = oracle.distances(x, x, metric, False)
    every = oracle.triplets(d, labels, labels, "all", True)
    expected = [(a, p, n) for a, p, n in every if oracle.value(d[a, p], d[a, n], margin) > 0]
    assert 0 < len(expected) == found.active
    assert list(zip(*(part.tolist() for part in found[:3]), strict=True)) == expected


@METRIC
def test_pairs(metric):
    for references in (0, 30):
        x, labels, y, reference_labels = batch(7, rows=40, references=references, width=3)
        given = {"references": y, "reference_labels": reference_labels} if references else {}
        d = oracle.distances(x, y if references else x, metric, False)
        alike = labels[:, None] == (reference_labels if references else labels)
        own = np.eye(*d.shape, dtype=bool) if not references else np.zeros_like(alike)
        for low, high in ((0.5, 1.5), (-np.inf, np.inf)):
            found = fl.mine_pairs(x, labels, pos_margin=low, neg_margin=high, metric=metric, **given)
            expected = (*np.nonzero(alike & ~own & (d > low)), *np.nonzero(~alike & (d < high)))
            for part, other in zip(found, expected, strict=True):
                assert np.array_equal(part, other)


# Points that meet.


def integers(seed, rows=60, width=4, dtype=np.float32, offset=0.0):
    """Points with few different coordinates: distances are exact, and many of them tie."""
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 3, (rows, width)) + offset).astype(dtype), rng.integers(0, 5, rows)


@MINING
@pytest.mark.parametrize("metric", ("euclidean", "sqeuclidean"))
@pytest.mark.parametrize("offset", (0.0, 1024.0))
@pytest.mark.parametrize("dtype", (np.float64, np.float32))
def test_ties_go_to_the_lowest_index(mining, metric, offset, dtype):
    x, labels = integers(8, dtype=dtype, offset=offset)
    found = fl.mine_triplets(x, labels, mining=mining, metric=metric, margin=0.0)
    d = oracle.distances(x, x, metric, False)
    expected = oracle.triplets(d, labels, labels, mining, True)
    active = [(a, p, n) for a, p, n in expected if d[a, p] > d[a, n]]
    if mining == "all":
        expected = active
    assert list(zip(*(part.tolist() for part in found[:3]), strict=True)) == expected
    assert found.active == len(active)
    options = {"mining": mining, "metric": metric, "margin": 0.0, "normalize": False}
    for reduction in ("mean", "mean_nonzero"):
        value = fl.batch_triplet_loss(x, labels, reduction=reduction, **options)
        assert near(value, oracle.loss(x, labels, reduction=reduction, **options), 1e-6)
    grad = fl.batch_triplet_loss.grad(x, labels, reduction="sum", **options)
    assert near(grad, oracle.gradient(x, labels, **options)[0], 1e-5)


@MINING
@METRIC
def test_one_point_many_times(mining, metric):
    """Every distance is exactly 0, whatever the coordinates are."""
    x = np.tile(np.float32([[0.1, -0.7, 1e-3]]), (12, 1))
    labels = np.arange(12) % 3
    for margin, each in ((0.25, 0.25), (0.0, 0.0)):
        value, grad = fl.batch_triplet_loss.value_and_grad(
            x, labels, mining=mining, metric=metric, margin=margin, reduction="mean"
        )
        assert value == each
        assert not grad.any()
    found = fl.mine_triplets(x, labels, mining="hard", metric=metric)
    assert found.positives.tolist() == [3, 4, 5] + [0, 1, 2] * 3
    assert found.negatives.tolist() == [1, 0, 0] * 4


@METRIC
def test_near_duplicates_are_exact(metric):
    """Far from the origin and close together: a product alone would leave nothing of their distances."""
    rng = np.random.default_rng(9)
    x = (rng.standard_normal((4, 64))[[0, 0, 0, 1, 1, 1, 2, 2, 3, 3]] * 10).astype(np.float32)
    x += (1e-5 * rng.standard_normal(x.shape)).astype(np.float32)
    labels = np.array([0, 0, 1, 1, 1, 0, 0, 1, 1, 0])
    for mining in ("hard", "semihard", "easy", "all"):
        options = {"mining": mining, "metric": metric, "margin": 1e-3, "normalize": False}
        value, grad = fl.batch_triplet_loss.value_and_grad(x, labels, reduction="sum", **options)
        assert near(value, oracle.loss(x, labels, reduction="sum", **options), 3e-6)
        assert near(grad, oracle.gradient(x, labels, **options)[0], 3e-5)


def test_zero_vectors():
    x, labels, *_ = batch(10, rows=20)
    x[[2, 5, 11]] = 0.0
    for metric, normalize in (("cosine", False), ("euclidean", True), ("euclidean", False)):
        for mining in ("hard", "semihard", "easy", "all"):
            options = {"mining": mining, "metric": metric, "margin": 0.5, "normalize": normalize}
            value, grad = fl.batch_triplet_loss.value_and_grad(x, labels, reduction="sum", **options)
            assert near(value, oracle.loss(x, labels, reduction="sum", **options), 1e-12)
            assert near(grad, oracle.gradient(x, labels, **options)[0], 1e-11)


# Batches without triplets, of any size.


@MINING
@pytest.mark.parametrize("reduction", ("mean", "sum", "mean_nonzero"))
@pytest.mark.parametrize(
    "labels", ([], [3], [1, 1, 1, 1], [0, 1, 2, 3]), ids=("none", "one row", "one class", "all distinct")
)
def test_batches_without_triplets_cost_nothing(mining, reduction, labels):
    x = np.random.default_rng(0).standard_normal((len(labels), 3))
    labels = np.array(labels, np.int64)
    value, grad = fl.batch_triplet_loss.value_and_grad(x, labels, mining=mining, reduction=reduction)
    assert value == 0.0
    assert grad.shape == x.shape
    assert not grad.any()
    assert np.array_equal(fl.batch_triplet_loss(x, labels, mining=mining, reduction="none"), np.zeros(len(labels)))
    found = fl.mine_triplets(x, labels, mining=mining)
    assert [len(part) for part in found[:3]] == [0, 0, 0]
    assert found.active == 0


@MINING
def test_anchors_without_triplets_count_nothing(mining):
    x, _, y, _ = batch(11, rows=6, references=5)
    labels, others = np.array([0, 0, 1, 2, 9, 9]), np.array([0, 1, 1, 5, 5])
    rows = fl.batch_triplet_loss(
        x, labels, mining=mining, margin=9.0, reduction="none", references=y, reference_labels=others
    )
    assert np.array_equal(rows > 0, [True, True, True, False, False, False])
    rows = fl.batch_triplet_loss(x, labels, mining=mining, margin=9.0, reduction="none")
    assert np.array_equal(rows > 0, [True, True, False, False, True, True])
    empty = fl.batch_triplet_loss(x, labels, mining=mining, references=y[:0], reference_labels=others[:0])
    assert empty == 0.0


@MINING
def test_vectors_without_elements(mining):
    assert fl.batch_triplet_loss(np.empty((4, 0)), np.array([0, 0, 1, 1]), mining=mining) == 0.2


# Numbers of any size.


@MINING
@pytest.mark.parametrize("dtype", (np.float64, np.float32))
@pytest.mark.parametrize("power", (-90, 60))
def test_scale(mining, dtype, power):
    """Powers of two come out exactly: no square overflows or vanishes."""
    x, labels, *_ = batch(12, dtype=dtype)
    options = {"mining": mining, "reduction": "sum", "margin": 0.0}
    value, grad = fl.batch_triplet_loss.value_and_grad(x, labels, **options)
    large, same_grad = fl.batch_triplet_loss.value_and_grad(np.ldexp(x, power), labels, **options)
    assert large == np.ldexp(value, power)
    assert same_bits(same_grad, grad)


@MINING
@pytest.mark.parametrize("bad", (np.nan, np.inf))
def test_what_is_not_finite(mining, bad):
    x, labels, *_ = batch(13)
    x[4, 1] = bad
    value, grad = fl.batch_triplet_loss.value_and_grad(x, labels, mining=mining)
    assert np.isnan(value)
    assert np.isnan(grad).all()
    with pytest.raises(ValueError, match="not finite"):
        fl.mine_triplets(x, labels, mining=mining)
    assert fl.batch_triplet_loss(x, np.zeros(len(x), int), mining=mining) == 0.0


# Threads, layouts, kinds of arrays.


@MINING
@pytest.mark.parametrize("margin", (0.2, "soft"))
def test_the_bits_do_not_depend_on_threads(mining, margin, monkeypatch):
    monkeypatch.setattr(_points, "STRIP_NUMBERS", 1 << 14)
    monkeypatch.setattr(_triplets, "PAIRS", 1 << 12)
    x, labels, y, others = batch(14, rows=500, references=600, width=24, labels=12, dtype=np.float32)
    given = [{}, {"references": y, "reference_labels": others, "wrt": ("embeddings", "references")}]
    before = fl.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3, 3):
            fl.set_num_threads(threads)
            found = []
            for options in given:
                value, grads = fl.batch_triplet_loss.value_and_grad(x, labels, mining=mining, margin=margin, **options)
                found += [value, *(grads if isinstance(grads, tuple) else (grads,))]
            found += fl.mine_triplets(x, labels, mining=mining, margin=margin)[:3] if margin == 0.2 else []
            results.append(found)
    finally:
        fl.set_num_threads(before)
    assert len(_points.prepare(x, None, "euclidean", False, 1).strips()) > 8
    for other in results[1:]:
        assert all(same_bits(np.asarray(a), np.asarray(b)) for a, b in zip(results[0], other, strict=True))


@MINING
def test_strips_and_pieces_change_nothing_but_rounding(mining, monkeypatch):
    x, labels, *_ = batch(15, rows=300, width=16, labels=6)
    options = {"mining": mining, "reduction": "sum"}
    value, grad = fl.batch_triplet_loss.value_and_grad(x, labels, **options)
    monkeypatch.setattr(_points, "STRIP_NUMBERS", 1)
    monkeypatch.setattr(_triplets, "PAIRS", 1)
    again, same_grad = fl.batch_triplet_loss.value_and_grad(x, labels, **options)
    assert again == pytest.approx(value, rel=1e-13)
    assert near(same_grad, grad, 1e-12)


def test_layouts_and_dtypes():
    x, labels, *_ = batch(16, rows=30, dtype=np.float32)
    value, grad = fl.batch_triplet_loss.value_and_grad(x, labels)
    frozen = x.copy()
    frozen.flags.writeable = False
    wide = np.repeat(x, 2, axis=1)[:, ::2]
    for same in (np.asfortranarray(x), x[::-1][::-1], wide, frozen):
        again, other = fl.batch_triplet_loss.value_and_grad(same, labels.astype(np.int16))
        assert again == value
        assert same_bits(other, grad)
    for dtype in (np.float16, ml_dtypes.bfloat16):
        low, other = fl.batch_triplet_loss.value_and_grad(x.astype(dtype), labels)
        expected = fl.batch_triplet_loss.value_and_grad(x.astype(dtype).astype(np.float32), labels)
        assert low == expected[0]
        assert other.dtype == dtype
        assert same_bits(other, expected[1].astype(dtype))


@MINING
def test_torch(mining):
    x, labels, y, others = batch(17, rows=30, references=20, dtype=np.float32)
    options = {"mining": mining, "references": y, "reference_labels": others}
    value, grads = fl.batch_triplet_loss.value_and_grad(x, labels, wrt=("embeddings", "references"), **options)
    tensors = [torch.tensor(array, requires_grad=True) for array in (x, y)]
    options = {"mining": mining, "references": tensors[1], "reference_labels": torch.tensor(others)}
    result = fl.batch_triplet_loss(tensors[0], torch.tensor(labels), **options)
    result.backward(torch.tensor(0.5))
    assert result.item() == value
    for tensor, grad in zip(tensors, grads, strict=True):
        assert np.array_equal(tensor.grad.numpy(), 0.5 * grad)
    found = fl.mine_triplets(tensors[0], torch.tensor(labels), **options)
    assert all(part.dtype == torch.int64 for part in found[:3])
    rows = torch.arange(len(x))[found.anchors]
    assert torch.equal(rows, found.anchors)


@pytest.mark.parametrize("margin", (0.2, "soft"))
def test_against_eager_pytorch(margin):
    """Batch-hard and batch-all as they are written with cdist and masks."""
    x, labels, *_ = batch(18, rows=64, width=16, labels=8)
    labels = torch.tensor(labels)
    alike = labels[:, None] == labels
    positive = alike & ~torch.eye(64, dtype=torch.bool)
    for mining in ("hard", "all"):
        leaf = torch.tensor(x, requires_grad=True)
        d = torch.cdist(leaf, leaf, compute_mode="donot_use_mm_for_euclid_dist")
        if mining == "hard":
            difference = d.masked_fill(~positive, -1.0).amax(1) - d.masked_fill(alike, torch.inf).amin(1)
        else:
            difference = (d[:, :, None] - d[:, None, :])[positive[:, :, None] & ~alike[:, None, :]]
        soft = margin == "soft"
        losses = torch.nn.functional.softplus(difference) if soft else torch.relu(difference + margin)
        losses.mean().backward()
        own = torch.tensor(x, requires_grad=True)
        value = fl.batch_triplet_loss(own, labels, mining=mining, margin=margin)
        value.backward()
        assert value.item() == pytest.approx(losses.mean().item(), rel=1e-12)
        assert near(own.grad, leaf.grad, 1e-11)


@MINING
@pytest.mark.parametrize("half", (False, True))
def test_triplets_on_request_are_those_of_the_loss(mining, half):
    x, labels, y, reference_labels = batch(7, rows=40, references=30)
    options = {"mining": mining, "margin": 0.4, "references": y, "reference_labels": reference_labels}
    expected = fl.mine_triplets(x, labels, **options)
    assert 0 < expected.active <= len(expected.anchors)
    loss, triplets = fl.batch_triplet_loss(x, labels, return_triplets=True, **options)
    assert same_bits(loss, fl.batch_triplet_loss(x, labels, **options))
    assert triplets.active == expected.active
    assert all(same_bits(found, wanted) for found, wanted in zip(triplets[:3], expected[:3], strict=True))
    (again, triplets), grad = fl.batch_triplet_loss.value_and_grad(x, labels, return_triplets=True, **options)
    assert same_bits(again, loss)
    assert same_bits(triplets.negatives, expected.negatives)
    assert same_bits(grad, fl.batch_triplet_loss.grad(x, labels, **options))
    assert same_bits(grad, fl.batch_triplet_loss.grad(x, labels, return_triplets=True, **options))
    # Through autograd, whose backward pass mines nothing again; of 16 bits, another path.
    dtype = torch.float16 if half else torch.float64
    rows = torch.tensor(x[:20], dtype=dtype, requires_grad=True)
    module = fl.nn.BatchTripletLoss(mining=mining, margin=0.4, return_triplets=True)
    loss, triplets = module(rows, torch.from_numpy(labels[:20]))
    loss.backward()
    plain = fl.batch_triplet_loss.grad(rows.detach(), torch.from_numpy(labels[:20]), mining=mining, margin=0.4)
    assert torch.equal(rows.grad, plain)
    wanted = fl.mine_triplets(rows.detach(), torch.from_numpy(labels[:20]), mining=mining, margin=0.4)
    assert triplets.active == wanted.active
    assert all(torch.equal(found, listed) for found, listed in zip(triplets[:3], wanted[:3], strict=True))


def test_no_triplets_on_request():
    x, labels, *_ = batch()
    for rows, names in ((x[:0], labels[:0]), (x, np.zeros_like(labels)), (np.full_like(x, np.nan), labels)):
        loss, triplets = fl.batch_triplet_loss(rows, names, return_triplets=True)
        assert np.isnan(loss) == np.isnan(rows).any()
        assert triplets.active == 0
        assert [array.shape for array in triplets[:3]] == [(0,)] * 3
        assert triplets.anchors.dtype == np.int64
    with pytest.raises(ValueError, match="batch_triplet_loss: return_triplets is 'yes'"):
        fl.batch_triplet_loss(x, labels, return_triplets="yes")


def test_triplets_on_request_break_a_compiled_graph():
    rows, labels = torch.tensor(batch()[0]), torch.from_numpy(batch()[1])

    def both(rows):
        return fl.batch_triplet_loss(rows, labels, return_triplets=True)

    loss, triplets = torch.compile(both, backend="eager")(rows)
    assert torch.equal(loss, fl.batch_triplet_loss(rows, labels))
    assert torch.equal(triplets.negatives, fl.mine_triplets(rows, labels).negatives)


@pytest.mark.parametrize("normalize", (False, True))
def test_against_pytorch_metric_learning(normalize):
    """The same triplets and pairs, the same losses and gradients."""
    pytest.importorskip("pytorch_metric_learning")
    from pytorch_metric_learning import distances, losses, miners, reducers

    x, labels, *_ = batch(20, rows=80, width=8, labels=8)
    x, labels = torch.tensor(x), torch.tensor(labels)
    distance = distances.LpDistance(normalize_embeddings=normalize)
    limit = 1.0 if normalize else 3.0
    anchors, positives, _, negatives = miners.BatchEasyHardMiner("easy", "hard", distance=distance)(x, labels)
    mined = {
        "hard": miners.BatchHardMiner(distance=distance)(x, labels),
        "easy": (anchors, positives, negatives),
        "all": miners.TripletMarginMiner(0.2, "all", distance=distance)(x, labels),
    }
    for mining, theirs in mined.items():
        ours = fl.mine_triplets(x, labels, mining=mining, normalize=normalize)[:3]
        assert sorted(zip(*(part.tolist() for part in ours), strict=True)) == sorted(
            zip(*(part.tolist() for part in theirs), strict=True)
        )
    pairs = miners.PairMarginMiner(1.0, limit, distance=distance)(x, labels)
    ours = fl.mine_pairs(x, labels, pos_margin=1.0, neg_margin=limit, normalize=normalize)
    for part in (slice(0, 2), slice(2, 4)):
        assert sorted(zip(*(index.tolist() for index in ours[part]), strict=True)) == sorted(
            zip(*(index.tolist() for index in pairs[part]), strict=True)
        )
    for reduction, reducer in (("mean", reducers.MeanReducer()), ("mean_nonzero", reducers.AvgNonZeroReducer())):
        theirs = losses.TripletMarginLoss(margin=0.2, distance=distance, reducer=reducer)
        for mining in ("hard", "all"):
            leaves = [x.clone().requires_grad_() for _ in range(2)]
            values = (
                theirs(leaves[0], labels, mined["hard"] if mining == "hard" else None),
                fl.batch_triplet_loss(leaves[1], labels, mining=mining, normalize=normalize, reduction=reduction),
            )
            for value in values:
                value.backward()
            assert values[1].item() == pytest.approx(values[0].item(), rel=1e-12)
            assert near(leaves[1].grad, leaves[0].grad, 1e-11)


def test_mistakes():
    x, labels, y, others = batch(19, references=4)
    call = fl.batch_triplet_loss
    for options, message in (
        ({"mining": "hardest"}, "mining is 'hardest', expected one of 'hard', 'semihard', 'easy', 'all'"),
        ({"margin": "hard"}, "margin is 'hard', expected a number or 'soft'"),
        ({"margin": np.inf}, "margin is inf"),
        ({"metric": "l2"}, "metric is 'l2'"),
        ({"reduction": "max"}, "reduction is 'max', expected one of 'none', 'mean', 'sum', 'mean_nonzero'"),
        ({"references": y}, "references is given without reference_labels"),
        ({"reference_labels": others}, "reference_labels is given without references"),
        ({"references": y[:, :2], "reference_labels": others}, r"references has shape \(4, 2\), expected \(N, 5\)"),
        ({"references": y, "reference_labels": labels}, r"reference_labels has shape \(23,\), expected \(4,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call(x, labels, **options)
    with pytest.raises(ValueError, match=r"labels has shape \(22,\), expected \(23,\)"):
        call(x, labels[1:])
    with pytest.raises(TypeError, match="labels has dtype float64"):
        call(x, labels * 1.0)
    with pytest.raises(TypeError, match="embeddings has dtype int64"):
        call(labels[:, None], labels)
    with pytest.raises(TypeError, match="give all of one kind"):
        call(x, torch.tensor(labels))
    with pytest.raises(ValueError, match="wrt names references, which is not given"):
        call.grad(x, labels, wrt="references")
    with pytest.raises(NotImplementedError, match="no gradient with respect to labels"):
        call.grad(x, labels, wrt="labels")
    with pytest.raises(ValueError, match="mine_triplets: mining is 'none'"):
        fl.mine_triplets(x, labels, mining="none")
    with pytest.raises(TypeError, match="mine_pairs: labels is None"):
        fl.mine_pairs(x, None)
