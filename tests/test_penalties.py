"""Penalties on parameters: values, gradients and structure beside PyTorch, mpmath and scikit-learn."""

import mpmath
import numpy as np
import pytest
import torch
from against import INF, NAN
from cases import DTYPES, WIDE_DTYPES, unit
from elements import awkward

import fastloss as fl

PENALTIES = {
    fl.l1_penalty: ({"strength": 0.3}, lambda x, strength: strength * x.abs().sum()),
    fl.l2_penalty: ({"strength": 0.3}, lambda x, strength: strength * (x * x).sum()),
    fl.elastic_net_penalty: (
        {"strength": 0.3, "l1_ratio": 0.25},
        lambda x, strength, l1_ratio: strength * (l1_ratio * x.abs() + (1 - l1_ratio) / 2 * x * x).sum(),
    ),
}
IDS = [function.__name__ for function in PENALTIES]


@pytest.mark.parametrize("dtype", (torch.float32, torch.float64, torch.float16, torch.bfloat16))
@pytest.mark.parametrize("penalty", PENALTIES, ids=IDS)
def test_beside_pytorch(penalty, dtype):
    options, formula = PENALTIES[penalty]
    torch.manual_seed(0)
    x = torch.randn(7, 5).to(dtype).requires_grad_()
    wide = x.detach().double().requires_grad_()
    got, want = penalty(x, **options), formula(wide, **options)
    eps = torch.finfo(dtype).eps
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), want, rtol=8 * eps, atol=0)
    (grad,), (its) = torch.autograd.grad(got, x), torch.autograd.grad(want, wide)[0]
    torch.testing.assert_close(grad.double(), its, rtol=4 * eps, atol=0)


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize("penalty", PENALTIES, ids=IDS)
def test_awkward_points(penalty, dtype):
    options, _ = PENALTIES[penalty]
    largest = mpmath.mpf(float(np.finfo(DTYPES[dtype]).max))
    lam, ratio = mpmath.mpf(options["strength"]), mpmath.mpf(options.get("l1_ratio", penalty is fl.l1_penalty))
    if penalty is fl.l2_penalty:
        lam *= 2
    if dtype == "float32":
        lam, ratio = (mpmath.mpf(float(np.float32(float(v)))) for v in (lam, ratio))
    for point in awkward(dtype):
        value, grad = penalty.value_and_grad(np.array([point], DTYPES[dtype]), **options)
        x = mpmath.mpf(point)
        for got, want in (
            (value, lam * (ratio * abs(x) + (1 - ratio) / 2 * x * x)),
            (grad[0], lam * (ratio * mpmath.sign(x) + (1 - ratio) * x)),
        ):
            if abs(want) > largest:
                assert np.isinf(got)
            else:
                error = abs(mpmath.mpf(float(got)) - want)
                assert error <= 3 * mpmath.mpf(float(unit(float(want), dtype))), (point, got, want)


@pytest.mark.parametrize("penalty", PENALTIES, ids=IDS)
def test_gradients_come_in_the_structure_of_the_parameters(penalty):
    options, _ = PENALTIES[penalty]
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=(3, 4)), rng.normal(size=5).astype(np.float32), np.float64(-2.0) * np.ones(())]
    parts = [penalty.value_and_grad(array, **options) for array in arrays]
    for kind in (list, tuple):
        value, grads = penalty.value_and_grad(kind(arrays), **options)
        assert type(grads) is kind
        np.testing.assert_allclose(value, sum(float(part[0]) for part in parts), rtol=1e-7)
        for grad, part, array in zip(grads, parts, arrays, strict=True):
            assert grad.dtype == array.dtype
            np.testing.assert_array_equal(grad, part[1])
    value, (grads,) = penalty.value_and_grad(arrays, wrt=("parameters",), **options)
    assert len(grads) == 3


@pytest.mark.parametrize("penalty", PENALTIES, ids=IDS)
def test_the_parameters_of_a_model(penalty):
    options, formula = PENALTIES[penalty]
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)).double()
    got = penalty(model.parameters(), **options)
    want = sum(formula(p, **options) for p in model.parameters())
    torch.testing.assert_close(got, want, rtol=1e-14, atol=0)
    for mine, its in zip(
        torch.autograd.grad(got, list(model.parameters())),
        torch.autograd.grad(want, list(model.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(mine, its, rtol=1e-14, atol=0)
    assert isinstance(penalty.grad(model.parameters(), **options), list)


def test_out_is_written():
    arrays = [np.ones(3), np.full((2, 2), -2.0)]
    outs = [np.empty(3), np.empty((2, 2))]
    grads = fl.l2_penalty.grad(arrays, out=outs)
    for grad, out, array in zip(grads, outs, arrays, strict=True):
        assert grad is out
        np.testing.assert_array_equal(out, 2 * array)
    with pytest.raises(ValueError, match="out is no list of 2 arrays"):
        fl.l2_penalty.grad(arrays, out=outs[:1])
    with pytest.raises(ValueError, match="out shares memory"):
        fl.l2_penalty.grad(arrays, out=[np.empty(3), arrays[1]])
    with pytest.raises(ValueError, match="out shares memory"):
        fl.l2_penalty.grad([arrays[0], arrays[0].copy()], out=[np.empty(3), arrays[0]])


def test_zeros_infinities_and_nan():
    zeros = np.array([0.0, -0.0])
    for penalty in PENALTIES:
        value, grad = penalty.value_and_grad(zeros)
        assert value == 0
        np.testing.assert_array_equal(grad, zeros)
        for x, slope in ((INF, 1.0), (-INF, -1.0), (NAN, NAN)):
            value, grad = penalty.value_and_grad(np.array([x]))
            np.testing.assert_array_equal(value, abs(x))
            np.testing.assert_array_equal(grad[0], slope if penalty is fl.l1_penalty else x)


def test_nothing_costs_nothing():
    for penalty in PENALTIES:
        assert penalty([]) == 0
        assert penalty.grad([]) == []
        assert penalty(np.empty((0, 3))) == 0


def test_an_elastic_net_is_between_the_two():
    x = np.random.default_rng(2).normal(size=50)
    np.testing.assert_allclose(fl.elastic_net_penalty(x, 0.7, 1.0), fl.l1_penalty(x, 0.7), rtol=1e-14)
    np.testing.assert_allclose(fl.elastic_net_penalty(x, 0.7, 0.0), fl.l2_penalty(x, 0.35), rtol=1e-14)


def test_weight_decay_is_twice_the_strength():
    w = torch.randn(5, requires_grad=True)
    other = w.detach().clone().requires_grad_()
    plain = torch.optim.SGD([w], lr=0.1)
    fl.l2_penalty(w, 0.05).backward()
    plain.step()
    decayed = torch.optim.SGD([other], lr=0.1, weight_decay=0.1)
    other.grad = torch.zeros(5)
    decayed.step()
    torch.testing.assert_close(w, other, rtol=1e-6, atol=1e-7)


def test_scikit_learn_minimises_it():
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(60, 4)), rng.normal(size=60)
    model = linear_model.ElasticNet(alpha=0.05, l1_ratio=0.4, fit_intercept=False, tol=1e-12, max_iter=100000)
    w = model.fit(x, y).coef_

    def slope(w):
        return -x.T @ (y - x @ w) / 60 + fl.elastic_net_penalty.grad(w, 0.05, 0.4)

    at = np.abs(w) > 0
    assert at.any()
    np.testing.assert_allclose(slope(w)[at], 0, atol=1e-8)


@pytest.mark.parametrize(
    ("error", "call", "match"),
    (
        (ValueError, lambda: fl.l1_penalty(np.ones(2), -1), "l1_penalty: strength is -1"),
        (ValueError, lambda: fl.elastic_net_penalty(np.ones(2), 1, 2), "l1_ratio is 2"),
        (TypeError, lambda: fl.l1_penalty(np.ones(2, int)), "l1_penalty: parameters has dtype int64"),
        (TypeError, lambda: fl.l1_penalty(None), "parameters is None"),
        (TypeError, lambda: fl.l1_penalty([np.ones(2), torch.ones(2)]), r"parameters\[1\] is a torch array"),
        (ValueError, lambda: fl.nn.ElasticNetPenalty(l1_ratio=-1.0), "l1_ratio is -1.0"),
    ),
)
def test_what_is_refused(error, call, match):
    with pytest.raises(error, match=match):
        call()


def test_modules():
    parameters = [torch.randn(3), torch.randn(2, 2)]
    assert torch.equal(fl.nn.L1Penalty(0.1)(parameters), fl.l1_penalty(parameters, 0.1))
    assert torch.equal(fl.nn.L2Penalty(0.1)(parameters[0]), fl.l2_penalty(parameters[0], 0.1))
    assert repr(fl.nn.ElasticNetPenalty(0.1)) == "ElasticNetPenalty(strength=0.1)"


def test_compiled_whole():
    model = torch.nn.Linear(3, 2)
    got = torch.compile(lambda: fl.l2_penalty(list(model.parameters()), 0.1), fullgraph=True, backend="aot_eager")()
    torch.testing.assert_close(got, fl.l2_penalty(model.parameters(), 0.1))
