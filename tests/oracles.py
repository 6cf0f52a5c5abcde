"""The five losses in long double NumPy: written to be obviously right, never fast.

Every oracle takes the arguments of the public function and returns a ``Result``: the value, the gradients by input
and target, and for each of them a *magnitude*: the sum of the absolute values of the terms it is made of. Where terms
cancel (p - t of a softmax) no arithmetic of b bits can do better than b bits of the magnitude, so errors are measured
against it. ``denominator`` is what the mean divides by:

- cross_entropy and nll_loss with class indices: the sum of class weight times sample weight over what counts
- cross_entropy with class probabilities: the sum of sample weights, or the number of positions
- both binary losses: the sum of weight times sample weight, or without sample weights the number of elements whatever
  ``weight`` is, over what counts
- mse_loss: the sum of all weights, or the number of elements
"""

from dataclasses import dataclass

import mpmath
import numpy as np

#: 64 bits of mantissa on x86, which makes the oracle's own error invisible in float64; elsewhere it may be float64.
WIDE = np.longdouble


@dataclass
class Result:
    value: np.ndarray
    grad_input: np.ndarray
    grad_target: np.ndarray | None
    value_magnitude: np.ndarray
    grad_input_magnitude: np.ndarray
    grad_target_magnitude: np.ndarray | None
    denominator: float
    grad_third: np.ndarray | None = None
    grad_third_magnitude: np.ndarray | None = None


def wide(array):
    """Long double; by way of float64, which holds every value of the 16-bit types."""
    array = np.asarray(array)
    if array.dtype.kind not in "fiub" or array.dtype.itemsize <= 2:
        array = array.astype(np.float64)
    return array.astype(WIDE)


def times(a, b):
    """a * b, where 0 times anything is 0."""
    a, b = np.broadcast_arrays(a, b)
    safe = np.where(a == 0, WIDE(0), b)
    return a * safe


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def reduced(losses, magnitudes, counts, denominator, reduction, empty):
    """The value, its magnitude, and what each element's gradient is multiplied by."""
    if reduction == "none":
        return losses, magnitudes, WIDE(1)
    total, magnitude = losses[counts].sum(dtype=WIDE), magnitudes[counts].sum(dtype=WIDE)
    if reduction == "sum":
        return total, magnitude, WIDE(1)
    if denominator == 0:
        return (WIDE(0), WIDE(0), WIDE(0)) if empty == "zero" else (WIDE("nan"), WIDE("nan"), WIDE("nan"))
    return total / denominator, magnitude / abs(denominator), 1 / denominator


def log_softmax(z):
    """Along the last axis; exact relative to itself even where it is -1e-30."""
    top = z.max(-1, keepdims=True)
    winner = z.argmax(-1)[..., None]
    e = np.exp(z - top)
    np.put_along_axis(e, winner, WIDE(0), -1)
    log_sum = np.log1p(e.sum(-1, keepdims=True, dtype=WIDE))
    return (z - top) - log_sum, (top + log_sum)[..., 0]


def cross_entropy(
    input,
    target,
    weight=None,
    *,
    ignore_index=-100,
    reduction="mean",
    label_smoothing=0.0,
    axis=None,
    sample_weight=None,
    z_loss=0.0,
    softcap=None,
    empty="nan",
    grad_output=None,
):
    input, target = np.asarray(input), np.asarray(target)
    if axis is None:
        axis = 1 if input.ndim > 1 else 0
    x = np.moveaxis(wide(input), axis, -1)
    classes = x.shape[-1]
    positions = x.shape[:-1]
    w = np.ones(classes, WIDE) if weight is None else wide(weight)
    sw = np.ones(positions, WIDE) if sample_weight is None else np.broadcast_to(wide(sample_weight), positions)
    kept, smoothing = 1 - WIDE(label_smoothing), WIDE(label_smoothing) / classes

    indices = target.dtype.kind in "iu"
    if indices:
        counts = target != ignore_index
        label = np.where(counts, target, 0).astype(np.int64)
        t = np.zeros(x.shape, WIDE)
        np.put_along_axis(t, label[..., None], WIDE(1), -1)
        denominator = (w[label] * sw)[counts].sum(dtype=WIDE)
    else:
        counts = np.ones(positions, bool)
        t = np.moveaxis(wide(target), axis, -1)
        denominator = sw.sum(dtype=WIDE)
    x = np.where(counts[..., None], x, WIDE(0))
    mass = (kept * t + smoothing) * w

    with np.errstate(all="ignore"):
        z = x if softcap is None else softcap * np.tanh(x / WIDE(softcap))
        slope = np.ones_like(x) if softcap is None else 1 / np.cosh(x / WIDE(softcap)) ** 2
        log_p, lse = log_softmax(z)
        p = np.exp(log_p)
        terms = times(mass, -log_p)
        losses = np.where(counts, sw * (terms.sum(-1, dtype=WIDE) + WIDE(z_loss) * lse**2), WIDE(0))
        magnitudes = np.where(
            counts, np.abs(sw) * (np.abs(terms).sum(-1, dtype=WIDE) + abs(WIDE(z_loss)) * lse**2), WIDE(0)
        )
        value, value_magnitude, scale = reduced(losses, magnitudes, counts, denominator, reduction, empty)

        # d loss / d z_c = A p_c - mass_c = (A - mass_c) p_c + mass_c (p_c - 1), which keeps a small 1 - p_c.
        others = mass.sum(-1, keepdims=True, dtype=WIDE) - mass if label_smoothing or not indices else w_of(t, w) - mass
        others = others + 2 * WIDE(z_loss) * lse[..., None]
        upstream = np.ones(positions, WIDE) if grad_output is None else np.broadcast_to(wide(grad_output), positions)
        row = np.where(counts, scale * sw * upstream, WIDE(0))[..., None]
        factor = row * slope
        grad = np.where(row == 0, WIDE(0), factor * (others * p + mass * np.expm1(log_p)))
        grad_magnitude = np.abs(row) * (np.abs(others) * p + np.abs(mass) * (1 + p))
        grad_target = target_magnitude = None
        if not indices:
            grad_target = np.moveaxis(times(row * kept * w, -log_p), -1, axis)
            # lse - z cancels where z is large; test_extremes.py asks for more.
            target_magnitude = np.moveaxis(times(np.abs(row * kept * w), np.abs(lse[..., None]) + np.abs(z)), -1, axis)
    return Result(
        value,
        np.moveaxis(grad, -1, axis),
        grad_target,
        value_magnitude,
        np.moveaxis(np.where(counts[..., None], grad_magnitude, WIDE(0)), -1, axis),
        target_magnitude,
        float(denominator),
    )


def w_of(t, w):
    """The label's weight, all of a one-hot row's mass."""
    return (t * w).sum(-1, keepdims=True, dtype=WIDE)


def nll_loss(
    input,
    target,
    weight=None,
    *,
    ignore_index=-100,
    reduction="mean",
    axis=None,
    sample_weight=None,
    empty="nan",
    grad_output=None,
):
    input, target = np.asarray(input), np.asarray(target)
    if axis is None:
        axis = 1 if input.ndim > 1 else 0
    x = np.moveaxis(wide(input), axis, -1)
    w = np.ones(x.shape[-1], WIDE) if weight is None else wide(weight)
    sw = np.ones(x.shape[:-1], WIDE) if sample_weight is None else np.broadcast_to(wide(sample_weight), x.shape[:-1])
    upstream = np.ones(x.shape[:-1], WIDE) if grad_output is None else np.broadcast_to(wide(grad_output), x.shape[:-1])
    losses = np.zeros(x.shape[:-1], WIDE)
    grad = np.zeros(x.shape, WIDE)
    denominator = WIDE(0)
    for position in np.ndindex(x.shape[:-1]):
        label = int(target[position])
        if label != ignore_index:
            losses[position] = -x[position][label] * w[label] * sw[position]
            grad[position][label] = -w[label] * sw[position] * upstream[position]
            denominator += w[label] * sw[position]
    counts = target != ignore_index
    with np.errstate(all="ignore"):
        value, value_magnitude, scale = reduced(losses, np.abs(losses), counts, denominator, reduction, empty)
        grad = np.moveaxis(np.where(grad == 0, WIDE(0), grad * scale), -1, axis)
    return Result(value, grad, None, value_magnitude, np.abs(grad), None, float(denominator))


def _elementwise(input, target, formula, weight, sample_weight, ignore_index, reduction, empty, grad_output, by_weight):
    """``formula(x, t)`` gives loss, its magnitude, d/dx, its magnitude, d/dt, its magnitude."""
    input_shape, target_shape = np.shape(input), np.shape(target)
    x, t = np.broadcast_arrays(wide(input), wide(target))
    w = np.broadcast_to(WIDE(1) if weight is None else wide(weight), x.shape)
    sw = np.broadcast_to(WIDE(1) if sample_weight is None else wide(sample_weight), x.shape)
    upstream = np.broadcast_to(WIDE(1) if grad_output is None else wide(grad_output), x.shape)
    counts = np.ones(x.shape, bool) if ignore_index is None else t != WIDE(ignore_index)
    with np.errstate(all="ignore"):
        loss, loss_magnitude, dx, dx_magnitude, dt, dt_magnitude = formula(x, t)
        losses = np.where(counts, times(w * sw, loss), WIDE(0))
        magnitudes = np.where(counts, times(np.abs(w * sw), loss_magnitude), WIDE(0))
        weigh = by_weight or sample_weight is not None
        denominator = ((w * sw) if weigh else np.ones_like(x))[counts].sum(dtype=WIDE)
        value, value_magnitude, scale = reduced(losses, magnitudes, counts, denominator, reduction, empty)
        row = np.where(counts, w * sw * upstream, WIDE(0)) * scale
        row = np.where(counts, row, WIDE(0))
        grads = [times(row, dx), times(np.abs(row), dx_magnitude), times(row, dt), times(np.abs(row), dt_magnitude)]
    grads[0], grads[1] = sum_to(grads[0], input_shape), sum_to(grads[1], input_shape)
    grads[2], grads[3] = sum_to(grads[2], target_shape), sum_to(grads[3], target_shape)
    return Result(value, grads[0], grads[2], value_magnitude, grads[1], grads[3], float(denominator))


def sum_to(array, shape):
    """Add up what broadcasting repeated."""
    while array.ndim > len(shape):
        array = array.sum(0)
    for axis, length in enumerate(shape):
        if length == 1 and array.shape[axis] != 1:
            array = array.sum(axis, keepdims=True)
    return array


def mse_loss(input, target, *, reduction="mean", weight=None, sample_weight=None, empty="nan", grad_output=None):
    def formula(x, t):
        d = x - t
        return d * d, d * d, 2 * d, 2 * np.abs(d), -2 * d, 2 * np.abs(d)

    return _elementwise(input, target, formula, weight, sample_weight, None, reduction, empty, grad_output, True)


def binary_cross_entropy(
    input,
    target,
    weight=None,
    *,
    reduction="mean",
    label_smoothing=0.0,
    ignore_index=None,
    sample_weight=None,
    empty="nan",
    grad_output=None,
):
    a, b = 1 - WIDE(label_smoothing), WIDE(label_smoothing) / 2

    def formula(x, t):
        s = a * t + b
        log_x = np.maximum(np.log(x), -100)
        log_y = np.maximum(np.log1p(-x), -100)
        below = np.maximum(x * (1 - x), WIDE("1e-12"))
        return (
            -(s * log_x + (1 - s) * log_y),
            np.abs(s * log_x) + (1 + np.abs(s)) * np.abs(log_y),
            (x - s) / below,
            (np.abs(x) + np.abs(s)) / below,
            a * (log_y - log_x),
            a * (np.abs(log_y) + np.abs(log_x)),
        )

    return _elementwise(
        input, target, formula, weight, sample_weight, ignore_index, reduction, empty, grad_output, False
    )


def binary_cross_entropy_with_logits(
    input,
    target,
    weight=None,
    *,
    reduction="mean",
    pos_weight=None,
    label_smoothing=0.0,
    ignore_index=None,
    sample_weight=None,
    empty="nan",
    grad_output=None,
):
    a, b = 1 - WIDE(label_smoothing), WIDE(label_smoothing) / 2
    p = WIDE(1) if pos_weight is None else wide(pos_weight)

    def formula(x, t):
        s = a * t + b
        r = 1 - s
        positive, negative = times(p * s, softplus(-x)), times(r, softplus(x))
        up, down = r * sigmoid(x), p * s * sigmoid(-x)
        return (
            positive + negative,
            np.abs(positive) + np.abs(negative) + softplus(x) * np.abs(s) * (r != 0),  # 1 - s is rounded
            up - down,
            np.abs(up) + np.abs(down) + sigmoid(x) * np.abs(s) * (r != 0),
            a * (p * softplus(-x) - softplus(x)),
            a * (p * softplus(-x) + softplus(x)),
        )

    return _elementwise(
        input, target, formula, weight, sample_weight, ignore_index, reduction, empty, grad_output, False
    )


# The same formulas of one row or element in 50 digits, for extremes.


def exact(x):
    return mpmath.mpf(float(x))


def exact_cross_entropy(row, label):
    """The loss and the gradient of one row of finite or -inf logits."""
    with mpmath.workdps(50 + 1000):  # e^-2000 beside 1
        total = mpmath.fsum(mpmath.exp(exact(z)) for z in row)
        loss = mpmath.log(total) - exact(row[label])
        grad = [mpmath.exp(exact(z)) / total - (c == label) for c, z in enumerate(row)]
    return loss, grad


def exact_bce_with_logits(x, t):
    """The loss and its derivatives by x and t, of one finite logit."""
    with mpmath.workdps(50 + 1000):
        x, t = exact(x), exact(t)
        positive = mpmath.log1p(mpmath.exp(-x))
        negative = mpmath.log1p(mpmath.exp(x))
        return t * positive + (1 - t) * negative, 1 / (1 + mpmath.exp(-x)) - t, positive - negative
