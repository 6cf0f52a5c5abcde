"""Losses of a margin: values, gradients, kinks and extremes beside mpmath, PyTorch, scikit-learn and optax."""

from fractions import Fraction

import numpy as np
import oracle_margin
import pytest
import torch
import torch.nn.functional as F
from against import INF, NAN, TOLERANCE, assert_finite, assert_oracle, assert_table, assert_torch
from cases import DTYPES, REDUCTIONS, WIDE_DTYPES
from elements import ORACLES, awkward
from elements import check_awkward as assert_awkward

import fastloss as fl

SIGN = [-1.0, 1.0]
BOTH = ("input", "target")


def two(rng, shape, dtype="float64"):
    return {"input": rng.normal(0, 2, shape).astype(DTYPES[dtype]), "target": np.sign(rng.normal(size=shape))}


def three(rng, shape, dtype="float64"):
    return {
        "input1": rng.normal(0, 2, shape).astype(DTYPES[dtype]),
        "input2": rng.normal(0, 2, shape).astype(DTYPES[dtype]),
        "target": np.sign(rng.normal(size=shape)).astype(DTYPES[dtype]),
    }


# loss, options, differentiable arguments, (value, gradient) bounds in ulps: measured, and rounded up.
AWKWARD = (
    ("hinge_loss", {}, BOTH, 1, 1),
    ("hinge_loss", {"margin": 0.25}, BOTH, 1, 1),
    ("squared_hinge_loss", {}, BOTH, 2, 1),
    ("perceptron_loss", {}, BOTH, 0, 0),
    ("hinge_embedding_loss", {}, ("input",), 1, 0),
    ("soft_margin_loss", {}, BOTH, 1, 2),
    ("logistic_loss", {}, BOTH, 1, 2),
    ("logistic_loss", {"targets": "binary", "label_smoothing": 0.25}, BOTH, 1, 2),
    ("exponential_loss", {}, BOTH, 1, 1),
)


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize(("loss", "options", "wrt", "value_ulps", "grad_ulps"), AWKWARD)
def test_awkward_points(loss, options, wrt, value_ulps, grad_ulps, dtype):
    targets = [0.0, 1.0] if options.get("targets") == "binary" else SIGN
    points = {"input": awkward(dtype, extra=(0.25,)), "target": targets}
    # Flushed: what a difference of mpmath does not see of 1e-308 beside 1, and slopes times denormal exponentials.
    assert_awkward(loss, points, dtype, value_ulps=value_ulps, grad_ulps=grad_ulps, wrt=wrt, flush=2, options=options)


def rounded_to_the_kink(x, t, z):
    """Whether the kink is hit by rounding alone: either slope is then right."""
    exact = Fraction(z) * (Fraction(x) - Fraction(t)) - Fraction(0.5)
    return exact != 0 and abs(exact) < Fraction(1, 2**30)


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
def test_awkward_points_of_a_ranking(dtype):
    wrt = ("input1", "input2", "target")
    points = {"input1": awkward(dtype), "input2": awkward(dtype), "target": SIGN}
    assert_awkward(
        "margin_ranking_loss",
        points,
        dtype,
        value_ulps=1,
        grad_ulps=1,
        wrt=wrt,
        flush=2,
        options={"margin": 0.5},
        skip=rounded_to_the_kink,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("loss", [row[0] for row in AWKWARD if not row[1]])
def test_weights_and_ignored_labels(loss, reduction):
    rng = np.random.default_rng(1)
    wrt = AWKWARD[[row[0] for row in AWKWARD].index(loss)][2]
    for dtype in WIDE_DTYPES:
        arrays = two(rng, (4, 5), dtype)
        arrays["target"] = np.where(rng.uniform(size=(4, 5)) < 0.3, 0, arrays["target"]).astype(DTYPES[dtype])
        arrays["sample_weight"] = rng.uniform(0.25, 2, (4, 1)).astype(DTYPES[dtype])
        assert_oracle(loss, arrays, wrt=wrt, ulps=6, reduction=reduction, ignore_index=0)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_weighted_ranking(reduction):
    rng = np.random.default_rng(2)
    arrays = three(rng, (4, 5), "float32")
    arrays["input2"] = arrays["input2"][:, :1]
    arrays["sample_weight"] = rng.uniform(0.25, 2, (5,)).astype(np.float32)
    assert_oracle("margin_ranking_loss", arrays, wrt=("input1", "input2", "target"), ulps=6, reduction=reduction)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("loss", "options", "wrt"),
    (
        ("hinge_embedding_loss", {}, ("input",)),
        ("hinge_embedding_loss", {"margin": 0.5}, ("input",)),
        ("soft_margin_loss", {}, ("input",)),
        ("margin_ranking_loss", {}, ("input1", "input2", "target")),
        ("margin_ranking_loss", {"margin": 0.75}, ("input1", "input2", "target")),
    ),
)
def test_pytorch(loss, options, wrt, reduction, dtype):
    rng = np.random.default_rng(3)
    arrays = three(rng, (6, 7)) if "input1" in wrt else two(rng, (6, 7))
    assert_torch(
        lambda **a: getattr(fl, loss)(**a, reduction=reduction, **options),
        lambda **a: getattr(F, loss)(**a, reduction=reduction, **options),
        arrays,
        wrt,
        dtype=dtype,
    )


@pytest.mark.parametrize(
    ("loss", "shapes"),
    (
        ("hinge_embedding_loss", ((3, 4), (4,))),
        ("soft_margin_loss", ((3, 4), (1, 4))),
        ("margin_ranking_loss", ((3, 4), (1, 4), (3, 1))),
    ),
)
def test_shapes_broadcast_without_a_warning_as_in_pytorch(loss, shapes):
    rng = np.random.default_rng(4)
    names = [name for name in getattr(fl, loss).spec.names[:3] if name]
    arrays = {name: np.sign(rng.normal(size=shape)) for name, shape in zip(names, shapes, strict=True)}
    for reduction in ("none", "mean"):
        assert_torch(
            lambda reduction=reduction, **a: getattr(fl, loss)(**a, reduction=reduction),
            lambda reduction=reduction, **a: getattr(F, loss)(**a, reduction=reduction),
            arrays,
            names[:1],
        )


def test_pytorch_at_the_kinks():
    x, t = np.array([0.75, 0.75, 0.0, 0.75]), np.array([-1.0, 1.0, -1.0, 0.5])
    assert_torch(
        lambda **a: fl.hinge_embedding_loss(**a, margin=0.75, reduction="none"),
        lambda **a: F.hinge_embedding_loss(**a, margin=0.75, reduction="none"),
        {"input": x, "target": t},
        ("input",),
    )
    same = {"input1": np.array([1.0, 2.0, 0.0]), "input2": np.array([1.0, 2.0, 0.0]), "target": np.array([1.0, -1, 1])}
    assert_torch(
        lambda **a: fl.margin_ranking_loss(**a, reduction="none"),
        lambda **a: F.margin_ranking_loss(**a, reduction="none"),
        same,
        tuple(same),
    )


KINKS = (
    # loss, score at the kink of target 1, slope by the score
    ("hinge_loss", 1.0, -1.0),
    ("squared_hinge_loss", 1.0, 0.0),
    ("perceptron_loss", 0.0, -1.0),
)


@pytest.mark.parametrize(("loss", "score", "slope"), KINKS)
def test_the_slope_at_a_kink_is_that_of_the_side_that_pays(loss, score, slope):
    x = np.array([score, -score, np.nextafter(score, 9)])
    value, grad = getattr(fl, loss).value_and_grad(x, np.array([1, -1, 1]), reduction="none")
    np.testing.assert_array_equal(value, np.zeros(3))
    np.testing.assert_array_equal(grad, np.array([slope, -slope, 0.0]))


TABLES = {
    "hinge_loss": ((INF, 1, 0, 0), (INF, -1, INF, 1), (-INF, 1, INF, -1), (-INF, -1, 0, 0), (NAN, 1, NAN, 0)),
    "squared_hinge_loss": (
        (INF, 1, 0, 0),
        (INF, -1, INF, INF),
        (-INF, 1, INF, -INF),
        (-INF, -1, 0, 0),
        (NAN, 1, NAN, NAN),
    ),
    "perceptron_loss": ((INF, 1, 0, 0), (INF, -1, INF, 1), (-INF, 1, INF, -1), (-INF, -1, 0, 0), (NAN, 1, NAN, 0)),
    "hinge_embedding_loss": (
        (INF, 1, INF, 1),
        (INF, -1, 0, 0),
        (-INF, 1, -INF, 1),
        (-INF, -1, INF, -1),
        (NAN, -1, NAN, 0),
        (NAN, 1, NAN, 1),
    ),
    "soft_margin_loss": ((INF, 1, 0, 0), (INF, -1, INF, 1), (-INF, 1, INF, -1), (-INF, -1, 0, 0), (NAN, 1, NAN, NAN)),
    "logistic_loss": ((INF, 1, 0, 0), (INF, -1, INF, 1), (-INF, 1, INF, -1), (-INF, -1, 0, 0), (NAN, 1, NAN, NAN)),
    "exponential_loss": (
        (INF, 1, 0, 0),
        (INF, -1, INF, INF),
        (-INF, 1, INF, -INF),
        (-INF, -1, 0, 0),
        (NAN, 1, NAN, NAN),
    ),
    "margin_ranking_loss": (
        (INF, 0, 1, 0, 0),
        (INF, 0, -1, INF, 1),
        (0, INF, 1, INF, -1),
        (INF, -INF, 1, 0, 0),
        (INF, INF, 1, NAN, 0),
        (NAN, 0, 1, NAN, 0),
        (0, 0, NAN, NAN, 0),
    ),
}


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize("loss", TABLES)
def test_infinities_and_nan(loss, dtype):
    assert_table(loss, TABLES[loss], dtype=dtype)


@pytest.mark.parametrize(
    "loss", [name for name in TABLES if name not in ("hinge_embedding_loss", "margin_ranking_loss")]
)
def test_infinite_scores_have_gradients_by_targets_without_nan(loss):
    assert_finite(loss, {"input": [-INF, -3e38, -1, 1, 3e38, INF], "target": SIGN}, wrt=BOTH)


def test_a_nan_target_propagates():
    for loss in ("hinge_loss", "squared_hinge_loss", "perceptron_loss", "logistic_loss", "exponential_loss"):
        assert np.isnan(getattr(fl, loss)(np.ones(1), np.full(1, NAN)))


@pytest.mark.parametrize("x", (-89.0, -1000.0))
def test_a_soft_margin_does_not_overflow_where_pytorchs_does(x):
    ours = fl.soft_margin_loss(torch.tensor([x]), torch.ones(1))
    assert ours == -x
    assert torch.isinf(F.soft_margin_loss(torch.tensor([x]), torch.ones(1)))


def test_there_is_no_gradient_by_a_target_that_only_chooses():
    with pytest.raises(NotImplementedError, match="only chooses"):
        fl.hinge_embedding_loss.grad(np.ones(2), np.ones(2), wrt="target")


def test_targets_must_be_named():
    with pytest.raises(ValueError, match="targets is 'both', expected one of 'sign', 'binary'"):
        fl.logistic_loss(np.ones(2), np.ones(2), targets="both")


def test_logistic_is_soft_margin_is_cross_entropy():
    rng = np.random.default_rng(5)
    x, y = rng.normal(0, 4, 200), rng.integers(0, 2, 200)
    sign = 2 * y - 1
    for smoothing in (0.0, 0.2):
        want, want_grad = fl.binary_cross_entropy_with_logits.value_and_grad(x, y, label_smoothing=smoothing)
        for target, targets in ((sign, "sign"), (y, "binary")):
            value, grad = fl.logistic_loss.value_and_grad(x, target, targets=targets, label_smoothing=smoothing)
            np.testing.assert_allclose(value, want, rtol=4e-16)
            np.testing.assert_allclose(grad, want_grad, rtol=1e-14, atol=1e-18)
    value, grad = fl.soft_margin_loss.value_and_grad(x, sign)
    want, want_grad = fl.logistic_loss.value_and_grad(x, sign)
    np.testing.assert_allclose(value, want, rtol=4e-16)
    np.testing.assert_allclose(grad, want_grad, rtol=4e-16)


def test_logistic_bounds_the_zero_one_loss_after_division_by_log_2():
    x = np.linspace(-3, 3, 1001)
    wrong = x <= 0
    losses = fl.logistic_loss(x, np.ones(1001), reduction="none")
    assert (losses / np.log(2) >= wrong).all()
    assert not (losses >= wrong).all()
    for loss in (fl.hinge_loss, fl.squared_hinge_loss, fl.exponential_loss):
        assert (loss(x, np.ones(1001), reduction="none") >= wrong).all()


def test_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(6)
    x, y = rng.normal(0, 2, 100), rng.integers(0, 2, 100)
    w = rng.uniform(0.5, 2, 100)
    sign = 2 * y - 1
    np.testing.assert_allclose(
        fl.hinge_loss(x, sign, sample_weight=w), metrics.hinge_loss(sign, x, sample_weight=w), rtol=1e-14
    )
    p = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(
        fl.logistic_loss(x, y, targets="binary", sample_weight=w), metrics.log_loss(y, p, sample_weight=w), rtol=1e-13
    )


def test_optax():
    optax = pytest.importorskip("optax")
    jax = pytest.importorskip("jax")
    rng = np.random.default_rng(7)
    x, y = rng.normal(0, 2, 100).astype(np.float32), np.sign(rng.normal(size=100)).astype(np.float32)
    for ours, its in (
        (fl.hinge_loss, optax.losses.hinge_loss),
        (fl.perceptron_loss, optax.losses.perceptron_loss),
        (
            fl.logistic_loss,
            lambda x, y: optax.losses.sigmoid_binary_cross_entropy(x, (y + 1) / 2),
        ),
    ):
        value, grad = ours.value_and_grad(x, y, reduction="sum")
        want, want_grad = jax.value_and_grad(lambda x, its=its: its(x, y).sum())(x)
        np.testing.assert_allclose(value, want, rtol=1e-5)
        np.testing.assert_allclose(grad, want_grad, rtol=1e-5, atol=1e-6)


def test_keras():
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(8)
    x, y = rng.normal(0, 2, (20, 5)).astype(np.float32), np.sign(rng.normal(size=(20, 5))).astype(np.float32)
    for ours, its in ((fl.hinge_loss, keras.losses.hinge), (fl.squared_hinge_loss, keras.losses.squared_hinge)):
        np.testing.assert_allclose(
            ours(x, y, reduction="none").mean(-1), keras.ops.convert_to_numpy(its(y, x)), rtol=1e-5
        )


def test_every_loss_of_the_file_has_an_oracle():
    import fastloss.margin

    assert set(fastloss.margin.__all__) <= set(ORACLES)
    assert oracle_margin.softplus(0) > 0
