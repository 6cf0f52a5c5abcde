"""Dice, Jaccard, Tversky and focal Tversky losses against their definitions, PyTorch and other systems."""

import itertools
import sys

import mpmath
import numpy as np
import pytest
from cases import DTYPES, assert_close, same_bits
from oracle_overlap import overlap

import fastloss as fl
from fastloss import overlap as family

torch = pytest.importorskip("torch")

NAMES = ("dice_loss", "jaccard_loss", "tversky_loss", "focal_tversky_loss")
OPTIONS = {
    "dice_loss": {},
    "jaccard_loss": {"smooth": 0.5},
    "tversky_loss": {"alpha": 0.3, "beta": 0.7},
    "focal_tversky_loss": {"alpha": 0.25, "beta": 1.5, "gamma": 1.5, "smooth": 0.125},
}
#: id: (shape, target, options, further arrays)
KINDS = {
    "binary": ((3, 5, 7), "dense", {"mode": "binary"}, ()),
    "binary-found": ((41,), "mask", {}, ("sample_weight",)),
    "indices": ((3, 4, 5, 6), "indices", {}, ()),
    "indices-all": ((3, 4, 5, 6), "indices", {"ignore_index": 2}, ("weight", "sample_weight")),
    "rows": ((131, 5), "indices", {}, ("weight",)),
    "many": ((3, 150), "indices", {}, ()),
    "last": ((2, 17, 5), "indices", {"axis": -1}, ("sample_weight",)),
    "one-hot": ((3, 4, 5, 6), "one-hot", {"mode": "multiclass"}, ("weight",)),
    "soft": ((3, 4, 35), "dense", {"mode": "multiclass", "ignore_index": 1}, ("sample_weight",)),
    "multilabel": ((3, 4, 5, 6), "dense", {"mode": "multilabel"}, ("weight", "sample_weight")),
}
#: The largest errors found over 20 seeds, in units in the last place and rounded up by half: of the value, of the
#: gradient by the input, of that by the target. A softmax rounds x - max, to which the classes add.
BOUNDS = {True: (19.0, 31.0, 9.0), False: (4.5, 9.0, 7.5)}
#: The oracle takes 1 - ratio, which leaves it 11 bits more than float64 where the loss is no smaller than this.
LEAST = 2.0**-8


def data(name, kind, dtype="float32", *, logits=True, seed=0, **changes):
    """(arrays, options) of a call."""
    shape, target, options, more = KINDS[kind]
    rng = np.random.default_rng([seed, NAMES.index(name), list(KINDS).index(kind)])
    options = {**OPTIONS[name], **options, "from_logits": logits, **changes}
    binary = options.get("mode", "binary" if len(shape) == 1 else "") == "binary"
    axis = 0 if len(shape) == 1 else options.get("axis", 1) % len(shape)
    positions = shape if binary else shape[:axis] + shape[axis + 1 :]
    x = rng.normal(0, 3, shape) if logits else rng.uniform(0, 1, shape)
    labels = rng.integers(0, shape[axis], positions)
    ignored = options.get("ignore_index", -100)
    if target == "indices":
        t = np.where(rng.uniform(size=positions) < 0.2, ignored, labels)
    elif target == "one-hot":
        t = np.moveaxis(np.eye(shape[axis])[labels], -1, axis).astype(DTYPES[dtype])
    elif target == "mask":
        t = rng.uniform(size=shape) < 0.4
    else:
        t = rng.uniform(0, 1, shape)
        t = np.where(rng.uniform(size=shape) < 0.2, ignored, t).astype(DTYPES[dtype])
    arrays = {"input": x.astype(DTYPES[dtype]), "target": t}
    if "weight" in more:
        arrays["weight"] = rng.uniform(0.25, 2, shape[axis]).astype(DTYPES[dtype])
    if "sample_weight" in more:
        w = rng.uniform(0.25, 2, positions) * (rng.uniform(size=positions) < 0.8)
        arrays["sample_weight"] = w.astype(DTYPES[dtype])
    return arrays, options


def call(name):
    return getattr(family, name)


def wrt(arrays):
    return ("input", "target") if arrays["target"].dtype.kind not in "iub" else ("input",)


def check(name, arrays, options, dtype):
    want = overlap(name, **arrays, **options)
    value, grads = call(name).value_and_grad(**arrays, **options, wrt=wrt(arrays))
    assert same_bits(value, call(name)(**arrays, **options))
    compute = "float64" if dtype == "float64" else "float32"
    softmax = options["from_logits"] and (
        arrays["target"].ndim < arrays["input"].ndim or options.get("mode") == "multiclass"
    )
    bounds = BOUNDS[softmax]
    result = dtype if options["reduction"] == "none" else compute
    least = LEAST if dtype == "float64" else 0.0
    assert_close(value, want.value, ulps=bounds[0], dtype=result, magnitude=least)
    assert_close(grads[0], want.grad_input, ulps=bounds[1], dtype=dtype, magnitude=want.grad_input_magnitude)
    if len(grads) == 2:
        assert_close(grads[1], want.grad_target, ulps=bounds[2], dtype=dtype, magnitude=want.grad_target_magnitude)


# Values and gradients.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_the_definition(name, kind):
    for dtype, logits, reduction in itertools.product(("float32", "float64"), (True, False), ("mean", "sum", "none")):
        for per_image in (False, True) if len(KINDS[kind][0]) > 2 else (False,):
            arrays, options = data(name, kind, dtype, logits=logits, reduction=reduction, per_image=per_image)
            check(name, arrays, options, dtype)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("kind", ["binary", "indices-all", "soft", "last"])
def test_16_bits(kind, dtype):
    for reduction in ("mean", "none"):
        arrays, options = data("dice_loss", kind, dtype, reduction=reduction)
        check("dice_loss", arrays, options, dtype)


@pytest.mark.parametrize("name", NAMES)
def test_larger_than_a_chunk(name):
    # Several chunks an image, several tiles a chunk, and remainders of both.
    rng = np.random.default_rng(0)
    x, t = rng.normal(0, 2, 200_003), (rng.uniform(size=200_003) < 0.3).astype(np.float64)
    check(name, {"input": x, "target": t}, {**OPTIONS[name], "from_logits": True, "reduction": "mean"}, "float64")
    x, y = rng.normal(0, 2, (2, 6, 33, 501)), rng.integers(0, 6, (2, 33, 501))
    for per_image in (False, True):
        options = {**OPTIONS[name], "from_logits": True, "reduction": "none", "per_image": per_image}
        check(name, {"input": x, "target": y}, options, "float64")


def composition(name, p, t, options):
    """The naive composition that people write, over the positions of a batch: [classes, positions] each."""
    s = options.get("smooth", 0.0)
    i, p_sum, t_sum = (p * t).sum(1), p.sum(1), t.sum(1)
    if name == "dice_loss":
        return 1 - (2 * i + s) / (p_sum + t_sum + s)
    if name == "jaccard_loss":
        return 1 - (i + s) / (p_sum + t_sum - i + s)
    a, b = options.get("alpha", 0.5), options.get("beta", 0.5)
    tversky = 1 - (i + s) / (i + a * (p_sum - i) + b * (t_sum - i) + s)
    return tversky ** options["gamma"] if "gamma" in options else tversky


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_agrees_with_autograd_of_the_composition(name, mode):
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.normal(0, 2, (3, 4, 5, 6)))
    t = torch.from_numpy(rng.uniform(0, 1, (3, 4, 5, 6)))
    weight = torch.from_numpy(rng.uniform(0.5, 2, 4))
    upstream = 0.75
    results = []
    for ours in (False, True):
        a, b = (z.clone().requires_grad_() for z in (x, t))
        own = None if mode == "binary" else weight
        if ours:
            value = call(name)(a, b, own, mode=mode, from_logits=True, **OPTIONS[name])
        else:
            p = torch.softmax(a, 1) if mode == "multiclass" else torch.sigmoid(a)
            rows = [z.reshape(1, -1) if mode == "binary" else z.movedim(1, 0).reshape(4, -1) for z in (p, b)]
            losses = composition(name, *rows, OPTIONS[name])
            value = losses.sum() if own is None else (losses * own).sum() / own.sum()
        (upstream * value).backward()
        results.append([z.detach().numpy() for z in (value, a.grad, b.grad)])
    for got, want in zip(results[1], results[0], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-15)


def test_autograd_of_one_loss_a_class():
    # reduction="none" with an upstream gradient for each class and image, large enough for the late gradient.
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 3, 200, 150)), rng.integers(0, 3, (2, 200, 150))
    upstream = rng.normal(size=(2, 3))
    options = dict(from_logits=True, per_image=True, reduction="none")
    _, want = fl_value_and_grad("dice_loss", x, y, grad_output=upstream, **options)
    a = torch.from_numpy(x).requires_grad_()
    family.dice_loss(a, torch.from_numpy(y), **options).backward(torch.from_numpy(upstream))
    assert same_bits(a.grad.numpy(), want)
    oracle = overlap("dice_loss", x, y, grad_output=upstream, **options)
    np.testing.assert_allclose(want, oracle.grad_input.astype(np.float64), rtol=1e-10, atol=1e-18)
    b = torch.from_numpy(x).requires_grad_()
    family.dice_loss(b, torch.from_numpy(y), from_logits=True).backward()
    assert same_bits(b.grad.numpy(), fl_value_and_grad("dice_loss", x, y, from_logits=True)[1])


def fl_value_and_grad(name, *arrays, **options):
    return call(name).value_and_grad(*arrays, **options)


def test_compiles_with_torch():
    rng = np.random.default_rng(3)
    x, y = (
        torch.from_numpy(rng.normal(size=(2, 3, 4, 5)).astype(np.float32)),
        torch.from_numpy(rng.integers(0, 3, (2, 4, 5))),
    )

    @torch.compile(fullgraph=True, backend="aot_eager")
    def step(a, b):
        return 2 * family.dice_loss(a * 1.5, b, from_logits=True)

    a = x.clone().requires_grad_()
    value = step(a, y)
    value.backward()
    want, grad = family.dice_loss.value_and_grad(x * 1.5, y, from_logits=True)
    assert value.item() == 2 * want.item()
    torch.testing.assert_close(a.grad, 3 * grad)


# Other systems.


def test_monai():
    losses = pytest.importorskip("monai.losses")
    rng = np.random.default_rng(4)
    x, y = torch.from_numpy(rng.normal(size=(3, 4, 6, 5))), torch.from_numpy(rng.integers(0, 4, (3, 6, 5)))
    one_hot = torch.nn.functional.one_hot(y, 4).movedim(-1, 1).double()
    for name, theirs, options in (
        ("dice_loss", losses.DiceLoss, {}),
        ("jaccard_loss", losses.DiceLoss, {"jaccard": True}),
        ("tversky_loss", losses.TverskyLoss, {"alpha": 0.3, "beta": 0.7}),
    ):
        own = {key: value for key, value in options.items() if key != "jaccard"}
        for batch, activation in itertools.product((False, True), ("softmax", "sigmoid")):
            mode = "multiclass" if activation == "softmax" else "multilabel"
            other = theirs(**{activation: True}, batch=batch, smooth_nr=0.0, smooth_dr=0.0, **options)
            a, b = (x.clone().requires_grad_() for _ in range(2))
            value, want = (
                call(name)(a, one_hot, mode=mode, from_logits=True, per_image=not batch, **own),
                other(b, one_hot),
            )
            value.backward()
            want.backward()
            torch.testing.assert_close(value, want, rtol=1e-12, atol=0)
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-10, atol=1e-16)


def test_kornia():
    losses = pytest.importorskip("kornia.losses")
    rng = np.random.default_rng(5)
    x, y = torch.from_numpy(rng.normal(size=(3, 4, 6, 5))), torch.from_numpy(rng.integers(0, 4, (3, 6, 5)))
    # Macro-averaged: over each image and class. Tversky and micro Dice: over all classes of an image.
    got = family.dice_loss(x, y, from_logits=True, per_image=True)
    torch.testing.assert_close(got, losses.dice_loss(x, y, average="macro", eps=0.0), rtol=1e-10, atol=0)


# Identities.


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("logits", [False, True])
def test_indices_and_one_hot_agree(name, logits):
    arrays, options = data(name, "indices", "float64", logits=logits)
    labels = arrays["target"]
    one_hot = np.moveaxis(np.where(labels[..., None] == -100, -100, np.eye(4)[labels % 4]), -1, 1)
    value, grad = call(name).value_and_grad(**arrays, **options)
    value2, grad2 = call(name).value_and_grad(arrays["input"], one_hot, **{**options, "mode": "multiclass"})
    np.testing.assert_allclose(value, value2, rtol=1e-14)
    np.testing.assert_allclose(grad, grad2, rtol=1e-11, atol=1e-17)


def test_dice_and_jaccard_by_each_other():
    arrays, options = data("dice_loss", "indices", "float64", reduction="none")
    dice, jaccard = (1 - call(name)(**arrays, **options) for name in ("dice_loss", "jaccard_loss"))
    np.testing.assert_allclose(dice, 2 * jaccard / (1 + jaccard), rtol=1e-14)


def test_tversky_holds_the_others():
    arrays, options = data("dice_loss", "indices-all", "float64")
    for name, smooth, same in (
        ("dice_loss", 0.5, {"alpha": 0.5, "beta": 0.5, "smooth": 0.25}),
        ("jaccard_loss", 0.5, {"alpha": 1.0, "beta": 1.0, "smooth": 0.5}),
    ):
        want, want_grad = call(name).value_and_grad(**arrays, **{**options, "smooth": smooth})
        value, grad = family.tversky_loss.value_and_grad(**arrays, **{**options, **same})
        focal, focal_grad = family.focal_tversky_loss.value_and_grad(**arrays, **{**options, **same, "gamma": 1.0})
        assert same_bits(value, want) and same_bits(focal, want)
        assert same_bits(grad, want_grad) and same_bits(focal_grad, want_grad)


def test_binary_is_one_label():
    arrays, options = data("dice_loss", "binary", "float64")
    binary = family.dice_loss(**arrays, **options)
    one = {name: array[:, None] for name, array in arrays.items()}
    assert same_bits(binary, family.dice_loss(**one, **{**options, "mode": "multilabel"}))
    assert same_bits(binary, family.dice_loss(**one, **{**options, "mode": None}))


def test_weights_choose_positions():
    arrays, options = data("jaccard_loss", "indices", "float64")
    chosen = np.random.default_rng(6).uniform(size=arrays["target"].shape) < 0.5
    ignored = {**arrays, "target": np.where(chosen, arrays["target"], -100)}
    for name in NAMES:
        own = {**options, **OPTIONS[name]}
        a, grad_a = call(name).value_and_grad(**arrays, **own, sample_weight=chosen)
        b, grad_b = call(name).value_and_grad(**ignored, **own)
        assert same_bits(a, b) and same_bits(np.abs(grad_a), np.abs(grad_b))
    plain, half = (
        family.dice_loss(**arrays, from_logits=True, sample_weight=w) for w in (np.ones(()), np.full((), 0.5))
    )
    assert plain == half


def test_images_alone():
    arrays, options = data("dice_loss", "indices", "float64", per_image=True, reduction="none")
    together = family.dice_loss(**arrays, **options)
    for n in range(3):
        one = {name: array[n : n + 1] for name, array in arrays.items()}
        np.testing.assert_allclose(together[n], family.dice_loss(**one, **{**options, "per_image": False}), rtol=1e-14)
    np.testing.assert_allclose(family.dice_loss(**arrays, **{**options, "reduction": "mean"}), together.mean())


# Edges.


@pytest.mark.parametrize("name", NAMES)
def test_both_empty_is_perfect(name):
    zeros = np.zeros((2, 3, 4))
    for reduction, per_image in itertools.product(("mean", "sum", "none"), (False, True)):
        options = dict(mode="multilabel", reduction=reduction, per_image=per_image)
        value, (by_input, by_target) = call(name).value_and_grad(zeros, zeros, **options, wrt=("input", "target"))
        assert np.all(value == 0) and not by_input.any() and not by_target.any()
    # A class that nothing speaks of counts as perfect in the mean.
    p, t = np.array([[0.5, 0.0]] * 4), np.array([[1.0, 0.0]] * 4)
    both = call(name)(p, t, mode="multilabel")
    assert both == call(name)(p[:, :1], t[:, :1]) / 2


@pytest.mark.parametrize("name", NAMES)
def test_perfect_and_hopeless(name):
    t = np.array([1.0, 1.0, 0.0, 0.0])
    value, grad = call(name).value_and_grad(t, t)
    assert value == 0 and np.isfinite(grad).all()
    assert call(name)(1 - t, t) == 1
    # gamma < 1: an infinite slope at 0, where the gradient is 0.
    value, grad = family.focal_tversky_loss.value_and_grad(t, t, gamma=0.5)
    assert value == 0 and not grad.any()


def test_nothing():
    x = np.zeros((0, 3, 4), np.float32)
    t = np.zeros((0, 4), np.int64)
    # No positions: every class is empty, which is perfect, but the mean is one over nothing.
    assert family.dice_loss(x, t, reduction="none").tolist() == [0, 0, 0]
    assert family.dice_loss(x, t, reduction="sum") == 0
    for per_image, weight in itertools.product((False, True), (None, np.ones(3, np.float32))):
        assert np.isnan(family.dice_loss(x, t, weight, per_image=per_image))
        assert family.dice_loss(x, t, weight, per_image=per_image, empty="zero") == 0
    assert family.dice_loss(x, t, per_image=True, reduction="none").shape == (0, 3)
    value, grad = family.dice_loss.value_and_grad(x, t, per_image=True, empty="zero")
    assert value == 0 and grad.shape == x.shape
    some = np.full((2, 3, 4), 0.5)
    weight = np.zeros(3)
    assert np.isnan(family.dice_loss(some, np.zeros((2, 4), int), weight))
    assert family.dice_loss(some, np.zeros((2, 4), int), weight, empty="zero") == 0
    for empty, nan in (("nan", True), ("zero", False)):
        value, grad = family.dice_loss.value_and_grad(some, np.zeros((2, 4), int), weight, empty=empty)
        assert (np.isnan(value) and np.isnan(grad).all()) if nan else (value == 0 and not grad.any())


def exact_dice(x, t, softmax):
    """Mean Dice loss and its gradient with 200 bits; ``t`` of the input's shape, classes along axis 1."""
    with mpmath.workprec(200):
        n, classes = x.shape
        e = [[mpmath.exp(mpmath.mpf(float(v))) for v in row] for row in x]
        p = [[v / (sum(row) if softmax else 1 + v) for v in row] for row in e]
        value, slope = mpmath.mpf(0), [[mpmath.mpf(0)] * classes for _ in range(n)]
        for c in range(classes):
            i = sum(p[r][c] * int(t[r, c]) for r in range(n))
            both = sum(p[r][c] + int(t[r, c]) for r in range(n))
            value += (1 - 2 * i / both) / classes
            for r in range(n):
                slope[r][c] = (2 * i / both - 2 * int(t[r, c])) / both / classes
        grad = np.zeros(x.shape)
        for r, c in itertools.product(range(n), range(classes)):
            own = p[r][c]
            mean = sum(p[r][k] * slope[r][k] for k in range(classes)) if softmax else own * slope[r][c]
            grad[r, c] = float(own * (slope[r][c] - mean))
        return float(value), grad


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_small_losses_and_slopes_keep_their_accuracy(dtype):
    # Confident rows: 1 - p is far below the last place of p, and the gradient a difference of nearly equal numbers.
    kind, tolerance = DTYPES[dtype], {"float32": 2e-6, "float64": 4e-15}[dtype]
    x = np.array([[30.0], [25.0], [-40.0], [-35.0]], kind)
    t = np.array([[1], [1], [0], [0]])
    want, want_grad = exact_dice(x, t, False)
    value, grad = family.dice_loss.value_and_grad(x, t, from_logits=True)
    assert want < 1e-10
    np.testing.assert_allclose(value, want, rtol=tolerance)
    np.testing.assert_allclose(grad, want_grad, rtol=tolerance)
    x = np.array([[40.0, 0.0, -20.0], [0.0, 35.0, 3.0], [1.0, 2.0, 50.0], [30.0, 0.0, 1.0]], kind)
    for labels in (np.array([0, 1, 2]), np.array([0, 1, 2, 1])):
        own = x[: len(labels)]
        want, want_grad = exact_dice(own, np.eye(3)[labels], True)
        value, grad = family.dice_loss.value_and_grad(own, labels, from_logits=True)
        np.testing.assert_allclose(value, want, rtol=tolerance)
        np.testing.assert_allclose(grad, want_grad, rtol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extremes(dtype):
    kind = DTYPES[dtype]
    t = np.array([1, 0, 1, 0], kind)
    for big in (1e4, np.finfo(kind).max, np.inf):
        x = np.array([big, -big, -big, big], kind)
        value, grad = family.dice_loss.value_and_grad(x, t, from_logits=True)
        assert value == 0.5 and not grad.any()
        # A softmax takes -inf, and finite numbers of any size.
        rows = np.array([[big if big < np.inf else 0.0, -big], [-big, 0.0]], kind)
        value, grad = family.dice_loss.value_and_grad(rows, np.array([0, 1]), from_logits=True)
        assert value == 0 and not grad.any()
    assert np.isnan(family.dice_loss(np.array([[np.inf, 0.0]], kind), np.array([0]), from_logits=True))
    tiny = np.full(4, np.finfo(kind).smallest_subnormal)
    value, grad = family.dice_loss.value_and_grad(tiny, np.zeros(4, kind))
    assert value == 1 and not grad.any()
    value, grad = family.dice_loss.value_and_grad(np.zeros(4, kind), tiny)
    assert value == 1 and np.isfinite(grad).all()


def test_nan_propagates_unless_ignored():
    x = np.zeros((2, 3, 4), np.float32)
    x[0, 1, 2] = np.nan
    y = np.zeros((2, 4), int)
    for logits in (False, True):
        options = dict(from_logits=logits, reduction="none")
        assert np.isnan(family.dice_loss(x, y, **options)[1])
        ignored = y.copy()
        ignored[0, 2] = -100
        x[0, :, 2] = np.nan
        for how in (dict(target=ignored), dict(target=y, sample_weight=ignored == 0)):
            value, grad = family.dice_loss.value_and_grad(x, **how, **options)
            assert np.isfinite(value).all() and np.isfinite(grad).all() and not grad[0, :, 2].any()
        dense = np.zeros((2, 3, 4), np.float32)
        dense[0, :, 2] = -100
        for mode in ("binary", "multiclass", "multilabel"):
            value, grads = family.dice_loss.value_and_grad(x, dense, mode=mode, wrt=("input", "target"), **options)
            for grad in grads:
                assert np.isfinite(value).all() and np.isfinite(grad).all() and not grad[0, :, 2].any()


# Memory.


@pytest.mark.parametrize("kind", ["indices-all", "soft", "multilabel"])
def test_layouts(kind):
    arrays, options = data("dice_loss", kind, "float32")
    want, want_grads = family.dice_loss.value_and_grad(**arrays, **options, wrt=wrt(arrays))

    def channels_last(a):
        return a if a.ndim < 3 else np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)

    def stretched(a):
        wide = np.zeros(tuple(2 * n for n in a.shape), a.dtype)[tuple(slice(None, None, 2) for _ in a.shape)]
        wide[...] = a
        return wide

    for change in (np.asfortranarray, channels_last, stretched, lambda a: a[::-1].copy()[::-1]):
        own = {name: a if a.ndim < 2 else change(a) for name, a in arrays.items()}
        value, grads = family.dice_loss.value_and_grad(**own, **options, wrt=wrt(arrays))
        np.testing.assert_allclose(value, want, rtol=1e-6)
        out = tuple(change(np.full_like(g, 7)) for g in grads)
        _, written = family.dice_loss.value_and_grad(**own, **options, wrt=wrt(arrays), out=out)
        for grad, want_grad, array, given in zip(grads, want_grads, written, out, strict=True):
            np.testing.assert_allclose(grad, want_grad, rtol=2e-5, atol=1e-9)
            assert array is given
            np.testing.assert_allclose(given, want_grad, rtol=2e-5, atol=1e-9)


def test_same_bits_for_any_number_of_threads():
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(2, 5, 130, 131)).astype(np.float32), rng.integers(0, 5, (2, 130, 131))
    flat, mask = rng.normal(size=300_001).astype(np.float32), (rng.uniform(size=300_001) < 0.5).astype(np.float32)
    calls = [
        lambda: family.dice_loss.value_and_grad(x, y, from_logits=True),
        lambda: family.dice_loss.value_and_grad(x, y, from_logits=True, per_image=True),
        lambda: family.jaccard_loss.value_and_grad(flat, mask, from_logits=True),
    ]
    before = fl.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            fl.set_num_threads(threads)
            results.append([run() for run in calls])
    finally:
        fl.set_num_threads(before)
    for (value, grad), (value2, grad2) in zip(*results, strict=True):
        assert same_bits(value, value2) and same_bits(grad, grad2)


def test_inputs_are_not_written():
    arrays, options = data("dice_loss", "soft")
    before = {name: array.tobytes() for name, array in arrays.items()}
    family.dice_loss.value_and_grad(**arrays, **options, wrt=("input", "target"))
    assert before == {name: array.tobytes() for name, array in arrays.items()}
    with pytest.raises(ValueError, match="shares memory"):
        family.dice_loss.value_and_grad(**arrays, **options, out=arrays["input"])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint16", "int64", "uint64"])
def test_labels_of_any_integer(dtype):
    arrays, options = data("dice_loss", "indices", "float32")
    labels = arrays["target"] % 4
    assert same_bits(
        family.dice_loss(arrays["input"], labels.astype(dtype), **options),
        family.dice_loss(arrays["input"], labels, **options),
    )


# Errors.


def test_errors():
    x, y = np.zeros((2, 3, 4)), np.zeros((2, 4), int)
    dense = np.zeros((2, 3, 4))
    dice = family.dice_loss
    with pytest.raises(IndexError, match=r"target\[1, 2\] is 3, expected a class in \[0, 3\)"):
        dice(x, np.array([[0, 0, 0, 0], [0, 0, 3, 0]]))
    with pytest.raises(IndexError, match=r"target\[0, 1\] is -1"):
        dice.value_and_grad(x, np.array([[0, -1, 0, 0], [0, 0, 5, 0]]))
    with pytest.raises(IndexError, match=r"target\[1, 0\] is 9"):
        dice(np.moveaxis(np.zeros((4, 2, 3)), 0, -1), np.array([[0, 0, 0, 0], [9, 0, 0, 0]]))
    for wrong, match in (
        (dict(input=x, target=dense), "mode is None"),
        (dict(input=x, target=y[:1]), "target has shape"),
        (dict(input=x, target=y, mode="binary"), "target has shape"),
        (dict(input=x, target=y, mode="multilabel"), "target has shape"),
        (dict(input=x[:, :1], target=y), "one class is no choice"),
        (dict(input=x, target=y, axis=3), "axis is 3"),
        (dict(input=x, target=dense, mode="binary", axis=1), "no class axis"),
        (dict(input=x, target=np.zeros((3, 4), int), axis=0, per_image=True), "per_image"),
        (dict(input=np.zeros((2, 0, 4)), target=y), "no classes"),
        (dict(input=x, target=y, weight=np.ones(2)), "weight has shape"),
        (dict(input=x, target=y, sample_weight=np.ones((2, 3))), "does not broadcast"),
        (dict(input=x, target=y, smooth=-1.0), "smooth"),
        (dict(input=x, target=y, smooth=np.inf), "smooth"),
        (dict(input=x, target=y, mode="multi"), "mode"),
        (dict(input=x, target=y, reduction="average"), "reduction"),
        (dict(input=x, target=y, empty="one"), "empty"),
    ):
        with pytest.raises(ValueError, match=match):
            dice(**wrong)
    for wrong, match in (
        (dict(input=x.astype(int), target=y), "dtype int64"),
        (dict(input=x, target=y.astype(float)), "class indices"),
        (dict(input=x, target=y, weight=np.ones(3, int)), "weight has dtype"),
        (dict(input=x, target=y, size_average=True), "reduction"),
    ):
        with pytest.raises(TypeError, match=match):
            dice(**wrong)
    with pytest.raises(NotImplementedError, match="class indices"):
        dice.value_and_grad(x, y, wrt="target")
    with pytest.raises(NotImplementedError, match="weight"):
        dice.value_and_grad(x, y, np.ones(3), wrt="weight")
    for wrong in (dict(alpha=-1.0), dict(beta=np.nan), dict(alpha=np.inf)):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            family.tversky_loss(x, y, **wrong)
    with pytest.raises(ValueError, match="gamma"):
        family.focal_tversky_loss(x, y, gamma=0.0)


def test_documentation():
    import doctest

    for name in NAMES:
        examples = doctest.DocTestFinder(recurse=False).find(call(name), name, globs={})
        for example in examples:
            for e in example.examples:
                e.source = e.source.replace("fastloss as fl", "fastloss.overlap as fl")
            assert doctest.DocTestRunner(verbose=False).run(example, out=sys.stderr.write).failed == 0
            assert example.examples
