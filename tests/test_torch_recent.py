"""A call finds its plan among the last ones if its tensors are like theirs in everything that a plan depends on."""

import itertools
import subprocess
import sys
import textwrap

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx

import fastloss as fl
from fastloss import _torch_autograd, _torch_recent
from fastloss._torch import TORCH

SHAPE = (6, 5)


def known(call):
    """Call until the plan is among the last."""
    for _ in range(3):
        call()


@pytest.fixture
def by_the_short_way(monkeypatch):
    """Refuse any other way."""

    def use():
        for name in ("_value", "_with_gradients"):
            monkeypatch.setattr(TORCH, name, lambda *args: pytest.fail("not found among the last"))

    return use


@pytest.mark.parametrize("requires_grad", (False, True))
@pytest.mark.parametrize("watched", (False, True))
def test_a_third_call_is_found(requires_grad, watched, by_the_short_way):
    x, t = torch.randn(SHAPE, requires_grad=requires_grad), torch.randn(SHAPE)
    y, weight, out, above = torch.randint(0, 5, (6,)), torch.rand(5), torch.empty(SHAPE), torch.rand(SHAPE)
    calls = (
        lambda: fl.mse_loss(x, t),
        lambda: fl.mse_loss(x, t, reduction="none"),
        lambda: fl.mse_loss(x[:4], t[:4]),
        lambda: fl.cross_entropy(x, y),
        lambda: fl.cross_entropy(x, y, weight),
        lambda: fl.entropy_loss(x),
        lambda: fl.mse_loss.value_and_grad(x, t)[1],
        lambda: fl.mse_loss.value_and_grad(x, t, out=out)[1].clone(),
        lambda: fl.mse_loss.grad(x, t, wrt=("input", "target"))[1],
        lambda: fl.mse_loss.grad(x, t, reduction="none", grad_output=above),
    )
    with torch.set_grad_enabled(watched):
        wanted = [call() for call in calls]
        for call in calls:
            known(call)
        by_the_short_way()
        for call, want in zip(calls, wanted, strict=True):
            found = call()
            assert torch.equal(found, want)
            assert found.requires_grad == want.requires_grad
    with torch.no_grad():
        by_one_hand = (F.mse_loss(x, t), F.cross_entropy(x, y, weight))
    torch.testing.assert_close((wanted[0].detach(), wanted[4].detach()), by_one_hand)


def variants():
    x = torch.randn(SHAPE)
    yield "the same", x
    yield "float64", x.double()
    yield "bfloat16", x.bfloat16()
    yield "transposed", torch.randn(SHAPE[::-1]).t()
    yield "strided", torch.randn(6, 10)[:, ::2]
    yield "negated", torch._neg_view(x)
    yield "nowhere", torch._efficientzerotensor(SHAPE)
    yield "watched", x.clone().requires_grad_()
    yield "a parameter", torch.nn.Parameter(x.clone())
    yield "a quiet parameter", torch.nn.Parameter(x.clone(), requires_grad=False)
    yield "a subclass", x.as_subclass(type("Subclass", (torch.Tensor,), {}))
    with torch.inference_mode():
        yield "of inference", torch.randn(SHAPE)


VARIANTS = tuple(variants())


@pytest.mark.parametrize("first, second", tuple(itertools.permutations(VARIANTS, 2)), ids=lambda one: one[0])
def test_what_differs_is_not_taken_for_the_same(first, second):
    t = torch.randn(SHAPE)
    known(lambda: fl.mse_loss(first[1], t))
    for mode in (torch.enable_grad, torch.no_grad):
        with mode():
            found, want = fl.mse_loss(second[1], t), F.mse_loss(second[1], t)
        assert found.requires_grad == want.requires_grad
        assert found.dtype == want.dtype
        torch.testing.assert_close(found.detach().as_subclass(torch.Tensor), want.detach().as_subclass(torch.Tensor))
        if found.requires_grad:
            (ours,), (its,) = (torch.autograd.grad(loss, second[1]) for loss in (found, want))
            torch.testing.assert_close(ours, its)
    known(lambda: fl.mse_loss.grad(first[1], t))
    want = 2 * (second[1].detach().as_subclass(torch.Tensor) - t) / t.numel()
    torch.testing.assert_close(fl.mse_loss.grad(second[1], t), want.to(second[1].dtype))


def test_other_devices_and_kinds_are_refused_as_ever():
    x, t = torch.randn(SHAPE), torch.randn(SHAPE)
    known(lambda: fl.mse_loss(x, t))
    known(lambda: fl.mse_loss.grad(x, t))
    for loss in (fl.mse_loss, fl.mse_loss.grad):
        with pytest.raises(NotImplementedError, match="target is on meta"):
            loss(x, t.to("meta"))
        with pytest.raises(TypeError, match="target is None"):
            loss(x, None)
        with pytest.raises(TypeError, match="give all of one kind"):
            loss(x, t.numpy())
    assert fl.mse_loss(x, x).item() == 0.0


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*batching rule")  # of torch's own tracing
def test_states_of_pytorch_are_seen():
    x, t = torch.randn(SHAPE), torch.randn(SHAPE)
    half = x.bfloat16()
    for one in (x, half):
        known(lambda one=one: fl.mse_loss(one, t))
        known(lambda one=one: fl.mse_loss(one, one))
    want = fl.mse_loss(x, t)
    with torch.autocast("cpu"):
        assert fl.mse_loss(half, half).dtype == torch.float32
        known(lambda: fl.mse_loss(x, t))
        assert torch.equal(fl.mse_loss(x, t), want)
    assert fl.mse_loss(half, half).dtype == torch.bfloat16
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert type(fl.mse_loss(x, t)).__name__ == "FakeTensor"
    with forward_ad.dual_level(), pytest.raises(NotImplementedError, match="forward-mode"):
        fl.mse_loss(forward_ad.make_dual(x, x), t)
    torch.testing.assert_close(torch.func.vmap(fl.mse_loss, (0, None))(x.expand(3, *SHAPE), t), want.expand(3))
    torch.testing.assert_close(torch.func.grad(fl.mse_loss)(x, t), 2 * (x - t) / t.numel())
    assert make_fx(lambda a, b: fl.mse_loss(a, b))(x, t)(t, t).item() == 0.0
    assert torch.equal(fl.mse_loss(x, t), want)


def test_options_that_are_no_plain_values_are_read_each_time():
    x, t = torch.randn(SHAPE), torch.randn(SHAPE)
    beta = torch.tensor(1.0)
    known(lambda: fl.smooth_l1_loss(x, t, beta=beta))
    beta.fill_(0.25)
    torch.testing.assert_close(fl.smooth_l1_loss(x, t, beta=beta), F.smooth_l1_loss(x, t, beta=0.25))


def test_without_the_question(monkeypatch):
    """In a version of PyTorch that answers otherwise, or not at all."""
    monkeypatch.setattr(_torch_recent, "_usable", lambda: False)
    monkeypatch.setattr(fl.l1_loss.spec, "recent", None)
    x, t = torch.randn(7, 3), torch.randn(7, 3)
    known(lambda: fl.l1_loss(x, t))
    torch.testing.assert_close(fl.l1_loss(x, t), F.l1_loss(x, t))
    assert fl.l1_loss.spec.recent._found == {}


def test_the_question_is_tried_before_it_is_trusted(monkeypatch):
    assert _torch_recent._usable()
    for answer in (True, False):
        monkeypatch.setattr(_torch_recent, "_alike", lambda *tensors, answer=answer: lambda *others: answer)
        assert not _torch_recent._tells_apart()

    def gone(*tensors):
        raise AttributeError("TensorGuards")

    monkeypatch.setattr(_torch_recent, "_alike", gone)
    assert not _torch_recent._usable.__wrapped__()


def test_no_more_plans_are_kept_than_elsewhere(monkeypatch):
    monkeypatch.setattr(_torch_recent, "MAX_PLANS", 5)
    for n in range(1, 20):
        x = torch.ones(n)
        known(lambda x=x: fl.log_cosh_loss(x, x))
        assert fl.log_cosh_loss(x, 0 * x).item() == pytest.approx(0.4337808304830271)
    assert len(fl.log_cosh_loss.spec.recent._found) <= 5


def test_other_states_do_not_end_the_short_way(by_the_short_way):
    x, t = torch.randn(SHAPE), torch.randn(SHAPE)
    with torch.inference_mode():
        known(lambda: fl.huber_loss(x, t))
    with torch.no_grad():
        known(lambda: fl.huber_loss(x, t))
        by_the_short_way()
        fl.huber_loss(x, t)
    with torch.inference_mode():
        fl.huber_loss(x, t)


def test_another_default_dtype_does_not_mislead():
    torch.set_default_dtype(torch.float64)
    try:
        assert _torch_recent._tells_apart()
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_are_named():
    x = torch.randn(SHAPE)
    nested = torch.nested.nested_tensor([torch.randn(2, 3), torch.randn(4, 3)])
    for call in (fl.mse_loss, fl.mse_loss.grad):
        known(lambda call=call: call(x, x + 1))
        for name, pair in (("input", (nested, x)), ("target", (x, nested))):
            with pytest.raises(TypeError, match=f"{name} is nested"):
                call(*pair)
        known(lambda call=call: call(x, x + 1, sample_weight=x.abs()))
        with pytest.raises(TypeError, match="sample_weight is nested"):
            call(x, x + 1, sample_weight=nested)


def test_upstream_gradients_that_memory_does_not_show():
    x, t, above = torch.randn(SHAPE), torch.randn(SHAPE), torch.rand(SHAPE)
    want = fl.mse_loss.grad(x, t, reduction="none")
    for _ in range(3):
        for grad_output in (torch._neg_view(above), torch._efficientzerotensor(SHAPE), above):
            found = fl.mse_loss.grad(x, t, reduction="none", grad_output=grad_output)
            torch.testing.assert_close(found, want * grad_output.resolve_neg())


@pytest.mark.parametrize("loss", ("fl.cross_entropy", "fl.nn.CrossEntropyLoss()"))
def test_the_first_call_of_all_may_be_compiled(loss):
    code = f"""
        import torch, fastloss as fl
        if "nn" in {loss!r}:
            import fastloss.nn
        x, y = torch.zeros(8, 4), torch.zeros(8, dtype=torch.long)
        print(torch.compile({loss}, backend="eager", fullgraph=True)(x, y).item())
    """
    found = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert found.stdout.strip() == "1.3862943649291992", found.stderr


# Gradients of 16 bits, which the forward pass computes as if nothing came from above.


@pytest.mark.parametrize("dtype", (torch.float16, torch.bfloat16), ids=str)
@pytest.mark.parametrize("loss", (fl.cross_entropy, fl.mse_loss, fl.binary_cross_entropy_with_logits))
def test_gradients_of_16_bits_are_rounded_once(dtype, loss, monkeypatch):
    logits = (3 * torch.randn(40, 30)).to(dtype)
    target = torch.randint(0, 30, (40,)) if loss is fl.cross_entropy else torch.rand(40, 30).to(dtype)
    factors = (1.0, 3.7, 1.0, 512.0, 1e-3)

    def gradients(**options):
        for factor in factors:
            x = logits.clone().requires_grad_()
            loss(x, target, **options).mul(factor).backward()
            yield x.grad

    soon = list(gradients())
    monkeypatch.setattr(_torch_autograd, "EAGER_ELEMENTS", 0)
    monkeypatch.setattr(loss.spec, "plans", {})
    monkeypatch.setattr(loss.spec, "recent", None)
    late = list(gradients())
    for ours, its in zip(soon, late, strict=True):
        assert torch.equal(ours, its)
    assert not torch.equal(soon[1], (soon[0].float() * torch.tensor(3.7, dtype=dtype)).to(dtype))  # rounded twice


@pytest.mark.parametrize("factor", (1.0, 3.0))
def test_more_than_one_backward_pass_of_16_bits(factor):
    x, y = torch.randn(8, 5).bfloat16().requires_grad_(), torch.randint(0, 5, (8,))
    value = fl.cross_entropy(x, y)
    upstream = torch.tensor(factor, dtype=torch.bfloat16)
    first, second, third = (torch.autograd.grad(value, x, upstream, retain_graph=True)[0] for _ in range(3))
    assert torch.equal(first, second)
    assert torch.equal(first, third)
    other = torch.autograd.grad(value, x, 2 * upstream, retain_graph=True)[0]
    assert torch.equal(other, 2 * first)  # a power of two rounds nothing
    (twice,) = torch.autograd.grad(value, x, upstream, create_graph=True)
    torch.testing.assert_close(twice, first)
    with pytest.raises(NotImplementedError, match="second derivatives"):
        twice.sum().backward()
    for second in (upstream, torch.ones_like(upstream)):
        value = fl.cross_entropy(x, y)
        torch.autograd.grad(value, x, upstream)
        with pytest.raises(RuntimeError, match=r"freed|second time"):
            torch.autograd.grad(value, x, second)


def test_hooks_on_saved_tensors_of_16_bits():
    leaf, y = torch.randn(5, 8).half().requires_grad_(), torch.randint(0, 5, (8,))
    want = torch.autograd.grad(4 * fl.cross_entropy(leaf.t(), y), leaf)[0]
    with torch.autograd.graph.saved_tensors_hooks(lambda one: one.contiguous(), lambda one: one):
        value = 4 * fl.cross_entropy(leaf.t(), y)
    torch.testing.assert_close(torch.autograd.grad(value, leaf)[0], want)
