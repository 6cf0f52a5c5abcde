"""Losses of pairs and triplets of vectors: against their definitions, against PyTorch, and over every way of memory.

Bounds are in units in the last place of the larger of the result and its terms (``assert_close``): the losses are
differences of distances or of cosines. Largest errors found over a few seeds: values 2, gradients 6.
"""

import functools
import itertools

import numpy as np
import oracle_similarity as oracle
import pytest
import torch
import torch.nn.functional as F
from cases import DTYPES, assert_close, same_bits

import fastloss as fl
from fastloss.regression_rows import rmse_loss
from fastloss.similarity import (
    contrastive_loss,
    cosine_embedding_loss,
    cosine_similarity_loss,
    triplet_loss_from_distances,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)

VALUE, GRADIENT = 4, 12
#: The root 1 / p multiplies the rounding of 2,500 powers that are added one after the other: 40 units in float64.
VALUES = {"triplet-3": 10, "triplet-half-swap": 60}
GRADIENTS = {"triplet-half-swap": 24}
REDUCTIONS = ("mean", "sum", "none")
#: Loss, its operands with a gradient, what its own target is drawn from, options.
CALLS = {
    "cosine_embedding": (cosine_embedding_loss, ("input1", "input2"), (-1, 1), {}),
    "cosine_embedding-margin": (cosine_embedding_loss, ("input1", "input2"), (-1, 1, 0), {"margin": 0.2}),
    "cosine_similarity": (cosine_similarity_loss, ("input", "target"), None, {}),
    "cosine_similarity-eps": (cosine_similarity_loss, ("input", "target"), None, {"eps": 3.0}),
    "contrastive": (contrastive_loss, ("input1", "input2"), (0, 1), {"margin": 4.0}),
    "contrastive-mixed": (contrastive_loss, ("input1", "input2"), (0, 1, 0.25), {"margin": 20.0}),
    "triplet": (triplet_margin_loss, ("anchor", "positive", "negative"), None, {}),
    "triplet-swap": (triplet_margin_loss, ("anchor", "positive", "negative"), None, {"swap": True, "margin": 2.0}),
    "triplet-1": (triplet_margin_loss, ("anchor", "positive", "negative"), None, {"p": 1.0, "margin": 5.0}),
    "triplet-1-swap": (triplet_margin_loss, ("anchor", "positive", "negative"), None, {"p": 1, "swap": True}),
    "triplet-inf": (triplet_margin_loss, ("anchor", "positive", "negative"), None, {"p": float("inf")}),
    "triplet-inf-swap": (
        triplet_margin_loss,
        ("anchor", "positive", "negative"),
        None,
        {"p": float("inf"), "swap": True, "eps": 0.1},
    ),
    "triplet-3": (triplet_margin_loss, ("anchor", "positive", "negative"), None, {"p": 3.0}),
    "triplet-half-swap": (triplet_margin_loss, ("anchor", "positive", "negative"), None, {"p": 0.5, "swap": True}),
    "triplet-distance": (triplet_margin_with_distance_loss, ("anchor", "positive", "negative"), None, {"swap": True}),
    "rmse": (rmse_loss, ("input", "target"), None, {}),
    "rmse-axis": (rmse_loss, ("input", "target"), None, {"axis": -1, "eps": 0.5}),
}
FEW = ("cosine_embedding-margin", "contrastive", "triplet", "triplet-inf-swap", "rmse-axis")
#: Rows shorter and longer than a group of 64, whole groups and a rest, and one position.
SHAPES = ((9, 1), (7, 3), (23, 10), (6, 64), (5, 100), (3, 4, 65), (2, 2500), (50,))


def axis_of(name):
    loss, _, _, options = CALLS[name]
    return options.get("axis") if loss is rmse_loss else -1


def positions_of(name, shape):
    return () if axis_of(name) is None else shape[:-1]


def arrays_of(name, shape, dtype="float32", seed=0):
    """Operands with a gradient, and the own target where there is one."""
    _, names, own, _ = CALLS[name]
    rng = np.random.default_rng([seed, *shape])
    vectors = {n: rng.normal(0, 2, shape).astype(DTYPES[dtype]) for n in names}
    if own is not None:
        vectors["target"] = rng.choice(own, shape[:-1]).astype(np.float32)
    return vectors


def wanted(name, arrays, upstream=None):
    loss, _, _, options = CALLS[name]
    return getattr(oracle, loss.__name__)(**arrays, **options, upstream=upstream)


def magnitude_of(name, arrays):
    """What the loss is a difference of."""
    loss, names, _, options = CALLS[name]
    if "cosine" in loss.__name__:
        return 1 + options.get("margin", 0)
    if loss is rmse_loss:
        return 0
    with np.errstate(over="ignore"):
        rows = [oracle.wide(arrays[n]) for n in names]
        p = options.get("p", 2.0)
        size = max(
            np.max(
                [
                    oracle.norm(r - s, p)[0]
                    for r, s in zip(a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1]), strict=True)
                ]
            )
            for a, b in itertools.combinations(rows, 2)
        )
    return size**2 if loss is contrastive_loss else size


def gradient_magnitude(name, arrays, want):
    """Of cosines the larger of the two terms that the gradient is a difference of."""
    loss, names, _, _ = CALLS[name]
    largest = np.abs(want).max(initial=0)
    if "cosine" not in loss.__name__:
        return largest
    x, y = (oracle.wide(arrays[n]) for n in names)
    n = 1 / np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    return np.maximum(largest, (np.maximum(np.abs(x), np.abs(y)).max(-1) * n).max())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("name", CALLS)
def test_definition(name, dtype, shape):
    loss, names, _, options = CALLS[name]
    arrays = arrays_of(name, shape, dtype)
    losses, grads = wanted(name, arrays)
    positions = positions_of(name, shape)
    magnitude = magnitude_of(name, arrays)
    for reduction in REDUCTIONS:
        value, got = loss.value_and_grad(**arrays, **options, reduction=reduction, wrt=names)
        factor = 1 / oracle.WIDE(max(1, losses.size)) if reduction == "mean" else 1
        want = losses.reshape(positions) if reduction == "none" else losses.sum() * factor
        scale = magnitude * (losses.size if reduction == "sum" else 1)
        assert_close(value, want, ulps=VALUES.get(name, VALUE), dtype=dtype, magnitude=scale)
        assert same_bits(loss(**arrays, **options, reduction=reduction), value)
        for g, w in zip(got, grads, strict=True):
            assert_close(
                g,
                w * factor,
                ulps=GRADIENTS.get(name, GRADIENT),
                dtype=dtype,
                magnitude=gradient_magnitude(name, arrays, w) * factor,
            )


@pytest.mark.parametrize("dtype", ("float16", "bfloat16"))
@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("shape", ((23, 10), (5, 100)), ids=str)
def test_16_bits(name, dtype, shape):
    loss, names, _, options = CALLS[name]
    arrays = arrays_of(name, shape, dtype)
    losses, grads = wanted(name, arrays)
    value, got = loss.value_and_grad(**arrays, **options, reduction="none", wrt=names)
    magnitude = magnitude_of(name, arrays)
    assert_close(value, losses.reshape(positions_of(name, shape)), ulps=VALUE, dtype=dtype, magnitude=magnitude)
    for g, w in zip(got, grads, strict=True):
        assert_close(g, w, ulps=GRADIENT, dtype=dtype, magnitude=gradient_magnitude(name, arrays, w))
    assert loss(**arrays, **options).dtype == np.float32


TORCH = {
    "cosine_embedding": F.cosine_embedding_loss,
    "cosine_embedding-margin": F.cosine_embedding_loss,
    "cosine_similarity": lambda input, target, reduction="mean": reduced(
        1 - F.cosine_similarity(input, target, -1), reduction
    ),
    "cosine_similarity-eps": lambda input, target, eps, reduction="mean": reduced(
        1 - F.cosine_similarity(input, target, -1, eps), reduction
    ),
    "triplet": F.triplet_margin_loss,
    "triplet-swap": F.triplet_margin_loss,
    "triplet-1": F.triplet_margin_loss,
    "triplet-1-swap": F.triplet_margin_loss,
    "triplet-inf": F.triplet_margin_loss,
    "triplet-inf-swap": F.triplet_margin_loss,
    "triplet-3": F.triplet_margin_loss,
    "triplet-half-swap": F.triplet_margin_loss,
    "triplet-distance": F.triplet_margin_with_distance_loss,
}


def reduced(losses, reduction):
    return {"none": lambda x: x, "mean": torch.mean, "sum": torch.sum}[reduction](losses)


def tensors(arrays, names, dtype=torch.float32):
    return {
        name: torch.tensor(np.asarray(array, np.float64), dtype=dtype, requires_grad=name in names)
        for name, array in arrays.items()
    }


def both(name, arrays, dtype, **changes):
    """(value, gradients) of fastloss and of PyTorch, with an upstream gradient."""
    loss, names, _, options = CALLS[name]
    results = []
    for function in (loss, TORCH[name]):
        given = tensors(arrays, names, dtype)
        value = function(**given, **options, **changes)
        upstream = torch.linspace(0.5, 2, max(1, value.numel()), dtype=value.dtype).reshape(value.shape)
        value.backward(upstream)
        results.append((value.detach(), [given[n].grad for n in names]))
    return results


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", ((23, 10), (5, 100)), ids=str)
@pytest.mark.parametrize("name", TORCH)
def test_pytorch(name, shape, reduction):
    arrays = arrays_of(name, shape, "float64")
    (value, grads), (torch_value, torch_grads) = both(name, arrays, torch.float64, reduction=reduction)
    torch.testing.assert_close(value, torch_value, rtol=1e-12, atol=1e-12)
    for a, b in zip(grads, torch_grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dtype", ("float32", "float16", "bfloat16"))
@pytest.mark.parametrize("name", ("cosine_embedding", "triplet", "cosine_similarity"))
def test_pytorch_dtypes(name, dtype):
    """The dtypes of PyTorch, and its numbers in float64: in 16 bits PyTorch's own are off by tenths."""
    arrays = {n: np.asarray(array, np.float64) for n, array in arrays_of(name, (5, 100), dtype).items()}
    kind = getattr(torch, dtype)
    for reduction in REDUCTIONS:
        (value, grads), (torch_value, torch_grads) = both(name, arrays, kind, reduction=reduction)
        exact_value, exact_grads = both(name, arrays, torch.float64, reduction=reduction)[1]
        assert value.dtype == torch_value.dtype and value.shape == torch_value.shape
        tolerance = 4 * torch.finfo(kind).eps
        torch.testing.assert_close(value.double(), exact_value, rtol=tolerance, atol=4e-6)
        for a, b, exact in zip(grads, torch_grads, exact_grads, strict=True):
            assert a.dtype == b.dtype
            torch.testing.assert_close(a.double(), exact, rtol=tolerance, atol=tolerance * exact.abs().max().item())


def test_mixed_dtypes_as_in_pytorch():
    x, y, t = torch.ones(3, 4), torch.ones(3, 4, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    for a, b, target in ((x, y, t.float()), (x, x, t), (x, x, t.long())):
        ours = cosine_embedding_loss(a, b, target, reduction="none")
        assert ours.dtype == F.cosine_embedding_loss(a, b, target, reduction="none").dtype


# Kinks and other corners, each against PyTorch: zero vectors, equal vectors, hinges met exactly, ties.

ZERO, ONE, TWO = np.zeros((1, 3)), np.eye(3)[:1], np.array([[1.0, 1.0, 0.0]])
CORNERS = {
    "triplet": [
        ({"anchor": a, "positive": b, "negative": c}, {"eps": eps})
        for a, b, c in itertools.product((ZERO, ONE, TWO), repeat=3)
        for eps in (0.0, 1e-6)
    ],
    "cosine_embedding": [
        ({"input1": a, "input2": b, "target": np.array([t])}, {"margin": m})
        for a, b in itertools.product((ZERO, ONE, TWO, -ONE), repeat=2)
        for t in (1.0, -1.0, 0.5)
        for m in (0.0, 0.5)
    ],
    "cosine_similarity": [
        ({"input": a, "target": b}, {}) for a, b in itertools.product((ZERO, ONE, TWO, 1e-9 * TWO, -ONE), repeat=2)
    ],
}


@pytest.mark.parametrize("name", CORNERS)
def test_corners_as_in_pytorch(name):
    for arrays, options in CORNERS[name]:
        (value, grads), (torch_value, torch_grads) = both(name, arrays, torch.float64, **options)
        torch.testing.assert_close(value, torch_value, rtol=1e-12, atol=1e-12)
        for a, b in zip(grads, torch_grads, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("p", (1.0, 1.5, 2.0, 3.0, float("inf")))
@pytest.mark.parametrize("swap", (False, True))
def test_triplet_corners_of_every_norm(p, swap):
    for a, b, c in itertools.product((ZERO, ONE, TWO, TWO[:, ::-1]), repeat=3):
        results = []
        for function in (triplet_margin_loss, F.triplet_margin_loss):
            given = [torch.tensor(v.copy(), requires_grad=True) for v in (a, b, c)]
            value = function(*given, margin=1.0, p=p, eps=0.0, swap=swap)
            results.append((value, torch.autograd.grad(value, given)))
        (value, grads), (torch_value, torch_grads) = results
        torch.testing.assert_close(value, torch_value)
        for x, y in zip(grads, torch_grads, strict=True):
            torch.testing.assert_close(x, y)


def test_contrastive_at_equal_vectors():
    x = np.ones((2, 5), np.float32)
    value, (g1, g2) = contrastive_loss.value_and_grad(x, x, np.array([1, 0]), margin=3.0, reduction="none")
    np.testing.assert_array_equal(value, [0, 9])
    assert not g1.any() and not g2.any()


def test_rmse_of_equal_arrays_has_the_gradient_0():
    x = np.ones((2, 5), np.float32)
    value, grad = rmse_loss.value_and_grad(x, x)
    assert value == 0 and not grad.any()


@pytest.mark.parametrize("size", (1e-40, 1e-25, 1e25, 1e37))
def test_no_overflow_in_float32(size):
    """Squares leave the range of float32 long before distances do."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 4, 30)).astype(np.float32) * np.float32(size)
    for loss, arrays, options in (
        (rmse_loss, (x, y), {"axis": -1}),
        (cosine_similarity_loss, (x, y), {"eps": 0.0}),
    ):
        value, grads = loss.value_and_grad(*arrays, **options, reduction="none", wrt=("input", "target"))
        want, want_grads = getattr(oracle, loss.__name__)(*arrays, **options)
        assert_close(value, want, ulps=VALUE, dtype="float32", magnitude=1 if "cos" in loss.__name__ else 0)
        if loss is rmse_loss:
            for g, w in zip(grads, want_grads, strict=True):
                assert_close(g, w, ulps=GRADIENT, dtype="float32", magnitude=np.abs(w).max())
    value, (g, _) = contrastive_loss.value_and_grad(x, y, np.zeros(4), margin=1.0, reduction="none")
    want, (w, _) = oracle.contrastive_loss(x, y, np.zeros(4), margin=1.0)
    assert_close(value, want, ulps=VALUE, dtype="float32")
    assert_close(g, w, ulps=GRADIENT, dtype="float32", magnitude=np.abs(w).max())


def test_nan_propagates():
    x, y = np.ones((3, 70), np.float32), np.zeros((3, 70), np.float32)
    x[1, 69] = np.nan
    for p in (1, 2, 3, float("inf")):
        value, grads = triplet_margin_loss.value_and_grad(x, y, y + 2, p=p, reduction="none", margin=5.0)
        assert np.isnan(value).tolist() == [False, True, False]
        assert not np.isnan(grads[0][[0, 2]]).any()
    assert np.isnan(cosine_similarity_loss(x, y)) and np.isnan(rmse_loss(x, y))


# Memory.


def layouts(array):
    """The same numbers in other memory."""
    yield "F", np.asfortranarray(array)
    yield "negative", np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    yield "rows reversed", np.ascontiguousarray(array[::-1])[::-1]
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    yield "strided", wide[..., ::2]
    padded = np.zeros((*array.shape[:-1], 3 + array.shape[-1]), array.dtype)
    padded[..., 3:] = array
    yield "padded", padded[..., 3:]
    frozen = array.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen


@pytest.mark.parametrize("shape", ((23, 10), (5, 100), (4, 18, 70), (20, 3, 2, 5), (3, 3000)), ids=str)
@pytest.mark.parametrize("name", FEW)
def test_layouts(name, shape):
    loss, names, _, options = CALLS[name]
    arrays = arrays_of(name, shape)
    plain = loss.value_and_grad(**arrays, **options, wrt=names, reduction="none")
    for changed in (names[:1], names):
        for kinds in zip(*(layouts(arrays[n]) for n in changed), strict=True):
            other = {**arrays, **{n: array for n, (_, array) in zip(changed, kinds, strict=True)}}
            value, grads = loss.value_and_grad(**other, **options, wrt=names, reduction="none")
            np.testing.assert_allclose(value, plain[0], rtol=2e-6, atol=2e-6, err_msg=kinds[0][0])
            for a, b in zip(grads, plain[1], strict=True):
                np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-6, err_msg=kinds[0][0])
            outs = tuple(np.full_like(array, 7) for array in (other[n] for n in names))
            _, grads = loss.value_and_grad(**other, **options, wrt=names, reduction="none", out=outs)
            for out, got, b in zip(outs, grads, plain[1], strict=True):
                assert out is got
                np.testing.assert_allclose(out, b, rtol=2e-6, atol=1e-6, err_msg=kinds[0][0])


@pytest.mark.parametrize("axis", (0, 1, 2, -1))
@pytest.mark.parametrize("shape", ((20, 7, 30), (3, 70, 5), (2, 3000, 17)), ids=str)
@pytest.mark.parametrize("loss", (cosine_similarity_loss, rmse_loss))
def test_any_axis(loss, axis, shape):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, *shape)).astype(np.float32)
    value, grads = loss.value_and_grad(x, y, axis=axis, reduction="none", wrt=("input", "target"))
    moved = [np.ascontiguousarray(np.moveaxis(a, axis, -1)) for a in (x, y)]
    want, want_grads = loss.value_and_grad(*moved, axis=-1, reduction="none", wrt=("input", "target"))
    np.testing.assert_allclose(value, want, rtol=1e-6, atol=1e-6)
    for g, w in zip(grads, want_grads, strict=True):
        np.testing.assert_allclose(g, np.moveaxis(w, -1, axis), rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize(
    "shapes",
    (
        ((5, 40), (1, 40), (5, 40)),
        ((5, 40), (5, 1), (5, 40)),
        ((4, 1, 9), (1, 6, 9), (4, 6, 9)),
        ((3, 1, 4, 5), (1, 6, 1, 5), (3, 6, 4, 1)),
        ((1, 200), (30, 200), (1, 1)),
    ),
    ids=str,
)
def test_operands_broadcast(shapes):
    rng = np.random.default_rng(0)
    given = [torch.tensor(rng.normal(size=shape), requires_grad=True) for shape in shapes]
    for reduction in ("none", "mean"):
        ours = triplet_margin_loss(*given, reduction=reduction)
        theirs = F.triplet_margin_loss(*given, reduction=reduction)
        torch.testing.assert_close(ours, theirs)
        upstream = torch.rand_like(theirs)
        for a, b in zip(
            torch.autograd.grad(ours, given, upstream), torch.autograd.grad(theirs, given, upstream), strict=True
        ):
            torch.testing.assert_close(a, b)
    arrays = [x.detach().numpy() for x in given]
    grads = triplet_margin_loss.grad(*arrays)
    assert [g.shape for g in grads] == list(shapes)


def test_rmse_with_weights_that_broadcast():
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(6, 7)), rng.normal(size=(6, 1)), rng.uniform(0.1, 1, 7)
    for axis in (None, 0, 1):
        losses, grads = oracle.rmse_loss(x, y, axis=axis, weight=w)
        value, (gx, gy) = rmse_loss.value_and_grad(x, y, axis=axis, weight=w, reduction="none", wrt=("input", "target"))
        np.testing.assert_allclose(value, losses.astype(float), rtol=1e-14)
        np.testing.assert_allclose(gx, grads[0].astype(float), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(gy, grads[1].sum(1, keepdims=True).astype(float), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("shape", ((3000, 10), (500, 130), (7, 40_000), (40, 64, 60)), ids=str)
def test_same_bits_for_any_number_of_threads(name, shape):
    loss, names, _, options = CALLS[name]
    arrays = arrays_of(name, shape)
    results = []
    before = fl.get_num_threads()
    try:
        for threads in (1, 2, 3):
            fl.set_num_threads(threads)
            results.append(loss.value_and_grad(**arrays, **options, wrt=names))
    finally:
        fl.set_num_threads(before)
    for value, grads in results[1:]:
        assert same_bits(value, results[0][0])
        assert all(same_bits(a, b) for a, b in zip(grads, results[0][1], strict=True))


@pytest.mark.parametrize("shape", ((1_000_003,), (2, 300_001), (3, 131_073)), ids=str)
def test_huge_rows(shape):
    """Rows that are cut in pieces."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, *shape)).astype(np.float32)
    wide = x.astype(np.float64), y.astype(np.float64)
    root = np.sqrt(np.mean((wide[0] - wide[1]) ** 2, axis=-1))
    for reduction, want, factor in (
        ("none", root, np.ones(shape[:-1])),
        ("mean", root.mean(), np.full(shape[:-1], 1 / max(1, root.size))),
    ):
        value, (gx, gy) = rmse_loss.value_and_grad(x, y, axis=-1, reduction=reduction, wrt=("input", "target"))
        np.testing.assert_allclose(value, want, rtol=1e-7)
        slope = (wide[0] - wide[1]) / (shape[-1] * root[..., None]) * factor[..., None]
        np.testing.assert_allclose(gx, slope, rtol=1e-6)
        np.testing.assert_array_equal(gx, -gy)
        assert rmse_loss(x, y, axis=-1, reduction=reduction).tobytes() == value.tobytes()
    tensor = torch.from_numpy(x).requires_grad_()
    rmse_loss(tensor, torch.from_numpy(y), axis=-1).backward(torch.tensor(3.0))
    np.testing.assert_allclose(tensor.grad.numpy(), 3 * gx, rtol=1e-6)
    weights = rng.uniform(0.5, 1, shape[:-1])
    value, grad = rmse_loss.value_and_grad(x, y, axis=-1, sample_weight=weights)
    np.testing.assert_allclose(value, np.average(root, weights=weights) if root.shape else root, rtol=1e-6)
    share = (weights / weights.sum())[..., None]
    np.testing.assert_allclose(grad, share * slope / factor[..., None], rtol=2e-6)


def test_rmse_of_everything():
    x = np.random.default_rng(0).normal(size=(50, 20, 300)).astype(np.float32)
    for layout in (x, np.asfortranarray(x), x[:, ::-1], x.transpose(1, 2, 0)):
        value, grad = rmse_loss.value_and_grad(layout, layout * 0)
        np.testing.assert_allclose(value, np.sqrt(np.mean(layout.astype(np.float64) ** 2)), rtol=1e-7)
        np.testing.assert_allclose(grad, layout / layout.size / value, rtol=1e-5, atol=1e-9)
        assert grad.shape == layout.shape


# Weights, reductions, edges.


@pytest.mark.parametrize("name", FEW)
def test_sample_weight(name):
    loss, names, _, options = CALLS[name]
    shape = (6, 90)
    arrays = arrays_of(name, shape, "float64")
    weights = np.array([0.0, 1.0, 2.0, 0.5, 0.25, 3.0])
    losses, grads = loss.value_and_grad(**arrays, **options, reduction="none", wrt=names)
    for reduction, divisor in (("none", 1), ("sum", 1), ("mean", weights.sum())):
        value, got = loss.value_and_grad(**arrays, **options, reduction=reduction, wrt=names, sample_weight=weights)
        want = losses * weights if reduction == "none" else (losses * weights).sum() / divisor
        np.testing.assert_allclose(value, want, rtol=1e-13)
        for g, w in zip(got, grads, strict=True):
            np.testing.assert_allclose(g, w * weights[:, None] / divisor, rtol=1e-12, atol=1e-15)


def test_a_weight_of_0_hides_nan():
    x = np.ones((2, 70))
    x[0] = np.nan
    for loss in (cosine_similarity_loss, rmse_loss):
        options = {"axis": -1}
        value, grad = loss.value_and_grad(x, np.zeros((2, 70)) + 2, sample_weight=np.array([0.0, 1.0]), **options)
        assert np.isfinite(value) and not grad[0].any()


def test_grad_output():
    arrays = arrays_of("triplet", (5, 20))
    upstream = np.linspace(-1, 2, 5).astype(np.float32)
    grads = triplet_margin_loss.grad(**arrays, reduction="none", grad_output=upstream)
    plain = triplet_margin_loss.grad(**arrays, reduction="none")
    for g, w in zip(grads, plain, strict=True):
        np.testing.assert_allclose(g, w * upstream[:, None], rtol=1e-6)


def test_each_gradient_alone():
    arrays = arrays_of("triplet-swap", (5, 20))
    together = triplet_margin_loss.grad(**arrays, swap=True)
    for name, want in zip(("anchor", "positive", "negative"), together, strict=True):
        np.testing.assert_allclose(triplet_margin_loss.grad(**arrays, swap=True, wrt=name), want, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", FEW)
def test_nothing(name):
    loss, names, _, options = CALLS[name]
    arrays = arrays_of(name, (0, 7))
    assert np.isnan(loss(**arrays, **options))
    assert loss(**arrays, **options, empty="zero") == 0
    assert loss(**arrays, **options, reduction="sum") == 0
    assert loss(**arrays, **options, reduction="none").shape == (0,)
    assert loss.grad(**arrays, **options, wrt=names[0]).shape == (0, 7)


def test_vectors_of_no_component_as_in_pytorch():
    x, y = torch.ones(3, 0), torch.ones(3)
    assert triplet_margin_loss(x, x, x) == F.triplet_margin_loss(x, x, x)
    assert cosine_embedding_loss(x, x, y) == F.cosine_embedding_loss(x, x, y)
    assert triplet_margin_loss.grad(x, x, x)[0].shape == (3, 0)
    assert np.isnan(rmse_loss(np.ones(0), np.ones(0)))


def test_one_vector_is_a_single_row():
    x, y = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.5, -1.0, 2.0])
    assert cosine_embedding_loss(x, y, torch.tensor(1)).shape == ()
    torch.testing.assert_close(
        cosine_embedding_loss(x, y, torch.tensor(-1.0)), F.cosine_embedding_loss(x, y, torch.tensor(-1.0))
    )
    torch.testing.assert_close(triplet_margin_loss(x, y, -y), F.triplet_margin_loss(x, y, -y))


def test_messages():
    x = np.ones((3, 4), np.float32)
    with pytest.raises(ValueError, match=r"input1 has shape \(3, 4\) and input2 has shape \(3, 5\): they do not broad"):
        cosine_embedding_loss(x, np.ones((3, 5), np.float32), np.ones(3))
    with pytest.raises(ValueError, match=r"target has shape \(4,\), which does not broadcast to \(3,\)"):
        cosine_embedding_loss(x, x, np.ones(4))
    with pytest.raises(TypeError, match="input1 has dtype int64"):
        contrastive_loss(np.ones((3, 4), int), x, np.ones(3))
    with pytest.raises(ValueError, match=r"margin is 0.0, expected a number in \(0, inf\)"):
        triplet_margin_loss(x, x, x, margin=0.0)
    with pytest.raises(ValueError, match=r"p is 0, expected"):
        triplet_margin_loss(x, x, x, p=0)
    with pytest.raises(ValueError, match="expected the same number of axes"):
        triplet_margin_loss(x, x[0], x)
    with pytest.raises(ValueError, match="axis is 2, out of range for input of shape"):
        cosine_similarity_loss(x, x, axis=2)
    with pytest.raises(ValueError, match=r"input has shape \(\)"):
        cosine_similarity_loss(np.float32(1), np.float32(2))
    with pytest.raises(NotImplementedError, match="no gradient with respect to target"):
        cosine_embedding_loss.grad(x, x, np.ones(3), wrt="target")
    with pytest.raises(ValueError, match="out shares memory"):
        cosine_embedding_loss.value_and_grad(x, x, np.ones(3), wrt="input1", out=x)
    with pytest.raises(TypeError, match="keyword-only"):
        triplet_margin_loss(x, x, x, 1.0, 2.0, 1e-6, False, None)


# Distances.


def test_distances_known():
    rng = np.random.default_rng(0)
    near, far = rng.uniform(0, 2, (2, 5, 7))
    want = np.maximum(near - far + 0.5, 0)
    value, (g, h) = triplet_loss_from_distances.value_and_grad(near, far, 0.5, reduction="none")
    np.testing.assert_allclose(value, want, rtol=1e-15, atol=1e-15)
    np.testing.assert_array_equal(g, near - far + 0.5 >= 0)
    np.testing.assert_array_equal(h, -g)


def test_kink_of_distances_passes_the_slope_on():
    value, (g, h) = triplet_loss_from_distances.value_and_grad(np.array([1.0]), np.array([2.0]))
    assert value == 0 and g == 1 and h == -1


def manhattan(x, y):
    return abs(x - y).sum(-1)


@pytest.mark.parametrize("swap", (False, True))
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_distance_function(swap, reduction):
    arrays = arrays_of("triplet", (6, 9), "float64")
    options = {"distance_function": manhattan, "swap": swap, "reduction": reduction, "margin": 3.0}
    given = tensors(arrays, arrays, torch.float64)
    theirs = F.triplet_margin_with_distance_loss(**given, **options)
    upstream = torch.rand_like(theirs)
    want = torch.autograd.grad(theirs, list(given.values()), upstream)
    ours = triplet_margin_with_distance_loss(**given, **options)
    torch.testing.assert_close(ours, theirs)
    for a, b in zip(torch.autograd.grad(ours, list(given.values()), upstream), want, strict=True):
        torch.testing.assert_close(a, b)
    np.testing.assert_allclose(triplet_margin_with_distance_loss(**arrays, **options), theirs.detach().numpy())
    grad_output = upstream if reduction == "none" else None
    value, grads = triplet_margin_with_distance_loss.value_and_grad(**given, **options, grad_output=grad_output)
    torch.testing.assert_close(value, theirs.detach())
    if reduction == "none":
        for a, b in zip(grads, want, strict=True):
            torch.testing.assert_close(a, b)
    with pytest.raises(NotImplementedError, match="no gradient through distance_function"):
        triplet_margin_with_distance_loss.value_and_grad(**arrays, **options)


def test_distance_function_checks_what_it_is_given():
    x, y = torch.ones(2, 3), torch.zeros(2, 3)
    loss = triplet_margin_with_distance_loss
    given = {"distance_function": manhattan, "wrt": "anchor"}
    losses, grad = loss.value_and_grad(x, y, x, reduction="none", **given)
    assert losses.shape == (2,) and grad.shape == (2, 3)
    with pytest.raises(ValueError, match="grad_output is given, which needs reduction='none'"):
        loss.value_and_grad(x, y, x, grad_output=torch.ones(2), **given)
    with pytest.raises(ValueError, match=r"grad_output has shape \(3,\), expected \(2,\)"):
        loss.value_and_grad(x, y, x, reduction="none", grad_output=torch.ones(3), **given)
    for out, error in ((torch.empty(2, 3, dtype=torch.float64), TypeError), (torch.empty(4, 3), ValueError)):
        with pytest.raises(error, match="out has"):
            loss.value_and_grad(x, y, x, out=out, **given)
    with pytest.raises(TypeError, match="distance_function is of type str, expected a function"):
        loss(x, y, x, distance_function="cosine")


def test_distance_function_checks_options():
    x = np.ones((2, 3))
    with pytest.raises(ValueError, match="margin is 0"):
        triplet_margin_with_distance_loss(x, x, x, distance_function=manhattan, margin=0.0)
    with pytest.raises(ValueError, match="reduction"):
        triplet_margin_with_distance_loss(x, x, x, distance_function=manhattan, reduction="max")


# torch.


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own tracing
@pytest.mark.parametrize("name", ("triplet", "triplet-distance", "cosine_embedding", "rmse-axis", "contrastive"))
def test_torch_compile(name):
    loss, names, _, options = CALLS[name]
    arrays = arrays_of(name, (6, 20))
    results = []
    torch._dynamo.reset()
    traced = torch.compile(lambda **given: loss(**given, **options), backend="aot_eager", fullgraph=True)
    for function in (functools.partial(loss, **options), traced):
        given = tensors(arrays, names)
        value = function(**given)
        value.backward()
        results.append((value.detach(), [given[n].grad for n in names]))
    (a, grads), (b, compiled_grads) = results
    torch.testing.assert_close(a, b)
    torch.testing.assert_close(grads, compiled_grads)


def test_gradcheck():
    x, y, z = (torch.randn(3, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    assert torch.autograd.gradcheck(
        lambda a, b, c: triplet_margin_loss(a, b, c, margin=9.0, reduction="none"), (x, y, z)
    )
    assert torch.autograd.gradcheck(lambda a, b: cosine_similarity_loss(a, b, reduction="none"), (x, y))
    assert torch.autograd.gradcheck(lambda a, b: rmse_loss(a, b, axis=0, reduction="none"), (x, y))


@pytest.mark.parametrize("empty", ("nan", "zero"))
def test_a_huge_row_without_weight_is_a_mean_over_nothing(empty):
    """Its pieces divide by the sum of the weights in Python, where 1 / 0 warns."""
    x = np.ones(400_000, np.float32)
    value, grad = rmse_loss.value_and_grad(x, x * 2, sample_weight=np.float32(0), empty=empty)
    assert (value == 0) if empty == "zero" else np.isnan(value)
    assert not grad.any() or empty == "nan"


@pytest.mark.parametrize("p", (1.0, 2.0, 3.0))
@pytest.mark.parametrize("infinite", range(3))
def test_an_infinite_coordinate_of_a_triplet(p, infinite):
    """As PyTorch: a distance that is infinite, 0 or more beyond it, and NaN where inf is taken from inf."""
    rows = torch.tensor([[[1.0, 2.0, 0.5]], [[1.0, 3.0, 0.0]], [[4.0, 2.0, 1.0]]])
    rows[infinite, 0, 0] = float("inf")
    found, expected = [], []
    for results, function in ((found, triplet_margin_loss), (expected, F.triplet_margin_loss)):
        inputs = [row.clone().requires_grad_() for row in rows]
        loss = function(*inputs, p=p)
        loss.backward()
        results += [loss.detach().numpy(), *(one.grad.numpy() for one in inputs)]
    for ours, theirs in zip(found, expected, strict=True):
        # PyTorch adds eps = 1e-6 to differences in float32, which leaves six digits of what is next to nothing.
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
