"""The overlap family in long double NumPy, from its definitions: I, P and T, one class and one image at a time.

The kernels add up hits, false alarms and misses instead, so the two share neither sums nor formula.
"""

from dataclasses import dataclass

import numpy as np
import oracles

WIDE = oracles.WIDE


@dataclass
class Result:
    value: np.ndarray
    grad_input: np.ndarray
    grad_target: np.ndarray | None
    #: The sums of the absolute values of the terms that a gradient is made of.
    grad_input_magnitude: np.ndarray
    grad_target_magnitude: np.ndarray | None


def ratio(name, i, p, t, options):
    """(loss, d / dI, d / dP, d / dT) of one class."""
    s = WIDE(options.get("smooth", 0.0))
    if name == "dice_loss":
        top, bottom, d_top, d_bottom = 2 * i + s, p + t + s, 2, (0, 1, 1)
    elif name == "jaccard_loss":
        top, bottom, d_top, d_bottom = i + s, p + t - i + s, 1, (-1, 1, 1)
    else:
        focal = name == "focal_tversky_loss"
        a, b = WIDE(options.get("alpha", 0.3 if focal else 0.5)), WIDE(options.get("beta", 0.7 if focal else 0.5))
        top, bottom, d_top, d_bottom = i + s, i + a * (p - i) + b * (t - i) + s, 1, (1 - a - b, a, b)
    if bottom == 0:
        return WIDE(0), WIDE(0), WIDE(0), WIDE(0)
    loss = 1 - top / bottom
    slopes = [top / bottom / bottom * d for d in d_bottom]
    slopes[0] -= d_top / bottom
    if name == "focal_tversky_loss":
        gamma = WIDE(options.get("gamma", 0.75))
        factor = gamma * loss ** (gamma - 1) if loss > 0 else WIDE(0)
        loss, slopes = max(loss, WIDE(0)) ** gamma, [slope * factor for slope in slopes]
    return (loss, *slopes)


def overlap(name, input, target, weight=None, *, sample_weight=None, grad_output=None, **options):
    """Value and gradients; ``mode`` must be given unless the target is of indices."""
    x, target = oracles.wide(input), np.asarray(target)
    mode = options.get("mode") or ("multiclass" if target.shape != x.shape else "binary")
    ignored = options.get("ignore_index", -100)
    axis = options.get("axis")
    axis = (1 if x.ndim > 1 else 0) if axis is None else axis % x.ndim
    if mode == "binary":
        x = x[..., None]
        axis = x.ndim - 1
    x = np.moveaxis(x, axis, -1)
    classes = x.shape[-1]
    indices = mode != "binary" and target.ndim == x.ndim - 1
    if indices:
        counts = np.broadcast_to((target != ignored)[..., None], x.shape)
        t = (target[..., None] == np.arange(classes)).astype(WIDE)
    else:
        t = oracles.wide(target[..., None] if mode == "binary" else np.moveaxis(target, axis, -1))
        counts = t != ignored
    w = np.ones(x.shape[:-1], WIDE)
    if sample_weight is not None:
        w = w * np.broadcast_to(oracles.wide(sample_weight), w.shape)
    w = w[..., None] * counts
    live = w != 0
    with np.errstate(all="ignore"):
        if not options.get("from_logits", False):
            p = x
        elif mode == "multiclass":
            e = np.exp(x - x.max(-1, keepdims=True))
            p = e / e.sum(-1, keepdims=True)
        else:
            p = oracles.sigmoid(x)
        wp, wt = np.where(live, w * p, 0), np.where(live, w * t, 0)
        wpt = np.where(live, w * p * t, 0)
        images = range(x.shape[0]) if options.get("per_image") else [slice(None)]
        losses = np.zeros((len(images), classes), WIDE)
        slopes = np.zeros((len(images), classes, 3), WIDE)
        for n, image in enumerate(images):
            for c in range(classes):
                sums = (array[image][..., c].sum() for array in (wpt, wp, wt))
                losses[n, c], *slopes[n, c] = ratio(name, *sums, options)
        class_weight = np.ones(classes, WIDE) if weight is None else oracles.wide(weight)
        losses = oracles.times(np.broadcast_to(class_weight, losses.shape), losses)
        shape = (len(images),) if mode == "binary" else losses.shape
        if not options.get("per_image"):
            shape = shape[1:]
        reduction = options.get("reduction", "mean")
        total = class_weight.sum() * len(images) if x.size else 0
        if reduction == "none":
            value = losses.reshape(shape)
            upstream = np.ones(shape) if grad_output is None else oracles.wide(grad_output)
            scale = upstream.reshape(losses.shape) * class_weight
        else:
            empty = WIDE(0) if options.get("empty") == "zero" else WIDE(np.nan)
            value = losses.sum()
            scale = np.broadcast_to(class_weight, losses.shape)
            if reduction == "mean":
                value = empty if total == 0 else value / total
                scale = scale * (empty if total == 0 else 1 / total)
        dp, dt, dp_size, dt_size = (np.zeros(x.shape, WIDE) for _ in range(4))
        for n, image in enumerate(images):
            by_i, by_p, by_t = (slopes[n, :, k] * scale[n] for k in range(3))
            dp[image] = by_i * t[image] + by_p
            dt[image] = by_i * p[image] + by_t
            dp_size[image] = np.abs(by_i * t[image]) + np.abs(by_p)
            dt_size[image] = np.abs(by_i * p[image]) + np.abs(by_t)
        dp, dt, dp_size, dt_size = (np.where(live, w * array, 0) for array in (dp, dt, dp_size, dt_size))
        if options.get("from_logits", False):
            if mode == "multiclass":
                own = np.where(live.any(-1, keepdims=True), p, 0)
                dp = own * (dp - (own * dp).sum(-1, keepdims=True))
                dp_size = own * (dp_size + (own * dp_size).sum(-1, keepdims=True))
            else:
                dp, dp_size = (np.where(live, array * p * oracles.sigmoid(-x), 0) for array in (dp, dp_size))

    def back(array):
        return array[..., 0] if mode == "binary" else np.moveaxis(array, -1, axis)

    none = (None, None) if indices else (back(dt), back(dt_size))
    return Result(np.asarray(value), back(dp), none[0], back(dp_size), none[1])
