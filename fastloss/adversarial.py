"""Losses of generative adversarial networks, from what a discriminator says of real and of generated samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastloss import _errors
from fastloss._catalogue import FLAG, REAL, UNIT, Row, Values
from fastloss._elementwise import elementwise
from fastloss._loss import Arguments, Loss
from fastloss._terms import Term, named, sum_of_terms

__all__ = ["gan_discriminator_loss", "gan_generator_loss"]

REDUCTIONS = ("mean", "sum")
MODES = Values(("non_saturating", "minimax", "least_squares", "hinge", "wasserstein", "relativistic"))
#: Modes that take probabilities in place of logits: the others' scores are none.
PROBABLE = ("non_saturating", "minimax", "least_squares")
#: Modes with a label of real samples that smoothing can lower.
LABELLED = (*PROBABLE, "relativistic")

_ALSO = ("GAN loss", "adversarial loss", "LSGAN", "WGAN", "wasserstein", "RSGAN", "critic loss")
_DISCRIMINATOR = Row(
    "GANDiscriminatorLoss",
    {"real_logits": REAL, "fake_logits": REAL},
    parameters={"mode": MODES, "from_logits": FLAG, "label_smoothing": UNIT},
    kinks="mode='hinge': real x = 1 and fake x = -1, the slope of the side that pays",
    denominator="weights",
    also=_ALSO,
    transcendental=True,
)
_GENERATOR = Row(
    "GANGeneratorLoss",
    {"fake_logits": REAL, "real_logits": REAL},
    parameters={"mode": MODES, "from_logits": FLAG},
    denominator="weights",
    also=_ALSO,
    transcendental=True,
)


def _term(
    formula: str, row: Row, *names: str, weight: str = "sample_weight"
) -> Callable[[Callable[..., Arguments]], Loss]:
    """The engine of a term that reads the arrays ``names``; the formula is one of kernels/adversarial.py."""

    def decorate(bind: Callable[..., Arguments]) -> Loss:
        function = elementwise(
            formula,
            Row(row.module, row.domain, parameters={"from_logits": FLAG}, transcendental=True),
            names=(*names, *[""] * (4 - len(names)), weight),
            differentiable=names,
            shapes="same",
            reductions=REDUCTIONS,
        )(bind)
        spec: Loss = function.spec
        return spec

    return decorate


@_term("real_{mode}", _DISCRIMINATOR, "real_logits", weight="real_weight")
@named("gan_discriminator_loss")
def _real(
    real_logits: Any,
    *,
    real_weight: Any = None,
    mode: str,
    from_logits: bool,
    label_smoothing: float,
    reduction: str,
    empty: str,
) -> Arguments:
    return ((real_logits, None, None, None, real_weight), (mode, from_logits, label_smoothing, reduction, empty))


@_term("fake_{mode}", _DISCRIMINATOR, "fake_logits", weight="fake_weight")
@named("gan_discriminator_loss")
def _fake(
    fake_logits: Any, *, fake_weight: Any = None, mode: str, from_logits: bool, reduction: str, empty: str
) -> Arguments:
    return ((fake_logits, None, None, None, fake_weight), (mode, from_logits, reduction, empty))


@_term("pair_relativistic", _DISCRIMINATOR, "real_logits", "fake_logits", weight="real_weight")
@named("gan_discriminator_loss")
def _pair(
    real_logits: Any,
    fake_logits: Any,
    *,
    real_weight: Any = None,
    from_logits: bool,
    label_smoothing: float,
    reduction: str,
    empty: str,
) -> Arguments:
    return ((real_logits, fake_logits, None, None, real_weight), (from_logits, label_smoothing, reduction, empty))


@_term("trick_{mode}", _GENERATOR, "fake_logits")
@named("gan_generator_loss")
def _trick(
    fake_logits: Any, *, sample_weight: Any = None, mode: str, from_logits: bool, reduction: str, empty: str
) -> Arguments:
    return ((fake_logits, None, None, None, sample_weight), (mode, from_logits, reduction, empty))


@_term("pair_relativistic", _GENERATOR, "fake_logits", "real_logits")
@named("gan_generator_loss")
def _trick_pair(
    fake_logits: Any,
    real_logits: Any,
    *,
    sample_weight: Any = None,
    from_logits: bool,
    label_smoothing: float,
    reduction: str,
    empty: str,
) -> Arguments:
    return ((fake_logits, real_logits, None, None, sample_weight), (from_logits, label_smoothing, reduction, empty))


def _check(loss: str, mode: str, from_logits: bool, reduction: str, empty: str) -> None:
    MODES.check(loss, "mode", mode)
    FLAG.check(loss, "from_logits", from_logits)
    _errors.check_reduction(loss, reduction, REDUCTIONS)
    _errors.check_choice(loss, "empty", empty, ("nan", "zero"))
    if not from_logits and mode not in PROBABLE:
        raise ValueError(f"{loss}: from_logits is False, but the scores of mode {mode!r} are no probabilities")


def _discriminator(
    mode: str, from_logits: bool, label_smoothing: float, reduction: str, empty: str
) -> tuple[Term, ...]:
    loss = "gan_discriminator_loss"
    _check(loss, mode, from_logits, reduction, empty)
    if UNIT.check(loss, "label_smoothing", label_smoothing) and mode not in LABELLED:
        raise ValueError(f"{loss}: label_smoothing is {label_smoothing!r}, but mode {mode!r} has no labels")
    if mode == "relativistic":
        options = (from_logits, label_smoothing, reduction, empty)
        return (Term(_pair, ("real_logits", "fake_logits"), options, ("real_weight", "fake_weight")),)
    return (
        Term(_real, ("real_logits",), (mode, from_logits, label_smoothing, reduction, empty), ("real_weight",)),
        Term(_fake, ("fake_logits",), (mode, from_logits, reduction, empty), ("fake_weight",)),
    )


def _generator(mode: str, from_logits: bool, reduction: str, empty: str) -> tuple[Term, ...]:
    _check("gan_generator_loss", mode, from_logits, reduction, empty)
    if mode == "relativistic":
        options = (from_logits, 0.0, reduction, empty)
        return (Term(_trick_pair, ("fake_logits", "real_logits"), options, ("sample_weight",)),)
    return (Term(_trick, ("fake_logits",), (mode, from_logits, reduction, empty), ("sample_weight",)),)


@sum_of_terms(
    _discriminator,
    _DISCRIMINATOR,
    ("real_logits", "fake_logits", "", "real_weight", "fake_weight"),
    differentiable=("real_logits", "fake_logits"),
    default=("real_logits", "fake_logits"),
)
def gan_discriminator_loss(
    real_logits: Any,
    fake_logits: Any,
    mode: str = "non_saturating",
    *,
    from_logits: bool = True,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    real_weight: Any = None,
    fake_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""What a discriminator, or critic, minimises: to tell real samples from generated ones.

    .. math:: L_D = \operatorname{mean}_i\, a(r_i) + \operatorname{mean}_j\, b(f_j)

    of scores r of real samples and f of generated ones, with the softplus :math:`s(x) = \log(1 + e^x)` in

    - ``"non_saturating"`` and ``"minimax"``: :math:`a = s(-r), b = s(f)`, the binary cross-entropy;
    - ``"least_squares"``: :math:`a = (r - 1)^2, b = f^2`, without the factor of one half of the paper;
    - ``"hinge"``: :math:`a = \max(0, 1 - r), b = \max(0, 1 + f)`;
    - ``"wasserstein"``: :math:`a = -r, b = f`, which needs a critic with bounded slopes (clipping, gradient penalty);
    - ``"relativistic"``: of pairs, :math:`\operatorname{mean}_i\, s(f_i - r_i)`.

    Args:
        real_logits: scores r of real samples, of any shape.
        fake_logits: scores f of generated samples, of any shape; that of r for ``"relativistic"``.
        mode: one of the above.
        from_logits: False: the scores are probabilities of being real, in [0, 1] (not checked; others give NaN), with
            logarithms as in :func:`binary_cross_entropy`. ``"least_squares"`` takes any scores as they are, and the
            last three modes, whose scores are no probabilities, refuse it.
        label_smoothing: e in [0, 1]: the label of real samples is 1 - e, that of generated ones stays 0 (one-sided).
            Of the modes, ``"hinge"`` and ``"wasserstein"`` have no labels.
        reduction: ``"mean"``, or ``"sum"`` of all terms.
        real_weight: weights of the real samples, broadcastable to r; their mean then divides by the sum of the weights.
        fake_weight: weights of the generated samples likewise. Pairs are weighted by the product of both.
        empty: the mean over nothing: ``"nan"``, or ``"zero"``.

    Returns:
        The loss, a scalar. Gradients exist for ``real_logits`` and ``fake_logits`` (both by default).

    Raises:
        ValueError: shapes of pairs that differ, an option out of range or without a meaning for the mode. TypeError: a
            dtype that is not floating.

    At the kinks of the hinges the slope is that of the side that pays. No finite logit overflows the cross-entropies.

    >>> import numpy as np, fastloss as fl
    >>> real, fake = np.array([2.0, 0.0]), np.array([-1.0])
    >>> float(fl.gan_discriminator_loss(real, fake, "hinge"))
    0.5
    >>> loss, (real_grad, fake_grad) = fl.gan_discriminator_loss.value_and_grad(real, fake, mode="wasserstein")
    >>> float(loss), real_grad.tolist(), fake_grad.tolist()
    (-2.0, [-0.5, -0.5], [1.0])

    Source: Goodfellow et al. (2014), arXiv:1406.2661; Mao et al. (2017), arXiv:1611.04076, least squares; Arjovsky et
    al. (2017), arXiv:1701.07875, Wasserstein; Lim and Ye (2017), arXiv:1705.02894, hinge; Jolicoeur-Martineau (2018),
    arXiv:1807.00734, relativistic; Salimans et al. (2016), arXiv:1606.03498, one-sided smoothing.
    """
    return (
        (real_logits, fake_logits, None, real_weight, fake_weight),
        (mode, from_logits, label_smoothing, reduction, empty),
    )


@sum_of_terms(
    _generator,
    _GENERATOR,
    ("fake_logits", "real_logits", "", "", "sample_weight"),
    differentiable=("fake_logits", "real_logits"),
)
def gan_generator_loss(
    fake_logits: Any,
    mode: str = "non_saturating",
    real_logits: Any = None,
    *,
    from_logits: bool = True,
    reduction: str = "mean",
    sample_weight: Any = None,
    empty: str = "nan",
) -> Arguments:
    r"""What a generator minimises: that the discriminator takes its samples for real ones.

    .. math:: L_G = \operatorname{mean}_j\, c(f_j)

    of scores f of generated samples, with the softplus :math:`s(x) = \log(1 + e^x)` in

    - ``"non_saturating"``: :math:`c = s(-f)`, whose gradient does not vanish where the discriminator is sure;
    - ``"minimax"``: :math:`c = -s(f)`, that is :math:`\log(1 - p)`: what the discriminator loses, negated;
    - ``"least_squares"``: :math:`c = (f - 1)^2`, without the factor of one half of the paper;
    - ``"hinge"`` and ``"wasserstein"``: :math:`c = -f`;
    - ``"relativistic"``: of pairs, :math:`\operatorname{mean}_i\, s(r_i - f_i)`.

    Args:
        fake_logits: scores f of generated samples, of any shape.
        mode: one of the above.
        real_logits: scores r of real samples, of the shape of f: for ``"relativistic"``, which needs them.
        from_logits: False: the scores are probabilities of being real, in [0, 1] (not checked; others give NaN), with
            logarithms as in :func:`binary_cross_entropy`. ``"least_squares"`` takes any scores as they are, and the
            last three modes, whose scores are no probabilities, refuse it.
        reduction: ``"mean"``, or ``"sum"``.
        sample_weight: weights of the generated samples (or pairs), broadcastable to f; the mean then divides by their
            sum.
        empty: the mean over nothing: ``"nan"``, or ``"zero"``.

    Returns:
        The loss, a scalar. Gradients exist for ``fake_logits`` (the default), and for ``real_logits`` with
        ``"relativistic"``.

    Raises:
        ValueError: shapes of pairs that differ, an option without a meaning for the mode, ``real_logits`` in a mode
            that does not read them. TypeError: a dtype that is not floating, or no ``real_logits`` where they are
            needed.

    No finite logit overflows.

    >>> import numpy as np, fastloss as fl
    >>> float(fl.gan_generator_loss(np.array([-1000.0, 1000.0])))
    500.0

    Source: see :func:`gan_discriminator_loss`.
    """
    if (real_logits is None) == (mode == "relativistic"):
        if real_logits is None:
            raise TypeError("gan_generator_loss: real_logits is None, expected an array for mode 'relativistic'")
        raise ValueError(f"gan_generator_loss: real_logits is given, but mode is {mode!r}, which does not read them")
    return (
        (fake_logits, real_logits, None, None, sample_weight),
        (mode, from_logits, reduction, empty),
    )
