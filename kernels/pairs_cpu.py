"""Losses that weigh every pair of a batch by its similarity, a strip of rows at a time: see similarities_cpu.py.

The kernels keep to the conventions there: a dense ``tile``, replaced by coefficients; positives next to each other.
"""

import numpy as np

from fastloss.kernels.build_cpu import Template
from fastloss.kernels.math_cpu import MATH
from fastloss.kernels.memory_cpu import load_double, load_int, store_double, store_int
from fastloss.kernels.similarities_cpu import SHORT_SUM, add_wide, fill, largest, multiply, sum_of

_exp, _log, _log1p = (MATH["float64"][name] for name in ("exp", "log", "log1p"))


# Two soft maxima of a row: over its positives and over its negatives.


@Template
def kept_exponentials(x, first, last, slope, shift, low, high):
    """Replace x by exp(slope x + shift), and by 0 unless low < x < high; their sum."""
    total = 0.0
    zero = real(0.0)
    for start in range(first, last, SHORT_SUM):
        part = zero
        for j in range(start, min(last, start + SHORT_SUM)):
            xj = load_tile(x, j)
            e = select((xj <= low) | (xj >= high), zero, exp_softmax(fma(slope, xj, shift)))
            store_tile(x, j, e)
            part = accumulate(part, e)
        total += np.float64(part)
    return total


@Template
def soft_hinge(top, total):
    """log(exp(-top) + total) + top for top >= 0, and what its slopes are divided by."""
    if top == 0.0:
        return _log1p(total), 1.0 + total
    whole = _exp(-top) + total
    return top + _log(whole), whole


@Template
def nans(x, n):
    """How many of n numbers are none."""
    count = 0
    for j in range(n):
        xj = load_tile(x, j)
        count += np.int64(xj != xj)
    return count


@Template
def soft_hinge_rows(phase, low, high, arguments, partial):
    """f_p log(1 + sum exp(-a_p (x - b_p))) over the positives + f_n log(1 + sum exp(a_n (x - b_n))) over the negatives.

    (tile, columns, firsts, lasts, own, weights, losses, gradient, both, a_p, b_p, f_p, a_n, b_n, f_n, mining, epsilon)

    ``own``: column i is no positive of row i. ``both``: a row without positives or without negatives does not count.
    ``mining``: only positives below the largest negative + epsilon are taken, and only negatives above the smallest
    positive - epsilon.
    """
    tile, columns = load_int(arguments, 0), load_int(arguments, 1)
    firsts, lasts, own = load_int(arguments, 2), load_int(arguments, 3), load_int(arguments, 4)
    weights, losses, gradient = load_int(arguments, 5), load_int(arguments, 6), load_int(arguments, 7)
    both = load_int(arguments, 8)
    a_p, b_p, f_p = load_double(arguments, 9), load_double(arguments, 10), load_double(arguments, 11)
    a_n, b_n, f_n = load_double(arguments, 12), load_double(arguments, 13), load_double(arguments, 14)
    mining, epsilon = load_int(arguments, 15), load_double(arguments, 16)
    infinity = real(np.inf)
    total_loss = counted = 0.0
    for i in range(low, high):
        x = tile + REALSIZE * (i - low) * columns
        first, last = load_index(firsts, i), load_index(lasts, i)
        positives, negatives = last - first - np.int64(own != 0), columns - (last - first)
        counts = both == 0 or (positives > 0 and negatives > 0)
        if own != 0:
            store_tile(x, i, infinity)
        least = ordinal(infinity)
        for j in range(first, last):
            xj = load_tile(x, j)
            least = earlier(least, ordinal(select(xj == xj, xj, infinity)))
        nearest = from_ordinal(least)
        farthest = maxnum(largest(x, 0, first), largest(x, last, columns))
        high_p, low_n = infinity, -infinity
        counted += np.float64(counts)
        if mining != 0 and nans(x, columns) == 0:  # which no comparison would take
            high_p, low_n = real(np.float64(farthest) + epsilon), real(np.float64(nearest) - epsilon)
            counts = counts and nearest < high_p
        loss = 0.0
        if counts:
            top_p = max(0.0, -a_p * (np.float64(nearest) - b_p)) if positives > 0 else 0.0
            top_n = max(0.0, a_n * (np.float64(farthest) - b_n)) if negatives > 0 else 0.0
            rise, fall, shift = real(a_n), real(-a_p), real(-a_n * b_n - top_n)
            sum_p = kept_exponentials(x, first, last, fall, real(a_p * b_p - top_p), -infinity, high_p)
            sum_n = kept_exponentials(x, 0, first, rise, shift, low_n, infinity)
            sum_n += kept_exponentials(x, last, columns, rise, shift, low_n, infinity)
            hinge_p, whole_p = soft_hinge(top_p, sum_p)
            hinge_n, whole_n = soft_hinge(top_n, sum_n)
            loss = f_p * hinge_p + f_n * hinge_n
            if gradient != 0:
                weight = np.float64(load_real(weights, i)) if weights != 0 else 1.0
                share = real(weight * f_n * a_n / whole_n)
                multiply(x, 0, first, share)
                multiply(x, first, last, real(-weight * f_p * a_p / whole_p))
                multiply(x, last, columns, share)
        elif gradient != 0:
            fill(x, 0, columns, real(0.0))
        total_loss += loss
        if losses != 0:
            store_real(losses, i, real(loss))
    store_double(partial, 0, total_loss)
    store_double(partial, 1, counted)
    store_int(partial, 2, -1)


@Template
def circle_logit(x, sign, gamma, margin):
    """gamma alpha (x - delta) of the sign's side, and gamma alpha with the sign, which counts as constant."""
    one, zero = real(1.0), real(0.0)
    # Positives (sign -1): alpha = max(0, 1 + m - x), delta = 1 - m; negatives: alpha = max(0, x + m), delta = m.
    positive = sign < zero
    alpha = gamma * maximum(zero, select(positive, one + margin - x, x + margin))
    return sign * alpha * (x - select(positive, one - margin, margin)), sign * alpha


@Template
def circle_top(x, first, last, sign, gamma, margin):
    lowest = -real(np.inf)
    top = ordinal(lowest)
    for j in range(first, last):
        logit = circle_logit(load_tile(x, j), sign, gamma, margin)[0]
        top = later(top, ordinal(select(logit == logit, logit, lowest)))
    return from_ordinal(top)


@Template
def circle_slopes(x, first, last, sign, gamma, margin, shift):
    """Replace x by the slope of its logit times exp(logit - shift); the sum of the exponentials."""
    total = 0.0
    for start in range(first, last, SHORT_SUM):
        part = real(0.0)
        for j in range(start, min(last, start + SHORT_SUM)):
            logit, slope = circle_logit(load_tile(x, j), sign, gamma, margin)
            e = exp_softmax(logit - shift)
            store_tile(x, j, e * slope)
            part = accumulate(part, e)
        total += np.float64(part)
    return total


@Template
def circle_rows(phase, low, high, arguments, partial):
    """softplus(log-sum-exp of the positives' logits + that of the negatives'), rows compared with each other.

    (tile, columns, firsts, lasts, weights, losses, gradient, gamma, margin)
    """
    tile, columns = load_int(arguments, 0), load_int(arguments, 1)
    firsts, lasts = load_int(arguments, 2), load_int(arguments, 3)
    weights, losses, gradient = load_int(arguments, 4), load_int(arguments, 5), load_int(arguments, 6)
    gamma, margin = real(load_double(arguments, 7)), real(load_double(arguments, 8))
    up, down = real(1.0), real(-1.0)
    total_loss = counted = 0.0
    for i in range(low, high):
        x = tile + REALSIZE * (i - low) * columns
        first, last = load_index(firsts, i), load_index(lasts, i)
        loss = 0.0
        if last - first > 1 and last - first < columns:
            top_p = maxnum(
                circle_top(x, first, i, down, gamma, margin), circle_top(x, i + 1, last, down, gamma, margin)
            )
            top_n = maxnum(circle_top(x, 0, first, up, gamma, margin), circle_top(x, last, columns, up, gamma, margin))
            sum_p = circle_slopes(x, first, i, down, gamma, margin, top_p)
            sum_p += circle_slopes(x, i + 1, last, down, gamma, margin, top_p)
            sum_n = circle_slopes(x, 0, first, up, gamma, margin, top_n)
            sum_n += circle_slopes(x, last, columns, up, gamma, margin, top_n)
            z = np.float64(top_p) + np.float64(top_n) + _log(sum_p) + _log(sum_n)
            e = _exp(-abs(z))
            loss = max(z, 0.0) + _log1p(e)
            if gradient != 0:
                weight = np.float64(load_real(weights, i)) if weights != 0 else 1.0
                weight *= (1.0 if z >= 0.0 else e) / (1.0 + e)
                multiply(x, 0, first, real(weight / sum_n))
                multiply(x, first, last, real(weight / sum_p))
                multiply(x, last, columns, real(weight / sum_n))
                store_tile(x, i, real(0.0))
            counted += 1.0
        elif gradient != 0:
            fill(x, 0, columns, real(0.0))
        total_loss += loss
        if losses != 0:
            store_real(losses, i, real(loss))
    store_double(partial, 0, total_loss)
    store_double(partial, 1, counted)
    store_int(partial, 2, -1)


# Distances of all pairs.


@Template
def squared_distances(x, columns, squares, bound, rows, width, i, found):
    """Replace x by |a|^2 + |b|^2 - 2 x; where that cancels, by the sum of squared differences.

    The columns where it does, but i, are noted in ``found``; how many.
    """
    one, two = real(1.0), real(2.0)
    near = real(0.0)
    base = load(squares, i)
    for j in range(columns):
        size = base + load(squares, j)
        d = size - two * load_tile(x, j)
        near = accumulate(near, select(d < bound * size, one, real(0.0)))
        store_tile(x, j, d)
    count = 0
    if near > real(0.0):
        a = rows + REALSIZE * i * width
        for j in range(columns):
            if j != i and load_tile(x, j) < bound * (base + load(squares, j)):
                b = rows + REALSIZE * j * width
                total = 0.0
                for k in range(width):
                    gap = np.float64(load(a, k)) - np.float64(load(b, k))
                    total = add_wide(total, gap * gap)
                store_tile(x, j, real(total))
                store_wide_index(found, count, j)
                count += 1
    return count


@Template
def move_close(x, found, count, rows, width, i, close):
    """Add the part of the columns found to row i of ``close``, and take them out of x."""
    a, total = rows + REALSIZE * i * width, close + REALSIZE * i * width
    for k in range(count):
        j = load_wide_index(found, k)
        slope = -load_tile(x, j)
        store_tile(x, j, real(0.0))
        b = rows + REALSIZE * j * width
        for d in range(width):
            store_tile(total, d, load_tile(total, d) + slope * (load(a, d) - load(b, d)))


@Template
def hinges(x, first, last, sign, margin, weight):
    """Replace x, a distance (or its square), by the slope of weight h^POWER, h = max(0, sign (d - margin)).

    Of squared distances the slope is divided by d: it becomes what the difference of the rows is multiplied by. Returns
    the sum of h^POWER, how many are positive, and the sum of the slopes.
    """
    zero, one = real(0.0), real(1.0)
    total = positive = slopes = 0.0
    for start in range(first, last, SHORT_SUM):
        part = count = slope_part = zero
        for j in range(start, min(last, start + SHORT_SUM)):
            xj = load_tile(x, j)
            d = sqrt(maximum(xj, zero)) if SQUARED else one - xj
            h = maximum(zero, sign * (d - margin))
            hit = h > zero
            power = h * h if POWER == 2 else h
            slope = real(2.0) * h if POWER == 2 else select(hit, one, zero)
            slope = sign * weight * slope
            if SQUARED:
                slope = select(d > zero, slope / d, zero)
            part = accumulate(part, power)
            count = accumulate(count, select(hit, one, zero))
            slope_part = accumulate(slope_part, slope)
            store_tile(x, j, -slope)
        total += np.float64(part)
        positive += np.float64(count)
        slopes += np.float64(slope_part)
    return total, positive, slopes


@Template
def contrastive_rows(phase, low, high, arguments, partial):
    """Powers of hinges of the distances of each row to the others, as coefficients of the rows.

    (tile, columns, firsts, lasts, positive margin, negative margin, positive weight, negative weight, sums; squares,
    bound, rows, D, found, close)

    ``sums``: for each row, the sums over positives and over negatives, and how many of each are above 0. SQUARED: the
    distance is Euclidean, from the rows' ``squares``; the coefficient of the row itself is then the sum of the others'
    slopes. What rows closer than ``bound`` add to a gradient goes directly to ``close``: the difference of the rows
    would cancel in a product. ``found`` is room for COLUMNS indices. Otherwise the distance is 1 - x.
    """
    tile, columns = load_int(arguments, 0), load_int(arguments, 1)
    firsts, lasts = load_int(arguments, 2), load_int(arguments, 3)
    near, far = real(load_double(arguments, 4)), real(load_double(arguments, 5))
    weight_p, weight_n = real(load_double(arguments, 6)), real(load_double(arguments, 7))
    sums = load_int(arguments, 8)
    up, down = real(1.0), real(-1.0)
    for i in range(low, high):
        x = tile + REALSIZE * (i - low) * columns
        first, last = load_index(firsts, i), load_index(lasts, i)
        count = 0
        if SQUARED:
            squares, bound = load_int(arguments, 9), real(load_double(arguments, 10))
            rows, width = load_int(arguments, 11), load_int(arguments, 12)
            found, close = load_int(arguments, 13), load_int(arguments, 14)
            count = squared_distances(x, columns, squares, bound, rows, width, i, found)
        p1 = hinges(x, first, i, up, near, weight_p)
        p2 = hinges(x, i + 1, last, up, near, weight_p)
        n1 = hinges(x, 0, first, down, far, weight_n)
        n2 = hinges(x, last, columns, down, far, weight_n)
        own = 0.0
        if SQUARED:
            own = p1[2] + p2[2] + n1[2] + n2[2]
            if count > 0 and close != 0:
                # Of what remains: the slopes of close rows are large, and would not cancel to the last digit.
                move_close(x, found, count, rows, width, i, close)
                store_tile(x, i, real(0.0))
                own = -sum_of(x, 0, columns)
        store_tile(x, i, real(own))
        store_wide(sums, 4 * i, p1[0] + p2[0])
        store_wide(sums, 4 * i + 1, n1[0] + n2[0])
        store_wide(sums, 4 * i + 2, p1[1] + p2[1])
        store_wide(sums, 4 * i + 3, n1[1] + n2[1])
    store_double(partial, 0, 0.0)
    store_double(partial, 1, 0.0)
    store_int(partial, 2, -1)
