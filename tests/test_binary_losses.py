"""Focal, asymmetric and self-information losses: values, gradients and extremes beside mpmath and PyTorch."""

import numpy as np
import oracle_binary
import pytest
import torch
import torch.nn.functional as F
from against import INF, NAN, TOLERANCE, assert_finite, assert_oracle, assert_table, assert_torch
from cases import DTYPES, REDUCTIONS, WIDE_DTYPES
from elements import awkward
from elements import check_awkward as assert_awkward

import fastloss as fl

BOTH = ("input", "target")


def torch_focal(input, target, alpha=0.25, gamma=2.0):
    """What torchvision computes, written with PyTorch."""
    p = torch.sigmoid(input)
    entropy = F.binary_cross_entropy_with_logits(input, target, reduction="none")
    loss = entropy * (1 - (p * target + (1 - p) * (1 - target))) ** gamma
    return loss * (alpha * target + (1 - alpha) * (1 - target)) if alpha >= 0 else loss


def torch_asymmetric(input, target, gamma_neg=4.0, gamma_pos=1.0, clip=0.05):
    """The formula of the paper."""
    p = torch.sigmoid(input)
    m = (p - clip).clamp_min(0)
    return -(target * (1 - p) ** gamma_pos * torch.log(p) + (1 - target) * m**gamma_neg * torch.log(1 - m))


FOCAL = (
    {},
    {"alpha": -1.0, "gamma": 0.0},
    {"alpha": 0.75, "gamma": 1.0},
    {"gamma": 3.0},
    {"gamma": 4.0},
    {"alpha": 1.0, "gamma": 1.5},
)
ASYMMETRIC = (
    {},
    {"clip": 0.0},
    {"gamma_neg": 2.0, "gamma_pos": 0.0, "clip": 0.2},
    {"gamma_neg": 1.5, "gamma_pos": 0.5},
    {"gamma_neg": 0.0, "gamma_pos": 3.0},
)

# loss, options, (value, gradient) bounds in ulps of the magnitudes in oracle_binary.py: measured, and rounded up.
AWKWARD = (
    ("sigmoid_focal_loss", {}, 5, 5),
    ("sigmoid_focal_loss", {"alpha": -1.0, "gamma": 0.0}, 2, 2),
    ("sigmoid_focal_loss", {"alpha": 0.75, "gamma": 1.5, "label_smoothing": 0.125}, 5, 5),
    ("asymmetric_loss", {}, 7, 5),
    ("asymmetric_loss", {"label_smoothing": 0.2}, 7, 5),
    ("asymmetric_loss", {"clip": 0.0, "gamma_neg": 1.5}, 3, 4),
)


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize(("loss", "options", "value_ulps", "grad_ulps"), AWKWARD)
def test_awkward_points(loss, options, value_ulps, grad_ulps, dtype):
    points = {"input": awkward(dtype), "target": [0.0, 1.0, 0.3]}
    # Flushed: what a difference of mpmath does not see of 1e-308 beside 1, and products of denormal numbers.
    assert_awkward(loss, points, dtype, value_ulps=value_ulps, grad_ulps=grad_ulps, wrt=BOTH, flush=2, options=options)


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
def test_awkward_probabilities(dtype):
    points = {"input": [p for p in awkward(dtype, 0, 1) if p]}
    assert_awkward("self_information", points, dtype, value_ulps=1, grad_ulps=1, wrt=("input",))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("loss", "options"),
    (
        ("sigmoid_focal_loss", {}),
        ("sigmoid_focal_loss", {"label_smoothing": 0.2}),
        ("asymmetric_loss", {}),
        ("asymmetric_loss", {"label_smoothing": 0.2}),
    ),
)
def test_weights_and_ignored_labels(loss, options, reduction):
    rng = np.random.default_rng(1)
    for dtype in WIDE_DTYPES:
        arrays = {
            "input": rng.normal(0, 2, (4, 5)).astype(DTYPES[dtype]),
            "target": rng.integers(-1, 2, (4, 5)).astype(DTYPES[dtype]),
            "sample_weight": rng.uniform(0.25, 2, (4, 1)).astype(DTYPES[dtype]),
        }
        assert_oracle(loss, arrays, wrt=BOTH, ulps=12, reduction=reduction, ignore_index=-1, **options)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_weighted_information(reduction):
    rng = np.random.default_rng(2)
    for dtype in WIDE_DTYPES:
        arrays = {
            "input": rng.uniform(0.01, 1, (4, 5)).astype(DTYPES[dtype]),
            "sample_weight": rng.uniform(0.25, 2, 5).astype(DTYPES[dtype]),
        }
        assert_oracle("self_information", arrays, wrt=("input",), ulps=4, reduction=reduction)


def soft(rng, shape=(6, 7)):
    return {"input": rng.normal(0, 2, shape), "target": rng.uniform(0, 1, shape)}


def in_dtypes(choices):
    """Every choice in float64, the first in all dtypes."""
    return [(dtype, options) for options in choices for dtype in TOLERANCE if dtype == "float64" or not options]


@pytest.mark.parametrize(("dtype", "options"), in_dtypes(FOCAL))
def test_focal_beside_its_formula_in_pytorch(options, dtype):
    assert_torch(
        lambda **a: fl.sigmoid_focal_loss(**a, **options),
        lambda **a: torch_focal(**a, **options),
        soft(np.random.default_rng(3)),
        BOTH,
        dtype=dtype,
    )


@pytest.mark.parametrize(("dtype", "options"), in_dtypes(ASYMMETRIC))
def test_asymmetric_beside_its_formula_in_pytorch(options, dtype):
    assert_torch(
        lambda **a: fl.asymmetric_loss(**a, reduction="none", **options),
        lambda **a: torch_asymmetric(**a, **options),
        soft(np.random.default_rng(4)),
        BOTH,
        dtype=dtype,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_self_information_beside_pytorch(reduction):
    def its(input):
        loss = -torch.log(input)
        return loss if reduction == "none" else getattr(loss, reduction)()

    arrays = {"input": np.random.default_rng(5).uniform(0.05, 1, (6, 7))}
    for dtype in TOLERANCE:
        assert_torch(lambda **a: fl.self_information(**a, reduction=reduction), its, arrays, ("input",), dtype=dtype)


@pytest.mark.parametrize("options", FOCAL, ids=str)
def test_torchvision(options):
    ops = pytest.importorskip("torchvision.ops")
    for reduction in REDUCTIONS:
        assert_torch(
            lambda reduction=reduction, **a: fl.sigmoid_focal_loss(**a, reduction=reduction, **options),
            lambda input, target, reduction=reduction: ops.sigmoid_focal_loss(
                input, target, reduction=reduction, **options
            ),
            soft(np.random.default_rng(6)),
            ("input",),
        )


def test_optax():
    optax = pytest.importorskip("optax")
    jax = pytest.importorskip("jax")
    rng = np.random.default_rng(7)
    x, y = rng.normal(0, 2, 100).astype(np.float32), rng.integers(0, 2, 100).astype(np.float32)
    value, grad = fl.sigmoid_focal_loss.value_and_grad(x, y, reduction="sum")
    want, want_grad = jax.value_and_grad(lambda x: optax.losses.sigmoid_focal_loss(x, y, alpha=0.25).sum())(x)
    np.testing.assert_allclose(value, want, rtol=1e-5)
    np.testing.assert_allclose(grad, want_grad, rtol=1e-4, atol=1e-6)


TABLES = (
    (
        "sigmoid_focal_loss",
        {"alpha": -1.0},
        (
            (INF, 1, 0, 0),
            (-INF, 0, 0, 0),
            (INF, 0, INF, 1),
            (-INF, 1, INF, -1),
            (NAN, 1, NAN, NAN),
            (0, NAN, NAN, NAN),
        ),
    ),
    ("sigmoid_focal_loss", {"alpha": -1.0, "gamma": 0.0}, ((INF, 1, 0, 0), (INF, 0, INF, 1), (-INF, 1, INF, -1))),
    ("sigmoid_focal_loss", {"alpha": 0.0}, ((-INF, 1, 0, 0), (INF, 0, INF, 1))),
    (
        "asymmetric_loss",
        {"clip": 0.0},
        (
            (INF, 1, 0, 0),
            (-INF, 0, 0, 0),
            (INF, 0, INF, 1),
            (-INF, 1, INF, -1),
            (NAN, 1, NAN, NAN),
            (NAN, 0, NAN, NAN),
        ),
    ),
    ("asymmetric_loss", {}, ((INF, 1, 0, 0), (-INF, 0, 0, 0), (-INF, 1, INF, -1), (NAN, 0, NAN, NAN))),
    ("self_information", {}, ((1, 0, -1), (0, INF, -INF), (NAN, NAN, NAN))),
)


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize(("loss", "options", "rows"), TABLES)
def test_infinities_and_nan(loss, options, rows, dtype):
    assert_table(loss, rows, dtype=dtype, **options)


@pytest.mark.parametrize(("loss", "options"), [row[:2] for row in TABLES if row[0] != "self_information"])
def test_no_nan_of_infinite_logits(loss, options):
    assert_finite(loss, {"input": [-INF, -3e38, -200, -1, 1, 200, 3e38, INF], "target": [0, 1]}, wrt=BOTH, **options)


def test_a_sure_negative_under_the_clip_is_infinitely_cheap_and_a_sure_wrong_one_finite():
    value, grad = fl.asymmetric_loss.value_and_grad(np.array([-3.0, INF]), np.zeros(2), reduction="none")
    np.testing.assert_array_equal(value[0], 0)
    np.testing.assert_allclose(value[1], 0.95**4 * -np.log(0.05), rtol=1e-14)
    np.testing.assert_array_equal(grad, np.zeros(2))


def test_the_clip_keeps_its_accuracy_when_tiny():
    got = fl.asymmetric_loss(np.full(1, 100, np.float32), np.zeros(1), clip=1e-9, gamma_neg=0.0)
    np.testing.assert_allclose(got, -np.log(1e-9), rtol=1e-6)


def test_at_the_clip_the_slope_is_that_above_it():
    x = np.zeros(1)
    assert fl.asymmetric_loss.grad(x, np.zeros(1), clip=0.5, gamma_neg=0.0) == 0.25
    assert fl.asymmetric_loss.grad(x - 1e-9, np.zeros(1), clip=0.5, gamma_neg=0.0) == 0


def test_focal_without_focus_is_cross_entropy():
    rng = np.random.default_rng(8)
    for target in (rng.integers(0, 2, 300).astype(float), rng.uniform(0, 1, 300)):
        x = rng.normal(0, 4, 300)
        for options in ({}, {"label_smoothing": 0.1}, {"ignore_index": 1.0}):
            value, grads = fl.sigmoid_focal_loss.value_and_grad(
                x, target, alpha=-1, gamma=0, reduction="mean", wrt=BOTH, **options
            )
            want, want_grads = fl.binary_cross_entropy_with_logits.value_and_grad(x, target, wrt=BOTH, **options)
            np.testing.assert_allclose(value, want, rtol=1e-14)
            for grad, want_grad in zip(grads, want_grads, strict=True):
                np.testing.assert_allclose(grad, want_grad, rtol=1e-13, atol=1e-17)


def test_asymmetric_without_asymmetry_is_focal():
    rng = np.random.default_rng(9)
    x, y = rng.normal(0, 4, 300), rng.integers(0, 2, 300)
    for gamma in (0.0, 1.0, 2.0, 2.5):
        value, grad = fl.asymmetric_loss.value_and_grad(x, y, gamma_neg=gamma, gamma_pos=gamma, clip=0.0)
        want, want_grad = fl.sigmoid_focal_loss.value_and_grad(x, y, alpha=-1, gamma=gamma, reduction="mean")
        np.testing.assert_allclose(value, want, rtol=1e-13)
        np.testing.assert_allclose(grad, want_grad, rtol=1e-12, atol=1e-20)


def test_a_whole_exponent_is_the_power():
    x, y = np.linspace(-30, 30, 101), np.tile([0.0, 1.0, 0.5], 34)[:101]
    for gamma in (1, 2, 3, 4):
        near = np.nextafter(float(gamma), 9)
        np.testing.assert_allclose(
            fl.sigmoid_focal_loss(x, y, gamma=gamma), fl.sigmoid_focal_loss(x, y, gamma=near), rtol=1e-12
        )


def test_confident_logits_keep_their_accuracy():
    x = np.array([20.0, 40.0, 80.0], np.float32)
    value = fl.sigmoid_focal_loss(x, np.ones(3, np.float32), alpha=-1, gamma=1)
    np.testing.assert_allclose(value, np.exp(-2 * x.astype(float)).astype(np.float32), rtol=1e-6)
    assert oracle_binary.sigmoid(0) == 0.5


@pytest.mark.parametrize(
    ("call", "match"),
    (
        (lambda: fl.sigmoid_focal_loss(np.ones(2), np.ones(2), alpha=1.5), "alpha is 1.5"),
        (lambda: fl.sigmoid_focal_loss(np.ones(2), np.ones(2), alpha=-0.5), r"expected a number in \[0, 1\], or -1"),
        (lambda: fl.sigmoid_focal_loss(np.ones(2), np.ones(2), gamma=-1), "gamma is -1"),
        (lambda: fl.sigmoid_focal_loss(np.ones(2), np.ones(3)), "shape"),
        (lambda: fl.asymmetric_loss(np.ones(2), np.ones(2), clip=1.5), "clip is 1.5"),
        (lambda: fl.self_information(np.array([0.5, 1.5])), r"input\[1\] is 1.5, expected a number in \[0, 1\]"),
        (lambda: fl.self_information(np.array([[0.5, -0.1]])), r"input\[0, 1\] is -0.1"),
    ),
)
def test_what_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_modules():
    x, y = torch.randn(4, 3), torch.randint(0, 2, (4, 3))
    assert torch.equal(fl.nn.SigmoidFocalLoss(gamma=1.0)(x, y), fl.sigmoid_focal_loss(x, y, gamma=1.0))
    assert torch.equal(fl.nn.AsymmetricLoss(clip=0.1)(x, y), fl.asymmetric_loss(x, y, clip=0.1))
    p = torch.rand(4)
    assert torch.equal(fl.nn.SelfInformationLoss(reduction="sum")(p), fl.self_information(p, reduction="sum"))
