"""Losses of boxes against torchvision's formulas, autograd, torchvision itself, and mpmath."""

import itertools
import math
import sys

import mpmath
import numpy as np
import pytest
from cases import DTYPES, same_bits

import fastloss as fl
from fastloss import boxes as family

torch = pytest.importorskip("torch")

NAMES = {
    "iou": "box_iou_loss",
    "generalized": "generalized_box_iou_loss",
    "distance": "distance_box_iou_loss",
    "complete": "complete_box_iou_loss",
}
#: The largest errors found over 20 seeds, relative to 1 + |number|, in units of the dtype's rounding, up by half.
#: Of float32 boxes only the last rounding is left. In float64 the gradients of equal boxes cancel, and the complete
#: loss is the square of a difference of two angles.
BOUNDS = {"float32": 0.4, "float64": 21.0, "float64 complete": 57.0}
# Where we differ from torchvision on purpose:
# - complete_box_iou_loss of boxes without height or width: NaN there, for 0/0, and for its gradient;
# - complete_box_iou_loss with eps: its distance term keeps 1e-7 there whatever it is given;
# - a term whose denominator is 0: NaN or infinity there, without eps or for areas of -eps;
# - float32 arithmetic: each step is rounded there, which loses small losses and overflows past 1e19.


def call(kind):
    return getattr(family, NAMES[kind])


def pairs(n=400, dtype="float64", seed=0):
    """Boxes that overlap, touch, contain each other, lie apart or are the same, on a grid where many corners agree."""
    rng = np.random.default_rng(seed)
    low, size = rng.integers(0, 6, (2, n, 2)), rng.integers(1, 5, (2, n, 2))
    one, two = (np.concatenate([low[i], low[i] + size[i]], 1).astype(np.float64) for i in range(2))
    two[::3] += rng.normal(0, 0.3, two[::3].shape)
    one[::4] *= rng.uniform(0.5, 20)
    one[:20] = two[:20]
    return one.astype(DTYPES[dtype]), two.astype(DTYPES[dtype])


def composition(kind, one, two, eps=1e-7):
    """torchvision's formulas, written again."""
    x1, y1, x2, y2 = one.unbind(-1)
    u1, v1, u2, v2 = two.unbind(-1)
    wide, high = torch.min(x2, u2) - torch.max(x1, u1), torch.min(y2, v2) - torch.max(y1, v1)
    inter = torch.where((wide > 0) & (high > 0), wide * high, torch.zeros_like(wide))
    union = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - inter
    iou = inter / (union + eps)
    loss = 1 - iou
    wide, high = torch.max(x2, u2) - torch.min(x1, u1), torch.max(y2, v2) - torch.min(y1, v1)
    if kind == "generalized":
        loss = loss + (wide * high - union) / (wide * high + eps)
    elif kind != "iou":
        far = ((x1 + x2) / 2 - (u1 + u2) / 2) ** 2 + ((y1 + y2) / 2 - (v1 + v2) / 2) ** 2
        loss = loss + far / (wide**2 + high**2 + eps)
    if kind == "complete":
        turn = torch.atan((u2 - u1) / (v2 - v1)) - torch.atan((x2 - x1) / (y2 - y1))
        aspect = 4 / math.pi**2 * turn**2
        with torch.no_grad():
            alpha = aspect / (1 - iou + aspect + eps)
        loss = loss + alpha * aspect
    return loss


def reference(kind, one, two, upstream=None, **options):
    """(losses, gradients) of the composition in float64."""
    a, b = (torch.from_numpy(np.asarray(z, np.float64).copy()).requires_grad_() for z in (one, two))
    losses = composition(kind, a, b, **options)
    losses.backward(torch.ones_like(losses) if upstream is None else torch.from_numpy(upstream))
    return losses.detach().numpy(), (a.grad.numpy(), b.grad.numpy())


def close(got, want, dtype, kind):
    assert np.asarray(got).dtype == DTYPES[dtype]
    tolerance = BOUNDS.get(f"{dtype} {kind}", BOUNDS[dtype]) * np.finfo(DTYPES[dtype]).eps
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", NAMES)
def test_agrees_with_autograd_of_the_composition(kind, dtype):
    one, two = pairs(dtype=dtype)
    upstream = np.random.default_rng(1).normal(size=len(one)).astype(DTYPES[dtype])
    losses, grads = reference(kind, one, two, upstream.astype(np.float64))
    value, own = call(kind).value_and_grad(one, two, wrt=("boxes1", "boxes2"), grad_output=upstream)
    close(value, losses, dtype, kind)
    close(own[0], grads[0], dtype, kind)
    close(own[1], grads[1], dtype, kind)
    assert same_bits(value, call(kind)(one, two))
    # The sum, and the mean, with weights.
    weight = np.random.default_rng(2).uniform(0, 2, len(one)).astype(DTYPES[dtype]) * (upstream > -1)
    for reduction, total in (("sum", 1.0), ("mean", weight.astype(np.float64).sum())):
        value, grad = call(kind).value_and_grad(one, two, reduction, sample_weight=weight, wrt="boxes2")
        _, (_, want) = reference(kind, one, two, weight.astype(np.float64) / total)
        close(grad, want, dtype, kind)
        np.testing.assert_allclose(value, (losses * weight).sum() / total, rtol=4 * np.finfo(DTYPES[dtype]).eps)
    np.testing.assert_allclose(call(kind)(one, two, "mean"), losses.mean(), rtol=4 * np.finfo(DTYPES[dtype]).eps)


def torchvision():
    """torchvision's ops; where its binary part does not fit this torch, they are of no use."""
    try:
        import torchvision.ops as ops
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision: {error}")
    return ops


@pytest.mark.parametrize("kind", ["generalized", "distance", "complete"])
def test_torchvision(kind):
    theirs = getattr(torchvision(), NAMES[kind])
    for dtype, reduction in itertools.product(("float64", "float32", "float16"), ("none", "mean", "sum")):
        one, two = (torch.from_numpy(z).to(getattr(torch, dtype)) for z in pairs(dtype="float32"))
        results = []
        for function in (call(kind), theirs):
            a, b = (z.clone().requires_grad_() for z in (one, two))
            value = function(a, b, reduction)
            value.sum().backward()
            results.append((value.detach(), a.grad, b.grad))
        for got, want in zip(*results, strict=True):
            assert got.dtype == want.dtype
            wide = got.dtype is torch.float64
            torch.testing.assert_close(got, want, rtol=1e-10 if wide else 2e-3, atol=1e-13 if wide else 2e-4)
    empty = torch.zeros(0, 4)
    for reduction in ("none", "mean", "sum"):
        torch.testing.assert_close(call(kind)(empty, empty, reduction), theirs(empty, empty, reduction))


def test_reads_what_torchvision_reads():
    one, two = pairs(12)
    for kind in NAMES:
        function = call(kind)
        rows = function(one, two)
        assert rows.shape == (12,)
        assert function(one[3], two[3]).shape == ()
        assert function(one[3], two[3]) == rows[3]
        assert same_bits(function(one.reshape(3, 4, 4), two.reshape(3, 4, 4)), rows.reshape(3, 4))
        whole = np.round(one).astype(np.int64)
        assert same_bits(function(whole, two), function(whole.astype(np.float64), two))
        assert function(whole, whole).dtype == np.float32
        half = function(one.astype(np.float16), two.astype(np.float16))
        assert same_bits(half, function(*(z.astype(np.float16).astype(np.float32) for z in (one, two))))
        # One box against many: the gradient is a sum.
        value, grads = function.value_and_grad(one[0], two, wrt=("boxes1", "boxes2"))
        many, many_grads = function.value_and_grad(np.repeat(one[:1], 12, 0), two, wrt=("boxes1", "boxes2"))
        assert same_bits(value, many) and same_bits(grads[1], many_grads[1])
        np.testing.assert_allclose(grads[0], many_grads[0].sum(0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", NAMES)
def test_same_box_and_distant_boxes(kind):
    one, _ = pairs(50)
    value = call(kind)(one, one, eps=0.0)
    assert not value.any()
    far = one + np.array([1000.0, 0, 1000, 0])
    value, grad = call(kind).value_and_grad(one, far)
    assert (value >= 1).all()
    assert grad.any() == (kind != "iou")  # the plain loss knows no way


@pytest.mark.parametrize("kind", NAMES)
def test_degenerate_boxes(kind):
    # Points, lines and boxes turned inside out, alone and against proper boxes: numbers, with and without eps.
    boxes = np.array([[1, 1, 1, 1], [0, 0, 0, 3], [0, 0, 3, 0], [2, 2, 1, 1], [0, 0, 2, 2], [3, 0, 1, 2], [0, 0, 0, 0]])
    one, two = (z.reshape(-1, 4).astype(np.float64) for z in np.broadcast_arrays(boxes[:, None], boxes[None]))
    for eps, dtype in itertools.product((1e-7, 0.0), ("float32", "float64")):
        a, b = one.astype(DTYPES[dtype]), two.astype(DTYPES[dtype])
        value, grads = call(kind).value_and_grad(a, b, eps=eps, wrt=("boxes1", "boxes2"))
        assert np.isfinite(value).all() and all(np.isfinite(g).all() for g in grads)
        losses, _ = reference(kind, a, b, eps=eps)
        known = np.isfinite(losses)
        np.testing.assert_allclose(value[known], losses[known], rtol=1e-6, atol=1e-6)
    if kind == "iou":
        assert (value[: len(boxes)] == 1).all()


def test_aspect_is_exact():
    # The arctangent against mpmath, over all ratios: of a box that contains the other about the same centre.
    rng = np.random.default_rng(3)
    h = np.exp(rng.uniform(-30, 30, 2000))
    one = np.stack([-np.ones_like(h), -h, np.ones_like(h), h], 1)
    two = np.repeat([[-1.0, -1.0, 1.0, 1.0]], len(h), 0)
    got = family.complete_box_iou_loss(one, two, eps=0.0)
    for i in range(0, len(h), 20):
        with mpmath.workprec(150):
            height = mpmath.mpf(float(h[i]))
            inter = 4 * min(1, height)
            iou = inter / (4 + 4 * height - inter)
            v = 4 / mpmath.pi**2 * (mpmath.pi / 4 - mpmath.atan(1 / height)) ** 2
            want = 1 - iou + v * v / (1 - iou + v)
        assert abs(got[i] - float(want)) <= 4e-16


def test_extremes():
    # Areas and their squares beyond float32.
    for big in (1e15, 1e30):
        one = np.array([[0, 0, big, big]], np.float32)
        two = np.array([[big / 2, 0, 3 * big / 2, big]], np.float32)
        for kind in NAMES:
            value, grad = call(kind).value_and_grad(one, two)
            want = call(kind)(one / np.float32(big), two / np.float32(big), eps=0.0)
            np.testing.assert_allclose(value, want, rtol=2e-7)
            assert np.isfinite(grad).all() and grad.any()
    nan = np.array([[0.0, 0, np.nan, 1], [0, 0, 1, 1]])
    for kind in NAMES:
        value, grad = call(kind).value_and_grad(nan, nan[::-1].copy())
        assert np.isnan(value).all() and np.isnan(grad).any(1).all()
        assert call(kind)(nan, nan, "sum", sample_weight=np.array([0.0, 1.0])) < 1e-6


@pytest.mark.parametrize("kind", NAMES)
def test_layouts_and_outputs(kind):
    one, two = pairs(600)
    want, want_grads = call(kind).value_and_grad(one, two, wrt=("boxes1", "boxes2"))
    wide = np.zeros((1200, 8))

    def stretched(z):
        view = wide.copy()[::2, ::2]
        view[...] = z
        return view

    for change in (np.asfortranarray, stretched, lambda z: z[::-1].copy()[::-1], lambda z: z[:, ::-1].copy()[:, ::-1]):
        outs = tuple(change(np.full((600, 4), 7.0)) for _ in range(2))
        value, grads = call(kind).value_and_grad(change(one), change(two), wrt=("boxes1", "boxes2"), out=outs)
        assert same_bits(value, want)
        for grad, given, want_grad in zip(grads, outs, want_grads, strict=True):
            assert grad is given
            np.testing.assert_array_equal(given, want_grad)
    cube = one.reshape(10, 12, 5, 4).transpose(2, 0, 1, 3), two.reshape(10, 12, 5, 4).transpose(2, 0, 1, 3)
    assert same_bits(call(kind)(*cube), np.ascontiguousarray(want.reshape(10, 12, 5).transpose(2, 0, 1)))
    with pytest.raises(ValueError, match="shares memory"):
        call(kind).value_and_grad(one, two, out=one)


def test_same_bits_for_any_number_of_threads():
    one, two = pairs(50_001, "float32")
    before = fl.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            fl.set_num_threads(threads)
            results.append(family.complete_box_iou_loss.value_and_grad(one, two, "mean"))
    finally:
        fl.set_num_threads(before)
    assert same_bits(results[0][0], results[1][0]) and same_bits(results[0][1], results[1][1])


def test_torch():
    one, two = (torch.from_numpy(z.astype(np.float32)) for z in pairs(300))
    upstream = torch.linspace(-1, 1, 300)
    for kind in NAMES:
        a, b = one.clone().requires_grad_(), two.clone().requires_grad_()
        call(kind)(a, b).backward(upstream)
        _, grads = reference(kind, one.numpy(), two.numpy(), upstream.double().numpy())
        close(a.grad.numpy(), grads[0], "float32", kind)
        close(b.grad.numpy(), grads[1], "float32", kind)
        a.grad = None
        (3 * call(kind)(a, b, "mean")).backward()
        _, (want, _) = reference(kind, one.numpy(), two.numpy(), np.full(300, 0.01))
        close(a.grad.numpy(), want, "float32", kind)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_compiles_with_torch(dtype):
    one, two = (torch.from_numpy(z).to(getattr(torch, dtype)) for z in pairs(30))

    @torch.compile(fullgraph=True, backend="aot_eager")
    def step(a, b):
        return 2 * family.generalized_box_iou_loss(a * 2, b, "mean")

    a = one.clone().requires_grad_()
    value = step(a, two)
    value.backward()
    want, grad = family.generalized_box_iou_loss.value_and_grad(one * 2, two, "mean")
    assert value.dtype is torch.float32 and a.grad.dtype is one.dtype
    torch.testing.assert_close(value, 2 * want)
    torch.testing.assert_close(a.grad, 4 * grad)


def test_nothing():
    none = np.zeros((0, 4), np.float32)
    assert family.box_iou_loss(none, none).shape == (0,)
    assert family.box_iou_loss(none, none, "mean") == 0
    assert np.isnan(family.box_iou_loss(none, none, "mean", empty="nan"))
    assert family.box_iou_loss(none, none, "sum") == 0
    value, grad = family.box_iou_loss.value_and_grad(none, none, "mean")
    assert value == 0 and grad.shape == (0, 4)


def test_errors():
    one, two = pairs(5)
    loss = family.generalized_box_iou_loss
    for wrong, match in (
        (dict(boxes1=one[:, :3], boxes2=two), "boxes1 has shape"),
        (dict(boxes1=one, boxes2=np.zeros(())), "boxes2 has shape"),
        (dict(boxes1=one, boxes2=two[:3]), "do not broadcast"),
        (dict(boxes1=one, boxes2=two, sample_weight=np.ones(4)), "does not broadcast"),
        (dict(boxes1=one, boxes2=two, eps=-1.0), "eps"),
        (dict(boxes1=one, boxes2=two, reduction="average"), "reduction"),
        (dict(boxes1=one, boxes2=two, empty="one"), "empty"),
    ):
        with pytest.raises(ValueError, match=match):
            loss(**wrong)
    with pytest.raises(TypeError, match="boxes2 has dtype complex128"):
        loss(one, two.astype(complex))
    with pytest.raises(TypeError, match="torch"):
        loss(one, torch.from_numpy(two))
    with pytest.raises(NotImplementedError, match="sample_weight"):
        loss.value_and_grad(one, two, sample_weight=np.ones(5), wrt="sample_weight")


def test_documentation():
    import doctest

    for name in NAMES.values():
        for example in doctest.DocTestFinder(recurse=False).find(getattr(family, name), name, globs={}):
            for e in example.examples:
                e.source = e.source.replace("fastloss as fl", "fastloss.boxes as fl")
            assert doctest.DocTestRunner(verbose=False).run(example, out=sys.stderr.write).failed == 0
            assert example.examples


def test_boxes_that_broadcast_along_more_axes_than_kernels_have():
    rng = np.random.default_rng(0)
    one, two = (rng.random(shape) + np.array([0, 0, 1, 1]) for shape in ((2, 1, 3, 4), (2, 5, 3, 4)))
    full = np.ascontiguousarray(np.broadcast_to(one, two.shape))
    for ours, expected in (((one, two), (full, two)), ((two, one), (two, full))):
        losses, (a, b) = fl.generalized_box_iou_loss.value_and_grad(*ours, reduction="sum", wrt=("boxes1", "boxes2"))
        known, (c, d) = fl.generalized_box_iou_loss.value_and_grad(*expected, reduction="sum", wrt=("boxes1", "boxes2"))
        np.testing.assert_allclose(losses, known)
        for found, whole in ((a, c), (b, d)):
            summed = whole if found.shape == whole.shape else whole.sum(axis=1, keepdims=True)
            np.testing.assert_allclose(found, summed, rtol=1e-12, atol=1e-15)
