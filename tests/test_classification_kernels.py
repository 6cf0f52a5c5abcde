"""The kernels of cross_entropy and nll_loss: value, both, and backward are one computation, however memory lies."""

import ml_dtypes
import numpy as np
import pytest
import torch
from cases import same_bits
from tensors import tensor

import fastloss as fl
from fastloss import _torch_autograd
from fastloss.kernels import classification_cpu

KINDS = ("index", "soft")


@pytest.mark.parametrize("dtype", (np.float32, np.float64, np.float16, ml_dtypes.bfloat16))
@pytest.mark.parametrize("classes", (257, 320, 1000, 5000))
@pytest.mark.parametrize(
    "options", ({}, {"label_smoothing": 0.1}, {"z_loss": 0.01}, {"label_smoothing": 0.1, "weight": 1})
)
@pytest.mark.parametrize("kind", KINDS)
def test_kept_exponentials_give_the_same_gradient_as_new_ones(dtype, classes, options, kind, monkeypatch):
    """With the value, a gradient comes from the exponentials of the sum; in a backward pass they are computed again.

    Those of 16-bit logits have a row of their own, and rows with a stride are copied.
    """
    monkeypatch.setattr(_torch_autograd, "EAGER_ELEMENTS", 0)
    rng = np.random.default_rng(0)
    logits = (20 * rng.standard_normal((6, classes))).astype(dtype)
    logits[1, ::3] = -np.inf
    logits[2, 5:9] = logits[2].max() + 1  # several maxima
    logits[3, 7] = np.nan
    logits[4, 2] = np.inf
    logits[5] *= 10 if dtype == np.float16 else 1e4  # its losses stay finite
    target = rng.integers(0, classes, 6) if kind == "index" else rng.dirichlet(np.ones(classes), 6).astype(dtype)
    if "weight" in options:
        options = {**options, "weight": rng.random(classes).astype(dtype)}
    wide = np.empty((6, 2 * classes), dtype)
    value, side_by_side = fl.cross_entropy.value_and_grad(logits, target, reduction="none", **options)
    again, strided = fl.cross_entropy.value_and_grad(logits, target, reduction="none", out=wide[:, ::2], **options)
    np.testing.assert_array_equal(value.astype(np.float64), again.astype(np.float64))
    found = side_by_side.astype(np.float64)
    np.testing.assert_array_equal(found, strided.astype(np.float64))
    assert np.isfinite(found[[0, 1, 2, 5]]).all() and found[0].any()
    alone = fl.cross_entropy(logits, target, reduction="none", **options)
    np.testing.assert_array_equal(value.astype(np.float64), alone.astype(np.float64))

    if "weight" in options:
        options["weight"] = tensor(options["weight"])
    x = tensor(logits).requires_grad_()
    losses = fl.cross_entropy(x, tensor(target), reduction="none", **options)
    losses.backward(torch.ones_like(losses))
    np.testing.assert_array_equal(value.astype(np.float64), losses.detach().double().numpy())
    np.testing.assert_array_equal(found, x.grad.double().numpy())


@pytest.mark.parametrize("dtype", (np.float32, np.float64, np.float16))
@pytest.mark.parametrize(
    "shape", ((1, 5), (77, 10), (300, 64), (1001, 65), (40, 256), (40, 257), (9, 1000), (2, 140_000))
)
@pytest.mark.parametrize("options", ({}, {"label_smoothing": 0.1}, {"softcap": 30.0}))
@pytest.mark.parametrize("kind", KINDS)
def test_a_value_has_the_same_bits_with_a_gradient(dtype, shape, options, kind):
    """They are kernels of their own."""
    rng = np.random.default_rng(0)
    logits = (5 * rng.standard_normal(shape)).astype(dtype)
    target = rng.integers(0, shape[1], shape[0])
    if kind != "index":
        target = (rng.random(shape) / shape[1]).astype(dtype)
    for reduction in ("mean", "none"):
        value = fl.cross_entropy(logits, target, reduction=reduction, **options)
        assert same_bits(value, fl.cross_entropy.value_and_grad(logits, target, reduction=reduction, **options)[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(60_001, 77), (4_099, 1_024)])
@pytest.mark.parametrize("offset", [0, 3])
def test_a_large_gradient_of_nll_loss_is_written_past_the_caches(shape, dtype, offset):
    # Whole cache lines of zeros, whatever the address; what stands before and behind stays.
    assert np.dtype(dtype).itemsize * np.prod(shape) > classification_cpu.LARGE
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal(shape).astype(dtype), rng.integers(0, shape[1], shape[0])
    target[::7] = -100
    memory = np.full(x.size + 7, 9.0, dtype)
    out = memory[offset : offset + x.size].reshape(shape)
    fl.nll_loss.value_and_grad(x, target, out=out)
    kept = np.nonzero(target != -100)[0]
    expected = np.zeros(shape, dtype)
    expected[kept, target[kept]] = dtype(-1.0 / len(kept))
    np.testing.assert_array_max_ulp(out, expected, 1)
    assert (memory[:offset] == 9.0).all()
    assert (memory[offset + x.size :] == 9.0).all()
    padded = np.full((shape[0], shape[1] + 3), 9.0, dtype)  # not one stretch
    fl.nll_loss.value_and_grad(x, target, out=padded[:, : shape[1]])
    np.testing.assert_array_equal(padded[:, : shape[1]], out)
    assert (padded[:, shape[1] :] == 9.0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("classes", [1, 10, 128, 129, 256, 257, 512, 513])
def test_short_rows_of_zeros_are_written_together(classes, dtype):
    rng = np.random.default_rng(0)
    rows = 2 * classification_cpu.GROUP + 5
    x, target = rng.standard_normal((rows, classes)).astype(dtype), rng.integers(0, classes, rows)
    upstream = rng.random(rows).astype(dtype)
    expected = np.zeros((rows, classes), dtype)
    expected[np.arange(rows), target] = -upstream
    memory = np.full(x.size + 7, 9.0, dtype)
    out = memory[3 : 3 + x.size].reshape(x.shape)
    padded = np.full((rows, classes + 3), 9.0, dtype)  # not one stretch
    for into in (out, padded[:, :classes]):
        fl.nll_loss.grad(x, target, reduction="none", grad_output=upstream, out=into)
        np.testing.assert_array_equal(into, expected)
    assert (memory[:3] == 9.0).all()
    assert (memory[3 + x.size :] == 9.0).all()
    assert (padded[:, classes:] == 9.0).all()
    image = np.moveaxis(x.reshape(11, -1, classes)[:, :7], -1, 1).copy()  # several positions of one sample side by side
    grad = fl.nll_loss.grad(image, target.reshape(11, -1)[:, :7], reduction="sum")
    assert np.count_nonzero(grad) == target.reshape(11, -1)[:, :7].size
    assert (grad.sum(axis=1) == -1).all()
