"""What must be true of every loss of the catalogue, tested on the example that its row makes."""

import inspect
import itertools
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from cases import DTYPES, same_bits

import fastloss as fl
import fastloss.nn
from fastloss._catalogue import Indices, Interval

LISTED = pytest.mark.parametrize("name", fl.losses())
LOSSES = {name: function for name, function in fl.losses().items() if not function.spec.row.whole}
EVERY = pytest.mark.parametrize("name", LOSSES)
WIDE = pytest.mark.parametrize("dtype", ("float32", "float64"))
#: Losses that have no derivative.
FLAT = {name for name, function in LOSSES.items() if not function.spec.differentiable}
SLOPED = pytest.mark.parametrize("name", [name for name in LOSSES if name not in FLAT])
SHAPE = (7, 5)


def example(name, dtype="float64", seed=0, shape=SHAPE):
    spec = LOSSES[name].spec
    return {k: array for k, array in spec.row.example(seed, shape, DTYPES[dtype]).items() if k in spec.required}


def sloped(name):
    """The arguments of the example that have a gradient: class indices have none, class probabilities do."""
    spec = LOSSES[name].spec
    given = (n for n in spec.differentiable if n in spec.required)
    return tuple(n for n in given if not isinstance(spec.row.domain[n], Indices))


def default_reduction(name):
    return inspect.signature(LOSSES[name]).parameters["reduction"].default


def takes(name, option):
    return option in inspect.signature(LOSSES[name]).parameters


def unreduced(name):
    """Whether it has one value a position: penalties and losses of a whole batch do not."""
    if not takes(name, "reduction"):
        return False
    try:
        LOSSES[name](**example(name), reduction="none")
    except ValueError:
        return False
    return True


def family(name):
    return LOSSES[name].__module__.rpartition(".")[2]


UNREDUCED = pytest.mark.parametrize("name", [name for name in LOSSES if unreduced(name)])


def tensors(arrays, wrt=()):
    made = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    for name in wrt:
        made[name].requires_grad_()
    return made


# The table.


@LISTED
def test_a_row_speaks_of_the_loss_it_belongs_to(name):
    spec = fl.losses()[name].spec
    parameters = inspect.signature(fl.losses()[name]).parameters
    assert set(spec.row.domain) <= set(parameters)
    assert set(spec.row.parameters) <= set(parameters)
    assert set(spec.required) <= set(spec.row.domain)
    assert set(spec.differentiable) <= set(spec.names[:3])
    for parameter, domain in spec.row.parameters.items():
        default = parameters[parameter].default
        if default is not None:
            domain.check(name, parameter, default)


@LISTED
def test_find_knows_every_name_of_it(name):
    row = fl.losses()[name].spec.row
    for known in (name, row.module, *row.also):
        assert name in fl.find(known)
        assert name in fl.find(known.upper())
    assert fl.find("no loss goes by this name") == []


@LISTED
def test_options_are_returned_in_the_order_of_the_signature(name):
    """The problem of a loss gets them by position."""
    spec = fl.losses()[name].spec
    marks = {option: f"the {option}" for option in spec.options}
    optional = {name for name in spec.row.domain if name not in spec.required}  # some options have none
    names = [name for name in inspect.signature(spec.bind).parameters if name not in marks and name not in optional]
    arrays = {array: f"array {array}" for array in names}
    operands, options = spec.bind(**arrays, **marks)
    assert options == tuple(marks.values())
    # An operand that is not given may have a number as its default; one that is may have become an array.
    assert [str(operand) for operand in operands if not isinstance(operand, (float, type(None)))] == [
        arrays[array] for array in spec.names if array in arrays
    ]


# Values.


@SLOPED
def test_gradients_by_central_differences(name):
    if name == "complete_box_iou_loss":
        pytest.skip("its alpha counts as a constant: tests/test_boxes.py")
    call = LOSSES[name]
    arrays = example(name, seed=3, shape=(3, 4))
    wrt = sloped(name)
    grads = call.grad(**arrays, **as_mean(name), wrt=wrt)
    step = 2.0**-17
    for argument, grad in zip(wrt, grads, strict=True):
        array = arrays[argument]
        assert grad.shape == array.shape
        for at in np.ndindex(array.shape):
            ends = []
            for sign in (-1, 1):
                moved = array.copy()
                moved[at] += sign * step
                ends.append(float(call(**{**arrays, argument: moved}, **as_mean(name))))
            slope = (ends[1] - ends[0]) / (2 * step)
            # The quotient's own error: step^2 times the third derivative, and the rounding of the value over the step.
            assert grad[at] == pytest.approx(slope, rel=3e-5, abs=3e-6), (argument, at)


def as_mean(name):
    return {"reduction": "mean"} if takes(name, "reduction") and default_reduction(name) == "none" else {}


@UNREDUCED
@WIDE
def test_reductions_agree(name, dtype):
    call, arrays = LOSSES[name], example(name, dtype)
    losses = call(**arrays, reduction="none")
    assert losses.dtype == DTYPES[dtype]
    eps = float(np.finfo(dtype).eps)
    size = float(np.abs(losses).sum(dtype=np.float64))
    total = call(**arrays, reduction="sum")
    assert type(total) is DTYPES[dtype].type
    assert abs(float(total) - float(losses.sum(dtype=np.float64))) <= 4 * eps * size
    mean = call(**arrays, reduction="mean")
    assert abs(float(mean) * losses.size - float(total)) <= 8 * eps * size


@SLOPED
@WIDE
def test_value_and_grad_is_value_and_grad(name, dtype):
    call, arrays = LOSSES[name], example(name, dtype)
    wrt = sloped(name)
    value, grads = call.value_and_grad(**arrays, wrt=wrt)
    assert same_bits(value, call(**arrays))
    for argument, grad in zip(wrt, grads, strict=True):
        assert same_bits(grad, call.grad(**arrays, wrt=argument)), argument
        assert grad.dtype == DTYPES[dtype]
        assert np.isfinite(grad).all()
    buffers = tuple(np.full_like(grad, np.nan) for grad in grads)
    again, written = call.value_and_grad(**arrays, wrt=wrt, out=buffers)
    assert same_bits(value, again)
    for buffer, result, grad in zip(buffers, written, grads, strict=True):
        assert result is buffer
        assert same_bits(buffer, grad)


@UNREDUCED
def test_a_sample_weight_multiplies_and_divides_the_mean(name):
    if family(name) == "overlap":
        pytest.skip("it belongs to the positions, which are summed before the loss: tests/test_overlap.py")
    call, arrays = LOSSES[name], example(name)
    losses = call(**arrays, reduction="none")
    weight = np.random.default_rng(1).choice([0.0, 0.5, 1.0, 2.0], losses.shape)
    weight.flat[0] = 1.0
    weighted = call(**arrays, reduction="none", sample_weight=weight)
    np.testing.assert_allclose(weighted, losses * weight, rtol=1e-15, atol=0)
    mean = call(**arrays, reduction="mean", sample_weight=weight)
    np.testing.assert_allclose(mean, (losses * weight).sum() / weight.sum(), rtol=1e-13)
    if name in FLAT:
        return
    wrt = sloped(name)
    for grad, plain in zip(
        call.grad(**arrays, reduction="sum", sample_weight=weight, wrt=wrt),
        call.grad(**arrays, reduction="none", grad_output=weight, wrt=wrt),
        strict=True,
    ):
        np.testing.assert_allclose(grad, plain, rtol=1e-14, atol=1e-16)


@UNREDUCED
@WIDE
def test_upstream_gradients_multiply(name, dtype):
    if name in FLAT:
        pytest.skip("no derivative")
    call, arrays = LOSSES[name], example(name, dtype)
    wrt = sloped(name)
    losses = call(**arrays, reduction="none")
    ones = call.grad(**arrays, reduction="none", wrt=wrt)
    for half in (np.full_like(losses, 0.5), np.broadcast_to(losses.dtype.type(0.5), losses.shape)):
        halves = call.grad(**arrays, reduction="none", wrt=wrt, grad_output=half)
        for one, other in zip(ones, halves, strict=True):
            assert same_bits(one * one.dtype.type(0.5), other)


# Memory.


def layouts(array):
    yield "fortran", np.asfortranarray(array)
    wide = np.zeros(tuple(2 * n for n in array.shape), array.dtype)
    strided = wide[tuple(slice(None, None, 2) for _ in array.shape)]
    strided[...] = array
    yield "strided", strided
    reverse = tuple(slice(None, None, -1) for _ in array.shape)
    yield "reversed", np.ascontiguousarray(array[reverse])[reverse]
    locked = array.copy()
    locked.flags.writeable = False
    yield "read-only", locked
    shifted = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype) if array.nbytes else array
    shifted = shifted.reshape(array.shape)
    shifted[...] = array
    yield "unaligned", shifted


@EVERY
def test_any_layout_gives_the_same_result(name):
    call, arrays = LOSSES[name], example(name, "float32", shape=(9, 6))
    wrt = sloped(name)
    want = call.value_and_grad(**arrays, wrt=wrt) if wrt else (call(**arrays), ())
    kinds = [kind for kind, _ in layouts(np.zeros((2, 2), np.float32))]
    for kind in kinds:
        moved = {argument: dict(layouts(array))[kind] for argument, array in arrays.items()}
        before = {argument: array.tobytes() for argument, array in moved.items()}
        value, grads = call.value_and_grad(**moved, wrt=wrt) if wrt else (call(**moved), ())
        # The order of additions may follow the memory; the elements' own results do not.
        np.testing.assert_allclose(value, want[0], rtol=1e-6, err_msg=kind)
        for grad, wanted in zip(grads, want[1], strict=True):
            np.testing.assert_allclose(grad, wanted, rtol=2e-5, atol=1e-7, err_msg=kind)
        assert before == {argument: array.tobytes() for argument, array in moved.items()}, "an input was written"


@SLOPED
def test_an_output_that_is_an_input_is_refused(name):
    call, arrays = LOSSES[name], example(name, "float32")
    argument = call.spec.differentiable[0]
    with pytest.raises(ValueError, match=f"{name}: out shares memory"):
        call.value_and_grad(**arrays, wrt=argument, out=arrays[argument])


@EVERY
def test_the_same_bits_from_any_number_of_threads(name):
    call = LOSSES[name]
    arrays = example(name, "float32", shape=(3001, 40))
    wrt = sloped(name)
    results = []
    before = fl.get_num_threads()
    try:
        for threads in (1, 2, 3):
            fl.set_num_threads(threads)
            results.append(call.value_and_grad(**arrays, wrt=wrt) if wrt else (call(**arrays), ()))
    finally:
        fl.set_num_threads(before)
    for value, grads in results[1:]:
        assert same_bits(value, results[0][0])
        for grad, first in zip(grads, results[0][1], strict=True):
            assert same_bits(grad, first)


# Nothing, and nonsense.


@EVERY
def test_an_empty_batch(name):
    call, arrays = LOSSES[name], example(name, "float32", shape=(0, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if takes(name, "reduction") and takes(name, "empty"):
            assert np.isnan(call(**arrays, reduction="mean", empty="nan"))
            assert call(**arrays, reduction="mean", empty="zero") == 0.0
            if name != "rmse_loss":  # whose sum is that of one root, of nothing
                assert call(**arrays, reduction="sum") == 0.0
        wrt = sloped(name)
        for argument, grad in zip(wrt, call.grad(**arrays, wrt=wrt) if wrt else (), strict=True):
            assert grad.shape == arrays[argument].shape


@EVERY
def test_a_nan_comes_through(name):
    call, arrays = LOSSES[name], example(name, "float32")
    argument = next(iter(arrays))
    arrays[argument][2] = np.nan
    try:
        value = call(**arrays)
    except ValueError as error:  # where the domain is enforced, as PyTorch does
        assert name in str(error)
        return
    assert np.isnan(value).any()


def outside(domain):
    """Values that a parameter cannot have."""
    if not isinstance(domain, Interval):
        return ["nonsense"]
    ends = [(domain.low, -1.0, "low"), (domain.high, 1.0, "high")]
    values = [end + step for end, step, _ in ends if np.isfinite(end)]
    values += [end for end, _, which in ends if np.isfinite(end) and domain.open in (which, "both")]
    return [*values, float("nan")]


@EVERY
def test_parameters_out_of_bounds_are_refused(name):
    call, arrays = LOSSES[name], example(name, "float32")
    for parameter, domain in call.spec.row.parameters.items():
        for value in outside(domain):
            with pytest.raises(ValueError, match=f"{name}: {parameter} is "):
                call(**arrays, **{parameter: value})
    if takes(name, "reduction"):
        with pytest.raises(ValueError, match=f"{name}: reduction is 'average'"):
            call(**arrays, reduction="average")
        with pytest.raises(TypeError, match=f"{name}: reduction is None"):
            call(**arrays, reduction=None)
    if takes(name, "empty"):
        with pytest.raises(ValueError, match=f"{name}: empty is 'one'"):
            call(**arrays, empty="one")
    with pytest.raises(TypeError, match="size_average is not supported"):
        call(**arrays, size_average=True)


@EVERY
def test_arrays_that_do_not_fit_are_refused(name):
    call, arrays = LOSSES[name], example(name, "float32")
    first = next(iter(arrays))
    integers = () if family(name) == "boxes" else (np.int64, bool)  # corners are often counted in pixels
    for dtype in (*integers, np.complex64, object):
        with pytest.raises(TypeError, match=f"{name}: {first}.* {np.dtype(dtype).name}"):
            call(**{**arrays, first: arrays[first].astype(dtype)})
    with pytest.raises(TypeError, match=f"{name}: {first}"):
        call(**{**arrays, first: None})
    if len(arrays) > 1:
        mixed = {**arrays, first: torch.from_numpy(arrays[first])}
        with pytest.raises(TypeError, match=f"{name}: .*give all of one kind"):
            call(**mixed)
    if len(arrays) > 1 and family(name) != "adversarial":  # a batch may hold more real examples than false ones
        longer = np.concatenate([arrays[first]] * 3)
        with pytest.raises(ValueError, match=f"{name}: "):
            call(**{**arrays, first: longer})


@EVERY
def test_a_gradient_that_does_not_exist_is_refused(name):
    call, arrays = LOSSES[name], example(name, "float32")
    with pytest.raises(ValueError, match=f"{name}: wrt is 'nothing'"):
        call.value_and_grad(**arrays, wrt="nothing")
    for argument in arrays:
        if argument not in sloped(name):
            with pytest.raises(NotImplementedError, match=f"{name}: .*{argument}"):
                call.value_and_grad(**arrays, wrt=argument)
    if takes(name, "sample_weight"):
        with pytest.raises(NotImplementedError, match=f"{name}: .*sample_weight"):
            call.value_and_grad(**arrays, wrt="sample_weight")


# PyTorch.


@EVERY
@WIDE
def test_a_tensor_gives_the_bits_of_an_array(name, dtype):
    call, arrays = LOSSES[name], example(name, dtype)
    wrt = sloped(name)
    given = tensors(arrays, wrt)
    value = call(**given)
    assert isinstance(value, torch.Tensor)
    assert same_bits(value.detach().numpy(), np.asarray(call(**arrays)))
    if not wrt:
        return
    seed = torch.full_like(value, 0.25)
    value.backward(seed)
    extra = {"grad_output": seed.numpy()} if value.ndim else {}
    factor = 1.0 if value.ndim else 0.25
    for argument, grad in zip(wrt, call.grad(**arrays, wrt=wrt, **extra), strict=True):
        assert same_bits(given[argument].grad.numpy(), grad * grad.dtype.type(factor)), argument


@SLOPED
@pytest.mark.parametrize("which", (0, 1, 2))
def test_only_the_wanted_gradients_are_given(name, which):
    call, arrays = LOSSES[name], example(name, "float32")
    wrt = sloped(name)
    if which >= len(wrt):
        pytest.skip("fewer arguments")
    given = tensors(arrays, wrt[which : which + 1])
    call(**given).sum().backward()
    for argument, tensor in given.items():
        assert (tensor.grad is not None) == (argument == wrt[which])


@SLOPED
def test_a_second_derivative_is_refused(name):
    call, arrays = LOSSES[name], example(name, "float32")
    argument = call.spec.differentiable[0]
    given = tensors(arrays, (argument,))
    (slope,) = torch.autograd.grad(call(**given).sum(), given[argument], create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives"):
        slope.sum().backward()


@EVERY
def test_the_module_is_the_function(name):
    call, arrays = LOSSES[name], example(name, "float32")
    module = getattr(fastloss.nn, call.spec.row.module)()
    given = tensors(arrays)
    assert same_bits(module(*given.values()).numpy(), call(**given).numpy())
    assert same_bits(module(**given).numpy(), call(**given).numpy())
    assert repr(module) == f"{call.spec.row.module}()"
    for parameter, domain in call.spec.row.parameters.items():
        with pytest.raises(ValueError, match=f"{name}: {parameter} is "):
            type(module)(**{parameter: outside(domain)[0]})


# The losses of PyTorch: all of them, under their own names.

#: Linear cross-entropy is other work; NLLLoss2d is deprecated.
LATER = {"linear_cross_entropy", "LinearCrossEntropyLoss", "NLLLoss2d"}


def test_every_loss_function_of_pytorch_is_there():
    names = {n for n in dir(F) if n.endswith("_loss") or "cross_entropy" in n or n.endswith("_div")}
    names = {n for n in names if not n.startswith("_")} | {"kl_div"}
    assert names - LATER <= set(fl.losses())


def test_every_loss_module_of_pytorch_is_there():
    names = {n for n in dir(torch.nn) if n.endswith("Loss")} - LATER
    # Adaptive softmax is a layer with weights of its own.
    names -= {"AdaptiveLogSoftmaxWithLoss"}
    assert {n for n in names if not hasattr(fastloss.nn, n)} == set()
    for n in names:
        theirs = inspect.signature(getattr(torch.nn, n)).parameters
        ours = inspect.signature(getattr(fastloss.nn, n)).parameters
        for parameter, their in theirs.items():
            if parameter in ("size_average", "reduce", "kwargs", "args", "distance_function"):
                continue
            assert parameter in ours, (n, parameter)
            assert ours[parameter].default == their.default, (n, parameter)


#: Arguments by which PyTorch has no gradient, and says so by an exception.
CONSTANT = {"soft_margin_loss": {"target"}}
PYTORCH = [name for name in LOSSES if hasattr(F, name)]


def options_of(name):
    """Combinations of parameters within their bounds, the defaults first, for those that PyTorch has too."""
    theirs = inspect.signature(getattr(F, name)).parameters
    choices = []
    for parameter, domain in LOSSES[name].spec.row.parameters.items():
        if parameter not in theirs:
            continue
        default = inspect.signature(LOSSES[name]).parameters[parameter].default
        other = [v for v in getattr(domain, "values", (0.25, 0.75, 2.0)) if v != default]
        inside = [v for v in other if not isinstance(domain, Interval) or within(domain, v)]
        choices.append([(parameter, default), *((parameter, value) for value in inside[:2])])
    for chosen in itertools.islice(itertools.product(*choices), 8):
        yield dict(chosen)


def within(domain, value):
    try:
        domain.check("", "", value)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("reduction", ("mean", "sum", "none"))
@pytest.mark.parametrize("name", PYTORCH)
def test_pytorch_agrees(name, reduction):
    call, theirs = LOSSES[name], getattr(F, name)
    for seed, options in enumerate(options_of(name)):
        arrays = example(name, seed=seed)
        wrt = sloped(name)
        mine, its = tensors(arrays, wrt), tensors(arrays, set(wrt) - CONSTANT.get(name, set()))
        with warnings.catch_warnings():
            if name == "kl_div":  # PyTorch warns that its mean is not the mathematical one
                warnings.simplefilter("ignore")
            want = theirs(**its, **options, reduction=reduction)
        got = call(**mine, **options, reduction=reduction)
        assert got.dtype == want.dtype
        assert got.shape == want.shape
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-13, equal_nan=True)
        upstream = torch.linspace(0.5, 2, want.numel(), dtype=want.dtype).reshape(want.shape)
        want.backward(upstream)
        got.backward(upstream)
        for argument in wrt:
            if its[argument].grad is None:  # PyTorch does not differentiate by it here
                continue
            torch.testing.assert_close(mine[argument].grad, its[argument].grad, rtol=1e-11, atol=1e-13, equal_nan=True)


@pytest.mark.parametrize("dtype", ("float16", "bfloat16"))
@pytest.mark.parametrize("name", ("l1_loss", "huber_loss", "cross_entropy", "cosine_embedding_loss", "kl_div"))
def test_16_bits_are_rounded_once(name, dtype):
    """The value and the gradient of the 32-bit loss of the same numbers, rounded."""
    call = LOSSES[name]
    kind = {"float16": torch.float16, "bfloat16": torch.bfloat16}[dtype]
    narrow = {k: t.to(kind) if t.is_floating_point() else t for k, t in tensors(example(name, "float32")).items()}
    wide = {k: t.float() if t.is_floating_point() else t for k, t in narrow.items()}
    wrt = sloped(name)[0]
    for given in (narrow, wide):
        given[wrt].requires_grad_()
    got, want = call(**narrow), call(**wide)
    assert got.dtype == kind
    assert torch.equal(got, want.to(kind))
    got.backward()
    want.backward()
    assert torch.equal(narrow[wrt].grad, wide[wrt].grad.to(kind))


def test_the_indices_of_a_row_are_drawn_within_the_classes():
    """The example maker is the ground under the tests above."""
    drawn = Indices().draw(np.random.default_rng(0), (1000, 3), 1)
    assert drawn.shape == (1000,)
    assert set(drawn.tolist()) == {0, 1, 2}
