"""Losses of class scores that compare classes by their index, one position after the other.

``zero_one_rows`` needs to know which of two equal scores comes first; ``multilabel_margin`` compares each label of a
position with each of its other classes. Positions are numbered as in the unreduced loss: p = outer * INNER + inner.
"""

import numpy as np

from fastloss.kernels.build_cpu import Template
from fastloss.kernels.launch_cpu import (
    COUNTING,
    FLAGS,
    GRAD,
    GRAD_INPUT,
    INPUT,
    LOSSES,
    PARAMETERS,
    SAMPLE_WEIGHT,
    SCALE,
    TARGET,
    UPSTREAM,
    VALUE,
)
from fastloss.kernels.memory_cpu import allocate, load_double, load_int, release, store_double, store_int

#: Strides count elements: of the scores, of their gradient. Labels are contiguous.
(
    CLASSES,
    INNER,
    CLASS_STRIDE,
    INNER_STRIDE,
    OUTER_STRIDE,
    GRAD_CLASS_STRIDE,
    GRAD_INNER_STRIDE,
    GRAD_OUTER_STRIDE,
    UPSTREAM_STRIDE,
    IGNORE_INDEX,
) = range(PARAMETERS, PARAMETERS + 10)


@Template
def _position(arguments, address, position, outer_stride, inner_stride):
    # Where the scores of a position begin.
    inner = load_int(arguments, INNER)
    outer_index = position // inner
    inner_index = position - outer_index * inner
    return load_int(arguments, address) + ITEMSIZE * (
        outer_index * load_int(arguments, outer_stride) + inner_index * load_int(arguments, inner_stride)
    )


@Template
def _not_below(x, stride, first, last, y):
    # How many of these scores are y or more, and how many are NaN.
    zero, one = real(0.0), real(1.0)
    count = nans = zero
    for c in range(first, last):
        xc = load(x, c * stride)
        count = accumulate(count, select(xc >= y, one, zero))
        nans = accumulate(nans, select(xc == xc, zero, one))
    return count, nans


@Template
def _above(x, stride, first, last, y):
    zero, one = real(0.0), real(1.0)
    count = nans = zero
    for c in range(first, last):
        xc = load(x, c * stride)
        count = accumulate(count, select(xc > y, one, zero))
        nans = accumulate(nans, select(xc == xc, zero, one))
    return count, nans


@Template
def zero_one_rows(phase, low, high, arguments, partial):
    """Whether the label is not the first class that attains the maximum."""
    target = load_int(arguments, TARGET)
    sample_weight = load_int(arguments, SAMPLE_WEIGHT)
    losses = load_int(arguments, LOSSES)
    classes = load_int(arguments, CLASSES)
    stride = load_int(arguments, CLASS_STRIDE)
    ignore_index = load_int(arguments, IGNORE_INDEX)
    total = counted = 0.0
    bad = -1
    for position in range(low, high):
        label = load_index(target, position)
        weight = np.float64(load_real(sample_weight, position)) if sample_weight != 0 else 1.0
        if label == ignore_index:
            weight = 0.0
        elif label < 0 or label >= classes:
            bad = position
            break
        counted += weight
        loss = 0.0
        if weight != 0.0 and phase != COUNTING:
            x = _position(arguments, INPUT, position, OUTER_STRIDE, INNER_STRIDE)
            y = load(x, label * stride)
            before = _not_below(x, stride, 0, label, y)
            after = _above(x, stride, label, classes, y)
            loss = weight if before[0] + after[0] > real(0.0) else 0.0
            if before[1] + after[1] > real(0.0):
                loss = np.nan
        total += loss
        if losses != 0:
            store_real(losses, position, real(loss))
    store_double(partial, 0, total)
    store_double(partial, 1, counted)
    store_int(partial, 2, bad)


@Template
def fetch_scores(x, stride, classes, copy):
    if stride == 1:
        for c in range(classes):
            store_tile(copy, c, load(x, c))
    else:
        for c in range(classes):
            store_tile(copy, c, load(x, c * stride))


@Template
def multilabel_margin(phase, low, high, arguments, partial):
    """sum of max(0, 1 - x_label + x_other) / C over all labels and all other classes.

    ``others`` holds the scores with -inf for the labels, so that the inner loop has no condition; ``slopes`` counts of
    each class in how many violations it takes part.
    """
    target = load_int(arguments, TARGET)
    sample_weight = load_int(arguments, SAMPLE_WEIGHT)
    upstream = load_int(arguments, UPSTREAM)
    losses = load_int(arguments, LOSSES)
    flags = load_int(arguments, FLAGS)
    classes = load_int(arguments, CLASSES)
    stride = load_int(arguments, CLASS_STRIDE)
    grad_stride = load_int(arguments, GRAD_CLASS_STRIDE)
    scale = load_double(arguments, SCALE)
    zero, one = real(0.0), real(1.0)
    scores = allocate(2 * REALSIZE * classes + 64)
    slopes = scores + REALSIZE * classes
    total = counted = 0.0
    bad = -1 if scores != 0 else -3
    if scores != 0:
        for position in range(low, high):
            weight = np.float64(load_real(sample_weight, position)) if sample_weight != 0 else 1.0
            counted += weight
            labels = target + 8 * position * classes
            wrong = 0
            for c in range(classes):
                label = load_index(labels, c)
                wrong += np.int64((label < -1) | (label >= classes))
            if wrong > 0 and bad < 0:
                bad = position
            count = 0
            while count < classes and load_index(labels, count) >= 0:
                count += 1
            if phase == COUNTING or bad >= 0:
                continue
            x = _position(arguments, INPUT, position, OUTER_STRIDE, INNER_STRIDE)
            fetch_scores(x, stride, classes, scores)
            for i in range(count):
                store_tile(scores, load_index(labels, i), real(-np.inf))
            for c in range(classes):
                store_tile(slopes, c, zero)
            loss = 0.0
            for i in range(count):
                label = load_index(labels, i)
                base = one - load(x, label * stride)
                row = zero
                hits = zero
                for c in range(classes):
                    score = load_tile(scores, c)
                    v = select(score == -real(np.inf), zero, base + score)
                    row = accumulate(row, maximum(v, zero))
                    hit = select(v > zero, one, zero)
                    hits = accumulate(hits, hit)
                    store_tile(slopes, c, load_tile(slopes, c) + hit)
                loss += np.float64(row)
                store_tile(slopes, label, load_tile(slopes, label) - hits)
            loss = loss / classes * weight if weight != 0.0 else 0.0
            if flags & VALUE:
                total += loss
                if losses != 0:
                    store_real(losses, position, real(loss))
            if flags & GRAD:
                factor = scale * weight / classes
                if upstream != 0:
                    factor *= np.float64(load_real(upstream, position * load_int(arguments, UPSTREAM_STRIDE)))
                g = _position(arguments, GRAD_INPUT, position, GRAD_OUTER_STRIDE, GRAD_INNER_STRIDE)
                own = real(factor) if weight != 0.0 else zero
                if grad_stride == 1:
                    for c in range(classes):
                        store(g, c, load_tile(slopes, c) * own)
                else:
                    for c in range(classes):
                        store(g, c * grad_stride, load_tile(slopes, c) * own)
        release(scores)
    store_double(partial, 0, total)
    store_double(partial, 1, counted)
    store_int(partial, 2, bad)
