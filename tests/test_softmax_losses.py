"""Losses of a softmax: against their definitions in mpmath, PyTorch compositions, other systems, and each other.

Bounds are in units in the last place of the larger of the result and its terms. A softmax rounds x - max, which exp
turns into a relative error of |x - max| / 2 ulp: the random logits here are within 12 of each other.
"""

import itertools

import numpy as np
import oracle_scores as oracle
import pytest
import torch
import torch.nn.functional as F
from cases import DTYPES, assert_close, same_bits

import fastloss as fl
import fastloss.nn

NAN, INF = float("nan"), float("inf")
MASSES = ("focal_loss", "poly_cross_entropy", "generalized_cross_entropy")
#: Loss, options, kinds of target.
CASES = {
    "focal": ("focal_loss", {}),
    "focal-0": ("focal_loss", {"gamma": 0.0}),
    "focal-half": ("focal_loss", {"gamma": 0.5}),
    "focal-3": ("focal_loss", {"gamma": 3.0, "alpha": 0.25}),
    "focal-2.5": ("focal_loss", {"gamma": 2.5}),
    "focal-smooth": ("focal_loss", {"label_smoothing": 0.1}),
    "focal-smooth-1.5": ("focal_loss", {"gamma": 1.5, "label_smoothing": 0.3, "alpha": 2.0}),
    "poly": ("poly_cross_entropy", {}),
    "poly-2": ("poly_cross_entropy", {"epsilon": 2.0, "label_smoothing": 0.1}),
    "poly-negative": ("poly_cross_entropy", {"epsilon": -1.0}),
    "generalized": ("generalized_cross_entropy", {}),
    "generalized-1": ("generalized_cross_entropy", {"q": 1.0}),
    "generalized-small": ("generalized_cross_entropy", {"q": 1e-3, "label_smoothing": 0.2}),
}
KINDS = ("index", "soft")
VALUE_ULPS = 8
GRADIENT_ULPS = 20


def of_case(case):
    return pytest.param(*CASES[case], id=case)


ALL_CASES = pytest.mark.parametrize(("name", "options"), [of_case(case) for case in CASES])


def draw(shape, kind="index", dtype="float64", seed=0, axis=1):
    """Logits within 12 of each other, and class indices or probabilities."""
    rng = np.random.default_rng(seed)
    axis = axis if len(shape) > 1 else 0
    x = rng.uniform(-6, 6, shape).astype(DTYPES[dtype])
    if kind == "index":
        return x, rng.integers(0, shape[axis], shape[:axis] + shape[axis + 1 :])
    t = np.exp(rng.normal(0, 2, shape))
    return x, (t / t.sum(axis, keepdims=True)).astype(DTYPES[dtype])


def masses(x, t, options):
    """What the terms of the gradient add up to, roughly: nothing here is smaller."""
    q = np.exp(x.astype(np.longdouble) - x.max(1, keepdims=True))
    p = q / q.sum(1, keepdims=True)
    size = 3 + options.get("gamma", 2.0) + abs(options.get("epsilon", 1.0))
    one_hot = np.eye(x.shape[1])[t] if t.ndim == 1 else t
    own = np.abs(one_hot) + options.get("label_smoothing", 0.0) / x.shape[1]
    return size * max(1.0, abs(options.get("alpha", 1.0))) * (p + own * (1 + p))


# Definitions.


@ALL_CASES
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(4, 5), (3, 67)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_definition(name, options, kind, shape, dtype):
    x, t = draw(shape, kind, dtype)
    value, grad = getattr(fl, name).value_and_grad(x, t, reduction="none", **options)
    want, slopes = oracle.rows(getattr(oracle, name), x, t, **options)
    assert_close(value, want, ulps=VALUE_ULPS, dtype=dtype, magnitude=np.abs(want) + 1e-3)
    assert_close(grad, slopes, ulps=GRADIENT_ULPS, dtype=dtype, magnitude=masses(x, t, options))


@ALL_CASES
def test_the_gradient_by_probabilities(name, options):
    x, t = draw((3, 5), "soft")
    _, slopes = oracle.rows(getattr(oracle, name), x, t, wrt="t", **options)
    grad = getattr(fl, name).grad(x, t, reduction="none", wrt="target", **options)
    # A negative epsilon takes 1 - p away from -log p.
    _, logs = oracle.rows(oracle.cross_entropy, x, t, wrt="t")
    assert_close(grad, slopes, ulps=VALUE_ULPS, dtype="float64", magnitude=logs if "epsilon" in options else slopes)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("shape", [(4, 5), (3, 67)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_definition_of_the_divergence(temperature, shape, dtype):
    student, _ = draw(shape, dtype=dtype)
    teacher, _ = draw(shape, dtype=dtype, seed=1)
    want, slopes = oracle.rows(oracle.kl_div_with_logits, student, teacher, temperature=temperature)
    _, by_teacher = oracle.rows(oracle.kl_div_with_logits, student, teacher, wrt="t", temperature=temperature)
    value, grads = fl.kl_div_with_logits.value_and_grad(
        student, teacher, temperature, reduction="none", wrt=("student", "teacher")
    )
    assert_close(value, want, ulps=VALUE_ULPS, dtype=dtype)
    p, q = (np.array([oracle.softmax(list(r))[1] for r in a / temperature], float) for a in (teacher, student))
    # The distances to the maximum, of up to 12, are divided by the temperature before they go to exp.
    ulps = GRADIENT_ULPS / min(1.0, temperature)
    assert_close(grads[0], slopes, ulps=ulps, dtype=dtype, magnitude=temperature * (p + q))
    apart = 1 + np.abs(student - student.max(1)[:, None] - teacher + teacher.max(1)[:, None])
    assert_close(grads[1], by_teacher, ulps=ulps, dtype=dtype, magnitude=p * apart)


@pytest.mark.parametrize("shape", [(4, 5), (3, 67)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_definition_of_entropy(shape, dtype):
    x, t = draw(shape, "soft", dtype)
    want, slopes = oracle.rows(oracle.entropy_loss, x, None)
    value, grad = fl.entropy_loss.value_and_grad(x, reduction="none")
    assert_close(value, want, ulps=VALUE_ULPS, dtype=dtype)
    assert_close(grad, slopes, ulps=GRADIENT_ULPS, dtype=dtype, magnitude=np.full(shape, 0.2))
    want, slopes = oracle.rows(oracle.entropy_of_probabilities, t, None)
    value, grad = fl.entropy_loss.value_and_grad(t, from_logits=False, reduction="none")
    assert_close(value, want, ulps=4, dtype=dtype)
    assert_close(grad, slopes, ulps=4, dtype=dtype, magnitude=np.ones(shape))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(4, 5), (3, 67)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_definition_of_keras(kind, shape, dtype):
    x, t = draw(shape, kind, dtype)
    p = np.exp(x)  # not normalised
    name = "categorical_cross_entropy" if kind == "soft" else "sparse_categorical_cross_entropy"
    want, slopes = oracle.rows(oracle.categorical_cross_entropy, p, t)
    value, grad = getattr(fl, name).value_and_grad(p, t, reduction="none")
    assert_close(value, want, ulps=VALUE_ULPS, dtype=dtype, magnitude=np.abs(want) + 1)
    size = 1 / p.sum(1, keepdims=True, dtype=np.longdouble) + np.abs(slopes)
    assert_close(grad, slopes, ulps=VALUE_ULPS, dtype=dtype, magnitude=size)


# Extremes.

AWKWARD = (
    [0.0, 0.0, 0.0],
    [1e4, 0.0, -1e4],
    [-1e4, 0.0, 1e4],
    [70.0, 0.0, 1.0],  # a loss of 1e-30
    [30.0, -40.0, 0.0],
    [0.0, -INF, 1.0],
    [5.0, -INF, -INF],
    [-INF, 0.0, -0.0],
    [1e-30, 0.0, -1e-30],
    [88.0, 88.0, -15.0],
)


@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, {}) for name in MASSES), ("focal_loss", {"gamma": 0.5}), ("focal_loss", {"gamma": 5.0})],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("label", [0, 1, 2])
def test_extreme_logits(name, kind, label, options):
    x = np.array(AWKWARD, np.float32)
    t = np.full(len(x), label) if kind == "index" else np.eye(3, dtype=np.float32)[[label] * len(x)]
    value, grad = getattr(fl, name).value_and_grad(x, t, reduction="none", **options)
    for n, logits in enumerate(x):
        want, slopes = oracle.row(getattr(oracle, name), logits, label, **options)
        if logits[label] == -INF:
            # No slope at an infinite loss but that of the others' probabilities; the oracle cannot say it.
            expected = 1 / np.float64(options.get("q", 0.7)) if name == "generalized_cross_entropy" else INF
            assert value[n] == np.float32(expected)
            assert np.isfinite(grad[n]).all()
            continue
        assert_close(value[n], want, ulps=8, dtype="float32", flushed=1)
        terms = np.abs(slopes)
        if kind == "soft":  # p - t: what is left of a 1
            terms = terms + (np.exp(np.float64(logits - logits.max())) > 0.5) * 8
        # q log p is rounded before it goes to exp: |log p| / 2 ulp, of up to 70 here.
        assert_close(grad[n], slopes, ulps=48, dtype="float32", magnitude=terms, flushed=4)


def test_a_confident_row_keeps_its_digits():
    x, t = np.array([[69.0, 0.0, -3.0]], np.float32), np.array([0])
    for name in MASSES:
        want, slopes = oracle.rows(getattr(oracle, name), x, t)
        value, grad = getattr(fl, name).value_and_grad(x, t, reduction="none")
        assert 0 < want[0] < 1e-29
        np.testing.assert_allclose(value, want.astype(np.float64), rtol=2e-6, atol=1e-38)
        np.testing.assert_allclose(grad, slopes.astype(np.float64), rtol=4e-6, atol=1e-37)


def test_a_masked_label_costs_what_is_said():
    x, t = np.array([[0.0, -INF, 0.0]]), np.array([1])
    value, grad = fl.focal_loss.value_and_grad(x, t)
    assert value == INF
    assert grad.tolist() == [[0.5, -1.0, 0.5]]
    value, grad = fl.generalized_cross_entropy.value_and_grad(x, t, q=0.25)
    assert value == 4.0
    assert grad.tolist() == [[0.0, 0.0, 0.0]]
    value, grad = fl.poly_cross_entropy.value_and_grad(x, t)
    assert value == INF
    assert grad.tolist() == [[0.5, -1.0, 0.5]]


@pytest.mark.parametrize("name", MASSES)
@pytest.mark.parametrize("bad", [[INF, 0.0, 0.0], [NAN, 0.0, 0.0], [-INF, -INF, -INF]], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_impossible_logits_give_nan(name, bad, kind):
    x = np.array([[0.0, 1.0, 2.0], bad])
    t = np.array([1, 1]) if kind == "index" else np.full((2, 3), 1 / 3)
    value, grad = getattr(fl, name).value_and_grad(x, t, reduction="none")
    assert np.isfinite(value[0])
    assert np.isfinite(grad[0]).all()
    assert np.isnan(value[1])
    assert np.isnan(grad[1]).any()
    ignored = getattr(fl, name)(x, np.array([1, -100]))
    assert ignored == value[0] if kind == "index" else np.isfinite(ignored)


def test_the_divergence_at_its_extremes():
    student = np.array([[0.0, 0.0], [1e4, -1e4], [0.0, -INF], [-INF, 0.0], [0.0, 0.0], [3.0, -INF]])
    teacher = np.array([[0.0, 0.0], [-1e4, 1e4], [0.0, 0.0], [0.0, -INF], [1e4, -INF], [3.0, -INF]])
    value, (by_student, by_teacher) = fl.kl_div_with_logits.value_and_grad(
        student, teacher, reduction="none", wrt=("student", "teacher")
    )
    np.testing.assert_allclose(value, [0.0, 2e4, INF, INF, np.log(2), 0.0], rtol=1e-15)
    np.testing.assert_allclose(by_student[[0, 1, 4, 5]], [[0, 0], [1, -1], [-0.5, 0.5], [0, 0]], atol=1e-15)
    np.testing.assert_allclose(by_teacher[[0, 1, 4, 5]], [[0, 0], [0, 0], [0, 0], [0, 0]], atol=1e-15)
    for bad in (NAN, INF):
        assert np.isnan(fl.kl_div_with_logits(np.array([[bad, 0.0]]), np.array([[0.0, 1.0]])))
        assert np.isnan(fl.kl_div_with_logits(np.array([[0.0, 1.0]]), np.array([[bad, 0.0]])))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 5e-7), ("float64", 1e-14)])
def test_the_divergence_of_near_distributions_keeps_its_digits(dtype, tolerance):
    """The divergence is about the variance of the difference over two: PyTorch's composition has noise of 1e-7 here."""
    rng = np.random.default_rng(0)
    step = {"float32": 1e-3, "float64": 1e-7}[dtype]
    teacher = rng.normal(0, 1, (3, 40)).astype(dtype)
    student = (teacher + step * rng.normal(0, 1, teacher.shape)).astype(dtype)
    want, _ = oracle.rows(oracle.kl_div_with_logits, student, teacher)
    value = fl.kl_div_with_logits(student, teacher, reduction="none")
    np.testing.assert_allclose(value, want.astype(np.float64), rtol=tolerance)


def test_entropy_at_its_extremes():
    x = np.array([[0.0, 0.0], [1e4, -1e4], [3.0, -INF], [70.0, 0.0]])
    value, grad = fl.entropy_loss.value_and_grad(x, reduction="none")
    want, slopes = oracle.row(oracle.entropy_loss, x[3], None)
    np.testing.assert_allclose(value, [np.log(2), 0.0, 0.0, float(want)], rtol=1e-14)
    np.testing.assert_allclose(grad[3], slopes.astype(float), rtol=1e-14)
    np.testing.assert_allclose(grad[:3], np.zeros((3, 2)), atol=1e-16)
    p = np.array([[1.0, 0.0], [0.25, 0.75]])
    value, grad = fl.entropy_loss.value_and_grad(p, from_logits=False, reduction="none")
    np.testing.assert_allclose(value, [0.0, -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))], rtol=1e-15)
    np.testing.assert_allclose(grad, [[-1.0, 0.0], [-1 - np.log(0.25), -1 - np.log(0.75)]], rtol=1e-15)
    assert np.isnan(fl.entropy_loss(np.array([[-0.5, 1.5]]), from_logits=False))
    for bad in ([INF, 0.0], [NAN, 0.0], [-INF, -INF]):
        assert np.isnan(fl.entropy_loss(np.array([bad])))


def test_clipped_probabilities_have_no_slope():
    p = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [2.0, 6.0, 0.0]])
    labels = np.array([2, 0, 1])
    value, grad = fl.sparse_categorical_cross_entropy.value_and_grad(p, labels, reduction="none")
    np.testing.assert_allclose(value, [-np.log(1e-7), -np.log(1 - 1e-7), -np.log(0.75)], rtol=1e-14)
    np.testing.assert_allclose(grad, [[0] * 3, [0] * 3, [1 / 8, 1 / 8 - 1 / 6, 1 / 8]], rtol=1e-14, atol=1e-17)
    dense = fl.categorical_cross_entropy.value_and_grad(p, np.eye(3)[labels], reduction="none")
    np.testing.assert_allclose(dense[0], value, rtol=1e-14)
    np.testing.assert_allclose(dense[1], grad, rtol=1e-14, atol=1e-17)
    assert np.isnan(fl.categorical_cross_entropy(np.zeros((1, 3)), np.eye(3)[:1]))
    assert np.isnan(fl.sparse_categorical_cross_entropy(np.zeros((1, 3)), np.array([0])))


# Memory, dtypes, reductions.


@pytest.mark.parametrize("name", MASSES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3, 7, 5, 6), (2, 70, 4), (5,), (70,)], ids=str)
def test_the_class_axis_is_the_second(name, kind, shape):
    axis = 1 if len(shape) > 1 else 0
    x, t = draw(shape, kind)
    classes = shape[axis]
    weight = np.linspace(0.5, 2, classes)
    rows = np.moveaxis(x, axis, -1).reshape(-1, classes)
    flat = t.reshape(-1) if kind == "index" else np.moveaxis(t, axis, -1).reshape(-1, classes)
    want, slopes = getattr(fl, name).value_and_grad(rows, flat, weight=weight)
    value, grad = getattr(fl, name).value_and_grad(x, t, weight=weight)
    np.testing.assert_allclose(value, want, rtol=1e-14)
    np.testing.assert_allclose(np.moveaxis(grad, axis, -1).reshape(-1, classes), slopes, rtol=1e-12, atol=1e-17)
    last = np.ascontiguousarray(np.moveaxis(x, axis, -1))
    moved = t if kind == "index" else np.ascontiguousarray(np.moveaxis(t, axis, -1))
    np.testing.assert_allclose(getattr(fl, name)(last, moved, weight=weight, axis=-1), want, rtol=1e-14)


@pytest.mark.parametrize("name", MASSES)
def test_weights_and_ignored_rows(name):
    rng = np.random.default_rng(0)
    x, t = draw((40, 6))
    t[::5] = -1
    weight, sample = rng.uniform(0.25, 2, 6), rng.uniform(0, 2, 40)
    losses = getattr(fl, name)(x, np.maximum(t, 0), reduction="none")
    counts = t != -1
    w = np.where(counts, weight[np.maximum(t, 0)] * sample, 0)
    options = {"ignore_index": -1, "weight": weight, "sample_weight": sample}
    got = getattr(fl, name)(x, t, reduction="none", **options)
    np.testing.assert_allclose(got, losses * w, rtol=1e-14)
    value, grad = getattr(fl, name).value_and_grad(x, t, **options)
    np.testing.assert_allclose(value, (losses * w).sum() / w.sum(), rtol=1e-14)
    assert not grad[::5].any()
    _, p = draw((40, 6), "soft")
    soft = getattr(fl, name)(x, p, reduction="none", weight=weight, sample_weight=sample)
    value = getattr(fl, name)(x, p, weight=weight, sample_weight=sample)
    np.testing.assert_allclose(value, soft.sum() / sample.sum(), rtol=1e-14)


def test_alpha_is_a_plain_factor():
    x, t = draw((30, 4))
    alpha, weight = [0.5, 0.0, 2.0, 1.5], np.array([1.0, 2.0, 0.5, 3.0])
    plain = fl.focal_loss(x, t, reduction="none")
    for given in (alpha, tuple(alpha), np.array(alpha), torch.tensor(alpha)):
        np.testing.assert_allclose(fl.focal_loss(x, t, alpha=given, reduction="none"), plain * np.array(alpha)[t])
    mean = fl.focal_loss(x, t, alpha=alpha, weight=weight)
    w = weight[t]
    np.testing.assert_allclose(mean, (plain * np.array(alpha)[t] * w).sum() / w.sum(), rtol=1e-14)
    one_hot = np.eye(4)[t]
    np.testing.assert_allclose(fl.focal_loss(x, t, alpha=0.25), 0.25 * fl.focal_loss(x, t), rtol=1e-15)
    np.testing.assert_allclose(
        fl.focal_loss(x, one_hot, alpha=alpha, weight=weight, reduction="none"),
        plain * np.array(alpha)[t] * w,
        rtol=1e-13,
    )
    grads = [fl.focal_loss.grad(x, y, alpha=alpha, reduction="sum") for y in (t, one_hot)]
    np.testing.assert_allclose(*grads, rtol=1e-12, atol=1e-15)
    module = fastloss.nn.FocalLoss(gamma=1.0, alpha=torch.tensor(alpha))
    np.testing.assert_allclose(
        module(torch.tensor(x), torch.tensor(t)).numpy(), fl.focal_loss(x, t, 1.0, alpha), rtol=1e-15
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("classes", [6, 70])
def test_16_bits_are_rounded_once(dtype, classes):
    x, t = draw((20, classes), dtype=dtype)
    _, p = draw((20, classes), "soft", dtype)
    wide = x.astype(np.float32), p.astype(np.float32)
    calls = [(fl.focal_loss, (x, t), (wide[0], t)), (fl.focal_loss, (x, p), wide)]
    calls += [(fl.entropy_loss, (x,), wide[:1]), (fl.kl_div_with_logits, (x, p), wide)]
    calls += [(fl.categorical_cross_entropy, (p, p), (wide[1], wide[1]))]
    for function, narrow, single in calls:
        value, grad = function.value_and_grad(*narrow, reduction="none")
        want, slopes = function.value_and_grad(*single, reduction="none")
        assert same_bits(value, want.astype(DTYPES[dtype])), function.__name__
        assert same_bits(grad, slopes.astype(DTYPES[dtype])), function.__name__


@pytest.mark.parametrize("threads", [1, 3])
def test_the_same_bits_from_any_number_of_threads(threads):
    x, t = draw((600, 120), dtype="float32")
    _, p = draw((600, 120), "soft", "float32")
    before = fl.get_num_threads()
    calls = [(fl.focal_loss, (x, t)), (fl.focal_loss, (x, p)), (fl.kl_div_with_logits, (x, p)), (fl.entropy_loss, (x,))]
    calls += [(fl.categorical_cross_entropy, (p, p)), (fl.sparse_categorical_cross_entropy, (p, t))]
    try:
        fl.set_num_threads(2)
        want = [function.value_and_grad(*arrays) for function, arrays in calls]
        fl.set_num_threads(threads)
        for (function, arrays), (value, grad) in zip(calls, want, strict=True):
            again = function.value_and_grad(*arrays)
            assert same_bits(again[0], value)
            assert same_bits(again[1], grad)
    finally:
        fl.set_num_threads(before)


@pytest.mark.parametrize("name", [*MASSES, "entropy_loss", "kl_div_with_logits", "categorical_cross_entropy"])
def test_strides_do_not_matter(name):
    x, t = draw((9, 70), "soft", "float32")
    arrays = (x,) if name == "entropy_loss" else (t, x) if name == "categorical_cross_entropy" else (x, t)
    want = getattr(fl, name).value_and_grad(*arrays)
    wide = [np.zeros((18, 140), np.float32) for _ in arrays]
    for big, array in zip(wide, arrays, strict=True):
        big[::2, ::-2] = array
    for moved in ([np.asfortranarray(a) for a in arrays], [big[::2, ::-2] for big in wide]):
        value, grad = getattr(fl, name).value_and_grad(*moved)
        np.testing.assert_allclose(value, want[0], rtol=1e-6)
        np.testing.assert_allclose(grad, want[1], rtol=2e-5, atol=1e-7)


# Identities.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(12, 5), (6, 90)], ids=str)
def test_cross_entropy_is_where_they_begin(kind, shape):
    x, t = draw(shape, kind)
    weight = np.linspace(0.5, 2, shape[1])
    want, slopes = fl.cross_entropy.value_and_grad(x, t, weight=weight)
    for name, options, rtol in (
        ("focal_loss", {"gamma": 0.0}, 1e-14),
        ("poly_cross_entropy", {"epsilon": 0.0}, 1e-14),
        ("generalized_cross_entropy", {"q": 1e-12}, 1e-10),
    ):
        value, grad = getattr(fl, name).value_and_grad(x, t, weight=weight, **options)
        np.testing.assert_allclose(value, want, rtol=rtol)
        np.testing.assert_allclose(grad, slopes, rtol=10 * rtol, atol=rtol)


def test_label_smoothing_is_that_of_cross_entropy():
    x, t = draw((12, 5))
    want = fl.cross_entropy.value_and_grad(x, t, label_smoothing=0.2)
    for name, options in (("focal_loss", {"gamma": 0.0}), ("poly_cross_entropy", {"epsilon": 0.0})):
        value, grad = getattr(fl, name).value_and_grad(x, t, label_smoothing=0.2, **options)
        np.testing.assert_allclose(value, want[0], rtol=1e-14)
        np.testing.assert_allclose(grad, want[1], rtol=1e-12, atol=1e-15)
    # With a weight, that of the label multiplies the whole row.
    weight = np.linspace(0.5, 2, 5)
    rows = fl.poly_cross_entropy(x, t, label_smoothing=0.2, reduction="none")
    weighted = fl.poly_cross_entropy(x, t, label_smoothing=0.2, weight=weight, reduction="none")
    np.testing.assert_allclose(weighted, rows * weight[t], rtol=1e-14)


@pytest.mark.parametrize("name", MASSES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("classes", [5, 90])
def test_one_hot_and_index_targets_agree(name, smoothing, classes):
    x, t = draw((8, classes))
    index = getattr(fl, name).value_and_grad(x, t, label_smoothing=smoothing)
    hot = getattr(fl, name).value_and_grad(x, np.eye(classes)[t], label_smoothing=smoothing)
    np.testing.assert_allclose(index[0], hot[0], rtol=1e-13)
    np.testing.assert_allclose(index[1], hot[1], rtol=1e-11, atol=1e-15)


def test_generalized_cross_entropy_ends_at_the_probability_of_error():
    x, t = draw((12, 5))
    p = torch.softmax(torch.tensor(x), 1).numpy()[np.arange(12), t]
    np.testing.assert_allclose(fl.generalized_cross_entropy(x, t, q=1.0, reduction="none"), 1 - p, rtol=1e-13)
    mae = np.abs(torch.softmax(torch.tensor(x), 1).numpy() - np.eye(5)[t]).sum(1)
    np.testing.assert_allclose(fl.generalized_cross_entropy(x, t, q=1.0, reduction="none"), mae / 2, rtol=1e-13)


@pytest.mark.parametrize("classes", [5, 90])
def test_cross_entropy_is_divergence_plus_entropy(classes):
    student, _ = draw((8, classes))
    teacher, _ = draw((8, classes), seed=1)
    p = torch.softmax(torch.tensor(teacher), 1).numpy()
    together = fl.kl_div_with_logits(student, teacher) + fl.entropy_loss(teacher)
    np.testing.assert_allclose(together, fl.cross_entropy(student, p), rtol=1e-13)
    np.testing.assert_allclose(fl.entropy_loss(p, from_logits=False), fl.entropy_loss(teacher), rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_divergence_is_one(dtype):
    p, _ = draw((30, 12), dtype=dtype)
    q, _ = draw((30, 12), dtype=dtype, seed=1)
    assert not fl.kl_div_with_logits(p, p.copy(), reduction="none").any()
    assert not fl.kl_div_with_logits.grad(p, p.copy(), reduction="none").any()
    assert not fl.kl_div_with_logits(p, p.copy(), 3.0, reduction="none").any()
    near = p * (1 + np.finfo(dtype).eps * np.arange(12, dtype=dtype))
    for student, teacher in itertools.permutations((p, q, near), 2):
        assert (fl.kl_div_with_logits(student, teacher, reduction="none") >= 0).all()
    assert abs(fl.kl_div_with_logits(p, q) - fl.kl_div_with_logits(q, p)) > 0.1
    shifted = fl.kl_div_with_logits(p, p + dtype_of(dtype)(0.5))
    assert shifted < 1e-7  # a softmax does not see a shift


def dtype_of(dtype):
    return DTYPES[dtype].type


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_the_divergence_is_that_of_kl_div(temperature):
    student, _ = draw((8, 20))
    teacher, _ = draw((8, 20), seed=1)
    s, t = torch.tensor(student, requires_grad=True), torch.tensor(teacher, requires_grad=True)
    want = temperature**2 * F.kl_div(
        F.log_softmax(s / temperature, 1), F.log_softmax(t / temperature, 1), log_target=True, reduction="batchmean"
    )
    want.backward()
    value, grads = fl.kl_div_with_logits.value_and_grad(student, teacher, temperature, wrt=("student", "teacher"))
    np.testing.assert_allclose(value, want.item(), rtol=1e-13)
    np.testing.assert_allclose(grads[0], s.grad, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(grads[1], t.grad, rtol=1e-11, atol=1e-15)
    mine = torch.tensor(student, requires_grad=True)
    fl.kl_div_with_logits(mine, torch.tensor(teacher), temperature).backward()
    np.testing.assert_allclose(mine.grad, s.grad, rtol=1e-11, atol=1e-15)


def test_keras_losses_of_logits_are_cross_entropy():
    x, t = draw((8, 5))
    _, p = draw((8, 5), "soft")
    sparse = fl.sparse_categorical_cross_entropy.value_and_grad(x, t, from_logits=True)
    want = fl.cross_entropy.value_and_grad(x, t)
    assert same_bits(sparse[0], want[0])
    assert same_bits(sparse[1], want[1])
    dense = fl.categorical_cross_entropy.value_and_grad(x, p, from_logits=True, label_smoothing=0.1)
    want = fl.cross_entropy.value_and_grad(x, p, label_smoothing=0.1)
    assert same_bits(dense[0], want[0])
    assert same_bits(dense[1], want[1])
    hot = np.eye(5, dtype=np.int64)[t]
    np.testing.assert_allclose(fl.categorical_cross_entropy(x, hot, from_logits=True), sparse[0], rtol=1e-15)


def test_ignored_classes_of_keras():
    x, t = draw((8, 5))
    p = np.exp(x)
    t[3] = 9
    for given, options in ((p, {}), (x, {"from_logits": True})):
        kept = np.delete(given, 3, 0), np.delete(t, 3)
        want = fl.sparse_categorical_cross_entropy(*kept, **options)
        value = fl.sparse_categorical_cross_entropy(given, t, ignore_class=9, **options)
        np.testing.assert_allclose(value, want, rtol=1e-15)
        with pytest.raises(IndexError, match=r"target\[3\] is 9, expected a class in \[0, 5\)$"):
            fl.sparse_categorical_cross_entropy(given, t, **options)
        with pytest.raises(IndexError, match=r"target\[3\] is 9, .* or ignore_class \(-1\)"):
            fl.sparse_categorical_cross_entropy(given, t, ignore_class=-1, **options)
        t_hundred = np.where(t == 9, -100, t)
        with pytest.raises(IndexError, match=r"is -100"):
            fl.sparse_categorical_cross_entropy(given, t_hundred, **options)


# What is refused.


@pytest.mark.parametrize("name", MASSES)
def test_what_does_not_fit_is_refused(name):
    x, t = draw((4, 5))
    loss = getattr(fl, name)
    with pytest.raises(IndexError, match=rf"{name}: target\[2\] is 5, expected a class in \[0, 5\)"):
        loss(x, np.array([0, 1, 5, 2]))
    with pytest.raises(ValueError, match=rf"{name}: target .class probabilities. has shape .4,., expected .4, 5.; for"):
        loss(x, t.astype(np.float64))
    with pytest.raises(ValueError, match=rf"{name}: target .class indices. has shape"):
        loss(x, t[:, None])
    with pytest.raises(ValueError, match=f"{name}: weight has shape"):
        loss(x, t, weight=np.ones(4))
    with pytest.raises(ValueError, match=f"{name}: weight has shape"):
        loss(x, np.eye(5)[t], weight=np.ones(4))
    with pytest.raises(TypeError, match=f"{name}: weight has dtype int64"):
        loss(x, np.eye(5)[t], weight=np.ones(5, np.int64))
    with pytest.raises(NotImplementedError, match=f"{name}: no gradient with respect to target: class indices"):
        loss.grad(x, t, wrt="target")
    with pytest.raises(ValueError, match="label_smoothing is 2"):
        loss(x, t, label_smoothing=2)
    with pytest.raises(ValueError, match="no classes"):
        loss(np.zeros((3, 0)), np.zeros(3, int))


def test_a_wrong_alpha_is_refused():
    x, t = draw((4, 5))
    with pytest.raises(ValueError, match="focal_loss: alpha has shape"):
        fl.focal_loss(x, t, alpha=[1.0, 2.0])
    with pytest.raises(TypeError, match="focal_loss: alpha is of type str"):
        fl.focal_loss(x, t, alpha="balanced")


# Other systems.


def test_optax():
    optax = pytest.importorskip("optax")
    import jax

    x, t = draw((16, 7), dtype="float32")
    p = np.eye(7, dtype=np.float32)[t]
    for epsilon in (1.0, 2.0, -0.5):
        want, slopes = jax.value_and_grad(
            lambda a, e=epsilon: optax.losses.poly_loss_cross_entropy(a, p, epsilon=e).mean()
        )(x)
        value, grad = fl.poly_cross_entropy.value_and_grad(x, t, epsilon)
        np.testing.assert_allclose(value, want, rtol=3e-6)
        np.testing.assert_allclose(grad, slopes, rtol=1e-4, atol=1e-6)
    _, soft = draw((16, 7), "soft", "float32")
    want = optax.softmax_cross_entropy(x, soft)
    got = fl.categorical_cross_entropy(x, soft, from_logits=True, reduction="none")
    np.testing.assert_allclose(got, want, rtol=3e-6)


def test_keras(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "torch":
        pytest.skip("another backend of Keras is in use")
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(6), 20).astype(np.float32) * 3
    p[0, 0] = 0.0
    t = rng.integers(0, 6, 20)
    t[0] = 0
    hot = np.eye(6, dtype=np.float32)[t]
    x = rng.normal(0, 3, (20, 6)).astype(np.float32)
    for smoothing in (0.0, 0.1):
        for given, logits in ((p, False), (x, True)):
            tensor = torch.tensor(given, requires_grad=True)
            theirs = keras.losses.CategoricalCrossentropy(from_logits=logits, label_smoothing=smoothing)
            want = theirs(torch.tensor(hot), tensor)
            want.backward()
            value, grad = fl.categorical_cross_entropy.value_and_grad(given, hot, logits, smoothing)
            np.testing.assert_allclose(value, want.item(), rtol=3e-6)
            np.testing.assert_allclose(grad, tensor.grad.numpy(), rtol=3e-5, atol=1e-6)
    for given, logits in ((p, False), (x, True)):
        for ignored in (None, 2):
            theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=logits, ignore_class=ignored)
            want = theirs(torch.tensor(t), torch.tensor(given)).item()
            value = fl.sparse_categorical_cross_entropy(given, t, logits, ignored)
            np.testing.assert_allclose(value, want, rtol=3e-6)
    focal = keras.losses.CategoricalFocalCrossentropy(alpha=0.25, gamma=2.0, from_logits=True)
    _, soft = draw((20, 6), "soft", "float32")
    want = focal(torch.tensor(soft), torch.tensor(x)).item()
    np.testing.assert_allclose(fl.focal_loss(x, soft, alpha=0.25), want, rtol=2e-5)


def test_kornia():
    kornia = pytest.importorskip("kornia")
    x, t = draw((4, 6, 5, 3), dtype="float32")
    tensor = torch.tensor(x, requires_grad=True)
    want = kornia.losses.focal_loss(tensor, torch.tensor(t), alpha=None, gamma=1.5, reduction="sum")
    want.backward()  # kornia's mean divides by the classes too
    value, grad = fl.focal_loss.value_and_grad(x, t, 1.5, reduction="sum")
    np.testing.assert_allclose(value, want.item(), rtol=1e-5)
    np.testing.assert_allclose(grad, tensor.grad.numpy(), rtol=1e-4, atol=1e-8)
