"""Numba's compiler with the passes that kernels need: what it must not change, and what it saves."""

import ctypes
import gc
import re

import llvmlite.binding
import numpy as np
import pytest
from numba import njit, types

from fastloss.kernels.build_cpu import FASTMATH, KERNEL_SIGNATURE, Template, names_of
from fastloss.kernels.compiler_cpu import Kernel, collector_asleep, four_turns_together, helper


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
    compiled = Kernel(function, (KERNEL_SIGNATURE.args, KERNEL_SIGNATURE.return_type), set(FASTMATH))
    compiled.compile()
    return compiled


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
    (loop,) = re.findall(r"^vector\.body:(.*?)^\S", compiled.inspect_llvm(), re.MULTILINE | re.DOTALL)
    assert loop.count(" fdiv ") == (24 if together else 6)


@pytest.mark.skipif(not llvmlite.binding.get_host_cpu_features().get("avx512f"), reason="no AVX-512 here")
def test_vectors_are_as_wide_as_the_processor_has_them():
    """Also where LLVM would rather not, as on Intel's."""
    assert re.search(r" fdiv .*<16 x float>", _compiled(False).inspect_llvm())


def test_the_cache_keeps_names_in_place_of_intermediate_code():
    compiled = _compiled(False)
    _, _, (machine_code, names) = compiled._library.serialize_using_object_code()
    functions = {one.name: one for one in llvmlite.binding.parse_bitcode(names).functions}
    assert compiled._wrapper_name in functions and machine_code
    for function in functions.values():
        assert sum(1 for block in function.blocks for _ in block.instructions) == 1
