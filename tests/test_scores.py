"""Margin losses over classes and losses of several labels: against PyTorch, their definitions, and other systems.

Bounds are in units in the last place of the larger of the result and its terms, which differences of scores cancel.
"""

import numpy as np
import oracle_scores as oracle
import pytest
import torch
import torch.nn.functional as F
from cases import DTYPES, assert_close, same_bits

import fastloss as fl
import fastloss.nn

NAN, INF = float("nan"), float("inf")
REDUCTIONS = pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
WIDE = pytest.mark.parametrize("dtype", ["float32", "float64"])
SHAPES = pytest.mark.parametrize("shape", [(7, 5), (5, 90), (6,), (3, 2)], ids=str)


def draw(shape, dtype="float64", seed=0):
    """Scores, some exactly at a margin of 1, and class indices."""
    rng = np.random.default_rng(seed)
    classes = shape[1] if len(shape) > 1 else shape[0]
    x = np.round(rng.normal(0, 2, shape) * 4) / 4
    return x.astype(DTYPES[dtype]), rng.integers(0, classes, shape[:1] if len(shape) > 1 else ())


def labels(shape, seed=0, repeated=False):
    """Lists of class indices, padded with -1, junk behind the padding."""
    rng = np.random.default_rng(seed)
    classes = shape[-1]
    order = rng.integers(0, classes, shape) if repeated else np.argsort(rng.random(shape), -1)
    count = rng.integers(0, min(classes, 6) + 1, (*shape[:-1], 1))
    return np.where(np.arange(classes) == count, -1, order)


def against(ours, theirs, x, *rest, rtol, upstream=0.75):
    """Value, dtype, shape and gradient through autograd."""
    mine, its = (torch.tensor(x, requires_grad=True) for _ in range(2))
    got, want = ours(mine, *rest), theirs(its, *rest)
    assert got.shape == want.shape
    torch.testing.assert_close(got, want, rtol=rtol, atol=rtol)
    got.backward(torch.full_like(got, upstream))
    want.backward(torch.full_like(want, upstream))
    torch.testing.assert_close(mine.grad, its.grad, rtol=rtol, atol=rtol)


RTOL = {"float32": 2e-6, "float64": 1e-14}


@SHAPES
@REDUCTIONS
@WIDE
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("margin", [1.0, 0.25, -0.5])
def test_multi_margin_is_that_of_pytorch(shape, reduction, dtype, p, margin):
    x, t = draw(shape, dtype)
    target = torch.tensor(t)
    classes = shape[-1]
    weight = torch.linspace(0.5, 2, classes, dtype=getattr(torch, dtype))
    for w in (None, weight):
        against(
            lambda a, y, w=w: fl.multi_margin_loss(a, y, p, margin, w, reduction=reduction),
            lambda a, y, w=w: F.multi_margin_loss(a, y, p, margin, w, reduction=reduction),
            x,
            target,
            rtol=4 * RTOL[dtype],
        )


@SHAPES
@REDUCTIONS
@WIDE
@pytest.mark.parametrize("repeated", [False, True])
def test_multilabel_margin_is_that_of_pytorch(shape, reduction, dtype, repeated):
    x, _ = draw(shape, dtype)
    target = torch.tensor(labels(shape, repeated=repeated))
    against(
        lambda a, y: fl.multilabel_margin_loss(a, y, reduction=reduction),
        lambda a, y: F.multilabel_margin_loss(a, y, reduction=reduction),
        x,
        target,
        rtol=8 * RTOL[dtype],
    )


@SHAPES
@REDUCTIONS
@WIDE
def test_multilabel_soft_margin_is_that_of_pytorch(shape, reduction, dtype):
    x, _ = draw(shape, dtype)
    rng = np.random.default_rng(1)
    target = torch.tensor((rng.random(shape) < 0.4).astype(dtype))
    soft = torch.tensor(rng.random(shape).astype(dtype))
    weights = [None, torch.linspace(0.5, 2, shape[-1], dtype=getattr(torch, dtype))]
    if len(shape) > 1:
        weights.append(torch.linspace(0.5, 2, shape[0], dtype=getattr(torch, dtype))[:, None])
    for y in (target, soft):
        for w in weights:
            against(
                lambda a, y, w=w: fl.multilabel_soft_margin_loss(a, y, w, reduction=reduction),
                lambda a, y, w=w: F.multilabel_soft_margin_loss(a, y, w, reduction=reduction),
                x,
                y,
                rtol=4 * RTOL[dtype],
            )
    # By the target.
    against(
        lambda y, a: fl.multilabel_soft_margin_loss(a, y, reduction=reduction),
        lambda y, a: F.multilabel_soft_margin_loss(a, y, reduction=reduction),
        soft.numpy(),
        torch.tensor(x),
        rtol=4 * RTOL[dtype],
    )


def test_multilabel_soft_margin_of_images_takes_the_last_axis():
    x, _ = draw((3, 20))
    x = x.reshape(3, 4, 5)
    t = (x > 0.5).astype(float)
    want = F.multilabel_soft_margin_loss(torch.tensor(x), torch.tensor(t), reduction="none")
    got = fl.multilabel_soft_margin_loss(x, t, reduction="none")
    np.testing.assert_allclose(got, want.numpy(), rtol=1e-14)
    moved = fl.multilabel_soft_margin_loss(np.moveaxis(x, 2, 1), np.moveaxis(t, 2, 1), axis=1, reduction="none")
    np.testing.assert_allclose(moved, got, rtol=1e-14)
    np.testing.assert_allclose(
        fl.multilabel_soft_margin_loss(x, t), fl.binary_cross_entropy_with_logits(x, t), rtol=1e-14
    )


# Definitions.


@pytest.mark.parametrize("shape", [(4, 5), (3, 67)], ids=str)
@WIDE
@pytest.mark.parametrize("margin", [1.0, 0.3])
def test_the_definitions(shape, dtype, margin):
    rng = np.random.default_rng(3)
    x = rng.normal(0, 2, shape).astype(dtype)
    t = rng.integers(0, shape[1], shape[0])
    terms = margin + 2 * np.abs(x).max()
    for formula, options in (
        (oracle.multi_margin_loss, {"p": 1}),
        (oracle.multi_margin_loss, {"p": 2}),
        (oracle.crammer_singer_loss, {}),
    ):
        want, slopes = oracle.rows(formula, x, t, margin=margin, **options)
        function = getattr(fl, formula.__name__)
        value, grad = function.value_and_grad(x, t, margin=margin, reduction="none", **options)
        size = terms ** options.get("p", 1)
        assert_close(value, want, ulps=2, dtype=dtype, magnitude=np.maximum(np.abs(want), size))
        assert_close(grad, slopes, ulps=2, dtype=dtype, magnitude=np.maximum(np.abs(slopes), terms))


def test_the_slope_of_crammer_and_singer_is_shared_among_the_largest():
    x = np.array([[1.0, 3.0, 3.0, 0.0], [2.0, 1.0, 1.0, 1.0], [3.0, 3.0, 1.0, 3.0], [0.0, 1.0, 1.0, 0.5]])
    value, grad = fl.crammer_singer_loss.value_and_grad(x, np.array([0, 0, 1, 1]), reduction="none")
    assert value.tolist() == [3.0, 0.0, 1.0, 1.0]
    assert grad.tolist() == [[-1, 0.5, 0.5, 0], [0, 0, 0, 0], [0.5, -1, 0, 0.5], [0, -1, 1, 0]]
    # A margin that is exactly met has no slope.
    value, grad = fl.crammer_singer_loss.value_and_grad(np.array([[2.0, 1.0]]), np.array([0]))
    assert value == 0.0
    assert not grad.any()


@pytest.mark.parametrize("shape", [(40, 4), (30, 80), (3, 6, 5, 4), (4,)], ids=str)
@WIDE
def test_the_first_of_equal_scores_is_the_prediction(shape, dtype):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, shape).astype(dtype)
    axis = 1 if len(shape) > 1 else 0
    t = rng.integers(0, shape[axis], shape[:axis] + shape[axis + 1 :])
    want = (x.argmax(axis) != t).astype(dtype)
    got = fl.zero_one_loss(x, t, reduction="none")
    assert got.dtype == DTYPES[dtype]
    np.testing.assert_array_equal(got, want)
    assert fl.zero_one_loss(x, t) == pytest.approx(want.mean(), rel=1e-6)
    assert fl.zero_one_loss(x, x.argmax(axis)) == 0.0
    last = np.moveaxis(x, axis, -1)
    np.testing.assert_array_equal(fl.zero_one_loss(last, t, axis=-1, reduction="none"), want)


def test_plain_scores_are_compared_with_signs():
    x = np.array([2.0, -1.0, 0.0, -0.0, 3.0, -INF, 1e-320, INF])
    y = np.array([1.0, -1.0, 1.0, -1.0, -1.0, -1.0, 1.0, -1.0])
    want = [0, 0, 1, 1, 1, 0, 0, 1]
    for target in (y, y.astype(np.int64), y.astype(np.int8)):
        assert fl.zero_one_loss(x, target, reduction="none").tolist() == want
    assert fl.zero_one_loss(x.reshape(4, 2), y.reshape(4, 2)) == 0.5
    assert fl.zero_one_loss(np.float64(1.0), np.float64(-1.0)) == 1.0
    assert np.isnan(fl.zero_one_loss(np.array([NAN]), np.array([1.0])))
    assert np.isnan(fl.zero_one_loss(np.array([1.0]), np.array([NAN])))
    weight = np.arange(8.0)
    got = fl.zero_one_loss(x, y, sample_weight=weight)
    np.testing.assert_allclose(got, (np.array(want) * weight).sum() / 28)


def test_the_error_rate_counts_what_counts():
    x = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    t = np.array([1, 1, -100, 0])
    assert fl.zero_one_loss(x, t, reduction="none").tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(fl.zero_one_loss(x, t), 2 / 3)
    np.testing.assert_allclose(fl.zero_one_loss(x, t, sample_weight=np.array([3.0, 1, 5, 0])), 0.25)
    x[3, 0] = NAN
    assert np.isnan(fl.zero_one_loss(x, t))
    assert fl.zero_one_loss(x, np.array([1, 1, 0, -100])) == pytest.approx(1 / 3)


@pytest.mark.parametrize("wrt", [None, "input", ("input",), "target"], ids=str)
def test_the_error_rate_has_no_gradient(wrt):
    x, t = np.zeros((2, 3)), np.zeros(2, int)
    for arrays in ((x, t), (torch.tensor(x), torch.tensor(t))):
        with pytest.raises(NotImplementedError, match=r"zero_one_loss: no gradient .* piecewise constant"):
            fl.zero_one_loss.value_and_grad(*arrays, wrt=wrt)
        with pytest.raises(NotImplementedError, match="piecewise constant"):
            fl.zero_one_loss.grad(*arrays, wrt=wrt)
    with pytest.raises(NotImplementedError, match="piecewise constant"):
        fl.zero_one_loss(torch.tensor(x, requires_grad=True), torch.tensor(t))


# Extremes and departures.


def test_infinite_scores():
    x = np.array([[0.0, -INF, -INF], [INF, 0.0, 1.0], [INF, INF, 0.0], [0.0, INF, 0.0], [-INF, 0.0, 0.0], [-INF] * 3])
    t = np.zeros(6, int)
    np.testing.assert_array_equal(fl.multi_margin_loss(x, t, reduction="none"), [0, 0, 1 / 3, INF, INF, 2 / 3])
    np.testing.assert_array_equal(fl.crammer_singer_loss(x, t, reduction="none"), [0, 0, 1, INF, INF, 1])
    for name in ("multi_margin_loss", "crammer_singer_loss"):
        grad = getattr(fl, name).grad(x, t, reduction="none")
        assert np.isfinite(grad).all()
        assert not grad[:2].any()


@pytest.mark.parametrize("p", (1, 2))
def test_an_infinite_margin(p):
    x, target = torch.tensor([[1.0, 2.0, 3.0], [0.5, 0.0, -1.0]], requires_grad=True), torch.tensor([1, 0])
    expected = torch.autograd.grad(F.multi_margin_loss(x, target, p, INF), x)[0]
    loss = fl.multi_margin_loss(x, target, p, INF)
    assert loss == INF
    np.testing.assert_allclose(torch.autograd.grad(loss, x)[0].numpy(), expected.numpy(), rtol=1e-6)


@pytest.mark.parametrize("name", ["multi_margin_loss", "crammer_singer_loss"])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("classes", [3, 80])
def test_a_nan_score_gives_nan(name, place, classes):
    x = np.zeros((2, classes))
    x[1, place] = NAN
    t = np.zeros(2, int)
    value = getattr(fl, name)(x, t, reduction="none")
    assert np.isnan(value).tolist() == [False, True]
    assert np.isfinite(getattr(fl, name)(x, np.array([0, -100])))


def test_a_nan_among_labels_gives_nan():
    x = np.array([[NAN, 0.0, 1.0], [0.0, NAN, 1.0], [0.0, 1.0, 2.0]])
    t = np.array([[0, -1, -1], [0, -1, -1], [0, -1, -1]])
    assert np.isnan(fl.multilabel_margin_loss(x, t, reduction="none")).tolist() == [True, True, False]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scores_far_apart(dtype):
    largest = float(np.finfo(dtype).max)
    x = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0], [largest, 0.0, 1.0], [1e-40, 0.0, -0.0]], dtype)
    t = np.zeros(4, int)
    third = DTYPES[dtype].type
    want = np.array([0, (20001 + 10001) / 3, 0, 2 / 3])
    np.testing.assert_allclose(fl.multi_margin_loss(x, t, reduction="none"), want.astype(third), rtol=1e-6)
    np.testing.assert_allclose(fl.crammer_singer_loss(x, t, reduction="none"), [0, 20001, 0, 1], rtol=1e-6)


def test_a_violation_that_is_small_beside_the_margin_is_kept():
    """The label's own term, the margin, is added with the others and taken away again, without a trace."""
    x = np.zeros((1, 80))
    x[0, 0] = 1.0
    x[0, 3] = 2.0**-50
    assert fl.multi_margin_loss(x, np.array([0])) == 2.0**-50 / 80
    x[0, 3] = 0.0
    assert fl.multi_margin_loss(x, np.array([0])) == 0.0
    assert fl.multi_margin_loss(x, np.array([0]), 2) == 0.0


def test_the_label_alone_costs_nothing():
    x, t = np.array([[3.0], [-2.0]]), np.zeros(2, int)
    for name in ("multi_margin_loss", "crammer_singer_loss"):
        value, grad = getattr(fl, name).value_and_grad(x, t)
        assert value == 0.0
        assert not grad.any()
    assert fl.multilabel_margin_loss(x, t[:, None]) == 0.0
    assert fl.zero_one_loss(x, t) == 0.0


# Identities.


@pytest.mark.parametrize("classes", [5, 90])
def test_the_sum_of_hinges_is_the_multiclass_svm_hinge(classes):
    x, t = draw((8, classes))
    right = x[np.arange(8), t][:, None]
    wrong = np.ones_like(x, bool)
    wrong[np.arange(8), t] = False
    hinges = np.where(wrong, np.maximum(1 - (right - x), 0), 0)
    np.testing.assert_allclose(classes * fl.multi_margin_loss(x, t, reduction="none"), hinges.sum(1), rtol=1e-13)
    np.testing.assert_allclose(fl.crammer_singer_loss(x, t, reduction="none"), hinges.max(1), rtol=1e-13)
    # One label: multilabel_margin_loss is multi_margin_loss.
    only = np.full(x.shape, -1)
    only[:, 0] = t
    np.testing.assert_allclose(fl.multilabel_margin_loss(x, only), fl.multi_margin_loss(x, t), rtol=1e-13)


def test_each_bounds_the_error_rate():
    x, t = draw((200, 6))
    errors = fl.zero_one_loss(x, t, reduction="none")
    assert (errors <= fl.crammer_singer_loss(x, t, reduction="none")).all()
    assert (errors <= 6 * fl.multi_margin_loss(x, t, reduction="none")).all()
    assert (errors <= fl.cross_entropy(x, t, reduction="none") / np.log(2) + 1e-12).all()


def test_multi_hot_and_index_targets_are_two_things():
    x, _ = draw((4, 3))
    hot = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0, 0]])
    lists = np.array([[0, 2, -1], [1, -1, -1], [0, 1, 2], [-1, -1, -1]])
    margins = fl.multilabel_margin_loss(x, lists, reduction="none")
    assert margins[2] == margins[3] == 0.0
    assert not np.allclose(margins, fl.multilabel_margin_loss(x, hot, reduction="none"))


# Memory.


@pytest.mark.parametrize("name", ["multi_margin_loss", "crammer_singer_loss"])
@pytest.mark.parametrize("shape", [(3, 7, 5, 6), (2, 70, 4)], ids=str)
def test_the_class_axis_is_the_second(name, shape):
    rng = np.random.default_rng(0)
    x = rng.normal(0, 2, shape)
    t = rng.integers(0, shape[1], shape[:1] + shape[2:])
    flat = np.moveaxis(x, 1, -1).reshape(-1, shape[1])
    want, slopes = getattr(fl, name).value_and_grad(flat, t.reshape(-1))
    value, grad = getattr(fl, name).value_and_grad(x, t)
    np.testing.assert_allclose(value, want, rtol=1e-13)
    np.testing.assert_allclose(np.moveaxis(grad, 1, -1).reshape(flat.shape), slopes, rtol=1e-13, atol=1e-17)
    moved = getattr(fl, name)(np.moveaxis(x, 1, -1), t, axis=-1)
    np.testing.assert_allclose(moved, want, rtol=1e-13)


def layouts(array):
    """The array itself, and the same numbers elsewhere in memory."""
    yield array
    yield np.asfortranarray(array)
    wide = np.zeros(tuple(2 * n for n in array.shape), array.dtype)
    strided = wide[tuple(slice(None, None, -2) for _ in array.shape)]
    strided[...] = array
    yield strided


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_lists_of_labels_in_any_layout(axis):
    x = np.round(np.random.default_rng(0).normal(0, 2, (3, 6, 4)) * 4) / 4
    x = np.moveaxis(x, 1, axis)
    t = np.moveaxis(labels((3, 4, 6)), -1, axis)
    want = F.multilabel_margin_loss(
        torch.tensor(np.moveaxis(x, axis, -1).reshape(-1, 6).copy()),
        torch.tensor(np.moveaxis(t, axis, -1).reshape(-1, 6).copy()),
        reduction="none",
    ).numpy()
    _, slopes = fl.multilabel_margin_loss.value_and_grad(
        np.moveaxis(x, axis, -1).reshape(-1, 6).copy(), np.moveaxis(t, axis, -1).reshape(-1, 6).copy()
    )
    for scores, lists in zip(layouts(x), layouts(t), strict=True):
        got = fl.multilabel_margin_loss(scores, lists, axis=axis, reduction="none")
        np.testing.assert_allclose(got.reshape(-1), want, rtol=1e-14)
        grad = fl.multilabel_margin_loss.grad(scores, lists, axis=axis)
        np.testing.assert_allclose(np.moveaxis(grad, axis, -1).reshape(-1, 6), slopes, rtol=1e-14)
        out = np.full(x.shape, NAN)
        assert fl.multilabel_margin_loss.grad(scores, lists, axis=axis, out=out) is out
        np.testing.assert_array_equal(out, grad)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_error_rate_in_any_layout(axis):
    rng = np.random.default_rng(0)
    x, t = rng.integers(0, 3, (6, 7)).astype(np.float32), rng.integers(0, (6, 7)[axis], (6, 7)[1 - axis])
    want = (x.argmax(axis) != t).astype(np.float32)
    for scores in layouts(x):
        np.testing.assert_array_equal(fl.zero_one_loss(scores, t, axis=axis, reduction="none"), want)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bits_are_rounded_once(dtype):
    for shape in ((20, 6), (9, 70)):
        x, t = draw(shape, dtype)
        x = x * DTYPES[dtype].type(1.1)
        wide = x.astype(np.float32)
        hot = (wide > 0).astype(np.float32)
        calls = [
            (fl.multi_margin_loss, t, t),
            (fl.crammer_singer_loss, t, t),
            (fl.multilabel_margin_loss, labels(shape), labels(shape)),
            (fl.multilabel_soft_margin_loss, hot.astype(DTYPES[dtype]), hot),
        ]
        for function, narrow, single in calls:
            value, grad = function.value_and_grad(x, narrow, reduction="none")
            want, slopes = function.value_and_grad(wide, single, reduction="none")
            assert same_bits(value, want.astype(DTYPES[dtype])), function.__name__
            assert same_bits(grad, slopes.astype(DTYPES[dtype])), function.__name__
        assert same_bits(
            fl.zero_one_loss(x, t, reduction="none"), fl.zero_one_loss(wide, t, reduction="none").astype(DTYPES[dtype])
        )


def test_the_same_bits_from_any_number_of_threads():
    x, t = draw((900, 120), "float32")
    x = x * np.float32(1.1)
    hot, lists = (x > 0).astype(np.float32), labels((900, 120))
    calls = [(fl.multi_margin_loss, t), (fl.crammer_singer_loss, t), (fl.multilabel_margin_loss, lists)]
    calls.append((fl.multilabel_soft_margin_loss, hot))
    before = fl.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            fl.set_num_threads(threads)
            results.append([*(function.value_and_grad(x, y) for function, y in calls), (fl.zero_one_loss(x, t), x[:0])])
    finally:
        fl.set_num_threads(before)
    for again in results[1:]:
        for (value, grad), (want, slopes) in zip(again, results[0], strict=True):
            assert same_bits(value, want)
            assert same_bits(grad, slopes)


@pytest.mark.parametrize(
    "name", ["multi_margin_loss", "crammer_singer_loss", "zero_one_loss", "multilabel_margin_loss"]
)
def test_nothing(name):
    t = np.zeros((0, 3) if "multilabel" in name else 0, int)
    function = getattr(fl, name)
    assert np.isnan(function(np.zeros((0, 3)), t))
    assert function(np.zeros((0, 3)), t, empty="zero") == 0.0
    assert function(np.zeros((0, 3)), t, reduction="sum") == 0.0
    with pytest.raises(ValueError, match=f"{name}: input has shape .* no classes"):
        function(np.zeros((2, 0)), np.zeros((2, 0) if "multilabel" in name else 2, int))


# What is refused.


@pytest.mark.parametrize("name", ["multi_margin_loss", "crammer_singer_loss", "zero_one_loss"])
def test_impossible_classes_are_refused(name):
    x = np.zeros((3, 4))
    function = getattr(fl, name)
    for bad in (4, -1, 2**40):
        with pytest.raises(IndexError, match=rf"{name}: target\[1\] is {bad}, expected a class in \[0, 4\)"):
            function(x, np.array([0, bad, 5]))
    assert np.isfinite(function(x, np.array([0, 9, 1]), ignore_index=9))
    with pytest.raises(TypeError, match=f"{name}: target has dtype float64, expected an integer"):
        function(x, np.zeros(3))
    with pytest.raises(ValueError, match=f"{name}: target .class indices. has shape"):
        function(x, np.zeros((3, 1), int))
    with pytest.raises(TypeError, match="ignore_index is of type float"):
        function(x, np.zeros(3, int), ignore_index=0.5)


def test_impossible_labels_are_refused():
    """Also behind the padding, as in PyTorch."""
    x = np.zeros((2, 3))
    for bad in ([0, 3, -1], [0, -1, 3], [0, -2, 1], [-1, -1, -5]):
        t = np.array([[0, -1, -1], bad])
        with pytest.raises(RuntimeError, match="out of range"):
            F.multilabel_margin_loss(torch.tensor(x), torch.tensor(t))
        with pytest.raises(IndexError, match=r"multilabel_margin_loss: target\[1\] holds (3|-2|-5), expected classes"):
            fl.multilabel_margin_loss(x, t)
    with pytest.raises(ValueError, match=r"target has shape .2, 2., expected .2, 3., that of the input"):
        fl.multilabel_margin_loss(x, np.zeros((2, 2), int))
    with pytest.raises(TypeError, match="target has dtype float64"):
        fl.multilabel_margin_loss(x, np.zeros((2, 3)))


def test_pytorch_refuses_the_same_options():
    x, t = np.zeros((2, 3)), np.zeros(2, int)
    for options in ({"p": 3}, {"weight": np.ones((2, 3))}, {"reduction": "other"}):
        given = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        with pytest.raises(ValueError):
            F.multi_margin_loss(torch.tensor(x), torch.tensor(t), **given)
        with pytest.raises(ValueError, match="multi_margin_loss: "):
            fl.multi_margin_loss(x, t, **options)
    with pytest.raises(NotImplementedError, match="multi_margin_loss: no gradient with respect to weight"):
        fl.multi_margin_loss.grad(x, t, weight=np.ones(3), wrt="weight")


# Other systems.


def test_optax():
    optax = pytest.importorskip("optax")
    import jax

    rng = np.random.default_rng(0)
    x, t = rng.normal(0, 2, (16, 7)).astype(np.float32), rng.integers(0, 7, 16)
    want, slopes = jax.value_and_grad(lambda a: optax.losses.multiclass_hinge_loss(a, t).mean())(x)
    value, grad = fl.crammer_singer_loss.value_and_grad(x, t)
    np.testing.assert_allclose(value, want, rtol=1e-6)
    np.testing.assert_allclose(grad, slopes, rtol=1e-6, atol=1e-8)


def test_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    x, t = rng.normal(0, 2, (50, 4)), rng.integers(0, 4, 50)
    np.testing.assert_allclose(fl.crammer_singer_loss(x, t), metrics.hinge_loss(t, x, labels=range(4)), rtol=1e-13)
    np.testing.assert_allclose(fl.zero_one_loss(x, t), metrics.zero_one_loss(t, x.argmax(1)), rtol=1e-13)
    sign = np.where(t > 1, 1, -1)
    np.testing.assert_allclose(fl.zero_one_loss(x[:, 0], sign), metrics.zero_one_loss(sign, np.sign(x[:, 0])))


def test_modules():
    x, t = torch.randn(4, 5), torch.tensor([0, 1, 2, 3])
    weight = torch.rand(5)
    module = fastloss.nn.MultiMarginLoss(p=2, margin=0.5, weight=weight)
    torch.testing.assert_close(module(x, t), torch.nn.MultiMarginLoss(2, 0.5, weight)(x, t))
    assert "weight" in dict(module.named_buffers())
    soft = fastloss.nn.MultiLabelSoftMarginLoss(weight=weight)
    hot = F.one_hot(t, 5).float()
    torch.testing.assert_close(soft(x, hot), torch.nn.MultiLabelSoftMarginLoss(weight)(x, hot))
    lists = torch.tensor([[0, 2, -1, -1, -1]] * 4)
    torch.testing.assert_close(fastloss.nn.MultiLabelMarginLoss()(x, lists), torch.nn.MultiLabelMarginLoss()(x, lists))
