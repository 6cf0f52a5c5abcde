"""Running a kernel over its blocks: serially, or shared with a pool of parked threads.

A kernel is a C function ``kernel(phase, low, high, arguments, partial)``: it handles items ``low <= i < high`` and
writes to ``partial`` the sum of their losses, the sum of what they add to the denominator of the mean, and the first
item with an impossible target (or -1). Blocks have a fixed size, and their sums are folded in index order, so the
result has the same bits whoever ran which block.

``launch`` is what Python calls. It copies the *plan* (constants of this kind of call, see the slots below), puts this
call's addresses in, runs the denominator's phase if the gradient needs it, then the main phase. A call costs 0.3 us,
against 1.5 us for a parallel region of OpenMP and 36 us on Numba's workqueue.

Why not ``prange``: Numba's workqueue layer aborts the process when two threads enter it, GNU OpenMP kills a forked
child, its idle threads spin for milliseconds beside the BLAS call that comes next, and each parallel driver takes
0.5 s to compile. Our workers spin for some microseconds, then sleep; and a caller that finds the pool busy runs alone,
with the same bits. Only calls on torch's tensors, which its threads spin beside anyway, run as a team of those.

Each thread has a stretch of consecutive blocks, claimed with an atomic counter, and then helps with what others have
left of theirs: so a worker that wakes late or is preempted only leaves more blocks to the others. Blocks dealt out to
whoever comes next would put the threads side by side in memory, which is read and written an eighth more slowly then.
"""

from numba import types

from fastloss.kernels.build_cpu import callback, compile_driver, driver
from fastloss.kernels.compiler_cpu import helper
from fastloss.kernels.intrinsics_cpu import EXTREMES
from fastloss.kernels.memory_cpu import (
    LINE,
    atomic_add,
    atomic_load,
    atomic_replace,
    atomic_store,
    call_0,
    call_1,
    call_2,
    call_3,
    call_4,
    call_kernel,
    call_returning,
    call_returning_int,
    cpu_pause,
    load_double,
    load_int,
    stack_buffer,
    store_double,
    store_int,
)

min = EXTREMES["min"]

# Slots of a plan, 8 bytes each, and of the arguments that a kernel sees.
FUNCTION, ITEMS, BLOCK, FLAGS, SCALE, DENOMINATOR = range(6)
ADDRESSES = 6
(
    INPUT,
    TARGET,
    THIRD,  # an operand that only some losses have
    WEIGHT,
    SAMPLE_WEIGHT,
    UPSTREAM,
    LOSSES,
    GRAD_INPUT,
    GRAD_OF_TARGET,
    GRAD_OF_THIRD,
    STATISTICS,
) = range(ADDRESSES, ADDRESSES + 11)
#: The address of the byte offsets (lowest, past the highest) that each of these arrays spans, where a caller's own
#: output must be kept off the inputs; else 0.
EXTENTS = 17
PARAMETERS = 18  # from here on, whatever else the kernel wants
SLOTS = 48
ARGUMENT_BYTES, PARTIAL_BYTES = 8 * SLOTS, 24

# Bits of FLAGS.
VALUE = 1  # add up the losses (and write them one by one, where the address of the losses is given)
GRAD = 2  # write the gradient of the first argument
GRAD_TARGET = 4  # write the gradient of the second
GRAD_THIRD = 512  # write the gradient of the third
GRADIENTS = GRAD | GRAD_TARGET | GRAD_THIRD
STATS = 8  # keep what the backward pass needs; without VALUE: read it instead of computing it
MEAN = 16  # divide by the denominator
FIND_DENOMINATOR = 32  # the denominator depends on data: find it
EMPTY_ZERO = 64  # the mean over nothing is 0, not NaN
OBJECTS = 128  # the addresses are those of ndarray objects, not of data
WAKE = 256  # enough work to wake sleeping workers for; else only those still spinning take part

#: Returned in place of a bad item.
OVERLAP, NO_MEMORY = -2, -3

# Phases.
COUNTING, MAIN = 0, 1

# Slots of the pool's state; those that threads write sit on cache lines of their own.
_LOCK, _TICKET, _GENERATION, _SLEEPERS, _HANDS = 0, 8, 16, 24, 32
_QUIT, _PHASE, _ARGUMENTS, _PARTIALS, _BLOCKS, _STRETCHES, _TEAM = range(40, 47)
(
    MUTEX,
    CONDITION,
    MUTEX_LOCK,
    MUTEX_UNLOCK,
    CONDITION_WAIT,
    CONDITION_BROADCAST,
    YIELD,
    ALLOCATE,
    RELEASE,
    SHARE,
    TEAM_WORK,
    GOMP_PARALLEL,
    GET_CPU,  # these three: 0 where the system has no such functions
    GET_AFFINITY,
    SET_AFFINITY,
    KEPT_OFF,  # the processor that the workers may not run on: that of the last caller who woke them
    WORKERS,
) = range(47, 64)
#: The system's numbers of the workers, as far as they are kept off their caller's processor.
WORKER_IDS, MOST_IDS = 64, 64
POOL_SLOTS = WORKER_IDS + MOST_IDS

_CLOSED = 1 << 62
_LIMIT = 1 << 32  # a ticket is CLOSED + limit * 2^32 + workers inside
_SPINS = 2000  # about 20 us: back-to-back calls find the workers awake, a BLAS call that follows finds them asleep
_PATIENCE = 20000
_COUNTED_ALONE = 16384  # fewer items are counted before anybody could help: a nanosecond each
_MASK_BYTES = 1024  # a bit for each processor

#: Where an ndarray keeps the address of its data: right behind the object header, in every NumPy there ever was.
#: ``launch`` reads it there, because asking through Python (``ctypes.data``) takes a microsecond an array.
NDARRAY_DATA = object.__basicsize__


@helper(())
def _run_blocks(pool, hand):
    # Claim and run blocks until none is left: of this hand's own stretch first.
    arguments = load_int(pool, _ARGUMENTS)
    partials = load_int(pool, _PARTIALS)
    blocks = load_int(pool, _BLOCKS)
    stretches = load_int(pool, _STRETCHES)
    phase = load_int(pool, _PHASE)
    function = load_int(arguments, FUNCTION)
    items = load_int(arguments, ITEMS)
    size = load_int(arguments, BLOCK)
    claimed = partials + PARTIAL_BYTES * blocks
    for turn in range(stretches):
        stretch = hand + turn if hand + turn < stretches else hand + turn - stretches
        first = stretch * blocks // stretches
        count = (stretch + 1) * blocks // stretches - first
        counter = claimed + LINE * stretch
        while atomic_load(counter) < count:  # else no write would take the line from whoever works there
            block = first + atomic_add(counter, 1)
            if block >= first + count:
                break
            low, high = block * size, min(items, (block + 1) * size)
            call_kernel(function, phase, low, high, arguments, partials + PARTIAL_BYTES * block)


def team_work(pool):
    """What each thread of an OpenMP team does."""
    hand = atomic_add(pool + 8 * _HANDS, 1)
    if hand < load_int(pool, _STRETCHES):
        _run_blocks(pool, hand)


@driver
def worker(pool):
    """What a thread of the pool does until the pool closes."""
    seen = 0
    while True:
        spins = 0
        while atomic_load(pool + 8 * _GENERATION) == seen and spins < _SPINS:
            cpu_pause()
            spins += 1
        if spins == _SPINS:
            call_1(load_int(pool, MUTEX_LOCK), load_int(pool, MUTEX))
            atomic_add(pool + 8 * _SLEEPERS, 1)
            while atomic_load(pool + 8 * _GENERATION) == seen:
                call_2(load_int(pool, CONDITION_WAIT), load_int(pool, CONDITION), load_int(pool, MUTEX))
            atomic_add(pool + 8 * _SLEEPERS, -1)
            call_1(load_int(pool, MUTEX_UNLOCK), load_int(pool, MUTEX))
        seen = atomic_load(pool + 8 * _GENERATION)
        if atomic_load(pool + 8 * _QUIT) != 0:
            return
        # Join the job if it is still open and wants more hands. What it is, is read only after joining: from then on
        # the launching thread waits for us.
        while True:
            ticket = atomic_load(pool + 8 * _TICKET)
            if ticket & _CLOSED or (ticket & (_LIMIT - 1)) >= (ticket >> 32):
                break
            if atomic_replace(pool + 8 * _TICKET, ticket, ticket + 1):
                _run_blocks(pool, 1 + (ticket & (_LIMIT - 1)))
                atomic_add(pool + 8 * _TICKET, -1)
                break


@helper(())
def _keep_off(pool):
    # A scheduler likes to wake a thread where its waker runs, although another processor is idle, or busy with a
    # thread of BLAS that would give way: the worker then waits until the caller has done all by itself. On two cores,
    # after 5 ms of sleep or a product of matrices, calls took 1.6 to 2.0 ms in place of 0.8 to 1.0.
    if load_int(pool, GET_CPU) == 0:
        return
    cpu = call_returning_int(load_int(pool, GET_CPU), 0, 0, 0)
    if cpu < 0 or cpu >= 8 * _MASK_BYTES or cpu == load_int(pool, KEPT_OFF):
        return
    store_int(pool, KEPT_OFF, cpu)
    mask = stack_buffer(_MASK_BYTES)
    if call_returning_int(load_int(pool, GET_AFFINITY), 0, _MASK_BYTES, mask) != 0:
        return
    store_int(mask, cpu // 64, load_int(mask, cpu // 64) & ~(1 << (cpu % 64)))
    others = 0
    for word in range(_MASK_BYTES // 8):
        others |= load_int(mask, word)
    if others != 0:
        for number in range(load_int(pool, WORKERS)):
            call_3(load_int(pool, SET_AFFINITY), load_int(pool, WORKER_IDS + number), _MASK_BYTES, mask)


@driver
def wake(pool):
    """Tell the workers that something changed."""
    if atomic_load(pool + 8 * _SLEEPERS) > 0:
        _keep_off(pool)
    atomic_add(pool + 8 * _GENERATION, 1)
    if atomic_load(pool + 8 * _SLEEPERS) > 0:
        call_1(load_int(pool, MUTEX_LOCK), load_int(pool, MUTEX))
        call_1(load_int(pool, CONDITION_BROADCAST), load_int(pool, CONDITION))
        call_1(load_int(pool, MUTEX_UNLOCK), load_int(pool, MUTEX))


@driver
def close(pool):
    """Send the workers home."""
    atomic_store(pool + 8 * _QUIT, 1)
    wake(pool)


def share(pool):
    """Offer the blocks of the pool's job to its workers, or to an OpenMP team, and take part."""
    stretches = load_int(pool, _STRETCHES)
    claimed = load_int(pool, _PARTIALS) + PARTIAL_BYTES * load_int(pool, _BLOCKS)
    for stretch in range(stretches):
        store_int(claimed + LINE * stretch, 0, 0)
    team = load_int(pool, _TEAM)
    if team != 0:
        atomic_store(pool + 8 * _HANDS, 0)
        call_4(load_int(pool, GOMP_PARALLEL), load_int(pool, TEAM_WORK), pool, team, 0)
        return
    atomic_store(pool + 8 * _TICKET, (stretches - 1) * _LIMIT)
    wake(pool)
    _run_blocks(pool, 0)
    atomic_add(pool + 8 * _TICKET, _CLOSED)
    spins = 0
    while atomic_load(pool + 8 * _TICKET) & (_LIMIT - 1) != 0:
        cpu_pause()
        spins += 1
        if spins > _PATIENCE:  # a worker was preempted inside a block: give it the core
            call_0(load_int(pool, YIELD))


@helper(())
def _run_phase(phase, arguments, pool, threads, team):
    # The folded (sum of losses, sum for the denominator, first impossible item or -1) of all blocks, in index order.
    items = load_int(arguments, ITEMS)
    size = load_int(arguments, BLOCK)
    blocks = (items + size - 1) // size
    partial = stack_buffer(PARTIAL_BYTES)
    partials = 0
    if pool != 0 and blocks > 1:
        wanted = load_int(arguments, FLAGS) & WAKE != 0 or atomic_load(pool + 8 * _SLEEPERS) == 0
        if wanted and atomic_replace(pool + 8 * _LOCK, 0, 1):
            stretches = min(threads, blocks)
            partials = call_returning(load_int(pool, ALLOCATE), PARTIAL_BYTES * blocks + LINE * stretches)
            if partials != 0:
                store_int(pool, _ARGUMENTS, arguments)
                store_int(pool, _PARTIALS, partials)
                store_int(pool, _BLOCKS, blocks)
                store_int(pool, _PHASE, phase)
                store_int(pool, _STRETCHES, stretches)
                store_int(pool, _TEAM, team)
                call_1(load_int(pool, SHARE), pool)  # by address: compiled with the pool, which small calls do without
            else:
                atomic_store(pool + 8 * _LOCK, 0)
    function = load_int(arguments, FUNCTION)
    total = 0.0
    denominator = 0.0
    bad = -1
    for block in range(blocks):
        if partials != 0:
            partial = partials + PARTIAL_BYTES * block
        else:
            call_kernel(function, phase, block * size, min(items, (block + 1) * size), arguments, partial)
        total += load_double(partial, 0)
        denominator += load_double(partial, 1)
        if bad == -1:
            bad = load_int(partial, 2)
    if partials != 0:
        call_1(load_int(pool, RELEASE), partials)
        atomic_store(pool + 8 * _LOCK, 0)
    return total, denominator, bad


@helper(())
def _outputs_overlap(arguments, extents):
    # Whether a gradient spans bytes that an operand, or another gradient, spans too.
    for output in range(GRAD_INPUT, GRAD_OF_THIRD + 1):
        start = load_int(arguments, output)
        if start == 0:
            continue
        low = start + load_int(extents, 2 * (output - ADDRESSES))
        high = start + load_int(extents, 2 * (output - ADDRESSES) + 1)
        for other in range(ADDRESSES, EXTENTS):
            address = load_int(arguments, other)
            if address == 0 or other == output:
                continue
            other_low = address + load_int(extents, 2 * (other - ADDRESSES))
            other_high = address + load_int(extents, 2 * (other - ADDRESSES) + 1)
            if low < other_high and other_low < high:
                return True
    return False


@driver
def launch(plan, pool, threads, team, scale, a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10):
    """Run a plan with this call's addresses; ``scale`` multiplies the gradient.

    Shared work runs in a team of so many threads of OpenMP, or of the pool's own where ``team`` is 0.
    Returns the value (reduced as the plan says), the denominator of the mean, and -1, or the first item with an
    impossible target (what was written is then unspecified), OVERLAP (nothing was written) or NO_MEMORY.
    """
    arguments = stack_buffer(ARGUMENT_BYTES)
    for slot in range(SLOTS):
        store_int(arguments, slot, load_int(plan, slot))
    store_int(arguments, ADDRESSES + 0, a0)
    store_int(arguments, ADDRESSES + 1, a1)
    store_int(arguments, ADDRESSES + 2, a2)
    store_int(arguments, ADDRESSES + 3, a3)
    store_int(arguments, ADDRESSES + 4, a4)
    store_int(arguments, ADDRESSES + 5, a5)
    store_int(arguments, ADDRESSES + 6, a6)
    store_int(arguments, ADDRESSES + 7, a7)
    store_int(arguments, ADDRESSES + 8, a8)
    store_int(arguments, ADDRESSES + 9, a9)
    store_int(arguments, ADDRESSES + 10, a10)
    flags = load_int(plan, FLAGS)
    if flags & OBJECTS:
        for slot in range(ADDRESSES, EXTENTS):
            address = load_int(arguments, slot)
            if address != 0:
                store_int(arguments, slot, load_int(address + NDARRAY_DATA, 0))
    extents = load_int(plan, EXTENTS)
    if extents != 0 and _outputs_overlap(arguments, extents):
        return 0.0, 0.0, OVERLAP
    denominator = load_double(arguments, DENOMINATOR)
    bad = -1
    if flags & FIND_DENOMINATOR and flags & MEAN and flags & GRADIENTS and flags & VALUE:
        shared = pool if load_int(arguments, ITEMS) >= _COUNTED_ALONE else 0
        _, denominator, bad = _run_phase(COUNTING, arguments, shared, threads, team)
        if bad != -1:
            return 0.0, denominator, bad
    if flags & MEAN and flags & VALUE:
        scale = 0.0 if denominator == 0.0 and flags & EMPTY_ZERO else scale / denominator
    store_double(arguments, SCALE, scale)
    value, counted, bad = _run_phase(MAIN, arguments, pool, threads, team)
    if flags & FIND_DENOMINATOR:
        denominator = counted
    if flags & MEAN:
        value = 0.0 if denominator == 0.0 and flags & EMPTY_ZERO else value / denominator
    return value, denominator, bad


def compile_launch():
    compile_driver(launch, *[types.int64] * 4, types.float64, *[types.int64] * (EXTENTS - ADDRESSES))


def compile_pool():
    """What a pool needs besides, before a thread of it starts; the address of what a launch calls."""
    for function in (worker, wake, close):
        compile_driver(function, types.int64)
    return callback(share).address


def compile_team_work():
    """The address of what a team runs."""
    return callback(team_work).address
