"""Losses of a matrix of similarities, a strip of its rows at a time while the strip is in the cache.

``tile`` holds x = scale * <a_i, b_j> for the rows ``low <= i < high`` and ``COLUMNS`` columns, dense. The kernels that
write replace x by the coefficient d loss / d x. All are called from Python (``_batch.callable_kernel``): the slots of
their arguments are what a call passes, in this order; arrays of one number a row begin at row 0 of the whole.

The positives of a row are columns next to each other, from FIRST to before LAST: rows and columns are sorted by label.
"""

import numpy as np

from fastloss.kernels.build_cpu import Template
from fastloss.kernels.math_cpu import MATH
from fastloss.kernels.memory_cpu import ACCUMULATE, load_double, load_int, store_double, store_int

add_wide = ACCUMULATE["float64"]
_exp, _log, _log1p = (MATH["float64"][name] for name in ("exp", "log", "log1p"))
_sqrt = MATH["float64"]["sqrt"]

#: Additions in the type of the arithmetic before a sum joins a float64.
SHORT_SUM = 4096


@Template
def largest(x, first, last):
    top = -real(np.inf)
    for j in range(first, last):
        top = maxnum(top, load_tile(x, j))
    return top


@Template
def exponentials(x, first, last, shift):
    """Replace x by exp(x - shift); their sum."""
    total = 0.0
    for start in range(first, last, SHORT_SUM):
        part = real(0.0)
        for j in range(start, min(last, start + SHORT_SUM)):
            e = exp_softmax(load_tile(x, j) - shift)
            store_tile(x, j, e)
            part = accumulate(part, e)
        total += np.float64(part)
    return total


@Template
def sum_of(x, first, last):
    total = 0.0
    for j in range(first, last):
        total = add_wide(total, np.float64(load_tile(x, j)))
    return total


@Template
def multiply(x, first, last, factor):
    for j in range(first, last):
        store_tile(x, j, factor * load_tile(x, j))


@Template
def fill(x, first, last, value):
    for j in range(first, last):
        store_tile(x, j, value)


# Rows of unit length.


@Template
def unit_row(x, y, columns):
    """y = x / |x|, and |x|. A row of zeros stays one."""
    squares = 0.0
    for d in range(columns):
        wide = np.float64(load(x, d))
        squares = add_wide(squares, wide * wide)
    if squares > 1e-290 and squares < 1e290:
        inverse = 1.0 / _sqrt(squares)
        for d in range(columns):
            store(y, d, real(np.float64(load(x, d)) * inverse))
        return _sqrt(squares)
    # Squares that vanish or overflow: of x / max |x|.
    top = real(0.0)
    for d in range(columns):
        top = maximum(top, fabs(load(x, d)))
    if top == real(0.0):
        for d in range(columns):
            store(y, d, real(0.0))
        return 0.0
    size = np.float64(top)
    squares = 0.0
    for d in range(columns):
        ratio = np.float64(load(x, d)) / size
        squares = add_wide(squares, ratio * ratio)
    for d in range(columns):
        store(y, d, real(np.float64(load(x, d)) / size / _sqrt(squares)))
    return size * _sqrt(squares)


@Template
def unit_rows(phase, low, high, arguments, partial):
    """Rows in an order, each divided by its norm: (source, order or 0, columns, destination, norms)."""
    source, order, columns = load_int(arguments, 0), load_int(arguments, 1), load_int(arguments, 2)
    destination, norms = load_int(arguments, 3), load_int(arguments, 4)
    for i in range(low, high):
        row = load_index(order, i) if order != 0 else i
        x, y = source + REALSIZE * row * columns, destination + REALSIZE * i * columns
        store_wide(norms, i, unit_row(x, y, columns))


@Template
def slopes_of_rows(phase, low, high, arguments, partial):
    """Slopes by the rows as they came, from slopes by those in order.

    (slope, order or 0, columns, unit rows or 0, norms, destination, a float: factor). Through the norm, the slope by x
    is (g - <g, u> u) / |x|; where |x| = 0 it is 0.
    """
    slope, order, columns = load_int(arguments, 0), load_int(arguments, 1), load_int(arguments, 2)
    units, norms, destination = load_int(arguments, 3), load_int(arguments, 4), load_int(arguments, 5)
    factor = load_double(arguments, 6)
    for i in range(low, high):
        row = load_index(order, i) if order != 0 else i
        g, y = slope + REALSIZE * i * columns, destination + REALSIZE * row * columns
        if units == 0:
            for d in range(columns):
                store(y, d, real(factor * np.float64(load(g, d))))
            continue
        u = units + REALSIZE * i * columns
        norm = load_wide(norms, i)
        along = 0.0
        for d in range(columns):
            along = add_wide(along, np.float64(load(g, d)) * np.float64(load(u, d)))
        inverse = factor / norm if norm != 0.0 else 0.0
        for d in range(columns):
            store(y, d, real((np.float64(load(g, d)) - along * np.float64(load(u, d))) * inverse))


@Template
def positive_logits(phase, low, high, arguments, partial):
    """The mean of x over the positives of each row, in float64: (a, b, columns, first, last, own, scale, sum, mean).

    a and b are the rows, D wide; where ``own`` is not 0 they are the same and a row is no positive of itself. ``sum``
    is room for D float64: of the rows of b between first and last, which rows of one label share.
    """
    a, b, columns = load_int(arguments, 0), load_int(arguments, 1), load_int(arguments, 2)
    firsts, lasts, own = load_int(arguments, 3), load_int(arguments, 4), load_int(arguments, 5)
    scale = load_double(arguments, 6)
    total, means = load_int(arguments, 7), load_int(arguments, 8)
    known = -1
    for i in range(low, high):
        first, last = load_index(firsts, i), load_index(lasts, i)
        count = last - first - np.int64(own != 0)
        if count <= 0:
            store_wide(means, i, 0.0)
            continue
        if first != known:
            for d in range(columns):
                store_wide(total, d, 0.0)
            for j in range(first, last):
                y = b + REALSIZE * j * columns
                for d in range(columns):
                    store_wide(total, d, load_wide(total, d) + np.float64(load(y, d)))
            known = first
        x = a + REALSIZE * i * columns
        product = 0.0
        for d in range(columns):
            xd = np.float64(load(x, d))
            others = load_wide(total, d) - xd if own != 0 else load_wide(total, d)
            product = add_wide(product, xd * others)
        store_wide(means, i, scale * product / count)


# Cross-entropy of rows.


@Template
def angle(a, b, columns, cosine, sine, edge, slip):
    """cos(theta + margin) of two unit rows and its slope by cos(theta); past pi - margin, cos(theta) - slip.

    Near 0 the cosine says little of the angle: there 1 - cos(theta) is half the squared distance of the rows.
    """
    dot = gap = 0.0
    for d in range(columns):
        x, y = np.float64(load(a, d)), np.float64(load(b, d))
        dot = add_wide(dot, x * y)
        gap = add_wide(gap, (x - y) * (x - y))
    c = min(1.0, max(-1.0, dot))
    rest = 0.5 * gap if c > 0.9 else 1.0 - c
    c = 1.0 - rest if c > 0.9 else c
    s = _sqrt(max(0.0, rest * (1.0 + c)))
    if c <= edge:
        return c - slip, 1.0
    return c * cosine - s * sine, cosine + (sine * c / s if s != 0.0 else 0.0)


@Template
def cross_entropy_rows(phase, low, high, arguments, partial):
    """log sum exp(x) less the mean over the positives; a row without positives is 0 and does not count.

    (tile, columns, firsts, lasts, weights, losses, gradient, scale, margin; a, b, D, cosine, sine, edge, slip)

    OTHERS: the positives are not among the terms of the sum. MARGIN: what is taken from the one positive's cosine
    (1) or added to its angle (2: a is then the strip's rows and b all columns'), or neither (0).

    A single positive t is kept out of the sum: the loss is log1p(rest / e_t) and the slope at t is -rest / total, to
    the last digit also where the rest is small beside it.
    """
    tile, columns = load_int(arguments, 0), load_int(arguments, 1)
    firsts, lasts = load_int(arguments, 2), load_int(arguments, 3)
    weights, losses = load_int(arguments, 4), load_int(arguments, 5)
    gradient = load_int(arguments, 6)
    total_loss = counted = 0.0
    for i in range(low, high):
        x = tile + REALSIZE * (i - low) * columns
        first, last = load_index(firsts, i), load_index(lasts, i)
        count = last - first
        loss = 0.0
        if count <= 0:
            if gradient != 0:
                fill(x, 0, columns, real(0.0))
        else:
            slope = 1.0
            if MARGIN == 1:
                moved = np.float64(load_tile(x, first)) - load_double(arguments, 7) * load_double(arguments, 8)
                store_tile(x, first, real(moved))
            if MARGIN == 2:
                width = load_int(arguments, 11)
                moved, slope = angle(
                    load_int(arguments, 9) + REALSIZE * (i - low) * width,
                    load_int(arguments, 10) + REALSIZE * first * width,
                    width,
                    load_double(arguments, 12),
                    load_double(arguments, 13),
                    load_double(arguments, 14),
                    load_double(arguments, 15),
                )
                store_tile(x, first, real(load_double(arguments, 7) * moved))
            positive = sum_of(x, first, last) / count
            hidden = OTHERS or count == 1
            if hidden:
                fill(x, first, last, -real(np.inf))
            top = largest(x, 0, columns)
            if OTHERS:
                shift = np.float64(top)
            else:
                shift = max(np.float64(top), positive) if hidden else np.float64(top)
            rest = exponentials(x, 0, columns, real(shift))
            own = _exp(positive - shift) if hidden and not OTHERS else 0.0
            total = rest + own
            loss = (shift - positive) + (_log1p(rest) if own == 1.0 else _log(total))
            if gradient != 0:
                weight = np.float64(load_real(weights, i)) if weights != 0 else 1.0
                multiply(x, 0, columns, real(weight / total))
                if hidden:
                    share = -1.0 if OTHERS else -rest / total
                    fill(x, first, last, real(slope * weight * share / count))
                else:
                    for j in range(first, last):
                        store_tile(x, j, load_tile(x, j) - real(weight / count))
            counted += 1.0
        total_loss += loss
        if losses != 0:
            store_real(losses, i, real(loss))
    store_double(partial, 0, total_loss)
    store_double(partial, 1, counted)
    store_int(partial, 2, -1)


# Cross-entropy of rows and columns at once, in two looks at the matrix.

#: Below every logit that is not masked, and finite: two of them may be subtracted.
LOWEST = -3.0e38


@Template
def marginals(phase, low, high, arguments, partial):
    """What a strip adds to the log-sum-exps of its rows and columns.

    (tile, columns, start, lasts or 0, firsts, row tops, row sums, column tops, column sums)

    Column 0 of the tile is column ``start`` of the matrix. The positives of a row are left out where there is one,
    and the row itself where rows are compared with each other (``LASTS`` is given: then only the columns past the
    strip's rows are columns of which the sums are wanted, as rows from ``start`` on have theirs from their own strip).
    Tops are of the arithmetic's type, sums float64 for rows; both begin at column ``start``.
    """
    tile, columns, start = load_int(arguments, 0), load_int(arguments, 1), load_int(arguments, 2)
    lasts, firsts = load_int(arguments, 3), load_int(arguments, 4)
    row_tops, row_sums = load_int(arguments, 5), load_int(arguments, 6)
    tops, sums = load_int(arguments, 7), load_int(arguments, 8)
    fill(tops, 0, columns, real(LOWEST))
    fill(sums, 0, columns, real(0.0))
    for i in range(low, high):
        x = tile + REALSIZE * (i - low) * columns
        if lasts == 0:
            store_tile(x, i - start, -real(np.inf))
        else:
            first, last = load_index(firsts, i), load_index(lasts, i)
            if last - first <= 2:
                fill(x, max(0, first - start), last - start, -real(np.inf))
            else:
                store_tile(x, i - start, -real(np.inf))
        # Loops of their own: one that both keeps a maximum and stores stays scalar.
        store_tile(row_tops, i - low, maxnum(largest(x, 0, columns), real(LOWEST)))
        for j in range(columns):
            store_tile(tops, j, maxnum(load_tile(tops, j), load_tile(x, j)))
    for i in range(low, high):
        x = tile + REALSIZE * (i - low) * columns
        top = load_tile(row_tops, i - low)
        total = 0.0
        for begin in range(0, columns, SHORT_SUM):
            part = real(0.0)
            for j in range(begin, min(columns, begin + SHORT_SUM)):
                part = accumulate(part, exp_softmax(load_tile(x, j) - top))
            total += np.float64(part)
        for j in range(columns):
            store_tile(sums, j, load_tile(sums, j) + exp_softmax(load_tile(x, j) - load_tile(tops, j)))
        store_wide(row_sums, i - low, total)


@Template
def merge_marginals(phase, low, high, arguments, partial):
    """Take (top, sum) of a strip into those of the whole: (tops, sums, strip's tops, strip's sums, sums are float64).

    The whole's are float64 arrays; entry 0 of the strip's is entry ``low`` of the whole.
    """
    tops, sums = load_int(arguments, 0), load_int(arguments, 1)
    more_tops, more_sums, wide = load_int(arguments, 2), load_int(arguments, 3), load_int(arguments, 4)
    for i in range(low, high):
        a, b = load_wide(tops, i), np.float64(load_tile(more_tops, i - low))
        s = load_wide(sums, i)
        t = load_wide(more_sums, i - low) if wide != 0 else np.float64(load_tile(more_sums, i - low))
        top = max(a, b)
        store_wide(tops, i, top)
        store_wide(sums, i, s * _exp(a - top) + t * _exp(b - top))


@Template
def finish_marginals(phase, low, high, arguments, partial):
    """From (top, sum) and the mean positive logit of each row: its loss, and what its coefficients are made of.

    (tops, sums, positives, firsts, lasts, own, weights, losses, log-sum-exps, factors, shares)

    The log-sum-exp, the weight of the row (0 without a positive), and the slope at each positive less the softmax there
    (all of it where there is one). ``own``: see positive_logits.
    """
    tops, sums, positives = load_int(arguments, 0), load_int(arguments, 1), load_int(arguments, 2)
    firsts, lasts, own = load_int(arguments, 3), load_int(arguments, 4), load_int(arguments, 5)
    weights, losses = load_int(arguments, 6), load_int(arguments, 7)
    lses, factors, shares = load_int(arguments, 8), load_int(arguments, 9), load_int(arguments, 10)
    total_loss = counted = 0.0
    for i in range(low, high):
        count = load_index(lasts, i) - load_index(firsts, i) - np.int64(own != 0)
        top, rest, positive = load_wide(tops, i), load_wide(sums, i), load_wide(positives, i)
        weight = np.float64(load_real(weights, i)) if weights != 0 else 1.0
        if count <= 0:
            store(lses, i, real(-LOWEST))
            store(factors, i, real(0.0))
            store(shares, i, real(0.0))
            if losses != 0:
                store_real(losses, i, real(0.0))
            continue
        if count == 1:
            shift = max(top, positive)
            rest = rest * _exp(top - shift)
            term = _exp(positive - shift)
            total = rest + term
            loss = (shift - positive) + (_log1p(rest) if term == 1.0 else _log(total))
            share = rest / total
        else:
            shift, total = top, rest
            loss = (shift - positive) + _log(total)
            share = 1.0 / count
        store(lses, i, real(shift + _log(total)))
        store(factors, i, real(weight))
        store(shares, i, real(weight * share))
        total_loss += loss
        counted += 1.0
        if losses != 0:
            store_real(losses, i, real(loss))
    store_double(partial, 0, total_loss)
    store_double(partial, 1, counted)
    store_int(partial, 2, -1)


@Template
def softmax_coefficients(phase, low, high, arguments, partial):
    """Replace x by the sum of the slopes of its row's and its column's loss.

    (tile, columns, start, firsts, lasts, own, row lses, factors, shares, column lses, factors, shares)

    Arrays of columns begin at column 0 of the matrix; otherwise as in ``marginals`` and ``finish_marginals``.
    """
    tile, columns, start = load_int(arguments, 0), load_int(arguments, 1), load_int(arguments, 2)
    firsts, lasts, own = load_int(arguments, 3), load_int(arguments, 4), load_int(arguments, 5)
    row_lses, row_factors, row_shares = load_int(arguments, 6), load_int(arguments, 7), load_int(arguments, 8)
    lses = load_int(arguments, 9) + REALSIZE * start
    factors = load_int(arguments, 10) + REALSIZE * start
    shares = load_int(arguments, 11) + REALSIZE * start
    for i in range(low, high):
        x = tile + REALSIZE * (i - low) * columns
        lse, factor, share = load(row_lses, i), load(row_factors, i), load(row_shares, i)
        for j in range(columns):
            xj = load_tile(x, j)
            by_row = factor * exp_softmax(xj - lse)
            store_tile(x, j, fma(load(factors, j), exp_softmax(xj - load(lses, j)), by_row))
        first, last = max(0, load_index(firsts, i) - start), load_index(lasts, i) - start
        single = load_index(lasts, i) - load_index(firsts, i) - np.int64(own != 0) <= 1
        for j in range(first, last):
            softmaxes = real(0.0) if single else load_tile(x, j)
            store_tile(x, j, softmaxes - share - load(shares, j))
        if own != 0:
            store_tile(x, i - start, real(0.0))


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
        nearest = infinity
        for j in range(first, last):
            nearest = minnum(nearest, load_tile(x, j))
        farthest = maxnum(largest(x, 0, first), largest(x, last, columns))
        if mining != 0:
            high_p, low_n = real(np.float64(farthest) + epsilon), real(np.float64(nearest) - epsilon)
            counted += np.float64(counts)
            counts = counts and nearest < high_p
        else:
            high_p, low_n = infinity, -infinity
            counted += np.float64(counts)
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
    top = -real(np.inf)
    for j in range(first, last):
        top = maxnum(top, circle_logit(load_tile(x, j), sign, gamma, margin)[0])
    return top


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


# Every similarity a loss of its own.


@Template
def sigmoid_rows(phase, low, high, arguments, partial):
    """softplus(x + bias) of every column but that of the row's number, whose loss is softplus(-x - bias).

    (tile, columns, weights, losses, gradient, bias, sums of the slopes)
    """
    tile, columns = load_int(arguments, 0), load_int(arguments, 1)
    weights, losses, gradient = load_int(arguments, 2), load_int(arguments, 3), load_int(arguments, 4)
    bias, slope_sums = load_double(arguments, 5), load_int(arguments, 6)
    zero, one, shift = real(0.0), real(1.0), real(bias)
    total_loss = 0.0
    for i in range(low, high):
        x = tile + REALSIZE * (i - low) * columns
        own = np.float64(load_tile(x, i)) + bias
        store_tile(x, i, -real(np.inf))
        weight = real(1.0)
        if weights != 0:
            weight = load_real(weights, i)
        e = _exp(-abs(own))
        loss = max(-own, 0.0) + _log1p(e)
        share = -(e if own >= 0.0 else 1.0) / (1.0 + e)
        slopes = share
        for start in range(0, columns, SHORT_SUM):
            part = slope_part = zero
            stop = min(columns, start + SHORT_SUM)
            if gradient != 0:
                for j in range(start, stop):
                    xj = load_tile(x, j) + shift
                    small = exp_nonpositive(-fabs(xj))
                    part = accumulate(part, maximum(xj, zero) + log1p_unit(small))
                    slope = select(xj < zero, small, one) / (one + small)
                    slope_part = accumulate(slope_part, slope)
                    store_tile(x, j, weight * slope)
            else:
                for j in range(start, stop):
                    part = accumulate(part, softplus(load_tile(x, j) + shift))
            loss += np.float64(part)
            slopes += np.float64(slope_part)
        if gradient != 0:
            store_tile(x, i, real(np.float64(weight) * share))
            store_wide(slope_sums, i, np.float64(weight) * slopes)
        total_loss += loss
        if losses != 0:
            store_real(losses, i, real(loss))
    store_double(partial, 0, total_loss)
    store_double(partial, 1, np.float64(high - low))
    store_int(partial, 2, -1)


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
                for d in range(width):
                    gap = np.float64(load(a, d)) - np.float64(load(b, d))
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
