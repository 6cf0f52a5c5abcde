"""That PyTorch still does what the table of departures says of it, and that we do what it says of us."""

import contextlib
import warnings

import departures
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import fastloss as fl

CALLS = [call for row in departures.TABLE for call in row.calls]


def tensors(call):
    made = {}
    for name, given in call.arrays.items():
        numbers, dtype, *shape = given if isinstance(given, tuple) else (given, "float32")
        made[name] = torch.tensor(numbers, dtype=getattr(torch, dtype)).reshape(*shape or (np.shape(numbers),))
    return made


def outcome(function, call, known):
    """What a call gives, or its gradient; an exception or warning goes through."""
    arrays = tensors(call)
    options = {name: value for name, value in call.options.items() if name in known}
    if call.of == "value":
        return function(**arrays, **options).tolist()
    arrays[call.of].requires_grad_()
    function(**arrays, **options).sum().backward()
    return arrays[call.of].grad.tolist()


def check(function, call, expected, known):
    kinds = expected if isinstance(expected, tuple) else (expected,)
    expected_to_raise = all(isinstance(kind, type) for kind in kinds)
    with warnings.catch_warnings():
        if not (expected_to_raise and issubclass(kinds[0], Warning)):
            warnings.simplefilter("ignore" if function is getattr(F, call.loss) else "error")
        with pytest.raises(kinds) if expected_to_raise else contextlib.nullcontext():
            got = outcome(function, call, known)
    if not expected_to_raise:
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.loss}-{call.of}")
def test_departure(call):
    theirs = set(call.options) - {"empty", "grad_of"}
    if call.pytorch is not None:
        check(getattr(F, call.loss), call, call.pytorch, theirs)
    check(getattr(fl, call.loss), call, call.ours, set(call.options))


@pytest.mark.parametrize("call", [call for call in CALLS if call.of == "value"], ids=lambda call: call.loss)
def test_departure_of_numpy_arrays(call):
    function = getattr(fl, call.loss)
    arrays = {name: tensor.numpy() for name, tensor in tensors(call).items()}
    if isinstance(call.ours, type):
        with pytest.raises(call.ours):
            function(**arrays, **call.options)
    else:
        np.testing.assert_allclose(function(**arrays, **call.options), call.ours, rtol=1e-6, atol=0)


def test_the_readme_shows_the_table():
    text = departures.README.read_text()
    assert departures.updated(text) == text, "run python tests/departures.py"
