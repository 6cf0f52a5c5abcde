"""Divergences: values, gradients, zeros and extremes beside mpmath, PyTorch and optax, and their inequalities."""

import mpmath
import numpy as np
import oracle_divergence
import pytest
import torch
import torch.nn.functional as F
from against import INF, NAN, TOLERANCE, assert_finite, assert_oracle, assert_table, assert_torch
from cases import DTYPES, WIDE_DTYPES
from elements import awkward
from elements import check_awkward as assert_awkward

import fastloss as fl

BOTH = ("input", "target")
LOSSES = ("kl_div", "js_div", "tv_div")
ALL_REDUCTIONS = ("mean", "sum", "none", "batchmean")
pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")


def distributions(rng, shape, log_target, dtype="float64"):
    p, q = rng.gamma(1, size=shape), rng.gamma(1, size=shape)
    p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
    return {"input": np.log(p).astype(DTYPES[dtype]), "target": (np.log(q) if log_target else q).astype(DTYPES[dtype])}


# (value, gradient) bounds in ulps of the magnitudes in oracle_divergence.py: measured, and rounded up.
AWKWARD = (
    ("kl_div", False, 2, 3),
    ("kl_div", True, 2, 3),
    ("js_div", False, 3, 4),
    ("js_div", True, 5, 4),
    ("tv_div", False, 2, 1),
    ("tv_div", True, 2, 1),
)


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize(("loss", "log_target", "value_ulps", "grad_ulps"), AWKWARD)
def test_awkward_points(loss, log_target, value_ulps, grad_ulps, dtype):
    targets = awkward(dtype, high=0, extra=(-1.0001, -1.7, -2.4, -2.6)) if log_target else awkward(dtype, 0, 1)

    def skip(x, t):  # a probability that is no normal number, times its huge logarithm
        return loss == "kl_div" and log_target and dtype == "float32" and -150 < t < -87 and x < -1e3

    # Flushed: what a difference of mpmath does not see of 1e-308 beside 1, and products of denormal probabilities.
    assert_awkward(
        loss,
        {"input": awkward(dtype, high=0), "target": targets},
        dtype,
        value_ulps=value_ulps,
        grad_ulps=grad_ulps,
        wrt=BOTH,
        flush=2,
        options={"log_target": log_target},
        skip=skip,
    )


@pytest.mark.parametrize("log_target", (False, True))
@pytest.mark.parametrize("reduction", ALL_REDUCTIONS)
@pytest.mark.parametrize("loss", LOSSES)
def test_reductions_and_weights(loss, reduction, log_target):
    rng = np.random.default_rng(1)
    for dtype in WIDE_DTYPES:
        arrays = distributions(rng, (3, 5), log_target, dtype)
        arrays["sample_weight"] = rng.uniform(0.25, 2, (3, 1)).astype(DTYPES[dtype])
        options = {"log_target": log_target}
        if reduction == "batchmean":  # by the length of the batch, whatever the weights are
            del arrays["sample_weight"]
        assert_oracle(loss, arrays, wrt=BOTH, ulps=16, reduction=reduction, **options)


def test_a_weighted_batchmean_divides_by_the_batch():
    arrays = distributions(np.random.default_rng(2), (4, 3), False)
    w = np.array([[2.0], [1.0], [0.0], [1.0]])
    got = fl.kl_div(**arrays, reduction="batchmean", sample_weight=w)
    np.testing.assert_allclose(got, (fl.kl_div(**arrays, reduction="none") * w).sum() / 4, rtol=1e-14)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("log_target", (False, True))
@pytest.mark.parametrize("reduction", ALL_REDUCTIONS)
def test_pytorch(reduction, log_target, dtype):
    assert_torch(
        lambda **a: fl.kl_div(**a, reduction=reduction, log_target=log_target),
        lambda **a: F.kl_div(**a, reduction=reduction, log_target=log_target),
        distributions(np.random.default_rng(3), (6, 7), log_target),
        BOTH,
        dtype=dtype,
    )


@pytest.mark.parametrize("shapes", (((3, 4), (4,)), ((1, 4), (3, 4)), ((4,), (3, 1)), ((), (3,))))
@pytest.mark.parametrize("reduction", ALL_REDUCTIONS)
def test_shapes_broadcast_as_in_pytorch(shapes, reduction):
    rng = np.random.default_rng(4)
    arrays = {"input": np.log(rng.uniform(0.1, 1, shapes[0])), "target": rng.uniform(0.1, 1, shapes[1])}
    assert_torch(
        lambda **a: fl.kl_div(**a, reduction=reduction), lambda **a: F.kl_div(**a, reduction=reduction), arrays, BOTH
    )


def test_a_target_of_zero_costs_nothing_whatever_stands_beside_it():
    x = np.array([-INF, -1.0, 0.0], np.float32)
    for targets, options in ((np.zeros(3, np.float32), {}), (np.full(3, -INF, np.float32), {"log_target": True})):
        value, grads = fl.kl_div.value_and_grad(x, targets, reduction="none", wrt=BOTH, **options)
        for result in (value, *grads):
            np.testing.assert_array_equal(result, np.zeros(3))
    its = F.kl_div(torch.tensor([-INF]), torch.zeros(1), reduction="none")
    assert torch.isnan(its).all()


TABLES = (
    ("kl_div", False, ((-INF, 0.5, INF, -0.5), (NAN, 0.5, NAN, -0.5), (-1, NAN, NAN, NAN), (0, -0.5, NAN, 0.5))),
    ("kl_div", True, ((-INF, 0, INF, -1), (-1, -INF, 0, 0), (-INF, -INF, 0, 0), (NAN, 0, NAN, -1), (0, NAN, NAN, NAN))),
    ("js_div", False, ((-INF, 0, 0, 0), (0, 1, 0, 0), (NAN, 0.5, NAN, NAN), (-1, NAN, NAN, NAN), (0, -0.5, NAN, NAN))),
    ("js_div", True, ((-INF, -INF, 0, 0), (0, 0, 0, 0), (NAN, 0, NAN, NAN), (0, NAN, NAN, NAN), (100, 100, 0, 0))),
    ("tv_div", False, ((-INF, 0, 0, 0), (-INF, 1, 0.5, 0), (0, 1, 0, 0), (0, 0, 0.5, 0.5), (NAN, 0.5, NAN, NAN))),
    ("tv_div", True, ((-INF, -INF, 0, 0), (-INF, 0, 0.5, 0), (0, -INF, 0.5, 0.5), (NAN, 0, NAN, NAN), (-2, -2, 0, 0))),
)


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize(("loss", "log_target", "rows"), TABLES)
def test_infinities_and_nan(loss, log_target, rows, dtype):
    if loss == "tv_div":  # the slope of a NaN is of no side
        rows = [row if row[2] == row[2] else (*row[:3], row[3]) for row in rows]
    assert_table(loss, rows, dtype=dtype, log_target=log_target)


@pytest.mark.parametrize("log_target", (False, True))
@pytest.mark.parametrize("loss", LOSSES)
def test_no_nan_of_distributions(loss, log_target):
    logs = [-INF, -3e38, -1e4, -100, -1, -1e-30, 0]
    targets = logs if log_target else [0, 1e-45, 1e-30, 0.5, 1]
    assert_finite(loss, {"input": logs, "target": targets}, wrt=BOTH, log_target=log_target)


def test_a_distribution_is_no_distance_from_itself():
    rng = np.random.default_rng(5)
    p = rng.dirichlet(np.ones(50), 20)
    for loss in LOSSES:
        function = getattr(fl, loss)
        assert function(np.log(p), np.log(p), log_target=True, reduction="sum") == 0
        np.testing.assert_allclose(function(np.log(p), p, reduction="none"), 0, atol=2e-16)


def test_divergences_are_not_negative_and_bounded():
    rng = np.random.default_rng(6)
    p, q = rng.dirichlet(np.full(5, 0.2), 500), rng.dirichlet(np.full(5, 0.2), 500)
    p, q = np.maximum(p, 1e-300), np.maximum(q, 1e-300)
    kl, js, tv = (getattr(fl, loss)(np.log(p), q, reduction="none").sum(-1) for loss in LOSSES)
    assert (kl >= 0).all()
    assert (js >= 0).all()
    assert (js <= np.log(2) * (1 + 1e-14)).all()
    assert (tv <= 1 + 1e-14).all()
    assert (2 * tv**2 <= kl * (1 + 1e-12)).all()  # Pinsker
    assert (js <= tv * np.log(2) * (1 + 1e-12)).all()  # Lin


def test_kl_is_not_symmetric_and_the_others_are():
    rng = np.random.default_rng(7)
    log_p, log_q = (np.log(rng.dirichlet(np.ones(4), 30)) for _ in range(2))
    for loss in LOSSES:
        function = getattr(fl, loss)
        value, (by_p, by_q) = function.value_and_grad(log_p, log_q, log_target=True, wrt=BOTH, reduction="none")
        other, (by_q_too, by_p_too) = function.value_and_grad(log_q, log_p, log_target=True, wrt=BOTH, reduction="none")
        if loss == "kl_div":
            assert not np.allclose(value, other)
        else:
            np.testing.assert_array_equal(value, other)
            np.testing.assert_array_equal(by_p, by_p_too)
            np.testing.assert_array_equal(by_q, by_q_too)


def test_jensen_shannon_is_half_the_divergence_of_each_from_the_mixture():
    rng = np.random.default_rng(8)
    p, q = rng.dirichlet(np.ones(6), (2, 40))
    log_m = np.log((p + q) / 2)
    want = (fl.kl_div(log_m, p, reduction="sum") + fl.kl_div(log_m, q, reduction="sum")) / 2
    np.testing.assert_allclose(fl.js_div(np.log(p), q, reduction="sum"), want, rtol=1e-13)


def exact_js(x, t):
    with mpmath.workdps(60):
        return oracle_divergence.js_div.formula(mpmath.mpf(x), mpmath.mpf(t), None, log_target=True)[0]


def test_jensen_shannon_of_near_distributions_keeps_its_accuracy():
    log_p = np.log(np.array([0.5, 0.25]))
    for shift in (1e-3, 1e-6, 1e-9):
        got = fl.js_div(log_p, log_p + shift, log_target=True, reduction="none")
        moved = (log_p + shift) - log_p
        want = [float(exact_js(*row)) for row in np.stack([log_p, log_p + shift], -1).tolist()]
        np.testing.assert_allclose(got, want, rtol=2e-15)
        np.testing.assert_allclose(got, np.exp(log_p) * moved**2 / 8, rtol=shift)


def test_cross_entropy_of_two_distributions_is_divergence_plus_entropy():
    rng = np.random.default_rng(9)
    logits, q = rng.normal(0, 3, (20, 7)), rng.dirichlet(np.ones(7), 20)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    entropy = (q * fl.self_information(q, reduction="none")).sum(-1).mean()
    np.testing.assert_allclose(
        fl.cross_entropy(logits, q), fl.kl_div(log_p, q, reduction="batchmean") + entropy, rtol=1e-13
    )


def test_optax():
    optax = pytest.importorskip("optax")
    jax = pytest.importorskip("jax")
    arrays = distributions(np.random.default_rng(10), (30, 6), False, "float32")
    x, q = arrays["input"], arrays["target"]
    for target, options, its in (
        (q, {}, optax.losses.kl_divergence),
        (np.log(q), {"log_target": True}, optax.losses.kl_divergence_with_log_targets),
    ):
        value, grad = fl.kl_div.value_and_grad(x, target, reduction="sum", **options)
        want, want_grad = jax.value_and_grad(lambda x, its=its, target=target: its(x, target).sum())(x)
        np.testing.assert_allclose(value, want, rtol=1e-5)
        np.testing.assert_allclose(grad, want_grad, rtol=1e-5)


def test_a_module_takes_the_options():
    log_p = torch.log_softmax(torch.randn(4, 3, dtype=torch.float64), -1)
    q = torch.softmax(torch.randn(4, 3, dtype=torch.float64), -1)
    for options in ({"reduction": "batchmean"}, {"reduction": "sum", "log_target": True}):
        target = q.log() if options.get("log_target") else q
        torch.testing.assert_close(
            fl.nn.KLDivLoss(**options)(log_p, target), torch.nn.KLDivLoss(**options)(log_p, target)
        )
    with pytest.raises(ValueError, match="reduction is 'batch'"):
        fl.nn.JSDivLoss(reduction="batch")
