"""Similarity losses and their gradients in wide floating point, as their definitions say, one row after the other.

Every function takes arrays of any dtype and gives (losses, gradients): the unreduced loss of each position and, for
each operand that has one, the gradient of the sum of ``upstream * losses``, of the shape of all operands together.
"""

import numpy as np

WIDE = np.longdouble


def wide(array):
    return np.asarray(np.asarray(array).astype(np.float64), WIDE)


def rows_of(*arrays, axis=-1):
    """The arrays broadcast with each other, their axis last."""
    arrays = np.broadcast_arrays(*(wide(array) for array in arrays))
    return [np.moveaxis(array, axis, -1) for array in arrays]


def over_rows(one, vectors, scalars, upstream):
    positions = vectors[0].shape[:-1]
    losses = np.zeros(positions, WIDE)
    grads = [np.zeros(vectors[0].shape, WIDE) for _ in vectors]
    upstream = np.broadcast_to(np.asarray(1 if upstream is None else upstream, WIDE), positions)
    for at in np.ndindex(positions):
        losses[at], *own = one(*(v[at] for v in vectors), *(np.broadcast_to(wide(s), positions)[at] for s in scalars))
        for grad, g in zip(grads, own, strict=True):
            grad[at] = g * upstream[at]
    return losses, grads


def norm(v, p):
    """The norm, and its gradient with the conventions of PyTorch."""
    a = np.abs(v)
    if np.isinf(p):
        n = a.max(initial=0)
        ties = a == n
        return n, np.sign(v) * ties / max(1, ties.sum())
    top = a.max(initial=0)
    if top == 0:
        return WIDE(0), np.zeros_like(v)
    n = top * ((a / top) ** WIDE(p)).sum() ** (1 / WIDE(p))
    with np.errstate(all="ignore"):
        slope = np.sign(v) * np.where(v == 0, 0, (a / n) ** WIDE(p - 1))
    return n, slope


def cosine_embedding_loss(input1, input2, target, margin=0.0, upstream=None):
    epsilon, margin = WIDE(np.float32(1e-12)), WIDE(margin)

    def one(x, y, t):
        xx, yy = x @ x + epsilon, y @ y + epsilon
        n = 1 / np.sqrt(xx) / np.sqrt(yy)
        cosine = (x @ y) * n
        dx, dy = y * n - x * cosine / xx, x * n - y * cosine / yy
        if t == 1:
            return 1 - cosine, -dx, -dy
        if t == -1 and cosine >= margin:
            return cosine - margin, dx, dy
        return 0, 0 * x, 0 * x

    return over_rows(one, rows_of(input1, input2), [target], upstream)


def cosine_similarity_loss(input, target, axis=-1, eps=1e-8, upstream=None):
    def one(x, y):
        nx, ny = np.sqrt(x @ x), np.sqrt(y @ y)
        cx, cy = max(nx, WIDE(eps)), max(ny, WIDE(eps))
        dot = x @ y
        gx = y / cx / cy - (dot / cx**2 / cy * x / nx if nx else 0 * x)
        gy = x / cx / cy - (dot / cy**2 / cx * y / ny if ny else 0 * y)
        return 1 - dot / cx / cy, -gx, -gy

    losses, grads = over_rows(one, rows_of(input, target, axis=axis), [], upstream)
    return losses, [np.moveaxis(grad, -1, axis) for grad in grads]


def contrastive_loss(input1, input2, target, margin=1.0, upstream=None):
    def one(x, y, t):
        d = x - y
        n = np.sqrt(d @ d)
        gap = max(WIDE(margin) - n, WIDE(0))
        slope = 2 * t * d - (2 * (1 - t) * gap / n * d if n else 0 * d)
        return t * n**2 + (1 - t) * gap**2, slope, -slope

    return over_rows(one, rows_of(input1, input2), [target], upstream)


def triplet_margin_loss(anchor, positive, negative, margin=1.0, p=2.0, eps=1e-6, swap=False, upstream=None):
    def one(a, q, n):
        near, near_slope = norm(a - q + WIDE(eps), p)
        far, far_slope = norm(a - n + WIDE(eps), p)
        share, other, other_slope = 1, far, 0 * a
        if swap:
            other, other_slope = norm(q - n + WIDE(eps), p)
            share = WIDE(1) / 2 if far == other else WIDE(far < other)
        over = WIDE(margin) + near - min(far, other)
        h = WIDE(over >= 0)
        down, sideways = share * far_slope, (1 - share) * other_slope
        return max(over, WIDE(0)), h * (near_slope - down), h * (-near_slope - sideways), h * (down + sideways)

    return over_rows(one, rows_of(anchor, positive, negative), [], upstream)


def triplet_margin_with_distance_loss(anchor, positive, negative, margin=1.0, swap=False, upstream=None):
    return triplet_margin_loss(anchor, positive, negative, margin, swap=swap, upstream=upstream)


def rmse_loss(input, target, eps=0.0, axis=None, weight=1.0, upstream=None):
    x, y, w = np.broadcast_arrays(wide(input), wide(target), wide(weight))
    shape = x.shape
    if axis is None:
        x, y, w, axis = x.reshape(-1), y.reshape(-1), w.reshape(-1), 0

    def one(x, y, w):
        root = np.sqrt((w * (x - y) ** 2).sum() / w.sum() + WIDE(eps))
        slope = w * (x - y) / w.sum() / root if root else 0 * x
        return root, slope, -slope, 0 * w

    losses, grads = over_rows(one, rows_of(x, y, w, axis=axis), [], upstream)
    return losses, [np.moveaxis(grad, -1, axis).reshape(shape) for grad in grads[:2]]
