"""Cross-entropy of softmax: rows of classes, lanes of positions, and one huge row cut in pieces.

With z the logits of a position, m = max z, d_c = z_c - m <= 0 and o = sum of exp(d_c) over all classes but one that
attains the maximum, the log-sum-exp is m + log1p(o). For a target mass t_c (already weighted) with T = sum t_c:

    loss = T log1p(o) - sum t_c d_c + z_loss (m + log1p(o))^2
    d loss / d z_c = exp(d_c) / (1 + o) A - t_c,    A = T + 2 z_loss (m + log1p(o))

Every term of the loss has one sign, and o keeps the small probabilities that 1 + o would round away, so a loss of
1e-30 is as exact as one of 1. At the target's own class exp(d_c) / (1 + o) - 1 is computed as -(what the others sum
to) / (1 + o), which keeps the small gradient of a confident row.

Label smoothing e replaces t_c by (1 - e) t_c + e / C, each times the class weight; a tanh cap replaces z_c by
cap tanh(z_c / cap). ``STATS`` keeps (m, o) of each position, and T for soft targets: KEPT_NUMBERS, from which the
backward pass writes the gradient in one pass over the logits, with the same bits as the fused pass.

Positions are numbered as in the target: p = outer * INNER + inner.
"""

import numpy as np

from fastloss.kernels.build_cpu import Template, rounded
from fastloss.kernels.launch_cpu import (
    COUNTING,
    FLAGS,
    GRAD,
    GRAD_INPUT,
    GRAD_OF_TARGET,
    GRAD_TARGET,
    INPUT,
    LOSSES,
    NO_MEMORY,
    PARAMETERS,
    SAMPLE_WEIGHT,
    SCALE,
    STATISTICS,
    STATS,
    TARGET,
    THIRD,
    UPSTREAM,
    VALUE,
    WEIGHT,
)
from fastloss.kernels.memory_cpu import (
    allocate,
    load_double,
    load_int,
    release,
    stack_buffer,
    store_double,
    store_int,
)

# Class weights, sample weights, upstream gradients, losses and statistics are of the type of the arithmetic.
# Parameters. Strides count elements: of logits, of their gradient, of the target (or its probabilities).
(
    CLASSES,
    INNER,
    CLASS_STRIDE,
    INNER_STRIDE,
    OUTER_STRIDE,
    GRAD_CLASS_STRIDE,
    GRAD_INNER_STRIDE,
    GRAD_OUTER_STRIDE,
    TARGET_CLASS_STRIDE,
    TARGET_INNER_STRIDE,
    TARGET_OUTER_STRIDE,
    TARGET_GRAD_CLASS_STRIDE,
    TARGET_GRAD_INNER_STRIDE,
    TARGET_GRAD_OUTER_STRIDE,
    UPSTREAM_STRIDE,
    IGNORE_INDEX,
    LANES,
    KEPT,
    SMOOTHING,
    Z_LOSS,
    SOFTCAP,
    PIECES,
) = range(PARAMETERS, PARAMETERS + 22)

#: Elements of a row that are summed in the type of the arithmetic before the sum joins a float64.
CHUNK = 4096
CHUNK_BYTES = 8 * CHUNK
#: Classes in a piece of a huge row.
PIECE = 65536
GROUP = 64
PART_BYTES = 40  # top, others, mass, dot, smooth_dot of a piece
FOLD = 64  # the same for lanes, whose sums are sequential


@Template
def _next_chunk(start, first, last):
    # (begin, n, skip): the next elements of a row to work on, the first ``skip`` of which were worked on before. n is
    # a multiple of GROUP wherever the row is that long, by stepping back at its end: a vector loop then has no
    # remainder, whose scalar exponentials cost as much as a hundred elements do.
    rest = last - start
    if rest >= GROUP:
        return start, min(CHUNK, rest) // GROUP * GROUP, 0
    if last - GROUP >= first:
        return last - GROUP, GROUP, GROUP - rest
    return start, rest, 0


@Template
def _chunk(address, stride, start, n, buffer):
    # Elements start .. start+n of a row, side by side.
    if stride == 1:
        return address + start * ITEMSIZE
    for i in range(n):
        gather(buffer, i, load(address, (start + i) * stride))
    return buffer


@rounded
def _capped(z, cap):
    # Rounded, so that the largest logit minus the largest capped logit is exactly 0.
    return cap * tanh(z / cap)


@rounded
def _others(small, maxima):
    # What all classes but one maximum sum to: the maxima less one, and the terms that a 1 would swallow.
    return (maxima - 1.0) + small


@Template
def _row_loss(mass, dot, log_sum, top, z_loss):
    # mass * log_sum - dot + z_loss * lse^2; see the head of this file.
    lse = top + log_sum
    return mass * log_sum - dot + z_loss * lse * lse if FULL else mass * log_sum - dot


@Template
def _label_gradient(d, others, mass, slope, label_mass, smoothing, weight_sum):
    # slope * p - (1 - e) w - e w / C for the label's own class, as slope * (p - 1) + (slope - mass) + e (W - w) / C:
    # 1 - p is what the other classes sum to, relative to the maximum.
    one = real(1.0)
    rest = others if d == real(0.0) else one + (others - exp_softmax(d))
    gradient = -slope * rest * (one / (one + others))
    return gradient + (smoothing * (weight_sum - label_mass) + (slope - mass)) if FULL else gradient


@Template
def cross_entropy_rows(phase, low, high, arguments, partial):
    """Positions whose classes lie side by side (or are copied so, chunk by chunk), one at a time.

    ``SPLIT``: a huge row is cut in pieces of PIECE classes, which are the items. With ``VALUE`` they only note in
    PARTS what combine_rows needs; from the statistics that it finds, they write their part of the gradient.
    """
    logits = load_int(arguments, INPUT)
    target = load_int(arguments, TARGET)
    class_weight = load_int(arguments, WEIGHT)
    sample_weight = load_int(arguments, SAMPLE_WEIGHT)
    upstream = load_int(arguments, UPSTREAM)
    losses = load_int(arguments, LOSSES)
    grads = load_int(arguments, GRAD_INPUT)
    target_grads = load_int(arguments, GRAD_OF_TARGET)
    statistics = load_int(arguments, STATISTICS)
    flags = load_int(arguments, FLAGS)
    classes = load_int(arguments, CLASSES)
    inner = load_int(arguments, INNER)
    class_stride = load_int(arguments, CLASS_STRIDE)
    grad_class_stride = load_int(arguments, GRAD_CLASS_STRIDE)
    target_class_stride = load_int(arguments, TARGET_CLASS_STRIDE)
    target_grad_class_stride = load_int(arguments, TARGET_GRAD_CLASS_STRIDE)
    upstream_stride = load_int(arguments, UPSTREAM_STRIDE)
    ignore_index = load_int(arguments, IGNORE_INDEX)
    scale = real(load_double(arguments, SCALE))
    kept = real(load_double(arguments, KEPT))
    smoothing = real(load_double(arguments, SMOOTHING))
    z_loss = real(load_double(arguments, Z_LOSS))
    cap = real(load_double(arguments, SOFTCAP))
    zero, one = real(0.0), real(1.0)
    over_cap = one / cap

    buffer = stack_buffer(CHUNK_BYTES)
    target_buffer = stack_buffer(CHUNK_BYTES)
    weigh_classes = FULL and class_weight != 0
    weight_sum = real(classes)
    if FULL and weigh_classes and smoothing != zero:
        wide_sum = 0.0
        for c in range(classes):
            wide_sum += load_real(class_weight, c)
        weight_sum = real(wide_sum)
    pieces = load_int(arguments, PIECES) if SPLIT else 1
    total = 0.0
    counted = 0.0
    bad = -1
    for item in range(low, high):
        position = item // pieces if SPLIT else item
        first = 0
        last = classes
        if SPLIT:
            first = (item - position * pieces) * PIECE
            last = min(classes, first + PIECE)
        outer_index = position // inner
        inner_index = position - outer_index * inner
        row_weight = one
        if sample_weight != 0:
            row_weight = load_real(sample_weight, position)
        label = 0
        label_weight = one
        if INDEX:
            label = load_index(target, position)
            if label == ignore_index:
                if phase == COUNTING:
                    continue
                if flags & VALUE and losses != 0:
                    store_real(losses, position, zero)
                if flags & GRAD:
                    g = grads + ITEMSIZE * (
                        outer_index * load_int(arguments, GRAD_OUTER_STRIDE)
                        + inner_index * load_int(arguments, GRAD_INNER_STRIDE)
                    )
                    for c in range(first, last):
                        store(g, c * grad_class_stride, zero)
                continue
            if label < 0 or label >= classes:
                bad = position
                break
            if weigh_classes:
                label_weight = load_real(class_weight, label)
            counted += label_weight * row_weight
        else:
            counted += row_weight
        if phase == COUNTING:
            continue

        x = logits + ITEMSIZE * (
            outer_index * load_int(arguments, OUTER_STRIDE) + inner_index * load_int(arguments, INNER_STRIDE)
        )
        t = target + ITEMSIZE * (
            outer_index * load_int(arguments, TARGET_OUTER_STRIDE)
            + inner_index * load_int(arguments, TARGET_INNER_STRIDE)
        )
        # The maximum and the others' sum: found, or remembered from the forward pass.
        if flags & STATS and not flags & VALUE:
            top = load_real(statistics, KEPT_NUMBERS * position)
            others = load_real(statistics, KEPT_NUMBERS * position + 1)
        else:
            top = -real(np.inf)
            start = first
            while start < last:
                start, n, skip = _next_chunk(start, first, last)
                z = _chunk(x, class_stride, start, n, buffer)
                for i in range(n):
                    top = maxnum(top, load(z, i))
                start += n
            if SOFTCAP_ON:
                top = _capped(top, cap)
            # All maxima but one are among the others: count them, and leave them out of the sum, where small terms
            # would be lost beside a 1.
            small = 0.0
            maxima = 0.0
            start = first
            while start < last:
                start, n, skip = _next_chunk(start, first, last)
                z = _chunk(x, class_stride, start, n, buffer)
                chunk_small = zero
                chunk_maxima = zero
                if skip == 0:
                    for i in range(n):
                        d = (_capped(load(z, i), cap) if SOFTCAP_ON else load(z, i)) - top
                        is_top = d == zero
                        chunk_small = accumulate(chunk_small, zero if is_top else exp_softmax(d))
                        chunk_maxima = accumulate(chunk_maxima, one if is_top else zero)
                else:  # comparing indices in the loop above would cost half as much again as all of it
                    for i in range(GROUP):
                        d = (_capped(load(z, i), cap) if SOFTCAP_ON else load(z, i)) - top
                        is_top = d == zero
                        chunk_small = accumulate(chunk_small, zero if is_top | (i < skip) else exp_softmax(d))
                        chunk_maxima = accumulate(chunk_maxima, one if is_top & (i >= skip) else zero)
                small += chunk_small
                maxima += chunk_maxima
                start += n
            others = real(_others(small, maxima))
            if flags & STATS and not SPLIT:
                store_real(statistics, KEPT_NUMBERS * position, top)
                store_real(statistics, KEPT_NUMBERS * position + 1, others)
        log_sum = log1p(others)

        # Target mass and its dot product with d.
        mass = label_weight
        dot = zero
        d_label = zero
        if INDEX:
            z_label = load(x, label * class_stride)
            d_label = (_capped(z_label, cap) if SOFTCAP_ON else z_label) - top
            dot = zero if label_weight == zero else label_weight * d_label
        elif flags & STATS and not flags & VALUE:
            mass = load_real(statistics, KEPT_NUMBERS * position + 2)
        else:
            wide_mass = 0.0
            wide_dot = 0.0
            start = first
            while start < last:
                start, n, skip = _next_chunk(start, first, last)
                z = _chunk(x, class_stride, start, n, buffer)
                tc = _chunk(t, target_class_stride, start, n, target_buffer)
                chunk_mass = zero
                chunk_dot = zero
                for i in range(n):
                    d = (_capped(load(z, i), cap) if SOFTCAP_ON else load(z, i)) - top
                    ti = load(tc, i)
                    if FULL and weigh_classes:
                        ti *= load_real(class_weight, start + i)
                    ti = zero if i < skip else ti
                    chunk_mass = accumulate(chunk_mass, ti)
                    chunk_dot = accumulate(chunk_dot, zero if ti == zero else ti * d)
                wide_mass += chunk_mass
                wide_dot += chunk_dot
                start += n
            mass = real(wide_mass)
            dot = real(wide_dot)
            if flags & STATS and not SPLIT:
                store_real(statistics, KEPT_NUMBERS * position + 2, mass)
        smooth_dot = zero
        if FULL and smoothing != zero and flags & VALUE:
            wide_dot = 0.0
            start = first
            while start < last:
                start, n, skip = _next_chunk(start, first, last)
                z = _chunk(x, class_stride, start, n, buffer)
                chunk_dot = zero
                if weigh_classes:
                    for i in range(n):
                        d = (_capped(load(z, i), cap) if SOFTCAP_ON else load(z, i)) - top
                        wi = zero if i < skip else load_real(class_weight, start + i)
                        chunk_dot = accumulate(chunk_dot, zero if wi == zero else wi * d)
                else:
                    for i in range(n):
                        d = (_capped(load(z, i), cap) if SOFTCAP_ON else load(z, i)) - top
                        chunk_dot = accumulate(chunk_dot, zero if i < skip else d)
                wide_dot += chunk_dot
                start += n
            smooth_dot = real(wide_dot)
        if SPLIT and flags & VALUE:
            part = load_int(arguments, THIRD) + PART_BYTES * item
            store_double(part, 0, top)
            store_double(part, 1, others)
            store_double(part, 2, mass)
            store_double(part, 3, dot)
            store_double(part, 4, smooth_dot)
            continue
        if FULL:
            dot = kept * dot + smoothing * smooth_dot
            mass = kept * mass + smoothing * weight_sum

        if flags & VALUE:
            loss = row_weight * _row_loss(mass, dot, log_sum, top, z_loss)
            if row_weight == zero:
                loss = zero  # also where the loss is infinite
            total += loss
            if losses != 0:
                store_real(losses, position, loss)

        if flags & (GRAD | GRAD_TARGET):
            row_scale = scale * row_weight
            if upstream != 0:
                row_scale *= load_real(upstream, position * upstream_stride)
            over_sum = one / (one + others)
            slope = mass + real(2.0) * z_loss * (top + log_sum) if FULL else mass
        if flags & GRAD:
            g = grads + ITEMSIZE * (
                outer_index * load_int(arguments, GRAD_OUTER_STRIDE)
                + inner_index * load_int(arguments, GRAD_INNER_STRIDE)
            )
            factor = row_scale * slope * over_sum
            start = first
            while start < last:
                start, n, skip = _next_chunk(start, first, last)
                z = _chunk(x, class_stride, start, n, buffer)
                out = g + start * grad_class_stride * ITEMSIZE
                if FULL or not INDEX:
                    tc = t if INDEX else _chunk(t, target_class_stride, start, n, target_buffer)
                    for i in range(n):
                        zi = _capped(load(z, i), cap) if SOFTCAP_ON else load(z, i)
                        wi = one
                        if weigh_classes:
                            wi = load_real(class_weight, start + i)
                        mass_i = smoothing if FULL else zero
                        if not INDEX:
                            mass_i += kept * load(tc, i) if FULL else load(tc, i)
                        gi = exp_softmax(zi - top) * factor - row_scale * wi * mass_i
                        if SOFTCAP_ON:
                            gi *= one - (zi * over_cap) * (zi * over_cap)
                        store(out, i * grad_class_stride, gi)
                elif grad_class_stride == 1:
                    for i in range(n):
                        store(out, i, exp_softmax(load(z, i) - top) * factor)
                else:
                    for i in range(n):
                        store(out, i * grad_class_stride, exp_softmax(load(z, i) - top) * factor)
                start += n
            if INDEX and label >= first and label < last:
                gl = _label_gradient(d_label, others, mass, slope, label_weight, smoothing, weight_sum)
                if SOFTCAP_ON:
                    zl = (d_label + top) * over_cap
                    gl *= one - zl * zl
                store(g, label * grad_class_stride, row_scale * gl)
        if not INDEX and flags & GRAD_TARGET:
            g = target_grads + ITEMSIZE * (
                outer_index * load_int(arguments, TARGET_GRAD_OUTER_STRIDE)
                + inner_index * load_int(arguments, TARGET_GRAD_INNER_STRIDE)
            )
            start = first
            while start < last:
                start, n, skip = _next_chunk(start, first, last)
                z = _chunk(x, class_stride, start, n, buffer)
                for i in range(n):
                    d = (_capped(load(z, i), cap) if SOFTCAP_ON else load(z, i)) - top
                    wi = row_scale
                    if FULL:
                        wi *= kept
                        if weigh_classes:
                            wi *= load_real(class_weight, start + i)
                    store(g, (start + i) * target_grad_class_stride, wi * (log_sum - d))
                start += n
    store_double(partial, 0, total)
    store_double(partial, 1, counted)
    store_int(partial, 2, bad)


@Template
def combine_rows(phase, low, high, arguments, partial):
    """The losses and statistics of huge rows, from what cross_entropy_rows noted of their pieces."""
    logits = load_int(arguments, INPUT)
    target = load_int(arguments, TARGET)
    parts = load_int(arguments, THIRD)
    class_weight = load_int(arguments, WEIGHT)
    sample_weight = load_int(arguments, SAMPLE_WEIGHT)
    losses = load_int(arguments, LOSSES)
    statistics = load_int(arguments, STATISTICS)
    classes = load_int(arguments, CLASSES)
    inner = load_int(arguments, INNER)
    pieces = load_int(arguments, PIECES)
    kept = real(load_double(arguments, KEPT))
    smoothing = real(load_double(arguments, SMOOTHING))
    z_loss = real(load_double(arguments, Z_LOSS))
    cap = real(load_double(arguments, SOFTCAP))
    one = real(1.0)
    weigh_classes = FULL and class_weight != 0
    weight_sum = 0.0
    if FULL and weigh_classes:
        for c in range(classes):
            weight_sum += load_real(class_weight, c)
    else:
        weight_sum = np.float64(classes)
    total = 0.0
    counted = 0.0
    bad = -1
    for position in range(low, high):
        label = 0
        mass = 1.0
        if INDEX:
            label = load_index(target, position)
            if label == load_int(arguments, IGNORE_INDEX):
                if losses != 0:
                    store_real(losses, position, real(0.0))
                continue
            if label < 0 or label >= classes:
                bad = position
                break
            if weigh_classes:
                mass = np.float64(load_real(class_weight, label))
        row_weight = one
        if sample_weight != 0:
            row_weight = load_real(sample_weight, position)
        counted += mass * row_weight if INDEX else row_weight

        first = parts + PART_BYTES * position * pieces
        top = -real(np.inf)
        for piece in range(pieces):
            top = maxnum(top, real(load_double(first + PART_BYTES * piece, 0)))
        small = 0.0
        maxima = 0.0
        dot = 0.0
        smooth_dot = 0.0
        if not INDEX:
            mass = 0.0
        for piece in range(pieces):
            part = first + PART_BYTES * piece
            d = np.float64(load_double(part, 0) - top)
            # A piece's own maximum is exp(d) beside the row's; its dot products are moved from one to the other.
            own = load_double(part, 1)
            if d == 0.0:
                small += own
                maxima += 1.0
            else:
                small += (own + 1.0) * np.exp(d)
            if not INDEX:
                own_mass = load_double(part, 2)
                mass += own_mass
                dot += load_double(part, 3) + (0.0 if own_mass == 0.0 else own_mass * d)
            if FULL and smoothing != real(0.0):
                own_weight = 0.0
                end = min(classes, (piece + 1) * PIECE)
                if weigh_classes:
                    for c in range(piece * PIECE, end):
                        own_weight += load_real(class_weight, c)
                else:
                    own_weight = np.float64(end - piece * PIECE)
                smooth_dot += load_double(part, 4) + (0.0 if own_weight == 0.0 else own_weight * d)
        if INDEX:
            outer_index = position // inner
            x = logits + ITEMSIZE * (
                outer_index * load_int(arguments, OUTER_STRIDE)
                + (position - outer_index * inner) * load_int(arguments, INNER_STRIDE)
            )
            z = load(x, label * load_int(arguments, CLASS_STRIDE))
            d = (_capped(z, cap) if SOFTCAP_ON else z) - top
            dot = 0.0 if mass == 0.0 else mass * d
        others = real(_others(small, maxima))
        log_sum = log1p(others)
        row_mass = real(mass)
        row_dot = real(dot)
        if FULL:
            row_mass = kept * row_mass + smoothing * real(weight_sum)
            row_dot = kept * row_dot + smoothing * real(smooth_dot)
        loss = row_weight * _row_loss(row_mass, row_dot, log_sum, top, z_loss)
        if row_weight == real(0.0):
            loss = real(0.0)
        total += loss
        if losses != 0:
            store_real(losses, position, loss)
        if statistics != 0:
            store_real(statistics, KEPT_NUMBERS * position, top)
            store_real(statistics, KEPT_NUMBERS * position + 1, others)
            if not INDEX:
                store_real(statistics, KEPT_NUMBERS * position + 2, real(mass))
    store_double(partial, 0, total)
    store_double(partial, 1, counted)
    store_int(partial, 2, bad)


@Template
def nll(phase, low, high, arguments, partial):
    """Minus the log-probability of the label times its class weight; the gradient is 0 but for the label."""
    log_probabilities = load_int(arguments, INPUT)
    target = load_int(arguments, TARGET)
    class_weight = load_int(arguments, WEIGHT)
    sample_weight = load_int(arguments, SAMPLE_WEIGHT)
    upstream = load_int(arguments, UPSTREAM)
    losses = load_int(arguments, LOSSES)
    grads = load_int(arguments, GRAD_INPUT)
    flags = load_int(arguments, FLAGS)
    classes = load_int(arguments, CLASSES)
    inner = load_int(arguments, INNER)
    ignore_index = load_int(arguments, IGNORE_INDEX)
    grad_class_stride = load_int(arguments, GRAD_CLASS_STRIDE)
    scale = real(load_double(arguments, SCALE))
    zero, one = real(0.0), real(1.0)
    total = 0.0
    counted = 0.0
    bad = -1
    for position in range(low, high):
        outer_index = position // inner
        inner_index = position - outer_index * inner
        g = grads + ITEMSIZE * (
            outer_index * load_int(arguments, GRAD_OUTER_STRIDE) + inner_index * load_int(arguments, GRAD_INNER_STRIDE)
        )
        if phase != COUNTING and flags & GRAD:
            if grad_class_stride == 1:
                for c in range(classes):
                    store(g, c, zero)
            else:
                for c in range(classes):
                    store(g, c * grad_class_stride, zero)
        label = load_index(target, position)
        if label == ignore_index:
            if phase != COUNTING and flags & VALUE and losses != 0:
                store_real(losses, position, zero)
            continue
        if label < 0 or label >= classes:
            bad = position
            break
        weight = one
        if class_weight != 0:
            weight = load_real(class_weight, label)
        if sample_weight != 0:
            weight *= load_real(sample_weight, position)
        counted += weight
        if phase == COUNTING:
            continue
        if flags & VALUE:
            x = load(
                log_probabilities,
                outer_index * load_int(arguments, OUTER_STRIDE)
                + inner_index * load_int(arguments, INNER_STRIDE)
                + label * load_int(arguments, CLASS_STRIDE),
            )
            loss = zero if weight == zero else -x * weight
            total += loss
            if losses != 0:
                store_real(losses, position, loss)
        if flags & GRAD:
            s = scale * weight
            if upstream != 0:
                s *= load_real(upstream, position * load_int(arguments, UPSTREAM_STRIDE))
            store(g, label * grad_class_stride, -s)
    store_double(partial, 0, total)
    store_double(partial, 1, counted)
    store_int(partial, 2, bad)


#: At most so many positions are worked on side by side, as long as their classes fit the tile on the stack.
MAX_LANES = 256
TILE_BYTES = 32768
LANE_BYTES = 8 * MAX_LANES


@Template
def _fetch(address, class_stride, lane_stride, classes, n, tile, tile_stride):
    # n positions (lanes) of all classes into a tile: class c, lane r at tile[c * tile_stride + r].
    if class_stride == 1:
        for r in range(0, n, 16):
            for c in range(0, classes, 16):
                rows_to_lanes(
                    address + (r * lane_stride + c) * ITEMSIZE,
                    lane_stride * ITEMSIZE,
                    n - r,
                    min(16, classes - c),
                    tile + (c * tile_stride + r) * REALSIZE,
                    tile_stride * REALSIZE,
                )
    else:
        for c in range(classes):
            source = address + c * class_stride * ITEMSIZE
            row = tile + c * tile_stride * REALSIZE
            if lane_stride == 1:
                for r in range(n):
                    store_tile(row, r, load(source, r))
            else:
                for r in range(n):
                    store_tile(row, r, load(source, r * lane_stride))


@Template
def _flush(tile, tile_stride, address, class_stride, lane_stride, classes, n):
    # The way back of _fetch.
    if class_stride == 1:
        for r in range(0, n, 16):
            for c in range(0, classes, 16):
                lanes_to_rows(
                    tile + (c * tile_stride + r) * REALSIZE,
                    tile_stride * REALSIZE,
                    address + (r * lane_stride + c) * ITEMSIZE,
                    lane_stride * ITEMSIZE,
                    n - r,
                    min(16, classes - c),
                )
    else:
        for c in range(classes):
            destination = address + c * class_stride * ITEMSIZE
            row = tile + c * tile_stride * REALSIZE
            if lane_stride == 1:
                for r in range(n):
                    store(destination, r, load_tile(row, r))
            else:
                for r in range(n):
                    store(destination, r * lane_stride, load_tile(row, r))


@Template
def cross_entropy_lanes(phase, low, high, arguments, partial):
    """Positions side by side, one in each lane of a vector: few classes, or a class axis that is not the last.

    The steps and names are those of cross_entropy_rows. Loops over lanes are the inner ones and free of branches.
    """
    target = load_int(arguments, TARGET)
    class_weight = load_int(arguments, WEIGHT)
    sample_weight = load_int(arguments, SAMPLE_WEIGHT)
    upstream = load_int(arguments, UPSTREAM)
    losses = load_int(arguments, LOSSES)
    statistics = load_int(arguments, STATISTICS)
    flags = load_int(arguments, FLAGS)
    classes = load_int(arguments, CLASSES)
    inner = load_int(arguments, INNER)
    lanes = load_int(arguments, LANES)
    upstream_stride = load_int(arguments, UPSTREAM_STRIDE)
    ignore_index = load_int(arguments, IGNORE_INDEX)
    scale = real(load_double(arguments, SCALE))
    zero, one = real(0.0), real(1.0)
    if FULL:
        kept = real(load_double(arguments, KEPT))
        smoothing = real(load_double(arguments, SMOOTHING))
        z_loss = real(load_double(arguments, Z_LOSS))
        weigh_classes = class_weight != 0
        weight_sum = real(classes)
        if weigh_classes:
            wide_sum = 0.0
            for c in range(classes):
                wide_sum += load_real(class_weight, c)
            weight_sum = real(wide_sum)
    if SOFTCAP_ON:
        cap = real(load_double(arguments, SOFTCAP))
        over_cap = one / cap

    # One value a lane.
    label = stack_buffer(LANE_BYTES)  # the class, 0 where there is none
    weight = stack_buffer(LANE_BYTES)  # of the sample; 0 for an ignored position, which is also not live
    live = stack_buffer(LANE_BYTES)
    mass = stack_buffer(LANE_BYTES)
    dot = stack_buffer(LANE_BYTES)
    smooth_dot = stack_buffer(LANE_BYTES)
    top = stack_buffer(LANE_BYTES)
    others = stack_buffer(LANE_BYTES)
    maxima = stack_buffer(LANE_BYTES)
    folded = stack_buffer(LANE_BYTES)
    loss = stack_buffer(LANE_BYTES)
    row_scale = stack_buffer(LANE_BYTES)
    factor = stack_buffer(LANE_BYTES)
    label_grad = stack_buffer(LANE_BYTES)

    # The tiles of logits and of target probabilities: class c, lane r at c * lanes + r.
    step = lanes * REALSIZE
    needed = step * classes * (1 if INDEX else 2)
    tile = stack_buffer(TILE_BYTES)
    heap = 0
    if needed > TILE_BYTES:
        heap = allocate(needed)
        tile = heap
        if heap == 0:
            store_int(partial, 2, NO_MEMORY)
            return
    target_tile = tile + step * classes

    total = 0.0
    counted = 0.0
    bad = -1
    start = low
    while start < high and bad < 0:
        outer_index = start // inner
        inner_index = start - outer_index * inner
        n = min(min(lanes, high - start), inner - inner_index)
        # 1. What each position weighs, and its label.
        if sample_weight != 0:
            for r in range(n):
                store_tile(weight, r, load_real(sample_weight, start + r))
        else:
            for r in range(n):
                store_tile(weight, r, one)
        wrong = 0
        if INDEX:
            for r in range(n):
                index = load_index(target, start + r)
                ignored = index == ignore_index
                outside = (index < 0) | (index >= classes)
                wrong += np.int64(outside & (not ignored))
                store_wide_index(label, r, 0 if outside | ignored else index)
                store_tile(live, r, zero if ignored else one)
                store_tile(weight, r, zero if ignored else load_tile(weight, r))
        tile_count = zero
        if FULL and INDEX:
            for r in range(n):
                m = load_real(class_weight, load_wide_index(label, r)) if weigh_classes else one
                store_tile(mass, r, m)
                tile_count = accumulate(tile_count, load_tile(weight, r) * m)
        else:
            for r in range(n):
                tile_count = accumulate(tile_count, load_tile(weight, r))
        counted += tile_count
        if wrong > 0:
            for r in range(n):
                index = load_index(target, start + r)
                if bad < 0 and index != ignore_index and (index < 0 or index >= classes):
                    bad = start + r
        if phase == COUNTING or bad >= 0:
            start += n
            continue

        # 2. The logits, so that a lane is a position.
        offset = outer_index * load_int(arguments, OUTER_STRIDE) + inner_index * load_int(arguments, INNER_STRIDE)
        _fetch(
            load_int(arguments, INPUT) + offset * ITEMSIZE,
            load_int(arguments, CLASS_STRIDE),
            load_int(arguments, INNER_STRIDE),
            classes,
            n,
            tile,
            lanes,
        )
        if SOFTCAP_ON:
            for c in range(classes):
                for r in range(n):
                    store_tile(tile + c * step, r, _capped(load_tile(tile + c * step, r), cap))
        if not INDEX:
            offset = outer_index * load_int(arguments, TARGET_OUTER_STRIDE) + inner_index * load_int(
                arguments, TARGET_INNER_STRIDE
            )
            _fetch(
                target + offset * ITEMSIZE,
                load_int(arguments, TARGET_CLASS_STRIDE),
                load_int(arguments, TARGET_INNER_STRIDE),
                classes,
                n,
                target_tile,
                lanes,
            )

        # 3. The maximum and the others' sum: found, or remembered from the forward pass.
        if flags & STATS and not flags & VALUE:
            for r in range(n):
                store_tile(top, r, load_real(statistics, KEPT_NUMBERS * (start + r)))
                store_tile(others, r, load_real(statistics, KEPT_NUMBERS * (start + r) + 1))
        else:
            for r in range(n):
                store_tile(top, r, load_tile(tile, r))
                store_wide(folded, r, 0.0)
                store_tile(maxima, r, zero)
            # Two classes at a time: the running numbers of a lane are loaded and stored half as often.
            for c in range(1, classes - 1, 2):
                for r in range(n):
                    two = maxnum(load_tile(tile + c * step, r), load_tile(tile + (c + 1) * step, r))
                    store_tile(top, r, maxnum(load_tile(top, r), two))
            if classes % 2 == 0:
                for r in range(n):
                    store_tile(top, r, maxnum(load_tile(top, r), load_tile(tile + (classes - 1) * step, r)))
            for first in range(0, classes, FOLD):
                for r in range(n):
                    store_tile(others, r, zero)
                last = min(classes, first + FOLD)
                for c in range(first, last - 1, 2):
                    for r in range(n):
                        d = load_tile(tile + c * step, r) - load_tile(top, r)
                        e = load_tile(tile + (c + 1) * step, r) - load_tile(top, r)
                        small = (zero if d == zero else exp_softmax(d)) + (zero if e == zero else exp_softmax(e))
                        store_tile(others, r, load_tile(others, r) + small)
                        count = (one if d == zero else zero) + (one if e == zero else zero)
                        store_tile(maxima, r, load_tile(maxima, r) + count)
                if (last - first) % 2 == 1:
                    for r in range(n):
                        d = load_tile(tile + (last - 1) * step, r) - load_tile(top, r)
                        store_tile(others, r, load_tile(others, r) + (zero if d == zero else exp_softmax(d)))
                        store_tile(maxima, r, load_tile(maxima, r) + (one if d == zero else zero))
                for r in range(n):
                    store_wide(folded, r, load_wide(folded, r) + load_tile(others, r))
            for r in range(n):
                store_tile(others, r, real(_others(load_wide(folded, r), load_tile(maxima, r))))
            if flags & STATS:
                for r in range(n):
                    store_real(statistics, KEPT_NUMBERS * (start + r), load_tile(top, r))
                    store_real(statistics, KEPT_NUMBERS * (start + r) + 1, load_tile(others, r))

        # 4. Target mass and its dot product with d, where they are more than one class's.
        if not INDEX:
            for r in range(n):
                store_tile(mass, r, zero)
                store_tile(dot, r, zero)
            for c in range(classes):
                wc = one
                if FULL and weigh_classes:
                    wc = load_real(class_weight, c)
                for r in range(n):
                    ti = wc * load_tile(target_tile + c * step, r)
                    d = load_tile(tile + c * step, r) - load_tile(top, r)
                    store_tile(mass, r, load_tile(mass, r) + ti)
                    store_tile(dot, r, load_tile(dot, r) + (zero if ti == zero else ti * d))
        if FULL:
            for r in range(n):
                store_tile(smooth_dot, r, zero)
            if smoothing != zero:
                for c in range(classes):
                    wc = one
                    if weigh_classes:
                        wc = load_real(class_weight, c)
                    if wc != zero:
                        for r in range(n):
                            d = load_tile(tile + c * step, r) - load_tile(top, r)
                            store_tile(smooth_dot, r, load_tile(smooth_dot, r) + wc * d)

        # 5. What is left to do for a lane alone: its loss, and the factors of its gradient. What reads or writes at
        # an index of its own stands in loops of its own: those do not vectorise.
        for r in range(n):
            store_tile(row_scale, r, scale * load_tile(weight, r))
        if upstream != 0:
            for r in range(n):
                u = load_real(upstream, (start + r) * upstream_stride)
                store_tile(row_scale, r, load_tile(row_scale, r) * u)
        if INDEX:
            for r in range(n):
                store_tile(dot, r, load_tile(tile, load_wide_index(label, r) * lanes + r))
        tile_total = zero
        for r in range(n):
            m_top = load_tile(top, r)
            o = load_tile(others, r)
            w = load_tile(weight, r)
            lane_scale = load_tile(row_scale, r)
            log_sum = log1p(o)
            over_sum = one / (one + o)
            if INDEX:
                d = load_tile(dot, r) - m_top
                label_mass = load_tile(mass, r) if FULL else one
                lane_mass = label_mass
                lane_dot = zero if label_mass == zero else label_mass * d
            else:
                lane_mass = load_tile(mass, r)
                lane_dot = load_tile(dot, r)
            if FULL:
                lane_dot = kept * lane_dot + smoothing * load_tile(smooth_dot, r)
                lane_mass = kept * lane_mass + smoothing * weight_sum
                lane_loss = _row_loss(lane_mass, lane_dot, log_sum, m_top, z_loss)
                slope = lane_mass + real(2.0) * z_loss * (m_top + log_sum)
            else:
                lane_loss = _row_loss(lane_mass, lane_dot, log_sum, m_top, zero)
                slope = lane_mass
            store_tile(factor, r, lane_scale * slope * over_sum)
            lane_loss = zero if w == zero else lane_loss * w
            if INDEX:
                not_live = load_tile(live, r) == zero
                if FULL:
                    gl = _label_gradient(d, o, lane_mass, slope, label_mass, smoothing, weight_sum)
                    if SOFTCAP_ON:
                        zl = (d + m_top) * over_cap
                        gl *= one - zl * zl
                else:
                    gl = _label_gradient(d, o, lane_mass, slope, label_mass, zero, zero)
                store_tile(label_grad, r, zero if not_live else lane_scale * gl)
            else:
                store_tile(smooth_dot, r, log_sum)  # for the gradient of the target
            store_tile(loss, r, lane_loss)
            tile_total = accumulate(tile_total, lane_loss)
        if flags & VALUE:
            total += tile_total
            if losses != 0:
                for r in range(n):
                    store_real(losses, start + r, load_tile(loss, r))

        # 6. Gradients.
        if not INDEX and flags & GRAD_TARGET:
            out = load_int(arguments, GRAD_OF_TARGET) + ITEMSIZE * (
                outer_index * load_int(arguments, TARGET_GRAD_OUTER_STRIDE)
                + inner_index * load_int(arguments, TARGET_GRAD_INNER_STRIDE)
            )
            class_stride = load_int(arguments, TARGET_GRAD_CLASS_STRIDE)
            lane_stride = load_int(arguments, TARGET_GRAD_INNER_STRIDE)
            for c in range(classes):
                wc = one
                if FULL:
                    wc = kept
                    if weigh_classes:
                        wc *= load_real(class_weight, c)
                for r in range(n):
                    d = load_tile(tile + c * step, r) - load_tile(top, r)
                    g = wc * load_tile(row_scale, r) * (load_tile(smooth_dot, r) - d)
                    store(out, c * class_stride + r * lane_stride, g)
        if flags & GRAD:
            for c in range(classes):
                if FULL:
                    wc = one
                    if weigh_classes:
                        wc = load_real(class_weight, c)
                for r in range(n):
                    z = load_tile(tile + c * step, r)
                    g = exp_softmax(z - load_tile(top, r)) * load_tile(factor, r)
                    if FULL:
                        mass_c = smoothing
                        if not INDEX:
                            mass_c += kept * load_tile(target_tile + c * step, r)
                        g -= load_tile(row_scale, r) * wc * mass_c
                        if SOFTCAP_ON:
                            g *= one - (z * over_cap) * (z * over_cap)
                    elif not INDEX:
                        g -= load_tile(row_scale, r) * load_tile(target_tile + c * step, r)
                    if INDEX:
                        g = zero if load_tile(live, r) == zero else g
                    store_tile(tile + c * step, r, g)
            if INDEX:
                for r in range(n):
                    store_tile(tile, load_wide_index(label, r) * lanes + r, load_tile(label_grad, r))
            offset = outer_index * load_int(arguments, GRAD_OUTER_STRIDE) + inner_index * load_int(
                arguments, GRAD_INNER_STRIDE
            )
            _flush(
                tile,
                lanes,
                load_int(arguments, GRAD_INPUT) + offset * ITEMSIZE,
                load_int(arguments, GRAD_CLASS_STRIDE),
                load_int(arguments, GRAD_INNER_STRIDE),
                classes,
                n,
            )
        start += n
    store_double(partial, 0, total)
    store_double(partial, 1, counted)
    store_int(partial, 2, bad)
    if heap != 0:
        release(heap)
