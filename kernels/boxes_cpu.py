"""Losses of pairs of boxes, given by two corners (x1, y1, x2, y2): one minus the IoU, and what is added to it.

With inter the area that both cover, U = area1 + area2 - inter + eps, C the smallest box around both:

    iou        1 - inter / U
    general    + (area(C) - union) / (area(C) + eps)
    distance   + |centre1 - centre2|^2 / (diagonal(C)^2 + eps)
    complete   distance + alpha v with v = 4 / pi^2 (angle2 - angle1)^2, angle = atan(w / h) and
               alpha = v / (1 - iou + v + eps)

alpha is held constant in the gradient. A minimum or maximum of two equal coordinates passes half its gradient to each.
A term whose denominator is 0 counts as 0, as does the angle of a box without width, so degenerate boxes give numbers.

Arithmetic is float64 for every dtype: areas and their squares of any float32 coordinates neither overflow nor cancel,
and eight boxes at a time keep up with memory all the same.
"""

import numpy as np

from fastloss.kernels.build_cpu import Template
from fastloss.kernels.launch_cpu import (
    COUNTING,
    FLAGS,
    GRAD,
    GRAD_INPUT,
    GRAD_TARGET,
    INPUT,
    LOSSES,
    PARAMETERS,
    SAMPLE_WEIGHT,
    SCALE,
    UPSTREAM,
)
from fastloss.kernels.math_cpu import MATH
from fastloss.kernels.memory_cpu import (
    ACCUMULATE,
    call_kernel,
    load_double,
    load_int,
    stack_buffer,
    store_double,
    store_int,
)

# Parameters. FETCH and FLUSH are functions of overlap_cpu; boxes are numbered outer * INNER + inner.
INNER, EPS, UPSTREAM_STRIDE, FETCH, FLUSH = range(PARAMETERS, PARAMETERS + 5)
#: Strides in bytes by outer, inner and coordinate: of boxes1, boxes2 and their gradients.
STRIDES = PARAMETERS + 5
#: Boxes of a tile.
TILE = 256
LANE_BYTES = 8 * TILE
TILE_BYTES = 4 * LANE_BYTES

_select, _max, _min, _fma, _abs = (MATH["float64"][name] for name in ("select", "maximum", "minimum", "fma", "fabs"))
_add = ACCUMULATE["float64"]
_FOUR_OVER_PI_SQUARED = 0.40528473456935109
_HALF_PI, _QUARTER_PI = 1.5707963267948966, 0.78539816339744831
_TAN_3_PI_8 = 2.414213562373095


@Template
def _divide(a, b):
    # A term without a denominator is dropped.
    return _select(b == 0.0, 0.0, a / b)


@Template
def _angle(w, h):
    """atan(w / h): 0 without width, +-pi/2 without height; 1e-16 relative (Cephes' rational function).

    x = |w / h| is reduced to (x - 1) / (x + 1) near 1 and to -1 / x above, as quotients of w and h.
    """
    a, b = _abs(w), _abs(h)
    large = a > _TAN_3_PI_8 * b
    middle = a > 0.66 * b
    top = _select(large, -b, _select(middle, a - b, a))
    bottom = _select(large, a, _select(middle, a + b, b))
    base = _select(large, _HALF_PI, _select(middle, _QUARTER_PI, 0.0))
    x = _divide(top, bottom)
    z = x * x
    p = _fma(
        _fma(
            _fma(_fma(-8.750608600031904122785e-1, z, -1.615753718733365076637e1), z, -7.500855792314704667340e1),
            z,
            -1.228866684490136173410e2,
        ),
        z,
        -6.485021904942025371773e1,
    )
    q = z + 2.485846490142306297962e1
    q = _fma(q, z, 1.650270098316988542046e2)
    q = _fma(q, z, 4.328810604902912668951e2)
    q = _fma(q, z, 4.853903996359136964868e2)
    q = _fma(q, z, 1.945506571482613964425e2)
    angle = base + _fma(x, z * p / q, x)
    negative = (w < 0.0) != (h < 0.0)
    return _select(w == 0.0, 0.0, _select(negative, -angle, angle))


@Template
def _share(a, b):
    # How much of the larger of the two is a: 1, 0, or half where they are equal.
    return _select(a > b, 1.0, _select(a == b, 0.5, 0.0))


@Template
def _box(a1, b1, a2, b2, c1, d1, c2, d2, eps):
    """(loss, gradients) of the boxes (a1, b1, a2, b2) and (c1, d1, c2, d2)."""
    w, h, v, k = a2 - a1, b2 - b1, c2 - c1, d2 - d1
    iw, ih = _min(a2, c2) - _max(a1, c1), _min(b2, d2) - _max(b1, d1)
    meet = (iw > 0.0) & (ih > 0.0)
    inter = _select(meet, iw * ih, 0.0)
    union = w * h + v * k - inter
    whole = union + eps
    # Boxes that meet have a positive union. Others have none in common, but for NaN, which comes through.
    some = meet | (whole != whole)
    iou = _select(some, inter / whole, 0.0)
    loss = 1.0 - iou
    by_inter = _select(some, -(1.0 + iou) / whole, 0.0)
    by_area = _select(some, iou / whole, 0.0)

    left, right, low, high = _share(a1, c1), _share(a2, c2), _share(b1, d1), _share(b2, d2)
    ew, eh = _max(a2, c2) - _min(a1, c1), _max(b2, d2) - _min(b1, d1)
    # Slopes by the width and height of the box around both, by the corners alone, and by each box's own extent.
    by_ew, by_eh = 0.0, 0.0
    by_x, by_y = 0.0, 0.0
    by_w, by_h, by_v, by_k = 0.0, 0.0, 0.0, 0.0
    if GENERAL:
        area = ew * eh
        base = area + eps
        loss += _divide(area - union, base)
        by_union = _select(base == 0.0, 0.0, -1.0 / base)
        by_area += by_union
        by_inter -= by_union
        slope = _select(base == 0.0, 0.0, whole / base / base)
        by_ew, by_eh = slope * eh, slope * ew
    if DISTANCE:
        dx, dy = 0.5 * ((a1 - c1) + (a2 - c2)), 0.5 * ((b1 - d1) + (b2 - d2))
        base = ew * ew + eh * eh + eps
        ratio = _divide(dx * dx + dy * dy, base)
        loss += ratio
        over = _select(base == 0.0, 0.0, 1.0 / base)
        by_x, by_y = dx * over, dy * over
        by_ew, by_eh = -2.0 * ew * ratio * over, -2.0 * eh * ratio * over
    if COMPLETE:
        turn = _angle(v, k) - _angle(w, h)
        aspect = _FOUR_OVER_PI_SQUARED * turn * turn
        alpha = _divide(aspect, (1.0 - iou) + aspect + eps)
        loss += alpha * aspect
        slope = 2.0 * _FOUR_OVER_PI_SQUARED * alpha * turn
        r, s = w * w + h * h, v * v + k * k
        r, s = _select(r == 0.0, 0.0, slope / r), _select(s == 0.0, 0.0, slope / s)
        by_w, by_h, by_v, by_k = -h * r, w * r, k * s, -v * s
    by_w += by_area * h
    by_h += by_area * w
    by_v += by_area * k
    by_k += by_area * v
    by_iw, by_ih = _select(meet, by_inter * ih, 0.0), _select(meet, by_inter * iw, 0.0)
    return (
        loss,
        by_x - by_iw * left - by_ew * (1.0 - left) - by_w,
        by_y - by_ih * low - by_eh * (1.0 - low) - by_h,
        by_x + by_iw * (1.0 - right) + by_ew * right + by_w,
        by_y + by_ih * (1.0 - high) + by_eh * high + by_h,
        -by_x - by_iw * (1.0 - left) - by_ew * left - by_v,
        -by_y - by_ih * (1.0 - low) - by_eh * low - by_k,
        -by_x + by_iw * right + by_ew * (1.0 - right) + by_v,
        -by_y + by_ih * high + by_eh * (1.0 - high) + by_k,
    )


@Template
def _describe(arguments, slot, strides, outer, inner, moved):
    # What fetch_tile and flush_tile want to know: the address, and bytes from coordinate to coordinate and box to box.
    offset = outer * load_int(arguments, strides) + inner * load_int(arguments, strides + 1)
    store_int(moved, 0, load_int(arguments, slot) + offset)
    store_int(moved, 1, load_int(arguments, strides + 2))
    store_int(moved, 2, load_int(arguments, strides + 1))


@Template
def boxes(phase, low, high, arguments, partial):
    """Boxes ``low`` to ``high``, in tiles of one lane for each."""
    weights = load_int(arguments, SAMPLE_WEIGHT)
    upstream = load_int(arguments, UPSTREAM)
    upstream_stride = load_int(arguments, UPSTREAM_STRIDE)
    losses = load_int(arguments, LOSSES)
    flags = load_int(arguments, FLAGS)
    inner_length = load_int(arguments, INNER)
    scale = load_double(arguments, SCALE)
    eps = load_double(arguments, EPS)
    # Coordinates and their gradients, which functions of their own move.
    first, second = stack_buffer(TILE_BYTES), stack_buffer(TILE_BYTES)
    first_grad, second_grad = stack_buffer(TILE_BYTES), stack_buffer(TILE_BYTES)
    weight, factor, loss = stack_buffer(LANE_BYTES), stack_buffer(LANE_BYTES), stack_buffer(LANE_BYTES)
    moved = stack_buffer(24)
    step = TILE * REALSIZE
    total = 0.0
    counted = 0.0
    start = low
    while start < high:
        outer = start // inner_length
        inner = start - outer * inner_length
        n = min(min(TILE, high - start), inner_length - inner)
        for r in range(n):
            store_wide(weight, r, 1.0)
        if weights != 0:
            for r in range(n):
                store_wide(weight, r, np.float64(load_real(weights, start + r)))
        for r in range(n):
            counted = _add(counted, load_wide(weight, r))
        if phase != COUNTING:
            for r in range(n):
                store_wide(factor, r, scale * load_wide(weight, r))
            if upstream != 0:
                for r in range(n):
                    u = np.float64(load_real(upstream, (start + r) * upstream_stride))
                    store_wide(factor, r, load_wide(factor, r) * u)
            for array in range(2):
                _describe(arguments, INPUT + array, STRIDES + 3 * array, outer, inner, moved)
                call_kernel(load_int(arguments, FETCH), first if array == 0 else second, n, 4, moved, TILE)
            for r in range(n):
                result = _box(
                    np.float64(load_real(first, r)),
                    np.float64(load_real(first + step, r)),
                    np.float64(load_real(first + 2 * step, r)),
                    np.float64(load_real(first + 3 * step, r)),
                    np.float64(load_real(second, r)),
                    np.float64(load_real(second + step, r)),
                    np.float64(load_real(second + 2 * step, r)),
                    np.float64(load_real(second + 3 * step, r)),
                    eps,
                )
                w = load_wide(weight, r)
                store_wide(loss, r, _select(w == 0.0, 0.0, result[0] * w))
                if GRADIENT:
                    f = load_wide(factor, r)
                    nothing = w == 0.0
                    store_real(first_grad, r, real(_select(nothing, 0.0, result[1] * f)))
                    store_real(first_grad + step, r, real(_select(nothing, 0.0, result[2] * f)))
                    store_real(first_grad + 2 * step, r, real(_select(nothing, 0.0, result[3] * f)))
                    store_real(first_grad + 3 * step, r, real(_select(nothing, 0.0, result[4] * f)))
                    store_real(second_grad, r, real(_select(nothing, 0.0, result[5] * f)))
                    store_real(second_grad + step, r, real(_select(nothing, 0.0, result[6] * f)))
                    store_real(second_grad + 2 * step, r, real(_select(nothing, 0.0, result[7] * f)))
                    store_real(second_grad + 3 * step, r, real(_select(nothing, 0.0, result[8] * f)))
            for r in range(n):
                total = _add(total, load_wide(loss, r))
            if losses != 0:
                for r in range(n):
                    store_real(losses, start + r, real(load_wide(loss, r)))
            if GRADIENT:
                for array in range(2):
                    if flags & (GRAD if array == 0 else GRAD_TARGET):
                        _describe(arguments, GRAD_INPUT + array, STRIDES + 6 + 3 * array, outer, inner, moved)
                        grad = first_grad if array == 0 else second_grad
                        call_kernel(load_int(arguments, FLUSH), grad, n, 4, moved, TILE)
        start += n
    store_double(partial, 0, total)
    store_double(partial, 1, counted)
    store_int(partial, 2, -1)
