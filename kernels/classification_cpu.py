"""Cross-entropy of softmax: rows of classes, lanes of positions, and one huge row cut in pieces.

With z the logits of a position, m = max z, d_c = z_c - m <= 0 and o = sum of exp(d_c) over all classes but one that
attains the maximum, the log-sum-exp is m + log1p(o). For a target mass t_c (already weighted) with T = sum t_c:

    loss = T log1p(o) - sum t_c d_c + z_loss (m + log1p(o))^2
    d loss / d z_c = exp(d_c) / (1 + o) A - t_c,    A = T + 2 z_loss (m + log1p(o))

Every term of the loss has one sign, and o keeps the small probabilities that 1 + o would round away, so a loss of
1e-30 is as exact as one of 1. At the target's own class exp(d_c) / (1 + o) - 1 is computed as -(what the others sum
to) / (1 + o), which keeps the small gradient of a confident row.

Label smoothing e replaces t_c by (1 - e) t_c + e / C, each times the class weight; a tanh cap replaces z_c by
cap tanh(z_c / cap). ``STATS`` keeps (m, o) of each position: two numbers, from which the backward pass writes the
gradient in one pass over the logits, with the same bits as the fused pass.

Positions are numbered as in the target: p = outer * INNER + inner.
"""

import numpy as np

from fastloss.kernels.build_cpu import Template
from fastloss.kernels.launch_cpu import (
    COUNTING,
    FLAGS,
    GRAD,
    GRAD_INPUT,
    GRAD_OF_TARGET,
    GRAD_TARGET,
    INPUT,
    LOSSES,
    PARAMETERS,
    SAMPLE_WEIGHT,
    SCALE,
    STATISTICS,
    STATS,
    TARGET,
    UPSTREAM,
    VALUE,
    WEIGHT,
)
from fastloss.kernels.memory_cpu import load_double, load_int, stack_buffer, store_double, store_int

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
) = range(PARAMETERS, PARAMETERS + 21)

#: Elements of a row that are summed in the type of the arithmetic before the sum joins a float64.
CHUNK = 4096
CHUNK_BYTES = 8 * CHUNK
FOLD = 64  # the same for lanes, whose sums are sequential


@Template
def _chunk(address, stride, start, n, buffer):
    # Elements start .. start+n of a strided row, where a vector loop can read them.
    if stride == 1:
        return address + start * ITEMSIZE
    for i in range(n):
        gather(buffer, i, load(address, (start + i) * stride))
    return buffer


@Template
def _row_loss(mass, dot, log_sum, top, z_loss):
    # mass * log_sum - dot + z_loss * lse^2; see the head of this file.
    lse = top + log_sum
    return mass * log_sum - dot + z_loss * lse * lse if FULL else mass * log_sum - dot


@Template
def cross_entropy_rows(phase, low, high, arguments, partial):
    """Positions whose classes lie side by side (or are copied so, chunk by chunk), one at a time."""
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
    total = 0.0
    counted = 0.0
    bad = -1
    for position in range(low, high):
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
                    for c in range(classes):
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
            top = load_real(statistics, 2 * position)
            others = load_real(statistics, 2 * position + 1)
        else:
            top = -real(np.inf)
            for start in range(0, classes, CHUNK):
                n = min(CHUNK, classes - start)
                z = _chunk(x, class_stride, start, n, buffer)
                for i in range(n):
                    top = maxnum(top, load(z, i))
            if SOFTCAP_ON:
                top = cap * tanh(top * over_cap)
            # All maxima but one are among the others: count them, and leave them out of the sum, where small terms
            # would be lost beside a 1.
            small = 0.0
            maxima = 0.0
            for start in range(0, classes, CHUNK):
                n = min(CHUNK, classes - start)
                z = _chunk(x, class_stride, start, n, buffer)
                chunk_small = zero
                chunk_maxima = zero
                for i in range(n):
                    d = (cap * tanh(load(z, i) * over_cap) if SOFTCAP_ON else load(z, i)) - top
                    is_top = d == zero
                    chunk_small += zero if is_top else exp_nonpositive(d)
                    chunk_maxima += one if is_top else zero
                small += chunk_small
                maxima += chunk_maxima
            others = real(small + (maxima - 1.0))
            if flags & STATS:
                store_real(statistics, 2 * position, top)
                store_real(statistics, 2 * position + 1, others)
        log_sum = log1p(others)

        # Target mass and its dot product with d.
        mass = label_weight
        dot = zero
        d_label = zero
        if INDEX:
            d_label = (
                cap * tanh(load(x, label * class_stride) * over_cap) if SOFTCAP_ON else load(x, label * class_stride)
            ) - top
            dot = label_weight * d_label
        else:
            wide_mass = 0.0
            wide_dot = 0.0
            for start in range(0, classes, CHUNK):
                n = min(CHUNK, classes - start)
                z = _chunk(x, class_stride, start, n, buffer)
                tc = _chunk(t, target_class_stride, start, n, target_buffer)
                chunk_mass = zero
                chunk_dot = zero
                for i in range(n):
                    d = (cap * tanh(load(z, i) * over_cap) if SOFTCAP_ON else load(z, i)) - top
                    ti = load(tc, i)
                    if FULL and weigh_classes:
                        ti *= load_real(class_weight, start + i)
                    chunk_mass += ti
                    chunk_dot += zero if ti == zero else ti * d
                wide_mass += chunk_mass
                wide_dot += chunk_dot
            mass = real(wide_mass)
            dot = real(wide_dot)
        if FULL and smoothing != zero:
            wide_dot = 0.0
            for start in range(0, classes, CHUNK):
                n = min(CHUNK, classes - start)
                z = _chunk(x, class_stride, start, n, buffer)
                chunk_dot = zero
                if weigh_classes:
                    for i in range(n):
                        d = (cap * tanh(load(z, i) * over_cap) if SOFTCAP_ON else load(z, i)) - top
                        wi = load_real(class_weight, start + i)
                        chunk_dot += zero if wi == zero else wi * d
                else:
                    for i in range(n):
                        chunk_dot += (cap * tanh(load(z, i) * over_cap) if SOFTCAP_ON else load(z, i)) - top
                wide_dot += chunk_dot
            dot = kept * dot + smoothing * real(wide_dot)
            mass = kept * mass + smoothing * weight_sum

        if flags & VALUE:
            loss = row_weight * _row_loss(mass, dot, log_sum, top, z_loss)
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
            for start in range(0, classes, CHUNK):
                n = min(CHUNK, classes - start)
                z = _chunk(x, class_stride, start, n, buffer)
                out = g + start * grad_class_stride * ITEMSIZE
                if FULL or not INDEX:
                    tc = t if INDEX else _chunk(t, target_class_stride, start, n, target_buffer)
                    for i in range(n):
                        zi = cap * tanh(load(z, i) * over_cap) if SOFTCAP_ON else load(z, i)
                        wi = one
                        if weigh_classes:
                            wi = load_real(class_weight, start + i)
                        mass_i = smoothing if FULL else zero
                        if not INDEX:
                            mass_i += kept * load(tc, i) if FULL else load(tc, i)
                        gi = exp_nonpositive(zi - top) * factor - row_scale * wi * mass_i
                        if SOFTCAP_ON:
                            gi *= one - (zi * over_cap) * (zi * over_cap)
                        store(out, i * grad_class_stride, gi)
                elif grad_class_stride == 1:
                    for i in range(n):
                        store(out, i, exp_nonpositive(load(z, i) - top) * factor)
                else:
                    for i in range(n):
                        store(out, i * grad_class_stride, exp_nonpositive(load(z, i) - top) * factor)
            if INDEX:
                # What the other classes sum to, relative to the maximum.
                rest = others if d_label == zero else one + (others - exp_nonpositive(d_label))
                if FULL:
                    gl = smoothing * (weight_sum - label_weight) + (slope - mass) - slope * rest * over_sum
                    if SOFTCAP_ON:
                        zl = (d_label + top) * over_cap
                        gl *= one - zl * zl
                    store(g, label * grad_class_stride, row_scale * gl)
                else:
                    store(g, label * grad_class_stride, -row_scale * rest * over_sum)
        if not INDEX and flags & GRAD_TARGET:
            g = target_grads + ITEMSIZE * (
                outer_index * load_int(arguments, TARGET_GRAD_OUTER_STRIDE)
                + inner_index * load_int(arguments, TARGET_GRAD_INNER_STRIDE)
            )
            for start in range(0, classes, CHUNK):
                n = min(CHUNK, classes - start)
                z = _chunk(x, class_stride, start, n, buffer)
                for i in range(n):
                    d = (cap * tanh(load(z, i) * over_cap) if SOFTCAP_ON else load(z, i)) - top
                    wi = row_scale
                    if FULL:
                        wi *= kept
                        if weigh_classes:
                            wi *= load_real(class_weight, start + i)
                    store(g, (start + i) * target_grad_class_stride, wi * (log_sum - d))
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
            loss = -x * weight
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
    """Positions side by side, one in each lane of a vector: few classes, or a class axis that is not the last."""
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
    lanes = load_int(arguments, LANES)
    upstream_stride = load_int(arguments, UPSTREAM_STRIDE)
    ignore_index = load_int(arguments, IGNORE_INDEX)
    scale = real(load_double(arguments, SCALE))
    kept = real(load_double(arguments, KEPT))
    smoothing = real(load_double(arguments, SMOOTHING))
    z_loss = real(load_double(arguments, Z_LOSS))
    cap = real(load_double(arguments, SOFTCAP))
    zero, one = real(0.0), real(1.0)
    over_cap = one / cap
    weigh_classes = FULL and class_weight != 0
    weight_sum = real(classes)
    if FULL and weigh_classes and smoothing != zero:
        wide_sum = 0.0
        for c in range(classes):
            wide_sum += load_real(class_weight, c)
        weight_sum = real(wide_sum)

    # One value a lane.
    label = stack_buffer(LANE_BYTES)  # the class, 0 where there is none
    live = stack_buffer(LANE_BYTES)  # 1, or 0 for an ignored position
    weight = stack_buffer(LANE_BYTES)  # of the sample
    mass = stack_buffer(LANE_BYTES)
    dot = stack_buffer(LANE_BYTES)
    smooth_dot = stack_buffer(LANE_BYTES)
    top = stack_buffer(LANE_BYTES)
    others = stack_buffer(LANE_BYTES)
    maxima = stack_buffer(LANE_BYTES)
    folded = stack_buffer(LANE_BYTES)
    d_label = stack_buffer(LANE_BYTES)
    factor = stack_buffer(LANE_BYTES)
    row_scale = stack_buffer(LANE_BYTES)
    log_sum = stack_buffer(LANE_BYTES)

    # The tiles of logits and of target probabilities.
    needed = lanes * classes * REALSIZE * (1 if INDEX else 2)
    heap = np.empty(0 if needed <= TILE_BYTES else needed // 8 + 8, np.float64)
    stack_tile = stack_buffer(TILE_BYTES)
    tile = stack_tile if needed <= TILE_BYTES else heap.ctypes.data
    target_tile = tile + lanes * classes * REALSIZE

    total = 0.0
    counted = 0.0
    bad = -1
    start = low
    while start < high:
        outer_index = start // inner
        inner_index = start - outer_index * inner
        n = min(min(lanes, high - start), inner - inner_index)
        # 1. What each position weighs, and its label.
        for r in range(n):
            w = one
            if sample_weight != 0:
                w = load_real(sample_weight, start + r)
            store_tile(weight, r, w)
            store_tile(live, r, one)
            store_tile(mass, r, one)
        if INDEX:
            for r in range(n):
                index = load_index(target, start + r)
                if index == ignore_index:
                    store_tile(live, r, zero)
                    store_tile(weight, r, zero)
                    index = 0
                elif index < 0 or index >= classes:
                    if bad < 0:
                        bad = start + r
                    index = 0
                store_int(label, r, index)
                if weigh_classes:
                    store_tile(mass, r, load_real(class_weight, index))
            if bad >= 0:
                break
        tile_count = zero
        for r in range(n):
            tile_count += load_tile(weight, r) * (load_tile(mass, r) if INDEX else one)
        counted += tile_count
        if phase == COUNTING:
            start += n
            continue

        # 2. The logits, transposed so that a lane is a position.
        offset = outer_index * load_int(arguments, OUTER_STRIDE) + inner_index * load_int(arguments, INNER_STRIDE)
        _fetch(
            logits + offset * ITEMSIZE,
            load_int(arguments, CLASS_STRIDE),
            load_int(arguments, INNER_STRIDE),
            classes,
            n,
            tile,
            lanes,
        )
        if SOFTCAP_ON:
            for c in range(classes):
                row = tile + c * lanes * REALSIZE
                for r in range(n):
                    store_tile(row, r, cap * tanh(load_tile(row, r) * over_cap))
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

        # 3. Maximum and the others' sum, as in cross_entropy_rows.
        if flags & STATS and not flags & VALUE:
            for r in range(n):
                store_tile(top, r, load_real(statistics, 2 * (start + r)))
                store_tile(others, r, load_real(statistics, 2 * (start + r) + 1))
        else:
            for r in range(n):
                store_tile(top, r, load_tile(tile, r))
                store_double(folded, r, -1.0)
            for c in range(1, classes):
                row = tile + c * lanes * REALSIZE
                for r in range(n):
                    store_tile(top, r, maxnum(load_tile(top, r), load_tile(row, r)))
            for first in range(0, classes, FOLD):
                for r in range(n):
                    store_tile(others, r, zero)
                    store_tile(maxima, r, zero)
                for c in range(first, min(classes, first + FOLD)):
                    row = tile + c * lanes * REALSIZE
                    for r in range(n):
                        d = load_tile(row, r) - load_tile(top, r)
                        is_top = d == zero
                        store_tile(others, r, load_tile(others, r) + (zero if is_top else exp_nonpositive(d)))
                        store_tile(maxima, r, load_tile(maxima, r) + (one if is_top else zero))
                for r in range(n):
                    store_double(
                        folded, r, load_double(folded, r) + (load_tile(others, r) + np.float64(load_tile(maxima, r)))
                    )
            for r in range(n):
                store_tile(others, r, real(load_double(folded, r)))
            if flags & STATS:
                for r in range(n):
                    store_real(statistics, 2 * (start + r), load_tile(top, r))
                    store_real(statistics, 2 * (start + r) + 1, load_tile(others, r))
        for r in range(n):
            store_tile(log_sum, r, log1p(load_tile(others, r)))

        # 4. Target mass and its dot product with d.
        if INDEX:
            for r in range(n):
                d = load_tile(tile, load_int(label, r) * lanes + r) - load_tile(top, r)
                store_tile(d_label, r, d)
            for r in range(n):
                store_tile(dot, r, load_tile(mass, r) * load_tile(d_label, r))
        else:
            for r in range(n):
                store_tile(mass, r, zero)
                store_tile(dot, r, zero)
            for c in range(classes):
                row = tile + c * lanes * REALSIZE
                target_row = target_tile + c * lanes * REALSIZE
                wc = one
                if weigh_classes:
                    wc = load_real(class_weight, c)
                for r in range(n):
                    ti = wc * load_tile(target_row, r)
                    d = load_tile(row, r) - load_tile(top, r)
                    store_tile(mass, r, load_tile(mass, r) + ti)
                    store_tile(dot, r, load_tile(dot, r) + (zero if ti == zero else ti * d))
        if FULL and smoothing != zero:
            for r in range(n):
                store_tile(smooth_dot, r, zero)
            for c in range(classes):
                row = tile + c * lanes * REALSIZE
                wc = one
                if weigh_classes:
                    wc = load_real(class_weight, c)
                if wc != zero:
                    for r in range(n):
                        d = load_tile(row, r) - load_tile(top, r)
                        store_tile(smooth_dot, r, load_tile(smooth_dot, r) + wc * d)
            for r in range(n):
                store_tile(dot, r, kept * load_tile(dot, r) + smoothing * load_tile(smooth_dot, r))
                store_tile(mass, r, kept * load_tile(mass, r) + smoothing * weight_sum)

        # 5. Losses.
        if flags & VALUE:
            tile_total = 0.0
            for r in range(n):
                loss = _row_loss(
                    load_tile(mass, r), load_tile(dot, r), load_tile(log_sum, r), load_tile(top, r), z_loss
                )
                loss = zero if load_tile(live, r) == zero else loss * load_tile(weight, r)
                tile_total += loss
                store_tile(factor, r, loss)
            total += tile_total
            if losses != 0:
                for r in range(n):
                    store_real(losses, start + r, load_tile(factor, r))

        # 6. Gradients.
        if flags & (GRAD | GRAD_TARGET):
            for r in range(n):
                s = scale * load_tile(weight, r)
                if upstream != 0:
                    s *= load_real(upstream, (start + r) * upstream_stride)
                store_tile(row_scale, r, s)
            for r in range(n):
                slope = load_tile(mass, r)
                if FULL:
                    slope += real(2.0) * z_loss * (load_tile(top, r) + load_tile(log_sum, r))
                over_sum = one / (one + load_tile(others, r))
                store_tile(factor, r, load_tile(row_scale, r) * slope * over_sum)
                if INDEX:
                    d = load_tile(d_label, r)
                    o = load_tile(others, r)
                    rest = o if d == zero else one + (o - exp_nonpositive(d))
                    gl = -slope * rest * over_sum
                    if FULL:
                        w = one
                        if weigh_classes:
                            w = load_real(class_weight, load_int(label, r))
                        gl += smoothing * (weight_sum - w) + (slope - load_tile(mass, r))
                        if SOFTCAP_ON:
                            zl = (d + load_tile(top, r)) * over_cap
                            gl *= one - zl * zl
                    store_tile(d_label, r, zero if load_tile(live, r) == zero else load_tile(row_scale, r) * gl)
        if not INDEX and flags & GRAD_TARGET:
            # Into the tile of probabilities only after their last use, so after the gradient of the logits: but that
            # one overwrites the logits. A second look at the logits would cost more than this order of loops.
            for c in range(classes):
                row = tile + c * lanes * REALSIZE
                wc = one
                if FULL:
                    wc = kept
                    if weigh_classes:
                        wc *= load_real(class_weight, c)
                out = target_grads + ITEMSIZE * (
                    outer_index * load_int(arguments, TARGET_GRAD_OUTER_STRIDE)
                    + inner_index * load_int(arguments, TARGET_GRAD_INNER_STRIDE)
                    + c * load_int(arguments, TARGET_GRAD_CLASS_STRIDE)
                )
                lane_stride = load_int(arguments, TARGET_GRAD_INNER_STRIDE)
                for r in range(n):
                    d = load_tile(row, r) - load_tile(top, r)
                    store(out, r * lane_stride, wc * load_tile(row_scale, r) * (load_tile(log_sum, r) - d))
        if flags & GRAD:
            for c in range(classes):
                row = tile + c * lanes * REALSIZE
                target_row = target_tile + c * lanes * REALSIZE
                wc = one
                if weigh_classes:
                    wc = load_real(class_weight, c)
                for r in range(n):
                    z = load_tile(row, r)
                    g = exp_nonpositive(z - load_tile(top, r)) * load_tile(factor, r)
                    if FULL:
                        mass_c = smoothing
                        if not INDEX:
                            mass_c += kept * load_tile(target_row, r)
                        g -= load_tile(row_scale, r) * wc * mass_c
                        if SOFTCAP_ON:
                            g *= one - (z * over_cap) * (z * over_cap)
                    elif not INDEX:
                        g -= load_tile(row_scale, r) * load_tile(target_row, r)
                    store_tile(row, r, zero if load_tile(live, r) == zero else g)
            if INDEX:
                for r in range(n):
                    store_tile(tile, load_int(label, r) * lanes + r, load_tile(d_label, r))
            offset = outer_index * load_int(arguments, GRAD_OUTER_STRIDE) + inner_index * load_int(
                arguments, GRAD_INNER_STRIDE
            )
            _flush(
                tile,
                lanes,
                grads + offset * ITEMSIZE,
                load_int(arguments, GRAD_CLASS_STRIDE),
                load_int(arguments, GRAD_INNER_STRIDE),
                classes,
                n,
            )
        start += n
    store_double(partial, 0, total)
    store_double(partial, 1, counted)
    store_int(partial, 2, bad)
    heap.size  # noqa: B018 - keeps the memory until here
