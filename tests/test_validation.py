"""Every argument wrong in turn: the exception's type, and a message that names the loss and the argument."""

import re

import numpy as np
import pytest
from cases import BY_ID, LOSSES, assert_close

import fastloss as fl

CLASSES = ("cross_entropy", "nll_loss")
ELEMENTWISE = ("binary_cross_entropy", "binary_cross_entropy_with_logits", "mse_loss")
BINARY = ELEMENTWISE[:2]


def call_of(loss, dtype="float32", reduction="mean"):
    return BY_ID[f"{loss}-plain-few" if loss in CLASSES else f"{loss}-plain"].data(dtype, reduction)


def wrong(losses, argument, value, error, *words):
    """One mistake: ``words`` must stand in the message, besides the loss and the argument."""
    for loss in losses:
        yield pytest.param(
            loss,
            {argument: value},
            error,
            (argument, *words),
            id=f"{loss}-{argument}-{str(value)[:20]!r}-{error.__name__}",
        )


X = np.zeros((37, 10), np.float32)
E = np.zeros((13, 21), np.float32)

MISTAKES = [
    *wrong(LOSSES, "reduction", "average", ValueError, "'average'", "'mean'"),
    *wrong(LOSSES, "reduction", None, TypeError, "None", "'mean'"),
    *wrong(LOSSES, "reduction", "batchmean", ValueError, "'batchmean'"),
    *wrong(LOSSES, "reduction", True, TypeError, "True"),
    *wrong(LOSSES, "empty", "one", ValueError, "'one'", "'nan'", "'zero'"),
    *wrong(LOSSES, "input", X.astype(np.int64), TypeError, "int64", "float32"),
    *wrong(LOSSES, "input", X.astype(np.complex64), TypeError, "complex64"),
    *wrong(LOSSES, "input", X.astype(bool), TypeError, "bool"),
    *wrong(LOSSES, "input", X.astype(object), TypeError, "object"),
    *wrong(LOSSES, "input", np.zeros((3, 3, 3, 3), np.float32), ValueError, "shape"),
    *wrong(LOSSES, "input", np.ma.masked_array(X), TypeError, "masked"),
    *wrong(CLASSES, "input", np.zeros((), np.float32), ValueError, "()"),
    *wrong(CLASSES, "input", np.zeros((37, 0), np.float32), ValueError, "(37, 0)", "classes"),
    *wrong(CLASSES, "target", np.zeros(36, int), ValueError, "(36,)", "(37,)"),
    *wrong(CLASSES, "target", np.zeros((37, 1), int), ValueError, "(37, 1)", "(37,)"),
    *wrong(CLASSES, "target", np.zeros((37, 10), int), ValueError, "(37, 10)", "(37,)"),
    *wrong(CLASSES, "target", np.zeros(37, bool), TypeError, "bool"),
    *wrong(CLASSES, "target", np.zeros(37, np.complex128), TypeError, "complex128"),
    *wrong(("nll_loss",), "target", np.zeros((37, 10)), TypeError, "float64", "integer"),
    *wrong(("cross_entropy",), "target", np.zeros((37, 9)), ValueError, "(37, 9)", "(37, 10)"),
    *wrong(ELEMENTWISE, "target", np.zeros((13, 20), np.float32), ValueError, "(13, 20)", "(13, 21)"),
    *wrong(ELEMENTWISE, "target", E.astype(np.complex64), TypeError, "complex64"),
    *wrong(BINARY, "target", E[0], ValueError, "(21,)", "(13, 21)"),  # broadcasting is mse_loss's alone
    *wrong(CLASSES, "weight", np.ones(9), ValueError, "(9,)", "(10,)"),
    *wrong(CLASSES, "weight", np.ones((10, 1)), ValueError, "(10, 1)"),
    *wrong(CLASSES, "weight", np.ones(10, int), TypeError, "int64"),
    *wrong(CLASSES, "sample_weight", np.ones(36), ValueError, "(36,)", "(37,)"),
    *wrong(CLASSES, "sample_weight", np.ones((37, 10)), ValueError, "(37, 10)", "(37,)"),
    *wrong(CLASSES, "sample_weight", np.ones(37, np.complex64), TypeError, "complex64"),
    *wrong(ELEMENTWISE, "weight", np.ones((13, 20)), ValueError, "(13, 20)"),
    *wrong(ELEMENTWISE, "weight", np.ones((2, 13, 21)), ValueError, "(2, 13, 21)"),
    *wrong(ELEMENTWISE, "sample_weight", np.ones((4, 1)), ValueError, "(4, 1)"),
    *wrong(ELEMENTWISE, "weight", np.ones(21, np.complex64), TypeError, "complex64"),
    *wrong(("binary_cross_entropy_with_logits",), "pos_weight", np.ones(20), ValueError, "(20,)"),
    *wrong(CLASSES, "ignore_index", 1.5, TypeError, "float", "integer"),
    *wrong(CLASSES, "ignore_index", None, TypeError, "NoneType"),
    *wrong(CLASSES, "ignore_index", True, TypeError, "bool"),
    *wrong(CLASSES, "ignore_index", 1 << 63, ValueError, "64-bit"),
    *wrong(BINARY, "ignore_index", "x", TypeError, "str"),
    *wrong(CLASSES, "axis", 2, ValueError, "2", "(37, 10)"),
    *wrong(CLASSES, "axis", -3, ValueError, "-3"),
    *wrong(CLASSES, "axis", 1.0, TypeError, "float"),
    *wrong(("cross_entropy", *BINARY), "label_smoothing", -0.1, ValueError, "-0.1", "[0, 1]"),
    *wrong(("cross_entropy", *BINARY), "label_smoothing", 1.1, ValueError, "1.1"),
    *wrong(("cross_entropy", *BINARY), "label_smoothing", float("nan"), ValueError, "nan"),
    *wrong(("cross_entropy", *BINARY), "label_smoothing", None, TypeError, "NoneType"),
    *wrong(("cross_entropy",), "z_loss", "a", TypeError, "str"),
    *wrong(("cross_entropy",), "z_loss", float("nan"), ValueError, "nan"),
    *wrong(("cross_entropy",), "softcap", 0.0, ValueError, "0.0"),
    *wrong(("cross_entropy",), "softcap", -1.0, ValueError, "-1.0"),
    *wrong(("cross_entropy",), "softcap", float("inf"), ValueError, "inf"),
    *wrong(("cross_entropy",), "softcap", True, TypeError, "bool"),
]


@pytest.mark.parametrize(("loss", "change", "error", "words"), MISTAKES)
def test_a_wrong_argument(loss, change, error, words):
    call = call_of(loss)
    for attempt in (call, call.value_and_grad, call.grad):
        with pytest.raises(error) as raised:
            attempt(**change)
        message = str(raised.value)
        assert message.startswith(f"{loss}: ")
        for word in words:
            assert word in message, f"{word!r} is missing in {message!r}"


@pytest.mark.parametrize("old", ("size_average", "reduce"))
@pytest.mark.parametrize("loss", LOSSES)
def test_deprecated_arguments_of_pytorch_name_their_successor(loss, old):
    call = call_of(loss)
    for attempt in (call, call.value_and_grad, call.grad):
        with pytest.raises(TypeError, match=f"{loss}: {old} .*reduction"):
            attempt(**{old: True})


@pytest.mark.parametrize("loss", LOSSES)
def test_unknown_missing_and_too_many_arguments(loss):
    call = call_of(loss)
    with pytest.raises(TypeError, match=f"{loss}.*'wieght'"):
        call(wieght=1)
    with pytest.raises(TypeError, match=f"{loss}.*target"):
        getattr(fl, loss)(call.arrays["input"])
    many = (call.arrays["input"], call.arrays["target"], None, None, "sum")
    with pytest.raises(TypeError, match=f"{loss}.*positional.*keyword-only"):
        getattr(fl, loss)(*many)
    with pytest.raises(TypeError, match=f"{loss}.*None|{loss}: input"):
        getattr(fl, loss)(None, call.arrays["target"])
    with pytest.raises(TypeError, match=f"{loss}.*None|{loss}: target"):
        getattr(fl, loss)(call.arrays["input"], None)


# Class indices.


@pytest.mark.parametrize("label", (10, 11, -1, -101, 1 << 40, -(1 << 62)))
@pytest.mark.parametrize("where", (0, 17, 36))
@pytest.mark.parametrize("shape", ((37, 10), (37, 130), (37, 10, 3)), ids=str)
@pytest.mark.parametrize("loss", CLASSES)
def test_a_class_out_of_range(loss, shape, where, label):
    """IndexError with the place, the label and the range; in value and gradient, for every reduction."""
    label = label if label != 10 else shape[1]
    if 0 <= label < shape[1]:
        pytest.skip("a class of this many")
    x = np.zeros(shape, np.float32)
    y = np.zeros((37, *shape[2:]), np.int64)
    index = (where, *(1 for _ in shape[2:]))
    y[index] = label
    expected = rf"{loss}: target\[{', '.join(map(str, index))}\] is {label}, expected a class in \[0, {shape[1]}\)"
    for reduction in ("mean", "sum", "none"):
        with pytest.raises(IndexError, match=expected):
            getattr(fl, loss)(x, y, reduction=reduction)
        with pytest.raises(IndexError, match=expected):
            getattr(fl, loss).grad(x, y, reduction=reduction)
    weight = np.ones(shape[1], np.float32)
    with pytest.raises(IndexError, match=expected):
        getattr(fl, loss).value_and_grad(x, y, weight)
    np.testing.assert_array_equal(x, 0)


@pytest.mark.parametrize("loss", CLASSES)
@pytest.mark.parametrize("shape", ((200_000, 10), (3000, 1000), (4, 21, 128, 128)), ids=str)
def test_the_first_bad_class_of_a_big_array(loss, shape):
    """Many blocks, several threads: still the first, and the pool goes on working."""
    x = np.zeros(shape, np.float32)
    positions = (shape[0], *shape[2:])
    y = np.zeros(positions, np.int64)
    good = getattr(fl, loss)(x, y)
    for first in (0, y.size // 2, y.size - 1):
        y[...] = 0
        y.flat[first:] = 1 << 50
        where = ", ".join(str(int(i)) for i in np.unravel_index(first, positions))
        with pytest.raises(IndexError, match=re.escape(f"target[{where}] is {1 << 50}")):
            getattr(fl, loss)(x, y)
        with pytest.raises(IndexError, match=re.escape(f"target[{where}]")):
            getattr(fl, loss).value_and_grad(x, y)
    y[...] = 0
    assert getattr(fl, loss)(x, y) == good


@pytest.mark.parametrize("loss", CLASSES)
def test_unsigned_indices_beyond_64_bits_are_no_negative_class(loss):
    call = call_of(loss)
    y = call.arrays["target"].astype(np.uint64)
    y[3] = np.iinfo(np.uint64).max - 99  # which is -100 as an int64: not the ignored index
    with pytest.raises(IndexError, match=f"{loss}.*target"):
        call(target=y)
    y[3] = 1 << 63
    with pytest.raises(IndexError, match=f"{loss}.*target"):
        call.grad(target=y)


@pytest.mark.parametrize("loss", CLASSES)
def test_an_ignored_index_may_lie_anywhere(loss):
    call = call_of(loss, "float64", "sum")
    y = call.arrays["target"].copy()
    for ignored in (-100, -1, 10, 3, 1 << 40, -(1 << 63)):
        y[5] = ignored
        changed, want = call(target=y, ignore_index=ignored), call.oracle(target=y, ignore_index=ignored)
        assert_close(changed, want.value, ulps=8, dtype="float64")
    with pytest.raises(IndexError, match="ignore_index"):
        call(target=np.full_like(y, -100), ignore_index=-1)


def test_a_scalar_class_out_of_range():
    with pytest.raises(IndexError, match=r"cross_entropy: target is 5, expected a class in \[0, 3\)"):
        fl.cross_entropy(np.zeros(3), np.array(5))


# The domain of a probability.


@pytest.mark.parametrize("value", (-0.1, 1.1, np.nan, np.inf, -np.inf, -1e-30, np.float32(1.0000001)), ids=str)
@pytest.mark.parametrize("index", ((0, 0), (1, 2), (12, 20)))
def test_a_probability_outside_its_domain(index, value):
    call = call_of("binary_cross_entropy")
    for layout in ("C", "F"):
        x = np.array(call.arrays["input"], order=layout)
        x[index] = value
        for attempt in (call, call.value_and_grad, call.grad):
            with pytest.raises(
                ValueError,
                match=rf"binary_cross_entropy: input\[{index[0]}, {index[1]}\] is .*\[0, 1\]|"
                rf"binary_cross_entropy: input\({index[0]}, {index[1]}\) is .*\[0, 1\]",
            ):
                attempt(input=x)


def test_the_first_bad_probability_of_a_big_array():
    x = np.full(500_000, 0.5, np.float32)
    x[123_456:] = 2
    with pytest.raises(ValueError, match=r"123456\D.* is 2, expected"):
        fl.binary_cross_entropy(x, x * 0)


# Gradients.


@pytest.mark.parametrize("loss", LOSSES)
def test_wrt(loss):
    call = call_of(loss)
    for wrt in ("x", ("input", "x"), ("input", "input"), ()):
        with pytest.raises(ValueError, match=f"{loss}: wrt is {re.escape(repr(wrt))}"):
            call.grad(wrt=wrt)
    for wrt in ("weight", "sample_weight", ("input", "weight")):
        with pytest.raises(
            NotImplementedError, match=f"{loss}: no gradient with respect to (sample_)?weight: .*yourself|as"
        ):
            call.grad(wrt=wrt)
    if loss == "binary_cross_entropy_with_logits":
        with pytest.raises(NotImplementedError, match="pos_weight"):
            call.grad(wrt="pos_weight")
    if loss == "nll_loss":
        with pytest.raises(NotImplementedError, match="target"):
            call.grad(wrt="target")


def test_class_indices_have_no_gradient():
    """Neither zeros nor a crash: the target could have a gradient, these have none."""
    call = call_of("cross_entropy")
    with pytest.raises((NotImplementedError, TypeError, ValueError), match=r"cross_entropy: .*target"):
        call.grad(wrt="target")
    with pytest.raises((NotImplementedError, TypeError, ValueError), match=r"cross_entropy: .*target"):
        call.grad(wrt=("input", "target"))


@pytest.mark.parametrize("loss", LOSSES)
def test_out(loss):
    call = call_of(loss)
    shape = call.arrays["input"].shape
    with pytest.raises(ValueError, match=rf"{loss}: out has shape .*expected \({shape[0]}, {shape[1]}\)"):
        call.grad(out=np.empty((1, *shape), np.float32))
    with pytest.raises(ValueError, match=f"{loss}: out has shape"):
        call.grad(out=np.empty(shape[::-1], np.float32))
    with pytest.raises(TypeError, match=f"{loss}: out has dtype float64, expected float32"):
        call.grad(out=np.empty(shape, np.float64))
    with pytest.raises(TypeError, match=f"{loss}: out has dtype int32"):
        call.grad(out=np.empty(shape, np.int32))
    with pytest.raises(TypeError, match=f"{loss}: out is of type list"):
        call.grad(out=[[0.0] * shape[1]] * shape[0])
    with pytest.raises(ValueError, match=f"{loss}: out has 2 arrays, expected 1"):
        call.grad(wrt=("input",), out=(np.empty(shape, np.float32),) * 2)
    out = np.full(shape, 7, np.float32)
    out.flags.writeable = False
    for _ in range(2):  # the second time the plan is known
        with pytest.raises(ValueError, match=f"{loss}: out is read-only"):
            call.grad(out=out)
    assert (out == 7).all()
    swapped = np.empty(shape, np.dtype(np.float32).newbyteorder("S"))
    with pytest.raises((TypeError, ValueError), match=f"{loss}: out"):
        call.grad(out=swapped)


@pytest.mark.parametrize("loss", LOSSES)
def test_grad_output(loss):
    call = call_of(loss, reduction="none")
    shape = call.loss_shape
    with pytest.raises(ValueError, match=f"{loss}: grad_output has shape .*expected"):
        call.grad(grad_output=np.ones((*shape, 2), np.float32))
    with pytest.raises(ValueError, match=f"{loss}: grad_output has shape"):
        call.grad(grad_output=np.ones((), np.float32))
    with pytest.raises(TypeError, match=f"{loss}: grad_output has dtype int64"):
        call.grad(grad_output=np.ones(shape, np.int64))
    with pytest.raises(ValueError, match=f"{loss}: grad_output is given.*reduction='none'"):
        call.grad(grad_output=np.ones(shape, np.float32), reduction="mean")


@pytest.mark.parametrize("loss", LOSSES)
def test_a_failed_call_leaves_nothing_behind(loss):
    call = call_of(loss)
    before = call.value_and_grad()
    for bad in ({"reduction": "x"}, {"target": np.zeros(2)}, {"weight": np.ones(3)}):
        with pytest.raises((TypeError, ValueError)):
            call(**bad)
    after = call.value_and_grad()
    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1], after[1])
