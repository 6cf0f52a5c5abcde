"""The loops of every elementwise loss, once: a formula says what happens to one element.

``FORMULA(x, t, p, a, b)`` returns (loss, d loss / d x, d loss / d t) for one element: input ``x``, target ``t``, a
third operand ``p`` (1 where absent) and two parameters. A loop that uses only some of the three pays for only those,
because LLVM drops the rest.

Two layers, so that a new formula compiles nothing but its own loops:

- ``elementwise`` walks a block in tiles that stay in the first-level cache and finds where each operand's tile is: in
  place if contiguous, gathered into a buffer if strided or broadcast, a tile of ones if absent. It knows bytes only
  and is compiled once for all losses, dtypes and layouts.
- ``loops`` runs over one tile; compiled for each formula and dtype.
"""

from fastloss.kernels.build_cpu import Template
from fastloss.kernels.launch_cpu import (
    ADDRESSES,
    COUNTING,
    FIND_DENOMINATOR,
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
    SLOTS,
    TARGET,
    THIRD,
    UPSTREAM,
    VALUE,
    WEIGHT,
)
from fastloss.kernels.memory_cpu import (
    call_kernel,
    copy_2,
    copy_4,
    copy_8,
    load_double,
    load_int,
    stack_buffer,
    store_double,
    store_int,
)

# The operands come first among the addresses. In the arguments of ``loops`` the same slots hold those of this tile.
OPERANDS = UPSTREAM - ADDRESSES + 1
# Parameters of a launch. LOOPS and COUNTS are C functions made from the templates below; LAYOUT is the address of:
# ndim, shape, and for each operand its kind and strides, in elements; ONES that of a tile of ones.
(
    LOOPS,
    COUNTS,
    LAYOUT,
    BYTES,
    ONES,
    PARAMETER_A,
    PARAMETER_B,
    IGNORED,
    COUNT_WEIGHTS,
    HAS_DOMAIN,
    LOWEST,
    HIGHEST,
) = range(PARAMETERS, PARAMETERS + 12)
MAX_DIMS = 16
LAYOUT_SLOTS = 1 + MAX_DIMS + OPERANDS * (1 + MAX_DIMS)
ABSENT, CONTIGUOUS, STRIDED, ONE_FOR_ALL = range(4)

TILE = 2048
TILE_BYTES = 8 * TILE
BUFFERS_BYTES = (OPERANDS + 1) * TILE_BYTES  # one for each operand, and for losses that are only summed

# Modes of ``loops``.
SUM, LOSS, SUM_AND_GRAD, GRAD_ALONE, GRAD_OF_TARGET_ALONE = range(5)
ARGUMENT_BYTES = 8 * SLOTS


@Template
def loops(mode, low, high, arguments, partial):
    x = load_int(arguments, INPUT)
    t = load_int(arguments, TARGET)
    p = load_int(arguments, THIRD)
    w = load_int(arguments, WEIGHT)
    s = load_int(arguments, SAMPLE_WEIGHT)
    u = load_int(arguments, UPSTREAM)
    losses = load_int(arguments, LOSSES)
    grad = load_int(arguments, GRAD_INPUT)
    a = real(load_double(arguments, PARAMETER_A))
    b = real(load_double(arguments, PARAMETER_B))
    ignored = real(load_double(arguments, IGNORED))  # NaN where nothing is ignored: it equals no target
    scale = real(load_double(arguments, SCALE))
    zero = real(0.0)
    total = zero
    # A weight of 0 gives 0, whatever it stands before.
    if mode == SUM:
        for i in range(high):
            ti = load(t, i)
            wi = load(w, i) * load(s, i)
            loss = FORMULA(load(x, i), ti, load(p, i), a, b)[0]
            store_tile(losses, i, zero if (ti == ignored) | (wi == zero) else loss * wi)
    elif mode == LOSS:
        for i in range(high):
            ti = load(t, i)
            wi = load(w, i) * load(s, i)
            loss = FORMULA(load(x, i), ti, load(p, i), a, b)[0]
            store(losses, i, zero if (ti == ignored) | (wi == zero) else loss * wi)
    elif mode == SUM_AND_GRAD:
        for i in range(high):
            ti = load(t, i)
            wi = load(w, i) * load(s, i)
            loss, dx, _ = FORMULA(load(x, i), ti, load(p, i), a, b)
            none = (ti == ignored) | (wi == zero)
            store_tile(losses, i, zero if none else loss * wi)
            store(grad, i, zero if none else dx * wi * (scale * load(u, i)))
    elif mode == GRAD_ALONE:
        for i in range(high):
            ti = load(t, i)
            wi = load(w, i) * load(s, i)
            dx = FORMULA(load(x, i), ti, load(p, i), a, b)[1]
            store(grad, i, zero if (ti == ignored) | (wi == zero) else dx * wi * (scale * load(u, i)))
    else:
        for i in range(high):
            ti = load(t, i)
            wi = load(w, i) * load(s, i)
            dt = FORMULA(load(x, i), ti, load(p, i), a, b)[2]
            store(grad, i, zero if (ti == ignored) | (wi == zero) else dt * wi * (scale * load(u, i)))
    if mode == SUM or mode == SUM_AND_GRAD:
        for i in range(high):
            total = accumulate(total, load_tile(losses, i))
    store_double(partial, 0, total)


# Modes of ``counts``.
COUNT, SCALE_BY_UPSTREAM, CHECK = range(3)


@Template
def counts(mode, low, high, arguments, partial):
    """What needs the dtype but not the formula: denominators, the one upstream gradient, the domain."""
    t = load_int(arguments, TARGET)
    ignored = real(load_double(arguments, IGNORED))
    zero, one = real(0.0), real(1.0)
    total = zero
    if mode == COUNT:
        w = load_int(arguments, WEIGHT)
        s = load_int(arguments, SAMPLE_WEIGHT)
        if load_int(arguments, COUNT_WEIGHTS) != 0:
            for i in range(high):
                total = accumulate(total, zero if load(t, i) == ignored else load(w, i) * load(s, i))
        else:
            for i in range(high):
                total = accumulate(total, zero if load(t, i) == ignored else one)
    elif mode == SCALE_BY_UPSTREAM:
        store_double(arguments, SCALE, load_double(arguments, SCALE) * load(load_int(arguments, UPSTREAM), 0))
    else:
        # Input and target within the domain, but where the target is ignored; NaN is outside.
        x = load_int(arguments, INPUT)
        lowest = real(load_double(arguments, LOWEST))
        highest = real(load_double(arguments, HIGHEST))
        for i in range(high):
            xi, ti = load(x, i), load(t, i)
            inside = (xi >= lowest) & (xi <= highest) & (ti >= lowest) & (ti <= highest)
            total = accumulate(total, zero if inside | (ti == ignored) else one)
        first = -1
        if total != zero:  # rare: look again for the first
            for i in range(high):
                xi, ti = load(x, i), load(t, i)
                inside = (xi >= lowest) & (xi <= highest) & (ti >= lowest) & (ti <= highest)
                if first < 0 and not (inside | (ti == ignored)):
                    first = i
        store_int(partial, 2, first)
    store_double(partial, 0, total)


@Template
def _locate(arguments, slot, start, n, buffer):
    # The address of elements start .. start+n of an operand; strided ones are copied into the buffer, run by run.
    layout = load_int(arguments, LAYOUT)
    size = load_int(arguments, BYTES)
    description = layout + 8 * (1 + MAX_DIMS + (slot - ADDRESSES) * (1 + MAX_DIMS))
    kind = load_int(description, 0)
    address = load_int(arguments, slot)
    if kind == CONTIGUOUS:
        return address + start * size
    if kind != STRIDED:
        return load_int(arguments, ONES)
    strides = description + 8
    last = load_int(layout, 0) - 1
    run_length = load_int(layout, 1 + last)
    run_stride = load_int(strides, last)
    done = 0
    while done < n:
        rest = (start + done) // run_length
        first = (start + done) - rest * run_length
        offset = first * run_stride
        for axis in range(last - 1, -1, -1):
            quotient = rest // load_int(layout, 1 + axis)
            offset += (rest - quotient * load_int(layout, 1 + axis)) * load_int(strides, axis)
            rest = quotient
        count = min(n - done, run_length - first)
        source, destination = address + offset * size, buffer + done * size
        if size == 4:
            for i in range(count):
                copy_4(destination, i, source, i * run_stride)
        elif size == 8:
            for i in range(count):
                copy_8(destination, i, source, i * run_stride)
        else:
            for i in range(count):
                copy_2(destination, i, source, i * run_stride)
        done += count
    return buffer


@Template
def elementwise(phase, low, high, arguments, partial):
    flags = load_int(arguments, FLAGS)
    size = load_int(arguments, BYTES)
    loops_function = load_int(arguments, LOOPS)
    counts_function = load_int(arguments, COUNTS)
    find_denominator = phase == COUNTING or (flags & FIND_DENOMINATOR and flags & VALUE)
    losses = load_int(arguments, LOSSES)

    buffers = stack_buffer(BUFFERS_BYTES)
    tile = stack_buffer(ARGUMENT_BYTES)
    for slot in range(SLOTS):
        store_int(tile, slot, load_int(arguments, slot))
    layout = load_int(arguments, LAYOUT)
    if load_int(layout, 1 + MAX_DIMS + (UPSTREAM - ADDRESSES) * (1 + MAX_DIMS)) == ONE_FOR_ALL:
        call_kernel(counts_function, SCALE_BY_UPSTREAM, 0, 1, tile, partial)

    check = load_int(arguments, HAS_DOMAIN) != 0 and flags & VALUE
    total = 0.0
    counted = 0.0
    bad = -1
    for start in range(low, high, TILE):
        n = min(TILE, high - start)
        for slot in range(ADDRESSES, ADDRESSES + OPERANDS):
            store_int(tile, slot, _locate(arguments, slot, start, n, buffers + (slot - ADDRESSES) * TILE_BYTES))
        if find_denominator:
            call_kernel(counts_function, COUNT, 0, n, tile, partial)
            counted += load_double(partial, 0)
            if phase == COUNTING:
                continue
        if check and bad < 0:
            call_kernel(counts_function, CHECK, 0, n, tile, partial)
            if load_int(partial, 2) >= 0:
                bad = start + load_int(partial, 2)
        store_int(tile, LOSSES, losses + start * size if losses != 0 else buffers + OPERANDS * TILE_BYTES)
        store_int(tile, GRAD_INPUT, load_int(arguments, GRAD_INPUT) + start * size)
        if flags & VALUE:
            mode = LOSS if losses != 0 else SUM_AND_GRAD if flags & GRAD else SUM
            call_kernel(loops_function, mode, 0, n, tile, partial)
            total += load_double(partial, 0)
        if flags & GRAD and (losses != 0 or not flags & VALUE):
            call_kernel(loops_function, GRAD_ALONE, 0, n, tile, partial)
        if flags & GRAD_TARGET:
            store_int(tile, GRAD_INPUT, load_int(arguments, GRAD_OF_TARGET) + start * size)
            call_kernel(loops_function, GRAD_OF_TARGET_ALONE, 0, n, tile, partial)
    store_double(partial, 0, total)
    store_double(partial, 1, counted)
    store_int(partial, 2, bad)
