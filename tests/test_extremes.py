"""Awkward numbers: zeros, denormals, huge, infinite and NaN ones, confident rows; each with an enforced error bound.

Expected numbers of finite inputs come from mpmath at 1,050 digits (``oracles.exact_*``: the textbook formulas, which
at that precision neither overflow nor cancel). Those of infinities and NaN are written down.
"""

import mpmath
import numpy as np
import oracles
import pytest
from cases import WIDE_DTYPES, assert_close

import fastloss as fl

INF, NAN = float("inf"), float("nan")


def number(value, dtype):
    """Names of numbers that depend on the dtype."""
    finfo = np.finfo(dtype)
    names = {
        "max": finfo.max,
        "-max": -finfo.max,
        "tiny": finfo.smallest_subnormal,
        "-tiny": -finfo.smallest_subnormal,
        "small": finfo.tiny / 8,
        "eps": finfo.eps,
        "1-eps": 1 - finfo.epsneg,
    }
    return np.dtype(dtype).type(names.get(value, value) if isinstance(value, str) else value)


def relative_to_itself(got, want, dtype, ulps, flushed=0):
    """Within ``ulps`` of the exact number, whatever its size: no magnitude of cancelled terms is allowed for."""
    assert_close(got, want, ulps=ulps, dtype=dtype, flushed=flushed)


def longdouble(values):
    """mpmath numbers as long doubles, with all their bits; below 1e-400 is 0 for every type here."""
    return np.array([oracles.WIDE(mpmath.nstr(v, 25) if abs(v) > mpmath.mpf("1e-400") else 0) for v in values])


# Cross-entropy.

ROWS = {
    "zeros": ([0.0, -0.0, 0.0], 1),
    "denormals": (["tiny", "-tiny", "small"], 0),
    "one class": ([3.0], 0),
    "one huge class": (["max"], 0),
    "30 right": ([30.0, -30.0, 0.0], 0),
    "30 wrong": ([30.0, -30.0, 0.0], 1),
    "100 right": ([100.0, -100.0, 0.0], 0),
    "100 wrong": ([100.0, -100.0, 0.0], 1),
    "1e4 right": ([1e4, -1e4, 0.0], 0),
    "1e4 wrong": ([1e4, -1e4, 0.0], 2),
    "largest right": (["max", "-max", 0.0], 0),
    "largest, middle": (["max", "-max", 0.0], 2),
    "largest wrong": (["max", "-max", 0.0], 1),
    "all largest": (["max", "max", "max"], 2),
    "all smallest": (["-max", "-max"], 0),
    "two maxima": ([7.0, 7.0, -3.0, -40.0], 1),
    "two maxima, label small": ([7.0, 7.0, -3.0, -40.0], 3),
    "offset": ([1e4, 1e4 - 1, 1e4 - 20], 0),
    "masked": ([1.0, -INF, 2.0, -INF], 0),
    "masked, certain": ([-INF, 5.0, -INF], 1),
    **{f"gap {gap}": ([float(gap), 0.0, 0.0, -1.0, 0.5], 0) for gap in (1, 5, 10, 15, 16, 17, 20, 23, 37, 50, 80, 95)},
    **{f"gap {gap} of two": ([0.0, float(gap)], 1) for gap in (10, 20, 40, 60, 85)},
}
#: What surrounds the classes of a row: nothing, or enough classes of no weight to go from lanes to the kernel of rows.
FILLS = {"lanes": 0, "rows": 130, "long": 5000}
# exp and log1p are wrong by 1.1 ulp each, the sum, its quotient and the scaling by half an ulp each; differences of
# the logits above are exact or of no consequence, save where the bound says so.
SOFTMAX_ULPS = 6


def padded(row, fill, dtype):
    row = [number(v, dtype) for v in row]
    return np.array([row + [-INF] * fill], dtype)


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize("name", ROWS)
def test_cross_entropy_row(name, dtype, fill):
    row, label = ROWS[name]
    x = padded(row, FILLS[fill], dtype)
    value, grad = fl.cross_entropy.value_and_grad(x, np.array([label]), reduction="none")
    want, want_grad = oracles.exact_cross_entropy(x[0, : len(row)], label)
    relative_to_itself(value, longdouble([want]), dtype, SOFTMAX_ULPS, flushed=len(row))
    relative_to_itself(grad[0, : len(row)], longdouble(want_grad), dtype, SOFTMAX_ULPS, flushed=len(row))
    assert not grad[0, len(row) :].any()


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize("gap", (1.0, 10.0, 20.0, 40.0, 80.0))
def test_a_confident_row_with_weights_and_soft_targets(gap, dtype, fill):
    """The other kernels: with class weights, and with probabilities; value and gradient by the target."""
    x = padded([gap, 0.0, -1.0], FILLS[fill], dtype)
    exact_loss, exact_grad = oracles.exact_cross_entropy(x[0, :3], 0)
    weight = np.full(x.shape[1], 0.5, dtype)
    value, grad = fl.cross_entropy.value_and_grad(x, np.array([0]), weight, reduction="none")
    relative_to_itself(value, longdouble([exact_loss / 2]), dtype, SOFTMAX_ULPS)
    relative_to_itself(grad[0, :3], longdouble([g / 2 for g in exact_grad]), dtype, SOFTMAX_ULPS + 1)
    one_hot = np.zeros_like(x)
    one_hot[0, 0] = 1
    value, grads = fl.cross_entropy.value_and_grad(x, one_hot, reduction="none", wrt=("input", "target"))
    relative_to_itself(value, longdouble([exact_loss]), dtype, SOFTMAX_ULPS)
    # p - 1 is a difference here: accurate to the probabilities, not to itself.
    assert_close(grads[0][0, :3], longdouble(exact_grad), ulps=SOFTMAX_ULPS, dtype=dtype, magnitude=np.ones(3))
    by_class = [oracles.exact_cross_entropy(x[0, :3], c)[0] for c in range(3)]
    relative_to_itself(grads[1][0, :3], longdouble(by_class), dtype, SOFTMAX_ULPS)


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize("gap", (1.0, 10.0, 20.0, 40.0))
def test_a_confident_capped_row(gap, dtype, fill):
    """cap tanh(x / cap) is wrong by 2 ulp of the cap, which exp turns into a relative error of 2 cap ulps."""
    cap = 64.0
    x = np.array([[gap, 0.0, -1.0] + [-gap] * FILLS[fill]], dtype)
    with mpmath.workdps(60):
        capped = [cap * mpmath.tanh(oracles.exact(z) / cap) for z in x[0]]
        total = mpmath.fsum(mpmath.exp(z) for z in capped)
        others = mpmath.fsum(mpmath.exp(z) for z in capped[1:])
        want = longdouble([mpmath.log1p(others / mpmath.exp(capped[0]))])
        want_grad = longdouble([-others / total / mpmath.cosh(oracles.exact(gap) / cap) ** 2])
    value, grad = fl.cross_entropy.value_and_grad(x, np.array([0]), reduction="none", softcap=cap)
    relative_to_itself(value, want, dtype, 4 * cap)
    relative_to_itself(grad[0, :1], want_grad, dtype, 4 * cap)


SPECIAL_ROWS = {
    # row, label: loss, gradient
    "label masked": ([1.0, 1.0, -INF], 2, INF, [0.5, 0.5, -1.0]),
    "+inf": ([1.0, INF, 0.0], 0, NAN, [NAN, NAN, NAN]),
    "+inf at the label": ([1.0, INF, 0.0], 1, NAN, [NAN, NAN, NAN]),
    "all -inf": ([-INF, -INF], 0, NAN, [NAN, NAN]),
    "nan": ([1.0, NAN, 0.0], 0, NAN, [NAN, NAN, NAN]),
    "nan at the label": ([NAN, 1.0, 0.0], 0, NAN, [NAN, NAN, NAN]),
    "nan at the end": ([0.0, 1.0, NAN], 0, NAN, [NAN, NAN, NAN]),
    "only nan": ([NAN, NAN, NAN], 0, NAN, [NAN, NAN, NAN]),
    "nan and inf": ([NAN, INF, -INF], 0, NAN, [NAN, NAN, NAN]),
}


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize("name", SPECIAL_ROWS)
def test_cross_entropy_special_row(name, dtype, fill):
    row, label, want, want_grad = SPECIAL_ROWS[name]
    x = padded(row, FILLS[fill], dtype)
    value, grad = fl.cross_entropy.value_and_grad(x, np.array([label]), reduction="none")
    assert_close(value, [want], ulps=1, dtype=dtype)
    assert_close(grad[0, : len(row)], want_grad, ulps=2, dtype=dtype)


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("dtype", WIDE_DTYPES)
def test_a_masked_class_without_target_mass_costs_nothing(dtype, fill):
    """0 * inf is 0: with probabilities (PyTorch: NaN), with a class weight of 0, with smoothing over live classes."""
    x = padded([0.0, 0.0, -INF], FILLS[fill], dtype)
    t = np.zeros_like(x)
    t[0, :2] = 0.5
    value, grad = fl.cross_entropy.value_and_grad(x, t, reduction="none")
    relative_to_itself(value, [np.log(oracles.WIDE(2))], dtype, 3)
    assert_close(grad, np.zeros(x.shape), ulps=1, dtype=dtype, magnitude=np.ones(x.shape))
    weight = np.zeros(x.shape[1], dtype)
    weight[:2] = 1
    t[0, 2] = 0.25
    value, grad = fl.cross_entropy.value_and_grad(x, t, weight, reduction="none", label_smoothing=0.5)
    assert np.isfinite(value).all()
    assert np.isfinite(grad).all()
    value, grad = fl.cross_entropy.value_and_grad(x, np.array([2]), weight, reduction="none")
    assert_close(value, [0.0], ulps=0, dtype=dtype)
    assert not grad.any()


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
def test_nll_of_an_impossible_class_of_no_weight_costs_nothing(dtype):
    x = np.array([[-INF, 0.0]], dtype)
    value, grad = fl.nll_loss.value_and_grad(x, np.array([0]), np.array([0, 1], dtype), reduction="none")
    assert_close(value, [0.0], ulps=0, dtype=dtype)
    assert not grad.any()
    assert_close(fl.nll_loss(x, np.array([0]), reduction="none"), [INF], ulps=0, dtype=dtype)


@pytest.mark.parametrize("poison", (NAN, INF, -INF), ids=str)
@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize("classes", (5, 130, 5000))
@pytest.mark.parametrize("options", ({}, {"label_smoothing": 0.1, "z_loss": 0.1}, {"softcap": 3.0}), ids=str)
def test_an_ignored_row_contributes_nothing_whatever_it_holds(options, classes, dtype, poison):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, classes)).astype(dtype)
    y = np.array([1, -100, 2, -100])
    kept = x[[0, 2]].copy()
    x[1] = poison
    x[3, ::2] = poison
    for reduction in ("mean", "sum"):
        value, grad = fl.cross_entropy.value_and_grad(x, y, reduction=reduction, **options)
        want, want_grad = fl.cross_entropy.value_and_grad(kept, y[[0, 2]], reduction=reduction, **options)
        relative_to_itself(value, oracles.wide(want), dtype, 2)
        assert_close(grad[[0, 2]], want_grad, ulps=2, dtype=dtype, magnitude=np.ones(kept.shape))
        assert not grad[[1, 3]].any()
    losses, grad = fl.cross_entropy.value_and_grad(x, y, reduction="none", **options)
    assert losses[1] == losses[3] == 0
    assert not grad[[1, 3]].any()
    upstream = np.array([1, NAN, 1, 1], dtype)
    grad = fl.cross_entropy.grad(x, y, reduction="none", grad_output=upstream, **options)
    assert not grad[[1, 3]].any()


@pytest.mark.parametrize("poison", (NAN, INF), ids=str)
@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize("name", ("nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"))
def test_an_ignored_element_contributes_nothing_whatever_it_holds(name, dtype, poison):
    loss = getattr(fl, name)
    if name == "nll_loss":
        x = np.array([[poison, poison], [-0.5, -1.0]], dtype)
        t, keep, ignored = np.array([7, 1]), slice(1, 2), 7
    else:
        x = np.array([poison, 0.25], dtype)
        t, keep, ignored = np.array([-1, 1], dtype), slice(1, 2), -1
    for reduction in ("mean", "sum", "none"):
        value, grad = loss.value_and_grad(x, t, reduction=reduction, ignore_index=ignored)
        want, want_grad = loss.value_and_grad(x[keep], t[keep], reduction=reduction)
        if reduction == "none":
            assert value[0] == 0
            value = value[keep]
        np.testing.assert_array_equal(value, want)
        np.testing.assert_array_equal(grad[keep], want_grad)
        assert not grad[0].any()


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize("name", ("cross_entropy", "nll_loss"))
def test_the_mean_over_nothing(name, dtype):
    loss = getattr(fl, name)
    x = np.zeros((3, 4), dtype)
    for y, rows in ((np.full(3, -100), x), (np.zeros(0, int), x[:0])):
        value, grad = loss.value_and_grad(rows, y)
        assert np.isnan(value)
        assert not grad.any()
        value, grad = loss.value_and_grad(rows, y, empty="zero")
        assert value == 0
        assert not grad.any()
        assert loss(rows, y, reduction="sum") == 0
        assert loss(rows, y, reduction="none").shape == y.shape


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize("name", ("binary_cross_entropy", "binary_cross_entropy_with_logits", "mse_loss"))
def test_the_mean_over_no_elements(name, dtype):
    loss = getattr(fl, name)
    x = np.zeros((0, 4), dtype)
    value, grad = loss.value_and_grad(x, x)
    assert np.isnan(value)
    assert grad.shape == (0, 4)
    assert loss(x, x, empty="zero") == 0
    assert loss(x, x, reduction="sum") == 0
    assert loss(x, x, reduction="none").shape == (0, 4)
    if name != "mse_loss":
        x = np.full(3, 0.5, dtype)
        value, grad = loss.value_and_grad(x, np.full(3, -1, dtype), ignore_index=-1)
        assert np.isnan(value)
        assert not grad.any()
        assert loss(x, np.full(3, -1, dtype), ignore_index=-1, empty="zero") == 0


# Binary cross-entropy with logits.

LOGITS = (0.0, -0.0, "tiny", "-tiny", "small", 1e-9, -1e-4, 0.5, -1.0, 5.0, -5.0, 17.0, -17.0, 30.0, -30.0, 88.0, -88.0)
LOGITS += (100.0, -100.0, 103.0, -103.0, 700.0, -700.0, 1e4, -1e4, "max", "-max")
LOGIT_ULPS = 5  # log1p, exp and sigmoid's quotient: 1, 1.1, 1.5, and the sums


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize("logit", LOGITS, ids=str)
@pytest.mark.parametrize("target", (0.0, 1.0, 0.25, 0.5))
def test_bce_with_logits_point(target, logit, dtype):
    """Relative to itself at the ends of the target's range; between them the gradient may vanish by cancellation."""
    x = np.full(17, number(logit, dtype), dtype)  # one vector, and a remainder
    t = np.full(17, target, dtype)
    value, (dx, dt) = fl.binary_cross_entropy_with_logits.value_and_grad(
        x, t, reduction="none", wrt=("input", "target")
    )
    want = [longdouble([v] * 17) for v in oracles.exact_bce_with_logits(x[0], target)]
    relative_to_itself(value, want[0], dtype, LOGIT_ULPS)
    assert_close(dx, want[1], ulps=LOGIT_ULPS, dtype=dtype, magnitude=None if target in (0.0, 1.0) else np.ones(17))
    # softplus(-x) - softplus(x) = -x: a difference of two numbers of up to |x| + log 2
    assert_close(dt, want[2], ulps=LOGIT_ULPS, dtype=dtype, magnitude=np.abs(oracles.wide(x)) + 1)


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize(
    ("logit", "target", "loss", "slope"),
    (
        (INF, 1.0, 0.0, 0.0),
        (INF, 0.0, INF, 1.0),
        (INF, 0.5, INF, 0.5),
        (-INF, 0.0, 0.0, 0.0),
        (-INF, 1.0, INF, -1.0),
        (-INF, 0.5, INF, -0.5),
        (NAN, 0.0, NAN, NAN),
        (NAN, 1.0, NAN, NAN),
        (0.0, NAN, NAN, NAN),
    ),
)
def test_bce_with_logits_special_point(logit, target, loss, slope, dtype):
    x, t = np.full(17, logit, dtype), np.full(17, target, dtype)
    value, grad = fl.binary_cross_entropy_with_logits.value_and_grad(x, t, reduction="none")
    assert_close(value, np.full(17, loss), ulps=0, dtype=dtype)
    assert_close(grad, np.full(17, slope), ulps=0, dtype=dtype)


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
def test_a_pos_weight_of_zero_silences_the_positive_side(dtype):
    x, t, p = (np.array([v], dtype) for v in (-INF, 1.0, 0.0))
    value, grad = fl.binary_cross_entropy_with_logits.value_and_grad(x, t, pos_weight=p, reduction="none")
    assert value == 0
    assert grad == 0


# Binary cross-entropy of probabilities.

PROBABILITIES = (0.0, -0.0, "tiny", "small", 1e-30, 1e-13, 1e-6, "eps", 0.25, 0.5, 0.75, "1-eps", 1.0)


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize("probability", PROBABILITIES, ids=str)
@pytest.mark.parametrize("target", (0.0, 1.0, 0.25))
def test_bce_point(target, probability, dtype):
    x, t = np.full(17, number(probability, dtype)), np.full(17, target, dtype)
    value, grads = fl.binary_cross_entropy.value_and_grad(x, t, reduction="none", wrt=("input", "target"))
    p, y = oracles.exact(x[0]), oracles.exact(target)
    with mpmath.workdps(60):
        log_x = mpmath.mpf(-100) if p == 0 else max(mpmath.log(p), mpmath.mpf(-100))
        log_y = mpmath.mpf(-100) if p == 1 else max(mpmath.log1p(-p), mpmath.mpf(-100))
        want = -(y * log_x + (1 - y) * log_y)
        dx = (p - y) / max(p * (1 - p), mpmath.mpf("1e-12"))
        dt = log_y - log_x
    relative_to_itself(value, longdouble([want] * 17), dtype, 4)
    relative_to_itself(grads[0], longdouble([dx] * 17), dtype, 4)
    assert_close(grads[1], longdouble([dt] * 17), ulps=4, dtype=dtype, magnitude=np.full(17, float(abs(log_x))))


# Squared error.


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize(
    ("x", "t"),
    (
        (0.0, -0.0),
        ("tiny", "-tiny"),
        ("small", 0.0),
        (1e10, 1.0),
        (-1e4, 1e4),
        ("eps", 1.0),
        (1e-15, 0.0),
        ("max", "max"),
    ),
)
def test_mse_point(x, t, dtype):
    x, t = np.full(17, number(x, dtype)), np.full(17, number(t, dtype))
    value, grads = fl.mse_loss.value_and_grad(x, t, reduction="none", wrt=("input", "target"))
    d = oracles.wide(x) - oracles.wide(t)
    relative_to_itself(value, d * d, dtype, 2)  # the difference is rounded, and that doubles
    relative_to_itself(grads[0], 2 * d, dtype, 1)
    relative_to_itself(grads[1], -2 * d, dtype, 1)


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize(
    ("x", "t", "loss", "slope"),
    (
        ("max", 0.0, INF, INF),
        ("max", "-max", INF, INF),
        (INF, 0.0, INF, INF),
        (0.0, INF, INF, -INF),
        (INF, INF, NAN, NAN),
        (NAN, 0.0, NAN, NAN),
        (0.0, NAN, NAN, NAN),
    ),
)
def test_mse_special_point(x, t, loss, slope, dtype):
    x, t = np.full(17, number(x, dtype)), np.full(17, number(t, dtype))
    value, grad = fl.mse_loss.value_and_grad(x, t, reduction="none")
    assert_close(value, np.full(17, loss), ulps=0, dtype=dtype)
    assert_close(grad, np.full(17, slope), ulps=0, dtype=dtype)


@pytest.mark.parametrize("loss", ("cross_entropy", "binary_cross_entropy_with_logits", "mse_loss"))
@pytest.mark.parametrize("size", (1, 16, 33, 5000))
def test_one_nan_is_never_lost(loss, size):
    """At the start, in the middle and at the end of vectors and remainders; beside others that stay what they were."""
    rng = np.random.default_rng(size)
    for where in {0, size // 2, size - 1}:
        x = rng.normal(size=(size, 3)).astype(np.float32)
        t = rng.integers(0, 2, size) if loss == "cross_entropy" else rng.uniform(size=x.shape).astype(np.float32)
        clean, clean_grad = getattr(fl, loss).value_and_grad(x, t, reduction="none")
        x[where, 1] = NAN
        value, grad = getattr(fl, loss).value_and_grad(x, t, reduction="none")
        hit = np.isnan(value)
        assert hit.sum() == 1
        np.testing.assert_array_equal(value[~hit], clean[~hit])
        rows = np.arange(size) != where
        np.testing.assert_array_equal(grad[rows], clean_grad[rows])
        assert np.isnan(grad[where]).any()
        assert np.isnan(getattr(fl, loss)(x, t))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("classes", [300, 321])  # with a last group that steps back, and one element past a group
def test_the_largest_logit_at_every_place(dtype, classes):
    # It is found as an integer of the width of storage: of either sign, infinite, NaN of either sign. Beside a smaller
    # one a confident row would lose its loss. All logits are whole numbers that every dtype holds: nothing is rounded
    # but float32 arithmetic, whose sums are float32 for 16 bits.
    kind = pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype
    diagonal = np.eye(classes, dtype=bool)

    def rows(x, labels):
        return [float(fl.cross_entropy(x[i : i + 1], labels[i : i + 1], reduction="sum")) for i in range(classes)]

    labels = np.arange(classes)
    for middle in (40.0, -40.0):
        wide = middle + np.where(diagonal, 20.0, -20.0 - np.arange(classes) % 7)
        gaps = np.where(diagonal, -np.inf, wide) - np.diag(wide)[:, None]
        np.testing.assert_allclose(rows(wide.astype(kind), labels), np.log1p(np.exp(gaps).sum(1)), rtol=1e-5)
    for special, expected in ((INF, NAN), (-INF, np.log(classes - 1.0)), (NAN, NAN), (-NAN, NAN)):
        x = np.where(diagonal, special, 0.0).astype(kind)
        np.testing.assert_allclose(rows(x, np.roll(labels, -1)), np.full(classes, expected), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("classes", [2, 10, 64, 100, 300, 4200])  # in lanes and in rows; more than a chunk
@pytest.mark.parametrize("level", [0.0, 3.0, -3.0])
def test_many_largest_logits(dtype, classes, level):
    # The first of them is beside no sum, all others count 1 each: zeros of either sign alike.
    kind = pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype
    rng, tolerance = np.random.default_rng(classes), {"float16": 1e-3, "bfloat16": 8e-3}.get(dtype, 1e-5)
    for share in (1.0, 0.5, 0.0):
        largest = rng.random((40, classes)) < share
        largest[np.arange(40), rng.integers(0, classes, 40)] = True
        x = np.where(largest, level, level - 2.0 - rng.integers(0, 3, largest.shape))
        if level == 0.0:
            x = np.copysign(x, np.where(x < 0.0, -1.0, rng.choice((-1.0, 1.0), x.shape)))
        labels = largest.argmax(1)
        log_sums = np.log(np.exp(x - level).sum(1))
        value, grad = fl.cross_entropy.value_and_grad(x.astype(kind), labels, reduction="none")
        np.testing.assert_allclose(value.astype(float), log_sums, rtol=tolerance, atol=1e-7)
        slopes = np.exp(x - level - log_sums[:, None]) - np.eye(classes)[labels]
        np.testing.assert_allclose(grad.astype(float), slopes, rtol=tolerance, atol=1e-7)
