"""What holds whatever the numbers: entry points agree to the bit, weights multiply, rows permute, losses coincide."""

import numpy as np
import pytest
from cases import (
    BY_ID,
    CASES,
    REDUCTIONS,
    REPRESENTATIVES,
    WIDE_DTYPES,
    Call,
    assert_close,
    bounds,
    named,
    oracle_of,
    same_bits,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastloss as fl


def wrt_of(case):
    return ("input", "target") if case.target_has_gradient else ("input",)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize("case", CASES, ids=named(CASES))
def test_entry_points_give_the_same_bits(case, dtype, reduction):
    call, _ = oracle_of(case, dtype, reduction)
    value = call()
    both_value, both_grads = call.value_and_grad(wrt=wrt_of(case))
    assert same_bits(value, both_value)
    assert same_bits(value, call.value_and_grad()[0])
    for name, grad in zip(wrt_of(case), both_grads, strict=True):
        assert same_bits(grad, call.grad(wrt=name))
        assert same_bits(grad, call.grad(wrt=name))  # and again


@pytest.mark.parametrize("case", CASES, ids=named(CASES))
def test_reductions_agree(case):
    """The sum adds up the losses, the mean divides that by the documented denominator; sums run in float64."""
    call, want = oracle_of(case, "float64", "mean")
    losses = call(reduction="none")
    total = call(reduction="sum")
    size = float(np.abs(losses).sum())
    # A tile of up to 2,048 elements is added up in 16 or more lanes of float64 before it joins the rest.
    assert abs(float(total) - float(losses.sum())) <= 4e-15 * size
    assert abs(float(call()) * want.denominator - float(total)) <= 4e-15 * size
    none_grad, sum_grad, mean_grad = (call.grad(reduction=r) for r in ("none", "sum", "mean"))
    assert same_bits(none_grad, sum_grad)
    np.testing.assert_allclose(mean_grad * want.denominator, sum_grad, rtol=0, atol=1e-14 * np.abs(sum_grad).max())


WEIGHTED = tuple(case for case in CASES if "plain" in case.id or "soft" in case.id)


@pytest.mark.parametrize("case", WEIGHTED, ids=named(WEIGHTED))
def test_a_sample_weight_multiplies_the_loss_and_the_gradient(case):
    call = case.data("float64", "none")
    call.arrays.pop("sample_weight", None)
    # Powers of two, so that the products are exact.
    weight = np.random.default_rng(3).choice([0.25, 0.5, 1.0, 2.0, 4.0], call.loss_shape)
    wide = np.expand_dims(weight, case.axis) if case.over_classes else weight
    value, grads = call.value_and_grad(wrt=wrt_of(case))
    weighted_value, weighted_grads = call.value_and_grad(wrt=wrt_of(case), sample_weight=weight)
    assert same_bits(weighted_value, value * weight)
    for weighted, plain in zip(weighted_grads, grads, strict=True):
        np.testing.assert_array_equal(weighted, plain * wide)


@pytest.mark.parametrize("case", WEIGHTED, ids=named(WEIGHTED))
def test_a_sample_weight_of_zero_removes_an_element_from_the_mean(case):
    call = case.data("float64", "mean")
    if call.loss_shape == ():
        pytest.skip("one position")
    call.arrays.pop("sample_weight", None)
    keep = np.random.default_rng(4).uniform(size=call.loss_shape) < 0.5
    keep.flat[0] = True
    losses = call(reduction="none")
    if case.over_classes and "target" in call.arrays and "weight" in call.arrays and case.target == "index":
        kept_weights = call.arrays["weight"][call.arrays["target"]][keep].sum()
    else:
        kept_weights = keep.sum()
    want = losses[keep].sum() / kept_weights
    got = call(sample_weight=keep.astype(np.float64))
    assert abs(got - want) <= 1e-14 * max(1.0, float(np.abs(losses[keep]).max()))


@pytest.mark.parametrize("case", CASES, ids=named(CASES))
def test_permuting_positions_permutes_losses_and_gradients(case):
    """To 2 units: vectors and the remainder of a loop may contract products and sums differently."""
    if case.over_classes and (len(case.shape) == 1 or case.axis == 0):
        pytest.skip("no axis of positions in front")
    call = case.data("float32", "none")
    order = np.random.default_rng(5).permutation(case.shape[0])
    permuted = Call(call.loss, dict(call.arrays), call.options)
    for name, array in call.arrays.items():
        over_positions = array.shape[:1] == case.shape[:1] and not (
            name in ("weight", "pos_weight") and (case.over_classes or array.ndim == 1)
        )
        if over_positions:
            permuted.arrays[name] = array[order]
    value, grads = call.value_and_grad(wrt=wrt_of(case))
    new_value, new_grads = permuted.value_and_grad(wrt=wrt_of(case))
    want = call.oracle()
    assert_close(new_value, value[order], ulps=2, dtype="float32", magnitude=want.value_magnitude[order])
    magnitudes = (want.grad_input_magnitude, want.grad_target_magnitude)
    for new, old, magnitude in zip(new_grads, grads, magnitudes, strict=False):
        assert_close(new, old[order], ulps=2, dtype="float32", magnitude=magnitude[order])


@pytest.mark.parametrize("case", CASES, ids=named(CASES))
def test_defaults_spelt_out_change_nothing(case):
    call, _ = oracle_of(case, "float32", "mean")
    options = {"empty": "nan", "sample_weight": None}
    if case.loss != "mse_loss" and case.loss != "nll_loss":
        options["label_smoothing"] = 0.0
    if case.over_classes:
        options["ignore_index"] = -100
    if case.loss == "cross_entropy":
        options |= {"z_loss": 0.0, "softcap": None}
    options = {name: value for name, value in options.items() if name not in {**call.options, **call.arrays}}
    value, grad = call.value_and_grad()
    same_value, same_grad = call.value_and_grad(**options)
    assert same_bits(value, same_value)
    assert same_bits(grad, same_grad)


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize("options", ({}, {"label_smoothing": 0.1}, {"z_loss": 0.01}, {"softcap": 5.0}), ids=str)
@pytest.mark.parametrize("size", ("few", "many", "image"))
def test_one_hot_probabilities_are_class_indices(size, options, dtype):
    call = BY_ID[f"cross_entropy-plain-{size}"].data(dtype, "none")
    x, y = call.arrays["input"], call.arrays["target"]
    one_hot = np.moveaxis(np.eye(x.shape[1], dtype=dtype)[y], -1, 1)
    a, grad_a = fl.cross_entropy.value_and_grad(x, y, reduction="none", **options)
    b, grad_b = fl.cross_entropy.value_and_grad(x, np.ascontiguousarray(one_hot), reduction="none", **options)
    ulp = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(a, b, rtol=8 * ulp, atol=0)
    # p - 1 is formed exactly for an index, by subtraction for a probability.
    np.testing.assert_allclose(grad_a, grad_b, rtol=0, atol=4 * ulp)


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
def test_two_classes_are_a_binary_event(dtype):
    rng = np.random.default_rng(0)
    x = rng.integers(-64, 65, (200, 2)).astype(dtype) / 4  # their difference is exact
    y = rng.integers(0, 2, 200)
    value, grad = fl.cross_entropy.value_and_grad(x, y, reduction="none")
    binary, slope = fl.binary_cross_entropy_with_logits.value_and_grad(x[:, 1] - x[:, 0], y, reduction="none")
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(value, binary, rtol=6 * eps, atol=0)
    np.testing.assert_allclose(grad[:, 1], slope, rtol=8 * eps, atol=0)
    np.testing.assert_allclose(grad[:, 0], -slope, rtol=8 * eps, atol=0)


@pytest.mark.parametrize("case", [case for case in CASES if case.loss == "nll_loss"], ids=lambda case: case.id)
def test_nll_of_log_softmax_is_cross_entropy(case):
    call = case.data("float64", "mean")
    x = call.arrays["input"] * 3
    log_p = x - np.log(np.exp(x).sum(case.axis, keepdims=True))
    nll = call(input=log_p)
    cross_entropy = Call("cross_entropy", call.arrays, call.options)(input=x)
    assert abs(nll - cross_entropy) <= 1e-14 * max(1.0, abs(cross_entropy))


@pytest.mark.parametrize("smoothing", (0.0, 0.1, 0.5, 1.0))
@pytest.mark.parametrize("size", ("few", "many"))
def test_label_smoothing_mixes_with_the_uniform_distribution(size, smoothing):
    call = BY_ID[f"cross_entropy-plain-{size}"].data("float64", "none")
    x, y = call.arrays["input"], call.arrays["target"]
    uniform = np.full(x.shape, 1 / x.shape[1])
    mixed = (1 - smoothing) * fl.cross_entropy(x, y, reduction="none") + smoothing * fl.cross_entropy(
        x, uniform, reduction="none"
    )
    np.testing.assert_allclose(
        fl.cross_entropy(x, y, reduction="none", label_smoothing=smoothing), mixed, rtol=1e-14, atol=0
    )


@pytest.mark.parametrize("name", ("binary_cross_entropy", "binary_cross_entropy_with_logits"))
@pytest.mark.parametrize("smoothing", (0.0, 0.1, 0.5, 1.0))
def test_binary_label_smoothing_moves_the_target(name, smoothing):
    call = BY_ID[f"{name}-plain"].data("float64", "none")
    moved = (1 - smoothing) * call.arrays["target"] + smoothing / 2
    value, grad = call.value_and_grad(label_smoothing=smoothing)
    want, want_grad = call.value_and_grad(target=moved)
    np.testing.assert_allclose(value, want, rtol=4e-15, atol=1e-15)
    np.testing.assert_allclose(grad, want_grad, rtol=1e-14, atol=4e-15)


def test_a_shift_of_all_logits_changes_nothing():
    x = np.random.default_rng(0).integers(-40, 41, (30, 7)).astype(np.float64) / 4
    y = np.arange(30) % 7
    value, grad = fl.cross_entropy.value_and_grad(x, y, reduction="none")
    moved, moved_grad = fl.cross_entropy.value_and_grad(x + 1024.0, y, reduction="none")  # exact
    assert same_bits(value, moved)
    assert same_bits(grad, moved_grad)


def test_mse_is_symmetric_and_its_gradients_are_opposite():
    call = BY_ID["mse_loss-plain"].data("float32", "mean")
    x, t = call.arrays["input"], call.arrays["target"]
    value, (dx, dt) = fl.mse_loss.value_and_grad(x, t, wrt=("input", "target"))
    assert same_bits(value, fl.mse_loss(t, x))
    assert same_bits(dx, -dt)


@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
def test_gradients_of_a_softmax_row_sum_to_nothing(case):
    if case.loss != "cross_entropy" or "z_loss" in case.options:
        pytest.skip("only for a plain softmax")
    call = case.data("float64", "sum")
    sums = call.grad().sum(axis=case.axis)
    assert np.abs(sums).max() <= 1e-14


# Shapes and extremes at random.

FINITE = {"float32": 3.0e38, "float64": 1.5e308}


def logits(dtype, shape, bound):
    width = 64 if dtype == "float64" else 32
    return hnp.arrays(dtype, shape, elements=st.floats(-bound, bound, width=width, allow_subnormal=True))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(data=st.data(), dtype=st.sampled_from(WIDE_DTYPES))
def test_cross_entropy_of_anything_finite(data, dtype):
    """No NaN, no negative loss, rows of gradients within the simplex, and the oracle's numbers."""
    n, classes = data.draw(st.integers(1, 20)), data.draw(st.sampled_from((1, 2, 3, 15, 16, 17, 64, 65, 70)))
    bound = data.draw(st.sampled_from((1.0, 50.0, 1e4, FINITE[dtype])))
    bound = float(np.dtype(dtype).type(bound))
    x = data.draw(logits(dtype, (n, classes), bound))
    y = data.draw(hnp.arrays(np.int64, n, elements=st.integers(0, classes - 1)))
    call = Call("cross_entropy", {"input": x, "target": y}, {"reduction": "none"})
    value, grad = call.value_and_grad()
    assert not np.isnan(value).any()
    assert (value >= 0).all()
    assert np.isfinite(grad).all()
    assert np.abs(grad).max() <= 1
    want = call.oracle()
    # exp(z - max) is wrong by half an ulp of z - max, which is below 110 (float32) and 750 (float64) where it counts.
    ulps = {"float32": 60, "float64": 380}[dtype]
    assert_close(value, want.value, ulps=ulps, dtype=dtype, magnitude=want.value_magnitude, flushed=classes)
    assert_close(grad, want.grad_input, ulps=ulps, dtype=dtype, magnitude=want.grad_input_magnitude, flushed=classes)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(data=st.data(), dtype=st.sampled_from(WIDE_DTYPES))
def test_bce_with_logits_of_anything_finite(data, dtype):
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9))
    bound = data.draw(st.sampled_from((1.0, 50.0, 1e4, FINITE[dtype])))
    x = data.draw(logits(dtype, shape, float(np.dtype(dtype).type(bound))))
    t = data.draw(hnp.arrays(dtype, shape, elements=st.sampled_from((0.0, 0.25, 0.5, 1.0))))
    call = Call("binary_cross_entropy_with_logits", {"input": x, "target": t}, {"reduction": "none"})
    value, (dx, dt) = call.value_and_grad(wrt=("input", "target"))
    want = call.oracle()
    value_ulps, grad_ulps = bounds(BY_ID["binary_cross_entropy_with_logits-plain"])
    assert_close(value, want.value, ulps=value_ulps, dtype=dtype, magnitude=want.value_magnitude)
    assert_close(dx, want.grad_input, ulps=grad_ulps, dtype=dtype, magnitude=want.grad_input_magnitude)
    assert_close(dt, want.grad_target, ulps=grad_ulps, dtype=dtype, magnitude=want.grad_target_magnitude)
    assert (np.asarray(value) >= 0).all()
    assert (np.abs(dx) <= 1).all()


@settings(deadline=None, max_examples=60, derandomize=True)
@given(data=st.data(), loss=st.sampled_from(("mse_loss", "binary_cross_entropy")))
def test_elementwise_of_any_shape_and_strides(data, loss):
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=6))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    x = rng.uniform(0.1, 0.9, shape)
    t = rng.uniform(0.1, 0.9, shape)
    axes = data.draw(st.permutations(range(len(shape))))
    steps = tuple(slice(None, None, data.draw(st.sampled_from((1, -1, 2, -3)))) for _ in shape)
    x = np.asarray(x[steps]).transpose(axes)
    t = np.asarray(t[steps]).transpose(axes)
    call = Call(loss, {"input": x, "target": t}, {"reduction": "none"})
    value, grads = call.value_and_grad(wrt=("input", "target"))
    want = call.oracle()
    assert_close(value, want.value, ulps=6, dtype="float64", magnitude=want.value_magnitude)
    assert_close(grads[0], want.grad_input, ulps=8, dtype="float64", magnitude=want.grad_input_magnitude)
    assert_close(grads[1], want.grad_target, ulps=8, dtype="float64", magnitude=want.grad_target_magnitude)
