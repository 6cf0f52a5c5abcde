"""Memory with strides of 0 and backwards, in rows long enough for every way that kernels have: as contiguous memory."""

import inspect

import numpy as np
import pytest
import torch

import fastloss as fl

#: Losses whose rows make arrays; those of whole batches have tests of their own.
LOSSES = tuple(name for name, function in fl.losses().items() if not function.spec.row.whole)
SHAPES = {"rows": (7, 300), "short rows": (40, 24), "planes": (2, 17, 40)}


def expanded(array, axis):
    """The first of an axis in the place of all."""
    return np.broadcast_to(np.take(array, [0], axis), array.shape)


def backwards(array, axis):
    return np.flip(array, axis)


def arrays_of(loss, shape):
    function = getattr(fl, loss)
    parameters = inspect.signature(function).parameters
    if "boxes1" in parameters:
        shape = (shape[0] * 9, 4)
    arrays = function.spec.row.example(0, shape, np.float64, 1)
    required = {name: arrays[name] for name in arrays if parameters[name].default is inspect.Parameter.empty}
    if loss == "multilabel_margin_loss":
        labels = np.full(shape[:2], -1)
        labels[:, :2] = [3, 1]
        required = {"input": required["input"][..., 0] if len(shape) > 2 else required["input"], "target": labels}
    return required


@pytest.mark.parametrize("layout", (expanded, backwards))
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_strides_of_0_and_backwards(loss, shape, layout):
    function = getattr(fl, loss)
    try:
        plain = arrays_of(loss, SHAPES[shape])
        function(**plain)
    except (ValueError, TypeError) as error:
        assert len(SHAPES[shape]) == 3, error  # a loss of one or two axes
        pytest.skip("no such shape")
    for name, array in plain.items():
        if array.dtype != np.float64:  # labels are copied in any case
            continue
        for axis in range(array.ndim):
            given = {**plain, name: layout(array, axis)}
            copied = {**plain, name: np.ascontiguousarray(given[name])}
            if not function.spec.differentiable:
                np.testing.assert_array_equal(function(**given), function(**copied))
                continue
            names = function.spec.differentiable
            names = tuple(one for one in names if one in plain and plain[one].dtype == np.float64)
            value, grads = function.value_and_grad(**given, wrt=names)
            want, wanted = function.value_and_grad(**copied, wrt=names)
            # Other strides may mean another kernel, which adds up in another order.
            np.testing.assert_allclose(value, want, rtol=1e-13)
            for grad, other in zip(grads, wanted, strict=True):
                np.testing.assert_allclose(grad, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("classes", (24, 257, 300, 70_000))
@pytest.mark.parametrize("dtype", (np.float16, np.float32, np.float64))
@pytest.mark.parametrize("layout", (expanded, backwards))
def test_soft_targets_of_any_stride(layout, dtype, classes):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, classes)).astype(dtype)
    t = layout(rng.dirichlet(np.ones(classes), 3).astype(dtype), 1)
    for options in ({}, {"label_smoothing": 0.1}):
        value, grad = fl.cross_entropy.value_and_grad(x, t, **options)
        want, wanted = fl.cross_entropy.value_and_grad(x, t.copy(), **options)
        np.testing.assert_array_equal(value, want)
        np.testing.assert_allclose(grad, wanted, rtol=4 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny)


@pytest.mark.parametrize("shape", ((0, 5), (4, 0), (2, 0, 3), (0, 0)))
@pytest.mark.parametrize("loss", LOSSES)
def test_no_elements_in_odd_strides(loss, shape):
    """What came out of a slice: the same outcome as of an empty array, an error or a number."""
    function = getattr(fl, loss)

    def outcome(sliced):
        arrays = arrays_of(loss, tuple(max(2, length) + 2 for length in shape))
        given = {}
        for name, array in arrays.items():
            lengths = (0 if 0 in shape[:1] else 2, 4) if "boxes" in name else shape
            if array.ndim < len(shape):
                lengths = shape[:1] + shape[2:]
            view = array[tuple(slice(0, length) for length in lengths)]
            given[name] = view if sliced else np.ascontiguousarray(view)
        try:
            with np.errstate(all="ignore"):
                return function(**given)
        except (ValueError, TypeError, IndexError) as error:
            return type(error)

    np.testing.assert_equal(outcome(True), outcome(False))


@pytest.mark.parametrize("shape", [(0, 3), (7, 0)])
def test_an_empty_gradient_of_the_caller(shape):
    """NumPy gives empty arrays strides of 0, which are not one place for several elements."""
    x = np.empty(shape)
    for function, arguments in ((fl.mse_loss, (x, x.copy())), (fl.l1_loss, (x, x.copy()))):
        out = np.empty_like(x)
        assert function.grad(*arguments, out=out) is out


@pytest.mark.parametrize("name", ["mse_loss", "cross_entropy", "multi_margin_loss", "cosine_similarity_loss"])
def test_a_gradient_whose_strides_are_no_whole_elements(name):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 3))
    target = rng.integers(0, 3, 4) if name in ("cross_entropy", "multi_margin_loss") else rng.normal(size=(4, 3))
    out = np.zeros((4, 3), dtype=[("before", "i1"), ("x", "f8")])["x"]
    function = getattr(fl, name)
    assert function.grad(x, target, out=out) is out
    np.testing.assert_array_equal(out, function.grad(x, target))


def test_a_gradient_in_a_view_that_negates():
    """A kernel would write the numbers, and whoever reads them would see them negated."""
    out = torch.zeros(3, 2, dtype=torch.complex64).conj().imag
    assert out.is_neg()
    with pytest.raises(TypeError, match="no view that negates"):
        fl.mse_loss.grad(torch.ones(3, 2), torch.zeros(3, 2), out=out)


def test_a_gradient_has_a_place_for_each_element():
    strided = np.lib.stride_tricks.as_strided
    x, y = np.arange(12.0).reshape(4, 3), np.ones((4, 3))
    for strides in ((8, 8), (16, 8), (0, 8), (8, -8)):
        with pytest.raises(ValueError, match="one place for several elements"):
            fl.mse_loss.grad(x, y, out=strided(np.zeros(40)[20:], (4, 3), strides))
    out = strided(np.zeros(20), (2, 3), (24, 16))  # axes that interleave, and do not meet
    np.testing.assert_array_equal(fl.mse_loss.grad(x[:2], y[:2], out=out), fl.mse_loss.grad(x[:2], y[:2]))
