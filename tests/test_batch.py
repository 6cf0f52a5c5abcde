"""The mechanism of losses of a whole batch, on a loss so simple that every result is plain to see."""

import ml_dtypes
import numpy as np
import pytest
import torch

import fastloss as fl
from fastloss import _batch, _strips
from fastloss._catalogue import REAL, Indices, Row
from fastloss._loss import LOSSES, loss


class _Problem(_batch.BatchProblem):
    """Half the squared norm of every row whose label is not negative, times a scale."""

    name = "half_squares"

    def __init__(self, reduction):
        self.reduction = reduction

    def normalise(self, backend, arrays):
        x, labels, scale = arrays[:3]
        dtype = _batch.common_dtype(self.name, backend, {"embeddings": x})
        x = _batch.embeddings(self.name, backend, "embeddings", x, dtype)
        labels = _batch.labels(self.name, backend, "labels", labels, x.shape[0])
        scale = None if scale is None else backend.cast(scale, backend.dtype_name(x))
        return x, labels, scale, None, None

    def compute(self, job):
        x, labels, scale = job.operands[:3]
        by_x, _, by_scale = job.grads
        factor = 1.0 if scale is None else float(scale)
        counts = labels >= 0
        rows = np.where(counts, 0.5 * (x.astype(np.float64) ** 2).sum(1), 0.0)
        upstream = np.ones(len(x)) if job.upstream is None else job.upstream
        if job.losses is not None:
            job.losses[:] = factor * rows
        if by_x is not None:

            def strip(i):
                by_x[i] = factor * upstream[i] * counts[i] * x[i]

            _strips.run(strip, len(x), job.threads)
        if by_scale is not None:
            by_scale[...] = (upstream * rows).sum()
        return factor * rows.sum(), float(counts.sum())


@pytest.fixture(scope="module")
def half_squares():
    @loss(
        _Problem,
        Row("HalfSquares", {"embeddings": REAL, "labels": Indices(), "scale": REAL}, whole=True),
        differentiable=("embeddings", "scale"),
        names=("embeddings", "labels", "scale", "", ""),
        engine=_batch.BatchLoss,
    )
    def half_squares(embeddings, labels, scale=None, *, reduction="mean"):
        return (embeddings, labels, scale, None, None), (reduction,)

    yield half_squares
    del LOSSES[half_squares.spec.key]


X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
LABELS = np.array([0, -1, 2])
ROWS = np.array([2.5, 0.0, 30.5])
DTYPES = (np.float64, np.float32, np.float16, ml_dtypes.bfloat16)


@pytest.mark.parametrize("dtype", DTYPES)
def test_value_and_gradient(half_squares, dtype):
    x = X.astype(dtype)
    for reduction, divisor in (("mean", 2.0), ("sum", 1.0)):
        value, grad = half_squares.value_and_grad(x, LABELS, reduction=reduction)
        assert value == half_squares(x, LABELS, reduction=reduction) == 33.0 / divisor
        assert grad.dtype == dtype
        assert np.array_equal(grad, (X * [[1], [0], [1]] / divisor).astype(dtype))
    rows, grad = half_squares.value_and_grad(x, LABELS, reduction="none", grad_output=np.array([3, 5, 7], dtype))
    assert np.array_equal(rows, ROWS.astype(dtype))
    assert np.array_equal(grad, (X * [[3], [0], [7]]).astype(dtype))


def test_several_gradients_and_numbers(half_squares):
    value, (by_x, by_scale) = half_squares.value_and_grad(X, LABELS, 2.0, wrt=("embeddings", "scale"))
    assert value == 33.0
    assert np.array_equal(by_x, X * [[1], [0], [1]])
    assert by_scale.shape == ()
    assert by_scale == 16.5


def test_nothing_counts(half_squares):
    value, grad = half_squares.value_and_grad(X, np.full(3, -1))
    assert value == 0
    assert not grad.any()
    value, grad = half_squares.value_and_grad(X[:0], LABELS[:0])
    assert value == 0
    assert grad.shape == (0, 2)


def test_layouts_and_out(half_squares):
    expected = half_squares.grad(X, LABELS)
    assert np.array_equal(half_squares.grad(np.asfortranarray(X), LABELS.astype(np.int16)), expected)
    assert np.array_equal(half_squares.grad(X[::-1][::-1], LABELS), expected)
    frozen = X.copy()
    frozen.flags.writeable = False
    assert np.array_equal(half_squares.grad(frozen, LABELS), expected)
    for out in (np.empty((3, 2)), np.empty((2, 3)).T, np.empty((6, 4))[::2, ::2]):
        assert half_squares.grad(X, LABELS, out=out) is out
        assert np.array_equal(out, expected)
    x = X.copy()
    with pytest.raises(ValueError, match="out shares memory"):
        half_squares.grad(x, LABELS, out=x)
    with pytest.raises(ValueError, match="read-only"):
        half_squares.grad(X, LABELS, out=frozen)


def test_mistakes(half_squares):
    with pytest.raises(ValueError, match=r"half_squares: embeddings has shape \(3,\), expected \(N, D\)"):
        half_squares(X[:, 0], LABELS)
    with pytest.raises(TypeError, match="embeddings has dtype int64"):
        half_squares(X.astype(int), LABELS)
    with pytest.raises(ValueError, match=r"labels has shape \(2,\), expected \(3,\)"):
        half_squares(X, LABELS[:2])
    with pytest.raises(TypeError, match="labels has dtype float64"):
        half_squares(X, LABELS + 0.5)


@pytest.mark.parametrize("dtype", (torch.float64, torch.float32, torch.float16, torch.bfloat16))
@pytest.mark.parametrize("upstream", (1.0, 0.25))
def test_autograd(half_squares, dtype, upstream):
    x = torch.tensor(X, dtype=dtype, requires_grad=True)
    scale = torch.tensor(2.0, requires_grad=True)
    value = half_squares(x, torch.tensor(LABELS), scale)
    assert value.dtype == dtype
    assert value.item() == 33.0
    value.backward(torch.tensor(upstream, dtype=dtype))
    assert x.grad.dtype == dtype
    assert torch.equal(x.grad, torch.tensor(upstream * X * [[1], [0], [1]], dtype=dtype))
    assert scale.grad.dtype == torch.float32
    assert scale.grad.item() == 16.5 * upstream


def test_autograd_unreduced(half_squares):
    x = torch.tensor(X, requires_grad=True)
    rows = half_squares(x, torch.tensor(LABELS), reduction="none")
    assert torch.equal(rows.detach(), torch.tensor(ROWS))
    rows.backward(torch.tensor([3.0, 5.0, 7.0], dtype=torch.float64))
    assert torch.equal(x.grad, torch.tensor(X * [[3], [0], [7]]))


def test_a_gradient_of_float16_is_rounded_once(half_squares):
    """What is too small for float16 comes back when the upstream gradient scales it up."""
    x = torch.full((1, 1), 2.0**-14, dtype=torch.float16, requires_grad=True)
    scale = torch.tensor(2.0**-14)
    half_squares(x, torch.tensor([0]), scale).backward(torch.tensor(2.0**14, dtype=torch.float16))
    assert x.grad.item() == 2.0**-14


def test_a_second_backward_pass_and_second_derivatives(half_squares):
    x = torch.tensor(X, requires_grad=True)
    value = half_squares(x, torch.tensor(LABELS))
    value.backward(retain_graph=True)
    value.backward()
    assert torch.equal(x.grad, torch.tensor(X * [[1], [0], [1]]))
    (grad,) = torch.autograd.grad(half_squares(x, torch.tensor(LABELS)), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives"):
        grad.sum().backward()


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16))
def test_compiled_graphs(half_squares, dtype):
    x = torch.tensor(X, dtype=dtype, requires_grad=True)
    compiled = torch.compile(lambda x, t: 3.0 * half_squares(x, t), backend="aot_eager", fullgraph=True)
    value = compiled(x, torch.tensor(LABELS))
    assert value.dtype == dtype
    value.backward()
    assert value.item() == 49.5
    assert torch.equal(x.grad, torch.tensor(1.5 * X * [[1], [0], [1]], dtype=dtype))


@pytest.mark.parametrize(("function", "wrt"), [(fl.nt_xent_loss, ("z1", "z2")), (fl.cdist, ("x", "y"))])
def test_outputs_are_kept_off_each_other(function, wrt):
    x, y = np.random.default_rng(0).normal(size=(2, 4, 3))
    memory = np.zeros((5, 3))
    for out in ((memory[:4], memory[:4]), (memory[:4], memory[1:])):
        with pytest.raises(ValueError, match="another output"):
            function.grad(x, y, wrt=wrt, out=out)


@pytest.mark.parametrize("name", ["clip_loss", "siglip_loss"])
def test_a_number_that_is_none(name):
    x = np.ones((2, 3))
    with pytest.raises(ValueError, match="logit_scale is None, expected a number"):
        getattr(fl, name)(x, x, None)


def test_mining_keeps_nan():
    """Comparisons with NaN take no pair, and a loss over none is 0."""
    x, labels = np.random.default_rng(0).normal(size=(6, 3)), np.array([0, 0, 1, 1, 2, 2])
    assert np.isfinite(fl.multi_similarity_loss(x, labels, epsilon=0.1))
    x[1, 1] = np.nan
    assert np.isnan(fl.multi_similarity_loss(x, labels, epsilon=0.1))
    assert np.isnan(fl.multi_similarity_loss(x, labels, epsilon=0.1, reduction="none")).all()


def test_labels_past_the_range_of_int64_are_named():
    labels = np.array([0, 0, 2**64 - 1, 2**64 - 1], np.uint64)
    with pytest.raises(IndexError, match=r"labels holds 18446744073709551615, expected less than 2\*\*63"):
        fl.supervised_contrastive_loss(np.ones((4, 3)), labels)
