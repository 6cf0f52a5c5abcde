"""Distances against their definitions in float64 and against PyTorch, near-duplicates first of all."""

import math

import ml_dtypes
import numpy as np
import oracle_triplets as oracle
import pytest
import torch
import torch.nn.functional as F
from cases import same_bits

import fastloss as fl
from fastloss import _points

METRICS = (
    ("euclidean", 2.0),
    ("sqeuclidean", 2.0),
    ("cosine", 2.0),
    ("manhattan", 1.0),
    ("chebyshev", math.inf),
    ("minkowski", 0.0),
    ("minkowski", 0.5),
    ("minkowski", 1.0),
    ("minkowski", 2.0),
    ("minkowski", 3.0),
    ("minkowski", math.inf),
)
METRIC = pytest.mark.parametrize(("metric", "p"), METRICS, ids=lambda value: str(value))
#: Largest relative difference: float32 results are rounded, and come from products that lose up to 2**-14 of a
#: squared distance just above the bound, in the worst case.
TOLERANCE = {torch.float64: 1e-11, torch.float32: 3e-5}
DTYPE = pytest.mark.parametrize("dtype", (torch.float64, torch.float32))


def tensor(seed, shape, dtype):
    return torch.tensor(np.random.default_rng(seed).standard_normal(shape), dtype=dtype, requires_grad=True)


def options(metric, p):
    return {"metric": metric, "p": p} if metric == "minkowski" else {"metric": metric}


def by_torch(x, y, metric, p):
    if metric == "cosine":
        return 1.0 - F.normalize(x, dim=1) @ F.normalize(y, dim=1).T
    if metric == "sqeuclidean":
        return (x[:, None] - y).square().sum(-1)
    return torch.cdist(x, y, p=p, compute_mode="donot_use_mm_for_euclid_dist")


def near(found, expected, tolerance):
    found, expected = (np.asarray(torch.as_tensor(a).detach().double()) for a in (found, expected))
    assert found.shape == expected.shape
    return bool(np.all(np.abs(found - expected) <= tolerance * np.abs(expected).max(initial=0.0)))


@METRIC
@DTYPE
def test_values_and_gradients_are_those_of_pytorch(metric, p, dtype):
    x, y = tensor(0, (37, 11), dtype), tensor(1, (29, 11), dtype)
    for other, leaves in ((y, (x, y)), (None, (x,))):
        expected = by_torch(x, x if other is None else other, metric, p)
        upstream = tensor(2, expected.shape, dtype).detach()
        found = fl.cdist(x, other, **options(metric, p))
        assert found.dtype == dtype
        assert near(found, expected, TOLERANCE[dtype])
        grads = torch.autograd.grad(found, leaves, upstream)
        if p == 0.0:
            assert not any(grad.any() for grad in grads)
            continue
        for grad, other_grad in zip(grads, torch.autograd.grad(expected, leaves, upstream), strict=True):
            assert near(grad, other_grad, TOLERANCE[dtype])
        arrays = [None if leaf is None else leaf.detach().numpy() for leaf in (x, other)]
        names = ("x", "y")[: len(leaves)]
        value, own = fl.cdist.value_and_grad(*arrays, **options(metric, p), grad_output=upstream.numpy(), wrt=names)
        assert same_bits(value, found.detach().numpy())
        assert all(same_bits(a, b.numpy()) for a, b in zip(own, grads, strict=True))


@METRIC
def test_absent_upstream_gradients_are_ones(metric, p):
    x, y = (tensor(seed, (9, 4), torch.float64).detach().numpy() for seed in (3, 4))
    expected = fl.cdist.grad(x, y, **options(metric, p), grad_output=np.ones((9, 9)), wrt=("x", "y"))
    found = fl.cdist.grad(x, y, **options(metric, p), wrt=("x", "y"))
    assert all(same_bits(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("metric", ("euclidean", "sqeuclidean", "cosine"))
@pytest.mark.parametrize("dtype", (np.float64, np.float32))
@pytest.mark.parametrize("distance", (0.0, 1e-7, 1e-5, 1e-3, 1e-1, 1.0))
def test_near_duplicates(metric, dtype, distance):
    """Each distance is right to some 2**-14 of its own, however small it is beside the points; equal points have 0."""
    rng = np.random.default_rng(5)
    x = 10.0 * rng.standard_normal((40, 96))
    y = x + distance * rng.standard_normal(x.shape) / math.sqrt(96)
    x, y = x.astype(dtype), y.astype(dtype)
    found = np.diagonal(fl.cdist(x, y, metric=metric)).astype(np.float64)
    expected = np.array([oracle.distance(a, b, metric) for a, b in zip(x, y, strict=True)])
    if distance == 0.0:
        assert not found.any()
        assert not fl.cdist.grad(x, y, metric=metric, grad_output=np.eye(40, dtype=dtype)).any()
        return
    tolerance = 1e-10 if dtype is np.float64 else 1e-4
    if metric == "cosine":  # both sides round unit vectors, which are about distance / 100 apart
        tolerance += 400 * 2.0**-50 / distance
    assert np.all(np.abs(found - expected) <= tolerance * expected)
    grad = fl.cdist.grad(x, y, metric=metric, grad_output=np.eye(40, dtype=dtype))
    for row, a, b in zip(grad, x.astype(np.float64), y.astype(np.float64), strict=True):
        of_a = oracle.distance_gradient(a, b, metric, False)[0]
        assert near(row, of_a, 10 * tolerance)


@METRIC
def test_a_row_that_is_not_finite_spoils_its_own_distances_only(metric, p):
    x, y = (tensor(seed, (20, 6), torch.float64).detach().numpy() for seed in (6, 7))
    expected = fl.cdist(x, y, **options(metric, p))
    for bad in (np.nan, np.inf):
        spoilt, others = x.copy(), y.copy()
        spoilt[3, 2] = bad
        others[5, 0] = bad
        found = fl.cdist(spoilt, others, **options(metric, p))
        clean = np.ones_like(found, bool)
        clean[3] = clean[:, 5] = False
        assert np.allclose(found[clean], expected[clean], rtol=1e-12, atol=0)
        if p != 0.0:
            assert not np.isfinite(found[~clean]).any()


def test_zero_vectors_have_the_cosine_0():
    x = np.array([[0.0, 0.0], [1.0, 2.0]])
    assert np.array_equal(fl.cdist(x, metric="cosine"), [[1.0, 1.0], [1.0, 0.0]])
    assert not fl.cdist.grad(x[:1], x, metric="cosine").any()


@METRIC
@pytest.mark.parametrize("shape", ((0, 4), (1, 4), (3, 0)))
def test_few_rows_or_elements(metric, p, shape):
    x = np.ones(shape)
    found, grad = fl.cdist.value_and_grad(x, **options(metric, p))
    assert found.shape == (shape[0], shape[0])
    assert grad.shape == shape
    assert not found.any() or (metric == "cosine" and shape[1] == 0)
    assert not grad.any()
    assert fl.cdist(x, np.ones((5, shape[1])), **options(metric, p)).shape == (shape[0], 5)


@pytest.mark.parametrize("power", (-100, 100))
@pytest.mark.parametrize("dtype", (np.float64, np.float32))
def test_scale(dtype, power):
    """No square overflows or vanishes on the way."""
    x = np.random.default_rng(8).standard_normal((30, 8)).astype(dtype)
    assert np.array_equal(fl.cdist(np.ldexp(x, power)), np.ldexp(fl.cdist(x), power))
    for p in (2.0, 3.0):
        one, two = x[:15], x[15:]
        found = fl.pairwise_distance(np.ldexp(one, power), np.ldexp(two, power), p=p, eps=0.0)
        assert np.allclose(found, np.ldexp(fl.pairwise_distance(one, two, p=p, eps=0.0), power), rtol=1e-6, atol=0)
    huge = np.full((1, 3), 1e300)
    assert fl.pairwise_distance(huge, -huge, eps=0.0)[0] == pytest.approx(2e300 * math.sqrt(3.0))


@METRIC
def test_the_bits_do_not_depend_on_threads(metric, p, monkeypatch):
    monkeypatch.setattr(_points, "STRIP_NUMBERS", 1 << 12)
    x, y = (tensor(seed, (200, 12), torch.float32).detach().numpy() for seed in (9, 10))
    x[50:60] = y[:10]
    before = fl.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            fl.set_num_threads(threads)
            value, grads = fl.cdist.value_and_grad(x, y, **options(metric, p), wrt=("x", "y"))
            results.append((value, *grads, *fl.cdist.value_and_grad(x, **options(metric, p))))
    finally:
        fl.set_num_threads(before)
    for other in results[1:]:
        assert all(same_bits(a, b) for a, b in zip(results[0], other, strict=True))


def test_layouts_and_dtypes():
    x, y = (tensor(seed, (20, 6), torch.float32).detach().numpy() for seed in (11, 12))
    expected = fl.cdist(x, y)
    assert same_bits(fl.cdist(np.asfortranarray(x), y[::-1][::-1]), expected)
    assert same_bits(fl.cdist(np.repeat(x, 2, 1)[:, ::2], y), expected)
    assert fl.cdist(x, y.astype(np.float64)).dtype == np.float64
    low = x.astype(ml_dtypes.bfloat16)
    assert near(
        fl.cdist(low, y.astype(np.float16)).astype(np.float64),
        fl.cdist(low.astype(np.float32), y.astype(np.float16).astype(np.float32)),
        2.0**-8,
    )


# Row by row.


@DTYPE
@pytest.mark.parametrize("p", (0.0, 0.5, 1.0, 2.0, 3.0, math.inf))
@pytest.mark.parametrize("keepdim", (False, True))
def test_pairwise_distance_is_pytorchs(dtype, p, keepdim):
    shapes = (((5, 7), (5, 7)), ((3, 1, 7), (5, 7)), ((7,), (4, 7)), ((5, 7), (1,)), ((7,), (7,)), ((0, 7), (1, 7)))
    for one, two in shapes:
        a, b = tensor(0, one, dtype), tensor(1, two, dtype)
        expected = F.pairwise_distance(a, b, p=p, keepdim=keepdim)
        found = fl.pairwise_distance(a, b, p=p, keepdim=keepdim)
        assert near(found, expected, TOLERANCE[dtype])
        upstream = tensor(2, expected.shape, dtype).detach()
        grads = torch.autograd.grad(found, (a, b), upstream)
        if p == 0.0:
            assert not any(grad.any() for grad in grads)
            continue
        for grad, other in zip(grads, torch.autograd.grad(expected, (a, b), upstream), strict=True):
            assert near(grad, other, TOLERANCE[dtype])


@pytest.mark.parametrize("p", (1.0, 2.0, 3.0, math.inf))
def test_slopes_at_kinks_are_pytorchs(p):
    a = torch.tensor([[1.0, 2.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0], [2.0, -2.0, 2.0, 1.0]], dtype=torch.float64)
    b = torch.tensor([[0.0, 0.0, 1.0, 0.0]] * 2 + [[0.0] * 4], dtype=torch.float64)
    for ours, theirs in (
        (lambda x: fl.cdist(x, b, metric="minkowski", p=p), lambda x: torch.cdist(x, b, p=p)),
        (
            lambda x: fl.pairwise_distance(x, b, p=p, eps=0.0),
            lambda x: F.pairwise_distance(x, b, p=p, eps=0.0),
        ),
    ):
        leaves = [a.clone().requires_grad_() for _ in range(2)]
        ours(leaves[0]).sum().backward()
        theirs(leaves[1]).sum().backward()
        assert near(leaves[0].grad, leaves[1].grad, 1e-12)


def test_modules():
    x, y = tensor(0, (4, 3), torch.float32), tensor(1, (4, 3), torch.float32)
    expected = torch.nn.PairwiseDistance(p=1.0, keepdim=True)(x, y)
    assert near(fl.nn.PairwiseDistance(p=1.0, keepdim=True)(x, y), expected, 1e-5)
    assert near(fl.nn.DistanceMatrix(metric="manhattan")(x, y), torch.cdist(x, y, p=1.0), 1e-5)


def test_mistakes():
    x = np.zeros((3, 4))
    for call, error, message in (
        (lambda: fl.cdist(x[0]), ValueError, r"cdist: x has shape \(4,\), expected \(N, D\)"),
        (lambda: fl.cdist(x, x[:, :2]), ValueError, r"cdist: y has shape \(3, 2\), expected \(N, 4\)"),
        (lambda: fl.cdist(x, metric="l1"), ValueError, "cdist: metric is 'l1', expected one of 'euclidean'"),
        (lambda: fl.cdist(x, p=1), ValueError, "cdist: p is 1, which needs metric='minkowski'"),
        (lambda: fl.cdist(x, metric="minkowski", p=-1), ValueError, r"cdist: p is -1, expected a number in \[0, inf\]"),
        (lambda: fl.cdist(x.astype(int)), TypeError, "cdist: x has dtype int64"),
        (lambda: fl.cdist(x, torch.zeros(3, 4)), TypeError, "give all of one kind"),
        (lambda: fl.cdist.grad(x, wrt="y"), ValueError, "cdist: wrt names y, which is not given"),
        (lambda: fl.cdist.grad(x, grad_output=x), ValueError, r"grad_output has shape \(3, 4\), expected \(3, 3\)"),
        (lambda: fl.pairwise_distance(x, x[:, :3]), ValueError, "pairwise_distance: x1 has shape .* do not broadcast"),
        (lambda: fl.pairwise_distance(x, x[:2]), ValueError, "pairwise_distance: x1 has shape .* do not broadcast"),
        (lambda: fl.pairwise_distance(x, np.float64(1.0)), ValueError, r"x2 has shape \(\), expected \(..., D\)"),
        (lambda: fl.pairwise_distance(x, x, p=-1), ValueError, "pairwise_distance: p is -1"),
        (lambda: fl.pairwise_distance(x, x, keepdim=2), ValueError, "pairwise_distance: keepdim is 2"),
        (lambda: fl.pairwise_distance(x > 0, x), TypeError, "pairwise_distance: x1 has dtype bool"),
    ):
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("metric", ("euclidean", "sqeuclidean", "cosine"))
@pytest.mark.parametrize("counts", [(0, 4), (4, 0), (0, 0)])
def test_gradients_of_no_distances(metric, counts):
    x, y = (np.ones((count, 3)) for count in counts)
    for found, array in zip(fl.cdist.grad(x, y, metric=metric, wrt=("x", "y")), (x, y), strict=True):
        np.testing.assert_array_equal(found, np.zeros_like(array))
    np.testing.assert_array_equal(fl.cdist.grad(x, y, metric=metric, wrt="y"), np.zeros_like(y))
