"""With tensors, each loss is PyTorch's: value, dtype, gradients, modules, modes; but for a table of departures."""

import copy
import functools
import itertools
import pickle

import numpy as np
import pytest
from cases import BY_ID, CASES, DTYPES, LOSSES, REDUCTIONS, REPRESENTATIVES, assert_close, bounds, named

import fastloss as fl

torch = pytest.importorskip("torch")
from tensors import tensor  # noqa: E402

F = torch.nn.functional
TORCH = {name: getattr(torch, name) for name in DTYPES}
#: What PyTorch has of our options.
ITS_OPTIONS = {"ignore_index", "reduction", "label_smoothing", "weight", "pos_weight"}


def known_to_pytorch(case):
    if "sample_weight" in "".join(case.arrays) or not set(case.options) <= ITS_OPTIONS:
        return False
    if case.loss.startswith("binary") and case.options:
        return False  # smoothing and ignoring are ours there
    return not (case.over_classes and case.axis != (1 if len(case.shape) > 1 else 0))


PYTORCH_CASES = tuple(case for case in CASES if known_to_pytorch(case))


def array(value):
    value = value.detach()
    if value.dtype == torch.bfloat16:
        return value.contiguous().view(torch.int16).numpy().view(DTYPES["bfloat16"])
    return value.numpy()


def strided(value):
    """The same numbers, every second element of a larger tensor, axes in another order."""
    order = tuple(reversed(range(value.dim())))
    wide = torch.zeros([2 * value.shape[axis] for axis in order], dtype=value.dtype)
    view = wide[tuple(slice(None, None, 2) for _ in order)].permute(order)
    view.copy_(value)
    return view


LAYOUTS = {"contiguous": lambda value: value, "strided": strided}


def leaf(value):
    return value.detach().clone(memory_format=torch.preserve_format).requires_grad_()


def differentiable(value):
    """A tensor of the same strides that requires grad."""
    return value.detach().requires_grad_()


def wrt_of(case):
    return ("input", "target") if case.target_has_gradient else ("input",)


def reference(case, call, reduction, upstream=None):
    """PyTorch's value and gradients, in float64."""
    tensors = {name: tensor(a) for name, a in call.arrays.items()}
    tensors = {name: t.double() if t.is_floating_point() or not case.over_classes else t for name, t in tensors.items()}
    if case.loss == "mse_loss" and "weight" in tensors:
        tensors["weight"] = tensors["weight"].expand(case.shape)
    wanted = [tensors[name].requires_grad_() for name in wrt_of(case)]
    loss = getattr(F, case.loss)(**tensors, **{**call.options, "reduction": reduction})
    seed = torch.ones_like(loss) if upstream is None else upstream.double()
    return loss, torch.autograd.grad(loss, wanted, seed)


def ours(case, call, reduction, layout):
    tensors = {name: LAYOUTS[layout](tensor(a)) for name, a in call.arrays.items()}
    for name in wrt_of(case):
        tensors[name] = differentiable(tensors[name])
    loss = getattr(fl, case.loss)(**tensors, **{**call.options, "reduction": reduction})
    return loss, tensors


def check_grads(case, dtype, call, grads, want, upstream=None, reduction="none"):
    oracle = call.oracle(reduction=reduction, grad_output=upstream)
    magnitudes = (oracle.grad_input_magnitude, oracle.grad_target_magnitude)
    for grad, other, magnitude in zip(grads, want, magnitudes, strict=False):
        exact = other.detach().numpy()
        if dtype == "float64":  # p - t, of numbers of the size of the weights over the denominator
            magnitude = np.maximum(magnitude, np.abs(magnitude).max(initial=0))
        assert_close(array(grad), exact, ulps=bounds(case)[1], dtype=dtype, magnitude=magnitude)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", PYTORCH_CASES, ids=named(PYTORCH_CASES))
def test_value_dtype_and_gradients(case, dtype, reduction, layout):
    call = case.data(dtype, reduction)
    want, want_grads = reference(case, call, reduction)
    loss, tensors = ours(case, call, reduction, layout)
    magnitude = np.asarray(call.oracle().value_magnitude)
    if dtype == "float64":
        # Here PyTorch is the less exact: it subtracts numbers of the size of the logits (below 32).
        magnitude = np.maximum(magnitude, 32)
    assert_close(array(loss), want.detach().numpy(), ulps=bounds(case)[0], dtype=dtype, magnitude=magnitude)
    grads = torch.autograd.grad(loss, [tensors[name] for name in wrt_of(case)], torch.ones_like(loss))
    for grad, name in zip(grads, wrt_of(case), strict=True):
        assert grad.dtype == tensors[name].dtype
        assert grad.shape == tensors[name].shape
    check_grads(case, dtype, call, grads, want_grads, reduction=reduction)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", PYTORCH_CASES, ids=named(PYTORCH_CASES))
def test_the_dtype_is_pytorchs(case, dtype):
    for reduction in REDUCTIONS:
        call = case.data(dtype, reduction)
        tensors = {name: tensor(a) for name, a in call.arrays.items()}
        if not case.over_classes:
            tensors["target"] = tensors["target"].to(TORCH[dtype])
        its = dict(tensors)
        if case.loss == "mse_loss" and "weight" in its:
            its["weight"] = its["weight"].expand(case.shape)
        want = getattr(F, case.loss)(**its, **call.options)
        got = getattr(fl, case.loss)(**tensors, **call.options)
        assert got.dtype == want.dtype
        assert got.shape == want.shape
        assert not got.requires_grad


def upstreams(shape, dtype):
    generator = torch.Generator().manual_seed(0)
    plain = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    yield "plain", plain
    yield "strided", strided(plain)
    yield "transposed", plain.permute(*reversed(range(plain.dim()))).contiguous().permute(*reversed(range(plain.dim())))
    yield "expanded", torch.tensor(0.25, dtype=dtype).expand(shape)
    yield "rows expanded", plain[:1].expand(shape) if plain.dim() else plain
    yield "zero", torch.zeros(shape, dtype=dtype)


@pytest.mark.parametrize("kind", [name for name, _ in upstreams((2, 2), torch.float32)])
@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
def test_upstream_of_an_unreduced_loss(case, layout, dtype, kind):
    call = case.data(dtype, "none")
    upstream = dict(upstreams(call.loss_shape, TORCH[dtype]))[kind]
    loss, tensors = ours(case, call, "none", layout)
    grads = torch.autograd.grad(loss, [tensors[name] for name in wrt_of(case)], upstream)
    want = call.oracle(grad_output=array(upstream.contiguous()))
    pairs = zip(
        grads,
        (want.grad_input, want.grad_target),
        (want.grad_input_magnitude, want.grad_target_magnitude),
        strict=False,
    )
    for grad, exact, magnitude in pairs:
        assert_close(array(grad), exact, ulps=bounds(case)[1], dtype=dtype, magnitude=magnitude)


@pytest.mark.parametrize("scale", (1.0, 0.25, -3.0, 0.0))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", (1, 1000))
def test_upstream_of_a_mean(size, dtype, scale):
    """For small inputs the forward pass computes the gradient, for large ones the backward pass."""
    x = torch.randn(40 * size, 5, generator=torch.Generator().manual_seed(1)).to(TORCH[dtype])
    y = torch.arange(40 * size) % 5
    a, b = leaf(x), x.double().requires_grad_()
    (fl.cross_entropy(a, y) * scale).backward()
    (F.cross_entropy(b, y) * scale).backward()
    exact = b.grad.numpy()
    assert_close(array(a.grad), exact, ulps=24, dtype=dtype, magnitude=np.abs(exact).max(1, keepdims=True) + 0 * exact)


@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
def test_autograd_numpy_and_value_and_grad_give_the_same_bits(case):
    for dtype, reduction in itertools.product(("float32", "float64"), REDUCTIONS):
        call = case.data(dtype, reduction)
        value, grads = call.value_and_grad(wrt=wrt_of(case))
        tensors = {name: tensor(a) for name, a in call.arrays.items()}
        function = getattr(fl, case.loss)
        other_value, other_grads = function.value_and_grad(**tensors, **call.options, wrt=wrt_of(case))
        np.testing.assert_array_equal(array(other_value), value)
        assert not other_value.requires_grad
        for got, want in zip(other_grads, grads, strict=True):
            np.testing.assert_array_equal(array(got), want)
            assert not got.requires_grad
        loss, tensors = ours(case, call, reduction, "contiguous")
        np.testing.assert_array_equal(array(loss), value)
        np.testing.assert_array_equal(
            array(function(**{n: t.detach() for n, t in tensors.items()}, **call.options)), value
        )
        ones = torch.ones_like(loss)
        for got, want in zip(torch.autograd.grad(loss, [tensors[n] for n in wrt_of(case)], ones), grads, strict=True):
            np.testing.assert_array_equal(array(got), want)


TARGETS = tuple(case for case in REPRESENTATIVES if case.target_has_gradient)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("case", TARGETS, ids=named(TARGETS))
def test_gradient_of_the_target_alone(case, reduction):
    call = case.data("float32", reduction)
    tensors = {name: tensor(a) for name, a in call.arrays.items()}
    tensors["target"].requires_grad_()
    loss = getattr(fl, case.loss)(**tensors, **call.options)
    assert loss.requires_grad
    loss.sum().backward()
    assert tensors["input"].grad is None
    np.testing.assert_array_equal(array(tensors["target"].grad), call.grad(wrt="target"))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
def test_retain_graph_and_accumulation(case, reduction):
    call = case.data("float32", reduction)
    loss, tensors = ours(case, call, reduction, "contiguous")
    x = tensors["input"]
    total = loss.sum()
    total.backward(retain_graph=True)
    first = x.grad.clone()
    total.backward()
    np.testing.assert_array_equal(array(x.grad), 2 * array(first))
    if reduction == "none":  # small reduced losses have their gradient already, and give it again
        with pytest.raises(RuntimeError, match="second time"):
            total.backward()


@pytest.mark.parametrize("mode", (torch.no_grad, torch.inference_mode))
@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
def test_no_grad_gives_no_graph(case, mode):
    call = case.data("float32", "mean")
    with mode():
        loss, _ = ours(case, call, "mean", "contiguous")
    assert not loss.requires_grad
    assert loss.grad_fn is None
    np.testing.assert_array_equal(array(loss), call())


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("size", (3, 5000))
@pytest.mark.parametrize("loss", ("cross_entropy", "binary_cross_entropy_with_logits", "mse_loss"))
def test_second_derivatives_are_refused(loss, size, reduction):
    x = torch.zeros(size, 4, requires_grad=True)
    y = torch.zeros(size, dtype=torch.int64) if loss == "cross_entropy" else torch.ones(size, 4)
    value = getattr(fl, loss)(x, y, reduction=reduction).sum()
    (grad,) = torch.autograd.grad(value, x, create_graph=True)
    assert grad.requires_grad
    with pytest.raises(NotImplementedError, match=f"{loss}: second derivatives"):
        grad.square().sum().backward()


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_that_do_not_exist_are_refused(loss):
    function = getattr(fl, loss)
    case = BY_ID[f"{loss}-plain-few" if loss == "cross_entropy" or "nll" in loss else f"{loss}-plain"]
    call = case.data("float32", "mean")
    tensors = {name: tensor(a) for name, a in call.arrays.items()}
    size = (case.shape[1],) if case.over_classes else case.shape
    for name in ("weight", "sample_weight"):
        shape = call.loss_shape if name == "sample_weight" else size
        weight = torch.ones(shape, requires_grad=True)
        with pytest.raises(NotImplementedError, match=f"{loss}: no gradient with respect to {name}"):
            function(**tensors, **{name: weight})
        with torch.no_grad():
            assert function(**tensors, **{name: weight}).ndim == 0


@pytest.mark.parametrize("dtype", ("float16", "bfloat16", "float32"))
@pytest.mark.parametrize("loss", ("cross_entropy", "nll_loss", "binary_cross_entropy_with_logits", "mse_loss"))
def test_autocast_computes_in_float32(loss, dtype):
    case = BY_ID[f"{loss}-plain-few" if loss in ("cross_entropy", "nll_loss") else f"{loss}-plain"]
    call = case.data(dtype, "mean")
    want, _ = reference(case, call, "mean")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, tensors = ours(case, call, "mean", "contiguous")
        assert value.dtype == torch.float32
        value_2, grad = getattr(fl, loss).value_and_grad(**{n: t.detach() for n, t in tensors.items()}, **call.options)
        assert value_2.dtype == torch.float32
    assert abs(value.item() - want.item()) <= 1e-6 * abs(want.item())
    value.backward()
    assert tensors["input"].grad.dtype == TORCH[dtype]
    assert grad.shape == tensors["input"].shape


def test_autocast_after_a_matrix_product():
    """As in training: 16-bit logits out of a layer, a float32 loss, gradients in the parameters' dtype."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(8, 4)
    x, y = torch.randn(16, 8), torch.arange(16) % 4
    grads = []
    for functional in (fl, F):
        layer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = functional.cross_entropy(layer(x), y)
        assert loss.dtype == torch.float32
        loss.backward()
        grads.append(layer.weight.grad.clone())
    # Both gradients of the logits are bfloat16 numbers, which may differ by one rounding: 2^-8 of their size.
    assert (grads[0] - grads[1]).abs().max() <= 2**-7 * grads[1].abs().max()


@pytest.mark.parametrize("which", ("input", "target"))
@pytest.mark.parametrize("size", (3, 50_000))
def test_a_changed_input_is_noticed_or_does_no_harm(size, which):
    x = torch.zeros(size, 4, requires_grad=True)
    tensors = {"input": x * 1, "target": torch.full((size, 4), 0.25)}
    twin = x.detach().clone().requires_grad_()
    (want,) = torch.autograd.grad(fl.cross_entropy(twin * 1, tensors["target"]), twin)
    loss = fl.cross_entropy(**tensors)
    with torch.no_grad():
        tensors[which].add_(torch.arange(4))
    if size == 3:  # small inputs have their gradient already: that of what they were
        np.testing.assert_array_equal(array(torch.autograd.grad(loss, x)[0]), array(want))
        return
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_version_counters():
    """Inputs are never written; an out is, and autograd is told."""
    x, y = torch.zeros(6, 4), torch.zeros(6, dtype=torch.int64)
    versions = x._version, y._version
    out = torch.empty(6, 4)
    before = out._version
    _, grad = fl.cross_entropy.value_and_grad(x, y, out=out)
    assert grad is out
    assert (x._version, y._version) == versions
    assert out._version > before
    with pytest.raises(ValueError, match="cross_entropy: out requires grad"):
        fl.cross_entropy.value_and_grad(x, y, out=torch.empty(6, 4, requires_grad=True))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
def test_out(case, layout):
    for dtype in DTYPES:
        call = case.data(dtype, "mean")
        tensors = {name: tensor(a) for name, a in call.arrays.items()}
        out = LAYOUTS[layout](torch.full(case.shape, 7, dtype=TORCH[dtype]))
        function = getattr(fl, case.loss)
        value, _ = function.value_and_grad(**tensors, **call.options)
        same_value, same_grad = function.value_and_grad(**tensors, **call.options, out=out)
        assert same_grad is out
        assert same_value.item() == value.item()
        want = call.oracle()
        assert_close(
            array(out), want.grad_input, ulps=bounds(case)[1], dtype=dtype, magnitude=want.grad_input_magnitude
        )


@pytest.mark.parametrize("case", REPRESENTATIVES, ids=named(REPRESENTATIVES))
def test_gradcheck(case):
    if case.over_classes:
        shape = tuple(min(n, 3) if axis != case.axis else n for axis, n in enumerate(case.shape))
    else:
        shape = (2, 3)
    for reduction in REDUCTIONS:
        call = case.data("float64", reduction, shape=shape)
        if case.loss == "binary_cross_entropy":
            call.arrays["input"] = np.clip(call.arrays["input"], 0.2, 0.8)
        tensors = {name: tensor(a) for name, a in call.arrays.items()}
        names = wrt_of(case)
        if case.options.get("ignore_index") is not None:
            names = ("input",)  # a perturbed target is no longer ignored
        wanted = tuple(tensors[name].requires_grad_() for name in names)

        def f(*wanted, names=names, tensors=tensors, call=call):
            return getattr(fl, case.loss)(**{**tensors, **dict(zip(names, wanted, strict=True))}, **call.options)

        assert torch.autograd.gradcheck(f, wanted)


# torch.compile. aot_eager traces forward and backward but needs no C++ compiler.


@functools.cache
def compiled(loss, reduction, **options):
    function = getattr(fl, loss)
    return torch.compile(
        lambda x, y, w: function(x * 2, y, weight=w, reduction=reduction, **options) * 3,
        backend="aot_eager",
        fullgraph=True,
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own tracing
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    "name", ("cross_entropy-weight-few", "binary_cross_entropy_with_logits-weight", "mse_loss-weight")
)
def test_inside_torch_compile(name, reduction):
    case = BY_ID[name]
    torch._dynamo.reset()  # which gives up on a function that it has compiled for too many kinds of input
    for seed in range(2):  # compiled, and called again
        call = case.data("float32", reduction, seed=seed)
        tensors = [tensor(call.arrays[n]) for n in ("input", "target", "weight")]
        x = leaf(tensors[0])
        loss = compiled(case.loss, reduction)(x, *tensors[1:])
        want_x = leaf(tensors[0])
        want = getattr(fl, case.loss)(want_x * 2, tensors[1], weight=tensors[2], reduction=reduction) * 3
        np.testing.assert_array_equal(array(loss), array(want))
        loss.sum().backward()
        want.sum().backward()
        # The upstream gradient joins in another place: one rounding.
        np.testing.assert_allclose(array(x.grad), array(want_x.grad), rtol=4e-7, atol=1e-9)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_for_other_shapes_and_for_the_target():
    function = torch.compile(lambda x, t: fl.cross_entropy(x, t, label_smoothing=0.1), backend="aot_eager")
    for n in (2, 7, 30):
        x, t = torch.randn(n, 5), torch.softmax(torch.randn(n, 5), 1)
        a, b = leaf(x), leaf(t)
        c, d = leaf(x), leaf(t)
        function(a, b).backward()
        F.cross_entropy(c, d, label_smoothing=0.1).backward()
        np.testing.assert_allclose(array(a.grad), array(c.grad), rtol=0, atol=2e-7)
        np.testing.assert_allclose(array(b.grad), array(d.grad), rtol=1e-5, atol=0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_for_an_option_that_changes():
    """Options are constants of a graph: the compiler must not make numbers of them that it leaves open."""
    function = torch.compile(lambda x, t, d: fl.huber_loss(x, t, delta=d), backend="aot_eager", dynamic=False)
    x, t = torch.tensor([3.0, 0.5]), torch.zeros(2)
    for delta in (1.0, 0.5, 0.25):
        a, b = leaf(x), leaf(x)
        function(a, t, delta).backward()
        F.huber_loss(b, t, delta=delta).backward()
        assert torch.equal(a.grad, b.grad)


# Inputs.


def test_torch_and_numpy_do_not_mix():
    x, y = torch.zeros(2, 3), np.array([0, 1])
    with pytest.raises(TypeError, match="cross_entropy: input is a torch array and target is a numpy array"):
        fl.cross_entropy(x, y)
    with pytest.raises(TypeError, match="cross_entropy"):
        fl.cross_entropy(y.astype(float), torch.tensor(0))
    with pytest.raises(TypeError, match="cross_entropy"):
        fl.cross_entropy.value_and_grad(x, torch.tensor([0, 1]), out=np.zeros((2, 3), np.float32))


def test_unsuitable_tensors_are_refused():
    y = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(TypeError, match="cross_entropy: input has layout"):
        fl.cross_entropy(torch.zeros(2, 3).to_sparse(), y)
    with pytest.raises(TypeError, match="cross_entropy: input has dtype complex64"):
        fl.cross_entropy(torch.zeros(2, 3, dtype=torch.complex64), y)
    with pytest.raises(NotImplementedError, match="cross_entropy: input is on meta"):
        fl.cross_entropy(torch.zeros(2, 3, device="meta"), y.to("meta"))
    with pytest.raises(TypeError, match="mse_loss"):
        fl.mse_loss(torch.zeros(3), None)


def test_unusual_tensors_are_read_right():
    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    y = torch.arange(6) % 5
    want = fl.cross_entropy(x, y)
    imaginary = torch.complex(torch.zeros(6, 5), -x)
    for same in (imaginary.conj().imag, torch.nn.Parameter(x), x.t().contiguous().t(), x[None].expand(1, 6, 5)[0]):
        assert fl.cross_entropy(same, y).item() == pytest.approx(want.item(), rel=1e-6)
    broadcast = torch.zeros(1, 5).expand(6, 5)
    assert fl.cross_entropy(broadcast, y).item() == pytest.approx(np.log(5), rel=1e-6)


@pytest.mark.parametrize("loss", ("cross_entropy", "nll_loss"))
def test_an_index_out_of_range_is_an_index_error_as_pytorchs(loss):
    x, y = torch.zeros(4, 3), torch.tensor([0, 1, 5, 0])
    with pytest.raises(IndexError):
        getattr(F, loss)(x, y)
    for size in (1, 3000):
        x, y = torch.zeros(4 * size, 3, requires_grad=True), torch.tensor([0, 1, 5, 0]).repeat(size)
        with pytest.raises(IndexError, match=rf"{loss}: target\[2\] is 5"):
            getattr(fl, loss)(x, y)


# Modules.

MODULES = {
    "CrossEntropyLoss": ({}, {"weight": 10, "ignore_index": 2, "label_smoothing": 0.1, "reduction": "sum"}),
    "NLLLoss": ({}, {"weight": 10, "ignore_index": 2, "reduction": "none"}),
    "BCELoss": ({}, {"weight": 10, "reduction": "sum"}),
    "BCEWithLogitsLoss": ({}, {"weight": 10, "pos_weight": 10, "reduction": "none"}),
    "MSELoss": ({}, {"reduction": "sum"}),
}
FLAT = [(name, options) for name, choices in MODULES.items() for options in choices]


def module_data(name):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(7, 10, generator=generator)
    if name in ("CrossEntropyLoss", "NLLLoss"):
        return torch.log_softmax(x, 1), torch.arange(7) % 4
    return torch.sigmoid(x), torch.rand(7, 10, generator=generator)


def built(namespace, name, options):
    options = {k: torch.linspace(0.5, 2, v) if "weight" in k else v for k, v in options.items()}
    return getattr(namespace, name)(**options)


@pytest.mark.parametrize(("name", "options"), FLAT, ids=[f"{n}-{len(o)}" for n, o in FLAT])
def test_a_module_is_pytorchs(name, options):
    mine, its = built(fl.nn, name, options), built(torch.nn, name, options)
    x, y = module_data(name)
    a, b = leaf(x), leaf(x)
    loss, want = mine(a, y), its(b, y)
    assert loss.dtype == want.dtype
    np.testing.assert_allclose(array(loss), array(want), rtol=2e-6, atol=1e-7)  # a few units of float32 each
    loss.sum().backward()
    want.sum().backward()
    np.testing.assert_allclose(array(a.grad), array(b.grad), rtol=2e-6, atol=2e-7)
    assert list(mine.state_dict()) == list(its.state_dict())
    assert isinstance(mine, torch.nn.Module)
    assert mine.__class__.__name__ == name
    for option in options:
        assert option in dir(mine)


@pytest.mark.parametrize(("name", "options"), FLAT, ids=[f"{n}-{len(o)}" for n, o in FLAT])
def test_a_module_saves_loads_moves_copies_and_pickles(name, options):
    module = built(fl.nn, name, options)
    x, y = module_data(name)
    want = array(module(x, y))
    other = built(fl.nn, name, options)
    for buffer in other.buffers():
        buffer.zero_()
    other.load_state_dict(module.state_dict())
    for same in (other, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        np.testing.assert_array_equal(array(same(x, y)), want)
    wide = module.double()
    assert all(buffer.dtype == torch.float64 for buffer in wide.buffers())
    assert wide(x.double(), y).dtype == torch.float64


@pytest.mark.parametrize("name", MODULES)
def test_a_module_takes_every_option_of_its_function_and_shows_it(name):
    import inspect

    module = getattr(fl.nn, name)
    accepted = set(inspect.signature(module).parameters)
    function = set(inspect.signature(module.function).parameters)
    assert accepted == function - {"input", "target", "sample_weight"}
    assert repr(module()) == f"{name}()"
    assert repr(module(reduction="sum")) == f"{name}(reduction='sum')"
    assert module().reduction == "mean"


@pytest.mark.parametrize("name", MODULES)
def test_a_module_refuses_what_its_function_refuses(name):
    module = getattr(fl.nn, name)
    with pytest.raises(ValueError, match="reduction"):
        module(reduction="average")
    with pytest.raises(TypeError, match="reduction"):
        module(size_average=True)
    with pytest.raises(TypeError, match=name):
        module(wieght=None)


def test_a_module_takes_a_sample_weight_at_the_call():
    x, y = module_data("CrossEntropyLoss")
    weight = torch.linspace(0, 2, 7)
    want = fl.cross_entropy(x, y, sample_weight=weight)
    assert fl.nn.CrossEntropyLoss()(x, y, sample_weight=weight).item() == want.item()


def test_training_follows_pytorch():
    """Twenty steps of a classifier, from the same start: the losses stay together."""
    torch.manual_seed(0)
    x, y = torch.randn(64, 8), torch.randint(0, 4, (64,))
    start = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4))
    curves = []
    for functional in (F, fl):
        model = copy.deepcopy(start)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        curve = []
        for _ in range(20):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y, label_smoothing=0.1)
            loss.backward()
            optimizer.step()
            curve.append(loss.item())
        curves.append(curve)
    assert curves[0][-1] < 0.9 * curves[0][0]
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-5)


def test_a_small_gradient_taken_away_is_computed_again():
    """With an upstream gradient of 1 the gradient of the forward pass is given away; a second pass needs it too."""
    x, y = torch.randn(5, 7, requires_grad=True), torch.tensor([0, 1, 2, 3, 4])
    loss = fl.cross_entropy(x, y)
    (first,) = torch.autograd.grad(loss, x, retain_graph=True)
    kept = first.clone()
    first.zero_()  # it is the caller's
    (second,) = torch.autograd.grad(loss, x, retain_graph=True)
    assert torch.equal(second, kept)
    loss.backward()
    loss_again = fl.cross_entropy(x, y)
    loss_again.backward()
    assert torch.equal(x.grad, kept * 2)


def test_a_batch_of_upstream_gradients():
    """Several rows of a Jacobian at once: autograd calls the backward pass with a batch that has no one value."""
    x, y = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1, 2, 0])
    factors = torch.tensor([1.0, 2.0, -0.5])
    (rows,) = torch.autograd.grad(fl.cross_entropy(x, y), x, factors, is_grads_batched=True)
    (one,) = torch.autograd.grad(fl.cross_entropy(x, y), x)
    assert torch.equal(rows, factors[:, None, None] * one)
