"""Losses of similarities and of proxies as double loops over pairs, in float64; PyTorch differentiates them.

Each returns the losses of the anchors as a list, and what the mean divides their sum by.
"""

import math

import numpy as np
import torch
from cases import same_bits

import fastloss as fl


def unit(rows):
    """Rows divided by their norms; rows of zeros as they are."""
    return [row / row.norm() if bool(row.any()) else row * 0.0 for row in rows]


def cosines(a, b, normalize=True):
    a, b = (unit(a), unit(b)) if normalize else (list(a), list(b))
    return [[(x * y).sum() for y in b] for x in a]


def log_sum_exp(terms):
    return torch.stack(terms).logsumexp(0)


def zero(rows):
    return rows.sum() * 0.0


def info_nce_loss(query, positive_key, negative_keys=None, temperature=0.1, in_batch=True, normalize=True):
    own = cosines(query, positive_key, normalize)
    more = [[] for _ in query] if negative_keys is None else cosines(query, negative_keys, normalize)
    losses = []
    for i in range(len(query)):
        terms = [own[i][j] for j in range(len(query)) if in_batch or i == j] + more[i]
        losses.append(log_sum_exp([term / temperature for term in terms]) - own[i][i] / temperature)
    return losses, len(losses)


def nt_xent_loss(z1, z2, temperature=0.5):
    n = len(z1)
    z = torch.cat([z1, z2])
    s = cosines(z, z)
    losses = []
    for i in range(2 * n):
        terms = [s[i][j] / temperature for j in range(2 * n) if j != i]
        losses.append(log_sum_exp(terms) - s[i][(i + n) % (2 * n)] / temperature)
    return losses, len(losses)


def _sides(i, labels):
    """The other embeddings of the label of i, and those of other labels."""
    positives = [j for j in range(len(labels)) if j != i and labels[j] == labels[i]]
    return positives, [j for j in range(len(labels)) if labels[j] != labels[i]]


def supervised_contrastive_loss(embeddings, labels, temperature=0.1):
    s = cosines(embeddings, embeddings)
    losses, count = [], 0
    for i in range(len(labels)):
        positives, _ = _sides(i, labels)
        if not positives:
            losses.append(zero(embeddings))
            continue
        count += 1
        total = log_sum_exp([s[i][j] / temperature for j in range(len(labels)) if j != i])
        losses.append(sum(total - s[i][p] / temperature for p in positives) / len(positives))
    return losses, count


def npairs_loss(anchor, positive, labels=None, l2_reg=0.002):
    labels = range(len(anchor)) if labels is None else labels
    s = cosines(anchor, positive, normalize=False)
    losses = []
    for i in range(len(anchor)):
        same = [j for j in range(len(anchor)) if labels[j] == labels[i]]
        penalty = l2_reg / 4 * ((anchor[i] ** 2).sum() + (positive[i] ** 2).sum())
        losses.append(log_sum_exp(s[i]) - sum(s[i][j] for j in same) / len(same) + penalty)
    return losses, len(losses)


def clip_loss(image, text, logit_scale=1 / 0.07, normalize=True):
    s = cosines(image, text, normalize)
    n, logit_scale = len(image), torch.as_tensor(logit_scale).reshape(())
    losses = []
    for i in range(n):
        row = log_sum_exp([logit_scale * s[i][j] for j in range(n)])
        column = log_sum_exp([logit_scale * s[j][i] for j in range(n)])
        losses.append((row + column) / 2 - logit_scale * s[i][i])
    return losses, n


def siglip_loss(image, text, logit_scale=10.0, logit_bias=-10.0, normalize=True):
    s = cosines(image, text, normalize)
    logit_scale, logit_bias = (torch.as_tensor(number).reshape(()) for number in (logit_scale, logit_bias))
    losses = []
    for i in range(len(image)):
        logits = [logit_scale * c + logit_bias for c in s[i]]
        signed = [-x if j == i else x for j, x in enumerate(logits)]
        losses.append(sum(torch.logaddexp(x, x * 0.0) for x in signed))
    return losses, len(losses)


def multi_similarity_loss(embeddings, labels, alpha=2.0, beta=50.0, base=0.5, epsilon=None):
    s = cosines(embeddings, embeddings)
    losses, count = [], 0
    for i in range(len(labels)):
        positives, negatives = _sides(i, labels)
        loss = zero(embeddings)
        if positives and negatives:
            count += 1
            if epsilon is not None:
                largest, smallest = max(s[i][n] for n in negatives), min(s[i][p] for p in positives)
                positives = [p for p in positives if s[i][p] < largest + epsilon]
                negatives = [n for n in negatives if s[i][n] > smallest - epsilon]
            one = [zero(embeddings)]
            if positives and negatives:
                loss = log_sum_exp(one + [-alpha * (s[i][p] - base) for p in positives]) / alpha
                loss = loss + log_sum_exp(one + [beta * (s[i][n] - base) for n in negatives]) / beta
        losses.append(loss)
    return losses, count


def circle_loss(embeddings, labels, m=0.4, gamma=80.0):
    s = cosines(embeddings, embeddings)
    losses, count = [], 0
    for i in range(len(labels)):
        positives, negatives = _sides(i, labels)
        loss = zero(embeddings)
        if positives and negatives:
            count += 1
            p = [-gamma * max(0.0, 1 + m - s[i][j].item()) * (s[i][j] - (1 - m)) for j in positives]
            n = [gamma * max(0.0, s[i][j].item() + m) * (s[i][j] - m) for j in negatives]
            loss = torch.logaddexp(log_sum_exp(p) + log_sum_exp(n), loss)
        losses.append(loss)
    return losses, count


def batch_contrastive_loss(
    embeddings, labels, pos_margin=0.0, neg_margin=1.0, metric="euclidean", normalize=False, power=2, nonzero=False
):
    """The sums over positive and over negative pairs, each divided by its number of pairs; and the sums themselves."""
    points = unit(embeddings) if normalize or metric == "cosine" else list(embeddings)
    sums, counts = [zero(embeddings), zero(embeddings)], [0, 0]
    for i in range(len(labels)):
        for j in range(i):
            if metric == "cosine":
                d = 1.0 - (points[i] * points[j]).sum()
            else:
                d = (points[i] - points[j]).norm()
            kind = int(labels[i] != labels[j])
            h = torch.clamp(neg_margin - d if kind else d - pos_margin, min=0.0)
            sums[kind] = sums[kind] + h**power
            counts[kind] += 1 if not nonzero else int(h > 0)
    return [total / max(1, count) for total, count in zip(sums, counts, strict=True)], sums


def _head(embeddings, weights, labels, scale, changed, include_positive=True):
    s = cosines(embeddings, weights)
    losses, count = [], 0
    for i in range(len(labels)):
        y = int(labels[i])
        own = scale * changed(s[i][y])
        terms = [scale * s[i][c] for c in range(len(weights)) if c != y] + ([own] if include_positive else [])
        losses.append(log_sum_exp(terms) - own if terms else zero(embeddings))
        count += bool(terms)
    return losses, count


def arcface_loss(embeddings, weights, labels, margin=0.5, scale=64.0):
    def changed(c):
        angle = torch.acos(c)
        if angle.item() < math.pi - margin:
            return torch.cos(angle + margin)
        return c - margin * math.sin(margin)

    return _head(embeddings, weights, labels, scale, changed)


def cosface_loss(embeddings, weights, labels, margin=0.35, scale=64.0):
    return _head(embeddings, weights, labels, scale, lambda c: c - margin)


def proxy_nca_loss(embeddings, weights, labels, scale=1.0, include_positive=True):
    return _head(embeddings, weights, labels, 2.0 * scale, lambda c: c, include_positive)


def proxy_anchor_loss(embeddings, weights, labels, margin=0.1, alpha=32.0):
    """The means over proxies of both sides; and the sums."""
    s = cosines(embeddings, weights)
    one = [zero(embeddings)]
    sums, seen = [zero(embeddings), zero(embeddings)], 0
    for c in range(len(weights)):
        positives = [i for i in range(len(labels)) if labels[i] == c]
        negatives = [i for i in range(len(labels)) if labels[i] != c]
        if positives:
            seen += 1
            sums[0] = sums[0] + log_sum_exp(one + [-alpha * (s[i][c] - margin) for i in positives])
        sums[1] = sums[1] + log_sum_exp(one + [alpha * (s[i][c] + margin) for i in negatives])
    return [sums[0] / max(1, seen), sums[1] / max(1, len(weights))], sums


# A loss beside its oracle.

#: Relative to the largest element, of the value and of each gradient: several times the largest found over a few seeds.
TOLERANCE = {"float64": 1e-12, "float32": 4e-6}
#: Reductions are parts, not anchors: a sum of two means, and the sum of the sums.
PARTS = ("batch_contrastive_loss", "proxy_anchor_loss")


def expected(loss, arrays, wrt, reduction="mean", upstream=None, **options):
    """The value and the gradients, from float64."""
    oracle = globals()[loss]
    tensors = {name: torch.tensor(np.asarray(array)) for name, array in arrays.items()}
    tensors = {name: t.double() if t.is_floating_point() else t for name, t in tensors.items()}
    for name in wrt:
        tensors[name].requires_grad_()
    if loss in PARTS:
        means, sums = oracle(**tensors, **options, **({"nonzero": True} if reduction == "mean_nonzero" else {}))
        value = sum(sums if reduction == "sum" else means)
    else:
        losses, count = oracle(**tensors, **options)
        losses = torch.stack(losses) if losses else torch.zeros(0, dtype=torch.float64)
        value = losses if reduction == "none" else losses.sum()
        if reduction == "mean":
            value = value / max(1, count)
    factor = torch.ones_like(value) if upstream is None else torch.tensor(upstream, dtype=torch.float64)
    if not value.requires_grad:
        return value.numpy(), [np.zeros(tensors[name].shape) for name in wrt]
    grads = torch.autograd.grad(value, [tensors[name] for name in wrt], factor, allow_unused=True)
    shapes = [tensors[name].shape for name in wrt]
    return value.detach().numpy(), [
        np.zeros(shape) if grad is None else grad.numpy() for grad, shape in zip(grads, shapes, strict=True)
    ]


def assert_near(got, want, tolerance):
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    assert np.isfinite(got).all()
    error = np.max(np.abs(got - want), initial=0.0)
    largest = max(1.0, np.max(np.abs(want), initial=0.0)) if want.ndim == 0 else np.max(np.abs(want), initial=1e-9)
    assert error <= tolerance * largest, f"off by {error / largest:.3g} of the largest, allowed {tolerance}"


def assert_oracle(loss, arrays, wrt, *, dtype="float64", tolerance=None, reduction="mean", upstream=None, **options):
    """The value alone, and value and gradients together, of NumPy arrays in ``dtype``."""
    arrays = {
        name: np.asarray(array, dtype) if np.asarray(array).dtype.kind == "f" else array
        for name, array in arrays.items()
    }
    value, grads = expected(loss, arrays, wrt, reduction, upstream, **options)
    function = getattr(fl, loss)
    given = {} if upstream is None else {"grad_output": np.asarray(upstream, dtype)}
    found, slopes = function.value_and_grad(**arrays, **options, reduction=reduction, wrt=wrt, **given)
    tolerance = TOLERANCE[dtype] if tolerance is None else tolerance
    assert same_bits(found, function(**arrays, **options, reduction=reduction))
    assert found.dtype == dtype
    assert_near(found, value, tolerance)
    for name, slope, want in zip(wrt, slopes, grads, strict=True):
        assert slope.dtype == dtype, name
        assert_near(slope, want, tolerance)
