"""Triplet losses, mining and distances as their definitions say, in float64, one pair at a time."""

import math

import numpy as np


def unit(row):
    norm = math.sqrt(sum(float(v) ** 2 for v in row))
    return [float(v) / norm if norm else 0.0 for v in row]


def distance(a, b, metric):
    if metric == "cosine":
        a, b = unit(a), unit(b)
        if not any(a) or not any(b):
            return 1.0
        return sum((u - v) ** 2 for u, v in zip(a, b, strict=True)) / 2
    square = math.fsum((float(u) - float(v)) ** 2 for u, v in zip(a, b, strict=True))
    return math.sqrt(square) if metric == "euclidean" else square


def distances(x, y, metric, normalize):
    if normalize:
        x, y = [unit(row) for row in x], [unit(row) for row in y]
    return np.array([[distance(a, b, metric) for b in y] for a in x]).reshape(len(x), len(y))


def triplets(d, labels, reference_labels, mining, same):
    """(anchor, positive, negative) of all that are mined."""
    found = []
    for a in range(d.shape[0]):
        positives = [j for j in range(d.shape[1]) if reference_labels[j] == labels[a] and not (same and j == a)]
        negatives = [j for j in range(d.shape[1]) if reference_labels[j] != labels[a]]
        if not positives or not negatives:
            continue
        nearest = min(negatives, key=lambda j: (d[a, j], j))
        if mining == "hard":
            found.append((a, min(positives, key=lambda j: (-d[a, j], j)), nearest))
        elif mining == "easy":
            found.append((a, min(positives, key=lambda j: (d[a, j], j)), nearest))
        elif mining == "semihard":
            for p in positives:
                farther = [j for j in negatives if d[a, j] > d[a, p]]
                if farther:
                    found.append((a, p, min(farther, key=lambda j: (d[a, j], j))))
                else:
                    found.append((a, p, min(negatives, key=lambda j: (-d[a, j], j))))
        else:
            found += [(a, p, n) for p in positives for n in negatives]
    return found


def value(near, far, margin):
    if margin == "soft":
        x = near - far
        return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
    return max(near - far + margin, 0.0)


def loss(x, labels, *, mining, margin, metric, normalize, reduction, y=None, reference_labels=None):
    """The loss, by a loop over triplets."""
    same = y is None
    d = distances(x, x if same else y, metric, normalize)
    found = triplets(d, labels, labels if same else reference_labels, mining, same)
    rows, values = np.zeros(len(x)), []
    for a, p, n in found:
        values.append(value(d[a, p], d[a, n], margin))
        rows[a] += values[-1]
    if reduction == "none":
        return rows
    count = {"sum": 1, "mean": len(values), "mean_nonzero": sum(v > 0 for v in values)}[reduction]
    return math.fsum(values) / count if count else 0.0


def slope(near, far, margin):
    x = near - far
    if margin == "soft":
        return 1.0 / (1.0 + math.exp(-x)) if x > -700 else 0.0
    return 1.0 if x + margin > 0 else 0.0


def gradient(x, labels, *, mining, margin, metric, normalize, upstream=None, y=None, reference_labels=None):
    """The gradients of the sum by x and y (None where there is no y), triplet by triplet."""
    same = y is None
    other = x if same else y
    x, other = np.asarray(x, np.float64), np.asarray(other, np.float64)
    d = distances(x, other, metric, normalize)
    by_x, by_y = np.zeros_like(x), np.zeros_like(other)
    if same:
        by_y = by_x
    for a, p, n in triplets(d, labels, labels if same else reference_labels, mining, same):
        weight = slope(d[a, p], d[a, n], margin) * (1.0 if upstream is None else upstream[a])
        for j, sign in ((p, 1.0), (n, -1.0)):
            of_a, of_j = distance_gradient(x[a], other[j], metric, normalize)
            by_x[a] += sign * weight * of_a
            by_y[j] += sign * weight * of_j
    return by_x, None if same else by_y


def distance_gradient(a, b, metric, normalize):
    """By both rows; 0 where the distance is."""
    units = normalize or metric == "cosine"
    u, v = (np.array(unit(a)), np.array(unit(b))) if units else (a, b)
    if metric == "cosine":
        of_u, of_v = -v, -u
        if not u.any() or not v.any():
            return np.zeros_like(a), np.zeros_like(b)
    else:
        norm = math.sqrt(float(np.square(u - v).sum()))
        of_u = 2.0 * (u - v)
        if metric == "euclidean":
            of_u = (u - v) / norm if norm else np.zeros_like(a)
        of_v = -of_u
    if not units:
        return of_u, of_v
    return through_unit(a, u, of_u), through_unit(b, v, of_v)


def through_unit(a, u, g):
    norm = math.sqrt(float(np.square(a).sum()))
    return (g - g.dot(u) * u) / norm if norm else np.zeros_like(a)
