"""Any memory layout, byte order, container or target dtype gives the same result, and inputs are never written."""

import subprocess
import sys

import numpy as np
import pytest
from cases import BY_ID, CASES, REPRESENTATIVES, Call, assert_close, bounds, named

import fastloss as fl

DTYPE = "float32"


def copied_into(array, buffer):
    buffer[...] = array
    return buffer


def c_order(array):
    return np.ascontiguousarray(array).reshape(array.shape)


def fortran(array):
    return copied_into(array, np.empty(array.shape, array.dtype, order="F"))


def strided(array):
    wide = np.zeros(tuple(2 * n + 1 for n in array.shape), array.dtype)
    return copied_into(array, wide[tuple(slice(1, 2 * n + 1, 2) for n in array.shape)])


def last_axis_strided(array):
    if array.ndim == 0:
        return array.copy()
    return copied_into(array, np.zeros((*array.shape[:-1], 3 * array.shape[-1]), array.dtype)[..., ::3])


def reversed_axes(array):
    flipped = tuple(slice(None, None, -1) for _ in array.shape)
    return copied_into(array, np.zeros_like(array)[flipped])


def last_axis_reversed(array):
    return copied_into(array, np.zeros_like(array)[..., ::-1]) if array.ndim else array.copy()


def first_axis_padded(array):
    if array.ndim == 0:
        return array.copy()
    return copied_into(array, np.zeros((*array.shape[:-1], array.shape[-1] + 3), array.dtype)[..., : array.shape[-1]])


def channels_last(array):
    """The second axis varies fastest in memory."""
    if array.ndim < 2:
        return array.copy()
    order = (0, *range(2, array.ndim), 1)
    dense = np.empty([array.shape[axis] for axis in order], array.dtype)
    return copied_into(array, dense.transpose(np.argsort(order)))


def rolled_axes(array):
    order = (*range(1, array.ndim), 0)
    dense = np.empty([array.shape[axis] for axis in order], array.dtype)
    return copied_into(array, dense.transpose(np.argsort(order)))


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def misaligned(array):
    """At an odd address."""
    raw = np.zeros(array.nbytes + 1, np.uint8)
    return copied_into(array, raw[1:].view(array.dtype).reshape(array.shape))


def between_fields(array):
    """A field of a structured array: strides that are no whole number of elements."""
    records = np.zeros(array.shape, np.dtype([("flag", np.uint8), ("value", array.dtype)]))
    return copied_into(array, records["value"])


def byte_swapped(array):
    return array.astype(array.dtype.newbyteorder("S")) if array.dtype.itemsize > 1 else array.copy()


def subclass(array):
    return array.view(np.recarray) if array.ndim else array.copy()


LAYOUTS = (
    c_order,
    fortran,
    strided,
    last_axis_strided,
    reversed_axes,
    last_axis_reversed,
    first_axis_padded,
    channels_last,
    rolled_axes,
    read_only,
    misaligned,
    between_fields,
    byte_swapped,
    subclass,
)


def wrt_of(case):
    return ("input", "target") if case.target_has_gradient else ("input",)


def snapshot(arrays):
    return {name: (bytes(np.ascontiguousarray(array).tobytes()), array.strides) for name, array in arrays.items()}


IMAGES = tuple(
    case for case in CASES if "image" in case.id and ("plain" in case.id or "all" in case.id or "soft" in case.id)
)
LAID_OUT = (*REPRESENTATIVES, *(case for case in IMAGES if case not in REPRESENTATIVES))


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("case", LAID_OUT, ids=named(LAID_OUT))
def test_layout(case, layout):
    """All arrays in one layout; then one array of it among plain ones. Inputs stay as they are, byte for byte."""
    plain = case.data(DTYPE, "none")
    want = plain.oracle()
    value_ulps, grad_ulps = bounds(case)
    changed = [set(plain.arrays)] + [{name} for name in plain.arrays]
    for names in changed:
        arrays = {name: layout(array) if name in names else array for name, array in plain.arrays.items()}
        before = snapshot(arrays)
        call = Call(plain.loss, arrays, plain.options)
        value, grads = call.value_and_grad(wrt=wrt_of(case))
        assert_close(value, want.value, ulps=value_ulps, dtype=DTYPE, magnitude=want.value_magnitude)
        assert_close(grads[0], want.grad_input, ulps=grad_ulps, dtype=DTYPE, magnitude=want.grad_input_magnitude)
        if len(grads) > 1:
            assert_close(grads[1], want.grad_target, ulps=grad_ulps, dtype=DTYPE, magnitude=want.grad_target_magnitude)
        mean = call(reduction="mean")
        mean_want = plain.oracle(reduction="mean")
        assert_close(mean, mean_want.value, ulps=value_ulps, dtype=DTYPE, magnitude=mean_want.value_magnitude)
        assert snapshot(arrays) == before


@pytest.mark.parametrize("case", CASES, ids=named(CASES))
def test_inputs_are_unchanged(case):
    for reduction in ("mean", "none"):
        call = case.data(DTYPE, reduction)
        upstream = np.full(call.loss_shape, 0.5, DTYPE) if reduction == "none" else None
        arrays = dict(call.arrays) if upstream is None else {**call.arrays, "grad_output": upstream}
        before = snapshot(arrays)
        call()
        call.value_and_grad(wrt=wrt_of(case), grad_output=upstream)
        call.grad(grad_output=upstream, out=np.empty(case.shape, DTYPE))
        assert snapshot(arrays) == before


@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
@pytest.mark.parametrize("shape", ("one row", "one column", "no rows"))
def test_thin_shapes(case, shape):
    rest = case.shape[2:]
    shape = {"one row": (1, case.shape[1]), "one column": (case.shape[0], 1), "no rows": (0, case.shape[1])}[shape]
    call = case.data("float64", "none", shape=(*shape, *rest))
    if case.target == "index":  # classes that the shape has
        label = call.arrays["target"]
        call.arrays["target"] = np.where(label == call.options.get("ignore_index", -100), label, label % shape[1])
    want = call.oracle()
    value, grads = call.value_and_grad(wrt=wrt_of(case))
    value_ulps, grad_ulps = bounds(case)
    assert_close(value, want.value, ulps=value_ulps, dtype="float64", magnitude=want.value_magnitude)
    assert_close(grads[0], want.grad_input, ulps=grad_ulps, dtype="float64", magnitude=want.grad_input_magnitude)


ELEMENTWISE = tuple(case for case in REPRESENTATIVES if not case.over_classes)


@pytest.mark.parametrize("shape", ((), (1,), (3, 1), (2, 0, 3), (1, 1, 1), (2, 3, 2, 1, 2, 2)), ids=str)
@pytest.mark.parametrize("loss", ("binary_cross_entropy", "binary_cross_entropy_with_logits", "mse_loss"))
def test_elementwise_of_any_number_of_dimensions(loss, shape):
    call = BY_ID[f"{loss}-plain"].data("float64", "none", shape=shape)
    want = call.oracle()
    value, grads = call.value_and_grad(wrt=("input", "target"))
    assert_close(value, want.value, ulps=6, dtype="float64", magnitude=want.value_magnitude)
    assert_close(grads[0], want.grad_input, ulps=8, dtype="float64", magnitude=want.grad_input_magnitude)
    assert_close(grads[1], want.grad_target, ulps=8, dtype="float64", magnitude=want.grad_target_magnitude)


@pytest.mark.parametrize("shape", ((1,), (5,), (200,)), ids=str)
@pytest.mark.parametrize("kind", ("index", "probability"))
def test_cross_entropy_of_one_position(kind, shape):
    """(C) with a 0-d target, or with probabilities (C); the unreduced loss is 0-d."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape)
    t = np.array(shape[0] - 1) if kind == "index" else rng.dirichlet(np.ones(shape[0]))
    call = Call("cross_entropy", {"input": x, "target": t}, {"reduction": "none"})
    want = call.oracle()
    value, grad = call.value_and_grad()
    assert np.shape(value) == ()
    assert_close(value, want.value, ulps=6, dtype="float64", magnitude=want.value_magnitude)
    assert_close(grad, want.grad_input, ulps=24, dtype="float64", magnitude=want.grad_input_magnitude)


INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("name", ("cross_entropy-plain-few", "cross_entropy-axis0-100", "nll_loss-plain-few"))
def test_class_indices_of_any_integer_dtype(name, dtype):
    call = BY_ID[name].data(DTYPE, "none")
    value, grad = call.value_and_grad()
    labels = call.arrays["target"].astype(dtype)
    for target in (labels, labels.astype(labels.dtype.newbyteorder("S"))):
        same_value, same_grad = call.value_and_grad(target=target)
        np.testing.assert_array_equal(same_value, value, strict=True)
        np.testing.assert_array_equal(same_grad, grad, strict=True)


@pytest.mark.parametrize("dtype", (*INTEGERS, "bool"))
@pytest.mark.parametrize("loss", ("binary_cross_entropy", "binary_cross_entropy_with_logits", "mse_loss"))
def test_elementwise_targets_of_integers_and_bools(loss, dtype):
    call = BY_ID[f"{loss}-int"].data(DTYPE, "none")
    value, grad = call.value_and_grad(target=call.arrays["target"].astype(DTYPE))
    same_value, same_grad = call.value_and_grad(target=call.arrays["target"].astype(dtype))
    np.testing.assert_array_equal(same_value, value, strict=True)
    np.testing.assert_array_equal(same_grad, grad, strict=True)


@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
def test_lists_are_arrays_of_float64(case):
    call = case.data("float64", "mean")
    value, grad = call.value_and_grad()
    lists = Call(call.loss, {name: array.tolist() for name, array in call.arrays.items()}, call.options)
    same_value, same_grad = lists.value_and_grad()
    assert type(same_value) is np.float64
    np.testing.assert_array_equal(same_value, value)
    np.testing.assert_array_equal(same_grad, grad, strict=True)


def test_mixed_floating_dtypes_promote():
    x, t = np.array([1.0, 2.0], np.float32), np.array([0.5, 0.25], np.float64)
    value, grads = fl.mse_loss.value_and_grad(x, t, wrt=("input", "target"))
    assert value.dtype == np.float64
    assert [g.dtype for g in grads] == [np.float32, np.float64]  # each that of its argument
    assert fl.mse_loss(x.astype(np.float16), t.astype(np.float32), reduction="none").dtype == np.float32


def test_mse_broadcasts_with_a_warning():
    call = BY_ID["mse_loss-plain"].data("float64", "mean")
    call.arrays["target"] = call.arrays["target"][:1]
    want = call.oracle()
    for _ in range(2):  # every time
        with pytest.warns(UserWarning, match="mse_loss: input has shape"):
            value, grads = call.value_and_grad(wrt=("input", "target"))
    assert_close(value, want.value, ulps=6, dtype="float64")
    assert_close(grads[0], want.grad_input, ulps=8, dtype="float64")
    assert_close(grads[1], want.grad_target, ulps=8, dtype="float64", magnitude=want.grad_target_magnitude)


# The caller's own array for the gradient.


@pytest.mark.parametrize(
    "layout", (c_order, fortran, strided, last_axis_reversed, channels_last, rolled_axes, misaligned)
)
@pytest.mark.parametrize("reduction", ("mean", "none"))
@pytest.mark.parametrize("case", LAID_OUT, ids=named(LAID_OUT))
def test_out_is_written_and_returned(case, reduction, layout):
    call = case.data(DTYPE, reduction)
    value, grad = call.value_and_grad()
    out = layout(np.full(case.shape, 7, DTYPE))
    same_value, result = call.value_and_grad(out=out)
    assert result is out
    np.testing.assert_array_equal(same_value, value, strict=True)
    want = call.oracle()
    ulps = bounds(case)[1]
    assert_close(out, want.grad_input, ulps=ulps, dtype=DTYPE, magnitude=want.grad_input_magnitude)
    assert_close(out, grad, ulps=2, dtype=DTYPE, magnitude=want.grad_input_magnitude)  # another loop, contracted anew


@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
def test_out_leaves_its_surroundings_alone(case):
    call = case.data(DTYPE, "mean")
    frame = np.full(tuple(n + 2 for n in case.shape), 7, DTYPE)
    inside = tuple(slice(1, -1) for _ in case.shape)
    call.grad(out=frame[inside])
    np.testing.assert_array_equal(frame[inside], call.grad())
    frame[inside] = 7
    assert (frame == 7).all()


@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
def test_out_for_several_gradients(case):
    if not case.target_has_gradient:
        pytest.skip("the target has no gradient")
    call = case.data(DTYPE, "mean")
    outs = (np.empty(case.shape, DTYPE), np.empty(case.shape, DTYPE))
    _, grads = call.value_and_grad(wrt=("target", "input"), out=outs)
    assert grads[0] is outs[0]
    assert grads[1] is outs[1]
    for got, want in zip(outs, call.grad(wrt=("target", "input")), strict=True):
        np.testing.assert_array_equal(got, want, strict=True)


@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
def test_an_overlapping_out_is_refused(case):
    call = case.data(DTYPE, "mean")
    x = call.arrays["input"]
    before = x.copy()
    with pytest.raises(ValueError, match=f"{case.loss}: out shares memory"):
        call.grad(out=x)
    buffer = np.zeros(2 * x.size, DTYPE)
    shifted = copied_into(x, buffer[: x.size].reshape(x.shape))
    out = buffer[x.size - 1 : 2 * x.size - 1].reshape(x.shape)  # one element in common
    with pytest.raises(ValueError, match=f"{case.loss}: out shares memory"):
        call.grad(input=shifted, out=out)
    np.testing.assert_array_equal(shifted, before)
    np.testing.assert_array_equal(x, before)
    beside = buffer[x.size :].reshape(x.shape)  # none
    assert call.grad(input=shifted, out=beside) is beside
    if case.target_has_gradient:
        out = np.empty(x.shape, DTYPE)
        with pytest.raises(ValueError, match=f"{case.loss}: out shares memory"):
            call.grad(wrt=("input", "target"), out=(out, out))


@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
def test_an_out_of_one_place_is_refused(case):
    call = case.data(DTYPE, "mean")
    out = np.lib.stride_tricks.as_strided(np.zeros(1, DTYPE), case.shape, (0,) * len(case.shape))
    with pytest.raises(ValueError, match=f"{case.loss}: out has one place for several elements"):
        call.grad(out=out)


@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
@pytest.mark.parametrize("layout", (fortran, strided, last_axis_reversed), ids=lambda layout: layout.__name__)
def test_an_overlapping_strided_out_is_refused(case, layout):
    call = case.data(DTYPE, "mean")
    x = layout(call.arrays["input"])
    before = x.copy()
    with pytest.raises(ValueError, match=f"{case.loss}: out shares memory"):
        call.grad(input=x, out=x)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
def test_an_out_that_overlaps_and_has_other_strides_is_refused(case):
    """Also where the kernel could not write it in place."""
    call = case.data(DTYPE, "mean")
    buffer = np.zeros((2, call.arrays["input"].size), DTYPE)
    x = copied_into(call.arrays["input"], buffer[0].reshape(case.shape))
    before = x.copy()
    out = buffer.reshape(-1)[::2].reshape(case.shape)  # over the input, with strides that it has not
    assert np.shares_memory(x, out)
    for _ in range(2):
        with pytest.raises(ValueError, match=f"{case.loss}: out shares memory"):
            call.grad(input=x, out=out)
        np.testing.assert_array_equal(x, before)


SCALARS = """
import numpy as np, fastloss as fl
one = np.ones((3, 2))
for again in range(3):
    # A NumPy scalar has a shape, strides and a dtype, but is no array.
    assert abs(fl.cross_entropy(np.zeros(5), np.int64(3)) - np.log(5)) < 1e-14
    assert abs(fl.cross_entropy(np.zeros(5), 3) - np.log(5)) < 1e-14
    assert fl.nll_loss(np.array([-1.0, -2.0]), np.int8(1)) == 2
    assert fl.mse_loss(one, one * 0, weight=np.float64(2), reduction="sum") == 12
    assert fl.mse_loss(one, one * 0, weight=2.0, reduction="sum") == 12
    assert fl.mse_loss(np.float32(2), np.float32(0)) == 4
    assert fl.mse_loss(2.0, np.float32(0)) == 4
    assert fl.mse_loss(np.array(2.0), np.float64(0)) == 4
    assert fl.mse_loss.grad(np.array(2.0), np.float64(0)) == 4
    a = fl.binary_cross_entropy_with_logits(one * 0, one, pos_weight=np.float64(2), reduction="sum")
    assert abs(a - 12 * np.log(2)) < 1e-14, a
    a = fl.binary_cross_entropy(one / 2, one, np.float32(3), sample_weight=np.float64(1), reduction="sum")
    assert abs(a - 18 * np.log(2)) < 1e-14, a
    a = fl.cross_entropy(np.zeros((3, 2)), [0, 1, 1], sample_weight=np.float64(2), reduction="sum")
    assert abs(a - 6 * np.log(2)) < 1e-14, a
    grad = fl.mse_loss.grad(one, one * 0, grad_output=np.float64(3), reduction="sum")
    assert (grad == 6).all(), grad
    grad = fl.mse_loss.grad(np.array(1.0), np.array(0.0), grad_output=np.float64(3), reduction="none")
    assert grad == 6, grad
print("done")
"""


def test_numpy_scalars_are_arrays_of_no_dimension():
    """In a process of its own: taken for arrays, they crash it."""
    result = subprocess.run([sys.executable, "-c", SCALARS], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("done\n")


@pytest.mark.parametrize("name", ("input", "target", "weight", "sample_weight", "pos_weight"))
def test_a_byte_swapped_array_is_read_right_every_time(name):
    """The second call finds the plan of the first."""
    call = BY_ID["binary_cross_entropy_with_logits-all"].data("float64", "none")
    value, grad = call.value_and_grad()
    swapped = {name: byte_swapped(call.arrays[name])}
    for _ in range(3):
        same_value, same_grad = call.value_and_grad(**swapped)
        np.testing.assert_array_equal(same_value, value, strict=True)
        np.testing.assert_array_equal(same_grad, grad, strict=True)
        np.testing.assert_array_equal(call(**swapped), value, strict=True)


def test_plans_do_not_confuse_calls():
    """Same shapes, other dtype, strides, byte order, options or weights: each its own result, in any order."""
    rng = np.random.default_rng(0)
    variants = []
    for dtype in ("float32", "float64", "float16"):
        x, t = rng.normal(size=(6, 6)).astype(dtype), rng.uniform(size=(6, 6)).astype(dtype)
        for a, b in ((x, t), (x.T, t), (x, t.T), (x[::-1], t)):
            for options in ({}, {"reduction": "sum"}, {"weight": t}, {"sample_weight": t}):
                variants.append((a, b, options))
    order = rng.permutation(np.repeat(np.arange(len(variants)), 3))
    first = {}
    for i in order:
        a, b, options = variants[i]
        value, grad = fl.mse_loss.value_and_grad(a, b, **options)
        if i in first:
            assert value == first[i][0]
            np.testing.assert_array_equal(grad, first[i][1], strict=True)
        else:
            want = Call("mse_loss", {"input": a, "target": b}, options).oracle()
            dtype = "float64" if a.dtype == np.float64 else "float32"
            assert_close(value, want.value, ulps=10, dtype=dtype)
            first[i] = value, grad.copy()
