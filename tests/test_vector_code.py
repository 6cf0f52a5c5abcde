"""That loops over the CPU's exp, log and relatives become vector code: read in the assembly."""

import math
import re

import numpy as np
import pytest
from math_loops import DTYPES, LOOPS, UNARY, loop_over, loop_over_pairs
from numba import njit

from fastloss.kernels.math_cpu import MATH

# The instructions of a loop, on x86 and on ARM.
CALL = re.compile(r"^\s*(callq?|blr?)\s", re.M)
GATHER = re.compile(r"^\s*v?p?gather", re.M)
FUSED = re.compile(r"^\s*(vfn?m(add|sub)\d+p[sd]|fml[as])\s", re.M)
# From the widest: AVX-512, SVE, AVX, SSE, NEON.
PACKED = [r"%zmm\d", r"\bz\d+\.[sd]\b", r"%ymm\d", r"^\s*v?\w+p[sd]\s.*%xmm\d", r"\bv\d+\.(4s|2d)\b"]


def loops_of(dispatcher):
    """The innermost loops of one block: label, body, jump back to the label."""
    (assembly,) = dispatcher.inspect_asm().values()
    blocks = re.split(r"^(?=\.?L\w+:)", assembly, flags=re.M)
    found = []
    for block in blocks:
        label = block.partition(":")[0]
        jump = re.search(rf"^\s*(j\w+|b\.?\w*|cbn?z\s+\w+,|tbn?z\s.*,)\s+{re.escape(label)}\b", block, re.M)
        if jump:
            found.append(block[: jump.end()])
    return found


def width_of(loop):
    """Index into PACKED, smaller is wider; len(PACKED) is a scalar loop."""
    for i, pattern in enumerate(PACKED):
        if re.search(pattern, loop, re.M):
            return i
    return len(PACKED)


def problem_of_loop(dispatcher, reference):
    """What keeps the loop from full-width vector code, or None."""
    loops = loops_of(dispatcher)
    if not loops:
        return "no loop is one block: a branch or a call splits it"
    if any(CALL.search(loop) for loop in loops):
        return "a call in the loop"
    if any(GATHER.search(loop) for loop in loops):
        return "a gather in the loop"
    widest = min(width_of(loop) for loop in loops_of(reference))
    if widest == len(PACKED):
        return "the reference loop is not vectorised: the test does not know this processor's assembly"
    if not any(width_of(loop) <= widest and FUSED.search(loop) for loop in loops):
        return "no loop of packed fused multiply-adds at the width LLVM prefers, or wider"
    return None


def compiled(dtype, function, pairs=False):
    x = np.ones(4, dtype)
    loop = (loop_over_pairs if pairs else loop_over)(function)
    loop(*[x] * (2 if pairs else 1), np.empty_like(x))
    return loop


@njit
def square(x):
    return x * x


FMA = MATH["float32"]["fma"]
EXP = MATH["float64"]["exp"]


@njit
def fused_square(x):
    return FMA(x, x, x)


@pytest.fixture(scope="module")
def plain_loops():
    """What LLVM makes of the simplest loop: its vector width is the one it prefers on this host."""
    if any(CALL.search(loop) for loop in loops_of(compiled("float32", MATH["float32"]["fabs"]))):
        pytest.fail("a loop over one instruction holds a call: the test misreads this processor's assembly")
    if FUSED.search("".join(compiled("float32", fused_square).inspect_asm().values())) is None:
        pytest.skip("no fused multiply-add on this processor: llvm.fma is a call")
    return {dtype: compiled(dtype, square) for dtype in DTYPES}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_loop_is_full_width_vector_code(dtype, name, plain_loops):
    LOOPS[dtype, name](np.ones(4, dtype), np.empty(4, dtype))
    assert problem_of_loop(LOOPS[dtype, name], plain_loops[dtype]) is None


def test_pow_loop_is_full_width_vector_code(plain_loops):
    assert problem_of_loop(compiled("float32", MATH["float32"]["pow"], pairs=True), plain_loops["float32"]) is None


def test_the_assembly_test_can_fail(plain_loops):
    @njit
    def calls(x):
        return math.exp(x)

    @njit
    def branches(x):
        return math.exp(x) if x > 0 else EXP(x)

    assert problem_of_loop(compiled("float64", calls), plain_loops["float64"])
    assert problem_of_loop(compiled("float64", branches), plain_loops["float64"])
    # Vector code without fused multiply-adds is not ours.
    assert problem_of_loop(plain_loops["float64"], plain_loops["float64"])


@pytest.mark.parametrize("dtype", DTYPES)
def test_softplus_and_sigmoid_share_their_exponential(dtype):
    softplus, sigmoid = MATH[dtype]["softplus"], MATH[dtype]["sigmoid"]

    @njit
    def both(x):
        return softplus(x) * sigmoid(x)

    def instructions(function):
        return max(loop.count("\n") for loop in loops_of(compiled(dtype, function)) if FUSED.search(loop))

    shared = instructions(softplus) + instructions(sigmoid) - instructions(both)
    # The exponential is some 17 (float32) or 23 instructions; load, store and the loop's own four are shared anyway.
    assert shared >= 15 + 6
