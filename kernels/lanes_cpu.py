"""Positions side by side, one in each lane of a vector: their tiles [classes x lanes], and the softmax of a tile."""

from fastloss.kernels.build_cpu import Template
from fastloss.kernels.logsumexp_cpu import add_beside
from fastloss.kernels.memory_cpu import ask_for, ask_for_writing, stack_buffer

#: Lanes whose running numbers stay in registers. Tiles are a multiple of it wide; lanes past the last position hold
#: anything.
LANE_GROUP = 32
#: Whether exponentials take the place of logits.
KEEPS = True
GROUP_BYTES = 8 * 64


def lane_group(classes, itemsize):
    """``LANE_GROUP`` of a kernel: of few classes twice as many, whose running numbers just fit the registers."""
    return LANE_GROUP * (2 if itemsize == 4 and classes <= 64 else 1)


@Template
def fetch_lanes(address, class_stride, lane_stride, classes, n, tile, tile_stride):
    # n positions (lanes) of all classes into a tile: class c, lane r at tile[c * tile_stride + r].
    if class_stride == 1:
        # Of contiguous rows the next tile is asked for: loads under a mask wait for memory as no others do.
        for r in range(0, n, 16):
            if lane_stride == classes:
                ask_for(address + (n + r) * classes * ITEMSIZE, 16 * classes * ITEMSIZE)
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
def flush_lanes(tile, tile_stride, address, class_stride, lane_stride, classes, n):
    # The way back of fetch_lanes.
    if class_stride == 1:
        for r in range(0, n, 16):
            if lane_stride == classes:
                ask_for_writing(address + (n + r) * classes * ITEMSIZE, 16 * classes * ITEMSIZE)
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
def largest_of_lanes(tile, step, classes, tops):
    # Of LANE_GROUP lanes, which stay in registers from the first class to the last.
    larger, smaller = stack_buffer(GROUP_BYTES), stack_buffer(GROUP_BYTES)
    for j in range(LANE_GROUP):
        store_count(larger, j, load_tile_bits(tile, j))
        store_count(smaller, j, load_tile_bits(tile, j))
    for c in range(1, classes):
        row = tile + c * step
        for j in range(LANE_GROUP):
            bits = load_tile_bits(row, j)
            store_count(larger, j, later(load_count(larger, j), bits))
            store_count(smaller, j, earlier(load_count(smaller, j), bits))
    for j in range(LANE_GROUP):
        store_tile(tops, j, from_extremes(load_count(larger, j), load_count(smaller, j)))


@Template
def beside_tops(tile, step, first, last, tops, ahead, ahead_step, small, maxima):
    # beside_top of logsumexp_cpu for the classes from first to last, in each of LANE_GROUP lanes: their sum, and how
    # many maxima there are more.
    top, sums, others = stack_buffer(GROUP_BYTES), stack_buffer(GROUP_BYTES), stack_buffer(GROUP_BYTES)
    for j in range(LANE_GROUP):
        store_sum(top, j, load_tile(tops, j))
        store_sum(sums, j, real(0.0))
        store_count(others, j, 0)
    for c in range(first, last):
        row = tile + c * step
        if ahead != 0:
            ask_for(ahead + c * ahead_step, LANE_GROUP * ITEMSIZE)
        for j in range(LANE_GROUP):
            d = load_tile(row, j) - load_sum(top, j)
            if KEEPS:
                store_tile(row, j, exp_softmax(d))
            add_beside(sums, others, j, d)
    for j in range(LANE_GROUP):
        store_tile(small, j, load_sum(sums, j))
        store_tile(maxima, j, load_tile(maxima, j) + (real(last - first) - real(load_count(others, j))))
