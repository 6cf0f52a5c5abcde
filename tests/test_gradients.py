"""Gradients agree with the oracle and with central differences, by every argument and for every upstream gradient."""

import numpy as np
import pytest
from cases import (
    BY_ID,
    CASES,
    NARROW_DTYPES,
    REDUCTIONS,
    REPRESENTATIVES,
    WIDE_DTYPES,
    assert_close,
    bounds,
    named,
    oracle_of,
)


def wrt_of(case):
    return ("input", "target") if case.target_has_gradient else ("input",)


def check(case, dtype, grads, want):
    ulps = bounds(case)[1]
    assert_close(grads[0], want.grad_input, ulps=ulps, dtype=dtype, magnitude=want.grad_input_magnitude)
    if len(grads) > 1:
        assert_close(grads[1], want.grad_target, ulps=ulps, dtype=dtype, magnitude=want.grad_target_magnitude)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize("case", CASES, ids=named(CASES))
def test_gradient(case, dtype, reduction):
    call, want = oracle_of(case, dtype, reduction)
    check(case, dtype, call.grad(wrt=wrt_of(case)), want)


@pytest.mark.parametrize("reduction", ("mean", "none"))
@pytest.mark.parametrize("dtype", NARROW_DTYPES)
@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
def test_gradient_in_16_bits(case, dtype, reduction):
    """Rounded once, after the last subtraction: within half a unit of the 16-bit type."""
    call, want = oracle_of(case, dtype, reduction)
    check(case, dtype, call.grad(wrt=wrt_of(case)), want)


REST = [case for case in CASES if case not in REPRESENTATIVES]


@pytest.mark.slow  # compiles every kernel for two more dtypes
@pytest.mark.parametrize("dtype", NARROW_DTYPES)
@pytest.mark.parametrize("case", REST, ids=named(REST))
def test_gradient_in_16_bits_of_the_rest(case, dtype):
    call, want = oracle_of(case, dtype, "mean")
    check(case, dtype, call.grad(wrt=wrt_of(case)), want)


def upstreams(shape, dtype, seed=0):
    """Upstream gradients of one shape in every kind of memory."""
    rng = np.random.default_rng(seed)
    plain = rng.normal(0, 1, shape).astype(dtype)
    yield "plain", plain
    strided = np.zeros(tuple(2 * n for n in shape), dtype)[tuple(slice(None, None, 2) for _ in shape)]
    strided[...] = plain
    yield "strided", strided
    yield "reversed", plain[tuple(slice(None, None, -1) for _ in shape)]
    yield "fortran", np.asfortranarray(plain)
    yield "expanded", np.broadcast_to(plain.dtype.type(0.5), shape)
    yield "rows expanded", np.broadcast_to(plain.reshape(shape)[:1], shape)
    yield "zero", np.zeros(shape, dtype)


@pytest.mark.parametrize("kind", [name for name, _ in upstreams((2, 2), "float32")])
@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
def test_upstream_gradient(case, dtype, kind):
    call = case.data(dtype, "none")
    upstream = dict(upstreams(call.loss_shape, dtype))[kind]
    want = call.oracle(grad_output=upstream)
    value, grads = call.value_and_grad(wrt=wrt_of(case), grad_output=upstream)
    check(case, dtype, grads, want)
    assert_close(value, want.value, ulps=bounds(case)[0], dtype=dtype, magnitude=want.value_magnitude)


@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
def test_upstream_gradient_of_another_dtype(case):
    call = case.data("float32", "none")
    upstream = np.random.default_rng(1).integers(-4, 5, call.loss_shape).astype(np.float64) / 4  # exact in float32
    check(case, "float32", call.grad(wrt=wrt_of(case), grad_output=upstream), call.oracle(grad_output=upstream))


@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
def test_a_zero_upstream_gradient_gives_zeros(case):
    call = case.data("float32", "none")
    for grad in call.grad(wrt=wrt_of(case), grad_output=np.zeros(call.loss_shape, np.float32)):
        assert not grad.any()


@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
def test_wrt_gives_what_it_names_in_its_order(case):
    call = case.data("float64")
    alone = call.grad(wrt="input")
    assert isinstance(alone, np.ndarray)
    np.testing.assert_array_equal(call.grad(), alone, strict=True)
    (one,) = call.grad(wrt=("input",))
    np.testing.assert_array_equal(one, alone, strict=True)
    if case.target_has_gradient:
        target_alone = call.grad(wrt="target")
        target, input = call.grad(wrt=("target", "input"))
        np.testing.assert_array_equal(input, alone, strict=True)
        np.testing.assert_array_equal(target, target_alone, strict=True)


STEP = 1e-3


def central_difference(f, array, where=True):
    """The derivative of a scalar ``f()`` by each element of ``array``, by the five-point formula: error O(STEP^4)."""
    result = np.zeros(array.shape)
    for index in zip(*np.nonzero(np.broadcast_to(where, array.shape)), strict=True):
        x = array[index]
        values = []
        for k in (-2, -1, 1, 2):
            array[index] = x + k * STEP
            values.append(float(f()))
        array[index] = x
        result[index] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * STEP)
    return result


def small(case):
    if not case.over_classes:
        return (2, 21) if "row" in case.id else (3, 4)
    if len(case.shape) == 1:
        return case.shape
    return tuple(n if axis == case.axis else min(n, 3) for axis, n in enumerate(case.shape))


@pytest.mark.parametrize("reduction", ("mean", "sum"))
@pytest.mark.parametrize("case", CASES, ids=named(CASES))
def test_gradient_by_central_differences(case, reduction):
    """The formula is wrong by STEP^4 / 30 times the fifth derivative (of a logarithm at 0.3: 1e4, so 3e-10), and by
    the value's rounding over STEP, about 1e-13."""
    call = case.data("float64", reduction, seed=1, shape=small(case))
    if case.loss == "binary_cross_entropy":
        call.arrays["input"] = np.clip(call.arrays["input"], 0.3, 0.7)
    grads = call.grad(wrt=wrt_of(case))
    for name, grad in zip(wrt_of(case), grads, strict=True):
        if case.options.get("ignore_index") is not None and name == "target":
            counts = call.arrays["target"] != case.options["ignore_index"]
        else:
            counts = np.ones(grad.shape, bool)
        numeric = central_difference(call, call.arrays[name], counts)
        scale = max(1.0, abs(float(call()))) * max(1.0, float(np.abs(grad).max()))
        np.testing.assert_allclose(grad[counts], numeric[counts], rtol=0, atol=1e-9 * scale)
        assert not grad[~counts].any()


def test_the_difference_quotient_notices_a_wrong_gradient():
    """The check above is not blind: a gradient off by 1e-6 fails it."""
    call = BY_ID["mse_loss-plain"].data("float64", "sum", shape=(2, 2))
    numeric = central_difference(call, call.arrays["input"])
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(call.grad() * (1 + 1e-6), numeric, rtol=0, atol=1e-9)
