"""Options are plain values: numbers of NumPy and of tensors, as what they hold at the call, and what is refused."""

import math
import subprocess
import sys

import numpy as np
import pytest

import fastloss as fl

torch = pytest.importorskip("torch")

X, Y = np.array([0.5, -1.0]), np.ones(2)
NUMBERS = (np.float32(1.25), np.float64(1.25), np.array(1.25), torch.tensor(1.25))


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: type(number).__name__)
def test_numbers_of_all_kinds(number):
    for loss, option in (("hinge_loss", "margin"), ("tweedie_loss", "power"), ("huber_loss", "delta")):
        function = getattr(fl, loss)
        want = function(X, Y, **{option: 1.25})
        assert function(X, Y, **{option: number}) == want
        assert function(torch.tensor(X), torch.tensor(Y), **{option: number}).item() == want
        module = getattr(fl.nn, function.spec.row.module)(**{option: number})
        assert repr(module) == f"{function.spec.row.module}({option}=1.25)"


@pytest.mark.parametrize("convert", (np.asarray, torch.tensor))
@pytest.mark.parametrize("option", (torch.tensor(1.0), np.array(1.0)), ids=("tensor", "array"))
def test_a_number_that_changes_in_place(option, convert):
    x, y = convert(X), convert(Y)
    for margin in (1.0, 2.0, 3.0):
        option[...] = margin
        assert fl.hinge_loss(x, y, margin=option) == fl.hinge_loss(x, y, margin=margin)
        value, _ = fl.hinge_loss.value_and_grad(x, y, margin=option)
        assert value == fl.hinge_loss(x, y, margin=margin)


def test_no_silent_zero_for_an_option_that_is_learnt():
    margin = torch.nn.Parameter(torch.tensor(1.0))
    with pytest.raises(NotImplementedError, match="hinge_loss: no gradient with respect to margin"):
        fl.hinge_loss(torch.tensor(X), torch.tensor(Y), margin=margin)
    with pytest.raises(NotImplementedError, match="HingeLoss: no gradient with respect to margin"):
        fl.nn.HingeLoss(margin=margin)
    with pytest.raises(NotImplementedError, match="focal_loss: no gradient with respect to alpha"):
        fl.focal_loss(torch.zeros(2, 3), torch.tensor([0, 1]), alpha=torch.nn.Parameter(torch.ones(3)))


@pytest.mark.parametrize(
    ("option", "error", "said"),
    (
        (np.ones(2), TypeError, "margin is of type tuple, expected a number"),
        (torch.ones(2), TypeError, "margin is of type tuple, expected a number"),
        ([1.0], TypeError, "margin is of type tuple, expected a number"),
        ("1", TypeError, "margin is of type str, expected a number"),
        (np.complex128(1 + 5j), TypeError, "margin is of type complex, expected a number"),
        (np.True_, TypeError, "margin is of type bool, expected a number"),
        (10**400, ValueError, "margin is an integer past all floats, expected a number in"),
        (math.nan, ValueError, "margin is nan, expected a number in"),
    ),
    ids=str,
)
def test_what_is_no_number(option, error, said):
    x = np.ones(7)  # no other test has seven: True is 1.0 to whoever finds the plan of a call with 1.0
    for _ in range(2):
        with pytest.raises(error, match=f"hinge_loss: {said}"):
            fl.hinge_loss(x, x, margin=option)


def test_what_is_no_integer():
    with pytest.raises(TypeError, match="rmse_loss: axis is of type float, expected an integer"):
        fl.rmse_loss(X, Y, axis=np.array(0.5))
    with pytest.raises(ValueError, match="ignore_class is 1000000000000000000000, expected a 64-bit integer"):
        fl.sparse_categorical_cross_entropy(np.ones((2, 3)) / 3, np.array([0, 1]), ignore_class=10**21)


@pytest.mark.parametrize("alpha", ([0.1, 0.2], np.array([0.1, 0.2]), torch.tensor([0.1, 0.2], dtype=torch.float64)))
def test_alpha_of_each_class(alpha):
    module = fl.nn.FocalLoss(alpha=alpha)
    assert repr(module) == "FocalLoss(alpha=(0.1, 0.2))"
    x, y = torch.zeros(2, 2), torch.tensor([0, 1])
    assert module(x, y) == fl.focal_loss(x, y, alpha=(0.1, 0.2))


def test_arguments_of_modules():
    module, x, y = fl.nn.HingeLoss(), torch.tensor(X), torch.tensor(Y)
    with pytest.raises(TypeError, match="HingeLoss: input is given twice"):
        module(x, y, input=x)
    with pytest.raises(TypeError, match="HingeLoss: margin is set when the module is made"):
        module(x, y, margin=2.0)
    with pytest.raises(TypeError, match="HingeLoss: mask is none of input, target, sample_weight"):
        module(x, y, mask=y)


def test_missing_arguments():
    with pytest.raises(
        TypeError, match=r"rmse_loss\(\) missing 2 required positional arguments: 'input' and 'target'$"
    ):
        fl.rmse_loss()
    with pytest.raises(TypeError, match="wrt is of type int, expected a name or several"):
        fl.mse_loss.grad(X, Y, wrt=0)


@pytest.mark.parametrize(
    ("text", "loss"),
    (("mean squared error", "mse_loss"), ("logloss", "cross_entropy"), ("Wasserstein", "gan_generator_loss")),
)
def test_find(text, loss):
    assert loss in fl.find(text)


def test_find_by_the_beginning_of_words():
    found = fl.find("dice")
    assert "dice_loss" in found
    assert {fl.losses()[name].__module__ for name in found} == {"fastloss.overlap"}  # no class in-dice-s
    with pytest.raises(TypeError, match="find: text is of type NoneType"):
        fl.find(None)


def test_find_gives_whole_names_first():
    found = fl.find("triplet loss")
    assert found[0] == "triplet_margin_loss"
    assert {"batch_triplet_loss", "triplet_loss_from_distances"} <= set(found)
    assert "quantile_loss" not in fl.find("kl")  # chec-k l-oss


def test_what_beginners_give():
    x, y = np.zeros((4, 3), np.float32), np.array([0, 2, 1, 0])
    with pytest.raises(ValueError, match=r"target .* one-hot targets must be floating"):
        fl.cross_entropy(x, np.eye(3, dtype=int)[y])
    with pytest.raises(ValueError, match=r"mse_loss: input makes no array: .*inhomogeneous"):
        fl.mse_loss([[1.0, 2.0], [3.0]], [1.0, 2.0])
    for loss in (fl.cross_entropy, fl.binary_cross_entropy_with_logits):
        with pytest.raises(TypeError, match=r"input has dtype int64, .*are input and target swapped"):
            loss(y, x)
    with pytest.raises(TypeError, match=r"input has dtype int64, .*convert it, to float32"):
        fl.mse_loss([1, 2], [2, 3])
    for out in (True, x):
        with pytest.raises(TypeError, match=r"out is of type \w+, expected 2 arrays"):
            fl.kl_div.grad(x, x, wrt=("input", "target"), out=out)
    with pytest.raises(TypeError, match="the others are keyword-only"):
        fl.charbonnier_loss(x, x, "sum", 1.0)


def test_the_module_is_told_of():
    assert "nn" in dir(fl)
    for arguments, code in ((["info"], 0), (["--help"], 0), ([], 2)):
        done = subprocess.run([sys.executable, "-m", "fastloss", *arguments], capture_output=True, text=True)
        assert done.returncode == code and (done.stdout or done.stderr)


def test_one_label_for_one_row():
    """PyTorch takes a target of one element for a row without a batch."""
    x, y = torch.tensor([0.5, 2.0, -1.0]), torch.tensor([1])
    for loss in ("cross_entropy", "nll_loss", "multi_margin_loss"):
        want = getattr(torch.nn.functional, loss)(x, y).item()
        assert getattr(fl, loss)(x, y).item() == pytest.approx(want)
        assert getattr(fl, loss)(x.numpy(), y.numpy()) == pytest.approx(want)
    with pytest.raises(ValueError, match="expected"):
        fl.cross_entropy(x, torch.tensor([1, 1]))
