"""Losses against one vector a class: beside double loops, at small angles and edges, in autograd."""

import math

import numpy as np
import oracle_contrastive as oracle
import pytest
import torch
import torch.nn.functional as F
from cases import same_bits
from oracle_contrastive import assert_near, assert_oracle

import fastloss as fl
import fastloss.nn
from fastloss import _sweeps

N, C, D = 13, 6, 5
RNG = np.random.default_rng(0)
ARRAYS = {
    "embeddings": RNG.standard_normal((N, D)),
    "weights": RNG.standard_normal((C, D)),
    "labels": RNG.integers(0, C - 1, N),  # the last class has no embedding
}
BOTH = ("embeddings", "weights")
CASES = (
    ("arcface_loss", {}),
    ("arcface_loss", {"margin": 1.5, "scale": 4.0}),  # angles beyond pi - margin
    ("arcface_loss", {"margin": 0.0, "scale": 0.5}),
    ("cosface_loss", {}),
    ("cosface_loss", {"margin": -0.2, "scale": 3.0}),
    ("proxy_nca_loss", {}),
    ("proxy_nca_loss", {"scale": 9.0, "include_positive": False}),
    ("proxy_anchor_loss", {}),
    ("proxy_anchor_loss", {"margin": 0.5, "alpha": 3.0}),
)
LOSSES = ("arcface_loss", "cosface_loss", "proxy_nca_loss", "proxy_anchor_loss")
EACH = pytest.mark.parametrize("loss", LOSSES)


@pytest.mark.parametrize(("loss", "options"), CASES)
@pytest.mark.parametrize("dtype", ("float64", "float32"))
def test_against_double_loops(loss, options, dtype):
    for reduction in ("mean", "sum"):
        assert_oracle(loss, ARRAYS, BOTH, dtype=dtype, reduction=reduction, **options)
    if loss != "proxy_anchor_loss":
        upstream = np.random.default_rng(3).uniform(-1, 1, N)
        assert_oracle(loss, ARRAYS, BOTH, dtype=dtype, reduction="none", upstream=upstream, **options)
    assert_oracle(loss, ARRAYS, ("weights",), dtype=dtype, **options)


@pytest.mark.parametrize(("loss", "options"), CASES)
def test_central_differences(loss, options):
    function = getattr(fl, loss)
    grads = function.value_and_grad(**ARRAYS, **options)[1]
    rng = np.random.default_rng(4)
    for name, grad in zip(BOTH, grads, strict=True):
        direction = rng.standard_normal(grad.shape)
        ends = [function(**{**ARRAYS, name: ARRAYS[name] + sign * 2.0**-17 * direction}, **options) for sign in (1, -1)]
        assert (ends[0] - ends[1]) * 2.0**16 == pytest.approx((grad * direction).sum(), rel=1e-6)


def test_a_head_is_cross_entropy_of_its_logits():
    x, w, labels = (torch.tensor(array) for array in ARRAYS.values())
    cos = F.normalize(x) @ F.normalize(w).T
    hot = F.one_hot(labels, C).double()
    for loss, logits in (
        ("cosface_loss", 64.0 * (cos - 0.35 * hot)),
        ("proxy_nca_loss", -(torch.cdist(F.normalize(x), F.normalize(w)) ** 2)),
        ("arcface_loss", 64.0 * torch.where(hot.bool(), torch.cos(torch.acos(cos) + 0.5), cos)),
    ):
        assert math.cos(math.pi - 0.5) < cos.min()
        assert getattr(fl, loss)(**ARRAYS) == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-13)


@pytest.mark.parametrize("dtype", ("float64", "float32"))
@pytest.mark.parametrize("tilt", (1e-2, 1e-4, 1e-6))
def test_arcface_at_small_angles(dtype, tilt):
    """Where 1 - cos(theta) is all rounding error, the angle and its gradient are still right."""
    weights = np.eye(3)
    x = np.eye(3)[:1] + tilt * np.eye(3)[1:2]
    value, (grad, _) = fl.arcface_loss.value_and_grad(
        x.astype(dtype), weights.astype(dtype), np.zeros(1, int), margin=0.5, scale=4.0
    )
    theta = math.atan(np.asarray(tilt, dtype))
    logits = 4.0 * np.array([math.cos(theta + 0.5), math.sin(theta), 0.0])
    p = np.exp(logits) / np.exp(logits).sum()
    tolerance = 1e-9 if dtype == "float64" else 1e-5
    assert value == pytest.approx(-math.log(p[0]), rel=tolerance)
    # d loss / d theta, which moves x along its second axis.
    slope = (p[0] - 1) * -4.0 * math.sin(theta + 0.5) + p[1] * 4.0 * math.cos(theta)
    assert grad[0, 1] == pytest.approx(slope * math.cos(theta) ** 2, rel=1e-4 if dtype == "float32" else 1e-8)


def test_arcface_along_its_own_vector():
    weights = np.eye(3, dtype=np.float32)
    for label, x in ((0, weights[:1]), (0, -weights[:1])):
        value, grads = fl.arcface_loss.value_and_grad(x, weights, np.array([label]))
        assert np.isfinite(value)
        assert all(np.isfinite(grad).all() for grad in grads)
    assert fl.arcface_loss(-weights[:1], weights, np.array([0])) == pytest.approx(
        64 * (1 + 0.5 * math.sin(0.5)) + math.log(2), rel=1e-6
    )


@EACH
def test_strips_and_threads(loss, monkeypatch):
    monkeypatch.setattr(_sweeps, "MOST_ROWS", 32)
    monkeypatch.setattr(_sweeps, "BLOCK", 48)
    rng = np.random.default_rng(5)
    arrays = {
        "embeddings": rng.standard_normal((150, 7)),
        "weights": rng.standard_normal((100, 7)),
        "labels": rng.integers(0, 100, 150),
    }
    before = fl.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 5):
            fl.set_num_threads(threads)
            value, grads = getattr(fl, loss).value_and_grad(**arrays)
            found.append((value, *grads))
    finally:
        fl.set_num_threads(before)
    for other in found[1:]:
        assert all(same_bits(a, b) for a, b in zip(found[0], other, strict=True))
    value, grads = oracle.expected(loss, arrays, BOTH)
    for got, want in zip(found[0], (value, *grads), strict=True):
        assert_near(got, want, 1e-12)


@EACH
def test_few_rows_and_classes(loss):
    for rows in (0, 1):
        assert_oracle(loss, {**ARRAYS, "embeddings": ARRAYS["embeddings"][:rows], "labels": np.zeros(rows, int)}, BOTH)
    one = {**ARRAYS, "weights": ARRAYS["weights"][:1], "labels": np.zeros(N, int)}
    assert_oracle(loss, one, BOTH)
    if loss == "proxy_nca_loss":
        assert fl.proxy_nca_loss(**one, include_positive=False) == 0
    none = {"embeddings": ARRAYS["embeddings"][:0], "weights": ARRAYS["weights"][:0], "labels": np.zeros(0, int)}
    assert getattr(fl, loss)(**none) == 0


@EACH
def test_rows_of_zeros(loss):
    arrays = {name: array.copy() for name, array in ARRAYS.items()}
    arrays["embeddings"][3] = 0.0
    arrays["weights"][1] = 0.0
    value, grads = getattr(fl, loss).value_and_grad(**arrays)
    assert np.isfinite(value)
    assert not grads[0][3].any()
    assert not grads[1][1].any()
    if loss != "arcface_loss":  # acos(0) of the oracle is fine, its norm of zeros is not
        assert_near(value, oracle.expected(loss, arrays, ())[0], 1e-12)


@EACH
@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16))
def test_autograd(loss, dtype):
    x, w = (torch.tensor(ARRAYS[name]).to(dtype).requires_grad_() for name in BOTH)
    labels = torch.tensor(ARRAYS["labels"])
    value = getattr(fl, loss)(x, w, labels)
    assert value.dtype == dtype
    value.backward()
    want, grads = getattr(fl, loss).value_and_grad(x.detach().float(), w.detach().float(), labels)
    assert torch.equal(value, want.to(dtype))
    assert torch.equal(x.grad, grads[0].to(dtype))
    assert torch.equal(w.grad, grads[1].to(dtype))


def test_modules():
    x, w, labels = (torch.tensor(array) for array in ARRAYS.values())
    module = fl.nn.ArcFaceLoss(margin=0.3)
    assert module(x, w, labels) == fl.arcface_loss(x, w, labels, margin=0.3)
    assert fl.find("additive angular margin") == ["arcface_loss"]


@EACH
def test_mistakes(loss):
    function = getattr(fl, loss)
    for bad in (-1, C):
        labels = ARRAYS["labels"].copy()
        labels[4] = bad
        with pytest.raises(IndexError, match=rf"{loss}: labels holds {bad} at 4, expected indices in \[0, 6\)"):
            function(ARRAYS["embeddings"], ARRAYS["weights"], labels)
    with pytest.raises(ValueError, match=rf"{loss}: weights has shape \(6, 4\), expected \(N, 5\)"):
        function(ARRAYS["embeddings"], ARRAYS["weights"][:, :4], ARRAYS["labels"])
    with pytest.raises(ValueError, match="reduction is 'none'" if loss == "proxy_anchor_loss" else "is 'all'"):
        function(**ARRAYS, reduction="none" if loss == "proxy_anchor_loss" else "all")
    with pytest.raises(NotImplementedError, match="no gradient with respect to labels"):
        function.grad(**ARRAYS, wrt="labels")


@pytest.mark.filterwarnings("ignore")
def test_against_pytorch_metric_learning():
    theirs = pytest.importorskip("pytorch_metric_learning.losses")
    x, w, labels = (torch.tensor(array) for array in ARRAYS.values())
    for loss, name, options in (
        ("arcface_loss", "ArcFaceLoss", {"margin": math.radians(28.6)}),
        ("cosface_loss", "CosFaceLoss", {}),
        ("proxy_nca_loss", "ProxyNCALoss", {}),
        ("proxy_anchor_loss", "ProxyAnchorLoss", {}),
    ):
        module = getattr(theirs, name)(C, D)
        (parameter,) = module.parameters()
        parameter.data = w.clone() if parameter.shape == w.shape else w.T.clone()
        torch.testing.assert_close(getattr(fl, loss)(x, w, labels, **options), module(x, labels).detach())
