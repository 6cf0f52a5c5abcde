"""Distances between rows: what prepares rows for matrix products, corrects them, and what needs no product.

A matrix product gives |a - b|^2 = |a|^2 + |b|^2 - 2 a.b of many pairs at once, with an error of up to D ulps of |a|^2 +
|b|^2. Rows are centred and scaled for it (``centre``), which no distance notices. What must be better than that is
computed directly (``between``) from the rows as they came, each times its own scale, in float64: near-duplicates are
exact then, and duplicates have a distance of exactly 0.

Items ``low`` to ``high`` of a kernel are rows. Kernels of a pair of matrices have the slots below in common.
"""

import math

import numpy as np

from fastloss.kernels.build_cpu import Template, rounded
from fastloss.kernels.math_cpu import MATH
from fastloss.kernels.memory_cpu import ACCUMULATE, load_double, load_int

INF, NAN = math.inf, math.nan
#: Columns that are looked at together: a pass without branches says whether one of them needs a second look.
BLOCK = 128

# Slots: rows x and y with the scale of each row (float64), what is added to its squares (float64), its centred square
# and what its distance to any other may be off by; the number of elements and of rows of y; products of centred rows,
# from row ``low`` on; below which share of both squares a squared distance is computed directly; gradients by x and y,
# 0 for one that nobody wants. Kernels have slots of their own from OWN on.
(
    X,
    SCALES_X,
    EXTRAS_X,
    SQUARES_X,
    Y,
    SCALES_Y,
    EXTRAS_Y,
    SQUARES_Y,
    WIDTH,
    COLUMNS,
    PRODUCTS,
    BOUND,
    BY_X,
    BY_Y,
    OWN,
) = range(15)

_add = ACCUMULATE["float64"]
_abs, _max, _select, _sign, _sqrt = (
    MATH["float64"][name] for name in ("fabs", "maximum", "select", "copysign", "sqrt")
)
_pow = MATH["float64"]["pow"]


# Rows.


@Template
def measure(phase, low, high, arguments, partial):
    """The largest absolute element of each row, NaN where it holds one. Slots: x, D, result (float64)."""
    x, width, result = load_int(arguments, 0), load_int(arguments, 1), load_int(arguments, 2)
    for i in range(low, high):
        top = ordinal(real(0.0))
        for k in range(width):
            top = later(top, ordinal(fabs(load_real(x, i * width + k))))
        store_wide(result, i, np.float64(from_ordinal(top)))


@Template
def centre(phase, low, high, arguments, partial):
    """Rows times a scale, minus a centre; and their squares.

    Slots: x, D, what ``measure`` found, centre (float64), whether rows become unit vectors, scale (of rows that do
    not), scales (float64: that of each row), rows, squares. Rows that are not finite become 0, their squares NaN.
    """
    x, width = load_int(arguments, 0), load_int(arguments, 1)
    tops, middle, unit, common = (
        load_int(arguments, 2),
        load_int(arguments, 3),
        load_int(arguments, 4),
        load_double(arguments, 5),
    )
    scales, rows, squares = load_int(arguments, 6), load_int(arguments, 7), load_int(arguments, 8)
    for i in range(low, high):
        scale, top = common, load_wide(tops, i)
        finite = top < INF
        if unit:
            # By the largest element first: squares of numbers up to 1 neither overflow nor vanish.
            near = 1.0 / _max(top, 1e-300)
            total = 0.0
            for k in range(width):
                element = near * np.float64(load_real(x, i * width + k))
                total = _add(total, element * element)
            scale = _select(top > 0.0, near / _sqrt(total), 0.0)
        store_wide(scales, i, scale)
        total = 0.0
        for k in range(width):
            element = scale * np.float64(load_real(x, i * width + k)) - load_wide(middle, k)
            element = _select(finite, element, 0.0)
            store_real(rows, i * width + k, real(element))
            total = _add(total, element * element)
        store_real(squares, i, real(_select(finite, total, NAN)))


@Template
def through_units(phase, low, high, arguments, partial):
    """From gradients by unit vectors u = s x to those by the rows x: s (g - (g.u) u). Slots: x, scales, D, gradient."""
    x, scales = load_int(arguments, 0), load_int(arguments, 1)
    width, gradient = load_int(arguments, 2), load_int(arguments, 3)
    for i in range(low, high):
        s, along = load_wide(scales, i), 0.0
        for k in range(width):
            g = np.float64(load_tile(gradient, i * width + k))
            along = _add(along, g * (s * np.float64(load_real(x, i * width + k))))
        for k in range(width):
            g = np.float64(load_tile(gradient, i * width + k))
            u = s * np.float64(load_real(x, i * width + k))
            store_tile(gradient, i * width + k, real(s * (g - along * u)))


# Pairs of rows, directly.


@rounded
def difference(x, i, s, y, j, t):
    # Rounded products: those of duplicates differ by exactly 0.
    return s * np.float64(load_real(x, i)) - t * np.float64(load_real(y, j))


@Template
def between(arguments, i, j):
    """The squared distance of two rows, in float64."""
    x, y, width = load_int(arguments, X), load_int(arguments, Y), load_int(arguments, WIDTH)
    s, t = load_wide(load_int(arguments, SCALES_X), i), load_wide(load_int(arguments, SCALES_Y), j)
    total = 0.0
    for k in range(width):
        d = difference(x, i * width + k, s, y, j * width + k, t)
        total = _add(total, d * d)
    return total + load_wide(load_int(arguments, EXTRAS_X), i) + load_wide(load_int(arguments, EXTRAS_Y), j)


@Template
def add_pair(arguments, i, j, v):
    """Add v (a - b) to the gradient of a, and its opposite to that of b."""
    x, y, width = load_int(arguments, X), load_int(arguments, Y), load_int(arguments, WIDTH)
    s, t = load_wide(load_int(arguments, SCALES_X), i), load_wide(load_int(arguments, SCALES_Y), j)
    by_x, by_y = load_int(arguments, BY_X), load_int(arguments, BY_Y)
    if by_x != 0:
        for k in range(width):
            step = v * difference(x, i * width + k, s, y, j * width + k, t)
            store_tile(by_x, i * width + k, real(np.float64(load_tile(by_x, i * width + k)) + step))
    if by_y != 0:
        for k in range(width):
            step = v * difference(x, i * width + k, s, y, j * width + k, t)
            store_tile(by_y, j * width + k, real(np.float64(load_tile(by_y, j * width + k)) - step))


@Template
def squares_of_pairs(phase, low, high, arguments, partial):
    """Squared distances of listed pairs. Slots: rows of x, rows of y, result (float64)."""
    rows, columns = load_int(arguments, OWN), load_int(arguments, OWN + 1)
    result = load_int(arguments, OWN + 2)
    for e in range(low, high):
        store_wide(result, e, between(arguments, load_index(rows, e), load_index(columns, e)))


@Template
def group(phase, low, high, arguments, partial):
    """Sort edges ``low`` to ``high`` by their row, in order: a counting sort.

    Slots: rows, others, v (float64), where each row's edges end (to be; zeros, one more than rows), sorted others,
    sorted v, number of rows.
    """
    rows, others, weights = load_int(arguments, 0), load_int(arguments, 1), load_int(arguments, 2)
    ends, sorted_others, sorted_weights = load_int(arguments, 3), load_int(arguments, 4), load_int(arguments, 5)
    for e in range(low, high):
        i = load_index(rows, e) + 1
        store_wide_index(ends, i, load_wide_index(ends, i) + 1)
    total = 0
    for i in range(load_int(arguments, 6)):
        total += load_wide_index(ends, i)
        store_wide_index(ends, i, total)
    # Where the next edge of each row goes: in the end, where its edges end.
    for e in range(low, high):
        i = load_index(rows, e)
        place = load_wide_index(ends, i)
        store_wide_index(ends, i, place + 1)
        store_wide_index(sorted_others, place, load_index(others, e))
        store_wide(sorted_weights, place, load_double(weights, e))


@Template
def spread(phase, low, high, arguments, partial):
    """Add to each row's gradient, BY_X, the sum of v (its row - another's) over the edges that belong to it.

    Slots: where each row's edges end (as ``group`` leaves it), the row of y at the other end of each, v (float64), a
    buffer of D numbers (float64).
    """
    x, scales_x, y, scales_y = (
        load_int(arguments, X),
        load_int(arguments, SCALES_X),
        load_int(arguments, Y),
        load_int(arguments, SCALES_Y),
    )
    width, gradient = load_int(arguments, WIDTH), load_int(arguments, BY_X)
    ends, others = load_int(arguments, OWN), load_int(arguments, OWN + 1)
    weights, buffer = load_int(arguments, OWN + 2), load_int(arguments, OWN + 3)
    for i in range(low, high):
        begin, end = 0, load_index(ends, i)
        if i > 0:
            begin = load_index(ends, i - 1)
        if begin == end:
            continue
        for k in range(width):
            store_wide(buffer, k, np.float64(load_tile(gradient, i * width + k)))
        s = load_wide(scales_x, i)
        for e in range(begin, end):
            j = load_index(others, e)
            t, v = load_wide(scales_y, j), load_double(weights, e)
            for k in range(width):
                d = difference(x, i * width + k, s, y, j * width + k, t)
                store_wide(buffer, k, load_wide(buffer, k) + v * d)
        for k in range(width):
            store_tile(gradient, i * width + k, real(load_wide(buffer, k)))


# Distances from products. ROOT: the distance is factor * sqrt(square), else factor * square.


@Template
def trusts(square, both, bound):
    # False for NaN, the mark of rows that are not finite.
    return square > bound * both


@Template
def finish(phase, low, high, arguments, partial):
    """Rows of distances from rows of products. Slots: factor, result (from row ``low`` on)."""
    products, columns = load_int(arguments, PRODUCTS), load_int(arguments, COLUMNS)
    squares_x, squares_y = load_int(arguments, SQUARES_X), load_int(arguments, SQUARES_Y)
    bound, factor = real(load_double(arguments, BOUND)), load_double(arguments, OWN)
    result, narrow = load_int(arguments, OWN + 1), real(factor)
    for i in range(low, high):
        row, out = products + (i - low) * columns * REALSIZE, result + (i - low) * columns * REALSIZE
        own = load_real(squares_x, i)
        for begin in range(0, columns, BLOCK):
            end = min(begin + BLOCK, columns)
            trusted = real(0.0)
            for j in range(begin, end):
                both = own + load_real(squares_y, j)
                square = both - real(2.0) * load_tile(row, j)
                trusted = accumulate(trusted, select(trusts(square, both, bound), real(1.0), real(0.0)))
                if ROOT:
                    square = sqrt(select(square > real(0.0), square, real(0.0)))
                store_real(out, j, narrow * square)
            if trusted == real(end - begin):
                continue
            for j in range(begin, end):
                both = own + load_real(squares_y, j)
                if not trusts(both - real(2.0) * load_tile(row, j), both, bound):
                    exact = between(arguments, i, j)
                    if ROOT:
                        exact = _sqrt(exact)
                    store_real(out, j, real(factor * exact))


@Template
def weigh(phase, low, high, arguments, partial):
    """From products to the weights v of the sum over pairs of v |a - b|^2 / 2, in their place.

    Pairs that would cancel get the weight 0 and are added to the gradients here. Slots: slope (v for an upstream
    gradient of 1 and, with ROOT, a distance of 1), upstream (from row ``low`` on), the sums of weights by row and by
    column (float64; the latter are added to).
    """
    products, columns = load_int(arguments, PRODUCTS), load_int(arguments, COLUMNS)
    squares_x, squares_y = load_int(arguments, SQUARES_X), load_int(arguments, SQUARES_Y)
    bound, slope = real(load_double(arguments, BOUND)), load_double(arguments, OWN)
    upstream, narrow = load_int(arguments, OWN + 1), real(slope)
    row_sums, column_sums = load_int(arguments, OWN + 2), load_int(arguments, OWN + 3)
    for i in range(low, high):
        row, above = products + (i - low) * columns * REALSIZE, upstream + (i - low) * columns * REALSIZE
        own = load_real(squares_x, i)
        total = 0.0
        for begin in range(0, columns, BLOCK):
            end = min(begin + BLOCK, columns)
            trusted = real(0.0)
            for j in range(begin, end):
                both = own + load_real(squares_y, j)
                square = both - real(2.0) * load_tile(row, j)
                trusted = accumulate(trusted, select(trusts(square, both, bound), real(1.0), real(0.0)))
            if trusted != real(end - begin):
                for j in range(begin, end):
                    both = own + load_real(squares_y, j)
                    if not trusts(both - real(2.0) * load_tile(row, j), both, bound):
                        wide = slope * np.float64(load_real(above, j))
                        if ROOT:
                            exact = between(arguments, i, j)
                            wide = _select(exact == 0.0, 0.0, wide / _sqrt(exact))
                        add_pair(arguments, i, j, wide)
            for j in range(begin, end):
                both = own + load_real(squares_y, j)
                square = both - real(2.0) * load_tile(row, j)
                trust = trusts(square, both, bound)
                v = narrow * load_real(above, j)
                if ROOT:
                    v = v / sqrt(select(trust, square, real(1.0)))
                v = select(trust, v, real(0.0))
                store_tile(row, j, v)
                total = _add(total, np.float64(v))
                store_wide(column_sums, j, load_wide(column_sums, j) + np.float64(v))
        store_wide(row_sums, i, total)


# The norms that no product gives, in float64. KIND is one of those below; p is read by POWER alone.

COUNT, SUM, ROOT_OF_SQUARES, LARGEST, POWER = range(5)
_LEAST, _MOST = 1e-290, 1e290


@Template
def element(x, i, y, j, eps):
    return np.float64(load_real(x, i)) - np.float64(load_real(y, j)) + eps


@Template
def norm(x, i, y, j, width, eps, p):
    """Of x_i - y_j + eps."""
    total = 0.0
    if KIND == COUNT:
        for k in range(width):
            total = _add(total, _select(element(x, i + k, y, j + k, eps) != 0.0, 1.0, 0.0))
    elif KIND == SUM:
        for k in range(width):
            total = _add(total, _abs(element(x, i + k, y, j + k, eps)))
    elif KIND == ROOT_OF_SQUARES:
        for k in range(width):
            d = element(x, i + k, y, j + k, eps)
            total = _add(total, d * d)
        if (total > _LEAST) & (total < _MOST):
            return _sqrt(total)
    if (KIND == COUNT) | (KIND == SUM):
        return total
    # Powers of numbers up to 1 neither overflow nor vanish together.
    top = 0.0
    for k in range(width):
        top = _max(top, _abs(element(x, i + k, y, j + k, eps)))
    if (KIND == LARGEST) | (top == 0.0) | (not top < INF):
        return top
    total = 0.0
    for k in range(width):
        d = _abs(element(x, i + k, y, j + k, eps)) / top
        if KIND == ROOT_OF_SQUARES:
            total = _add(total, d * d)
        else:
            total = _add(total, _pow(d, p))
    if KIND == ROOT_OF_SQUARES:
        return top * _sqrt(total)
    return top * _pow(total, 1.0 / p)


@Template
def slope(d, value, scale, p):
    """The derivative of a norm of this value by an element d of the vector, times ``scale``."""
    if KIND == COUNT:
        return 0.0
    if KIND == SUM:
        return _select(d == 0.0, 0.0, _sign(1.0, d) * scale)
    if KIND == ROOT_OF_SQUARES:
        return _select(value == 0.0, 0.0, scale * (d / value))
    if KIND == LARGEST:
        return _select((_abs(d) == value) & (d != 0.0), _sign(1.0, d) * scale, 0.0)
    return _select((d == 0.0) | (value == 0.0), 0.0, _sign(1.0, d) * scale * _pow(_abs(d) / value, p - 1.0))


@Template
def norms(phase, low, high, arguments, partial):
    """Norms of all differences of two rows. Slots: x, y, D, rows of y, p, result (from row ``low`` on)."""
    x, y, width, columns = (
        load_int(arguments, 0),
        load_int(arguments, 1),
        load_int(arguments, 2),
        load_int(arguments, 3),
    )
    p, result = load_double(arguments, 4), load_int(arguments, 5)
    for j in range(columns):  # a row of y meets all rows of the strip while it is in the cache
        for i in range(low, high):
            store_real(result, (i - low) * columns + j, real(norm(x, i * width, y, j * width, width, 0.0, p)))


@Template
def norm_slopes(phase, low, high, arguments, partial):
    """The gradient by x of the norms of all differences.

    Slots: x, y, D, rows of y, p, upstream gradient and its strides by row of x and of y, buffer of D numbers (float64),
    gradient.
    """
    x, y, width, columns = (
        load_int(arguments, 0),
        load_int(arguments, 1),
        load_int(arguments, 2),
        load_int(arguments, 3),
    )
    p, upstream = load_double(arguments, 4), load_int(arguments, 5)
    step_x, step_y = load_int(arguments, 6), load_int(arguments, 7)
    buffer, gradient = load_int(arguments, 8), load_int(arguments, 9)
    for i in range(low, high):
        for k in range(width):
            store_wide(buffer, k, 0.0)
        for j in range(columns):
            scale, value = np.float64(load_real(upstream, i * step_x + j * step_y)), 1.0
            if (KIND != COUNT) & (KIND != SUM):
                value = norm(x, i * width, y, j * width, width, 0.0, p)
            for k in range(width):
                d = element(x, i * width + k, y, j * width + k, 0.0)
                store_wide(buffer, k, load_wide(buffer, k) + slope(d, value, scale, p))
        for k in range(width):
            store_real(gradient, i * width + k, real(load_wide(buffer, k)))


@Template
def norms_of_rows(phase, low, high, arguments, partial):
    """Norms of x_i - y_i + eps and their gradients. Slots: x, y, D, eps, p, result, upstream gradient, gradients by x
    and y; the last four 0 where there is none. Of several largest elements each has its share of the slope."""
    x, y, width = load_int(arguments, 0), load_int(arguments, 1), load_int(arguments, 2)
    eps, p, result = load_double(arguments, 3), load_double(arguments, 4), load_int(arguments, 5)
    upstream, by_x, by_y = load_int(arguments, 6), load_int(arguments, 7), load_int(arguments, 8)
    for i in range(low, high):
        first = i * width
        value = norm(x, first, y, first, width, eps, p)
        if result != 0:
            store_real(result, i, real(value))
        if (by_x == 0) & (by_y == 0):
            continue
        scale = 1.0
        if upstream != 0:
            scale = np.float64(load_real(upstream, i))
        if KIND == LARGEST:
            share = 0.0
            for k in range(width):
                share = _add(share, _select(_abs(element(x, first + k, y, first + k, eps)) == value, 1.0, 0.0))
            scale = scale / _max(share, 1.0)
        if by_x != 0:
            for k in range(width):
                d = element(x, first + k, y, first + k, eps)
                store_real(by_x, first + k, real(slope(d, value, scale, p)))
        if by_y != 0:
            for k in range(width):
                d = element(x, first + k, y, first + k, eps)
                store_real(by_y, first + k, real(-slope(d, value, scale, p)))
