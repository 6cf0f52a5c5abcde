"""Triplets mined from rows of products, while these are in the cache.

A key is the squared distance of an anchor to another row, less the anchor's own square: what the product gives at the
cost of one multiplication. Keys choose candidates, all that lie within what rounding may have done to them (SLACK) of
the best; among those the squared distance computed directly decides, and of equal ones the lowest index.

Labels are numbered; they are compared as floating-point numbers beside the keys, which are as wide.
"""

import numpy as np

from fastloss.kernels.build_cpu import Template
from fastloss.kernels.distances_cpu import (
    BLOCK,
    BOUND,
    COLUMNS,
    INF,
    NAN,
    OWN,
    PRODUCTS,
    SQUARES_X,
    SQUARES_Y,
    add_pair,
    between,
    trusts,
)
from fastloss.kernels.math_cpu import MATH
from fastloss.kernels.memory_cpu import ACCUMULATE, load_double, load_int

# Slots: numbered labels of x and y (floating); twice what a key of each row of x may be off by (float64); whether x and
# y are the same rows, so that each has itself as a neighbour. From FREE on, the kernel's own.
LABELS_X, LABELS_Y, SLACK, SAME, FREE = range(OWN, OWN + 5)

_add = ACCUMULATE["float64"]
_select, _sqrt, _max = (MATH["float64"][name] for name in ("select", "sqrt", "maximum"))


@Template
def key_of(squares_y, row, j):
    return load_real(squares_y, j) - real(2.0) * load_tile(row, j)


#: Integers up to here are float32 numbers.
EXACT = 1 << 24

# Hard and easy: of every anchor, the farthest (EASY: the nearest) positive and the nearest negative.


@Template
def extremes(phase, low, high, arguments, partial):
    """Slots, of every row of x: positive, negative (-1: there is none), and their squared distances (float64).

    One look at a row finds the two best keys, another how many rounding may have put behind them, and the sum of their
    columns: mostly that is the column of one. Both are sums and extremes over the whole row without a branch.
    """
    products, columns, squares_y = (
        load_int(arguments, PRODUCTS),
        load_int(arguments, COLUMNS),
        load_int(arguments, SQUARES_Y),
    )
    labels_x, labels_y = load_int(arguments, LABELS_X), load_int(arguments, LABELS_Y)
    slack, same = load_int(arguments, SLACK), load_int(arguments, SAME)
    positives, negatives = load_int(arguments, FREE), load_int(arguments, FREE + 1)
    positive_squares, negative_squares = load_int(arguments, FREE + 2), load_int(arguments, FREE + 3)
    none, infinite, one, zero = real(INF if EASY else -INF), real(INF), real(1.0), real(0.0)
    for i in range(low, high):
        row = products + (i - low) * columns * REALSIZE
        label = load_real(labels_x, i)
        if same != 0:
            store_tile(row, i, -none)  # its key is ``none``
        best_rank, nearest_rank = ordinal(none), ordinal(infinite)
        for j in range(columns):
            key = key_of(squares_y, row, j)
            alike = load_real(labels_y, j) == label
            rank = ordinal(select(alike & (key == key), key, none))
            best_rank = earlier(best_rank, rank) if EASY else later(best_rank, rank)
            nearest_rank = earlier(nearest_rank, ordinal(select(alike | (key != key), infinite, key)))
        best, nearest = from_ordinal(best_rank), from_ordinal(nearest_rank)
        room = real(load_wide(slack, i))
        limit, bound = best + room if EASY else best - room, nearest + room
        positive_count, positive_sum, negative_count, negative_sum = zero, zero, zero, zero
        for j in range(columns):
            key = key_of(squares_y, row, j)
            alike = load_real(labels_y, j) == label
            positive_wins = select(alike & ((key <= limit) if EASY else (key >= limit)), one, zero)
            negative_wins = select((not alike) & (key <= bound), one, zero)
            positive_count = accumulate(positive_count, positive_wins)
            positive_sum = accumulate(positive_sum, positive_wins * real(np.int32(j)))
            negative_count = accumulate(negative_count, negative_wins)
            negative_sum = accumulate(negative_sum, negative_wins * real(np.int32(j)))
        positive, negative = -1, -1
        square, negative_square = INF if EASY else -1.0, INF
        if best != none:
            if (positive_count == one) & (columns < EXACT):
                positive = np.int64(positive_sum)
                square = between(arguments, i, positive)
            else:
                for j in range(columns):
                    if load_real(labels_y, j) == label:
                        key = key_of(squares_y, row, j)
                        if (key <= limit) if EASY else (key >= limit):
                            exact = between(arguments, i, j)
                            if (exact < square) if EASY else (exact > square):
                                positive, square = j, exact
        if nearest != infinite:
            if (negative_count == one) & (columns < EXACT):
                negative = np.int64(negative_sum)
                negative_square = between(arguments, i, negative)
            else:
                for j in range(columns):
                    if key_of(squares_y, row, j) <= bound:
                        if load_real(labels_y, j) != label:
                            exact = between(arguments, i, j)
                            if exact < negative_square:
                                negative, negative_square = j, exact
        store_wide_index(positives, i, positive)
        store_wide(positive_squares, i, square)
        store_wide_index(negatives, i, negative)
        store_wide(negative_squares, i, negative_square)


# Semi-hard and all: every positive of every anchor, and the anchor's negatives sorted by their keys.
#
# Slots: where each label's rows of y start among the members (and one more), the members (rows of y by label, in their
# order), sorted keys (``order_keys``), how much a unit of theirs is, squared distances known (float64, a buffer of y's
# length).
STARTS, MEMBERS, SORTED, QUANTUM, KNOWN = range(FREE, FREE + 5)
#: Bits of a sorted key that hold the column.
INDEX_BITS = 32
INDEX_MASK = (1 << INDEX_BITS) - 1


@Template
def order_keys(phase, low, high, arguments, partial):
    """Keys of negatives as integers that sort like them, the column in their lower half; others sort last."""
    products, columns, squares_y = (
        load_int(arguments, PRODUCTS),
        load_int(arguments, COLUMNS),
        load_int(arguments, SQUARES_Y),
    )
    labels_x, labels_y = load_int(arguments, LABELS_X), load_int(arguments, LABELS_Y)
    result, units = load_int(arguments, SORTED), 1.0 / load_double(arguments, QUANTUM)
    for i in range(low, high):
        row, out = products + (i - low) * columns * REALSIZE, result + (i - low) * columns * 8
        label = load_real(labels_x, i)
        for j in range(columns):
            number = np.int64(np.float64(key_of(squares_y, row, j)) * units)
            if load_real(labels_y, j) == label:
                number = np.int64(0x7FFFFFFF)
            store_wide_index(out, j, (number << INDEX_BITS) | j)


@Template
def sorted_key(keys, r, quantum):
    return np.float64(load_wide_index(keys, r) >> INDEX_BITS) * quantum


@Template
def first_from(keys, count, quantum, limit):
    """The place of the first key that is not below the limit."""
    low, high = 0, count
    while low < high:
        middle = (low + high) >> 1
        if sorted_key(keys, middle, quantum) < limit:
            low = middle + 1
        else:
            high = middle
    return low


@Template
def known_square(arguments, known, i, j):
    """The squared distance, computed once an anchor."""
    square = load_wide(known, j)
    if square != square:
        square = between(arguments, i, j)
        store_wide(known, j, square)
    return square


@Template
def farthest(arguments, known, keys, count, quantum, room, i):
    """The column of the farthest negative."""
    limit = sorted_key(keys, count - 1, quantum) - room
    found, square, r = -1, -1.0, count - 1
    while r >= 0:
        if sorted_key(keys, r, quantum) < limit:
            break
        j = load_wide_index(keys, r) & INDEX_MASK
        exact = known_square(arguments, known, i, j)
        if (exact > square) | ((exact == square) & (j < found)):
            found, square = j, exact
        r -= 1
    return found


@Template
def semihard(phase, low, high, arguments, partial):
    """Of every anchor and positive, the nearest negative that is farther; where none is, the farthest.

    Slots: where each anchor's pairs start, less the first of them; of each pair: positive, negative, their squared
    distances (float64). A label without negatives has no pairs.
    """
    columns = load_int(arguments, COLUMNS)
    labels_x, slack, same = load_int(arguments, LABELS_X), load_int(arguments, SLACK), load_int(arguments, SAME)
    squares_x = load_int(arguments, SQUARES_X)
    starts, members, known = load_int(arguments, STARTS), load_int(arguments, MEMBERS), load_int(arguments, KNOWN)
    quantum, offsets, first = (
        load_double(arguments, QUANTUM),
        load_int(arguments, KNOWN + 1),
        load_int(arguments, KNOWN + 2),
    )
    positives, negatives = load_int(arguments, KNOWN + 3), load_int(arguments, KNOWN + 4)
    positive_squares, negative_squares = load_int(arguments, KNOWN + 5), load_int(arguments, KNOWN + 6)
    for i in range(low, high):
        keys = load_int(arguments, SORTED) + (i - low) * columns * 8
        label = np.int64(load_real(labels_x, i))
        begin, end = load_index(starts, label), load_index(starts, label + 1)
        count = columns - (end - begin)
        pair = load_index(offsets, i) - first
        if load_index(offsets, i + 1) - first == pair:
            continue
        room, own = load_wide(slack, i), np.float64(load_real(squares_x, i))
        for j in range(columns):
            store_wide(known, j, NAN)
        last = -1
        for m in range(begin, end):
            p = load_index(members, m)
            if (same != 0) & (p == i):
                continue
            threshold = between(arguments, i, p)
            r = first_from(keys, count, quantum, threshold - own - room)
            found, square, limit = -1, INF, INF
            while r < count:
                key = sorted_key(keys, r, quantum)
                if key > limit:
                    break
                j = load_wide_index(keys, r) & INDEX_MASK
                exact = known_square(arguments, known, i, j)
                if exact > threshold:
                    if (exact < square) | ((exact == square) & (j < found)):
                        found, square = j, exact
                    if limit == INF:
                        limit = key + room  # whoever is nearer than this one has a key below
                r += 1
            if found < 0:
                if last < 0:
                    last = farthest(arguments, known, keys, count, quantum, room, i)
                found = last
                square = known_square(arguments, known, i, found)
            store_wide_index(positives, pair, p)
            store_wide_index(negatives, pair, found)
            store_wide(positive_squares, pair, threshold)
            store_wide(negative_squares, pair, square)
            pair += 1


# All triplets. ROOT: the distance is factor * sqrt(square), else factor * square. Where gradients are wanted, products
# give way to the weights v of the sum over pairs of v |a - b|^2 / 2, but for pairs whose squares cancel: those are
# added to BY_X and BY_Y directly.
#
# Slots: margin, factor, slope (v for a weight of 1 and, with ROOT, a distance of 1), upstream gradient by anchor
# (float64) or 0; sums of losses by anchor (float64), numbers of positive ones (int64), sums of v by row (float64; 0
# where no gradients are wanted) and by column (float64; added to), then buffers (float64, one longer than a row of
# products).
MARGIN, FACTOR, SLOPE, UPSTREAM, SUMS, COUNTS, ROW_SUMS, COLUMN_SUMS, BUFFER_1, BUFFER_2, BUFFER_3, BUFFER_4 = range(
    KNOWN + 1, KNOWN + 13
)


@Template
def distance_of(square, factor):
    if ROOT:
        return factor * _sqrt(square)
    return factor * square


@Template
def square_from(arguments, row, i, j):
    """The squared distance by the product, or directly where that would cancel."""
    squares_y, own = load_int(arguments, SQUARES_Y), load_real(load_int(arguments, SQUARES_X), i)
    both = own + load_real(squares_y, j)
    square = both - real(2.0) * load_tile(row, j)
    if trusts(square, both, real(load_double(arguments, BOUND))):
        return np.float64(square)
    return between(arguments, i, j)


@Template
def settle(arguments, row, i, j, square, weight):
    """Give a pair its weight, in place of the product or in the gradients; what it adds to the sums of weights."""
    squares_y, own = load_int(arguments, SQUARES_Y), load_real(load_int(arguments, SQUARES_X), i)
    v = weight * load_double(arguments, SLOPE)
    if ROOT:
        v = _select(square > 0.0, v / _sqrt(square), 0.0)
    both = own + load_real(squares_y, j)
    if trusts(both - real(2.0) * load_tile(row, j), both, real(load_double(arguments, BOUND))):
        narrow = real(v)
        store_tile(row, j, narrow)
        sums = load_int(arguments, COLUMN_SUMS)
        store_wide(sums, j, load_wide(sums, j) + np.float64(narrow))
        return np.float64(narrow)
    store_tile(row, j, real(0.0))
    if v != 0.0:
        add_pair(arguments, i, j, v)
    return 0.0


@Template
def every_hinge(phase, low, high, arguments, partial):
    """The hinge of all triplets: for every positive, the negatives that are nearer than it is and the margin."""
    products, columns = load_int(arguments, PRODUCTS), load_int(arguments, COLUMNS)
    labels_x, slack, same = load_int(arguments, LABELS_X), load_int(arguments, SLACK), load_int(arguments, SAME)
    starts, members, known = load_int(arguments, STARTS), load_int(arguments, MEMBERS), load_int(arguments, KNOWN)
    margin, factor = load_double(arguments, MARGIN), load_double(arguments, FACTOR)
    upstream, sums, counts = load_int(arguments, UPSTREAM), load_int(arguments, SUMS), load_int(arguments, COUNTS)
    row_sums = load_int(arguments, ROW_SUMS)
    distances, running = load_int(arguments, BUFFER_1), load_int(arguments, BUFFER_2)
    singles, prefixes = load_int(arguments, BUFFER_3), load_int(arguments, BUFFER_4)
    for i in range(low, high):
        row = products + (i - low) * columns * REALSIZE
        keys = load_int(arguments, SORTED) + (i - low) * columns * 8
        label = np.int64(load_real(labels_x, i))
        begin, end = load_index(starts, label), load_index(starts, label + 1)
        count = columns - (end - begin)
        # The negatives' distances, nearest first but for rounding, and their running sum. Each positive counts a
        # prefix of them (``prefixes`` has how many end where), and those whose side rounding may have changed singly.
        total = 0.0
        store_wide(running, 0, 0.0)
        store_wide(prefixes, count, 0.0)
        for r in range(count):
            d = distance_of(square_from(arguments, row, i, load_wide_index(keys, r) & INDEX_MASK), factor)
            total += d
            store_wide(distances, r, d)
            store_wide(running, r + 1, total)
            store_wide(singles, r, 0.0)
            store_wide(prefixes, r, 0.0)
        for j in range(columns):
            store_wide(known, j, NAN)
        up = load_wide(upstream, i) if upstream != 0 else 1.0
        loss, active, row_sum = 0.0, 0, 0.0
        for m in range(begin, end):
            p = load_index(members, m)
            if (same != 0) & (p == i):
                if row_sums != 0:
                    store_tile(row, p, real(0.0))
                continue
            square = between(arguments, i, p)
            threshold = distance_of(square, factor) + margin
            room = factor * load_wide(slack, i)
            if ROOT:
                room = factor * room / _max(abs(threshold), 1e-300)
            first, last = 0, count
            while first < last:
                middle = (first + last) >> 1
                if load_wide(distances, middle) < threshold - room:
                    first = middle + 1
                else:
                    last = middle
            nearer, total, r = first, load_wide(running, first), first
            while r < count:
                if load_wide(distances, r) > threshold + room:
                    break
                j = load_wide_index(keys, r) & INDEX_MASK
                d = distance_of(known_square(arguments, known, i, j), factor)
                if d < threshold:
                    nearer += 1
                    total += d
                    store_wide(singles, r, load_wide(singles, r) + 1.0)
                r += 1
            store_wide(prefixes, first, load_wide(prefixes, first) + 1.0)
            loss += nearer * threshold - total
            active += nearer
            if row_sums != 0:
                row_sum += settle(arguments, row, i, p, square, up * nearer)
        store_wide(sums, i, loss)
        store_wide_index(counts, i, active)
        if row_sums != 0:
            covering, r = load_wide(prefixes, count), count - 1
            while r >= 0:
                j = load_wide_index(keys, r) & INDEX_MASK
                d = load_wide(distances, r) / factor
                square = d * d if ROOT else d
                row_sum += settle(arguments, row, i, j, square, -up * (covering + load_wide(singles, r)))
                covering += load_wide(prefixes, r)
                r -= 1
            store_wide(row_sums, i, row_sum)


@Template
def every_softplus(phase, low, high, arguments, partial):
    """The softplus of all triplets' differences, each anchor's negatives in the order of the columns."""
    products, columns = load_int(arguments, PRODUCTS), load_int(arguments, COLUMNS)
    labels_x, labels_y, same = load_int(arguments, LABELS_X), load_int(arguments, LABELS_Y), load_int(arguments, SAME)
    starts, members = load_int(arguments, STARTS), load_int(arguments, MEMBERS)
    factor = load_double(arguments, FACTOR)
    upstream, sums, counts = load_int(arguments, UPSTREAM), load_int(arguments, SUMS), load_int(arguments, COUNTS)
    row_sums = load_int(arguments, ROW_SUMS)
    distances, slopes = load_int(arguments, BUFFER_1), load_int(arguments, BUFFER_2)
    squares, places = load_int(arguments, BUFFER_3), load_int(arguments, BUFFER_4)
    for i in range(low, high):
        row = products + (i - low) * columns * REALSIZE
        label = load_real(labels_x, i)
        count = 0
        for j in range(columns):
            if load_real(labels_y, j) != label:
                square = square_from(arguments, row, i, j)
                store_wide(squares, count, square)
                store_tile(distances, count, real(distance_of(square, factor)))
                store_tile(slopes, count, real(0.0))
                store_wide_index(places, count, j)
                count += 1
        up = load_wide(upstream, i) if upstream != 0 else 1.0
        loss, row_sum, active = 0.0, 0.0, 0
        begin, end = load_index(starts, np.int64(label)), load_index(starts, np.int64(label) + 1)
        for m in range(begin, end):
            p = load_index(members, m)
            if (same != 0) & (p == i):
                if row_sums != 0:
                    store_tile(row, p, real(0.0))
                continue
            square = between(arguments, i, p)
            own = real(distance_of(square, factor))
            weight = 0.0
            for r_begin in range(0, count, BLOCK):
                part, slope = real(0.0), real(0.0)
                for r in range(r_begin, min(r_begin + BLOCK, count)):
                    x = own - load_tile(distances, r)
                    e = exp_nonpositive(-fabs(x))
                    above = x > real(0.0)
                    part = accumulate(part, select(above, x, real(0.0)) + log1p_unit(e))
                    sigmoid_x = select(above, real(1.0), e) / (real(1.0) + e)
                    slope = accumulate(slope, sigmoid_x)
                    store_tile(slopes, r, load_tile(slopes, r) + sigmoid_x)
                loss += np.float64(part)
                weight += np.float64(slope)
            active += count
            if row_sums != 0:
                row_sum += settle(arguments, row, i, p, square, up * weight)
        store_wide(sums, i, loss)
        store_wide_index(counts, i, active)
        if row_sums != 0:
            for r in range(count):
                j, square = load_wide_index(places, r), load_wide(squares, r)
                row_sum += settle(arguments, row, i, j, square, -up * np.float64(load_tile(slopes, r)))
            store_wide(row_sums, i, row_sum)
