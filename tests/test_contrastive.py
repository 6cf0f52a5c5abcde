"""Losses of similarities: beside double loops, in strips and on threads, at their edges, in autograd."""

import tracemalloc

import ml_dtypes
import numpy as np
import oracle_contrastive as oracle
import pytest
import torch
import torch.nn.functional as F
from cases import same_bits
from oracle_contrastive import assert_near, assert_oracle

import fastloss as fl
import fastloss.nn
from fastloss import _strips, _sweeps

N, D = 13, 5


def rows(n, seed, d=D):
    return np.random.default_rng(seed).standard_normal((n, d))


LABELS = np.random.default_rng(9).integers(-2, 2, N) * 7  # four classes
UNEVEN = np.array([3, 3, 8, 3, 1, 8, 3, 0, 3, 3, 1, 3, 3])  # one of them of a single row
X, Y, Z = rows(N, 0), rows(N, 1), rows(4, 2)
PAIR = {"embeddings": X, "labels": LABELS}
ODD = {"embeddings": X, "labels": UNEVEN}
QUERY = {"query": X, "positive_key": Y}
VIEWS = {"z1": X, "z2": Y}
N_PAIRS = {"anchor": X, "positive": Y}
IMAGES = {"image": X, "text": Y, "logit_scale": np.array(3.0)}
SIGNED = {**IMAGES, "logit_bias": np.array([-1.5])}

#: loss, arrays, differentiable, options.
CASES = (
    ("info_nce_loss", QUERY, ("query", "positive_key"), {}),
    ("info_nce_loss", {**QUERY, "negative_keys": Z}, ("query", "positive_key", "negative_keys"), {"temperature": 0.7}),
    ("info_nce_loss", {**QUERY, "negative_keys": Z}, ("negative_keys", "query", "positive_key"), {"in_batch": False}),
    ("info_nce_loss", {**QUERY, "negative_keys": Z}, ("negative_keys",), {"normalize": False, "temperature": 2.0}),
    ("nt_xent_loss", VIEWS, ("z1", "z2"), {}),
    ("nt_xent_loss", VIEWS, ("z2",), {"temperature": 0.07}),
    ("supervised_contrastive_loss", PAIR, ("embeddings",), {}),
    ("supervised_contrastive_loss", ODD, ("embeddings",), {"temperature": 0.5}),
    ("npairs_loss", N_PAIRS, ("anchor", "positive"), {}),
    ("npairs_loss", {**N_PAIRS, "labels": UNEVEN}, ("anchor", "positive"), {"l2_reg": 0.5}),
    ("npairs_loss", {**N_PAIRS, "labels": LABELS}, ("positive",), {"l2_reg": 0.0}),
    ("clip_loss", IMAGES, ("image", "text", "logit_scale"), {}),
    ("clip_loss", IMAGES, ("logit_scale",), {"normalize": False}),
    ("clip_loss", {**IMAGES, "logit_scale": np.array([100.0])}, ("text", "logit_scale"), {}),
    ("siglip_loss", SIGNED, ("image", "text", "logit_scale", "logit_bias"), {}),
    ("siglip_loss", SIGNED, ("logit_bias",), {"normalize": False}),
    ("siglip_loss", SIGNED, ("logit_bias", "text"), {}),
    ("multi_similarity_loss", PAIR, ("embeddings",), {}),
    ("multi_similarity_loss", ODD, ("embeddings",), {"alpha": 20.0, "beta": 3.0, "base": -0.25}),
    ("multi_similarity_loss", ODD, ("embeddings",), {"epsilon": 0.1}),
    ("multi_similarity_loss", PAIR, ("embeddings",), {"epsilon": -0.9}),
    ("circle_loss", PAIR, ("embeddings",), {}),
    ("circle_loss", ODD, ("embeddings",), {"m": 0.25, "gamma": 3.0}),
)
CONTRASTIVE = (
    {},
    {"pos_margin": 1.0, "neg_margin": 3.0},
    {"pos_margin": 0.5, "neg_margin": 3.0, "power": 1},
    {"normalize": True, "power": 1},
    {"metric": "cosine", "pos_margin": 0.2, "neg_margin": 1.2},
    {"metric": "cosine", "power": 1},
)
EVERY = pytest.mark.parametrize(("loss", "arrays", "wrt", "options"), CASES)
DTYPES = pytest.mark.parametrize("dtype", ("float64", "float32"))
#: One call of each loss, with several gradients where there are.
ONE_EACH = {loss: (arrays, wrt) for loss, arrays, wrt, _ in reversed(CASES)} | {
    "batch_contrastive_loss": (PAIR, ("embeddings",))
}
EACH = pytest.mark.parametrize("loss", ONE_EACH)


# Values and gradients.


@EVERY
@DTYPES
def test_against_double_loops(loss, arrays, wrt, options, dtype):
    for reduction in ("mean", "sum"):
        assert_oracle(loss, arrays, wrt, dtype=dtype, reduction=reduction, **options)
    weights = np.random.default_rng(3).uniform(-1, 1, 2 * N if loss == "nt_xent_loss" else N)
    assert_oracle(loss, arrays, wrt, dtype=dtype, reduction="none", upstream=weights, **options)


@pytest.mark.parametrize("options", CONTRASTIVE)
@pytest.mark.parametrize("arrays", (PAIR, ODD))
@DTYPES
def test_contrastive_against_double_loops(arrays, options, dtype):
    for reduction in ("mean", "sum", "mean_nonzero"):
        assert_oracle("batch_contrastive_loss", arrays, ("embeddings",), dtype=dtype, reduction=reduction, **options)


@EACH
def test_central_differences(loss):
    arrays, wrt = ONE_EACH[loss]
    if loss == "circle_loss":
        pytest.skip("its weights count as constants: test_against_double_loops")
    function = getattr(fl, loss)
    grads = function.value_and_grad(**arrays, wrt=wrt)[1]
    rng = np.random.default_rng(4)
    for name, grad in zip(wrt, grads, strict=True):
        direction = rng.standard_normal(arrays[name].shape)
        step = 2.0**-17
        ends = [function(**{**arrays, name: arrays[name] + sign * step * direction}) for sign in (1, -1)]
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx((grad * direction).sum(), rel=1e-6)


def test_nt_xent_is_cross_entropy_of_the_other_view():
    z1, z2 = (torch.tensor(v, requires_grad=True) for v in (X, Y))
    z = F.normalize(torch.cat([z1, z2]))
    s = (z @ z.T / 0.3).masked_fill(torch.eye(2 * N, dtype=torch.bool), -torch.inf)
    want = F.cross_entropy(s, torch.arange(2 * N).roll(N))
    value, grads = fl.nt_xent_loss.value_and_grad(X, Y, 0.3)
    assert_near(value, want.item(), 1e-13)
    for got, grad in zip(grads, torch.autograd.grad(want, (z1, z2)), strict=True):
        assert_near(got, grad.numpy(), 1e-13)
    both = fl.supervised_contrastive_loss(np.concatenate([X, Y]), np.tile(np.arange(N), 2), 0.3)
    assert both == pytest.approx(value, rel=1e-14)


def test_clip_is_the_mean_of_both_directions():
    both = [fl.info_nce_loss(*pair, temperature=1 / 3) for pair in ((X, Y), (Y, X))]
    assert fl.clip_loss(X, Y, 3.0) == pytest.approx(sum(both) / 2, rel=1e-14)
    assert fl.clip_loss(X, Y) == fl.clip_loss(X, Y, 1 / 0.07)


@DTYPES
@pytest.mark.parametrize("loss", ("nt_xent_loss", "clip_loss", "info_nce_loss"))
def test_a_small_loss_is_not_lost_beside_a_one(loss, dtype):
    """1e-28, where a softmax rounded to 1 would leave 0; and its gradient likewise."""
    x = (np.eye(4) + 0.01).astype(dtype)
    scale = 70.0
    value, (grad, *_) = getattr(fl, loss).value_and_grad(
        x, x, **{_SCALES[loss]: scale if loss[0] == "c" else 1 / scale}
    )
    unit = x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    cosine = unit @ unit.T
    # The other embeddings, of which two views have each twice.
    terms = np.exp(scale * (cosine - 1)) * (1 - np.eye(4)) * (2 if loss == "nt_xent_loss" else 1)
    want = terms.sum(1).mean()
    assert 0 < want < 1e-27
    assert value == pytest.approx(want, rel=1e-4 if dtype == "float32" else 1e-12)
    assert np.abs(grad).max() > want


_SCALES = {"nt_xent_loss": "temperature", "info_nce_loss": "temperature", "clip_loss": "logit_scale"}


# Strips.


def large(loss, n=150, d=9):
    """Arrays of a call of more rows than a strip has."""
    arrays, wrt = ONE_EACH[loss]
    rng = np.random.default_rng(5)
    made = {}
    for name, array in arrays.items():
        array = np.asarray(array)
        if name in ("logit_scale", "logit_bias"):
            made[name] = array
        elif array.dtype.kind == "f":
            made[name] = rng.standard_normal((n if len(array) == N else 70, d))
        else:
            made[name] = rng.integers(0, 40, n)
    return made, wrt


@pytest.fixture
def small_strips(monkeypatch):
    monkeypatch.setattr(_sweeps, "MOST_ROWS", 32)
    monkeypatch.setattr(_sweeps, "BLOCK", 48)
    monkeypatch.setattr(_strips, "LEAST_WORK", 300)
    monkeypatch.setattr(_strips, "BLOCK_ROWS", 17)


@EACH
def test_strips_and_threads(loss, small_strips):
    """The same bits from any number of threads, and what the double loop says."""
    arrays, wrt = large(loss)
    before = fl.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 5):
            fl.set_num_threads(threads)
            value, grads = getattr(fl, loss).value_and_grad(**arrays, wrt=wrt)
            found.append((value, *grads))
    finally:
        fl.set_num_threads(before)
    for other in found[1:]:
        assert all(same_bits(a, b) for a, b in zip(found[0], other, strict=True))
    value, grads = oracle.expected(loss, arrays, wrt)
    for got, want in zip(found[0], (value, *grads), strict=True):
        assert_near(got, want, 1e-12)


@EACH
def test_the_matrix_is_never_held(loss):
    arrays, wrt = large(loss, n=3000, d=4)
    arrays = {k: v.astype(np.float32) if v.ndim == 2 else v for k, v in arrays.items()}
    getattr(fl, loss).value_and_grad(**arrays, wrt=wrt)
    tracemalloc.start()
    try:
        getattr(fl, loss).value_and_grad(**arrays, wrt=wrt)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    strips = fl.get_num_threads() * 4 * _sweeps.rows_of_strip(6000, 4) * 6000
    assert peak < strips + 3e6 < 36e6


def test_an_error_in_a_strip_ends_the_others_and_is_raised(small_strips, monkeypatch):
    def score(low, high, tile):
        if low >= 64:
            raise ValueError(f"at {low}")
        return 0.0, 0.0, -1

    x = rows(200, 6)
    for threads in (1, 2, 5):
        with pytest.raises(ValueError, match=r"at \d+"):
            _sweeps.Sweep(x, x, 1.0, score, threads, True, True)


# Edges.


@EACH
def test_few_rows(loss):
    arrays, wrt = ONE_EACH[loss]
    for count in (0, 1, 2):
        few = {k: np.asarray(v)[:count] if np.asarray(v).shape[:1] == (N,) else v for k, v in arrays.items()}
        for reduction in ("mean", "sum"):
            assert_oracle(loss, few, wrt, reduction=reduction)
    empty = {k: np.asarray(v)[:0] if np.asarray(v).shape[:1] == (N,) else v for k, v in arrays.items()}
    assert getattr(fl, loss)(**empty) == 0


LABELLED = pytest.mark.parametrize("loss", [loss for loss, (arrays, _) in ONE_EACH.items() if "labels" in arrays])


@LABELLED
@pytest.mark.parametrize("labels", (np.zeros(N, int), np.arange(N)), ids=("one class", "all distinct"))
def test_one_class_and_all_distinct(loss, labels):
    arrays, wrt = ONE_EACH[loss]
    assert_oracle(loss, {**arrays, "labels": labels}, wrt)
    if loss in ("multi_similarity_loss", "circle_loss") or (loss[0] == "s" and labels[1] == 1):
        value, grad = getattr(fl, loss).value_and_grad(**{**arrays, "labels": labels})
        assert value == 0
        assert not grad.any()


@LABELLED
def test_labels_of_any_kind(loss):
    arrays, _ = ONE_EACH[loss]
    expected = getattr(fl, loss).grad(**arrays)
    for labels in (LABELS.astype(np.int8), (LABELS + 50).astype(np.uint16), LABELS * (1 << 40)):
        assert same_bits(getattr(fl, loss).grad(**{**arrays, "labels": labels}), expected)


@EACH
def test_rows_of_zeros_and_duplicates(loss):
    arrays, wrt = ONE_EACH[loss]
    changed = {k: np.array(v) for k, v in arrays.items()}
    for name in ("embeddings", "query", "z1", "anchor", "image"):
        if name in changed:
            changed[name][2] = 0.0
            changed[name][5] = changed[name][4]
    value, grads = getattr(fl, loss).value_and_grad(**changed, wrt=wrt)
    want, slopes = oracle.expected(loss, changed, wrt)
    assert_near(value, want, 1e-12)
    for got, slope in zip(grads, slopes, strict=True):
        if got.shape == X.shape and loss not in ("npairs_loss", "batch_contrastive_loss"):
            assert not np.isnan(got).any()
        assert_near(got, slope, 1e-12)


@pytest.mark.parametrize("temperature", (1e-4, 1e-2, 1e4))
@pytest.mark.parametrize("loss", ("info_nce_loss", "nt_xent_loss", "supervised_contrastive_loss"))
def test_extreme_temperatures(loss, temperature):
    arrays, wrt = ONE_EACH[loss]
    assert_oracle(loss, arrays, wrt, temperature=temperature, tolerance=1e-10)


def test_huge_and_tiny_rows():
    """Norms beyond the range of squares."""
    for dtype, factors in (("float32", (1e30, 1e-30)), ("float64", (1e250, 1e-250))):
        x, y = X.astype(dtype), Y.astype(dtype)
        value, (grad, _) = fl.nt_xent_loss.value_and_grad(x, y)
        for factor in factors:
            factor = x.dtype.type(2.0 ** np.round(np.log2(factor)))
            scaled, (by_x, _) = fl.nt_xent_loss.value_and_grad(x * factor, y)
            assert scaled == value
            np.testing.assert_allclose(by_x * factor, grad, rtol=1e-6)


def test_equal_and_close_rows_are_exact():
    """Distances that would cancel in |a|^2 + |b|^2 - 2 <a, b>, far from the origin."""
    rng = np.random.default_rng(7)
    x = (1000.0 + rng.standard_normal((40, 6))).astype(np.float32)
    x[20:30] = x[:10]
    x[30:] = x[10:20] + np.float32(1e-3) * rng.standard_normal((10, 6)).astype(np.float32)
    labels = np.tile(np.arange(10), 4)
    for power in (1, 2):
        arrays = {"embeddings": x, "labels": labels}
        assert_oracle("batch_contrastive_loss", arrays, ("embeddings",), dtype="float32", power=power)
        assert_oracle(
            "batch_contrastive_loss", arrays, ("embeddings",), dtype="float32", power=power, reduction="mean_nonzero"
        )
    same = np.repeat(x[:1], 6, axis=0)
    value, grad = fl.batch_contrastive_loss.value_and_grad(same, np.zeros(6, int))
    assert value == 0
    assert not grad.any()
    value, grad = fl.batch_contrastive_loss.value_and_grad(same, np.arange(6))
    assert value == 1
    assert not grad.any()


@pytest.mark.parametrize("bad", (np.nan, np.inf))
@EACH
def test_nan_comes_through(loss, bad):
    """Without a warning of NumPy's; an infinite row has no direction."""
    arrays, wrt = ONE_EACH[loss]
    name = next(iter(arrays))
    broken = np.array(arrays[name])
    broken[3, 1] = bad
    value, grads = getattr(fl, loss).value_and_grad(**{**arrays, name: broken}, wrt=wrt)
    assert np.isnan(value)
    assert all(np.isnan(grad).any() for grad in grads)


# Arrays.


@EACH
def test_layouts_and_inputs_untouched(loss):
    arrays, wrt = ONE_EACH[loss]
    expected = getattr(fl, loss).value_and_grad(**arrays, wrt=wrt)[1]

    def layouts(array):
        if array.ndim == 0:
            return [array]
        wide = np.repeat(array, 2, axis=0)
        return [np.asfortranarray(array), array[::-1].copy()[::-1], wide[::2]]

    for k in range(3):
        odd = {name: layouts(np.array(array))[k % len(layouts(np.array(array)))] for name, array in arrays.items()}
        for array in odd.values():
            array.flags.writeable = False
        grads = getattr(fl, loss).value_and_grad(**odd, wrt=wrt)[1]
        assert all(same_bits(a, b) for a, b in zip(grads, expected, strict=True))
        assert all(np.array_equal(odd[name], array) for name, array in arrays.items())
    outs = tuple(np.empty(np.shape(arrays[name])) for name in wrt)
    grads = getattr(fl, loss).value_and_grad(**arrays, wrt=wrt, out=outs)[1]
    assert all(got is out for got, out in zip(grads, outs, strict=True))
    assert all(same_bits(a, b) for a, b in zip(outs, expected, strict=True))


@pytest.mark.parametrize("dtype", (np.float16, ml_dtypes.bfloat16))
@EACH
def test_narrow_numpy(loss, dtype):
    arrays, wrt = ONE_EACH[loss]
    narrow = {k: np.asarray(v).astype(dtype) if np.asarray(v).ndim == 2 else v for k, v in arrays.items()}
    wide = {k: v.astype(np.float32) if np.asarray(v).ndim == 2 else v for k, v in narrow.items()}
    value, grads = getattr(fl, loss).value_and_grad(**narrow, wrt=wrt)
    want, slopes = getattr(fl, loss).value_and_grad(**wide, wrt=wrt)
    assert same_bits(value, want)
    for name, got, slope in zip(wrt, grads, slopes, strict=True):
        assert same_bits(got, slope.astype(narrow[name].dtype))


@EACH
@pytest.mark.parametrize("dtype", (torch.float64, torch.float32, torch.bfloat16))
def test_autograd(loss, dtype):
    arrays, wrt = ONE_EACH[loss]
    function = getattr(fl, loss)
    tensors = {}
    for name, array in arrays.items():
        tensor = torch.tensor(array)
        tensors[name] = tensor.to(dtype) if tensor.is_floating_point() else tensor
    for name in wrt:
        tensors[name].requires_grad_()
    value = function(**tensors)
    assert value.dtype == dtype
    value.backward(torch.tensor(0.25, dtype=dtype))
    wide = {k: v.detach().float() if v.dtype == torch.bfloat16 else v.detach() for k, v in tensors.items()}
    want, slopes = function.value_and_grad(**wide, wrt=wrt)
    assert torch.equal(value, want.to(dtype))
    for name, slope in zip(wrt, slopes, strict=True):
        assert tensors[name].grad.dtype == dtype
        torch.testing.assert_close(tensors[name].grad, (0.25 * slope).to(dtype), rtol=1e-6, atol=0)


@pytest.mark.parametrize("loss", [name for name, (arrays, wrt) in ONE_EACH.items() if len(wrt) > 1])
@pytest.mark.parametrize("wide", (0, 1))
def test_matrices_of_two_dtypes_are_promoted(loss, wide):
    given, wrt = ONE_EACH[loss]
    arrays = {name: np.asarray(array) for name, array in given.items()}
    single = {k: v.astype(np.float32) if v.ndim == 2 else v for k, v in arrays.items()}
    mixed = single | {wrt[wide]: single[wrt[wide]].astype(np.float64)}
    double = {k: v.astype(np.float64) if v.ndim == 2 else v for k, v in single.items()}
    value, grads = getattr(fl, loss).value_and_grad(**mixed, wrt=wrt[:2])
    expected, expected_grads = getattr(fl, loss).value_and_grad(**double, wrt=wrt[:2])
    assert same_bits(value, expected)
    for name, grad, wanted in zip(wrt, grads, expected_grads, strict=False):
        assert same_bits(grad, wanted.astype(mixed[name].dtype))
    tensors = {k: torch.tensor(v) for k, v in mixed.items()}
    torch.compiler.reset()  # which stops after eight graphs of one function
    compiled = torch.compile(lambda **given: getattr(fl, loss)(**given), backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(**tensors), torch.tensor(expected))


@EACH
def test_autograd_unreduced(loss):
    if loss == "batch_contrastive_loss":
        with pytest.raises(ValueError, match="reduction is 'none'"):
            fl.batch_contrastive_loss(X, LABELS, reduction="none")
        return
    arrays, wrt = ONE_EACH[loss]
    tensors = {name: torch.tensor(array) for name, array in arrays.items()}
    for name in wrt:
        tensors[name].requires_grad_()
    losses = getattr(fl, loss)(**tensors, reduction="none")
    weights = torch.linspace(-1, 1, len(losses), dtype=torch.float64)
    losses.backward(weights)
    _, slopes = getattr(fl, loss).value_and_grad(**arrays, reduction="none", wrt=wrt, grad_output=weights.numpy())
    for name, slope in zip(wrt, slopes, strict=True):
        assert np.array_equal(tensors[name].grad.numpy(), slope)


def test_scales_that_are_learnt():
    """siglip_loss has four arguments with a gradient: the last two numbers, in any shape and order."""
    log_scale, bias = torch.tensor(1.0, requires_grad=True), torch.full((1,), -2.0, requires_grad=True)
    image = torch.tensor(X, dtype=torch.float32, requires_grad=True)
    fl.siglip_loss(image, torch.tensor(Y, dtype=torch.float32), log_scale.exp(), bias).backward()
    arrays = {"image": X, "text": Y, "logit_scale": np.array(np.e), "logit_bias": np.array(-2.0)}
    _, (by_scale, by_bias) = oracle.expected("siglip_loss", arrays, ("logit_scale", "logit_bias"))
    assert log_scale.grad.item() == pytest.approx(np.e * by_scale, rel=1e-5)
    assert bias.grad.shape == (1,)
    assert bias.grad.item() == pytest.approx(by_bias, rel=1e-5)
    assert image.grad.abs().max() > 0
    module = fl.nn.SigLIPLoss(reduction="sum")
    assert module(image, image, 2.0, -1.0).item() == pytest.approx(
        fl.siglip_loss(image, image, 2.0, -1.0, reduction="sum").item()
    )
    scale = torch.tensor(5.0, requires_grad=True)
    fl.clip_loss(image, image, scale).backward()
    assert scale.grad is not None
    compiled = torch.compile(lambda s, b: fl.siglip_loss(image, image, s, b), backend="aot_eager", fullgraph=True)
    numbers = [torch.tensor(v, requires_grad=True) for v in (2.0, -1.0)]
    compiled(*numbers).backward()
    eager = [torch.tensor(v, requires_grad=True) for v in (2.0, -1.0)]
    fl.siglip_loss(image, image, *eager).backward()
    assert [n.grad for n in numbers] == [n.grad for n in eager]


# Mistakes.


def test_mistakes():
    with pytest.raises(ValueError, match=r"nt_xent_loss: z2 has shape \(12, 5\), expected \(13, 5\)"):
        fl.nt_xent_loss(X, Y[:-1])
    with pytest.raises(ValueError, match=r"clip_loss: text has shape \(13, 4\), expected \(N, 5\)"):
        fl.clip_loss(X, Y[:, :4])
    with pytest.raises(ValueError, match=r"info_nce_loss: negative_keys has shape \(4, 3\)"):
        fl.info_nce_loss(X, Y, Z[:, :3])
    with pytest.raises(ValueError, match="leaves no negatives"):
        fl.info_nce_loss(X, Y, in_batch=False)
    with pytest.raises(ValueError, match=r"circle_loss: labels has shape \(12,\), expected \(13,\)"):
        fl.circle_loss(X, LABELS[:-1])
    with pytest.raises(TypeError, match="supervised_contrastive_loss: labels has dtype float64"):
        fl.supervised_contrastive_loss(X, LABELS + 0.5)
    with pytest.raises(TypeError, match="nt_xent_loss: z1 has dtype int64"):
        fl.nt_xent_loss(X.astype(int), Y)
    with pytest.raises(ValueError, match=r"temperature is 0, expected a number in \(0, inf\)"):
        fl.nt_xent_loss(X, Y, 0)
    with pytest.raises(ValueError, match="whose inverse is finite"):
        fl.nt_xent_loss(X, Y, 5e-324)
    with pytest.raises(ValueError, match="metric is 'manhattan', expected one of"):
        fl.batch_contrastive_loss(X, LABELS, metric="manhattan")
    with pytest.raises(ValueError, match="power is 3"):
        fl.batch_contrastive_loss(X, LABELS, power=3)
    with pytest.raises(ValueError, match=r"clip_loss: logit_scale has shape \(2,\)"):
        fl.clip_loss(X, Y, np.ones(2))
    with pytest.raises(ValueError, match=r"siglip_loss: logit_bias is of shape \(2,\)"):
        fl.siglip_loss(X, Y, 1.0, np.ones(2))
    with pytest.raises(ValueError, match="siglip_loss: wrt is"):
        fl.siglip_loss.grad(X, Y, wrt=("logit_bias", "logit_bias"))
    with pytest.raises(NotImplementedError, match="no gradient with respect to labels: class indices have none"):
        fl.circle_loss.grad(X, LABELS, wrt="labels")
    with pytest.raises(ValueError, match="reduction is 'batchmean'"):
        fl.circle_loss(X, LABELS, reduction="batchmean")


# Another library, where it is installed.


@pytest.mark.filterwarnings("ignore")
def test_against_pytorch_metric_learning():
    theirs = pytest.importorskip("pytorch_metric_learning.losses")
    x, y = torch.tensor(rows(40, 11, 8)), torch.tensor(rows(40, 12, 8))
    labels = torch.arange(40) // 4 % 8
    views = torch.cat([x, y]), torch.arange(40).repeat(2)
    near = {"normalize": True, "power": 1, "reduction": "mean_nonzero"}
    for ours, want in (
        (fl.nt_xent_loss(x, y, 0.07), theirs.NTXentLoss(0.07)(*views)),
        (fl.supervised_contrastive_loss(x, labels), theirs.SupConLoss()(x, labels)),
        (fl.multi_similarity_loss(x, labels), theirs.MultiSimilarityLoss()(x, labels)),
        (fl.circle_loss(x, labels), theirs.CircleLoss()(x, labels)),
        (fl.batch_contrastive_loss(x, labels, 0.3, 1.2, **near), theirs.ContrastiveLoss(0.3, 1.2)(x, labels)),
    ):
        torch.testing.assert_close(ours, want)
