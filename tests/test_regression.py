"""Regression losses: against mpmath at extremes, and against every system that has them too."""

import itertools
import math
import warnings

import mpmath
import numpy as np
import oracle_regression  # registers the formulas
import pytest
import torch
import torch.nn.functional as F
from cases import DTYPES, same_bits, unit
from elements import ORACLES, awkward, check_awkward
from sklearn._loss import loss as sklearn_loss

import fastloss as fl

WIDE = pytest.mark.parametrize("dtype", ("float32", "float64"))
ELEMENTWISE = tuple(name for name in vars(oracle_regression) if name in ORACLES)
INF, NAN = math.inf, math.nan


def optional(name):
    """A second system; what it warns of on import is its own business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, exc_type=ImportError)


def numbers(seed, shape=(6, 5), low=None, spread=2.0):
    """Normal numbers, or positive ones from ``low``; some pairs of seeds share elements, for the kinks."""
    rng = np.random.default_rng(seed)
    if low is not None:
        return low + np.exp(rng.standard_normal(shape))
    return spread * rng.standard_normal(shape)


# Extremes, against mpmath.


def below(dtype):
    """The smallest number above -1."""
    return float(np.nextafter(DTYPES[dtype].type(-1), DTYPES[dtype].type(0)))


def points(kind, dtype):
    match kind:
        case "real":
            return awkward(dtype)
        case "count":
            return awkward(dtype, low=0.0)
        case "positive":
            return awkward(dtype, low=5e-324)
        case "ordinary":  # where a high power of it is a number
            return awkward(dtype, low=1e-4, high=1e4)
        case "above -1":
            return awkward(dtype, low=below(dtype), extra=(below(dtype), -0.999))
        case "few":
            return [-float(np.finfo(DTYPES[dtype]).max), -1.0, 0.0, 2.5, 1e4]
        case "variance":
            return awkward(dtype, low=2e-6)
    raise AssertionError(kind)


BOTH = ("input", "target")
#: Loss, options, kinds of the operands' points, and the bounds of value and gradients in ulps: the largest errors found
#: in either dtype, rounded up to the next half. Numbers below the smallest normal one may be 0 where ``flush`` is 1.
AWKWARD = (
    ("l1_loss", {}, ("real", "real"), 0.5, 0.0),
    ("smooth_l1_loss", {}, ("real", "real"), 1.5, 0.5),
    ("smooth_l1_loss", {"beta": 0.3}, ("real", "real"), 1.5, 1.0),
    ("smooth_l1_loss", {"beta": 0.0}, ("real", "real"), 0.5, 0.0),
    ("huber_loss", {}, ("real", "real"), 1.5, 0.5),
    ("huber_loss", {"delta": 0.3}, ("real", "real"), 2.0, 0.5),
    ("log_cosh_loss", {}, ("real", "real"), 2.5, 2.5),
    ("quantile_loss", {}, ("real", "real"), 1.0, 0.0),
    ("quantile_loss", {"quantile": 0.99}, ("real", "real"), 2.0, 0.5),
    ("poisson_nll_loss", {}, ("real", "count"), 1.5, 1.5),
    ("poisson_nll_loss", {"full": True}, ("real", "count"), 1.5, 1.5),
    ("poisson_nll_loss", {"log_input": False}, ("count", "count"), 1.5, 1.0),
    ("poisson_nll_loss", {"log_input": False, "full": True}, ("count", "count"), 1.5, 1.5),
    ("gaussian_nll_loss", {}, ("real", "few", "variance"), 2.5, 2.5),
    ("gaussian_nll_loss", {"full": True}, ("real", "few", "variance"), 3.0, 2.5),
    ("gamma_nll_loss", {}, ("real", "count"), 2.0, 2.0),
    ("gamma_nll_loss", {"log_input": False}, ("positive", "positive"), 1.0, 1.5),
    ("tweedie_loss", {}, ("real", "count"), 2.0, 2.0),
    ("tweedie_loss", {"power": 1.2}, ("real", "count"), 3.0, 2.5),
    ("tweedie_loss", {"power": 0.0}, ("real", "real"), 2.0, 3.0),
    ("tweedie_loss", {"power": 1.0}, ("real", "count"), 1.5, 1.5),
    ("tweedie_loss", {"power": 2.0}, ("real", "positive"), 2.0, 2.0),
    ("tweedie_loss", {"power": 3.0}, ("real", "positive"), 2.5, 3.0),
    ("tweedie_loss", {"power": -1.0}, ("real", "real"), 2.5, 2.5),
    # With the identity as link, in units of the value, however much larger its terms are: 2 to 4 found.
    ("tweedie_loss", {"log_input": False}, ("positive", "positive"), 4.0, 1.5),
    ("tweedie_loss", {"power": 1.2, "log_input": False}, ("positive", "positive"), 4.0, 2.0),
    ("tweedie_loss", {"power": 0.0, "log_input": False}, ("real", "real"), 2.0, 0.5),
    ("tweedie_loss", {"power": 1.0, "log_input": False}, ("positive", "positive"), 3.0, 1.5),
    ("tweedie_loss", {"power": 2.0, "log_input": False}, ("positive", "positive"), 2.0, 1.5),
    ("tweedie_loss", {"power": 3.0, "log_input": False}, ("ordinary", "ordinary"), 4.0, 2.0),
    ("mape_loss", {}, ("real", "real"), 1.5, 1.5),
    ("msle_loss", {}, ("above -1", "above -1"), 3.0, 2.5),
    ("charbonnier_loss", {}, ("real", "real"), 1.5, 1.5),
    ("charbonnier_loss", {"eps": 2.5}, ("real", "real"), 2.0, 2.0),
    ("cauchy_loss", {}, ("real", "real"), 2.0, 2.0),
    ("cauchy_loss", {"scale": 0.3}, ("real", "real"), 1.5, 2.0),
    ("welsch_loss", {}, ("real", "real"), 2.0, 1.0),
    ("welsch_loss", {"scale": 30.0}, ("real", "real"), 4.0, 3.0),
    ("geman_mcclure_loss", {}, ("real", "real"), 2.0, 3.0),
    ("geman_mcclure_loss", {"scale": 0.3}, ("real", "real"), 1.5, 5.5),
)


def awkward_id(case):
    return "-".join([case[0], *(f"{k}={v}" for k, v in case[1].items())])


def hides_its_target(loss, options):
    """Where exp of the input has more digits than the oracle, it does not see what the target adds."""
    grows = loss == "poisson_nll_loss" or (loss == "tweedie_loss" and options.get("power", 1.5) < 1.5)
    return grows and options.get("log_input", True)


@WIDE
@pytest.mark.parametrize("case", AWKWARD, ids=awkward_id)
def test_awkward_points(case, dtype):
    loss, options, kinds, value_ulps, grad_ulps = case
    names = [name for name in ORACLES[loss].names if name]
    grid = {name: points(kind, dtype) for name, kind in zip(names, kinds, strict=True)}
    bounds = {"value_ulps": value_ulps, "grad_ulps": grad_ulps, "flush": 1, "options": options}
    with np.errstate(over="ignore"):  # of the oracle, in long double
        if hides_its_target(loss, options):
            check_awkward(loss, grid, dtype, wrt=("input",), **bounds)
            check_awkward(loss, grid, dtype, wrt=("target",), skip=lambda x, t: x > 100, **bounds)
        elif loss == "gaussian_nll_loss":
            # Nor does it see the square of a tiny number beside the logarithm.
            check_awkward(loss, grid, dtype, wrt=tuple(names), skip=lambda x, t, v: 0 < abs(x) < 1e-300, **bounds)
        else:
            check_awkward(loss, grid, dtype, wrt=tuple(names), **bounds)


@WIDE
def test_welsch_slopes_far_out(dtype):
    """exp(-d^2 / 2) magnifies the rounding of d^2 / 2: within d^2 ulps of the slope."""
    x = np.array([1.5, 5.1, 9.3, 12.7], DTYPES[dtype])
    grad = fl.welsch_loss.grad(x, np.zeros_like(x), reduction="sum")
    wide = x.astype(np.longdouble)
    want = wide * np.exp(-wide * wide / 2)
    assert (np.abs(grad - want) <= (2 + wide * wide / 2) * unit(want, dtype)).all()


# Infinity and NaN: (x, y[, var]) -> (loss, slope by x).

SPECIAL = (
    ("l1_loss", {}, (INF, 0.0), INF, 1.0),
    ("l1_loss", {}, (0.0, INF), INF, -1.0),
    ("l1_loss", {}, (INF, INF), NAN, NAN),
    ("smooth_l1_loss", {}, (-INF, 0.0), INF, -1.0),
    ("smooth_l1_loss", {}, (INF, INF), NAN, NAN),
    ("huber_loss", {"delta": 2.0}, (INF, 0.0), INF, 2.0),
    ("huber_loss", {"delta": 2.0}, (INF, INF), NAN, NAN),
    ("mse_loss", {}, (INF, 0.0), INF, INF),
    ("log_cosh_loss", {}, (INF, 0.0), INF, 1.0),
    ("log_cosh_loss", {}, (0.0, INF), INF, -1.0),
    ("log_cosh_loss", {}, (INF, INF), NAN, NAN),
    ("quantile_loss", {"quantile": 0.25}, (INF, 0.0), INF, 0.75),
    ("quantile_loss", {"quantile": 0.25}, (0.0, INF), INF, -0.25),
    ("quantile_loss", {"quantile": 0.25}, (INF, INF), NAN, NAN),
    ("poisson_nll_loss", {}, (-INF, 0.0), 0.0, 0.0),
    ("poisson_nll_loss", {}, (-INF, 2.0), INF, -2.0),
    ("poisson_nll_loss", {}, (INF, 2.0), INF, INF),
    ("poisson_nll_loss", {}, (1.0, INF), -INF, -INF),
    ("poisson_nll_loss", {"full": True}, (1.0, INF), INF, -INF),
    ("poisson_nll_loss", {"log_input": False, "eps": 0.0}, (0.0, 0.0), 0.0, 1.0),
    ("poisson_nll_loss", {"log_input": False, "eps": 0.0}, (0.0, 2.0), INF, -INF),
    ("poisson_nll_loss", {"log_input": False}, (-1.0, 0.0), NAN, 1.0),
    ("poisson_nll_loss", {"log_input": False, "eps": 0.0}, (-1.0, 2.0), NAN, 3.0),
    ("gaussian_nll_loss", {}, (INF, 0.0, 1.0), INF, INF),
    ("gaussian_nll_loss", {}, (1.0, 0.0, INF), INF, 0.0),
    ("gaussian_nll_loss", {}, (1.0, 0.0, NAN), NAN, NAN),
    ("gamma_nll_loss", {}, (INF, 1.0), INF, 1.0),
    ("gamma_nll_loss", {}, (-INF, 1.0), NAN, -INF),
    ("gamma_nll_loss", {}, (-INF, 0.0), -INF, 1.0),
    ("gamma_nll_loss", {}, (0.0, INF), INF, -INF),
    ("gamma_nll_loss", {"log_input": False}, (INF, 1.0), INF, NAN),
    ("gamma_nll_loss", {"log_input": False}, (-1.0, 1.0), NAN, -2.0),
    ("tweedie_loss", {}, (INF, 1.0), INF, INF),
    ("tweedie_loss", {}, (-INF, 1.0), INF, -INF),
    ("tweedie_loss", {}, (-INF, 0.0), 0.0, 0.0),
    ("tweedie_loss", {"power": 3.0}, (-INF, 1.0), INF, -INF),
    ("tweedie_loss", {"power": 3.0}, (INF, 1.0), 0.0, 0.0),
    ("tweedie_loss", {"log_input": False}, (-1.0, 1.0), NAN, NAN),
    ("mape_loss", {}, (INF, 2.0), INF, 0.5),
    ("mape_loss", {}, (INF, INF), NAN, NAN),
    ("msle_loss", {}, (-1.0, 1.0), INF, -INF),
    ("msle_loss", {}, (-1.0, -1.0), NAN, NAN),
    ("msle_loss", {}, (-1.5, -1.2), NAN, NAN),
    ("msle_loss", {}, (-3.0, 1.0), NAN, NAN),
    ("msle_loss", {}, (1.0, INF), INF, -INF),
    ("charbonnier_loss", {}, (INF, 0.0), INF, 1.0),
    ("charbonnier_loss", {}, (0.0, INF), INF, -1.0),
    ("cauchy_loss", {}, (INF, 0.0), INF, 0.0),
    ("welsch_loss", {}, (INF, 0.0), 1.0, 0.0),
    ("geman_mcclure_loss", {}, (INF, 0.0), 2.0, 0.0),
)


@WIDE
@pytest.mark.parametrize("case", SPECIAL, ids=lambda case: f"{awkward_id(case)}-{case[2]}")
def test_infinite_numbers(case, dtype):
    loss, options, given, value, slope = case
    arrays = [np.array([number], DTYPES[dtype]) for number in given]
    got, grad = getattr(fl, loss).value_and_grad(*arrays, **options, reduction="none", wrt="input")
    np.testing.assert_array_equal(got, [value])
    np.testing.assert_array_equal(grad, [slope])


@WIDE
@pytest.mark.parametrize("case", [case for case in AWKWARD if case[0] in ELEMENTWISE], ids=awkward_id)
def test_nan_comes_through(case, dtype):
    loss, options, *_ = case
    count = sum(bool(name) for name in ORACLES[loss].names)
    for bad in range(count):
        arrays = [np.array([NAN if i == bad else 1.5, 1.5], DTYPES[dtype]) for i in range(count)]
        value, grad = getattr(fl, loss).value_and_grad(*arrays, **options, reduction="none", wrt="input")
        assert np.isnan(value).tolist() == [True, False]
        assert np.isnan(grad).tolist() == [True, False]


# PyTorch.

PYTORCH = (
    ("l1_loss", {}),
    ("mse_loss", {}),
    ("smooth_l1_loss", {}),
    ("smooth_l1_loss", {"beta": 0.5}),
    ("smooth_l1_loss", {"beta": 0.0}),
    ("huber_loss", {}),
    ("huber_loss", {"delta": 0.5}),
    *(
        ("poisson_nll_loss", {"log_input": log_input, "full": full})
        for log_input, full in itertools.product((True, False), repeat=2)
    ),
    ("poisson_nll_loss", {"log_input": False, "eps": 0.5}),
    ("gaussian_nll_loss", {}),
    ("gaussian_nll_loss", {"full": True, "eps": 0.5}),
)


def pytorch_data(loss, options, dtype, seed=0):
    """Arrays within the domain, with exact kinks among them."""
    if loss == "poisson_nll_loss":
        arrays = [numbers(seed, low=None if options.get("log_input", True) else 0.1), numbers(seed + 1, low=0.0)]
        arrays[1].flat[:3] = 0.5 if options.get("full") else 0.0, 1.0, 2.0
    elif loss == "gaussian_nll_loss":
        arrays = [numbers(seed), numbers(seed + 1), numbers(seed + 2, low=0.0)]
        arrays[2].flat[:3] = 0.5, 0.25, 0.0
    else:
        arrays = [numbers(seed), numbers(seed + 1)]
        kinks = (0.0, 0.5, -0.5, 1.0, -1.0, 0.25, 3.0)
        arrays[0].flat[: len(kinks)] = kinks
        arrays[1].flat[: len(kinks)] = 0.0
    return [array.astype(DTYPES[dtype]) for array in arrays]


def leaves(arrays):
    return [torch.as_tensor(array).clone().requires_grad_() for array in arrays]


def agree(got, want, mine, its, rtol):
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    torch.testing.assert_close(got, want, rtol=rtol, atol=rtol)
    upstream = torch.linspace(0.5, 2, want.numel(), dtype=want.dtype).reshape(want.shape)
    got.backward(upstream)
    want.backward(upstream)
    for a, b in zip(mine, its, strict=True):
        assert a.grad.dtype == b.grad.dtype
        torch.testing.assert_close(a.grad, b.grad, rtol=rtol, atol=rtol)


@WIDE
@pytest.mark.parametrize("reduction", ("mean", "sum", "none"))
@pytest.mark.parametrize("case", PYTORCH, ids=awkward_id)
def test_pytorch_agrees(case, reduction, dtype):
    loss, options = case
    arrays = pytorch_data(loss, options, dtype)
    mine, its = leaves(arrays), leaves(arrays)
    got = getattr(fl, loss)(*mine, **options, reduction=reduction)
    want = getattr(F, loss)(*its, **options, reduction=reduction)
    agree(got, want, mine, its, 1e-12 if dtype == "float64" else 3e-6)


@WIDE
@pytest.mark.parametrize("reduction", ("mean", "sum", "none"))
@pytest.mark.parametrize("loss", ("l1_loss", "mse_loss", "huber_loss"))
def test_pytorch_agrees_on_weights(loss, reduction, dtype):
    """l1_loss and mse_loss divide by the sum of the weights, huber_loss by the number of elements."""
    arrays = pytorch_data(loss, {}, dtype)
    weight = torch.from_numpy(numbers(9, low=0.0).astype(DTYPES[dtype]))
    mine, its = leaves(arrays), leaves(arrays)
    got = getattr(fl, loss)(*mine, weight=weight, reduction=reduction)
    want = getattr(F, loss)(*its, weight=weight, reduction=reduction)
    agree(got, want, mine, its, 1e-12 if dtype == "float64" else 3e-6)


@pytest.mark.parametrize("loss", ("l1_loss", "mse_loss", "huber_loss"))
def test_the_denominator_of_a_weighted_mean(loss):
    arrays = pytorch_data(loss, {}, "float64")
    weight = numbers(9, low=0.0)
    total = getattr(fl, loss)(*arrays, weight=weight, reduction="sum")
    by = weight.size if loss == "huber_loss" else weight.sum()
    assert float(getattr(fl, loss)(*arrays, weight=weight)) == pytest.approx(total / by, rel=1e-13)
    sample = numbers(10, low=0.0)
    total = getattr(fl, loss)(*arrays, weight=weight, sample_weight=sample, reduction="sum")
    both = getattr(fl, loss)(*arrays, weight=weight, sample_weight=sample)
    assert float(both) == pytest.approx(total / (weight * sample).sum(), rel=1e-13)


@pytest.mark.parametrize("kind", (torch.float16, torch.bfloat16))
@pytest.mark.parametrize("loss", ("l1_loss", "huber_loss"))
def test_pytorch_agrees_in_16_bits(loss, kind):
    arrays = [torch.from_numpy(array).to(kind) for array in pytorch_data(loss, {}, "float32")]
    mine, its = ([array.clone().requires_grad_() for array in arrays] for _ in range(2))
    got, want = getattr(fl, loss)(*mine, reduction="none"), getattr(F, loss)(*its, reduction="none")
    # PyTorch rounds x - y before it goes on.
    agree(got, want, mine, its, 4 * torch.finfo(kind).eps)
    got, want = getattr(fl, loss)(*arrays), getattr(F, loss)(*arrays)
    assert got.dtype == want.dtype == kind
    torch.testing.assert_close(got, want, rtol=2 * torch.finfo(kind).eps, atol=0)


@pytest.mark.parametrize("kind", (torch.int64, torch.bool))
@pytest.mark.parametrize("loss", ("smooth_l1_loss", "mse_loss", "poisson_nll_loss"))
def test_targets_of_integers(loss, kind):
    x = torch.from_numpy(numbers(0, (8,)).astype(np.float32))
    y = (torch.arange(8) % 2).to(kind)
    mine, its = leaves([x]), leaves([x])
    agree(getattr(fl, loss)(*mine, y), getattr(F, loss)(*its, y), mine, its, 1e-6)


@pytest.mark.parametrize("loss", ("l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss"))
def test_broadcasting_warns_where_pytorch_warns(loss):
    x, y = torch.from_numpy(numbers(0)), torch.from_numpy(numbers(1, (5,)))
    with pytest.warns(UserWarning, match="target size"):
        want = getattr(F, loss)(x, y)
    with pytest.warns(UserWarning, match=f"{loss}: input has shape"):
        got = getattr(fl, loss)(x, y)
    torch.testing.assert_close(got, want, rtol=1e-13, atol=0)


def test_poisson_and_gaussian_broadcast_silently():
    x, y, v = (torch.from_numpy(array) for array in (numbers(0), numbers(1, (5,), low=0.0), numbers(2, low=0.0)))
    mine, its = leaves([x, y]), leaves([x, y])
    agree(fl.poisson_nll_loss(*mine), F.poisson_nll_loss(*its), mine, its, 1e-12)
    mine, its = leaves([x, y, v]), leaves([x, y, v])
    agree(fl.gaussian_nll_loss(*mine), F.gaussian_nll_loss(*its), mine, its, 1e-12)


def test_positions_of_arguments_are_those_of_pytorch():
    x, y, v = (torch.from_numpy(array) for array in (numbers(0), numbers(1, low=0.0), numbers(2, low=0.0)))
    same = {"rtol": 1e-12, "atol": 0.0}
    torch.testing.assert_close(fl.huber_loss(x, y, "sum", 0.5, v), F.huber_loss(x, y, "sum", 0.5, v), **same)
    torch.testing.assert_close(fl.poisson_nll_loss(v, y, False, True), F.poisson_nll_loss(v, y, False, True), **same)
    theirs = F.gaussian_nll_loss(x, y, v, True, 0.5, "sum")
    torch.testing.assert_close(fl.gaussian_nll_loss(x, y, v, True, 0.5, "sum"), theirs, **same)


# The variance of gaussian_nll_loss.


@pytest.mark.parametrize("shape", ((4, 4, 3), (4, 4, 1), (4, 1, 3), (1, 4, 3), (4, 4)))
def test_shapes_of_a_variance(shape):
    arrays = [numbers(0, (4, 4, 3)), numbers(1, (4, 4, 3)), numbers(2, shape, low=0.1)]
    mine, its = leaves(arrays), leaves(arrays)
    for reduction in ("mean", "none"):
        got = fl.gaussian_nll_loss(*mine, reduction=reduction)
        agree(got, F.gaussian_nll_loss(*its, reduction=reduction), mine, its, 1e-12)
        for leaf in (*mine, *its):
            leaf.grad = None
    value, grads = fl.gaussian_nll_loss.value_and_grad(*arrays, wrt=("input", "var"))
    F.gaussian_nll_loss(*its).backward()
    for grad, leaf in zip(grads, (its[0], its[2]), strict=True):
        np.testing.assert_allclose(grad, leaf.grad, rtol=1e-11, atol=1e-13)
    buffers = tuple(np.empty_like(grad) for grad in grads)
    again, written = fl.gaussian_nll_loss.value_and_grad(*arrays, wrt=("input", "var"), out=buffers)
    assert same_bits(value, again)
    for buffer, result, grad in zip(buffers, written, grads, strict=True):
        assert result is buffer
        assert same_bits(buffer, grad)


@pytest.mark.parametrize("shape", ((3,), (1, 1, 3), (4, 4, 3, 1), (2, 4, 3), (4, 3)))
def test_wrong_shapes_of_a_variance(shape):
    arrays = [torch.zeros(4, 4, 3), torch.zeros(4, 4, 3), torch.ones(shape)]
    with pytest.raises(ValueError, match="incorrect size"):
        F.gaussian_nll_loss(*arrays)
    with pytest.raises(ValueError, match="gaussian_nll_loss: var has shape"):
        fl.gaussian_nll_loss(*arrays)


def test_a_variance_that_is_a_number():
    x, y = torch.from_numpy(numbers(0)), torch.from_numpy(numbers(1))
    torch.testing.assert_close(fl.gaussian_nll_loss(x, y, 0.7), F.gaussian_nll_loss(x, y, 0.7), rtol=1e-13, atol=0)
    assert fl.gaussian_nll_loss(x.numpy(), y.numpy(), 2) == fl.gaussian_nll_loss(x.numpy(), y.numpy(), 2.0)
    for bad in (-0.5, torch.tensor([[-0.5]])):
        with pytest.raises(ValueError, match="negative"):
            F.gaussian_nll_loss(x[:1, :1], y[:1, :1], bad)
        with pytest.raises(ValueError, match=r"gaussian_nll_loss: var.* is -0.5, expected a number in \[0, inf\)"):
            fl.gaussian_nll_loss(x[:1, :1], y[:1, :1], bad)


def test_the_slope_of_a_variance_below_eps():
    """PyTorch clamps behind autograd's back: the slope is that at eps."""
    x, y = numbers(0, (4,)), numbers(1, (4,))
    v = np.array([0.0, 1e-9, 1e-6, 2e-6])
    mine, its = leaves([x, y, v]), leaves([x, y, v])
    agree(fl.gaussian_nll_loss(*mine), F.gaussian_nll_loss(*its), mine, its, 1e-12)
    at_eps = fl.gaussian_nll_loss.grad(x, y, np.maximum(v, 1e-6), wrt="var")
    assert same_bits(fl.gaussian_nll_loss.grad(x, y, v, wrt="var"), at_eps)
    assert (at_eps != 0).all()


# Where we differ from PyTorch.


def test_nothing_of_an_infinite_logarithm():
    """0 x inf is 0."""
    x, y = torch.tensor([-INF, 0.0]), torch.tensor([0.0, 0.0])
    assert F.poisson_nll_loss(x, y, reduction="none").isnan().tolist() == [True, False]
    assert fl.poisson_nll_loss(x, y, reduction="none").tolist() == [0.0, 1.0]
    zero = torch.zeros(1)
    assert F.poisson_nll_loss(zero, zero, log_input=False, eps=0.0).isnan()
    assert fl.poisson_nll_loss(zero, zero, log_input=False, eps=0.0) == 0.0


def test_no_slope_by_a_target_that_stirling_leaves_out():
    """PyTorch masks the value of log y! but not what its slope makes of log 0."""
    rates = torch.zeros(1)
    ours, theirs = leaves([np.zeros(1, np.float32)] * 2)
    fl.poisson_nll_loss(rates, ours, full=True).backward()
    F.poisson_nll_loss(rates, theirs, full=True).backward()
    assert theirs.grad.isnan()
    assert ours.grad == 0.0


def test_nan_reaches_the_gradient_of_l1():
    (x,) = leaves([np.array([NAN, 2.0])])
    F.l1_loss(x, torch.zeros(2, dtype=torch.float64), reduction="sum").backward()
    assert x.grad.tolist() == [0.0, 1.0]
    grad = fl.l1_loss.grad(np.array([NAN, 2.0]), np.zeros(2), reduction="sum")
    assert np.isnan(grad[0])
    assert grad[1] == 1.0


# scikit-learn.

LOG = {"power": 1.0}, {"power": 2.0}, {"power": 0.0}, {"power": 1.5}, {"power": 1.9}, {"power": 3.0}, {"power": -0.5}
SKLEARN = (
    ("poisson_nll_loss", {}, "HalfPoissonLoss", {}),
    ("gamma_nll_loss", {}, "HalfGammaLoss", {}),
    ("quantile_loss", {"quantile": 0.2}, "PinballLoss", {"quantile": 0.2}),
    ("quantile_loss", {}, "PinballLoss", {}),
    *(("tweedie_loss", power, "HalfTweedieLoss", power) for power in LOG),
    *(("tweedie_loss", {**power, "log_input": False}, "HalfTweedieLossIdentity", power) for power in LOG),
)


@pytest.mark.parametrize("case", SKLEARN, ids=lambda case: f"{awkward_id(case)}-{case[2]}")
def test_scikit_learn_agrees(case):
    loss, options, theirs, parameters = case
    x = numbers(0, (40,), low=None if options.get("log_input", True) else 0.05, spread=1.0)
    y = numbers(1, (40,), low=0.0)
    if loss == "tweedie_loss" and 0 < options["power"] < 2:
        y[:2] = 0.0  # mass at 0
    if loss == "quantile_loss":
        y -= 1.0
    want, slope = getattr(sklearn_loss, theirs)(**parameters).loss_gradient(y_true=y, raw_prediction=x)
    value, grad = getattr(fl, loss).value_and_grad(x, y, **options, reduction="none")
    np.testing.assert_allclose(value, want, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(grad, slope, rtol=1e-12, atol=1e-14)


def test_scikit_learn_agrees_on_metrics():
    from sklearn import metrics

    x, y = numbers(0, (40,), low=0.0), numbers(1, (40,), low=0.0)
    same = {"rel": 1e-13}
    assert float(fl.mape_loss(x, y)) == pytest.approx(metrics.mean_absolute_percentage_error(y, x), **same)
    assert float(fl.msle_loss(x, y)) == pytest.approx(metrics.mean_squared_log_error(y, x), **same)
    assert float(fl.l1_loss(x, y)) == pytest.approx(metrics.mean_absolute_error(y, x), **same)
    pinball = metrics.mean_pinball_loss(y, x, alpha=0.3)
    assert float(fl.quantile_loss(x, y, quantile=0.3)) == pytest.approx(pinball, **same)
    for power in (0.0, 1.0, 1.5, 2.0, 3.0):
        deviance = metrics.mean_tweedie_deviance(y, x, power=power)
        assert 2 * float(fl.tweedie_loss(x, y, power=power, log_input=False)) == pytest.approx(deviance, **same)


# Systems that may not be there.


def test_optax_agrees():
    optax = optional("optax")
    x, y = (numbers(seed).astype(np.float32) for seed in (0, 1))
    for ours, theirs in (
        (fl.huber_loss(x, y, "none", 0.7), optax.losses.huber_loss(x, y, delta=0.7)),
        (fl.log_cosh_loss(x, y, reduction="none"), optax.losses.log_cosh(x, y)),
    ):
        np.testing.assert_allclose(ours, np.asarray(theirs), rtol=2e-6, atol=1e-7)


def test_keras_agrees(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = optional("keras")
    x, y = (numbers(seed, low=0.0).astype(np.float32) for seed in (0, 1))
    losses = keras.losses
    for ours, theirs in (
        (fl.huber_loss(x, y, "none", 0.7), losses.Huber(delta=0.7, reduction="none")),
        (fl.log_cosh_loss(x, y, reduction="none"), losses.LogCosh(reduction="none")),
        (100 * fl.mape_loss(x, y, reduction="none"), losses.MeanAbsolutePercentageError(reduction="none")),
        (fl.msle_loss(x, y, reduction="none"), losses.MeanSquaredLogarithmicError(reduction="none")),
        (fl.poisson_nll_loss(x, y, False, eps=1e-7, reduction="none"), losses.Poisson(reduction="none")),
    ):
        want = theirs(torch.from_numpy(y), torch.from_numpy(x)).detach().cpu().numpy()
        np.testing.assert_allclose(ours.mean(-1), want, rtol=1e-5, atol=1e-6)


def test_kornia_agrees():
    losses = optional("kornia").losses
    x, y = numbers(0), numbers(1)
    for ours, theirs in (
        (lambda a, b: fl.charbonnier_loss(a, b, eps=1.0, reduction="none") - 1, losses.charbonnier_loss),
        (lambda a, b: fl.cauchy_loss(a, b, reduction="none"), losses.cauchy_loss),
        (lambda a, b: fl.welsch_loss(a, b, reduction="none"), losses.welsch_loss),
        (lambda a, b: fl.geman_mcclure_loss(a, b, reduction="none"), losses.geman_mcclure_loss),
    ):
        mine, its = leaves([x, y]), leaves([x, y])
        agree(ours(*mine), theirs(*its), mine, its, 1e-12)


# Identities.


def value_and_both(function, *arrays, **options):
    value, grads = function.value_and_grad(*arrays, **options, reduction="none", wrt=BOTH)
    return np.stack([value, *grads])


def same(a, b, rtol=1e-14):
    np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-300)


X, Y = pytorch_data("l1_loss", {}, "float64")


@pytest.mark.parametrize("delta", (0.25, 1.0, 3.0))
def test_huber_is_delta_times_smooth_l1(delta):
    smooth = value_and_both(fl.smooth_l1_loss, X, Y, beta=delta)
    same(value_and_both(fl.huber_loss, X, Y, delta=delta), delta * smooth)


def test_what_the_bends_are_between():
    l1, mse = value_and_both(fl.l1_loss, X, Y), value_and_both(fl.mse_loss, X, Y)
    assert same_bits(value_and_both(fl.smooth_l1_loss, X, Y, beta=0.0) + 0.0, l1 + 0.0)
    same(value_and_both(fl.huber_loss, X, Y, delta=1e6), mse / 2)
    tiny = 2.0**-60
    apart = X != Y
    same(value_and_both(fl.huber_loss, X, Y, delta=tiny)[:, apart] / tiny, l1[:, apart], rtol=1e-11)
    same(value_and_both(fl.charbonnier_loss, X, Y, eps=tiny)[:, apart], l1[:, apart], rtol=1e-11)
    near = X * 1e-6
    half = value_and_both(fl.mse_loss, near, 0 * near) / 2
    for robust in (fl.log_cosh_loss, fl.cauchy_loss, fl.welsch_loss, fl.geman_mcclure_loss):
        same(value_and_both(robust, near, 0 * near), half, rtol=1e-10)


def test_the_median_is_half_of_l1():
    assert same_bits(value_and_both(fl.quantile_loss, X, Y) + 0.0, value_and_both(fl.l1_loss, X, Y) / 2 + 0.0)


def test_quantiles_mirror():
    low = value_and_both(fl.quantile_loss, X, Y, quantile=0.25)
    high = value_and_both(fl.quantile_loss, -X, -Y, quantile=0.75)
    assert same_bits(low[0], high[0])
    np.testing.assert_array_equal(low[1:], -high[1:])


@pytest.mark.parametrize("quantile", (0.1, 0.5, 0.8))
def test_the_best_constant_is_the_quantile(quantile):
    y = np.random.default_rng(0).exponential(size=1001)
    candidates = np.sort(y)
    losses = [float(fl.quantile_loss(np.full_like(y, c), y, quantile=quantile)) for c in candidates[::10]]
    assert abs(np.argmin(losses) * 10 - quantile * 1000) <= 10


def test_tweedie_at_its_special_powers():
    x, y = numbers(0, spread=1.0), numbers(1, low=0.0)
    e = np.exp(x)
    value, by_input, by_target = value_and_both(fl.tweedie_loss, x, y, power=0.0)
    half = value_and_both(fl.mse_loss, e, y) / 2
    same(value, half[0], rtol=1e-13)
    same(by_input, half[1] * e, rtol=1e-13)
    same(by_target, half[2], rtol=1e-13)
    assert same_bits(
        value_and_both(fl.tweedie_loss, x, y, power=1.0), value_and_both(fl.poisson_nll_loss, x, y, log_input=True)
    )
    assert same_bits(value_and_both(fl.tweedie_loss, x, y, power=2.0), value_and_both(fl.gamma_nll_loss, x, y))
    same(value_and_both(fl.tweedie_loss, x, y, power=0.0, log_input=False), value_and_both(fl.mse_loss, x, y) / 2)


@pytest.mark.parametrize("power", (0.0, 1.0, 1.5, 2.0, 3.0))
def test_a_perfect_mean_has_no_deviance(power):
    y = numbers(0, low=0.0)
    value, *slopes = value_and_both(fl.tweedie_loss, y, y, power=power, log_input=False)
    assert np.abs(value).max() <= 1e-14
    for slope in slopes:
        assert np.abs(slope).max() <= 1e-14
    assert (fl.tweedie_loss(y * 1.5, y, power=power, log_input=False, reduction="none") > 0).all()


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("power", (-1.0, 0.5, 0.999, 1.0, 1.001, 1.5, 1.9999, 2.0, 2.001, 3.0))
def test_a_deviance_keeps_its_digits_where_its_terms_cancel(power, dtype):
    """Near a perfect mean, and for powers near 1 and 2, whose terms grow without bound."""
    rng = np.random.default_rng(0)
    y = np.exp(2 * rng.standard_normal(60)).astype(dtype)
    near = 1 + rng.standard_normal(30) * 10.0 ** rng.uniform(-6 if dtype == "float32" else -14, -1, 30)
    x = y * np.concatenate([near, np.exp(rng.standard_normal(30))]).astype(dtype)
    got = fl.tweedie_loss(x, y, power=power, log_input=False, reduction="none")
    with mpmath.workdps(60):
        for mean, number, loss in zip(x.tolist(), y.tolist(), got, strict=True):
            terms = oracle_regression.tweedie_terms(mpmath.mpf(mean), mpmath.mpf(number), mpmath.mpf(power), False)
            want = sum(terms)
            assert abs(mpmath.mpf(float(loss)) - want) <= 8 * np.finfo(dtype).eps * want  # 5 found


@pytest.mark.parametrize(
    ("power", "x", "y", "value", "slope"),
    ((-1.0, 1e14, 0.0, INF, 1e28), (0.5, 1e38, 1.0, INF, 1e19), (3.0, 1e-39, 1e-39, 0.0, 0.0)),
)
def test_no_inf_less_inf_in_a_deviance(power, x, y, value, slope):
    x, y = np.float32([x]), np.float32([y])
    got, grad = fl.tweedie_loss.value_and_grad(x, y, power=power, log_input=False)
    np.testing.assert_allclose([got, grad[0]], np.float32([value, slope]), rtol=1e-6)


def test_the_identity_link_is_the_log_link():
    """But for what does not depend on the input."""
    m, y = numbers(0, low=0.0), numbers(1, low=0.0)
    same(
        fl.gamma_nll_loss(m, y, log_input=False, reduction="none"),
        fl.gamma_nll_loss(np.log(m), y, reduction="none"),
        rtol=1e-13,
    )
    for power in (1.0, 1.2, 2.0, 3.0):
        identity = fl.tweedie_loss.grad(m, y, power=power, log_input=False, reduction="none")
        log = fl.tweedie_loss.grad(np.log(m), y, power=power, reduction="none")
        np.testing.assert_allclose(identity * m, log, rtol=1e-10, atol=1e-13)


def test_powers_out_of_bounds():
    for bad in (INF, -101.0, NAN):
        with pytest.raises(ValueError, match="tweedie_loss: power is "):
            fl.tweedie_loss(X, Y, power=bad)


@pytest.mark.parametrize("loss", ("cauchy_loss", "welsch_loss", "geman_mcclure_loss"))
def test_a_scale_stretches(loss):
    plain = value_and_both(getattr(fl, loss), X, Y)
    wide = value_and_both(getattr(fl, loss), 4 * X, 4 * Y, scale=4.0)
    assert same_bits(wide * np.array([1.0, 4.0, 4.0]).reshape(3, 1, 1), plain)
