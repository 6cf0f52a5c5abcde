"""Adversarial losses: values and gradients beside PyTorch's formulas, and their identities."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from against import INF, NAN

import fastloss as fl

MODES = ("non_saturating", "minimax", "least_squares", "hinge", "wasserstein", "relativistic")
PROBABLE = ("non_saturating", "minimax", "least_squares")


def cross_entropy(x, label, from_logits, reduction):
    function = F.binary_cross_entropy_with_logits if from_logits else F.binary_cross_entropy
    return function(x, torch.full_like(x, label), reduction=reduction)


def discriminator(real, fake, mode, from_logits=True, label_smoothing=0.0, reduction="mean"):
    total = getattr(torch, reduction)
    label = 1 - label_smoothing
    if mode in ("non_saturating", "minimax"):
        return cross_entropy(real, label, from_logits, reduction) + cross_entropy(fake, 0.0, from_logits, reduction)
    if mode == "least_squares":
        return total((real - label) ** 2) + total(fake**2)
    if mode == "hinge":
        return total((1 - real).clamp_min(0)) + total((1 + fake).clamp_min(0))
    if mode == "wasserstein":
        return total(fake) - total(real)
    return cross_entropy(real - fake, label, True, reduction)


def generator(fake, mode, real=None, from_logits=True, reduction="mean"):
    total = getattr(torch, reduction)
    if mode == "non_saturating":
        return cross_entropy(fake, 1.0, from_logits, reduction)
    if mode == "minimax":
        return -cross_entropy(fake, 0.0, from_logits, reduction)
    if mode == "least_squares":
        return total((fake - 1) ** 2)
    if mode in ("hinge", "wasserstein"):
        return -total(fake)
    return cross_entropy(fake - real, 1.0, True, reduction)


def scores(mode, dtype=torch.float64, probabilities=False, seed=0):
    torch.manual_seed(seed)
    real = torch.randn(6, 3, dtype=torch.float64) * 2
    fake = torch.randn(6, 3, dtype=torch.float64) * 2 if mode == "relativistic" else torch.randn(5, dtype=torch.float64)
    if probabilities:
        real, fake = real.sigmoid(), fake.sigmoid()
    return [x.to(dtype).requires_grad_() for x in (real, fake)]


CASES = [
    *((mode, {}) for mode in MODES),
    *((mode, {"from_logits": False}) for mode in PROBABLE),
    *((mode, {"label_smoothing": 0.1}) for mode in (*PROBABLE, "relativistic")),
    ("non_saturating", {"from_logits": False, "label_smoothing": 0.1}),
]


def same(got, want, tensors, rtol):
    torch.testing.assert_close(got, want, rtol=rtol, atol=rtol)
    for mine, its in zip(
        torch.autograd.grad(got * 0.5, tensors, retain_graph=True),
        torch.autograd.grad(want * 0.5, tensors),
        strict=True,
    ):
        torch.testing.assert_close(mine, its, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("reduction", ("mean", "sum"))
@pytest.mark.parametrize(("mode", "options"), CASES)
def test_discriminator(mode, options, reduction):
    tensors = scores(mode, probabilities=options.get("from_logits") is False)
    got = fl.gan_discriminator_loss(*tensors, mode, reduction=reduction, **options)
    same(got, discriminator(*tensors, mode, reduction=reduction, **options), tensors, 1e-13)
    value, grads = fl.gan_discriminator_loss.value_and_grad(
        *(x.detach().numpy() for x in tensors), mode=mode, reduction=reduction, **options
    )
    np.testing.assert_allclose(value, got.item(), rtol=1e-14)
    for grad, its in zip(grads, torch.autograd.grad(got, tensors), strict=True):
        np.testing.assert_array_equal(grad, its.numpy())


@pytest.mark.parametrize("reduction", ("mean", "sum"))
@pytest.mark.parametrize(("mode", "options"), [case for case in CASES if "label_smoothing" not in case[1]])
def test_generator(mode, options, reduction):
    real, fake = scores(mode, probabilities=options.get("from_logits") is False)
    pair = mode == "relativistic"
    got = fl.gan_generator_loss(fake, mode, real if pair else None, reduction=reduction, **options)
    want = generator(fake, mode, real, reduction=reduction, **options)
    same(got, want, [fake, real] if pair else [fake], 1e-13)
    wrt = ("fake_logits", "real_logits") if pair else ("fake_logits",)
    value, grads = fl.gan_generator_loss.value_and_grad(
        fake, mode, real if pair else None, reduction=reduction, wrt=wrt, **options
    )
    assert not value.requires_grad
    assert value == got
    assert len(grads) == len(wrt)


@pytest.mark.parametrize("dtype", (torch.float32, torch.float16, torch.bfloat16))
def test_dtypes(dtype):
    tensors = scores("non_saturating", dtype)
    got = fl.gan_discriminator_loss(*tensors)
    want = discriminator(*(x.detach().float().requires_grad_() for x in tensors), "non_saturating")
    assert got.dtype == dtype
    torch.testing.assert_close(got.float(), want, rtol=2 * torch.finfo(dtype).eps, atol=0)
    for grad in torch.autograd.grad(got, tensors):
        assert grad.dtype == dtype


def test_the_kinks_of_the_hinges_have_the_slope_of_the_side_that_pays():
    _, (real, fake) = fl.gan_discriminator_loss.value_and_grad(np.ones(1), -np.ones(1), "hinge")
    assert (real, fake) == (-1, 1)


def test_logits_and_probabilities_agree():
    real, fake = (x.detach().numpy() for x in scores("minimax"))
    p, q = 1 / (1 + np.exp(-real)), 1 / (1 + np.exp(-fake))
    for mode in ("non_saturating", "minimax"):
        np.testing.assert_allclose(
            fl.gan_discriminator_loss(real, fake, mode),
            fl.gan_discriminator_loss(p, q, mode, from_logits=False),
            rtol=1e-13,
        )
        np.testing.assert_allclose(
            fl.gan_generator_loss(fake, mode), fl.gan_generator_loss(q, mode, from_logits=False), rtol=1e-13
        )


def test_identities():
    real, fake = (x.detach().numpy() for x in scores("minimax"))
    # Both games have one discriminator.
    minimax = fl.gan_discriminator_loss(real, fake, "minimax")
    assert minimax == fl.gan_discriminator_loss(real, fake, "non_saturating")
    # The minimax generator loses what the discriminator wins on fakes; the other one flips labels.
    alone = fl.gan_generator_loss(fake, "minimax")
    np.testing.assert_allclose(minimax + alone, fl.gan_generator_loss(real), rtol=1e-14)
    np.testing.assert_allclose(fl.gan_generator_loss(fake), fl.logistic_loss(fake, np.ones_like(fake)), rtol=1e-14)
    # log(1 + exp(-x)) - log(1 + exp(x)) = -x
    np.testing.assert_allclose(fl.gan_generator_loss(fake) + alone, -fake.mean(), rtol=1e-13)
    # At a discriminator that knows nothing.
    zero = np.zeros(3)
    np.testing.assert_allclose(fl.gan_discriminator_loss(zero, zero), 2 * np.log(2), rtol=1e-15)
    np.testing.assert_allclose(fl.gan_discriminator_loss(zero, zero, "relativistic"), np.log(2), rtol=1e-15)
    np.testing.assert_allclose(
        fl.gan_discriminator_loss(real, real[::-1], "relativistic"),
        fl.gan_generator_loss(real, "relativistic", real[::-1]),
        rtol=1e-14,
    )


def test_no_finite_logit_overflows():
    x = np.array([-3e38, 3e38], np.float32)
    for mode in ("non_saturating", "minimax", "relativistic"):
        value, grads = fl.gan_discriminator_loss.value_and_grad(x, x / 2, mode, reduction="mean")
        assert np.isfinite(value)
        for grad in grads:
            assert np.isfinite(grad).all()


def test_infinities_and_nan():
    one = np.ones(1, np.float32)
    for x, want in ((INF, 0.0), (-INF, INF), (NAN, NAN)):
        np.testing.assert_array_equal(fl.gan_generator_loss(one * np.float32(x)), np.float32(want))
        np.testing.assert_array_equal(
            fl.gan_discriminator_loss(one * np.float32(x), one * -np.float32(INF)), np.float32(want)
        )
    assert np.isnan(fl.gan_discriminator_loss(np.array([2.0]), np.array([0.5]), from_logits=False))


def test_out_is_written():
    real, fake = np.ones((3, 2), np.float32), np.zeros(4, np.float32)
    outs = np.empty_like(real), np.empty_like(fake)
    value, grads = fl.gan_discriminator_loss.value_and_grad(real, fake, out=outs)
    assert grads[0] is outs[0]
    assert grads[1] is outs[1]
    want, (by_real, by_fake) = fl.gan_discriminator_loss.value_and_grad(real, fake)
    assert value == want
    np.testing.assert_array_equal(outs[0], by_real)
    np.testing.assert_array_equal(outs[1], by_fake)
    only = fl.gan_discriminator_loss.grad(real, fake, wrt="fake_logits", out=outs[1])
    assert only is outs[1]


def test_out_must_not_be_an_input_of_another_term():
    real, fake = np.ones(4), np.zeros(4)
    for outs in ((fake, np.empty(4)), (np.empty(4), real), (real, np.empty(4))):
        with pytest.raises(ValueError, match="gan_discriminator_loss: out shares memory"):
            fl.gan_discriminator_loss.value_and_grad(real, fake, out=outs)
    both = np.empty(4)
    with pytest.raises(ValueError, match="out shares memory"):
        fl.gan_discriminator_loss.value_and_grad(real, fake, out=(both, both))
    np.testing.assert_array_equal(fake, np.zeros(4))


def test_the_mean_over_nothing():
    nothing, something = np.empty(0), np.zeros(1)
    assert np.isnan(fl.gan_discriminator_loss(nothing, something))
    np.testing.assert_allclose(fl.gan_discriminator_loss(nothing, something, empty="zero"), np.log(2))


X = np.zeros(3)


@pytest.mark.parametrize(
    ("error", "call", "match"),
    (
        (ValueError, lambda: fl.gan_discriminator_loss(X, X, "lsgan"), "mode is 'lsgan', expected one of"),
        (ValueError, lambda: fl.gan_discriminator_loss(X, X, reduction="none"), "expected one of 'mean', 'sum'"),
        (ValueError, lambda: fl.gan_discriminator_loss(X, X, "hinge", from_logits=False), "no probabilities"),
        (ValueError, lambda: fl.gan_discriminator_loss(X, X, "wasserstein", label_smoothing=0.1), "no labels"),
        (ValueError, lambda: fl.gan_discriminator_loss(X, X, label_smoothing=2), "label_smoothing is 2"),
        (ValueError, lambda: fl.gan_discriminator_loss(X, X[:2], "relativistic"), "fake_logits"),
        (ValueError, lambda: fl.gan_generator_loss(X, "hinge", X), "does not read them"),
        (ValueError, lambda: fl.gan_generator_loss.grad(X, wrt="real_logits"), "real_logits is not given"),
        (ValueError, lambda: fl.gan_discriminator_loss.grad(X, X, wrt="mode"), "expected names among"),
        (TypeError, lambda: fl.gan_generator_loss(X, "relativistic"), "expected an array for mode 'relativistic'"),
        (TypeError, lambda: fl.gan_discriminator_loss(None, X), "real_logits is None"),
        (TypeError, lambda: fl.gan_discriminator_loss(X, torch.zeros(3)), "give all of one kind"),
        (TypeError, lambda: fl.gan_discriminator_loss(X, X.astype(int)), "fake_logits has dtype int64"),
        (ValueError, lambda: fl.nn.GANDiscriminatorLoss(mode="hinge", label_smoothing=0.1), "no labels"),
    ),
)
def test_what_is_refused(error, call, match):
    with pytest.raises(error, match=match):
        call()


def test_modules():
    real, fake = scores("relativistic")
    module = fl.nn.GANDiscriminatorLoss("hinge", reduction="sum")
    assert repr(module) == "GANDiscriminatorLoss(mode='hinge', reduction='sum')"
    assert torch.equal(module(real, fake), fl.gan_discriminator_loss(real, fake, "hinge", reduction="sum"))
    assert torch.equal(
        fl.nn.GANGeneratorLoss("relativistic")(fake, real), fl.gan_generator_loss(fake, "relativistic", real)
    )


def test_compiled_whole():
    def objective(real, fake):
        return fl.gan_discriminator_loss(real * 2, fake) + fl.gan_generator_loss(fake, "relativistic", real)

    real, fake = scores("relativistic")
    want = objective(real, fake)
    got = torch.compile(objective, fullgraph=True, backend="aot_eager")(real, fake)
    same(got, want, [real, fake], 1e-14)


@pytest.mark.parametrize("mode", MODES)
def test_weights_count_samples(mode):
    """A sample of weight 2 is two samples, one of weight 0 is none."""
    real, fake = np.array([2.0, -1.0, 0.3]), np.array([0.5, -0.2, 1.5])
    twice = np.array([0, 0, 1])
    weight = np.array([2.0, 1.0, 0.0])
    pairs = mode == "relativistic"
    given = {"mode": mode, "real_weight": weight}
    if not pairs:
        given["fake_weight"] = weight
    for reduction in ("mean", "sum"):
        want = fl.gan_discriminator_loss(real[twice], fake[twice], mode, reduction=reduction)
        value, (by_real, by_fake) = fl.gan_discriminator_loss.value_and_grad(real, fake, reduction=reduction, **given)
        assert value == pytest.approx(want, rel=1e-15)
        assert fl.gan_discriminator_loss(real, fake, reduction=reduction, **given) == value
        slopes = fl.gan_discriminator_loss.grad(real[twice], fake[twice], mode, reduction=reduction)
        for got, slope in zip((by_real, by_fake), slopes, strict=True):
            np.testing.assert_allclose(got, [slope[0] + slope[1], slope[2], 0.0], rtol=1e-15)
        others = (real[twice],) if pairs else ()
        want = fl.gan_generator_loss(fake[twice], mode, *others, reduction=reduction)
        others = (real,) if pairs else ()
        got = fl.gan_generator_loss(fake, mode, *others, reduction=reduction, sample_weight=weight)
        assert got == pytest.approx(want, rel=1e-15)


def test_pairs_are_weighted_by_the_product():
    real, fake, u, v = np.random.default_rng(0).random((4, 5))
    got = fl.gan_discriminator_loss(real, fake, "relativistic", real_weight=u, fake_weight=v)
    each = np.log1p(np.exp(fake - real))
    assert got == pytest.approx((u * v * each).sum() / (u * v).sum(), rel=1e-14)


def test_weights_of_tensors_and_modules():
    real, fake = torch.randn(4, requires_grad=True), torch.randn(4)
    weight = torch.tensor([1.0, 2.0, 0.0, 1.0])
    loss = fl.nn.GANDiscriminatorLoss("hinge")(real, fake, real_weight=weight)
    loss.backward()
    want = (weight * torch.relu(1 - real)).sum() / 4 + torch.relu(1 + fake).mean()
    assert loss.item() == pytest.approx(want.item(), rel=1e-6)
    assert real.grad[2] == 0
    with pytest.raises(NotImplementedError, match="weight"):
        fl.gan_generator_loss(real, sample_weight=weight.requires_grad_())
