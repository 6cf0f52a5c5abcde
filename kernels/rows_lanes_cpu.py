"""The loops over elements of losses of rows, where positions are neighbours in memory: see rows_cpu.py."""

from types import SimpleNamespace

import numpy as np

from fastloss.kernels.build_cpu import Template
from fastloss.kernels.launch_cpu import GRAD_INPUT, INPUT
from fastloss.kernels.logsumexp_cpu import add_beside
from fastloss.kernels.memory_cpu import load_int, stack_buffer
from fastloss.kernels.rows_cpu import (
    BUFFERS,
    COEFFICIENT,
    LANE_BYTES,
    MAXIMA,
    MIDDLE_BYTES,
    OWN,
    SCALES,
    SMALL,
    STEP,
    SUM,
    TOP,
    WEIGHTS,
    add_to,
    find_middle,
    middle_at,
    parameters_of,
)

#: Elements of a lane that are added up so, one after the other; buffers for two sums of exponentials, the counts of
#: what is beside their maxima, and four sums.
SHORT_CLASSES = 16
SHORT_BYTES = 8 * LANE_BYTES

#: What lanes read at every element.
NARROWED = (OWN, TOP, TOP + 1, TOP + 2, *range(COEFFICIENT, COEFFICIENT + 4), WEIGHTS, SCALES)
PROLOGUE_BYTES = len(NARROWED) * LANE_BYTES


@Template
def _narrow(buffers, n, numbers):
    # What is said of n positions, in the type of the arithmetic: y, m, c, weight, scale.
    for j, which in enumerate(NARROWED):
        for i in range(n):
            store_tile(numbers + j * LANE_BYTES, i, real(load_wide(buffers + which * LANE_BYTES, i)))


@Template
def lane_tops(mode, n, count, tile, partial):
    """Raise the maxima of n positions by ``count`` elements of each."""
    q = parameters_of(tile)
    one = real(1.0)
    buffers = load_int(tile, BUFFERS)
    own, tops = buffers + OWN * LANE_BYTES, buffers + TOP * LANE_BYTES
    m0, m1, m2 = stack_buffer(LANE_BYTES), stack_buffer(LANE_BYTES), stack_buffer(LANE_BYTES)
    for i in range(n):
        store_tile(m0, i, real(load_wide(tops, i)))
        store_tile(m1, i, real(load_wide(tops + LANE_BYTES, i)))
        store_tile(m2, i, real(load_wide(tops + 2 * LANE_BYTES, i)))
    for c in range(count):
        x = load_int(tile, INPUT) + c * load_int(tile, STEP)
        t = load_int(tile, INPUT + 1) + c * load_int(tile, STEP + 1)
        z = load_int(tile, INPUT + 2) + c * load_int(tile, STEP + 2)
        for i in range(n):
            ti = load(t, i) if HAS_T else one
            zi = load(z, i) if HAS_Z else one
            a = TOPS(load(x, i), ti, zi, real(load_wide(own, i)) if HAS_Y else one, q)
            store_tile(m0, i, maximum(load_tile(m0, i), a[0]))
            if TOP_2:
                store_tile(m1, i, maximum(load_tile(m1, i), a[1]))
            if TOP_3:
                store_tile(m2, i, maximum(load_tile(m2, i), a[2]))
    for i in range(n):
        store_wide(tops, i, np.float64(load_tile(m0, i)))
        store_wide(tops + LANE_BYTES, i, np.float64(load_tile(m1, i)))
        store_wide(tops + 2 * LANE_BYTES, i, np.float64(load_tile(m2, i)))


@Template
def softmax_lane_tops(mode, n, count, tile, partial):
    highest = stack_buffer(LANE_BYTES)
    for array in range(2 if SOFTMAX_TWO else 1):
        tops = load_int(tile, BUFFERS) + (TOP + array) * LANE_BYTES
        for i in range(n):
            store_sum(highest, i, real(load_wide(tops, i)))
        for c in range(count):
            lanes = load_int(tile, INPUT + array) + c * load_int(tile, STEP + array)
            for i in range(n):
                store_sum(highest, i, at_least(load(lanes, i), load_sum(highest, i)))
        for i in range(n):
            store_wide(tops, i, np.float64(load_sum(highest, i)))


@Template
def softmax_lane_sums(mode, n, count, tile, partial):
    buffers = load_int(tile, BUFFERS)
    top, small, others = stack_buffer(LANE_BYTES), stack_buffer(LANE_BYTES), stack_buffer(LANE_BYTES)
    for i in range(n):
        store_sum(top, i, real(load_wide(buffers + TOP * LANE_BYTES, i)))
    for start in range(0, count, SHORT_CLASSES):
        end = min(count, start + SHORT_CLASSES)
        for i in range(n):
            store_sum(small, i, real(0.0))
            store_count(others, i, 0)
        for c in range(start, end):
            x = load_int(tile, INPUT) + c * load_int(tile, STEP)
            for i in range(n):
                add_beside(small, others, i, load(x, i) - load_sum(top, i))
        for i in range(n):
            add_to(buffers + SMALL * LANE_BYTES, i, np.float64(load_sum(small, i)))
            add_to(buffers + MAXIMA * LANE_BYTES, i, np.float64(end - start - load_count(others, i)))


@Template
def _add_short(wide, short, i, term):
    if WIDE:
        add_to(wide, i, term)
    else:
        store_sum(short, i, load_sum(short, i) + term)


@Template
def lane_sums(mode, n, count, tile, partial):
    """Add to the sums of n positions what ``count`` elements of each give."""
    q = parameters_of(tile)
    zero, one = real(0.0), real(1.0)
    buffers = load_int(tile, BUFFERS)
    sums = buffers + SUM * LANE_BYTES
    small, maxima = buffers + SMALL * LANE_BYTES, buffers + MAXIMA * LANE_BYTES
    numbers, short = stack_buffer(PROLOGUE_BYTES), stack_buffer(SHORT_BYTES)
    e0, e1, others_0, others_1 = short, short + LANE_BYTES, short + 2 * LANE_BYTES, short + 3 * LANE_BYTES
    short_sums = short + 4 * LANE_BYTES
    _narrow(buffers, n, numbers)
    for start in range(0, count, SHORT_CLASSES):
        end = min(count, start + SHORT_CLASSES)
        for i in range(n):
            if SOFTMAX:
                store_sum(e0, i, zero)
                store_count(others_0, i, 0)
            if SOFTMAX_TWO:
                store_sum(e1, i, zero)
                store_count(others_1, i, 0)
            if not WIDE:
                for k in range(4):
                    store_sum(short_sums + k * LANE_BYTES, i, zero)
        for c in range(start, end):
            x = load_int(tile, INPUT) + c * load_int(tile, STEP)
            t = load_int(tile, INPUT + 1) + c * load_int(tile, STEP + 1)
            z = load_int(tile, INPUT + 2) + c * load_int(tile, STEP + 2)
            for i in range(n):
                y = load_tile(numbers, i) if HAS_Y else one
                m0 = load_tile(numbers + LANE_BYTES, i) if TOP_1 else zero
                m1 = load_tile(numbers + 2 * LANE_BYTES, i) if TOP_2 else zero
                m2 = load_tile(numbers + 3 * LANE_BYTES, i) if TOP_3 else zero
                xi = load(x, i)
                ti = load(t, i) if HAS_T else one
                zi = load(z, i) if HAS_Z else one
                if SOFTMAX:
                    xi -= m0
                    add_beside(e0, others_0, i, xi)
                if SOFTMAX_TWO:
                    ti -= m1
                    add_beside(e1, others_1, i, ti)
                a = SUMS(xi, ti, zi, y, (m0, m1, m2), q)
                if SUM_1:
                    _add_short(sums, short_sums, i, a[0])
                if SUM_2:
                    _add_short(sums + LANE_BYTES, short_sums + LANE_BYTES, i, a[1])
                if SUM_3:
                    _add_short(sums + 2 * LANE_BYTES, short_sums + 2 * LANE_BYTES, i, a[2])
                if SUM_4:
                    _add_short(sums + 3 * LANE_BYTES, short_sums + 3 * LANE_BYTES, i, a[3])
        for i in range(n):
            if SOFTMAX:
                add_to(small, i, np.float64(load_sum(e0, i)))
                add_to(maxima, i, np.float64(end - start - load_count(others_0, i)))
            if SOFTMAX_TWO:
                add_to(small + LANE_BYTES, i, np.float64(load_sum(e1, i)))
                add_to(maxima + LANE_BYTES, i, np.float64(end - start - load_count(others_1, i)))
            if SUM_1 and not WIDE:
                add_to(sums, i, np.float64(load_sum(short_sums, i)))
            if SUM_2 and not WIDE:
                add_to(sums + LANE_BYTES, i, np.float64(load_sum(short_sums + LANE_BYTES, i)))
            if SUM_3 and not WIDE:
                add_to(sums + 2 * LANE_BYTES, i, np.float64(load_sum(short_sums + 2 * LANE_BYTES, i)))
            if SUM_4 and not WIDE:
                add_to(sums + 3 * LANE_BYTES, i, np.float64(load_sum(short_sums + 3 * LANE_BYTES, i)))


@Template
def lane_later(mode, n, count, tile, partial):
    """Add to the third and fourth sum of n positions what ``count`` elements give that need the first sums."""
    q = parameters_of(tile)
    buffers = load_int(tile, BUFFERS)
    zero, one = real(0.0), real(1.0)
    own, sums, top = buffers + OWN * LANE_BYTES, buffers + SUM * LANE_BYTES, buffers + TOP * LANE_BYTES
    middle = stack_buffer(MIDDLE_BYTES)
    find_middle(buffers, n, q, middle)
    for c in range(count):
        x = load_int(tile, INPUT) + c * load_int(tile, STEP)
        t = load_int(tile, INPUT + 1) + c * load_int(tile, STEP + 1)
        z = load_int(tile, INPUT + 2) + c * load_int(tile, STEP + 2)
        for i in range(n):
            m0 = real(load_wide(top, i)) if TOP_1 else zero
            xi = load(x, i) - m0 if SOFTMAX else load(x, i)
            ti = load(t, i) if HAS_T else one
            zi = load(z, i) if HAS_Z else one
            y = real(load_wide(own, i)) if HAS_Y else one
            g = middle_at(middle, i)
            a = LATER(xi, ti, zi, y, (m0, zero, zero), g, q)
            add_to(sums + 2 * LANE_BYTES, i, np.float64(a[0]))
            add_to(sums + 3 * LANE_BYTES, i, np.float64(a[1]))


@Template
def lane_slopes(mode, n, count, tile, partial):
    """The slopes of ``count`` elements of n positions, times the factor of each position."""
    q = parameters_of(tile)
    zero, one = real(0.0), real(1.0)
    numbers = stack_buffer(PROLOGUE_BYTES)
    _narrow(load_int(tile, BUFFERS), n, numbers)
    for c in range(count):
        x = load_int(tile, INPUT) + c * load_int(tile, STEP)
        t = load_int(tile, INPUT + 1) + c * load_int(tile, STEP + 1)
        z = load_int(tile, INPUT + 2) + c * load_int(tile, STEP + 2)
        gx = load_int(tile, GRAD_INPUT) + c * load_int(tile, STEP + 3)
        gt = load_int(tile, GRAD_INPUT + 1) + c * load_int(tile, STEP + 4)
        gz = load_int(tile, GRAD_INPUT + 2) + c * load_int(tile, STEP + 5)
        for i in range(n):
            xi = load(x, i)
            ti = load(t, i) if HAS_T else one
            zi = load(z, i) if HAS_Z else one
            y = load_tile(numbers, i) if HAS_Y else one
            m0 = load_tile(numbers + LANE_BYTES, i) if TOP_1 else zero
            m1 = load_tile(numbers + 2 * LANE_BYTES, i) if TOP_2 else zero
            m2 = load_tile(numbers + 3 * LANE_BYTES, i) if TOP_3 else zero
            if SOFTMAX:
                xi -= m0
            if SOFTMAX_TWO:
                ti -= m1
            ci = (
                load_tile(numbers + 4 * LANE_BYTES, i),
                load_tile(numbers + 5 * LANE_BYTES, i),
                load_tile(numbers + 6 * LANE_BYTES, i),
                load_tile(numbers + 7 * LANE_BYTES, i),
            )
            slope = SLOPES(xi, ti, zi, y, (m0, m1, m2), ci, q)
            dead = load_tile(numbers + 8 * LANE_BYTES, i) == zero
            scale = load_tile(numbers + 9 * LANE_BYTES, i)
            if WANT_X:
                store(gx, i, select(dead, zero, slope[0] * scale))
            if WANT_T:
                store(gt, i, select(dead, zero, slope[1] * scale))
            if WANT_Z:
                store(gz, i, select(dead, zero, slope[2] * scale))


LOOPS = SimpleNamespace(
    tops=lane_tops,
    softmax_tops=softmax_lane_tops,
    softmax_sums=softmax_lane_sums,
    sums=lane_sums,
    later=lane_later,
    slopes=lane_slopes,
)
