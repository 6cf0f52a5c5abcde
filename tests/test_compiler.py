"""Numba's compiler with the passes that kernels need: what it must not change, and what it saves."""

import ctypes
import gc
import re

import llvmlite.binding
import numpy as np
import pytest
from numba import njit, types

from fastloss.kernels.beside_cpu import collector_asleep
from fastloss.kernels.build_cpu import FASTMATH, KERNEL_SIGNATURE, Template, names_of
from fastloss.kernels.compiler_cpu import Driver, Kernel, four_turns_together, helper
from fastloss.kernels.memory_cpu import load_int, store_int


@pytest.mark.parametrize("enabled", (True, False))
def test_the_collector_is_as_before(enabled):
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(ZeroDivisionError), collector_asleep():
            assert not gc.isenabled()
            raise ZeroDivisionError
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_a_literal_makes_no_second_version():
    @helper(())
    def twice(x):
        return x + x

    @njit
    def call(x):
        return twice(x) + twice(3) + twice(4)

    assert call(2) == 18
    assert [str(sig.args) for sig in twice.nopython_signatures] == ["(int64,)"]


def test_a_helper_inlines_another():
    """Its code lives in those that call it: nothing is left to link."""

    @helper({"contract"})
    def inner(x, y):
        return x * y

    @helper({"contract"})
    def outer(x):
        return inner(x, x) + np.float32(1.0)

    @njit
    def call(x):
        return outer(x)

    assert call(np.float32(3.0)) == 10.0
    assert call(2.0) == 5.0  # and another version for another type
    assert len(outer.nopython_signatures) == 2


def test_a_variable_has_one_type():
    """One of two would be widened without a word, and a float32 loop worked in float64."""

    @helper(())
    def widened(n):
        last = np.float32(0.0)
        for i in range(n):
            last = np.float64(i)
        return last

    with pytest.raises(TypeError, match="last is float32 in one place and float64 on the whole"):
        widened.compile((types.int64,))

    @helper(())
    def argument(x, n):
        for _ in range(n):
            x = np.float64(x) + 1.0
        return x

    with pytest.raises(TypeError, match="x is float32 in one place and float64 on the whole"):
        argument.compile((types.float32, types.int64))

    @helper(())
    def pair(i):
        return i, i

    @helper(())
    def unpacked(n):
        a, b = 1.0, 2.0
        for i in range(n):
            a, b = pair(i)
        return a + b

    with pytest.raises(TypeError, match="is int64 in one place and float64 on the whole"):
        unpacked.compile((types.int64,))


def run(function, arguments, *results):
    """What a kernel made of ``function(address of arguments)`` writes behind its arguments."""
    places = np.array([*arguments, *([0] * len(results))], np.int64)
    compiled = Kernel(lambda: function, types.void(types.intp), set())
    ctypes.CFUNCTYPE(None, ctypes.c_ssize_t)(compiled.address)(places.ctypes.data)
    assert tuple(places[len(arguments) :]) == results


@pytest.mark.parametrize(("n", "step"), ((0, 1), (7, 1), (7, 3), (-2, 2)))
def test_loops_over_ranges(n, step):
    """Forwards and backwards, from 0 and not, twice over the same, in each other, left early, none at all."""

    def loops(a):
        n, step = load_int(a, 0), load_int(a, 1)
        up = down = stepped = twice = inner = early = 0
        for i in range(n):
            up = 10 * up + i
        for i in range(n - 1, -1, -1):
            down = 10 * down + i
        for i in range(1, n, step):
            stepped = 10 * stepped + i
        again = range(2, n)
        for i in again:
            for j in again:
                twice += i * j
        for i in range(n):
            for j in range(i, n, 2):
                inner += i * n + j
                if j > 4:
                    break
        last = -5
        for last in range(n):
            if last == 3:
                break
            early += last
        for place, result in ((2, up), (3, down), (4, stepped), (5, twice), (6, inner), (7, early), (8, last)):
            store_int(a, place, result)

    def joined(numbers):
        total = 0
        for number in numbers:
            total = 10 * total + number
        return total

    pairs = [(i, j) for i in range(n) for j in range(i, n, 2)]
    first = [(i, j) for i, j in pairs if not any(k > 4 and k < j for m, k in pairs if m == i)]
    run(
        loops,
        (n, step),
        joined(range(n)),
        joined(range(n - 1, -1, -1)),
        joined(range(1, n, step)),
        sum(range(2, n)) ** 2,
        sum(i * n + j for i, j in first),
        sum(range(min(n, 3))),
        min(n - 1, 3) if n > 0 else -5,
    )


@pytest.mark.parametrize("x", (-3, 0, 1, 2))
def test_conditions(x):
    """Of integers and booleans, joined, chosen between and repeated; variables of one assignment among them."""

    def conditions(a):
        x = load_int(a, 0)
        positive = x > 0
        as_integer = 1 if x else 0
        joined = 5 if (x & 1 and positive) or x == -3 else 6
        turns = 0
        while turns < 3 and x != 2:
            turns += 1
            if turns == 2 and positive:
                continue
        kept = x * 2
        if positive:
            late = kept + 1
            if late > 3:
                turns += late
        store_int(a, 1, as_integer)
        store_int(a, 2, joined)
        store_int(a, 3, turns)
        store_int(a, 4, kept)

    turns = (0 if x == 2 else 3) + (2 * x + 1 if 2 * x + 1 > 3 and x > 0 else 0)
    run(conditions, (x,), int(x != 0), 5 if x in (1, -3) else 6, turns, 2 * x)


@pytest.mark.parametrize("n", (0, 1, 7, 64, 100, -1, -7, -64, -65, -(2**62)))
def test_divisions(n):
    """As in Python, by powers of two, which are shifts, and by others."""

    def divisions(a):
        n = load_int(a, 0)
        store_int(a, 1, n // 64)
        store_int(a, 2, n % 64)
        store_int(a, 3, n // 1 + n % 1)
        store_int(a, 4, n // 10)
        store_int(a, 5, n % 10)
        store_int(a, 6, n // -8)
        store_int(a, 7, n // load_int(a, 8))

    run(divisions, (n,), n // 64, n % 64, n, n // 10, n % 10, n // -8, 0, 0)


def test_results_of_helpers():
    """Tuples, conditions, nothing at all, and what goes over a tuple."""

    @helper(())
    def pair(x, both):
        return x + both[0], both[1] > x

    @helper(())
    def note(a, i, x):
        store_int(a, i, x)

    def results(a):
        x = load_int(a, 0)
        total, larger = pair(x, (5, 9))
        note(a, 1, total)
        note(a, 2, 1 if larger else 0)
        weighted = 0
        for i, one in enumerate((x, 2, 3)):
            weighted += i * one
        note(a, 3, weighted)

    run(results, (7,), 12, 1, 8)


def test_numbas_own_functions_call_helpers_and_what_they_call():
    """After kernels did, and before: each target has its own note of how to lower what both call."""
    maths = names_of("float32")
    ordinal, from_ordinal = maths["ordinal"], maths["from_ordinal"]

    @helper(())
    def back(x):
        return from_ordinal(ordinal(x))

    @njit
    def direct(x):
        return from_ordinal(ordinal(x))

    @njit
    def through(x):
        return back(x)

    back.compile((types.float32,))
    assert direct(np.float32(-1.5)) == through(np.float32(-1.5)) == -1.5

    @helper(())
    def again(x):
        return back(from_ordinal(ordinal(x)))

    again.compile((types.float32,))
    assert njit(lambda x: again(x))(np.float32(2.5)) == 2.5


def test_a_helper_is_not_for_python():
    with pytest.raises(TypeError):
        helper(())(lambda x: x)(1.0)


def test_constants_of_a_binding_prune_branches():
    """What a constant rules out is not even typed."""

    @Template
    def choose(x):
        return x + 1 if SIMPLE else no_such_name(x)  # noqa: F821

    bound = helper(())(choose.bind({"SIMPLE": True}, "choose_simple"))

    @njit
    def call(x):
        return bound(x)

    assert call(1) == 2


def test_one_helper_for_all_bindings_that_look_the_same_to_it():
    @Template
    def shifted(x):
        return x + SHIFT  # noqa: F821

    @Template
    def outer(x):
        return INNER(x) * FACTOR  # noqa: F821

    names = {"SHIFT": 1, "FACTOR": 10, "INNER": shifted}

    def inner(**changes):
        return outer.bind({**names, **changes}, "outer").__globals__["INNER"]

    assert inner() is inner(FACTOR=20)
    assert inner() is not inner(SHIFT=2)
    assert outer._helper(names) is outer._helper(dict(names))
    assert outer._helper(names) is not outer._helper({**names, "SHIFT": 2})  # seen through what it mentions


@Template
def _long_formula(phase, low, high, arguments, partial):
    if TOGETHER:  # noqa: F821
        four_turns_together()
    one = real(1.0)  # noqa: F821
    for i in range(low, high):
        x = load(arguments, i)  # noqa: F821
        y = x / (x * x + one)
        y = y / (y * y + one)
        y = y / (y * y + one)
        y = y / (y * y + one)
        y = y / (y * y + one)
        y = y / (y * y + one)
        store(partial, i, y)  # noqa: F821


def _compiled(together):
    # Not from the disk cache, which holds no intermediate code.
    function = _long_formula.bind({**names_of("float32"), "TOGETHER": together}, f"long_formula_{together}")
    return Kernel(lambda: function, KERNEL_SIGNATURE, set(FASTMATH))


def code_of(kernel):
    """What LLVM made of it, in its own language."""
    assert kernel.address
    return str(kernel.library._final_module)


@pytest.mark.parametrize("together", (False, True))
def test_turns_of_a_loop_go_together(together):
    """The vector loop has four divisions in place of one, and gives the same numbers."""
    compiled = _compiled(together)
    numbers, found = np.linspace(-3, 3, 1001, dtype=np.float32), np.zeros(1001, np.float32)
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 5)(compiled.address)
    function(0, 0, len(numbers), numbers.ctypes.data, found.ctypes.data)
    y = numbers.astype(np.float64)
    for _ in range(6):
        y = y / (y * y + 1)
    np.testing.assert_allclose(found, y, rtol=1e-6)
    (loop,) = re.findall(r"^vector\.body:(.*?)^\S", code_of(compiled), re.MULTILINE | re.DOTALL)
    assert loop.count(" fdiv ") == (24 if together else 6)


@pytest.mark.skipif(not llvmlite.binding.get_host_cpu_features().get("avx512f"), reason="no AVX-512 here")
def test_vectors_are_as_wide_as_the_processor_has_them():
    """Also where LLVM would rather not, as on Intel's."""
    assert re.search(r" fdiv .*<16 x float>", code_of(_compiled(False)))


def test_a_driver_is_kept_with_names_in_place_of_intermediate_code():
    driver = Driver(lambda x: x + 1)
    assert driver(6) == 7
    (result,) = driver.overloads.values()
    _, _, (machine_code, names) = result.library.serialize_using_object_code()
    functions = {one.name: one for one in llvmlite.binding.parse_bitcode(names).functions}
    assert result.fndesc.llvm_func_name in functions and machine_code
    for function in functions.values():
        assert sum(1 for block in function.blocks for _ in block.instructions) == 1
