"""Values agree with the oracle: every loss, option, reduction and dtype."""

import numpy as np
import pytest
from cases import (
    CASES,
    DTYPES,
    NARROW_DTYPES,
    REDUCTIONS,
    REPRESENTATIVES,
    WIDE_DTYPES,
    assert_close,
    bounds,
    named,
    oracle_of,
)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize("case", CASES, ids=named(CASES))
def test_value(case, dtype, reduction):
    call, want = oracle_of(case, dtype, reduction)
    assert_close(call(), want.value, ulps=bounds(case)[0], dtype=dtype, magnitude=want.value_magnitude)


def check_narrow(case, dtype, reduction):
    call, want = oracle_of(case, dtype, reduction)
    result = dtype if reduction == "none" else "float32"  # a sum may need float32's range
    assert_close(call(), want.value, ulps=bounds(case)[0], dtype=result, magnitude=want.value_magnitude)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", NARROW_DTYPES)
@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
def test_value_in_16_bits(case, dtype, reduction):
    check_narrow(case, dtype, reduction)


REST = [case for case in CASES if case not in REPRESENTATIVES]


@pytest.mark.slow  # compiles every kernel for two more dtypes
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", NARROW_DTYPES)
@pytest.mark.parametrize("case", REST, ids=named(REST))
def test_value_in_16_bits_of_the_rest(case, dtype, reduction):
    check_narrow(case, dtype, reduction)


@pytest.mark.parametrize("dtype", WIDE_DTYPES)
@pytest.mark.parametrize("reduction", ("mean", "sum"))
@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
def test_a_reduced_value_is_a_numpy_scalar(case, reduction, dtype):
    assert type(case.data(dtype, reduction)()) is DTYPES[dtype].type


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "shape", ((1, 1), (1, 3), (300, 17), (5, 63), (5, 64), (5, 65), (3, 4095), (2, 4097), (2, 20000))
)
def test_cross_entropy_at_the_sizes_where_kernels_change(shape, seed):
    """A tile of 16, lanes or rows (64 classes), and chunks of a row (4096 classes)."""
    rng = np.random.default_rng([seed, *shape])
    from cases import Call

    x = rng.normal(0, 4, shape).astype(np.float32)
    call = Call("cross_entropy", {"input": x, "target": rng.integers(0, shape[1], shape[0])}, {"reduction": "none"})
    want = call.oracle()
    value, grad = call.value_and_grad()
    assert_close(value, want.value, ulps=8, dtype="float32", magnitude=want.value_magnitude)
    assert_close(grad, want.grad_input, ulps=24, dtype="float32", magnitude=want.grad_input_magnitude)


@pytest.mark.parametrize("size", (1, 15, 16, 17, 2047, 2048, 2049, 32768, 32769, 100_003))
@pytest.mark.parametrize("case", [case for case in REPRESENTATIVES if not case.over_classes], ids=lambda case: case.id)
def test_elementwise_at_the_sizes_of_tiles_and_blocks(case, size):
    call = case.data("float32", "mean", shape=(size, 1))
    want = call.oracle()
    value, grad = call.value_and_grad()
    value_ulps, grad_ulps = bounds(case)
    assert_close(value, want.value, ulps=value_ulps, dtype="float32", magnitude=want.value_magnitude)
    assert_close(grad, want.grad_input, ulps=grad_ulps, dtype="float32", magnitude=want.grad_input_magnitude)
