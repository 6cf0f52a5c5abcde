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
    lowest = -real(np.inf)
    top = ordinal(lowest)
    for j in range(first, last):
        xj = load_tile(x, j)
        top = later(top, ordinal(select(xj == xj, xj, lowest)))
    return from_ordinal(top)


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
    largest_size = ordinal(real(0.0))
    for d in range(columns):
        largest_size = later(largest_size, ordinal(fabs(load(x, d))))
    top = from_ordinal(largest_size)
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
