"""Cross-entropy of softmax: what its kernels share, and the negative log-likelihood.

classification_rows_cpu.py takes one position after the other, classification_lanes_cpu.py many side by side.

With z the logits of a position, m = max z, d_c = z_c - m <= 0 and o = sum of exp(d_c) over all classes but one that
attains the maximum, the log-sum-exp is m + log1p(o). For a target mass t_c (already weighted) with T = sum t_c:

    loss = T log1p(o) - sum t_c d_c + z_loss (m + log1p(o))^2
    d loss / d z_c = exp(d_c) / (1 + o) A - t_c,    A = T + 2 z_loss (m + log1p(o))

Every term of the loss has one sign, and o keeps the small probabilities that 1 + o would round away, so a loss of
1e-30 has as many digits as the d have. At the target's own class exp(d_c) / (1 + o) - 1 is computed as -(what the
others sum to) / (1 + o), which keeps the small gradient of a confident row.

Label smoothing e replaces t_c by (1 - e) t_c + e / C, each times the class weight; a tanh cap replaces z_c by
cap tanh(z_c / cap). ``STATS`` keeps (m, o) of each position, and T for soft targets: KEPT_NUMBERS, from which the
backward pass writes the gradient in one pass over the logits, with the same bits as the fused pass.

``VALUES``, ``GRADIENTS``: the losses, the gradients, or both are asked for; gradients alone are that backward pass.

Positions are numbered as in the target: p = outer * INNER + inner.
"""

import numpy as np

from fastloss.kernels.build_cpu import Template, rounded
from fastloss.kernels.launch_cpu import (
    COUNTING,
    GRAD_INPUT,
    INPUT,
    ITEMS,
    LOSSES,
    PARAMETERS,
    SAMPLE_WEIGHT,
    SCALE,
    TARGET,
    UPSTREAM,
    WEIGHT,
)
from fastloss.kernels.memory_cpu import (
    ACCUMULATE,
    clear,
    load_double,
    load_int,
    prefetch,
    stack_buffer,
    store_double,
    store_int,
)

add_wide = ACCUMULATE["float64"]

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
def _label_gradient(d, others, mass, slope, label_mass, kept, smoothing, weight_sum):
    # slope * p - (1 - e) w - e w / C for the label's own class, as slope * (p - 1) + (slope - mass) + e (W - w) / C:
    # 1 - p is what the other classes sum to, relative to the maximum. As it stands where w is little of the mass.
    one = real(1.0)
    e, over_sum = exp_softmax(d), one / (one + others)
    rest = others if d == real(0.0) else one + (others - e)
    gradient = -slope * rest * over_sum
    if FULL:
        own = (kept + smoothing) * label_mass
        gradient += smoothing * (weight_sum - label_mass) + (slope - mass)
        gradient = select(fabs(own + own) < fabs(mass), slope * (e * over_sum) - own, gradient)
    return gradient


#: Positions that are worked on together.
GROUP = 256
GROUP_BYTES = 8 * GROUP
#: Bytes of a gradient of zeros that hardly stays in a cache until somebody reads it.
LARGE = 1 << 24
#: Bytes of a row of zeros that are written in less time than it takes to begin.
SHORT = 1024


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
    classes = load_int(arguments, CLASSES)
    inner = load_int(arguments, INNER)
    ignore_index = load_int(arguments, IGNORE_INDEX)
    grad_class_stride = load_int(arguments, GRAD_CLASS_STRIDE)
    scale = real(load_double(arguments, SCALE))
    zero, one = real(0.0), real(1.0)
    outer_stride = load_int(arguments, OUTER_STRIDE)
    inner_stride = load_int(arguments, INNER_STRIDE)
    class_stride = load_int(arguments, CLASS_STRIDE)
    # Most of the gradient is zeros. Where it is large, and one stretch of memory, they are written past the caches.
    items, grad_outer_stride = load_int(arguments, ITEMS), load_int(arguments, GRAD_OUTER_STRIDE)
    grad_inner_stride = load_int(arguments, GRAD_INNER_STRIDE)
    side_by_side = inner == 1 or grad_inner_stride == classes
    in_one = grad_class_stride == 1 and side_by_side and (items == inner or grad_outer_stride == inner * classes)
    past_caches = in_one and items * classes * ITEMSIZE >= LARGE
    all_at_once = in_one and classes * ITEMSIZE <= SHORT
    labels = stack_buffer(GROUP_BYTES)
    places = stack_buffer(GROUP_BYTES)
    found = stack_buffer(GROUP_BYTES)
    weights = stack_buffer(GROUP_BYTES)
    total = 0.0
    counted = 0.0
    bad = -1
    for start in range(low, high, GROUP):
        n = min(GROUP, high - start)
        # Loops that stay on the stack run over whole vectors, past the last position, too, where nothing has a weight.
        wide = (n + 63) & -64
        outer_index = start // inner
        inner_index = start - outer_index * inner
        evenly_spaced = inner == 1 or inner_index + n <= inner  # no division for each
        offset = step = 0
        if evenly_spaced:
            offset = outer_index * outer_stride + inner_index * inner_stride
            step = outer_stride if inner == 1 else inner_stride
        # Each position reads one number in a cache line of its own: the addresses of many first, then all the loads, so
        # that the memory works on them side by side. One after the other took 3 times as long.
        wrong = 0
        for i in range(n):
            label = load_index(target, start + i)
            outside = (label < 0) | (label >= classes)
            wrong += np.int64(outside & (label != ignore_index))
            store_wide_index(labels, i, label)
            store_wide_index(places, i, (0 if outside else label) * class_stride + offset + i * step)
            store_tile(weights, i, select(label == ignore_index, zero, one))
        for i in range(n, wide):
            store_tile(weights, i, zero)
        if wrong > 0:
            for i in range(n):
                label = load_wide_index(labels, i)
                if bad < 0 and label != ignore_index and (label < 0 or label >= classes):
                    bad = start + i
            break
        if not evenly_spaced:
            for i in range(n):
                outer_index = (start + i) // inner
                inner_index = start + i - outer_index * inner
                offset = outer_index * outer_stride + inner_index * inner_stride
                store_wide_index(places, i, load_wide_index(places, i) + offset)
        if VALUES and phase != COUNTING and inner == 1:
            # The next ones are asked for: else the memory would rest while these are added up (cold, 0.62 to 0.56 ms).
            for i in range(start + n, min(high, start + n + GROUP)):
                label = load_index(target, i)
                place = label if (label >= 0) & (label < classes) else 0
                prefetch(log_probabilities + ITEMSIZE * (i * outer_stride + place * class_stride))
        # What each position weighs: 0 where it is ignored.
        if class_weight != 0:
            for i in range(n):
                if load_tile(weights, i) != zero:
                    store_tile(weights, i, load_real(class_weight, load_wide_index(labels, i)))
        if sample_weight != 0:
            for i in range(n):
                ignored = load_wide_index(labels, i) == ignore_index
                weight = load_tile(weights, i) * load_real(sample_weight, start + i)
                store_tile(weights, i, select(ignored, zero, weight))
        for i in range(wide):
            counted = add_wide(counted, np.float64(load_tile(weights, i)))
        if phase == COUNTING:
            continue
        if VALUES:
            for i in range(n):
                store_tile(found, i, load(log_probabilities, load_wide_index(places, i)))
            for i in range(wide):
                weight = load_tile(weights, i)
                loss = select(weight == zero, zero, -load_tile(found, i) * weight)
                store_tile(found, i, loss)
                total = add_wide(total, np.float64(loss))
            if losses != 0:
                for i in range(n):
                    store_real(losses, start + i, load_tile(found, i))
        if GRADIENTS:
            first = grads + start * classes * ITEMSIZE
            if past_caches:
                clear(first, n * classes * ITEMSIZE)
            elif all_at_once:
                for c in range(n * classes):  # LLVM makes a memset of it
                    store(first, c, zero)
            if evenly_spaced:
                offset = outer_index * grad_outer_stride + inner_index * grad_inner_stride
                step = grad_outer_stride if inner == 1 else grad_inner_stride
            for i in range(n):
                position = start + i
                place = offset + i * step
                if not evenly_spaced:
                    outer_index = position // inner
                    inner_index = position - outer_index * inner
                    place = outer_index * grad_outer_stride + inner_index * grad_inner_stride
                g = grads + ITEMSIZE * place
                if not past_caches and not all_at_once:
                    if grad_class_stride == 1:
                        for c in range(classes):
                            store(g, c, zero)
                    else:
                        for c in range(classes):
                            store(g, c * grad_class_stride, zero)
                label = load_wide_index(labels, i)
                if label != ignore_index:
                    slope = scale * load_tile(weights, i)
                    if upstream != 0:
                        slope *= load_real(upstream, position * load_int(arguments, UPSTREAM_STRIDE))
                    store(g, label * grad_class_stride, -slope)
    store_double(partial, 0, total)
    store_double(partial, 1, counted)
    store_int(partial, 2, bad)
